"""Figures of experiments: what is measured is drawn, with names and units."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from autoanalyze.study.measures import MEASURES
from autoanalyze.study.panels import curves, frontier, rungs

RESULTS = pl.DataFrame(
    [
        {
            "case": case,
            "parallel.streams": streams,
            "seed": seed,
            "field": "general_intent",
            "consistency": 0.9 + 0.01 * seed + 0.001 * (case == "other"),
            "model_seconds": 100 / streams + seed + 10 * (case == "other"),
            "cost_per_1000": 0.1 * streams + 0.001 * seed,
        }
        for case in ("one", "other")
        for streams in (1, 4, 16)
        for seed in (1, 2, 3)
    ]
)


def test_curves_have_a_panel_per_measure_and_a_line_per_case() -> None:
    """Means stand where they belong, on axes with names and units."""
    figure = curves(
        RESULTS, ["model_seconds", "consistency"], across="parallel.streams", lines="case", logarithmic=True
    )
    seconds, consistency = figure.axes
    lines = {line.get_label(): line for line in seconds.get_lines()}
    assert set(lines) == {"one", "other"}
    assert np.asarray(lines["one"].get_xdata()).tolist() == [1, 4, 16]
    assert np.asarray(lines["one"].get_ydata()).tolist() == pytest.approx([102, 27, 8.25])
    assert seconds.get_ylabel() == "model time,\ns"
    assert consistency.get_xlabel() == "streams"
    assert any(line.get_label() == "_target" for line in consistency.get_lines())
    assert len(consistency.collections) == 2  # the intervals


def test_lines_that_hide_each_other_are_one() -> None:
    """Where a setting changes nothing, its lines are drawn once and called so."""
    same = RESULTS.with_columns(consistency=0.9 + pl.col("seed") / 100)
    figure = curves(same, ["consistency", "model_seconds"], across="parallel.streams", lines="case")
    alike, apart = ([line.get_label() for line in axes.get_lines()] for axes in figure.axes)
    assert "all alike" in alike
    assert "one" not in alike
    assert {"one", "other"} <= set(apart)


def test_a_mean_far_away_stands_at_the_edge() -> None:
    """It is named there, and the others keep their room."""
    far = pl.DataFrame(
        [
            {"case": name, "seed": seed, "consistency": value + 0.001 * seed}
            for name, value in {"a": 0.96, "b": 0.965, "c": 0.97, "d": 0.3}.items()
            for seed in (1, 2)
        ]
    )
    (panel,) = rungs(far, ["consistency"], rows="case").axes
    assert panel.get_xlim()[0] > 0.9
    assert [text.get_text() for text in panel.texts] == ["◂ 0.301"]


def test_rungs_have_a_rung_per_name() -> None:
    """Settings that have names stand below each other, in order of appearance."""
    figure = rungs(RESULTS, ["consistency"], rows="case", lines="parallel.streams", title="Which?", note="n")
    (panel,) = figure.axes
    assert [label.get_text() for label in panel.get_yticklabels()] == ["one", "other"]
    assert len(panel.containers) == 6
    assert {text.get_text().strip() for text in figure.texts} >= {"n"}


def test_frontier_joins_and_names_the_best() -> None:
    """Settings stand at their time, consistency and cost; the frontier is joined, its ends are named."""
    best = [("one", 1), ("one", 16)]
    figure = frontier(
        RESULTS, rows=["case", "parallel.streams"], best=best, holding={*best, ("one", 4)}, target=0.9
    )
    above, below = figure.axes
    assert [text.get_text() for text in below.texts] == ["fastest", "cheapest"]
    assert below.get_xlabel() == MEASURES["model_seconds"].label
    assert above.get_ylabel() == "consistency,\n0 to 1"
    joined = [np.asarray(line.get_xdata()).tolist() for line in below.get_lines()]
    assert pytest.approx([102, 8.25]) in joined
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {
        "on the frontier of time and cost",
        "holds the target",
        "misses it, or may",
        "target 0.9",
    }


@pytest.mark.parametrize("measure", MEASURES.values(), ids=list(MEASURES))
def test_measures_have_names_and_units(measure: object) -> None:
    """No axis without either."""
    assert isinstance(measure, type(MEASURES["consistency"]))
    assert measure.title
    assert measure.unit
