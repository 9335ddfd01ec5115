"""Run experiments and write them into the lab book.

    .venv/bin/python experiments/run.py [NAME ...] [--quick] [--data FOLDER]
    .venv/bin/python experiments/run.py NAME ... --redraw     figures anew from the results that are there
    .venv/bin/python experiments/run.py live endpoint=openai model=gpt-6-luna [KEY=VALUE ...]

Without names: all but the fault campaign (experiments/faults/campaign.py), and but for `live`, which costs
money, unless it is `--quick` and so simulated. Points that are there already are kept, so that an interrupted
command goes on where it was.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from autoanalyze.cli.commands import main as command_line
from autoanalyze.laboratory.points import ended_points
from autoanalyze.laboratory.replay import archive

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SHARED = ROOT.parent / "shared" / "data"
STORES = Path("outputs") / "stores"
REAL_DATA = ("star", "taubench")
STOPPED = 3
"""The exit code of a command that was interrupted."""
LIVE = "live"
"""The experiment that asks a live model: it takes settings, and is never run unasked."""
#: The runs of `streams` that are kept with their journals for `autoanalyze replay`.
ARCHIVED = {"data.count": 100, "seed": 1}


def names() -> list[str]:
    """All experiments, by name."""
    return sorted(path.stem for path in (ROOT / "configs" / "experiment").glob("*.yaml"))


def unasked(*, quick: bool) -> list[str]:
    """The experiments that are run when none is named: in the quick form all, since that costs nothing."""
    return [name for name in names() if quick or name != LIVE]


def autoanalyze(*arguments: str) -> int:
    """Exit code of a command of this package; in this process, so that its workers are started once."""
    sys.argv = ["autoanalyze", *arguments]
    try:
        command_line()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def import_real_data(folder: Path) -> None:
    """Make the session stores of the data sets that are there and not imported yet."""
    for name in REAL_DATA:
        file, store = folder / f"{name}.parquet", STORES / f"{name}.duckdb"
        if file.exists() and not store.exists():
            autoanalyze("import", str(file), "--into", str(store))


def run(name: str, data: Path, *, quick: bool, settings: Sequence[str] = ()) -> bool:
    """One experiment, with settings of one's own; whether it succeeded, or there was nothing to run it on."""
    book = [] if quick or name == LIVE else [f"report.into=experiments/{name}"]
    if name == "real_data":
        import_real_data(data)
        stores = [str(path) for n in REAL_DATA if (path := STORES / f"{n}.duckdb").exists()]
        if not stores:
            print(
                f"real_data: left out, since {data} has no {' or '.join(REAL_DATA)}.parquet (--data FOLDER)"
            )
            return True
        book.append(f"data.path={','.join(stores)}")
    sweep = Path("outputs/experiments/quick" if quick else "outputs/experiments", name)
    form = [f"hydra.sweep.dir={sweep}", "quick=true"] if quick else []
    command = ["frontier"] if name == "frontier" else ["run", f"experiment={name}"]
    code = autoanalyze(*command, *form, *book, *settings)
    if code == STOPPED:
        sys.exit(STOPPED)
    done = code == 0
    if done and name == LIVE:
        anew = ["--force"] if quick else []
        return script("compare.py", str(sweep)) == 0 and script("pairs.py", str(sweep), *anew) == 0
    if done and not quick:
        follow_up(name)
    return done


def script(name: str, *arguments: str) -> int:
    """Exit code of a script of the live experiment."""
    return subprocess.run([sys.executable, str(HERE / LIVE / name), *arguments], check=False).returncode


def objection(settings: Sequence[str]) -> str | None:
    """Why live runs with these settings must not start; null if nothing speaks against them."""
    from autoanalyze.analysis.build import build_plan
    from autoanalyze.analysis.configuration import compose
    from autoanalyze.config import IN_PROCESS
    from autoanalyze.errors import AutoAnalyzeError

    try:
        config = compose([f"experiment={LIVE}", *settings])
        if config.endpoint in IN_PROCESS:
            return "live asks a live model: give endpoint=openai or endpoint=URL, and model=...; or --quick"
        plan = build_plan(config)
    except AutoAnalyzeError as error:
        return str(error)
    if config.budget_usd is None or plan.cost_usd <= config.budget_usd:
        return None
    return (
        f"a run would cost some {plan.cost_usd:.2f} USD with {plan.model}; its share is "
        f"{config.budget_usd:g}: choose a cheaper model, a smaller data.count=..., or a higher budget_usd=..."
    )


