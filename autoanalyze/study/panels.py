"""Figures of experiments: a panel per measure, means over seeds with 95 % intervals. Functions only draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from autoanalyze.study.intervals import Estimate
from autoanalyze.study.measures import MEASURES
from autoanalyze.study.paired import estimates
from autoanalyze.study.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILLION, arms, style

__all__ = ["curves", "frontier", "rungs"]

COLOURS = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, "#56B4E9", "#000000", GREY)
MARKERS = "osD^vPX*"
SPREAD = 0.12
"""How far lines are moved apart where they share a place on the axis, in places."""


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
            for number, name in enumerate(names):
                part = found.filter(pl.col("measure") == measure, pl.col(key) == name)
                draw_line(panel, part, across, places, number, str(name))
            finish_panel(panel, measure)
        name_axis(panels[-1], across, places, logarithmic)
        head(figure, title, note)
        if lines is not None:
            handles, labels = unique_handles(panels)
            figure.legend(handles, labels, title=plain(lines), loc="outside right upper", frameon=False)
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
                    mark(panel, row, place, number, str(group))
            target = MEASURES[measure].target
            if target is not None:
                panel.axvline(target, color=VERMILLION, linestyle="--", linewidth=1)
            panel.set_xlabel(MEASURES[measure].label.replace(", ", ",\n", 1), fontsize=9)
            panel.xaxis.set_major_locator(MaxNLocator(4))
            panel.grid(axis="x", alpha=0.3)
        panels[0].set_yticks(range(len(names)), [str(name) for name in names])
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
    target: float = 0.95,
    title: str = "",
    note: str = "",
) -> Figure:
    """Speed against consistency, coloured by cost; settings on the frontier are joined and named.

    `best`: values of `rows` of the settings that no other beats in both speed and cost while it holds the
    target, from the slowest to the fastest.
    """
    measures = ("model_seconds", "consistency", "cost_per_1000")
    found = estimates(results, rows, measures).pivot(
        on="measure", index=list(rows), values=["value", "low", "high"], maintain_order=True
    )
    figure = plt.figure(figsize=(8.0, 5.0), dpi=110, layout="constrained")
    with style():
        panel = figure.add_subplot()
        costs = found["value_cost_per_1000"].to_numpy()
        for row in found.iter_rows(named=True):
            seconds, consistency = (
                Estimate(*(row[f"{end}_{name}"] for end in ("value", "low", "high")))
                for name in ("model_seconds", "consistency")
            )
            panel.errorbar(
                seconds.value or 0.0,
                consistency.value or 0.0,
                xerr=arms(seconds),
                yerr=arms(consistency),
                color=GREY,
                elinewidth=0.7,
                zorder=1,
            )
        spots = panel.scatter(
            found["value_model_seconds"],
            found["value_consistency"],
            c=costs,
            cmap="cividis_r",
            s=46,
            edgecolor="white",
            linewidth=0.5,
            zorder=3,
        )
        figure.colorbar(spots, ax=panel, label=MEASURES["cost_per_1000"].label)
        by_values = {tuple(row[key] for key in rows): row for row in found.iter_rows(named=True)}
        chosen = [by_values[tuple(values)] for values in best]
        xs = [row["value_model_seconds"] for row in chosen]
        ys = [row["value_consistency"] for row in chosen]
        panel.plot(xs, ys, color=VERMILLION, linewidth=1.2, zorder=2, label="frontier of time and cost")
        panel.scatter(xs, ys, s=150, facecolor="none", edgecolor=VERMILLION, linewidth=1.4, zorder=4)
        for number, (x, y) in enumerate(zip(xs, ys, strict=True), start=1):
            panel.annotate(
                str(number), (x, y), xytext=(0, 11), textcoords="offset points", ha="center", color=VERMILLION
            )
        panel.axhline(target, color=GREY, linestyle="--", linewidth=1, label=f"target {target:g}")
        panel.set_xscale("log")
        panel.set_xlabel(MEASURES["model_seconds"].label)
        panel.set_ylabel(MEASURES["consistency"].label)
        panel.legend(loc="lower right", frameon=False, fontsize=8)
        head(figure, title, note)
    return figure


def head(figure: Figure, title: str, note: str) -> None:
    """The question, and below it in grey what the answer was measured on."""
    figure.suptitle(f"{title}\n" if note else title, x=0.01, ha="left", fontsize=11)
    if note:
        figure.text(0.01, 1 - 0.36 / figure.get_figheight(), note, ha="left", fontsize=8, color="#666666")


def draw_line(
    panel: Axes, part: pl.DataFrame, across: str, places: dict[Any, float], number: int, name: str
) -> None:
    """One line of a panel, with an interval at each of its points."""
    ordered = sorted(part.iter_rows(named=True), key=lambda row: places[row[across]])
    colour, marker = COLOURS[number % len(COLOURS)], MARKERS[(number + number // len(COLOURS)) % len(MARKERS)]
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
    named = {"data.count": "sessions", "case": "", "noise.reuse": "chance that a known label is reused"}
    return named.get(setting, setting.rpartition(".")[2].replace("_", " "))
