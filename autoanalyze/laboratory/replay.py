"""Runs kept in the lab book with their journals, and replayed from them without contacting anything."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from autoanalyze.analysis.build import build_analysis
from autoanalyze.analysis.configuration import restored
from autoanalyze.config import JournalConfig
from autoanalyze.errors import RunFolderError
from autoanalyze.study.runs import Run, load_run

ARCHIVE = "archive"
"""The folder of an experiment that holds its archived runs."""
KEPT = ("run.json", "calls.jsonl")
TABLES = ("sessions", "labels", "merges", "rounds", "truth")
COMPARED = ("sessions", "labels", "calls", "tokens", "cost_usd", "model_seconds", "efficiency", "metrics")
"""What run.json says of a run that a replay has to say too."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """An archived run beside its replay. `differing` names the tables and figures that came out otherwise."""

    name: str
    archived: Run
    record: dict[str, Any]
    differing: tuple[str, ...]


def archive(run_folder: Path, into: Path, name: str) -> Path:
    """Keep a finished run in the lab book: its record, its journal and its tables.

    Raises RunFolderError if it has not finished. An archived run of that name is replaced.
    """
    run = load_run(run_folder)
    folder = into / ARCHIVE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in (*KEPT, *(f"{table}.parquet" for table in TABLES)):
        if (run.path / file).exists():
            shutil.copyfile(run.path / file, folder / file)
    return folder


def replay(experiment: Path) -> Iterator[Replayed]:
    """Carry out the archived runs of an experiment again, every answer taken from their journals.

    `experiment` is a folder of the lab book, or of one finished run. Raises RunFolderError if there is no
    run to replay, and JournalError for a call that the journal lacks: this version asks something else.
    """
    folders = sorted(path.parent for path in (experiment / ARCHIVE).glob("*/run.json"))
    if not folders and (experiment / "run.json").exists():
        folders = [experiment]
    if not folders:
        raise RunFolderError(
            f"{experiment} holds no run and no {ARCHIVE}/ with runs: there is nothing to replay"
        )
    for folder in folders:
        yield replayed(folder)


def replayed(folder: Path) -> Replayed:
    """One run, carried out again in a folder that is thrown away."""
    archived = load_run(folder)
    config = replace(
        restored(archived.record["config"]),
        page=False,
        journal=JournalConfig(mode="replay", reuse=[str(folder.absolute())]),
    )
    with TemporaryDirectory() as scratch:
        again = build_analysis(config).run_sync(Path(scratch) / "run")
        tables = [t for t in TABLES if (folder / f"{t}.parquet").exists()]
        differing = [name for name in tables if not getattr(again, name).equals(getattr(archived, name))]
    differing += [key for key in COMPARED if again.record[key] != archived.record[key]]
    return Replayed(folder.name, archived, again.record, tuple(differing))
