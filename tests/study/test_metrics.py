"""The measures: against a brute-force reading of their definitions, and at their extremes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoanalyze.study.intervals import percentile_interval, user_weights
from autoanalyze.study.metrics import (
    FieldScores,
    agreement,
    coded,
    harmonic,
    matched,
    same_label,
    score_field,
    score_run,
    speedup,
)

Row = tuple[str, int, str | None, str]


def frame_of(rows: Sequence[Row]) -> pl.DataFrame:
    """Rows of user, stream, label, concept."""
    return pl.DataFrame(
        [(f"s{i:03}", *row) for i, row in enumerate(rows)],
        schema=["session_id", "user_id", "stream", "label", "concept"],
        orient="row",
    ).cast({"label": pl.String, "stream": pl.Int64})


def scores(rows: Sequence[Row], seed: int = 1, resamples: int = 20) -> FieldScores:
    return score_field(frame_of(rows), seed=seed, resamples=resamples)


rows_strategy = st.lists(
    st.tuples(
        st.sampled_from(["u1", "u2", "u3"]),
        st.integers(0, 3),
        st.none() | st.sampled_from(["A", "B", "C"]),
        st.sampled_from(["x", "y", "z"]),
    ),
    min_size=1,
    max_size=25,
)


def brute_force(rows: Sequence[Row], same_group: Any, same_other: Any, partner: Any) -> float | None:
    """Mean over sessions of the share of partners in the same group that agree on the other side."""
    shares = []
    for i, one in enumerate(rows):
        partners = [
            other for j, other in enumerate(rows) if j != i and same_group(one, other) and partner(one, other)
        ]
        if partners:
            shares.append(sum(same_other(one, other) for other in partners) / len(partners))
    return sum(shares) / len(shares) if shares else None


def same_answer(one: Row, other: Row) -> bool:
    """Null is shared with nobody."""
    return one[2] is not None and one[2] == other[2]


def same_concept(one: Row, other: Row) -> bool:
    return one[3] == other[3]


@settings(deadline=None)
@given(rows_strategy)
def test_scores_agree_with_their_definition(rows: list[Row]) -> None:
    """Consistency, precision and cross-stream consistency are what a pair-by-pair count gives."""
    score = scores(rows, resamples=2)

    def everyone(_one: Row, _other: Row) -> bool:
        return True

    expected = {
        "consistency": brute_force(rows, same_concept, same_answer, everyone),
        "precision": brute_force(rows, same_answer, same_concept, everyone),
        "cross_stream_consistency": brute_force(
            rows, same_concept, same_answer, lambda one, other: one[1] != other[1]
        ),
    }
    for name, value in expected.items():
        measured = getattr(score, name).value
        assert (measured is None) == (value is None)
        assert value is None or measured == pytest.approx(value)


@settings(deadline=None)
@given(rows_strategy, st.randoms(use_true_random=False))
def test_neither_order_nor_names_matter(rows: list[Row], generator: random.Random) -> None:
    """Shuffled rows and renamed labels give the same scores to the last digit.

    The new names sort in another order than the old ones.
    """
    renamed = frame_of(rows).with_columns(pl.col("label").replace({"A": "Z", "B": "Y", "C": "X"}))
    shuffled = renamed.sample(fraction=1, shuffle=True, seed=generator.randrange(1000))
    first = score_field(frame_of(rows), seed=3, resamples=10)
    assert score_field(shuffled, seed=3, resamples=10).as_dict() == first.as_dict()


@settings(deadline=None)
@given(rows_strategy)
def test_every_share_lies_between_nothing_and_all(rows: list[Row]) -> None:
    """Shares are within 0 and 1, intervals around their values' range."""
    for name, estimate in scores(rows).as_dict().items():
        if name.endswith(("count", "concepts", "sessions")) or estimate["value"] is None:
            continue
        assert -1e-9 <= estimate["value"] <= 1 + 1e-9 or name == "ami"
        if estimate["low"] is not None and estimate["high"] is not None:
            assert -1e-9 <= estimate["low"] <= estimate["high"] <= 1 + 1e-9


def two_concepts(labels: str) -> list[Row]:
    return [(f"u{i}", i % 2, label, "xy"[i % 2]) for i, label in enumerate(labels)]


