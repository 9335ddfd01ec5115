"""Agreement between two labellings of the same sessions."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoanalyze.study.metrics import matched, same_label

LABELS = st.sampled_from(["A", "B", "C", None])


def frame(pairs: list[tuple[str | None, str | None]]) -> pl.DataFrame:
    return pl.DataFrame(
        [(f"u{i}", first, second) for i, (first, second) in enumerate(pairs)],
        schema={"user_id": pl.String, "first": pl.String, "second": pl.String},
        orient="row",
    )


def test_same_label_by_hand() -> None:
    """Two of four agree; where neither has a label there is nothing to agree on."""
    pairs = frame([("A", "A"), ("A", "B"), ("B", None), ("C", "C"), (None, None)])
    assert same_label(pairs, seed=1, resamples=50).value == pytest.approx(0.5)
    assert same_label(frame([(None, None)]), seed=1).value is None


def test_matching_forgives_other_names_only() -> None:
    """Renamed labels agree fully; a split or a merge costs what it splits or merges."""
    renamed = frame([("A", "X"), ("A", "X"), ("B", "A"), ("B", "A")])
    assert matched(renamed, seed=1, resamples=20).value == 1
    split = frame([("A", "X"), ("A", "X"), ("A", "Y"), ("B", "Z")])
    assert matched(split, seed=1, resamples=20).value == pytest.approx(0.75)
    merged = frame([("A", "X"), ("A", "X"), ("B", "X")])
    assert matched(merged, seed=1, resamples=20).value == pytest.approx(2 / 3)


@given(st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=30))
def test_agreement_lies_between_nothing_and_all(pairs: list[tuple[str | None, str | None]]) -> None:
    """Values are shares, matching never lowers agreement, and a labelling agrees with itself."""
    both = frame(pairs)
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
    pairs = frame([("A", "A" if i % 3 else "B") for i in range(60)])
    one, two, other = (same_label(pairs, seed=seed, resamples=200) for seed in (1, 1, 2))
    assert one == two
    assert one != other
