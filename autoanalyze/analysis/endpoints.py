"""Where requests go: the one place that tells the simulated model from a real endpoint."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict

from autoanalyze.analysis.configuration import digest
from autoanalyze.analysis.sessions import Population
from autoanalyze.config import Config
from autoanalyze.errors import ConfigurationError
from autoanalyze.llm.calls import Endpoint
from autoanalyze.llm.tokens import TokenCounter, load_counter
from autoanalyze.serving.app import ServedEndpoint
from autoanalyze.simulation.model import SimulatedModel

OPENAI_URL = "https://api.openai.com/v1"


def is_simulated(config: Config) -> bool:
    """Whether answers come from planted truth."""
    return config.endpoint == "simulated"


def counter_of(config: Config) -> TokenCounter:
    """What counts tokens: by default the estimate in simulated runs, so that they are the same everywhere."""
    mode = config.token_counter
    if mode == "auto":
        mode = "estimate" if is_simulated(config) else "tiktoken"
    return load_counter(config.model.encoding, mode)


def network(config: Config) -> Endpoint:
    """A real endpoint, with the key from the environment.

    In a replay nothing is contacted: its answers take the time they took, in no time. Raises
    ConfigurationError for a key that is missing.
    """
    replayed = config.journal.mode == "replay"
    key = os.environ.get("OPENAI_API_KEY", "")
    url = config.endpoint
    if url == "openai":
        if not key and not replayed:
            raise ConfigurationError(
                "endpoint=openai needs a key: set the environment variable OPENAI_API_KEY, or leave "
                "endpoint=simulated to try things out for free"
            )
        url = os.environ.get("OPENAI_BASE_URL") or OPENAI_URL
    return Endpoint(url, url, key or "none", virtual_time=replayed)


def in_process(config: Config, served: ServedEndpoint) -> Endpoint:
    """A simulated endpoint as a run sees it. The behaviour is part of its identity: another noise gives
    other answers to the same request."""
    identity = f"simulated-{digest(asdict(config.noise))[:8]}"
    return Endpoint(identity, "http://simulated/v1", "simulated", served.transport(), virtual_time=True)


def simulated(
    config: Config, population: Population, session_ids: Sequence[str], counter: TokenCounter
) -> ServedEndpoint:
    """A simulated endpoint that knows these sessions, with nothing cached yet.

    Raises ConfigurationError if none of them has planted truth.
    """
    bot_id, schema = config.data.bot_id, config.schema.records()
    known = population.known_truth(bot_id, tuple(session_ids), schema.names)
    if not any(truth.concepts for truth in known):
        raise ConfigurationError(
            f"endpoint=simulated answers from planted truth, and none of these {len(session_ids):,} "
            "sessions has any: import data with true_<field> columns, use data=synthetic, or name a "
            "real endpoint (endpoint=openai or a URL)"
        )
    planted = population.planted(bot_id, tuple(session_ids), schema.names)
    return ServedEndpoint(
        SimulatedModel(planted, config.noise, schema),
        config.model,
        config.noise,
        counter,
        tier=config.model.tiers[config.limits.tier] if config.limits.tier else None,
        faults=config.faults,
    )
