"""Reading a finished run folder."""

from __future__ import annotations

import html
import json
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl

from autoanalyze.errors import RunFolderError

__all__ = ["Run", "load_run"]

TABLES = ("sessions", "labels", "merges", "rounds")
FILES = (*(f"{name}.parquet" for name in TABLES), "calls.jsonl")
DETECTION_FILES = ("labels.parquet", "merges.parquet", "calls.jsonl")
"""What a run on a planted label set leaves: it has no sessions."""
CALL_COLUMNS = {
    "call": pl.Int64,
    "kind": pl.String,
    "phase": pl.String,
    "round": pl.Int64,
    "stream": pl.Int64,
    "attempt": pl.Int64,
    "start": pl.Float64,
    "end": pl.Float64,
    "finish_reason": pl.String,
}
COUNTED_COLUMNS = dict.fromkeys(("prompt", "cached", "completion", "embedded", "sessions"), pl.Int64)


class Run:
    """One finished run. `record` is its run.json; the frames are read when they are first used."""

    def __init__(self, path: Path, record: dict[str, Any]) -> None:
        self.path = path
        self.record = record

    @cached_property
    def sessions(self) -> pl.DataFrame:
        """A row per sampled session: final and first labels, status, phase, stream."""
        return self._table("sessions")

    @cached_property
    def labels(self) -> pl.DataFrame:
        """The vocabulary: a row per label with its arrival, canonical label and sessions."""
        return self._table("labels")

    @cached_property
    def merges(self) -> pl.DataFrame:
        """The ledger: a row per pair of labels that was decided on; `merged` tells those that became one."""
        return self._table("merges")

    @cached_property
    def probes(self) -> pl.DataFrame | None:
        """A row per session that was labelled twice: the second answer; null where none was."""
        return self._table("probes") if (self.path / "probes.parquet").exists() else None

    @cached_property
    def rounds(self) -> pl.DataFrame:
        """A row per round; times in seconds on the run's clock."""
        return self._table("rounds")

    @cached_property
    def truth(self) -> pl.DataFrame | None:
        """Known concepts per session and field; null where nothing is known."""
        return self._table("truth") if (self.path / "truth.parquet").exists() else None

    @cached_property
    def calls(self) -> pl.DataFrame:
        """A row per answered call, from the journal; times in seconds on the run's clock."""
        lines = (self.path / "calls.jsonl").read_text(encoding="utf-8").splitlines()
        answered = [call for call in map(json.loads, lines) if call["event"] == "answered"]
        rows = [
            {
                **{name: call[name] for name in CALL_COLUMNS},
                **call["usage"],
                "sessions": len(call["session_ids"]),
            }
            for call in answered
        ]
        return pl.DataFrame(rows, schema={**CALL_COLUMNS, **COUNTED_COLUMNS})

    def pandas(self, table: str) -> pd.DataFrame:
        """One of the tables (sessions, labels, merges, rounds, truth, calls) as a pandas frame."""
        frame = getattr(self, table)
        return pd.DataFrame() if frame is None else frame.to_pandas()

    def __repr__(self) -> str:
        """The run by its folder."""
        return f"Run({str(self.path)!r})"

    def _table(self, name: str) -> pl.DataFrame:
        return pl.read_parquet(self.path / f"{name}.parquet")

    def _repr_html_(self) -> str:
        sessions, tokens = self.record["sessions"], self.record["tokens"]
        rows = {
            "model": f"{self.record['model']} ({self.record['endpoint']})",
            "sessions labelled / unresolved": f"{sessions['labelled']:,} / {sessions['unresolved']:,}",
            "model time": f"{self.record['model_seconds']:,.1f} s",
            "speedup": "not measured" if self.record["speedup"] is None else f"{self.record['speedup']:.2f}x",
            "calls": f"{self.record['calls']:,}",
            "tokens prompt / completion": f"{tokens['prompt']:,} / {tokens['completion']:,}",
            "cost": f"{self.record['cost_usd']:.4f} USD",
            "run folder": str(self.path),
        }
        cells = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
            for name, value in rows.items()
        )
        return f"<table>{cells}</table>"


def load_run(path: Path | str) -> Run:
    """The run in a folder.

    Raises RunFolderError for a folder that holds no run, or one that has not finished.
    """
    path = Path(path)
    try:
        record = json.loads((path / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise RunFolderError(f"{path} holds no readable run.json: is it the folder of a run?") from None
    if not isinstance(record, dict) or record.get("status") != "done":
        status = record.get("status") if isinstance(record, dict) else "unknown"
        raise RunFolderError(f"the run in {path} has no results: its status is {status}")
    wanted = DETECTION_FILES if record.get("kind") == "detection" else FILES
    missing = [name for name in wanted if not (path / name).exists()]
    if missing:
        raise RunFolderError(f"{path} lacks {', '.join(missing)}")
    return Run(path, record)
