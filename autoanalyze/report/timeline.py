"""A run over time: how many sessions there were, how they ended, and what they were about, by day or longer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from autoanalyze.report.wording import interval, percent
from autoanalyze.study.answer import wilson_columns

UNITS = {"day": ("1d", 1), "week": ("1w", 7), "month": ("1mo", 30)}
"""Periods, as Polars writes them, and their days."""
ENOUGH, MOST = 40, 60
"""Sessions that a period should have on average, so that it tells more than chance; periods that can be seen."""
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

    Nothing where fewer than two periods are known.
    """
    timed = sessions.filter(status="labelled").drop_nulls("start_time")
    if timed["start_time"].dt.date().n_unique() < 2:
        return None
    days = (timed["start_time"].max() - timed["start_time"].min()).days  # type: ignore[operator,union-attr]
    unit = suited(days, len(timed))
    every = UNITS[unit][0]
    timed = timed.with_columns(period=pl.col("start_time").dt.truncate(every).dt.date())
    ends = timed["period"].min(), timed["period"].max()
    periods = pl.DataFrame({"period": pl.date_range(*ends, interval=every, eager=True)})  # type: ignore[call-overload]
    if len(periods) < 2:
        return None
    with_label = pl.col(field).is_not_null()
    counts = timed.group_by("period").agg(
        pl.len().alias("sessions"),
        (pl.col("session_outcome") == "Contained").sum().alias("contained"),
        with_label.sum().alias("known"),
        *((pl.col(field) == label).sum().alias(f"label {place}") for place, label in enumerate(labels)),
    )
    table = periods.join(counts, on="period", how="left", maintain_order="left").fill_null(0)
    shares = [shares_of(table, "contained", "sessions")]
    shares += [shares_of(table, f"label {place}", "known") for place in range(len(labels))]
    top = max((share["high"].max() or 0 for share in shares[1:]), default=0)  # type: ignore[type-var]
    panels = (
        panel("Ended in the bot", shares[0], 1.0),
        *(panel(label, share, top) for label, share in zip(labels, shares[1:], strict=True)),
    )
    named = [str(period) if unit != "month" else f"{period:%Y-%m}" for period in table["period"]]
    columns = [[f"{count:,}" for count in table["sessions"]]]
    columns += [[percent(value) for value in share["share"]] for share in shares]
    return Timeline(
        unit,
        f"{timed['start_time'].min():%Y-%m-%d}",
        f"{timed['start_time'].max():%Y-%m-%d}",
        float(top),  # type: ignore[arg-type]
        tuple(bars(table["sessions"].to_list())),
        panels,
        (unit.capitalize(), "Sessions", *(each.title for each in panels)),
        tuple(zip(named, *columns, strict=True)),
    )


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
    low, high = known["share"].min(), known["share"].max()
    return Panel(
        title,
        f"{percent(whole[0])} ({interval(whole[1], whole[2])})",
        path(line),
        path(around),
        f"{title}: overall {percent(whole[0])}, between {percent(low)} and {percent(high)}",  # type: ignore[arg-type]
    )


def path(drawn: Sequence[tuple[float, float]]) -> str:
    """Points as SVG takes them."""
    return " ".join(f"{x:g},{y:g}" for x, y in drawn)
