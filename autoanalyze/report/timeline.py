"""A run over time: how many sessions there were, how they ended, what they were about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from autoanalyze.report.wording import interval, percent
from autoanalyze.study.answer import wilson_columns

UNITS = {"day": ("1d", 1), "week": ("1w", 7), "month": ("1mo", 30)}
"""Periods, as Polars writes them, and their days."""
ENOUGH = 40
"""Sessions that a period should have on average, so that it tells more than chance."""
MOST, LONGEST = 60, 240
"""Periods that can be told apart, and those of months that are drawn at all."""
SHOWN_LABELS = 6
WIDTH, HEIGHT = 300, 90
"""The drawing's own units; the page stretches it."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One share over time; `line` and `band`, around its 95 % intervals, are points of the drawing."""

    title: str
    overall: str
    line: str
    band: str
    summary: str
    """What one sees, for who does not."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """Everything over time. `bars` are x, y, width and height; `rows` the same figures as a table."""

    unit: str
    first: str
    last: str
    top: float
    bars: tuple[tuple[float, float, float, float], ...]
    panels: tuple[Panel, ...]
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def timeline(sessions: pl.DataFrame, field: str, labels: Sequence[str]) -> Timeline | None:
    """Labelled sessions by day, week or month, with the share of each of some labels of a field.

    Nothing where there is one period only, or so many that a clock must have been wrong.
    """
    timed = sessions.filter(status="labelled").drop_nulls("start_time")
    if timed["start_time"].dt.date().n_unique() < 2:
        return None
    times: list[datetime] = timed["start_time"].sort().to_list()
    unit = suited((times[-1] - times[0]).days, len(times))
    table = by_period(timed, UNITS[unit][0], field, labels)
    if not 2 <= len(table) <= LONGEST:
        return None
    contained = shares_of(table, "contained", "sessions")
    of_labels = [shares_of(table, f"label {place}", "known") for place in range(len(labels))]
    top = max((high for shares in of_labels for high in shares["high"].drop_nulls()), default=0.0)
    panels = [panel("Ended in the bot", contained, 1.0)]
    panels += [panel(label, shares, top) for label, shares in zip(labels, of_labels, strict=True)]
    columns = [
        [f"{period:%Y-%m}" if unit == "month" else str(period) for period in table["period"]],
        [f"{count:,}" for count in table["sessions"]],
        *([percent(value) for value in shares["share"]] for shares in (contained, *of_labels)),
    ]
    return Timeline(
        unit,
        f"{times[0]:%Y-%m-%d}",
        f"{times[-1]:%Y-%m-%d}",
        top,
        tuple(bars(table["sessions"].to_list())),
        tuple(panels),
        (unit.capitalize(), "Sessions", *(each.title for each in panels)),
        tuple(zip(*columns, strict=True)),
    )


def by_period(timed: pl.DataFrame, every: str, field: str, labels: Sequence[str]) -> pl.DataFrame:
    """A row per period, also those without sessions: how many there are, contained, and with each label."""
    timed = timed.with_columns(period=pl.col("start_time").dt.truncate(every).dt.date())
    counts = timed.group_by("period").agg(
        pl.len().alias("sessions"),
        (pl.col("session_outcome") == "Contained").sum().alias("contained"),
        pl.col(field).count().alias("known"),
        *((pl.col(field) == label).sum().alias(f"label {place}") for place, label in enumerate(labels)),
    )
    ends = pl.date_range(pl.col("period").min(), pl.col("period").max(), interval=every)
    periods = timed.select(period=ends)
    return periods.join(counts, on="period", how="left", maintain_order="left").fill_null(0)


def suited(days: int, sessions: int) -> str:
    """The shortest unit that has enough sessions a period, as far as there remain four of them."""
    unit = "day"
    for longer, (_, length) in UNITS.items():
        enough = sessions * UNITS[unit][1] >= ENOUGH * days and days <= MOST * UNITS[unit][1]
        if not enough and days >= 4 * length:
            unit = longer
    return unit


def shares_of(table: pl.DataFrame, part: str, whole: str) -> pl.DataFrame:
    """The share of a part in each period, with its interval; null where a period has nothing."""
    return table.select(
        *wilson_columns(part, whole), pl.col(part).alias("part"), pl.col(whole).alias("whole")
    )


def bars(counts: Sequence[int]) -> Iterator[tuple[float, float, float, float]]:
    """A bar per count, the highest as high as the drawing."""
    step, most = WIDTH / len(counts), max(counts)
    for place, count in enumerate(counts):
        height = HEIGHT * count / most
        yield (
            round((place + 0.1) * step, 2),
            round(HEIGHT - height, 2),
            round(0.8 * step, 2),
            round(height, 2),
        )


def panel(title: str, shares: pl.DataFrame, top: float) -> Panel:
    """A share over time as a line with a band; periods that have nothing are passed over."""
    step = WIDTH / len(shares)
    known = shares.with_row_index("place").filter(pl.col("whole") > 0)
    across = [round((place + 0.5) * step, 2) for place in known["place"]]

    def drawn(values: pl.Series) -> list[tuple[float, float]]:
        heights = [round(HEIGHT * (1 - value / (top or 1)), 2) for value in values]
        return list(zip(across, heights, strict=True))

    line = drawn(known["share"])
    around = drawn(known["high"]) + drawn(known["low"])[::-1]
    whole = shares.select(pl.col("part", "whole").sum()).select(*wilson_columns("part", "whole")).row(0)
    lowest, highest = min(known["share"], default=None), max(known["share"], default=None)
    return Panel(
        title,
        f"{percent(whole[0])} ({interval(whole[1], whole[2])})",
        path(line),
        path(around),
        f"{title}: overall {percent(whole[0])}, between {percent(lowest)} and {percent(highest)}",
    )


def path(drawn: Sequence[tuple[float, float]]) -> str:
    """Points as SVG takes them."""
    return " ".join(f"{x:g},{y:g}" for x, y in drawn)
