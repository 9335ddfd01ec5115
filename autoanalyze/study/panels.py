"""Figures of experiments: a panel per measure, means over seeds with 95 % intervals. Functions only draw."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from autoanalyze.study.intervals import Estimate, estimate, estimates
from autoanalyze.study.measures import MEASURES
from autoanalyze.study.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILLION, arms, style

COLOURS = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, "#56B4E9", "#000000", GREY)
MARKERS = "osD^vPX*"
SAID = {
    "batch_size": "sessions per call",
    "case": "",
    "data.count": "sessions",
    "faults.rate": "share of requests that meet trouble",
    "noise.reuse": "chance that a known label is reused",
}
"""Settings whose key does not say what they are."""
SPREAD = 0.12
"""How far lines are moved apart where they share a place on the axis, in places."""
APART = 3.0
"""A mean that lies further from the others than so many times their range stands at the edge of its panel."""


def curves(
    results: pl.DataFrame,
    measures: Sequence[str],
    *,
    across: str,
    lines: str | None = None,
    logarithmic: bool = False,
    title: str = "",
    note: str = "",
) -> Figure:
    """A panel per measure above each other, a setting across, a line per value of another one.

    `results`: a row per run, with the settings, `seed`, and a column per measure.
    """
    with_lines = results if lines is not None else results.with_columns(pl.lit("").alias("_line"))
    key = lines or "_line"
    found = estimates(with_lines, [key, across], measures).drop_nulls("value")
    places = places_of(results[across])
    names = found[key].unique(maintain_order=True).to_list()
    figure = plt.figure(figsize=(8.0, 0.9 + 2.1 * len(measures)), dpi=110, layout="constrained")
    with style():
        panels = figure.subplots(len(measures), 1, sharex=True, squeeze=False)[:, 0]
        for panel, measure in zip(panels, measures, strict=True):
            parts = [found.filter(pl.col("measure") == measure, pl.col(key) == name) for name in names]
            if len(parts) > 1 and all(alike(part, parts[0], across) for part in parts):
                draw_line(panel, parts[0], across, places, names, EVERY)
            else:
                for name, part in zip(names, parts, strict=True):
                    draw_line(panel, part, across, places, names, value_name(name))
            finish_panel(panel, measure)
        name_axis(panels[-1], across, places, logarithmic)
        head(figure, title, note)
        if lines is not None:
            handles, labels = unique_handles(panels)
            figure.legend(handles, labels, title=plain(lines), loc="outside right center", frameon=False)
    return figure


def rungs(
    results: pl.DataFrame,
    measures: Sequence[str],
    *,
    rows: str,
    lines: str | None = None,
    title: str = "",
    note: str = "",
) -> Figure:
    """A panel per measure side by side, a rung per value of a setting: for settings that have names."""
    with_lines = results if lines is not None else results.with_columns(pl.lit("").alias("_line"))
    key = lines or "_line"
    found = estimates(with_lines, [key, rows], measures).drop_nulls("value")
    names = results[rows].unique(maintain_order=True).to_list()
    groups = found[key].unique(maintain_order=True).to_list()
    height = 1.5 + (0.26 + 0.1 * (len(groups) - 1)) * len(names)
    figure = plt.figure(figsize=(2.2 + 2.0 * len(measures), height), dpi=110, layout="constrained")
    with style():
        panels = figure.subplots(1, len(measures), sharey=True, squeeze=False)[0]
        for panel, measure in zip(panels, measures, strict=True):
            for number, group in enumerate(groups):
                part = found.filter(pl.col("measure") == measure, pl.col(key) == group)
                shift = SPREAD * 2 * (number - (len(groups) - 1) / 2)
                for row in part.iter_rows(named=True):
                    place = names.index(row[rows]) + shift
                    mark(panel, row, place, number, value_name(group))
            edge_outliers(panel, found.filter(pl.col("measure") == measure), names, rows)
            target = MEASURES[measure].target
            low, high = panel.get_xlim()
            if target is not None and low < target < high:
                panel.axvline(target, color=VERMILLION, linestyle="--", linewidth=1)
            panel.set_xlabel(MEASURES[measure].label.replace(", ", ",\n", 1), fontsize=9)
            panel.xaxis.set_major_locator(MaxNLocator(4))
            panel.grid(axis="x", alpha=0.3)
        panels[0].set_yticks(range(len(names)), [value_name(name) for name in names])
        panels[0].set_ylim(len(names) - 0.5, -0.5)
        head(figure, title, note)
        if lines is not None:
            handles, labels = unique_handles(panels)
            figure.legend(
                handles, labels, title=plain(lines), loc="outside lower center", ncols=4, frameon=False
            )
    return figure


def frontier(
    results: pl.DataFrame,
    *,
    rows: Sequence[str],
    best: Sequence[tuple[Any, ...]],
    holding: Collection[tuple[Any, ...]],
    target: float = 0.95,
    title: str = "",
    note: str = "",
) -> Figure:
    """Consistency and cost against model time, a point per setting; the settings on the frontier are joined.

    `best`: values of `rows` of the settings that no other beats in both time and cost while it holds the
    target, from the cheapest to the fastest; `holding`: those of all settings that hold it.
    """
    figure = plt.figure(figsize=(8.0, 6.0), dpi=110, layout="constrained")
    groups = dict(results.group_by(rows, maintain_order=True))
    with style():
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        for setting, runs in groups.items():
            kind = "frontier" if setting in best else "holds" if setting in holding else "may miss"
            time = estimate(runs, "model_seconds")
            for panel, measure in ((above, "consistency"), (below, "cost_per_1000")):
                spot(panel, time, estimate(runs, measure), kind)
        ends = [(estimate(groups[s], "model_seconds"), estimate(groups[s], "cost_per_1000")) for s in best]
        below.plot([t.value for t, _ in ends], [c.value for _, c in ends], color=BLUE, linewidth=1.2)
        for name, (time, cost) in {"fastest": ends[-1], "cheapest": ends[0]}.items() if ends else ():
            place = (time.value or 0.0, cost.value or 0.0)
            below.annotate(name, place, xytext=(8, 6), textcoords="offset points", color=BLUE, fontsize=9)
        above.axhline(target, color=VERMILLION, linestyle="--", linewidth=1, label=f"target {target:g}")
        for panel, measure in ((above, "consistency"), (below, "cost_per_1000")):
            panel.set_ylabel(MEASURES[measure].label.replace(", ", ",\n", 1))
            panel.grid(alpha=0.3)
        below.set_xlabel(MEASURES["model_seconds"].label)
        below.set_xscale("log")
        below.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 4, 6, 8)))
        for axis_part in (below.xaxis.set_major_formatter, below.xaxis.set_minor_formatter):
            axis_part(FuncFormatter(lambda seconds, _: f"{seconds:g}"))
        below.minorticks_off()
        handles, labels = unique_handles([above])
        figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
        head(figure, title, note)
    return figure


KINDS = {
    "frontier": ("on the frontier of time and cost", {"color": BLUE, "markerfacecolor": BLUE, "zorder": 4}),
    "holds": ("holds the target", {"color": GREY, "markerfacecolor": GREY, "zorder": 3}),
    "may miss": ("misses it, or may", {"color": GREY, "markerfacecolor": "white", "zorder": 2}),
}
"""How settings of a race are drawn: what they are called, and how they look."""


def spot(panel: Axes, across: Estimate, up: Estimate, kind: str) -> None:
    """A setting of a race: its means with their intervals."""
    if across.value is None or up.value is None:
        return
    label, look = KINDS[kind]
    panel.errorbar(
        across.value,
        up.value,
        xerr=arms(across),
        yerr=arms(up),
        fmt="o",
        markersize=6,
        elinewidth=0.7,
        label=label,
        **look,  # type: ignore[arg-type]  # matplotlib's own words
    )


def head(figure: Figure, title: str, note: str) -> None:
    """The question, and below it in grey what the answer was measured on."""
    figure.suptitle(f"{title}\n" if note else title, x=0.01, ha="left", fontsize=11)
    if note:
        figure.text(0.01, 1 - 0.36 / figure.get_figheight(), note, ha="left", fontsize=8, color="#666666")


EVERY = "all alike"
"""What the one line of a panel is called in which all lines would lie on each other."""


def alike(one: pl.DataFrame, other: pl.DataFrame, across: str) -> bool:
    """Whether two lines have the same means, so that one would hide the other."""
    columns = [across, "value"]
    return one.select(columns).sort(across).equals(other.select(columns).sort(across))


def edge_outliers(panel: Axes, means: pl.DataFrame, names: Sequence[Any], rows: str) -> None:
    """Keep one mean far from all others from squeezing them: it is named at the edge of the panel."""
    values = sorted(means["value"].to_list())
    if len(values) < 4:
        return
    low_gap, high_gap = values[1] - values[0], values[-1] - values[-2]
    low_rest, high_rest = values[-1] - values[1], values[-2] - values[0]
    if low_gap > APART * low_rest > 0:
        far, place, rest = values[0], 0.02, means.filter(pl.col("value") > values[0])
    elif high_gap > APART * high_rest > 0:
        far, place, rest = values[-1], 0.98, means.filter(pl.col("value") < values[-1])
    else:
        return
    # Estimates without an interval reach as far as they are.
    least = rest.select(pl.coalesce("low", "value").min()).item()
    most = rest.select(pl.coalesce("high", "value").max()).item()
    panel.set_xlim(least - 0.25 * (most - least), most + 0.1 * (most - least))
    row = names.index(means.filter(pl.col("value") == far)[rows][0])
    text, side = (f"◂ {far:.3g}", "left") if place < 0.5 else (f"{far:.3g} ▸", "right")
    panel.text(place, row, text, ha=side, va="center", fontsize=9, transform=panel.get_yaxis_transform())


def value_name(value: Any) -> str:
    """A value of a setting as a legend says it: of a path, the name of its file."""
    text = str(value)
    return Path(text).stem if "/" in text and Path(text).suffix else text


def draw_line(
    panel: Axes, part: pl.DataFrame, across: str, places: dict[Any, float], names: Sequence[Any], name: str
) -> None:
    """One line of a panel, with an interval at each of its points; `names` are those of all lines."""
    ordered = sorted(part.iter_rows(named=True), key=lambda row: places[row[across]])
    number = [*map(value_name, names), EVERY].index(name)
    colour = "#333333" if name == EVERY else COLOURS[number % len(COLOURS)]
    marker = MARKERS[(number + number // len(COLOURS)) % len(MARKERS)]
    xs, ys = [places[row[across]] for row in ordered], [row["value"] for row in ordered]
    panel.plot(xs, ys, color=colour, marker=marker, markersize=5, linewidth=1.4, label=name)
    known = [row for row in ordered if row["low"] is not None]
    panel.fill_between(
        [places[row[across]] for row in known],
        [row["low"] for row in known],
        [row["high"] for row in known],
        color=colour,
        alpha=0.18,
        linewidth=0,
    )


def mark(panel: Axes, row: dict[str, Any], place: float, number: int, name: str) -> None:
    """A mean with its interval, on a rung of its own."""
    colour, marker = COLOURS[number % len(COLOURS)], MARKERS[(number + number // len(COLOURS)) % len(MARKERS)]
    reach = arms(Estimate(row["value"], row["low"], row["high"]))
    panel.errorbar(
        row["value"],
        place,
        xerr=reach,
        fmt=marker,
        color=colour,
        markersize=5,
        capsize=2,
        elinewidth=1,
        label=name,
    )


def places_of(values: pl.Series) -> dict[Any, float]:
    """Where each value stands on the axis: numbers where they are, names beside each other."""
    distinct = values.unique(maintain_order=True).to_list()
    if values.dtype.is_numeric():
        return {value: float(value) for value in distinct if value is not None}
    return {value: float(place) for place, value in enumerate(distinct)}


def name_axis(panel: Axes, across: str, places: dict[Any, float], logarithmic: bool) -> None:
    """Ticks where something was measured."""
    panel.set_xlabel(plain(across))
    if logarithmic and min(places.values()) > 0:
        panel.set_xscale("log", base=2)
        panel.minorticks_off()
    ordered = sorted(places.items(), key=lambda place: place[1])
    labels = [f"{value:,}" if isinstance(value, int) else str(value) for value, _ in ordered]
    panel.set_xticks([place for _, place in ordered], labels)


def finish_panel(panel: Axes, measure: str) -> None:
    """What every panel has: a named axis, a grid, the target if there is one."""
    shown = MEASURES[measure]
    if shown.target is not None:
        panel.axhline(shown.target, color=VERMILLION, linestyle="--", linewidth=1, label="_target")
    panel.set_ylabel(shown.label.replace(", ", ",\n", 1), fontsize=9)
    panel.grid(axis="y", alpha=0.3)
    low, high = panel.get_ylim()
    if np.isfinite([low, high]).all() and low < 0 <= high:
        panel.set_ylim(bottom=0)


def unique_handles(panels: Any) -> tuple[list[Any], list[str]]:
    """One legend entry per name, whatever number of points bears it."""
    found: dict[str, Any] = {}
    for panel in panels:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return list(found.values()), list(found)


def plain(setting: str) -> str:
    """A setting as people say it: `data.count` is sessions, `parallel.streams` streams."""
    return SAID.get(setting, setting.rpartition(".")[2].replace("_", " "))
