"""The chapter's figure: streams and sessions together tell its lines apart, which a report cannot.

.venv/bin/python experiments/timing/drawing.py
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from autoanalyze.study.panels import rungs

HERE = Path(__file__).resolve().parent
MEASURES = ("parallel_speedup", "speedup_best_sequential", "speedup")
LINES = "streams on sessions"


def draw() -> None:
    """Draw the runs with 8 and 32 streams."""
    results = pl.read_parquet(HERE / "results.parquet").filter(
        pl.col("case") == "default", pl.col("parallel.streams") > 1, pl.col("field") == "general_intent"
    )
    told = pl.format("{} on {}", "parallel.streams", "data.count").alias(LINES)
    title = (HERE / "README.md").read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
    note = "simulated gpt-4o-mini; 10 seeds; means with 95 % intervals"
    figure = rungs(results.with_columns(told), MEASURES, rows="latency", lines=LINES, title=title, note=note)
    figure.savefig(HERE / "figure.png", metadata={"Software": None})


if __name__ == "__main__":
    draw()
