"""Sessions that many runs of one process share."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from fakes import small_config

from autoanalyze.analysis.build import build_analysis
from autoanalyze.analysis.sessions import (
    KEPT_SESSIONS,
    SAMPLES,
    Population,
    open_population,
    population_seed,
    synthetic_population,
)
from autoanalyze.data.store import Store
from autoanalyze.data.synthetic import SECOND, Variety
from autoanalyze.llm.tokens import Estimate


class Characters:
    """Counts a token per character."""

    name = "characters"

    def count(self, text: str) -> int:
        return len(text)


def test_population_is_invented_once() -> None:
    """Runs that want the same sessions share one store, whatever their settings are."""
    pinned = {"data.population_seed": "3"}
    settings = [small_config(seed=seed, batch_size=size, **pinned) for seed, size in (("7", "3"), ("8", "4"))]
    one, other = (open_population(config, Estimate()) for config in settings)
    assert one is other


def test_population_follows_the_seed_unless_it_is_pinned() -> None:
    """Runs of two seeds have other sessions, and other judges; where it is pinned, the same."""
    free = [small_config(seed=seed) for seed in "78"]
    pinned = [small_config(seed=seed, **{"data.population_seed": "7"}) for seed in "78"]
    assert [population_seed(config) for config in (*free, *pinned)] == [7, 8, 7, 7]
    seven, eight = (open_population(config, Estimate()) for config in free)
    ids = [set(each.store.sessions("default")["session_id"]) for each in (seven, eight)]
    assert not ids[0] & ids[1]
    assert [open_population(config, Estimate()) for config in pinned] == [seven, seven]


def test_variety_is_that_of_the_configuration() -> None:
    """Sessions have as many intents, and as often a second matter, as is said; only the model sees that."""
    population = open_population(small_config(**{"data.intents": "3", "data.several": "1"}), Estimate())
    ids = tuple(population.store.sessions("default")["session_id"])
    planted = population.planted("default", ids, ("general_intent",))
    assert len(planted.concepts["general_intent"]) == 3
    assert set(planted.concepts) == {"general_intent"}
    known = population.known_truth("default", ids, ("general_intent", SECOND))
    assert all(SECOND in truth.concepts for truth in known)


def test_other_populations_are_others() -> None:
    """Number, seed, variety, bot and token counter each make another population."""
    same: dict[str, Any] = {"seed": 0, "variety": Variety(), "bot_id": "default", "counter": Estimate()}
    sessions = synthetic_population(5, **same).store.sessions("default")
    assert len(synthetic_population(6, **same).store.sessions("default")) == 6
    others = [
        synthetic_population(5, **{**same, **change}).store.sessions(str(change.get("bot_id", "default")))
        for change in ({"seed": 1}, {"variety": Variety(300)}, {"bot_id": "other"}, {"counter": Characters()})
    ]
    assert not any(other.equals(sessions) for other in others)
    assert synthetic_population(5, **same).store.sessions("default").equals(sessions)


def test_few_populations_are_kept() -> None:
    """A sweep over populations does not hold them all, but those of a campaign of 20 seeds."""
    assert 20 * 1.5 * small_config(**{"data.count": "1000"}).data.count <= KEPT_SESSIONS
    synthetic_population.cache_clear()
    for seed in range(3):
        for count in (1, 9):
            synthetic_population(count, seed=seed, variety=Variety(), bot_id="default", counter=Estimate())
    info = synthetic_population.cache_info()
    assert (info.currsize, info.maxsize) == (30, KEPT_SESSIONS)


def test_truth_of_one_sample_is_not_that_of_another() -> None:
    """What is planted belongs to the sessions and fields asked for; few samples are kept."""
    population = synthetic_population(20, seed=0, variety=Variety(), bot_id="default", counter=Estimate())
    ids = tuple(population.store.sessions("default")["session_id"])
    intents = population.planted("default", ids, ("general_intent",))
    assert set(intents.concepts) == {"general_intent"}
    assert len(population.planted("default", ids, ("general_intent", "transfer_reason")).concepts) == 2
    for size, field in product(range(1, len(ids)), ("general_intent", "transfer_reason")):
        known = population.known_truth("default", ids[:size], (field,))
        assert [truth.session_id for truth in known] == list(ids[:size])
    assert population.known_truth.cache_info().currsize <= SAMPLES
    assert population.planted("default", ids, ("general_intent",)).concepts == intents.concepts


def test_file_is_let_go_with_its_population(tmp_path: Path) -> None:
    """When nobody uses a store any more, its file can be written again at once."""
    Store.open(tmp_path / "sessions.duckdb").close()
    population = Population(Store.open(tmp_path / "sessions.duckdb", read_only=True))
    assert population.known_truth("default", (), ()) == ()
    del population
    Store.open(tmp_path / "sessions.duckdb").close()


@pytest.mark.slow
def test_shared_population_changes_no_run(tmp_path: Path) -> None:
    """Runs at the same time and after others leave what they leave alone."""

    configs = {seed: small_config(baseline="none", resamples="0", seed=seed) for seed in "78"}

    def journal(name: str) -> str:
        folder = tmp_path / name
        build_analysis(configs[name[0]]).run_sync(folder)
        return hashlib.sha256((folder / "calls.jsonl").read_bytes()).hexdigest()

    synthetic_population.cache_clear()
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(journal, ("7a", "8a", "7b", "8b")))
    alone = []
    for name in ("7c", "8c"):
        synthetic_population.cache_clear()
        alone.append(journal(name))
    assert together == alone * 2
