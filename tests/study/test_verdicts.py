"""What may be said of paired runs: tests against a hand count and brute force, and the worst field."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from autoanalyze.study.intervals import Estimate, paired_interval
from autoanalyze.study.verdicts import equivalent, exceeds, holm, simultaneous, worst_field

PS = st.lists(st.floats(0, 1), min_size=1, max_size=7)
DIFFERENCES = st.lists(st.floats(-0.1, 0.1), min_size=2, max_size=12)


def test_exceeding_a_margin_by_hand() -> None:
    """Mean 3, standard error 1 / sqrt(3): t = (3 - 2) * sqrt(3) with two degrees of freedom."""
    assert exceeds([2, 3, 4], 2) == pytest.approx(stats.t.sf(3**0.5, 2))
    assert exceeds([2, 3, 4], 4) == pytest.approx(stats.t.cdf(3**0.5, 2))


def test_equivalence_needs_both_sides() -> None:
    """Within the margins it is the test against the nearer one; beyond either it is lost."""
    values = [-0.002, 0.001, 0.004, 0.001]
    error = stats.sem(values)
    assert equivalent(values, 0.01) == pytest.approx(stats.t.sf((0.01 - 0.001) / error, 3))
    assert equivalent([0.011, 0.012, 0.013], 0.01) > 0.9
    assert equivalent([-0.011, -0.012, -0.013], 0.01) > 0.9


def test_too_few_pairs_show_nothing() -> None:
    """Nor does one pair that is far off, or exactly equal."""
    assert exceeds([], 0) == exceeds([5.0], 0) == equivalent([], 1) == equivalent([0.0], 1) == 1.0


def test_pairs_that_agree_leave_no_doubt() -> None:
    """A difference without spread is what it is."""
    assert (exceeds([0.02] * 3, 0.01), exceeds([0.01] * 3, 0.01)) == (0.0, 1.0)
    assert (equivalent([0.0] * 3, 0.01), equivalent([0.01] * 3, 0.01)) == (0.0, 1.0)


@given(DIFFERENCES, st.floats(0.001, 0.05))
def test_equivalence_is_a_90_percent_interval_within_the_margins(values: list[float], margin: float) -> None:
    """As two one-sided tests of 5 % are, and the same seen from the other side."""
    p, found = equivalent(values, margin), paired_interval(values, 0.9)
    assert 0 <= p <= 1
    assert p == pytest.approx(equivalent([-value for value in values], margin))
    assert found.low is not None
    assert found.high is not None
    if abs(p - 0.05) > 1e-9:
        assert (p < 0.05) == (-margin < found.low and found.high < margin)


def closed(p: list[float]) -> list[float]:
    """Holm as the closure of Bonferroni: the greatest p of all sets of tests that a test is in."""
    sets = [s for size in range(1, len(p) + 1) for s in combinations(range(len(p)), size)]
    return [max(min(1.0, len(s) * min(p[j] for j in s)) for s in sets if i in s) for i in range(len(p))]


@settings(deadline=None)
@given(PS)
def test_holm_is_the_closure_of_bonferroni(p: list[float]) -> None:
    """Against brute force over all sets of tests, ties and zeros too."""
    assert holm(p) == pytest.approx(closed(p))


def test_holm_by_hand() -> None:
    """Three tests: 3 * .01, then 2 * .02, then at least as much as before; of none there is none."""
    assert holm([0.03, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert len(holm([])) == 0


def test_simultaneous_intervals_are_bonferronis() -> None:
    """Of five, each at 99 %; of one, its own."""
    values = [0.1, 0.3, 0.2]
    found = simultaneous(dict.fromkeys("abcde", values))
    assert found["a"].high == pytest.approx(0.2 + stats.sem(values) * stats.t.ppf(0.995, 2))
    assert simultaneous({"a": values})["a"] == paired_interval(values)
    assert simultaneous({}) == {}


def test_simultaneous_intervals_hold_all_together() -> None:
    """Of many samples of eight means, all are held about 95 times in 100, where single ones are not."""
    generator, together, alone = np.random.default_rng(4), 0, 0
    for _ in range(400):
        samples = {str(n): row.tolist() for n, row in enumerate(generator.normal(0, 1, (8, 10)))}
        together += all(
            e.low is not None and e.low <= 0 <= (e.high or 0) for e in simultaneous(samples).values()
        )
        alone += all(
            e.low is not None and e.low <= 0 <= (e.high or 0) for e in map(paired_interval, samples.values())
        )
    assert together / 400 >= 0.93
    assert alone / 400 < 0.8


def runs(case: str, field: str, values: dict[int, float | None], judge: str = "a") -> pl.DataFrame:
    return pl.DataFrame(
        {"case": case, "field": field, "judge": judge, "seed": list(values), "f1": list(values.values())},
        schema_overrides={"f1": pl.Float64},
    )


RUNS = pl.concat(
    [
        runs("default", "intent", {1: 0.96, 2: 0.95, 3: 0.97}),
        runs("sequential", "intent", {3: 0.97, 1: 0.96, 2: 0.951}),
        runs("default", "reason", {1: 0.90, 2: 0.92, 3: 0.91, 9: 0.1}),
        runs("sequential", "reason", {1: 0.95, 2: 0.94, 3: 0.95, 8: 0.9}),
    ]
)
DEFAULT, SEQUENTIAL = pl.col("case") == "default", pl.col("case") == "sequential"


def test_worst_field_by_hand() -> None:
    """Reasons lose .05, .02 and .04 against the run of the same seed; a run without partner is left out."""
    found = worst_field(RUNS, DEFAULT, SEQUENTIAL)
    assert found is not None
    assert (found.worst.field, found.worst.pairs) == ("reason", 3)
    assert found.worst.difference.value == pytest.approx(-0.11 / 3)
    own = paired_interval([0.90 - 0.95, 0.92 - 0.94, 0.91 - 0.95])
    assert found.worst.difference == own
    assert found.worst.simultaneous.low is not None
    assert own.low is not None
    assert found.worst.simultaneous.low < own.low
    assert [one.field for one in found.fields] == ["intent", "reason"]


def test_equivalent_only_in_every_field() -> None:
    """One field that is the same does not speak for another."""
    found = worst_field(RUNS, DEFAULT, SEQUENTIAL)
    intents = worst_field(RUNS.filter(field="intent"), DEFAULT, SEQUENTIAL)
    assert found is not None
    assert intents is not None
    assert intents.p < 0.05 < found.p == max(one.p for one in found.fields)


def test_a_field_that_was_not_run_is_not_equivalent() -> None:
    """What nobody compared is not shown, and is no worst field."""
    more = pl.concat([RUNS.filter(field="intent"), runs("default", "reason", {1: 0.9, 2: 0.9})])
    found = worst_field(more, DEFAULT, SEQUENTIAL)
    assert found is not None
    assert (found.p, found.worst.field) == (1.0, "intent")
    assert found.fields[1].difference == Estimate(None)
    assert worst_field(RUNS.clear(), DEFAULT, SEQUENTIAL) is None


def test_runs_are_paired_by_all_that_varies() -> None:
    """A replicate is a seed and a judge; pairing by seed alone would pair a run with several."""
    both = pl.concat([RUNS, RUNS.with_columns(pl.col("f1") - 0.3, judge=pl.lit("b"))])
    found = worst_field(both, DEFAULT, SEQUENTIAL, paired_by=("seed", "judge"))
    assert found is not None
    assert found.worst.pairs == 6
    with pytest.raises(pl.exceptions.ComputeError):
        worst_field(both, DEFAULT, SEQUENTIAL)


@given(st.permutations(range(len(RUNS))))
def test_worst_field_does_not_depend_on_the_order_of_runs(order: list[int]) -> None:
    """Whichever run ended first."""
    assert worst_field(RUNS[order], DEFAULT, SEQUENTIAL) == worst_field(RUNS, DEFAULT, SEQUENTIAL)
