"""How alike streams name things, without truth: by hand, at the extremes, and against scipy."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from autoanalyze.study.code_sets import CodeSets, code_sets, distance, stream_code_sets

LABELS = st.dictionaries(st.sampled_from("ABCDE"), st.integers(1, 9), min_size=1)
STREAMS = st.dictionaries(st.integers(1, 9), LABELS, min_size=2, max_size=6)


def test_measures_by_hand() -> None:
    """Stream 1 has A and B, stream 2 A and C, stream 3 A: A weighs 3, B and C 1, all together 5.

    Others of stream 1 have A twice and C once: it has two of these three.
    """
    found = code_sets({1: {"A": 2, "B": 2}, 2: {"A": 1, "C": 1}, 3: {"A": 2}})
    assert found.coverage == pytest.approx((4 / 5 + 4 / 5 + 3 / 5) / 3)
    assert found.overlap == pytest.approx((2 / 3 + 2 / 3 + 2 / 4) / 3)
    assert found.novelty == pytest.approx((1 / 2 + 1 / 2 + 0) / 3)
    everybody = [5 / 8, 2 / 8, 1 / 8]
    each = ([1 / 2, 1 / 2, 0], [1 / 2, 0, 1 / 2], [1, 0, 0])
    apart = [jensenshannon(one, everybody, base=2) for one in each]
    assert found.divergence == pytest.approx(np.mean(apart))


@given(LABELS, st.integers(2, 6), st.integers(1, 4))
def test_streams_that_do_the_same_are_one(labels: dict[str, int], streams: int, times: int) -> None:
    """Also where one has more sessions than the other."""
    counts = {
        n: {name: count * (times if n == 0 else 1) for name, count in labels.items()} for n in range(streams)
    }
    assert code_sets(counts).as_dict() == {"coverage": 1, "overlap": 1, "novelty": 0, "divergence": 0}


@given(st.lists(st.integers(1, 9), min_size=2, max_size=6))
def test_streams_with_nothing_in_common(counts: list[int]) -> None:
    """Each has one label of its own: nothing overlaps, all is new, and the space is covered in parts."""
    found = code_sets({n: {f"L{n}": count} for n, count in enumerate(counts)})
    assert found.coverage == pytest.approx(1 / len(counts))
    assert (found.overlap, found.novelty) == (0, 1)
    assert found.divergence is not None
    assert found.divergence > 0


@given(STREAMS)
def test_every_measure_lies_between_nothing_and_all(counts: dict[int, dict[str, int]]) -> None:
    """And hangs neither on the numbers of streams nor on the names of labels."""
    found = code_sets(counts)
    for value in found.as_dict().values():
        assert value is not None
        assert 0 <= value <= 1
    other = {99 - n: {f"z{9 - ord(k)}": v for k, v in labels.items()} for n, labels in counts.items()}
    assert code_sets(other).as_dict() == pytest.approx(found.as_dict(), abs=2e-6)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=8))
def test_distance_is_scipys(pairs: list[tuple[int, int]]) -> None:
    """The same formula, without a NaN where rounding leaves less than nothing."""
    one, other = (np.array(side, dtype=float) for side in zip(*pairs, strict=True))
    if one.sum() and other.sum():
        assert distance(one, other) == pytest.approx(
            np.nan_to_num(jensenshannon(one, other, base=2)), abs=1e-6
        )
        assert distance(one, other) == distance(other, one)


def test_fewer_than_two_streams_have_nothing_to_compare() -> None:
    """Nor has a stream that gave no label."""
    assert code_sets({1: {"A": 3}}) == code_sets({}) == code_sets({1: {"A": 3}, 2: {}}) == CodeSets()


def test_discovery_and_missing_labels_are_no_stream() -> None:
    """Of a run's table, per field; the ramp belongs to the streams."""
    sessions = pl.DataFrame(
        {
            "phase": ["discovery", "ramp", "parallel", "parallel", "parallel"],
            "stream": [0, 1, 1, 2, 2],
            "what": ["X", "A", "A", "A", None],
            "why": ["X", "A", None, None, None],
        }
    )
    found = stream_code_sets(sessions, ["what", "why"])
    assert found["what"] == CodeSets(1.0, 1.0, 0.0, 0.0)
    assert found["why"] == CodeSets()