def test_merging_everything_shows_in_the_guard() -> None:
    """One label for all is perfectly consistent, half precise, and merges both concepts."""
    score = scores(two_concepts("AAAAAAAA"))
    assert score.consistency.value == 1
    assert score.precision.value == pytest.approx(3 / 7)
    assert score.merged_concepts.value == 2


def test_splitting_everything_scores_nothing() -> None:
    """A label for each session is no consistency at all, although every label is pure."""
    score = scores(two_concepts("ABCDEFGH"))
    assert score.consistency.value == 0
    assert score.precision.value is None
    assert score.label_count.value == 8


def test_leaving_out_is_not_consistent() -> None:
    """Nulls are shared with nobody: a run that answers nothing scores nothing and covers nothing."""
    score = scores([(f"u{i}", 1, None, "x") for i in range(6)])
    assert (score.consistency.value, score.coverage.value) == (0, 0)


def test_concepts_seen_once_are_counted_apart() -> None:
    """A concept without a second session has nobody to agree with."""
    score = scores([("u1", 1, "A", "x"), ("u2", 1, "A", "x"), ("u3", 1, "B", "y")])
    assert score.consistency.value == 1
    assert score.single_concepts.value == 1


def test_rare_merge_shows_in_the_macro_average() -> None:
    """Two rare concepts under one label hardly move the average over sessions, but that over concepts."""
    rows = [(f"u{i}", 1, "A", "x") for i in range(200)]
    rows += [(f"v{i}", 1, "B", "yz"[i % 2]) for i in range(4)]
    score = scores(rows)
    assert score.precision.value is not None
    assert score.precision_macro.value is not None
    assert score.precision.value > 0.98
    assert score.precision_macro.value < 0.6
    assert score.merged_concepts.value == 2


def test_macro_measures_by_hand() -> None:
    """Four of x, half of them under another name, and two of y: recall is 1/3 in one and 1 in the other."""
    score = scores([(f"u{i}", 1, "AABBCC"[i], "xxxxyy"[i]) for i in range(6)])
    assert score.consistency.value == pytest.approx((4 / 3 + 2) / 6)
    assert score.consistency_macro.value == pytest.approx((1 / 3 + 1) / 2)
    assert score.precision.value == score.precision_macro.value == 1
    assert score.f1.value == pytest.approx(2 * (5 / 9) / (1 + 5 / 9))
    assert score.f1_macro.value == pytest.approx(2 * (2 / 3) / (1 + 2 / 3))


def test_rare_split_shows_in_the_macro_average() -> None:
    """Four of a rare concept under four names cost little over sessions, and half over concepts."""
    rows = [(f"u{i}", 1, "A", "x") for i in range(200)] + [(f"v{i}", 1, "BCDE"[i], "y") for i in range(4)]
    score = scores(rows)
    assert score.consistency.value == pytest.approx(200 / 204)
    assert score.consistency_macro.value == pytest.approx(0.5)


def test_splitting_everything_is_no_missing_f1() -> None:
    """It scores 0 and stays in the means over runs; only where nothing at all is measured there is none."""
    assert scores(two_concepts("ABCDEFGH")).f1.value == 0
    assert scores([("u1", 1, "A", "x"), ("u2", 1, "A", "y")]).f1.value == 0
    assert scores([("u1", 1, "A", "x"), ("u2", 1, "B", "y")]).f1.value is None


@settings(deadline=None)
@given(rows_strategy)
def test_f1_lies_between_its_two_parts(rows: list[Row]) -> None:
    """Micro and macro; where one part is null the other is 0, as its definition says."""
    score = scores(rows, resamples=0)
    for f1, *parts in (
        (score.f1, score.consistency, score.precision),
        (score.f1_macro, score.consistency_macro, score.precision_macro),
    ):
        known = [part.value for part in parts if part.value is not None]
        assert (f1.value is None) == (not known)
        if len(known) == 1:
            assert known == [0]
        elif f1.value is not None:
            assert min(known) - 1e-12 <= f1.value <= sum(known) / 2 + 1e-12


