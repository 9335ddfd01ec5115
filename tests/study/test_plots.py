"""Figures: what they show, not how they look."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib.pyplot as plt
import polars as pl
import pytest
from matplotlib.patches import Rectangle

from autoanalyze.study import plots


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """No figure outlives its test."""
    yield
    plt.close("all")


def test_pareto_ranks_labels_and_adds_up_the_rest() -> None:
    """The most frequent stands first, what is beyond the top is one bar, and the axes have units."""
    ax = plots.pareto({"rare": 1, "common": 10, "middle": 4, "other": 2}, top=2)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["common", "middle", "2 others"]
    widths = [patch.get_width() for patch in ax.patches if isinstance(patch, Rectangle)]
    assert widths == [10, 4, 3]
    assert ax.get_xlabel() == "sessions"


def test_pareto_takes_frames() -> None:
    """Value counts of a column can be drawn as they are."""
    counts = pl.Series("label", ["a", "b", "a"]).value_counts()
    ax = plots.pareto(counts)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", "b"]


CALLS = pl.DataFrame(
    {
        "phase": ["discovery", "parallel", "parallel", "resolution"],
        "stream": [0, 1, 2, 0],
        "attempt": [0, 0, 1, 0],
        "start": [0.0, 5.0, 5.0, 9.0],
        "end": [5.0, 8.0, 9.0, 10.0],
    }
)


def test_timeline_has_a_bar_per_call() -> None:
    """Bars lie where calls started and are as long as they took; retries are hatched."""
    ax = plots.timeline(CALLS)
    bars = sorted((p.get_x(), p.get_width()) for p in ax.patches if isinstance(p, Rectangle))
    assert bars == [(0.0, 5.0), (5.0, 3.0), (5.0, 4.0), (9.0, 1.0)]
    assert [bool(p.get_hatch()) for p in ax.patches].count(True) == 1
    assert "seconds" in ax.get_xlabel()


def test_consistency_shows_target_and_skips_the_unscored() -> None:
    """A measure without a value leaves no point; the target is drawn."""
    known = {"value": 0.97, "low": 0.95, "high": 0.99}
    unknown = {"value": None, "low": None, "high": None}
    ax = plots.consistency_bars({"intent": {"consistency": known, "precision": unknown}})
    assert ax.get_legend() is not None
    assert any(line.get_ydata()[0] == 0.95 for line in ax.lines)  # type: ignore[index]  # matplotlib's ArrayLike


def test_style_leaves_no_trace() -> None:
    """Drawing changes nothing for figures that others draw."""
    before = dict(plt.rcParams)
    plots.pareto({"a": 1})
    assert dict(plt.rcParams) == before
