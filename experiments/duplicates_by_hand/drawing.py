"""The chapter's figure."""

from __future__ import annotations

import matplotlib.pyplot as plt
import polars as pl
import pooling
import sets
import verdicts
from counting import NEAREST
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from vectors import NGRAMS, RARE, SIMULATED, STATIC

from autoanalyze.study.panels import head
from autoanalyze.study.plots import BLUE, GREEN, GREY, ORANGE, style

COLOURS = {NGRAMS: ORANGE, STATIC: BLUE, RARE: GREEN, SIMULATED: GREY}
NAMES = {
    NGRAMS: "n-grams (real, offline)",
    STATIC: "static word vectors (real)",
    RARE: "static, rare words weigh more (not in the package)",
    SIMULATED: "simulated vectors (for comparison)",
}
GOAL_OFFERED, GOAL_RECALL = 0.98, 0.93


def drawn(results: pl.DataFrame, alike: pl.DataFrame, title: str) -> Figure:
    """What was merged in each set, what more neighbours would offer, likeness alone."""
    figure = plt.figure(figsize=(12.5, 8.6), dpi=110, layout="constrained")
    with style():
        panels = figure.subplot_mosaic([["sets", "near"], ["sets", "alone"]], width_ratios=[1.25, 1])
        set_by_set(panels["sets"], results.filter(judge="2 %"))
        neighbours(panels["near"], alike.filter(kind=sets.ONE))
        no_judge(panels["alone"], results.filter(way=verdicts.ALONE))
        for panel in panels.values():
            panel.grid(alpha=0.3)
        head(
            figure,
            title,
            "labels written by two language models in the role of people, and one older set; not human "
            "annotators; the judge is simulated and knows the written truth",
        )
    return figure


def set_by_set(panel: Axes, results: pl.DataFrame) -> None:
    """A line per set and way: the share of the duplicates that ended merged."""
    names = results["set"].unique(maintain_order=True).to_list()
    asked, seen = results.filter(way=verdicts.PAIRS), results.filter(way=verdicts.BLOCKS)
    kinds = [
        ("questions on pairs, n-grams", asked.filter(vectors=NGRAMS), 0.2, ORANGE),
        ("questions on pairs, static vectors", asked.filter(vectors=STATIC), 0.0, BLUE),
        ("shown in blocks (static vectors)", seen.filter(pl.col("vectors") != NGRAMS), -0.2, GREEN),
    ]
    for told, rows_of, shift, colour in kinds:
        shares = [pooling.within(rows_of.filter(set=name), "recall") for name in names]
        rows = [len(names) - row + shift for row in range(len(names))]
        lows, highs = ([getattr(share, end) or 0.0 for share in shares] for end in ("low", "high"))
        panel.hlines(rows, lows, highs, color=colour, linewidth=1.2, alpha=0.6)
        panel.plot([s.value or 0.0 for s in shares], rows, "o", color=colour, markersize=5.5, label=told)
    panel.axvline(GOAL_RECALL, color="#000000", linewidth=0.9, linestyle="--")
    panel.text(GOAL_RECALL, len(names) + 0.72, f"margin {GOAL_RECALL}", fontsize=8, ha="right")
    counts = dict(results.select("set", "labels").iter_rows())
    panel.set_yticks(range(len(names), 0, -1), [f"{name} ({counts[name]})" for name in names], fontsize=8)
    panel.set_ylim(0.4, len(names) + 1.1)
    panel.set_xlim(0, 1.01)
    panel.set_xlabel("share of the true duplicate pairs", fontsize=9)
    panel.set_title("merged in the end (a judge who errs 2 %)", fontsize=10)
    panel.legend(fontsize=7.5, loc="upper center", bbox_to_anchor=(0.4, -0.06), ncols=2, frameon=False)


def neighbours(panel: Axes, alike: pl.DataFrame) -> None:
    """How many neighbours of each label hold how many of the duplicates."""
    for vectors, colour in COLOURS.items():
        shares = [pooling.among(alike.filter(vectors=vectors), k)[0] for k in range(1, NEAREST + 1)]
        panel.plot(range(1, NEAREST + 1), shares, "o-", color=colour, markersize=3, label=NAMES[vectors])
    panel.axhline(GOAL_OFFERED, color="#000000", linewidth=0.9, linestyle="--")
    panel.text(1, GOAL_OFFERED + 0.005, f"margin {GOAL_OFFERED}", fontsize=8, va="bottom")
    panel.axvline(4, color=GREY, linewidth=0.9, linestyle=":")
    panel.text(4.15, 0.03, "compared at first", fontsize=8, color="#666666")
    panel.set_ylim(0, 1.06)
    panel.set_xlabel("nearest neighbours of each label that are proposed (sets of about 40)", fontsize=9)
    panel.set_ylabel("duplicates proposed", fontsize=9)
    panel.set_title("how many neighbours hold the duplicates", fontsize=10)
    panel.legend(fontsize=7.5, frameon=False, loc="lower right")


def no_judge(panel: Axes, alone: pl.DataFrame) -> None:
    """Precision and recall in each domain at a threshold that other domains chose."""
    found = pooling.left_out(alone).filter(way="left out")
    for (vectors,), part in found.group_by(["vectors"], maintain_order=True):
        colour = COLOURS[str(vectors)]
        panel.plot(part["recall"], part["precision"], "o", color=colour, markersize=6, alpha=0.85)
        middle = part.select(pl.col("recall", "precision").mean()).row(0)
        panel.plot(*middle, "+", color=colour, markersize=14, markeredgewidth=2)
    panel.plot([0.7, 1.0, 1.0, 0.7, 0.7], [0.9, 0.9, 1.0, 1.0, 0.9], "--", color="#000000", linewidth=0.9)
    panel.text(0.69, 0.95, "margins", fontsize=8, ha="right", va="center")
    panel.set_xlim(0, 1.02)
    panel.set_ylim(0, 1.02)
    panel.set_xlabel("recall in the domain that was left out", fontsize=9)
    panel.set_ylabel("precision there", fontsize=9)
    panel.set_title("no judge: threshold of the other domains (+ is the mean)", fontsize=10)