def follow_up(name: str) -> None:
    """What an experiment leaves in the lab book besides its report."""
    if (HERE / name / "drawing.py").exists() and name in names():
        subprocess.run([sys.executable, str(HERE / name / "drawing.py")], check=True)
    if name == "streams":
        for outcome in ended_points(Path("outputs/experiments/streams")):
            settings = outcome.settings
            if all(settings[key] == value for key, value in ARCHIVED.items()):
                kept = f"{settings['case']}-{settings['parallel.streams']}-streams"
                archive(Path(outcome.folder), HERE / name, kept)


def redraw(name: str) -> None:
    """Draw a chapter's figure anew from its results, and call it in the chapter by its headline."""
    from autoanalyze.analysis.configuration import compose
    from autoanalyze.laboratory.chapter import Report
    from autoanalyze.laboratory.points import EndedPoint

    config = compose([f"experiment={name}", f"report.into={(HERE / name).relative_to(ROOT)}"])
    results = pl.read_parquet(HERE / name / "results.parquet")
    settings = results.columns[: results.columns.index("field")]
    points = [
        EndedPoint(
            *(job, 0, dict(zip(settings, values, strict=True)), str(job), "kept"),
            rows=rows.drop(settings).with_columns(seed=rows["seed"]).to_dicts(),
            model=rows.get_column("model", default=pl.Series([config.model.name]))[0],
            endpoint="simulated",
        )
        for job, (values, rows) in enumerate(results.group_by(settings, maintain_order=True))
    ]
    report = Report(config.report, points)
    figure = report.figure()
    assert figure is not None, name
    figure.savefig(HERE / name / "figure.png", metadata={"Software": None})
    chapter = HERE / name / "README.md"
    text = re.sub(
        r"!\[[^]]*\]\(figure\.png\)", f"![{report.headline}](figure.png)", chapter.read_text("utf-8")
    )
    chapter.write_text(text, encoding="utf-8")


def main() -> None:
    """Run what was asked for, and say how long each took."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(names())}; settings of {LIVE}")
    parser.add_argument("--quick", action="store_true", help="seconds each; the lab book stays as it is")
    parser.add_argument("--redraw", action="store_true", help="only draw the figures of these chapters anew")
    parser.add_argument(
        "--data", type=Path, default=SHARED, help="folder of star.parquet and taubench.parquet"
    )
    arguments = parser.parse_args()
    data = arguments.data.absolute()
    os.chdir(ROOT)
    settings = [given for given in arguments.names if "=" in given]
    chosen = [given for given in arguments.names if "=" not in given] or unasked(quick=arguments.quick)
    if unknown := sorted(set(chosen) - set(names())):
        parser.error(f"there is no experiment {unknown[0]!r}; there are {', '.join(names())}")
    if settings and chosen != [LIVE]:
        parser.error(f"{settings[0]}: settings are taken by {LIVE} alone: `run.py {LIVE} {settings[0]} ...`")
    live = LIVE in chosen and not arguments.quick and not arguments.redraw
    if live and (reason := objection(settings)):
        parser.error(reason)
    if arguments.redraw:
        for name in chosen:
            redraw(name)
        return
    failed, started = [], time.monotonic()
    for name in chosen:
        began = time.monotonic()
        print(f"\n== {name}", flush=True)
        if not run(name, data, quick=arguments.quick, settings=settings):
            failed.append(name)
        print(f"== {name} took {time.monotonic() - began:.0f} s", flush=True)
    print(f"\n{len(chosen)} experiments in {(time.monotonic() - started) / 60:.1f} min")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}; the same command goes on where it was")


if __name__ == "__main__":
    main()
