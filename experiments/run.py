"""Run experiments and write them into the lab book.

    .venv/bin/python experiments/run.py [NAME ...] [--quick] [--data FOLDER]
    .venv/bin/python experiments/run.py NAME ... --redraw     figures anew from the results that are there

Without names: all but the fault campaign (experiments/faults/campaign.py). Points that are there already
are kept, so that an interrupted command goes on where it was.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
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
#: The runs of `streams` that are kept with their journals for `autoanalyze replay`.
ARCHIVED = {"data.count": 100, "seed": 1}


def names() -> list[str]:
    """All experiments, by name."""
    return sorted(path.stem for path in (ROOT / "configs" / "experiment").glob("*.yaml"))


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


def run(name: str, data: Path, *, quick: bool) -> bool:
    """One experiment; whether it succeeded, or there was nothing to run it on."""
    book = [] if quick else [f"report.into=experiments/{name}"]
    if name == "real_data":
        import_real_data(data)
        stores = [str(path) for n in REAL_DATA if (path := STORES / f"{n}.duckdb").exists()]
        if not stores:
            print(
                f"real_data: left out, since {data} has no {' or '.join(REAL_DATA)}.parquet (--data FOLDER)"
            )
            return True
        book.append(f"data.path={','.join(stores)}")
    form = [f"hydra.sweep.dir=outputs/experiments/quick/{name}", "quick=true"] if quick else []
    command = ["frontier"] if name == "frontier" else ["run", f"experiment={name}"]
    code = autoanalyze(*command, *form, *book)
    if code == STOPPED:
        sys.exit(STOPPED)
    done = code == 0
    if done and not quick:
        follow_up(name)
    return done


def follow_up(name: str) -> None:
    """What an experiment leaves in the lab book besides its report."""
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
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names()))
    parser.add_argument("--quick", action="store_true", help="seconds each; the lab book stays as it is")
    parser.add_argument("--redraw", action="store_true", help="only draw the figures of these chapters anew")
    parser.add_argument(
        "--data", type=Path, default=SHARED, help="folder of star.parquet and taubench.parquet"
    )
    arguments = parser.parse_args()
    data = arguments.data.absolute()
    os.chdir(ROOT)
    chosen = arguments.names or names()
    if unknown := sorted(set(chosen) - set(names())):
        parser.error(f"there is no experiment {unknown[0]!r}; there are {', '.join(names())}")
    if arguments.redraw:
        for name in chosen:
            redraw(name)
        return
    failed, started = [], time.monotonic()
    for name in chosen:
        began = time.monotonic()
        print(f"\n== {name}", flush=True)
        if not run(name, data, quick=arguments.quick):
            failed.append(name)
        print(f"== {name} took {time.monotonic() - began:.0f} s", flush=True)
    print(f"\n{len(chosen)} experiments in {(time.monotonic() - started) / 60:.1f} min")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}; the same command goes on where it was")


if __name__ == "__main__":
    main()
