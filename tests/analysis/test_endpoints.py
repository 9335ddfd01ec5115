"""Where requests go: simulated or real, and what each is called in the record."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoanalyze.analysis.configuration import compose
from autoanalyze.analysis.endpoints import (
    OPENAI_URL,
    counter_of,
    in_process,
    is_simulated,
    network,
    served,
    simulated,
)
from autoanalyze.analysis.sessions import Population, open_population
from autoanalyze.config import Config, JournalConfig, NoiseConfig
from autoanalyze.data.store import Store
from autoanalyze.errors import ConfigurationError
from autoanalyze.llm.calls import Endpoint
from autoanalyze.llm.tokens import Estimate, count_with
from autoanalyze.records import Conversation, Message


@pytest.fixture(scope="module")
def config() -> Config:
    """A simulated run."""
    return compose(["data.count=20"])


def test_a_key_never_switches_the_endpoint(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the setting does: with a key in the environment a simulated run stays one."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    assert is_simulated(config)
    assert not is_simulated(replace(config, endpoint="openai"))
    assert not is_simulated(replace(config, endpoint="http://localhost:8000/v1"))


def test_openai_needs_a_key_unless_nothing_is_contacted(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without one a live run is refused with the remedy, an empty one is none, and a replay needs none."""
    live = replace(config, endpoint="openai")
    for value in (None, ""):
        if value is not None:
            monkeypatch.setenv("OPENAI_API_KEY", value)
        with pytest.raises(ConfigurationError, match="set the environment variable OPENAI_API_KEY"):
            network(live)
    replayed = network(replace(live, journal=JournalConfig("replay", ["somewhere"])))
    assert replayed.virtual_time
    assert not network(replace(live, endpoint="http://localhost:8000/v1")).virtual_time


def test_endpoint_is_told_by_its_address_and_never_by_its_key(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenAI, or where OPENAI_BASE_URL leads, or the URL given; what is printed holds no secret."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    live = replace(config, endpoint="openai")
    official = network(live)
    assert (official.identity, official.base_url, official.api_key) == (OPENAI_URL, OPENAI_URL, "sk-secret")
    assert "sk-secret" not in repr(official)
    monkeypatch.setenv("OPENAI_BASE_URL", "https://proxy.example/v1")
    assert network(live).base_url == network(live).identity == "https://proxy.example/v1"
    own = network(replace(config, endpoint="http://localhost:8000/v1"))
    assert (own.identity, own.base_url) == ("http://localhost:8000/v1",) * 2
    monkeypatch.delenv("OPENAI_API_KEY")
    assert network(replace(config, endpoint="http://localhost:8000/v1")).api_key == "none"


def test_simulated_runs_count_as_every_machine_does(config: Config) -> None:
    """By default they estimate, so that no file needs to be fetched; what was asked for goes before."""
    assert counter_of(config) == Estimate()
    assert counter_of(replace(config, endpoint="openai", token_counter="estimate")) == Estimate()


def test_other_behaviour_is_another_endpoint(config: Config) -> None:
    """Noise is part of the identity, since it gives other answers to the same request; faults are not."""
    population = open_population(config, Estimate())
    ids = population.store.sessions(config.data.bot_id)["session_id"].to_list()

    def endpoint_of(changed: Config) -> Endpoint:
        return in_process(served(changed, population, ids, Estimate()))

    endpoint = endpoint_of(config)
    assert endpoint.virtual_time
    assert endpoint.transport is not None
    again = endpoint_of(replace(config, faults=replace(config.faults, rate=0.5)))
    assert again.identity == endpoint.identity
    noisy = endpoint_of(replace(config, noise=NoiseConfig(reuse=0.1)))
    assert noisy.identity != endpoint.identity
    assert endpoint.identity.startswith("simulated-")


def test_without_truth_there_is_nothing_to_answer_from(config: Config) -> None:
    """Sessions without planted truth cannot be simulated, and the message names the ways out; one that has
    some among them is enough."""
    store = Store.in_memory()
    said = (Message("user", "hello"), Message("bot", "what can I do?"))
    store.add(
        [
            Conversation("plain", "u1", said),
            Conversation("known", "u2", said, truth={"general_intent": "Claim Status"}),
            Conversation("foreign", "u3", said, truth={"another_field": "Claim Status"}),
        ],
        bot_id="default",
        count_tokens=count_with(Estimate()),
        token_encoding="estimate",
        source="test",
    )
    population = Population(store)
    for ids in (["plain"], ["plain", "foreign"], []):
        with pytest.raises(
            ConfigurationError, match=r"endpoint=offline.*true_<field> columns.*endpoint=openai"
        ):
            simulated(config, population, ids)
    assert simulated(config, population, ["plain", "known"]) is not None
