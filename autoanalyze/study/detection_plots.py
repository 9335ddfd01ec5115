"""Drawing how well duplicates were told from look-alikes, and what it took. Functions only draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from autoanalyze.study.intervals import Estimate
from autoanalyze.study.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILLION, arms, new_axes, style

__all__ = ["likeness", "precision_and_recall"]

COLOURS = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, GREY)
MARKERS = "osD^vPX"


def precision_and_recall(
    methods: Mapping[str, Sequence[tuple[Estimate, Estimate]]], *, title: str = "", ax: Axes | None = None
) -> Axes:
    """Recall across, precision up, 0 to 1: a curve per method that has a threshold, a point per one that
    has none, 95 % intervals as crosses.

    `methods`: name to (recall, precision) per threshold, in order of the thresholds.
    """
    ax = ax or new_axes(4.6)
    with style():
        for number, (name, points) in enumerate(methods.items()):
            known = [(r, p) for r, p in points if r.value is not None and p.value is not None]
            colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
            ax.plot(
                [recall.value or 0.0 for recall, _ in known],
                [precision.value or 0.0 for _, precision in known],
                color=colour,
                marker=marker,
                markersize=4 if len(known) > 1 else 9,
                linewidth=1.5,
                label=name,
            )
            for recall, precision in known:
                assert recall.value is not None
                assert precision.value is not None
                ax.errorbar(
                    recall.value,
                    precision.value,
                    xerr=arms(recall),
                    yerr=arms(precision),
                    color=colour,
                    elinewidth=0.8,
                )
        ax.set_xlim(0, 1.02)
        ax.set_ylim(0, 1.02)
        ax.set_xlabel("recall of duplicate pairs, 0 to 1")
        ax.set_ylabel("precision of merged pairs, 0 to 1")
        ax.set_title(title)
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8)
    return ax


def likeness(
    kinds: Mapping[str, Sequence[float]],
    *,
    threshold: float | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """How alike pairs of labels are, a distribution per kind of pair, each of area 1."""
    ax = ax or new_axes(3.4)
    with style():
        for number, (name, values) in enumerate(kinds.items()):
            ax.hist(
                values,
                bins=40,
                range=(-0.2, 1.0),
                density=True,
                histtype="step",
                linewidth=1.8,
                color=COLOURS[number],
                label=f"{name} ({len(values):,} pairs)",
            )
        if threshold is not None:
            ax.axvline(threshold, color=GREY, linestyle="--", linewidth=1, label="threshold")
        ax.set_xlabel("cosine similarity of two labels")
        ax.set_ylabel("density")
        ax.set_title(title)
        ax.legend(frameon=False, fontsize=8)
    return ax
