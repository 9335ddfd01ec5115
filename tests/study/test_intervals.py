"""Intervals over users and over seeds, and settings compared over paired seeds."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoanalyze.study.intervals import (
    Estimate,
    against_baseline,
    difference,
    estimate,
    estimates,
    paired_interval,
    percentile_interval,
    user_weights,
)


def test_users_are_drawn_whole() -> None:
    """In every draw, all sessions of a user count equally often, and users add up to their number."""
    users = pl.Series(["a", "a", "b", "c", "c", "c"])
    for weight in user_weights(users, resamples=50, seed=1):
        assert len(set(weight[:2])) == len(set(weight[3:])) == 1
        assert weight[0] + weight[2] + weight[3] == 3


def test_paired_interval_covers_as_often_as_it_says() -> None:
    """Of many samples of 20 seeds, the interval holds the true mean about 95 times in 100."""
    generator = np.random.default_rng(0)
    intervals = [paired_interval(generator.normal(5, 2, 20).tolist()) for _ in range(1000)]
    covered = sum(i.low is not None and i.high is not None and i.low <= 5 <= i.high for i in intervals)
    assert covered / 1000 == pytest.approx(0.95, abs=0.025)


def test_nothing_gives_no_interval() -> None:
    """Without values there is no estimate, with one there is no interval."""
    assert paired_interval([]) == Estimate(None)
    assert paired_interval([3.0]) == Estimate(3.0)
    assert percentile_interval(None, [1.0]) == Estimate(None)
    assert percentile_interval(1.0, [None]) == Estimate(1.0)


def results(**columns: object) -> pl.DataFrame:
    return pl.DataFrame({"field": "general_intent", **columns})


TWO_SIZES = results(
    case=["fast", "fast", "slow", "slow", "fast", "slow"],
    size=[10, 10, 10, 10, 20, 20],
    seed=[1, 2, 2, 1, 1, 1],
    model_seconds=[10.0, 20.0, 80.0, 60.0, 5.0, 50.0],
    consistency=[0.9, 0.8, 1.0, 1.0, 0.5, 1.0],
    cost_per_1000=[1.0, 1.0, 2.0, 2.0, 3.0, 3.0],
)


def test_runs_are_compared_with_the_baseline_of_their_own_seed_and_size() -> None:
    """Never with another seed's or another size's, wherever its row stands."""
    compared = against_baseline(TWO_SIZES, "slow", ["size"])
    fast = compared.filter(case="fast")
    assert fast["speedup"].to_list() == [6.0, 4.0, 10.0]
    assert fast["time_saved"].to_list() == pytest.approx([5 / 6, 3 / 4, 9 / 10])
    assert fast["consistency_ratio"].to_list() == [0.9, 0.8, 0.5]
    assert fast["cost_ratio"].to_list() == [0.5, 0.5, 1.0]
    assert compared.filter(case="slow")["speedup"].to_list() == [1.0, 1.0, 1.0]
    assert compared.drop("speedup", "time_saved", "consistency_ratio", "cost_ratio").equals(TWO_SIZES)


def test_a_run_without_a_baseline_has_no_speedup() -> None:
    """Nothing is made up for it."""
    alone = TWO_SIZES.filter(~((pl.col("case") == "slow") & (pl.col("seed") == 2)))
    compared = against_baseline(alone, "slow", ["size"]).filter(case="fast", seed=2)
    assert compared["speedup"].to_list() == [None]


@given(st.permutations(range(6)))
def test_order_of_rows_changes_no_estimate(order: list[int]) -> None:
    """Points end in any order; their means do not depend on it."""
    shuffled = TWO_SIZES[order]
    for frame in (TWO_SIZES, shuffled):
        fast = against_baseline(frame, "slow", ["size"]).filter(case="fast")
        assert estimate(fast, "speedup").value == pytest.approx(20 / 3)


def test_estimates_have_a_row_per_setting_and_measure() -> None:
    """In order of appearance, with the number of seeds behind each; what nobody measured is null."""
    found = estimates(TWO_SIZES, ["case", "size"], ["consistency", "unheard_of"])
    assert found.select("case", "size", "measure").rows()[0] == ("fast", 10, "consistency")
    assert found.filter(measure="unheard_of")["value"].null_count() == 4
    fast = found.row(0, named=True)
    assert (fast["value"], fast["seeds"]) == (pytest.approx(0.85), 2)
    assert fast["low"] < 0.85 < fast["high"]


def test_difference_pairs_runs_by_seed() -> None:
    """A difference that all seeds share is seen, however far seeds lie from each other."""
    one = results(seed=[1, 2, 3], consistency=[0.1, 0.5, 0.9])
    other = results(seed=[3, 1, 2], consistency=[0.8, 0.0, 0.4])
    found = difference(one, other, "consistency")
    assert found.value == pytest.approx(0.1)
    assert found.low == pytest.approx(0.1)


def test_each_baseline_counts_once() -> None:
    """Several runs of the baseline with one key are one; those that differ in a setting are paired by it."""
    twice = pl.concat([TWO_SIZES, TWO_SIZES.filter(case="slow")])
    assert len(against_baseline(twice, "slow", ["size"])) == len(twice)
    forms = pl.concat(
        [
            TWO_SIZES.with_columns(reply=pl.lit("numbers")),
            TWO_SIZES.with_columns(pl.col("model_seconds") * 2, reply=pl.lit("labels")),
        ]
    )
    compared = against_baseline(forms, "slow", ["size"], ["case", "reply"])
    assert compared.filter(case="fast")["speedup"].to_list() == [6.0, 4.0, 10.0] * 2
