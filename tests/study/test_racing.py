"""Which settings are worth more seeds, and which win."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoanalyze.study.racing import (
    Standing,
    bounds_of,
    frontier_of,
    simultaneous_confidence,
    standings,
    survivors,
)

SEEDS = range(1, 7)


def runs(
    name: str, *, consistency: float = 0.97, precision: float = 0.97, seconds: float = 10, cost: float = 1
) -> pl.DataFrame:
    """Six runs of one setting, a little apart."""
    spread = [0.001 * (seed % 3) for seed in SEEDS]
    return pl.DataFrame(
        {
            "setting": name,
            "seed": list(SEEDS),
            "consistency": [consistency + s for s in spread],
            "precision": [precision + s for s in spread],
            "model_seconds": [seconds + s for s in spread],
            "cost_per_1000": [cost + s for s in spread],
        }
    )


def field(*frames: pl.DataFrame) -> list[Standing]:
    return standings(pl.concat(frames), ["setting"], confidence=0.95)


def names(found: list[Standing]) -> list[str]:
    return [standing.setting[0] for standing in found]


def test_bounds_are_one_sided_students_t() -> None:
    """By hand: mean 2, standard error 1 / sqrt(3), t(0.95, 2) = 2.920."""
    frame = runs("a").head(3).with_columns(consistency=pl.Series([1.0, 2.0, 3.0]))
    (standing,) = field(frame)
    assert standing.low["consistency"] == pytest.approx(2 - 2.9200 / 3**0.5, abs=1e-4)
    assert standing.high["consistency"] == pytest.approx(2 + 2.9200 / 3**0.5, abs=1e-4)


def test_simultaneous_confidence_keeps_luck_small() -> None:
    """Of 20 settings just below the target, one holds it by luck about once in 20 races, not every second."""
    assert simultaneous_confidence(0.95, 1) == pytest.approx(0.95)
    assert simultaneous_confidence(0.95, 20) == pytest.approx(0.9975)
    generator, lucky = np.random.default_rng(6), {0.95: 0, simultaneous_confidence(0.95, 20): 0}
    for _ in range(200):
        races = generator.normal(0.949999, 0.01, (20, 8))
        for confidence in lucky:
            lucky[confidence] += any(bounds_of(values, confidence)[0] >= 0.95 for values in races)
    single, together = (count / 200 for count in lucky.values())
    assert single > 0.5
    assert together < 0.1


def test_a_single_seed_decides_nothing() -> None:
    """One run neither holds the target nor misses it surely."""
    (standing,) = field(runs("a", consistency=0.5).head(1))
    assert not standing.holds(0.95)
    assert not standing.hopeless(0.95)


@pytest.mark.parametrize("bad", [{"consistency": 0.9}, {"precision": 0.9}])
def test_who_surely_misses_the_target_drops_out(bad: dict[str, float]) -> None:
    """Consistency alone is not enough: merging everything would be perfectly consistent."""
    racing = field(runs("good"), runs("bad", seconds=1, cost=0.1, **bad))
    assert names(survivors(racing, target=0.95, confidence=0.95)) == ["good"]
    assert names(frontier_of(racing, target=0.95)) == ["good"]


def test_who_is_slower_and_dearer_drops_out() -> None:
    """But not who is better at one of the two, nor who is beaten only by one that misses the target."""
    racing = field(
        runs("fast", seconds=5, cost=2),
        runs("cheap", seconds=10, cost=1),
        runs("beaten", seconds=11, cost=3),
        runs("wrong", seconds=1, cost=0.5, consistency=0.8),
    )
    assert names(survivors(racing, target=0.95, confidence=0.95)) == ["fast", "cheap"]
    assert names(frontier_of(racing, target=0.95)) == ["cheap", "fast"]


def test_who_costs_the_same_and_is_slower_drops_out() -> None:
    """Better in one is enough where the other is no worse."""
    racing = field(runs("fast", seconds=5), runs("slow", seconds=6), runs("dear", seconds=5, cost=2))
    assert names(survivors(racing, target=0.95, confidence=0.95)) == ["fast"]


def test_equals_stay() -> None:
    """Two settings that do the same are both worth more seeds; one of them stands on the frontier."""
    racing = field(runs("a"), runs("b"))
    assert names(survivors(racing, target=0.95, confidence=0.95)) == ["a", "b"]
    assert len(frontier_of(racing, target=0.95)) == 1


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(1, 20)), min_size=1, max_size=12))
def test_nobody_on_the_frontier_is_beaten_and_everybody_off_it_is(points: list[tuple[int, int]]) -> None:
    """The frontier is what a search through all pairs says, from the cheapest to the fastest."""
    racing = field(*(runs(str(n), seconds=s, cost=c) for n, (s, c) in enumerate(points)))
    best = {(s.mean_seconds, s.mean_cost) for s in frontier_of(racing, target=0.95)}
    everybody = {(s.mean_seconds, s.mean_cost) for s in racing}
    unbeaten = {
        (s, c) for s, c in everybody if not any(a <= s and b <= c and (a, b) != (s, c) for a, b in everybody)
    }
    assert best == unbeaten
    costs = [s.mean_cost for s in frontier_of(racing, target=0.95)]
    assert costs == sorted(costs)


def test_what_nobody_measured_is_not_held() -> None:
    """A setting without a single score is hopeless, not worth all seeds."""
    nothing = runs("a").with_columns(consistency=pl.lit(None, pl.Float64))
    (standing,) = field(nothing)
    assert standing.hopeless(0.95)


def test_settings_are_compared_run_by_run() -> None:
    """A small gain that every seed shows counts, however far seeds lie from each other; one that the seeds
    do not share does not."""
    apart = pl.Series([10.0, 20.0, 30.0, 40.0, 50.0, 60.0])
    slow = runs("slow").with_columns(model_seconds=apart + 1, cost_per_1000=pl.lit(1.0))
    fast = runs("fast").with_columns(model_seconds=apart, cost_per_1000=pl.lit(1.0))
    mixed = runs("mixed").with_columns(model_seconds=apart.reverse(), cost_per_1000=pl.lit(1.0))
    assert names(survivors(field(slow, fast), target=0.95, confidence=0.95)) == ["fast"]
    assert names(survivors(field(slow, mixed), target=0.95, confidence=0.95)) == ["slow", "mixed"]
