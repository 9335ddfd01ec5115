"""Does the main job keep 95 % consistency? 20 seeds on synthetic and on real dialogues.

    .venv/bin/python experiments/main_job/run.py [--seeds 20] [--sessions 1000] [--star sessions.duckdb]

Writes results.csv (a row per run) and table.md (means with 95 % intervals over seeds) beside itself.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import polars as pl
from rich.progress import track

from autoanalyze.build import build_analysis, import_sessions
from autoanalyze.composition import compose
from autoanalyze.study.intervals import paired_interval

HERE = Path(__file__).resolve().parent
STAR = HERE.parents[2] / "shared" / "data" / "star.parquet"
MEASURES = ("consistency", "precision", "coverage")


def runs(name: str, overrides: Sequence[str], seeds: int, folder: Path) -> pl.DataFrame:
    """A row per seed and field."""
    rows = []
    for seed in track(range(1, seeds + 1), description=name):
        run = build_analysis(compose([*overrides, f"seed={seed}"])).run_sync(folder / f"{name}-{seed}")
        record, sessions = run.record, run.sessions
        assert sessions["session_id"].n_unique() == len(sessions) == record["sessions"]["sampled"]
        for field, metrics in record["metrics"].items():
            measures = {measure: metrics[measure]["value"] for measure in MEASURES}
            counts = {
                "labels": record["labels"][field]["final"],
                "concepts": metrics["concept_count"]["value"],
            }
            rows.append(
                {"data": name, "seed": seed, "field": field, **measures, **counts}
                | {"speedup": record["speedup"], "seconds": record["model_seconds"]}
                | {"cost_usd": record["cost_usd"], "unresolved": record["sessions"]["unresolved"]}
            )
    return pl.DataFrame(rows)


def table(frame: pl.DataFrame) -> str:
    """Means over seeds with their 95 % intervals (Student's t), as Markdown."""
    lines = [
        "| sessions | field | consistency | guard (precision) | labels / concepts | speedup |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for (data, field), group in frame.group_by(["data", "field"], maintain_order=True):
        cells = []
        for measure in ("consistency", "precision", "speedup"):
            estimate = paired_interval(group[measure].to_list())
            cells.append(f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]")
        labels = f"{group['labels'].mean():.1f} / {group['concepts'].mean():.1f}"
        lines.append(f"| {data} | {field} | {cells[0]} | {cells[1]} | {labels} | {cells[2]} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run everything and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--star", type=Path, default=STAR, help="star.parquet; left out if it is not there")
    parser.add_argument("--into", type=Path, default=HERE, help="where results.csv and table.md go")
    arguments = parser.parse_args()
    count = [f"data.count={arguments.sessions}"]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        frames = [runs("synthetic", count, arguments.seeds, folder)]
        if arguments.star.exists():
            store = folder / "star.duckdb"
            import_sessions(arguments.star, store, bot_id="default", mapping={}, strict=False)
            frames.append(runs("STAR", [*count, "data=store", f"data.path={store}"], arguments.seeds, folder))
    frame = pl.concat(frames)
    arguments.into.mkdir(parents=True, exist_ok=True)
    frame.write_csv(arguments.into / "results.csv", float_precision=6)
    (arguments.into / "table.md").write_text(table(frame), encoding="utf-8")
    print(table(frame))


if __name__ == "__main__":
    main()
