"""Efficiency, use of limits and collisions, on runs small enough to count by hand."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import pytest

from autoanalyze.study.efficiency import collisions, efficiency, limit_use, rate_limit_seconds


def calls(*rows: tuple[float, float, int]) -> pl.DataFrame:
    frame = pl.DataFrame(rows, schema=["start", "end", "prompt"], orient="row")
    return frame.with_columns(completion=pl.lit(0, pl.Int64), prompt=pl.col("prompt").cast(pl.Int64))


def test_efficiency_is_ideal_over_real() -> None:
    """Two streams, 30 seconds of calls, 20 seconds of run: 15 over 20."""
    frame = calls((0, 10, 1), (0, 20, 1))
    assert efficiency(frame, streams=2, model_seconds=20) == pytest.approx(0.75)
    assert efficiency(frame.clear(), streams=2, model_seconds=20) is None


def test_rate_limit_can_be_the_ideal() -> None:
    """3,000 tokens at 1,000 a minute need two minutes beyond the first allowance."""
    assert rate_limit_seconds(3000, 9, tokens_per_minute=1000, requests_per_minute=None) == 120
    assert rate_limit_seconds(3000, 9, tokens_per_minute=None, requests_per_minute=3) == 120
    assert rate_limit_seconds(3000, 9, tokens_per_minute=None, requests_per_minute=None) is None
    frame = calls((0, 1, 3000))
    assert efficiency(frame, streams=1, model_seconds=150, tokens_per_minute=1000) == pytest.approx(0.8)


def test_limit_use_leaves_out_the_first_minute() -> None:
    """1,500 tokens in the two minutes after the first, of 2,000 allowed."""
    frame = calls((0, 5, 9999), (60, 65, 500), (120, 125, 1000), (180, 181, 777))
    assert limit_use(frame, 1000) == pytest.approx(0.75)
    assert limit_use(calls((0, 5, 100)), 1000) is None


def scored(rows: Sequence[tuple[str, int, int, str | None]], spans: dict[int, tuple[float, float]]) -> int:
    """Collisions of sessions (concept, round, stream, label); all in one field."""
    sessions = pl.DataFrame(
        [(f"s{i}", r, stream, label) for i, (_, r, stream, label) in enumerate(rows)],
        schema=["session_id", "round", "stream", "intent_first"],
        orient="row",
    )
    truth = pl.DataFrame(
        [(f"s{i}", "intent", concept) for i, (concept, *_) in enumerate(rows)],
        schema=["session_id", "field", "concept"],
        orient="row",
    )
    rounds = pl.DataFrame(
        [(number, start, end) for number, (start, end) in spans.items()],
        schema=["round", "start", "end"],
        orient="row",
    )
    return collisions(sessions, rounds, truth, ["intent"])["intent"]


def test_two_streams_that_name_one_thing_at_once_collide() -> None:
    """In one round, two streams, two names for one concept: one collision."""
    assert scored([("c", 1, 1, "A"), ("c", 1, 2, "B")], {1: (0, 9)}) == 1


def test_two_calls_that_cross_several_names_collide_once() -> None:
    """Each call names the concept A and B: a pair of calls is a pair, whichever name is looked at first."""
    assert scored([("c", 1, 1, "A"), ("c", 1, 1, "B"), ("c", 1, 2, "A"), ("c", 1, 2, "B")], {1: (0, 9)}) == 1


@pytest.mark.parametrize(
    "rows",
    [
        [("c", 1, 1, "A"), ("c", 1, 2, "A")],  # the same name
        [("c", 1, 1, "A"), ("c", 1, 1, "B")],  # the same stream
        [("c", 1, 1, "A"), ("d", 1, 2, "B")],  # another concept
        [("c", 1, 1, "A"), ("c", 2, 2, "B")],  # one after the other
        [("c", 0, 0, "A"), ("c", 1, 1, "A"), ("c", 1, 2, "A")],  # known from discovery
        [("c", 0, 0, "B"), ("c", 1, 1, "A"), ("c", 1, 2, "B")],  # one of them known
        [("c", 1, 1, "A"), ("c", 1, 2, None)],
    ],
)
def test_everything_else_is_no_collision(rows: list[tuple[str, int, int, str | None]]) -> None:
    """Same name, same stream, other concepts, known labels, and calls that do not overlap."""
    assert scored(rows, {1: (0, 5), 2: (5, 9)}) == 0


def test_overlap_in_time_is_enough_without_rounds() -> None:
    """Calls of different numbers collide if they overlap; a third that saw both names does not."""
    rows = [("c", 1, 1, "A"), ("c", 2, 2, "B"), ("c", 3, 1, "B")]
    assert scored(rows, {1: (0, 4), 2: (3, 7), 3: (8, 9)}) == 1
