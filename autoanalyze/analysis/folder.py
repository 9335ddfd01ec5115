"""The run folder: everything that a run leaves behind, in formats that any tool reads.

run.json        what was run, how it ended and what it measured; wall-clock figures apart under `wall`
progress.json   how far it is, replaced atomically, readable by any process while the run goes on
calls.jsonl     the journal
*.parquet       sessions, labels, merges, rounds, and truth where it is known
edits.parquet   what a person changed after the run, where somebody did; the other tables follow it
cancel          present once somebody asked the run to stop
.lock           held by the process that works on the run; free means that nobody does
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
from filelock import FileLock, Timeout

from autoanalyze.errors import RunFolderError

LOCK_SECONDS = 2.0
WAIT_SECONDS = 0.5


def new_path() -> Path:
    """A path for the next run, named after this moment as Hydra names it for the command line."""
    return Path("outputs") / datetime.now().strftime("%Y-%m-%d/%H-%M-%S-%f")


def as_typed(path: Path) -> Path:
    """A path as a person would type it: relative to the working folder, if it lies there."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


class RunFolder:
    """A folder of one run."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    @classmethod
    def create(cls, path: Path | str) -> RunFolder:
        """A folder for a new run, made if it does not exist.

        Raises RunFolderError if it holds a run already or cannot be written.
        """
        folder = cls(path)
        if (folder.path / "run.json").exists():
            raise RunFolderError(
                f"{folder.path} holds a run already: resume it, or choose another folder (hydra.run.dir=...)"
            )
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
            # Who asked a run to stop that had recorded nothing yet did not ask this one.
            folder.withdraw_cancel()
            folder.write_json("progress.json", {"status": "created"})
        except OSError as error:
            reason = error.strerror or str(error)
            raise RunFolderError(
                f"{folder.path} cannot be written ({reason}): choose another folder (hydra.run.dir=...)"
            ) from None
        return folder

    @property
    def journal(self) -> Path:
        """Where the calls are recorded."""
        return self.path / "calls.jsonl"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder while working on its run. Raises RunFolderError if another process does.

        The operating system frees the lock when its holder dies, however it dies.
        """
        try:
            # Whoever asks for the status holds it for a moment.
            with FileLock(self.path / ".lock", timeout=LOCK_SECONDS):
                yield
        except Timeout:
            raise RunFolderError(
                f"{self.path} is being worked on by another process: see `autoanalyze status {self.path}`"
            ) from None

    @property
    def busy(self) -> bool:
        """Whether a process is working on the run."""
        try:
            with FileLock(self.path / ".lock", timeout=0):
                return False
        except Timeout:
            return True

    def wait_until_free(self) -> None:
        """Wait for as long as another process is working on the run."""
        while self.busy:
            time.sleep(WAIT_SECONDS)

    def status(self) -> str:
        """The run's status; one that claims to be running while nobody works on it is `interrupted`."""
        status = str(self.read_json("progress.json").get("status", "unknown"))
        return "interrupted" if status in ("created", "running") and not self.busy else status

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Replace a JSON file as a whole, so that no reader ever sees half of it."""
        draft = self.path / f".{name}.draft"
        draft.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        draft.replace(self.path / name)

    def read_json(self, name: str) -> dict[str, Any]:
        """A JSON file of this folder. Raises RunFolderError when there is none."""
        try:
            content = json.loads((self.path / name).read_text(encoding="utf-8"))
            if not isinstance(content, dict):
                raise ValueError("it holds no object")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise RunFolderError(f"{self.path} is not the folder of a run: {name}: {reason}") from None
        return content

    def write_table(self, name: str, frame: pl.DataFrame) -> None:
        """Write `name`.parquet, as a whole."""
        draft = self.path / f".{name}.draft"
        frame.write_parquet(draft)
        draft.replace(self.path / f"{name}.parquet")

    def request_cancel(self) -> None:
        """Ask the run, wherever it is running, to stop."""
        (self.path / "cancel").touch()

    def withdraw_cancel(self) -> None:
        """Forget an earlier wish to stop."""
        (self.path / "cancel").unlink(missing_ok=True)

    @property
    def cancel_requested(self) -> bool:
        """Whether somebody asked the run to stop."""
        return (self.path / "cancel").exists()
