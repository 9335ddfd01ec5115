"""How well streams were used, and how often they got into each other's way. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

MINUTE = 60.0
MOST_STREAMS = 1_000
"""More than a configuration may have, discovery included."""


def rate_limit_seconds(
    tokens: int, calls: int, *, tokens_per_minute: int | None, requests_per_minute: int | None
) -> float | None:
    """The least time in which the limits let so much through; null without limits.

    The first minute's allowance is there at once, and refills continuously.
    """
    bounds = []
    if tokens_per_minute:
        bounds.append(MINUTE * max(0.0, tokens / tokens_per_minute - 1))
    if requests_per_minute:
        bounds.append(MINUTE * max(0.0, calls / requests_per_minute - 1))
    return max(bounds) if bounds else None


def efficiency(
    calls: pl.DataFrame,
    *,
    streams: int,
    model_seconds: float,
    tokens_per_minute: int | None = None,
    requests_per_minute: int | None = None,
) -> float | None:
    """Ideal time over the time that a run took, 0 to 1; null for a run that took none.

    Ideal is what all calls took together, shared evenly by `streams`, or what the rate limits
    allow, whichever is longer. `calls`: a row per answered call with start, end, prompt, completion.
    """
    if model_seconds <= 0 or calls.is_empty():
        return None
    working = float((calls["end"] - calls["start"]).sum()) / streams
    tokens = int(calls.select(pl.col("prompt") + pl.col("completion")).sum().item())
    bound = rate_limit_seconds(
        tokens, len(calls), tokens_per_minute=tokens_per_minute, requests_per_minute=requests_per_minute
    )
    return min(1.0, max(working, bound or 0.0) / model_seconds)


def limit_use(calls: pl.DataFrame, tokens_per_minute: int) -> float | None:
    """The share of the tokens per minute that was used after the first minute, to the last call's start.

    The first minute does not count, because its allowance is there at once. Null for shorter runs.
    """
    later = calls.filter(pl.col("start") >= MINUTE)
    lasted = float(later["start"].max() or 0.0) - MINUTE  # type: ignore[arg-type]  # times, not just any column
    if lasted <= 0:
        return None
    used = later.filter(pl.col("start") < pl.col("start").max())
    tokens = int(used.select(pl.col("prompt") + pl.col("completion")).sum().item())
    return tokens / (tokens_per_minute * lasted / MINUTE)


def collisions(
    sessions: pl.DataFrame, rounds: pl.DataFrame, truth: pl.DataFrame, field_names: Sequence[str]
) -> dict[str, int]:
    """Per field, how often two streams that worked at the same time named one new thing differently.

    Counted are pairs of calls (of stream's shares, where there are rounds) that overlap in time, belong
    to different streams, and each gave the sessions of one concept a label that nobody could have
    known when it began; the two labels differ. `sessions`, `rounds` and `truth` are a run's tables.
    """
    times = rounds.select("round", "start", "end")
    counted = {}
    for name in field_names:
        known = truth.filter(pl.col("field") == name).select("session_id", "concept")
        given = (
            sessions.select("session_id", "round", "stream", pl.col(f"{name}_first").alias("label"))
            .drop_nulls("label")
            .join(known, on="session_id")
        )
        # Discovery's sessions bear round 0: what it found was known to every call after it.
        early = given.filter(pl.col("round") == 0)["label"].unique().implode()
        timed = given.join(times, on="round").filter(~pl.col("label").is_in(early))
        first_known = timed.group_by("label").agg(pl.col("end").min().alias("known_from"))
        coined = (
            timed.join(first_known, on="label")
            .filter(pl.col("start") < pl.col("known_from"))
            .select("concept", "label", "round", "stream", "start", "end")
            .unique()
        )
        pairs = coined.join(coined, on="concept", suffix="_other").filter(
            (pl.col("label") < pl.col("label_other"))
            & (pl.col("stream") != pl.col("stream_other"))
            & (pl.col("start") < pl.col("end_other"))
            & (pl.col("start_other") < pl.col("end"))
        )
        # A pair of calls that named several things differently is one pair, whichever is looked at first.
        calls = [pl.col(f"round{end}") * MOST_STREAMS + pl.col(f"stream{end}") for end in ("", "_other")]
        counted[name] = pairs.select(
            "concept", first=pl.min_horizontal(*calls), second=pl.max_horizontal(*calls)
        ).n_unique()
    return counted
