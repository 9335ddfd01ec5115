"""The run folder: everything that a run leaves behind, in formats that any tool reads.

run.json        what was run, how it ended and what it measured; wall-clock figures apart under `wall`
progress.json   how far it is, replaced atomically, readable by any process while the run goes on
calls.jsonl     the journal
*.parquet       sessions, labels, merges, rounds, and truth where it is known
cancel          present once somebody asked the run to stop
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from autoanalyze.errors import RunFolderError

__all__ = ["RunFolder", "new_path"]


def new_path() -> Path:
    """A path for the next run, named after this moment as Hydra names it for the command line."""
    return Path("outputs") / datetime.now().strftime("%Y-%m-%d/%H-%M-%S-%f")


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
                f"{folder.path} holds a run already: choose another folder (hydra.run.dir=...)"
            )
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
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

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Replace a JSON file as a whole, so that no reader ever sees half of it."""
        draft = self.path / f".{name}.draft"
        draft.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        draft.replace(self.path / name)

    def read_json(self, name: str) -> dict[str, Any]:
        """A JSON file of this folder. Raises RunFolderError when there is none."""
        try:
            content: dict[str, Any] = json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunFolderError(f"{self.path} is not the folder of a run: {name}: {error}") from None
        return content

    def write_table(self, name: str, frame: pl.DataFrame) -> None:
        """Write `name`.parquet."""
        frame.write_parquet(self.path / f"{name}.parquet")

    def request_cancel(self) -> None:
        """Ask the run, wherever it is running, to stop."""
        (self.path / "cancel").touch()

    @property
    def cancel_requested(self) -> bool:
        """Whether somebody asked the run to stop."""
        return (self.path / "cancel").exists()