@given(st.floats(0, 1), st.floats(0, 1))
def test_harmonic_mean_is_symmetric_and_below_the_arithmetic(one: float, other: float) -> None:
    """At most the mean of both, and 0 with a 0."""
    found = harmonic(one, other)
    assert found == harmonic(other, one)
    assert found is not None
    assert 0 <= found <= (one + other) / 2 + 1e-12
    assert harmonic(one, 0) == 0


def test_labels_that_tie_are_all_majorities() -> None:
    """Whether concepts count as merged does not hang on how equally frequent labels are named."""
    for shared in ("A", "B"):
        score = scores([("u1", 1, "A", "x"), ("u2", 1, "B", "x"), ("u3", 1, shared, "y")])
        assert score.merged_concepts.value == 2


def test_pairs_need_two_sessions() -> None:
    """Where no two sessions share anything, no pair can be right, wrong or scored."""
    assert scores([("u1", 1, "A", "x"), ("u2", 1, "B", "y")]).pairwise_f1.value is None


@settings(deadline=None)
@given(
    st.lists(st.tuples(rows_strategy.map(lambda rows: rows[0]), st.integers(0, 3)), min_size=1, max_size=15)
)
def test_weights_count_as_copies_that_do_not_meet_each_other(drawn: list[tuple[Row, int]]) -> None:
    """A weighted score is that of a frame with so many copies of each session, none a partner of its own."""
    frame = frame_of([row for row, _ in drawn])
    concepts, labels, cells = coded(frame)
    weights = np.array([float(count) for _, count in drawn])
    copies = [(i, row) for i, (row, count) in enumerate(drawn) for _ in range(count)]
    for groups, same_group, same_other in (
        (concepts, same_concept, same_answer),
        (labels, same_answer, same_concept),
    ):
        shares = []
        for i, one in copies:
            partners = [other for j, other in copies if j != i and same_group(one, other)]
            if partners:
                shares.append(sum(same_other(one, other) for other in partners) / len(partners))
        measured = agreement(cells, groups, weights)
        assert measured == (pytest.approx(sum(shares) / len(shares)) if shares else None)


def test_copies_of_a_session_are_no_partners() -> None:
    """A user drawn three times counts three times, but agrees with itself never."""
    rows = [("u1", 1, "A", "x"), ("u2", 1, "B", "x"), ("u3", 1, "B", "x")]
    concepts, _, cells = coded(frame_of(rows))
    # The first session has two partners of weight 1 and 1, none agreeing; copies of it change nothing.
    weighted = agreement(cells, concepts, np.array([3.0, 1.0, 1.0]))
    assert weighted == pytest.approx((3 * 0 + 1 * (1 / 4) + 1 * (1 / 4)) / 5)


def test_seed_decides_the_interval_and_nothing_else() -> None:
    """The same seed gives the same interval, another seed another, and the value never moves."""
    rows = [(f"u{i % 40}", i % 4, "AB"[i % 7 == 0], "xyz"[i % 3]) for i in range(200)]
    first, again, other = (scores(rows, seed=seed, resamples=200) for seed in (1, 1, 2))
    assert first.as_dict() == again.as_dict()
    assert first.consistency.value == other.consistency.value
    assert first.consistency.low != other.consistency.low


