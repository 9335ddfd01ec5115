"""Where requests go: the one place that tells simulated model, reader and real endpoints apart."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from autoanalyze.analysis.sessions import Population, population_seed
from autoanalyze.config import IN_PROCESS, Config
from autoanalyze.data.synthetic import concepts
from autoanalyze.errors import ConfigurationError
from autoanalyze.llm.calls import Endpoint
from autoanalyze.llm.tokens import TokenCounter, load_counter
from autoanalyze.reading.reader import Reader
from autoanalyze.records import ContainmentType, transcript
from autoanalyze.serving.app import Labeller, ServedEndpoint
from autoanalyze.simulation.model import SimulatedModel

OPENAI_URL = "https://api.openai.com/v1"


def is_simulated(config: Config) -> bool:
    """Whether answers come from planted truth."""
    return config.endpoint == "simulated"


def is_in_process(config: Config) -> bool:
    """Whether answers are made here, in virtual time and for nothing."""
    return config.endpoint in IN_PROCESS


def counter_of(config: Config) -> TokenCounter:
    """What counts tokens: by default the estimate where answers are made here, to be the same everywhere."""
    mode = config.token_counter
    if mode == "auto":
        mode = "estimate" if is_in_process(config) else "tiktoken"
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
                "endpoint=simulated to try things out for free, or take endpoint=offline for a draft without "
                "a key"
            )
        url = os.environ.get("OPENAI_BASE_URL") or OPENAI_URL
    return Endpoint(url, url, key or "none", virtual_time=replayed)


def in_process(served: ServedEndpoint) -> Endpoint:
    """An endpoint of this process as a run sees it."""
    return Endpoint(
        served.identity, "http://simulated/v1", "simulated", served.transport(), virtual_time=True
    )


def served(
    config: Config, population: Population, session_ids: Sequence[str], counter: TokenCounter
) -> ServedEndpoint:
    """The configured endpoint of this process for these sessions, with nothing cached yet.

    Raises ConfigurationError if it is the simulated one and none of the sessions has planted truth.
    """
    labeller: Labeller = (
        simulated(config, population, session_ids)
        if is_simulated(config)
        else Reader(
            transcripts(config, population, session_ids), config.schema.records(), config.reader.vectors
        )
    )
    return ServedEndpoint(
        labeller,
        config.model,
        config.noise,
        counter,
        tier=config.model.tiers[config.limits.tier] if config.limits.tier else None,
        faults=config.faults,
        judge=config.resolution.model,
    )


def simulated(config: Config, population: Population, session_ids: Sequence[str]) -> SimulatedModel:
    """The labeller that knows what is planted for these sessions. Raises ConfigurationError if nothing is."""
    bot_id, schema = config.data.bot_id, config.schema.records()
    known = population.known_truth(bot_id, tuple(session_ids), schema.names)
    planted_fields = {name for truth in known for name in truth.concepts}
    if config.data.source == "synthetic" and not {*schema.names} & {*concepts()}:
        raise ConfigurationError(
            f"the simulated model knows no answer to {', '.join(schema.names)}: invented sessions have a "
            f"known {', '.join(concepts())} only. Name a real endpoint (endpoint=openai or a URL)"
        )
    if not planted_fields:
        raise ConfigurationError(
            f"endpoint=simulated answers from planted truth, and none of these {len(session_ids):,} "
            "sessions has any: take endpoint=offline for a draft by words without a key, import data with "
            "true_<field> columns, use data=synthetic, or name a real endpoint (endpoint=openai or a URL)"
        )
    planted = population.planted(bot_id, tuple(session_ids), schema.names)
    for label_field in schema.fields:
        own = label_field.name in planted_fields and label_field.labels
        if own and not any(planted.meaning(label_field.name, label) for label in own):
            raise ConfigurationError(
                f"the simulated model knows none of the labels of {label_field.name}, and could only answer "
                "null: name a real endpoint (endpoint=openai or a URL)"
            )
    return SimulatedModel(planted, config.noise, schema, person=population_seed(config))


READ_AT_ONCE = 2_000


def transcripts(
    config: Config, population: Population, session_ids: Sequence[str]
) -> Iterator[tuple[str, ContainmentType]]:
    """What the reader is given: transcripts and how their channel says they ended, nothing else."""
    bot_id, store = config.data.bot_id, population.store
    recorded = store.sessions(bot_id).select("session_id", "containment_type")
    ended = dict(recorded.iter_rows())
    for start in range(0, len(session_ids), READ_AT_ONCE):
        some = session_ids[start : start + READ_AT_ONCE]
        for session_id, messages in store.read(bot_id, some).items():
            yield transcript(messages), ended[session_id]
