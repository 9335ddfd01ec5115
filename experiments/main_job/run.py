"""Does the main job keep 95 % consistency? 20 seeds on synthetic and on real dialogues.

    .venv/bin/python experiments/main_job/run.py [--seeds 20] [--sessions 1000] [--star FILE] [--into FOLDER]

Writes beside itself results.csv (a row per run and field), table.md (means with 95 % intervals over
seeds) and timeline.png (the streams of one synthetic run).
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import polars as pl
from matplotlib.figure import Figure

from autoanalyze.build import build_analysis, import_sessions
from autoanalyze.campaigns import Point, measure
from autoanalyze.composition import compose
from autoanalyze.study.intervals import paired_interval
from autoanalyze.study.plots import timeline

HERE = Path(__file__).resolve().parent
STAR = HERE.parents[2] / "shared" / "data" / "star.parquet"
SETTINGS = {"default": (), "design": ("preset=design",)}


def points(data: dict[str, tuple[str, ...]], sessions: int, seeds: int) -> list[Point]:
    """All settings on all data sets, at seeds 1 to `seeds`, each with its baseline."""
    return [
        Point(
            (("sessions", name), ("setting", setting)),
            ("baseline=run", f"data.count={sessions}", *source, *overrides),
            seed,
        )
        for name, source in data.items()
        for setting, overrides in SETTINGS.items()
        for seed in range(1, seeds + 1)
    ]


def table(frame: pl.DataFrame) -> str:
    """Means over seeds with their 95 % intervals (Student's t), as Markdown."""
    lines = [
        "| sessions | setting | field | consistency | guard (precision) | labels / concepts | speedup |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for names, group in frame.group_by(["sessions", "setting", "field"], maintain_order=True):
        cells = [str(name) for name in names]
        for measured in ("consistency", "precision"):
            estimate = paired_interval(group[measured].to_list())
            cells.append(f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]")
        cells.append(f"{group['labels'].mean():.1f} / {group['concepts'].mean():.1f}")
        faster = paired_interval(group["speedup"].to_list())
        cells.append(f"{faster.value:.2f} [{faster.low:.2f}, {faster.high:.2f}]")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def draw_timeline(sessions: int, into: Path) -> None:
    """The time line of one run."""
    with tempfile.TemporaryDirectory() as scratch:
        config = compose([f"data.count={sessions}", "baseline=none", "seed=1"])
        run = build_analysis(config).run_sync(Path(scratch) / "run")
        title = f"{len(run.sessions):,} synthetic sessions, simulated {run.record['model']}"
        ax = timeline(run.calls, title=title)
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
    with tempfile.TemporaryDirectory() as scratch:
        data: dict[str, tuple[str, ...]] = {"synthetic": ()}
        if arguments.star.exists():
            store = Path(scratch) / "star.duckdb"
            import_sessions(arguments.star, store, bot_id="default", mapping={}, strict=False)
            data["STAR"] = ("data=store", f"data.path={store}")
        frame = measure(points(data, arguments.sessions, arguments.seeds), "Runs")
    frame.write_csv(arguments.into / "results.csv", float_precision=6)
    (arguments.into / "table.md").write_text(table(frame), encoding="utf-8")
    draw_timeline(arguments.sessions, arguments.into)
    print(table(frame))


if __name__ == "__main__":
    main()