def test_interval_widens_when_users_repeat() -> None:
    """Fifty users with ten like sessions each tell less than five hundred users."""
    generator = random.Random(5)
    wrong = [generator.random() < 0.2 for _ in range(50)]
    clustered: list[Row] = [(f"u{i // 10}", 1, "B" if wrong[i // 10] else "A", "x") for i in range(500)]
    spread: list[Row] = [(f"u{i}", 1, "B" if wrong[i // 10] else "A", "x") for i in range(500)]

    def width(rows: list[Row]) -> float:
        estimate = scores(rows, resamples=200).consistency
        assert estimate.low is not None
        assert estimate.high is not None
        return estimate.high - estimate.low

    assert width(clustered) > 2 * width(spread)


def test_interval_covers_about_as_often_as_it_says() -> None:
    """Of many samples of 120 users, most intervals hold the consistency of the population."""
    generator = np.random.default_rng(3)
    samples, users = 150, pl.Series([f"u{i:03}" for i in range(120)])
    # A user's session carries the right label with .85: two agree with .85 squared and .15 squared.
    truth, covered = 0.85**2 + 0.15**2, 0
    concepts = np.zeros(len(users), dtype=np.intp)
    for sample in range(samples):
        cells = (generator.random(len(users)) < 0.15).astype(np.intp)
        value = agreement(cells, concepts, np.ones(len(users)))
        draws = [agreement(cells, concepts, w) for w in user_weights(users, resamples=200, seed=sample)]
        interval = percentile_interval(value, draws)
        assert interval.low is not None
        assert interval.high is not None
        covered += interval.low <= truth <= interval.high
    assert 0.88 <= covered / samples <= 1.0


def test_run_is_scored_per_field_and_discovery_is_a_stream() -> None:
    """Fields without truth are left out; a discovery session is a partner from another stream."""
    sessions = pl.DataFrame(
        {
            "session_id": ["a", "b"],
            "user_id": ["u", "v"],
            "phase": ["discovery", "parallel"],
            "stream": [1, 1],
            "general_intent": ["A", "A"],
            "other": ["B", "B"],
        }
    )
    truth = pl.DataFrame({"session_id": ["a", "b"], "field": ["general_intent"] * 2, "concept": ["x", "x"]})
    found = score_run(sessions, truth, ["general_intent", "other"], seed=1, resamples=5)
    assert set(found) == {"general_intent"}
    assert found["general_intent"].cross_stream_consistency.value == 1


def test_speedup_is_a_ratio() -> None:
    """Three times as fast is 3; no time at all is an error."""
    assert speedup(300, 100) == 3
    with pytest.raises(ValueError, match="positive"):
        speedup(300, 0)


ANSWERS = st.sampled_from(["A", "B", "C", None])


def labellings(pairs: list[tuple[str | None, str | None]]) -> pl.DataFrame:
    return pl.DataFrame(
        [(f"u{i}", first, second) for i, (first, second) in enumerate(pairs)],
        schema={"user_id": pl.String, "first": pl.String, "second": pl.String},
        orient="row",
    )


def test_same_label_by_hand() -> None:
    """Two of four agree; where neither has a label there is nothing to agree on."""
    pairs = labellings([("A", "A"), ("A", "B"), ("B", None), ("C", "C"), (None, None)])
    assert same_label(pairs, seed=1, resamples=50).value == pytest.approx(0.5)
    assert same_label(labellings([(None, None)]), seed=1).value is None


def test_matching_forgives_other_names_only() -> None:
    """Renamed labels agree fully; a split or a merge costs what it splits or merges."""
    renamed = labellings([("A", "X"), ("A", "X"), ("B", "A"), ("B", "A")])
    assert matched(renamed, seed=1, resamples=20).value == 1
    split = labellings([("A", "X"), ("A", "X"), ("A", "Y"), ("B", "Z")])
    assert matched(split, seed=1, resamples=20).value == pytest.approx(0.75)
    merged = labellings([("A", "X"), ("A", "X"), ("B", "X")])
    assert matched(merged, seed=1, resamples=20).value == pytest.approx(2 / 3)


@given(st.lists(st.tuples(ANSWERS, ANSWERS), min_size=1, max_size=30))
def test_agreement_lies_between_nothing_and_all(pairs: list[tuple[str | None, str | None]]) -> None:
    """Values are shares, matching never lowers agreement, and a labelling agrees with itself."""
    both = labellings(pairs)
    plain, best = same_label(both, seed=1, resamples=5), matched(both, seed=1, resamples=5)
    if plain.value is None or best.value is None:
        assert plain.value is best.value is None
    else:
        assert 0 <= plain.value <= best.value + 1e-12
        assert best.value <= 1
    itself = matched(both.with_columns(second=pl.col("first")), seed=1, resamples=5)
    assert itself.value in (1.0, None)


def test_interval_uses_its_seed() -> None:
    """The same seed gives the same interval, another one another."""
    pairs = labellings([("A", "A" if i % 3 else "B") for i in range(60)])
    one, two, other = (same_label(pairs, seed=seed, resamples=200) for seed in (1, 1, 2))
    assert one == two
    assert one != other
