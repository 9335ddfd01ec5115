"""How fast can it be and stay consistent, and which lever brings what?

    .venv/bin/python experiments/schedules/run.py [--seeds 20] [--quick] [--into FOLDER]

20 paired seeds, and 60 where the targets are close. Writes beside itself results.csv (a row per run and
field), table.md (the targets), levers.md (one lever taken away at a time) and levers.png. The quick form
takes 100 sessions and two seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import polars as pl
from matplotlib.figure import Figure

from autoanalyze.campaigns import Point, measure
from autoanalyze.study.intervals import Estimate, paired_interval, shown
from autoanalyze.study.plots import speed_and_consistency

HERE = Path(__file__).resolve().parent
INTENT = "general_intent"

WORKLOADS = {
    "100 sessions, 8 streams": ("data.count=100", "parallel.streams=8"),
    "1,000 sessions, 8 streams": ("data.count=1000", "parallel.streams=8"),
    "10,000 sessions, 32 streams": ("data.count=10000", "parallel.streams=32"),
    "10,000 sessions, 32 streams, 200k TPM": ("data.count=10000", "parallel.streams=32", "limits=tier1"),
}
LIMITED = "10,000 sessions, 32 streams, 200k TPM"
LEVERED = ("100 sessions, 8 streams", "1,000 sessions, 8 streams")

SETTINGS = {
    "default": (),
    "design": ("preset=design",),
    "default, one stream": ("parallel.streams=1",),
    "design, one stream": ("preset=design", "parallel.streams=1"),
    "original prompt": ("preset=original",),
    "sequential": ("sync=sequential",),
    "sequential, labels": ("sync=sequential", "reply=labels"),
}
LEVERS = {
    "fixed discovery (150, 5 a call)": ("discovery=fixed",),
    "barrier after each round": ("sync=rounds",),
    "calls of 4": ("parallel.sessions_per_stream=4",),
    "no shrinking calls": ("parallel.taper=null",),
    "ramp and end with calls of 5": ("parallel.smallest_call=5",),
    "a tenth of the collisions": ("discovery.collisions=20",),
    "labels spelled out": ("reply=labels",),
    "no merging on the way": ("resolution.every_labels=null",),
    "merging every 30 labels": ("resolution.every_labels=30",),
    "merging every 30, aliases stay": ("resolution.every_labels=30", "vocabulary.withdraw_aliases=false"),
    "judge sees all labels at once": ("resolution=llm",),
    "judge sees all labels, once": ("resolution=llm", "resolution.opinions=1"),
    "offline embeddings": ("embeddings=offline",),
    "embeddings decide, no judge": ("resolution=embeddings",),
    "nothing shared, no discovery": ("sync=none", "discovery=none"),
    "sequential": ("sync=sequential",),
}


def points(seeds: int, workloads: Sequence[str], close_factor: int) -> list[Point]:
    """All runs; the longest first, so that no core is left alone with one at the end.

    `close_factor` times as many seeds where the targets are close to what is reached.
    """
    chosen: dict[tuple[str, str], tuple[str, ...]] = {}
    for workload in reversed(workloads):
        for setting, overrides in SETTINGS.items():
            if workload != LIMITED or setting in ("default", "design"):
                # What a setting says of streams holds, so it comes last.
                chosen[workload, setting] = (*WORKLOADS[workload], *overrides)
        if workload in LEVERED:
            for lever, overrides in LEVERS.items():
                chosen[workload, lever] = (*WORKLOADS[workload], *overrides)
    return [
        Point((("workload", workload), ("setting", setting)), overrides, seed)
        for (workload, setting), overrides in chosen.items()
        for seed in range(1, seeds * (close_factor if close_to_target(workload, setting) else 1) + 1)
    ]


def close_to_target(workload: str, setting: str) -> bool:
    """Whether so little lies between target and result that it takes more seeds to tell."""
    return workload in LEVERED and setting in ("default", "sequential", "original prompt")


def paired(frame: pl.DataFrame, workload: str, setting: str, field: str = INTENT) -> pl.DataFrame:
    """The runs of one setting, by seed."""
    here = (pl.col("workload") == workload) & (pl.col("setting") == setting) & (pl.col("field") == field)
    return frame.filter(here).sort("seed")


def baseline_of(setting: str) -> str:
    """The sequential run with the same reply form."""
    labels = setting in ("design", "design, one stream", "original prompt", "labels spelled out")
    return "sequential, labels" if labels else "sequential"


def targets(frame: pl.DataFrame, workloads: Sequence[str]) -> str:
    """The table of targets, as Markdown: a row per workload and setting, then one per field."""

    lines = [
        "| workload | setting | model seconds | speedup | parallel speedup | efficiency | consistency "
        "| guard | consistency / sequential | guard / sequential | cost / original's |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for workload in workloads:
        for setting in ("default", "design"):
            runs = paired(frame, workload, setting)
            base, free = baseline_of(setting), workload.removesuffix(", 200k TPM")
            faster = ratio_across(frame, (free, base), (workload, setting), "model_seconds")
            parallel = ratio_across(
                frame, (free, f"{setting}, one stream"), (workload, setting), "model_seconds"
            )
            use = runs["limit_use"].drop_nulls().to_list()
            efficiency = shown(paired_interval(runs["efficiency"].to_list()), 2)
            cells = [
                workload,
                setting,
                shown(paired_interval(runs["model_seconds"].to_list()), 1),
                shown(faster, 2),
                shown(parallel, 2),
                efficiency + (f"; {shown(paired_interval(use), 2)} of the limit" if use else ""),
                *(shown(paired_interval(runs[name].to_list())) for name in ("consistency", "precision")),
                *(
                    shown(ratio_across(frame, (workload, setting), (free, base), name))
                    for name in ("consistency", "precision")
                ),
                shown(ratio_across(frame, (workload, setting), (free, "original prompt"), "cost_usd"), 2),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| workload | setting | field | consistency | guard | labels / concepts |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    for workload in workloads:
        for setting in ("default", "design", "sequential"):
            for field in frame["field"].unique(maintain_order=True):
                runs = paired(frame, workload, setting, field)
                if len(runs):
                    scores = (shown(paired_interval(runs[m].to_list())) for m in ("consistency", "precision"))
                    labels = f"{runs['labels'].mean():.1f} / {runs['concepts'].mean():.1f}"
                    lines.append(f"| {' | '.join([workload, setting, field, *scores, labels])} |")
    return "\n".join(lines) + "\n"


def ratio_across(
    frame: pl.DataFrame, above: tuple[str, str], below: tuple[str, str], column: str
) -> Estimate:
    """Mean over seeds of one workload and setting over another, paired, with its 95 % interval."""
    pairs = paired(frame, *above).join(paired(frame, *below), on="seed", suffix="_below").sort("seed")
    if pairs.is_empty():
        return Estimate(None)
    return paired_interval((pairs[column] / pairs[f"{column}_below"]).to_list())


def levers(frame: pl.DataFrame, workloads: Sequence[str]) -> str:
    """The default with one lever changed at a time, as Markdown."""
    lines = [
        "| workload | changed | model seconds | speedup | consistency | guard | collisions | missed labels "
        "| utilisation | cached share | USD per 1,000 sessions |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for workload in (name for name in workloads if name in LEVERED):
        sessions = int(WORKLOADS[workload][0].removeprefix("data.count="))
        for setting in ("default", *LEVERS):
            runs = paired(frame, workload, setting)
            faster = ratio_across(
                frame, (workload, baseline_of(setting)), (workload, setting), "model_seconds"
            )
            cells = [
                workload,
                "nothing" if setting == "default" else setting,
                f"{runs['model_seconds'].mean():.1f}",
                shown(faster, 2),
                *(shown(paired_interval(runs[name].to_list())) for name in ("consistency", "precision")),
                f"{runs['collisions'].mean():.1f}",
                f"{runs['missed_labels'].mean():.1f}",
                f"{runs['utilisation'].mean():.2f}",
                f"{runs['cached_share'].mean():.2f}",
                f"{runs['cost_usd'].mean() / sessions * 1000:.4f}",  # type: ignore[operator]  # numbers
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def draw(frame: pl.DataFrame, workload: str, into: Path) -> None:
    """Speed against consistency, a point per setting."""
    spots = []
    for setting in ("default", "design", *LEVERS):
        faster = ratio_across(frame, (workload, baseline_of(setting)), (workload, setting), "model_seconds")
        consistency = paired_interval(paired(frame, workload, setting)["consistency"].to_list())
        spots.append((setting, faster, consistency))
    ax = speed_and_consistency(spots, title=f"{workload}, simulated gpt-4o-mini")
    assert isinstance(ax.figure, Figure)
    ax.figure.savefig(into / "levers.png")


def main() -> None:
    """Run everything and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="100 sessions and two seeds, in half a minute")
    parser.add_argument("--into", type=Path, default=HERE, help="where the results go")
    arguments = parser.parse_args()
    arguments.into.mkdir(parents=True, exist_ok=True)
    workloads = list(WORKLOADS)[:1] if arguments.quick else list(WORKLOADS)
    seeds, close_factor = (2, 1) if arguments.quick else (arguments.seeds, 3)
    frame = measure(points(seeds, workloads, close_factor), "Runs")
    frame.write_csv(arguments.into / "results.csv", float_precision=6)
    for name, table in (("table", targets(frame, workloads)), ("levers", levers(frame, workloads))):
        (arguments.into / f"{name}.md").write_text(table, encoding="utf-8")
        print(table)
    draw(frame, workloads[-1] if arguments.quick else LEVERED[1], arguments.into)


if __name__ == "__main__":
    main()
