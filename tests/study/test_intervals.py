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
    bounded_interval,
    difference,
    estimate,
    estimates,
    interval_of,
    paired_interval,
    percentile_interval,
    share_interval,
    user_weights,
    with_speedups,
)
from autoanalyze.study.measures import MEASURES


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


SHARES = st.lists(st.floats(0, 1) | st.just(1.0) | st.just(0.0), min_size=2, max_size=20)


@given(SHARES)
def test_intervals_of_shares_stay_between_nothing_and_all(values: list[float]) -> None:
    """Around their mean, which is that of the values, whatever they are."""
    found = bounded_interval(values)
    assert found.value == paired_interval(values).value
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= found.value <= found.high <= 1


@given(SHARES)
def test_intervals_of_shares_are_the_same_seen_from_the_other_side(values: list[float]) -> None:
    """What a share has to its right, its complement has to its left."""
    here, there = bounded_interval(values), bounded_interval([1 - value for value in values])
    assert here.low is not None
    assert there.high is not None
    assert here.low == pytest.approx(1 - there.high, abs=1e-6)


def test_interval_of_a_share_by_hand() -> None:
    """Mean .8, standard error .1, t(.975, 3) = 3.182: logit 1.386 -+ 3.182 * .1 / .16."""
    found = bounded_interval([0.6, 0.7, 0.9, 1.0])
    error = np.std([0.6, 0.7, 0.9, 1.0], ddof=1) / 2
    ends = [np.log(4) + sign * 3.182446 * error / 0.16 for sign in (-1, 1)]
    assert (found.low, found.high) == pytest.approx(tuple(1 / (1 + np.exp(-end)) for end in ends), abs=1e-6)


def test_narrow_interval_of_a_share_is_students_t() -> None:
    """Far from both ends and with little spread nothing changes."""
    values = np.random.default_rng(2).normal(0.5, 0.004, 12).tolist()
    here, there = bounded_interval(values), paired_interval(values)
    assert (here.low, here.high) == pytest.approx((there.low, there.high), abs=1e-5)


def test_intervals_that_fall_back() -> None:
    """Equal values have no width, one has no interval, and what leaves 0 to 1 is no share."""
    assert bounded_interval([1.0, 1.0, 1.0]) == Estimate(1.0, 1.0, 1.0)
    assert bounded_interval([0.0, 0.0]) == Estimate(0.0, 0.0, 0.0)
    assert bounded_interval([0.3]) == Estimate(0.3)
    assert bounded_interval([]) == Estimate(None)
    assert bounded_interval([0.5, 1.2]) == paired_interval([0.5, 1.2])


@pytest.mark.parametrize("seeds", [3, 5, 20])
def test_interval_of_a_share_covers_where_students_t_does_not(seeds: int) -> None:
    """Of many skewed samples near 1, it holds the true mean about 95 times in 100."""
    generator, mean, spread = np.random.default_rng(1), 0.9, 0.1
    size = mean * (1 - mean) / spread**2 - 1
    covered = np.zeros(2)
    for _ in range(1000):
        values = generator.beta(mean * size, (1 - mean) * size, seeds).tolist()
        for number, found in enumerate((bounded_interval(values), paired_interval(values))):
            covered[number] += found.low is not None and found.low <= mean <= (found.high or 0)
    assert covered[0] / 1000 == pytest.approx(0.95, abs=0.02)
    assert covered[1] < covered[0]


def test_single_runs_are_counted_as_a_share() -> None:
    """Wilson's interval of 5 in 20 (Newcombe 1998), also where all runs are alike."""
    found = share_interval([1.0] * 5 + [0.0] * 15)
    assert (found.value, found.low, found.high) == pytest.approx((0.25, 0.1119, 0.4687), abs=1e-4)
    all_of_them = share_interval([1.0] * 10)
    assert all_of_them.low == pytest.approx(0.7225, abs=1e-4)
    assert (all_of_them.value, all_of_them.high) == (1, 1)
    assert share_interval([]) == Estimate(None)


def test_each_measure_has_the_interval_of_its_kind() -> None:
    """Shares stay in their range; times, counts and what compares runs have Student's t."""
    values = [0.99, 0.9, 1.0]
    assert interval_of("consistency", values) == interval_of("unresolved", values) == bounded_interval(values)
    for measure in ("model_seconds", "time_saved", "consistency_ratio", "per_stream", "ami", "unheard_of"):
        assert interval_of(measure, values) == paired_interval(values)
    assert interval_of("meets_target", [1.0, 0.0]) == share_interval([1.0, 0.0])
    assert [name for name, measure in MEASURES.items() if measure.yes_no] == ["meets_target"]


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


GRID = pl.DataFrame(
    [
        # name, streams, batch, count, seed, seconds
        ("one", 1, 5, 100, 1, 100.0),
        ("one", 1, 5, 100, 2, 120.0),
        ("eight", 8, 5, 100, 1, 20.0),
        ("eight", 8, 5, 100, 2, 20.0),
        ("eight", 8, 10, 100, 1, 16.0),
        ("sequence", 1, 5, 100, 1, 90.0),
        ("sequence", 1, 5, 100, 2, 50.0),
        ("sequence", 1, 20, 100, 1, 60.0),
        ("sequence", 1, 20, 100, 2, 70.0),
        ("sequence", 1, 20, 900, 1, 500.0),
        ("eight", 8, 5, 900, 1, 100.0),
    ],
    schema=["case", "parallel.streams", "batch_size", "data.count", "seed", "model_seconds"],
    orient="row",
).with_columns(field=pl.lit("intent"))


def sped_up(frame: pl.DataFrame) -> pl.DataFrame:
    return with_speedups(
        frame,
        one_stream=pl.col("case") == "one",
        sequential=pl.col("case") == "sequence",
        by=["data.count"],
        same=["batch_size"],
    )


def test_speedup_over_one_stream_and_over_the_best_sequence_by_hand() -> None:
    """Each against the run of its own seed and number of sessions: with one stream and calls of the same
    size, and in a sequence of the calls that are fastest there on average (65 s with 20, 70 s with 5)."""
    found = sped_up(GRID).filter(case="eight")
    assert found["parallel_speedup"].to_list() == [5.0, 6.0, None, None]
    assert found["per_stream"].to_list() == [5 / 8, 6 / 8, None, None]
    assert found["speedup_best_sequential"].to_list() == [3.0, 3.5, 60 / 16, 5.0]
    one = sped_up(GRID).filter(case="one")
    assert one["parallel_speedup"].to_list() == one["per_stream"].to_list() == [1.0, 1.0]
    assert sped_up(GRID).select(GRID.columns).equals(GRID)


@given(st.permutations(range(len(GRID))))
def test_speedups_do_not_depend_on_the_order_of_runs(order: list[int]) -> None:
    """Whichever point ended first."""
    assert sped_up(GRID[order]).equals(sped_up(GRID)[order])


def test_without_partners_there_are_no_speedups() -> None:
    """Nothing is made up; a number of streams that nobody swept is not needed for the other two."""
    bare = GRID.drop("parallel.streams", "batch_size")
    none = pl.lit(value=False)
    found = with_speedups(bare, one_stream=none, sequential=none, by=[])
    for name in ("parallel_speedup", "per_stream", "speedup_best_sequential"):
        assert found[name].null_count() == len(GRID)
