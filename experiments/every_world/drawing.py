"""The chapter's figure: runs of 1,000 sessions alone, which a report would mix with those of 100.

.venv/bin/python experiments/every_world/drawing.py
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from autoanalyze.study.panels import rungs

HERE = Path(__file__).resolve().parent
MEASURES = ("f1", "f1_macro", "speedup_best_sequential", "cost_per_1000")
CASES = ("default", "one pass", "thorough", "sequential")


def draw() -> None:
    """Draw four settings, each in its worst field."""
    results = pl.read_parquet(HERE / "results.parquet").filter(
        pl.col("data.count") == 1000, pl.col("case").is_in(CASES)
    )
    setting = ["world", "case"]
    means = results.group_by(*setting, "field").agg(pl.col("f1").mean()).sort("f1", "field")
    worst = means.group_by(setting, maintain_order=True).first().select(*setting, "field")
    title = (HERE / "README.md").read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
    note = "1,000 sessions; worst field of each setting; simulated gpt-4o-mini; 20 seeds; 95 % intervals"
    shown = results.join(worst, on=[*setting, "field"], maintain_order="left")
    figure = rungs(shown, MEASURES, rows="world", lines="case", title=title, note=note)
    figure.savefig(HERE / "figure.png", metadata={"Software": None})


if __name__ == "__main__":
    draw()
