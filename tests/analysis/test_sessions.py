"""Sessions that many runs of one process share."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import pytest
from fakes import small_config

from autoanalyze.analysis.build import build_analysis
from autoanalyze.analysis.sessions import SAMPLES, Population, open_population, synthetic_population
from autoanalyze.data.store import Store
from autoanalyze.llm.tokens import Estimate


class Characters:
    """Counts a token per character."""

    name = "characters"

    def count(self, text: str) -> int:
        return len(text)


def test_population_is_invented_once() -> None:
    """Runs that want the same sessions share one store, whatever their settings are."""
    settings = [small_config(seed=seed, batch_size=size) for seed, size in (("7", "3"), ("8", "4"))]
    one, other = (open_population(config, Estimate()) for config in settings)
    assert one is other


def test_other_populations_are_others() -> None:
    """Number, seed, bot and token counter each make another population."""
    same = {"seed": 0, "bot_id": "default", "counter": Estimate()}
    sessions = synthetic_population(5, **same).store.sessions("default")
    assert len(synthetic_population(6, **same).store.sessions("default")) == 6
    others = [
        synthetic_population(5, **{**same, **change}).store.sessions(str(change.get("bot_id", "default")))
        for change in ({"seed": 1}, {"bot_id": "other"}, {"counter": Characters()})
    ]
    assert not any(other.equals(sessions) for other in others)
    assert synthetic_population(5, **same).store.sessions("default").equals(sessions)


def test_few_populations_are_kept() -> None:
    """A sweep over populations does not hold them all."""
    for count in range(1, 10):
        synthetic_population(count, seed=0, bot_id="default", counter=Estimate())
    assert synthetic_population.cache_info().currsize <= 2


def test_truth_of_one_sample_is_not_that_of_another() -> None:
    """What is planted belongs to the sessions and fields asked for; few samples are kept."""
    population = synthetic_population(20, seed=0, bot_id="default", counter=Estimate())
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
