"""What a chapter adds to the results of its runs."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from autoanalyze.config import ReportConfig
from autoanalyze.laboratory.chapter import Report
from autoanalyze.laboratory.points import EndedPoint


def ended(seconds: float, seed: int = 1, **settings: Any) -> EndedPoint:
    """A run of so many seconds; `streams` and `count` stand for the keys with a dot."""
    names = {"streams": "parallel.streams", "count": "data.count"}
    told = {names.get(name, name): value for name, value in settings.items()}
    row = {"field": "intent", "consistency": 0.9, "model_seconds": seconds, "cost_per_1000": 1.0}
    folder = f"{seed} {settings}"
    return EndedPoint(0, 0, {**told, "seed": seed}, folder, "done", rows=(row,))


def report(*points: EndedPoint, baseline: str | None = None) -> pl.DataFrame:
    return Report(ReportConfig(rows=[], baseline=baseline, paired_by=["data.count"]), points).results


STREAMS = [
    ended(40.0, case="parallel", count=100, streams=1),
    ended(10.0, case="parallel", count=100, streams=8),
    ended(90.0, case="parallel", count=900, streams=1),
    ended(15.0, case="parallel", count=900, streams=8),
    ended(50.0, case="sequential", count=100, streams=1, sync="sequential"),
    ended(120.0, case="sequential", count=900, streams=1, sync="sequential"),
]


def test_a_sweep_of_streams_has_its_speedups() -> None:
    """Over itself with one stream, which is no sequence, and over the sequence of as many sessions."""
    found = report(*STREAMS, baseline="sequential").filter(pl.col("parallel.streams") == 8)
    assert found["parallel_speedup"].to_list() == [4.0, 6.0]
    assert found["per_stream"].to_list() == [0.5, 0.75]
    assert found["speedup_best_sequential"].to_list() == found["speedup"].to_list() == [5.0, 8.0]


def test_the_best_sequence_is_chosen_by_all_seeds() -> None:
    """Of calls of 5 and of 20, the latter are faster on average, though not with the first seed."""
    sizes = [(5, 1, 48.0), (20, 1, 50.0), (5, 2, 60.0), (20, 2, 30.0)]
    found = report(
        *(ended(s, seed, case="a", count=9, sync="sequential", batch_size=b) for b, seed, s in sizes),
        *(ended(10.0, seed, case="b", count=9, sync=None, batch_size=10) for seed in (1, 2)),
    )
    assert found.filter(case="b")["speedup_best_sequential"].to_list() == [5.0, 3.0]


@pytest.mark.parametrize("settings", [{"streams": 8}, {"sync": "rounds"}, {"size": [1, 2], "streams": 1}])
def test_without_such_runs_results_stay_as_they_are(settings: dict[str, Any]) -> None:
    """No columns without a value."""
    found = report(ended(1.0, case="a", count=9, **settings))
    assert "parallel_speedup" not in found.columns
