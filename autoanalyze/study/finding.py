"""Finding the run folders below any number of paths, and saying why others are left out."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from autoanalyze.errors import RunFolderError
from autoanalyze.study.runs import FILES

DEFAULT_PATHS = ("outputs", "multirun")
"""Where Hydra puts runs and sweeps."""

STATUSES = frozenset({"created", "running", "done", "cancelled", "stopped", "failed"})
PARQUET_MARK = b"PAR1"
PART = re.compile("baseline|repeat-[0-9]+")
"""Folders inside a run's that are part of it."""


@dataclass(frozen=True, slots=True)
class Found:
    """A finished run: `name` is its folder as it was given, `path` the same in full."""

    name: str
    path: Path
    record: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Skipped:
    """A folder that was left out, and why."""

    path: str
    reason: str


class Search:
    """Looks for run folders; `found` and `skipped` hold what came of it, sorted by name.

    Without paths it looks into `outputs` and `multirun`, where they exist. `baseline` and `repeat-2` inside
    a run folder are part of that run; any other run below it is a run of its own. Raises RunFolderError for
    a path that does not exist.
    """

    def __init__(self, paths: Sequence[str | Path]) -> None:
        self._seen: set[tuple[int, int]] = set()
        self.found: list[Found] = []
        self.skipped: list[Skipped] = []
        given = [os.fspath(path) for path in paths]
        for path in given or [path for path in DEFAULT_PATHS if Path(path).is_dir()]:
            before = len(self.found) + len(self.skipped), len(self._seen)
            for start in starts(path):
                self._look(Path(start))
            after = len(self.found) + len(self.skipped), len(self._seen)
            # A folder that was looked through already, as part of another path, is not empty.
            if after[0] == before[0] and after[1] > before[1]:
                self._skip(path, "no run is in it")
        if not given and not self._seen:
            self._skip(" and ".join(DEFAULT_PATHS), "not there: give the folders to look into")
        self.found.sort(key=lambda run: natural(run.name))
        self.skipped.sort(key=lambda skipped: natural(skipped.path))

    def _look(self, folder: Path) -> None:
        try:
            status = folder.stat()
            entries = {entry.name: entry for entry in os.scandir(folder)}
        except OSError as error:
            self._skip(folder, f"it cannot be read ({error.strerror})")
            return
        # By identity, so that overlapping paths and links in a circle are looked through once.
        if (status.st_dev, status.st_ino) in self._seen:
            return
        self._seen.add((status.st_dev, status.st_ino))
        own = self._is_run(folder, entries.keys())
        for name in sorted(entries, key=natural):
            # Below a run there may be others, as in `outputs` after `hydra.run.dir=outputs`.
            if not (name.startswith(".") or (own and PART.fullmatch(name))) and entries[name].is_dir():
                self._look(folder / name)

    def _is_run(self, folder: Path, names: Collection[str]) -> bool:
        """Whether a folder is that of a run, which may have parts; keeps it, or notes why not."""
        if "run.json" not in names:
            if "progress.json" not in names or not is_ours(progress := read_json(folder / "progress.json")):
                return False
            self._skip(folder, unfinished(folder, progress["status"]))
            return True
        record = read_json(folder / "run.json")
        if not is_ours(record) or "id" not in record:
            what = "cannot be read as JSON" if record is None else "is not one of autoanalyze's"
            self._skip(folder, f"its run.json {what}")
            return "calls.jsonl" in names
        if record.get("kind") == "detection":
            self._skip(folder, "it is of planted labels and has no sessions: its run.json has its figures")
            return True
        reason = (
            unfinished(folder, record["status"]) if record["status"] != "done" else unreadable(folder, names)
        )
        if reason:
            self._skip(folder, reason)
        else:
            self.found.append(Found(str(folder), folder.absolute(), record))
        return True

    def _skip(self, path: str | Path, reason: str) -> None:
        shown = os.fsencode(path).decode("utf-8", "replace")
        self.skipped.append(Skipped(shown, reason))


def starts(path: str) -> Iterator[str]:
    """The folders that a path or pattern names. Raises RunFolderError when there is none."""
    # First as it stands: brackets and stars may be part of a folder's name.
    if Path(path).is_dir():
        yield path
        return
    if Path(path).name == "run.json" and Path(path).is_file():
        yield str(Path(path).parent)
        return
    if Path(path).exists():
        raise RunFolderError(f"{path} is a file: give the folder of a run, or one that holds runs")
    matches = sorted(glob.glob(os.path.expanduser(path), recursive=True), key=natural)  # noqa: PTH111, PTH207
    if not matches:
        what = "nothing matches" if glob.has_magic(path) else "there is no folder"
        raise RunFolderError(f"{what} {path} (looked from {Path.cwd()}): give a folder that holds runs")
    for match in matches:
        folder = Path(match).parent if Path(match).name == "run.json" else Path(match)
        if folder.is_dir() and not is_part(folder.absolute()):
            yield str(folder)


def is_part(folder: Path) -> bool:
    """Whether a folder lies in the baseline or a repetition of a run."""
    lineage = zip((folder, *folder.parents), folder.parents, strict=False)
    return any(PART.fullmatch(inner.name) and holds_run(outer) for inner, outer in lineage)


def holds_run(folder: Path) -> bool:
    """Whether a folder is that of a run, by its files."""
    return (folder / "run.json").is_file() and (folder / "calls.jsonl").is_file()


def read_json(path: Path) -> Any:
    """What a JSON file holds; null where it cannot be read."""
    try:
        # Twice as fast as the json module, which counts with a thousand runs.
        return from_json(path.read_bytes())
    except (OSError, ValueError):
        return None


def is_ours(record: object) -> bool:
    """Whether a record looks like one that a run of ours wrote."""
    return isinstance(record, dict) and record.get("status") in STATUSES


def unfinished(folder: Path, status: str) -> str:
    """Why a run without results is left out, and what to do about it."""
    if status == "done":
        return "it lacks run.json"
    return f"the run has not finished (its status is {status}): see `autoanalyze status {folder}`"


def unreadable(folder: Path, names: Collection[str]) -> str | None:
    """What is wrong with the files of a finished run; null when nothing is."""
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        return "its path is not valid UTF-8: rename it"
    missing = [name for name in FILES if name not in names]
    if missing:
        return f"it lacks {', '.join(missing)}"
    for name in FILES:
        try:
            whole = is_whole(f"{folder}/{name}")
        except OSError as error:
            return f"{name} cannot be read ({error.strerror})"
        if not whole:
            return f"{name} is damaged"
    return None


def is_whole(path: str) -> bool:
    """Whether a file can be opened and, if it is Parquet, ends as Parquet ends; its content is not read."""
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 (thousands of files: Path takes as long again)
        if not path.endswith(".parquet"):
            return True
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - len(PARQUET_MARK), 0))
        return size > 2 * len(PARQUET_MARK) and file.read() == PARQUET_MARK


def natural(text: str) -> list[str | int]:
    """A sort key by which `run-10` comes after `run-9`."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"([0-9]+)", text)]
