"""Does the main job keep 95 % consistency? 20 seeds on synthetic and on real dialogues.

    .venv/bin/python experiments/main_job/run.py [--seeds 20] [--sessions 1000] [--star FILE] [--into FOLDER]

Writes beside itself results.csv (a row per run and field), table.md (means with 95 % intervals over
seeds) and timeline.png (the streams of one synthetic run).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import polars as pl
from matplotlib.figure import Figure
from rich.progress import track

from autoanalyze.build import build_analysis, import_sessions
from autoanalyze.composition import compose
from autoanalyze.study.intervals import paired_interval
from autoanalyze.study.plots import timeline
from autoanalyze.study.runs import load_run

HERE = Path(__file__).resolve().parent
STAR = HERE.parents[2] / "shared" / "data" / "star.parquet"
SETTINGS = {"default": (), "design (one look of the judge)": ("preset=design",)}
MEASURES = ("consistency", "precision", "coverage")


def run_once(folder: Path, overrides: Sequence[str], seed: int) -> list[dict[str, Any]]:
    """A row per field of one run."""
    run = build_analysis(compose([*overrides, f"seed={seed}"])).run_sync(folder / str(seed))
    record, sessions = run.record, run.sessions
    assert sessions["session_id"].n_unique() == len(sessions) == record["sessions"]["sampled"]
    return [
        {
            "seed": seed,
            "field": field,
            **{measure: metrics[measure]["value"] for measure in MEASURES},
            "labels": record["labels"][field]["final"],
            "concepts": int(metrics["concept_count"]["value"]),
            "speedup": record["speedup"],
            "model_seconds": record["model_seconds"],
            "cost_usd": record["cost_usd"],
            "unresolved": record["sessions"]["unresolved"],
        }
        for field, metrics in record["metrics"].items()
    ]


def run_seeds(data: str, overrides: Sequence[str], seeds: int, folder: Path) -> list[pl.DataFrame]:
    """All settings on one data set, at seeds 1 to `seeds`."""
    frames = []
    # Spawned, not forked: Polars' threads do not survive a fork.
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for setting, changes in SETTINGS.items():
            where = folder / data / setting
            runs = pool.map(run_once, repeat(where), repeat([*overrides, *changes]), range(1, seeds + 1))
            rows = [row for run in track(runs, f"{data}, {setting}", total=seeds) for row in run]
            names = (pl.lit(data).alias("sessions"), pl.lit(setting).alias("setting"))
            frames.append(pl.DataFrame(rows).select(*names, pl.all()))
    return frames


def table(frame: pl.DataFrame) -> str:
    """Means over seeds with their 95 % intervals (Student's t), as Markdown."""
    lines = [
        "| sessions | setting | field | consistency | guard (precision) | labels / concepts | speedup |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for names, group in frame.group_by(["sessions", "setting", "field"], maintain_order=True):
        cells = [str(name) for name in names]
        for measure in ("consistency", "precision"):
            estimate = paired_interval(group[measure].to_list())
            cells.append(f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]")
        cells.append(f"{group['labels'].mean():.1f} / {group['concepts'].mean():.1f}")
        faster = paired_interval(group["speedup"].to_list())
        cells.append(f"{faster.value:.2f} [{faster.low:.2f}, {faster.high:.2f}]")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def draw_timeline(folder: Path, into: Path) -> None:
    """The time line of one run."""
    run = load_run(folder)
    ax = timeline(
        run.calls, title=f"{len(run.sessions):,} synthetic sessions, simulated {run.record['model']}"
    )
    assert isinstance(ax.figure, Figure)
    ax.figure.savefig(into / "timeline.png")


def main() -> None:
    """Run everything and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--star", type=Path, default=STAR, help="star.parquet; left out if it is not there")
    parser.add_argument("--into", type=Path, default=HERE, help="where the results go")
    arguments = parser.parse_args()
    arguments.into.mkdir(parents=True, exist_ok=True)
    count = f"data.count={arguments.sessions}"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        frames = run_seeds("synthetic", [count], arguments.seeds, folder)
        if arguments.star.exists():
            store = folder / "star.duckdb"
            import_sessions(arguments.star, store, bot_id="default", mapping={}, strict=False)
            frames += run_seeds("STAR", [count, "data=store", f"data.path={store}"], arguments.seeds, folder)
        draw_timeline(folder / "synthetic" / "default" / "1", arguments.into)
    frame = pl.concat(frames)
    frame.write_csv(arguments.into / "results.csv", float_precision=6)
    (arguments.into / "table.md").write_text(table(frame), encoding="utf-8")
    print(table(frame))


if __name__ == "__main__":
    main()
