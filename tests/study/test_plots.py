"""Figures: what they show, not how they look."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib.pyplot as plt
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from autoanalyze.study import plots
from autoanalyze.study.containment import containment_by


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """No figure outlives its test."""
    yield
    plt.close("all")


def test_pareto_ranks_labels_and_adds_up_the_rest() -> None:
    """The most frequent stands first, what is beyond the top is one bar, and the axes have units."""
    ax = plots.pareto({"rare": 1, "common": 10, "middle": 4, "other": 2}, top=2)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["common", "middle", "2 more"]
    widths = [patch.get_width() for patch in ax.patches if isinstance(patch, Rectangle)]
    assert widths == [10, 4, 3]
    assert ax.get_xlabel() == "sessions"


def test_pareto_takes_frames() -> None:
    """Value counts of a column can be drawn as they are."""
    counts = pl.Series("label", ["a", "b", "a"]).value_counts()
    ax = plots.pareto(counts)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", "b"]


def test_pareto_leaves_null_out() -> None:
    """A session without a label adds no bar and no share."""
    counts = pl.Series("label", ["a", "a", "b", None]).value_counts()
    assert [text.get_text() for text in plots.pareto(counts).get_yticklabels()] == ["a", "b"]


def test_labels_are_never_read_as_formulas() -> None:
    """A label with dollar signs is drawn as it is written."""
    figure = plots.pareto({"Refund $50_{ instead of $20": 3}).figure
    figure.canvas.draw()


def test_long_labels_have_room() -> None:
    """Labels of several lines make the figure taller, so that they do not run into each other."""
    short = plots.pareto({f"label {i}": 1 for i in range(10)}).figure
    long = plots.pareto({f"label {i} of a customer who explains at length": 1 for i in range(10)}).figure
    assert isinstance(short, Figure)
    assert isinstance(long, Figure)
    assert long.get_figheight() > short.get_figheight()


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


def test_values_without_interval_are_drawn() -> None:
    """A value that has no interval is a point alone, and no metrics at all are an empty figure."""
    alone = {"value": 0.9, "low": None, "high": None}
    ax = plots.consistency_bars({"intent": {"consistency": alone, "precision": alone}})
    assert [line.get_ydata()[0] for line in ax.lines].count(0.9) >= 2  # type: ignore[index]  # matplotlib's ArrayLike
    assert plots.consistency_bars({}).get_ylabel()


def test_style_leaves_no_trace() -> None:
    """Drawing changes nothing for figures that others draw."""
    before = dict(plt.rcParams)
    plots.pareto({"a": 1})
    assert dict(plt.rcParams) == before


def test_a_picture_says_its_headline() -> None:
    """Who cannot see it hears what it shows."""
    picture = plots.described(plots.pareto({"One": 3, "Two": 1}, title="One is most"))
    data, metadata = picture._repr_mimebundle_()  # type: ignore[no-untyped-call]
    assert metadata["image/png"]["alt"] == "One is most"
    assert data["image/png"]


@settings(deadline=None, max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=8))
@example([(7, 0), (0, 7), (3, 0), (0, 49)])
def test_any_shares_of_containment_can_be_drawn(counts: list[tuple[int, int]]) -> None:
    """Also of labels contained always or never, whose interval rounding may put on the wrong side."""
    rows = [
        (f"label {n}", outcome)
        for n, (contained, not_contained) in enumerate(counts)
        for outcome in ["Contained"] * contained + ["Transfer"] * not_contained
    ]
    sessions = pl.DataFrame(rows, schema={"intent": pl.String, "session_outcome": pl.String}, orient="row")
    shares = containment_by(sessions, "intent")
    known = [contained / (contained + rest) for contained, rest in counts if contained + rest]
    rounded = shares.with_columns(low=pl.col("contained") + 1e-9, high=pl.col("contained") - 1e-9)
    for table in (shares, rounded):
        ax = plots.containment_bars(table)
        widths = [patch.get_width() for patch in ax.patches if isinstance(patch, Rectangle)]
        assert sorted(widths) == pytest.approx(sorted(100 * share for share in known))
        plt.close("all")
