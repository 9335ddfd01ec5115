"""Lists of merges as CSV, for a person to look through in a spreadsheet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from autoanalyze.errors import InputError
from autoanalyze.exports import guarded, unguarded
from autoanalyze.study.runs import Run

__all__ = ["is_yes", "read_review", "write_review"]

REVIEWED = ("merge", "field", "alias", "canonical", "merged", "sessions", "similarity", "judge", "reason")
YES, NO = frozenset({"true", "yes", "1"}), frozenset({"false", "no", "0", ""})


def write_review(run: Run, path: Path) -> int:
    """Write a run's ledger as CSV to be reviewed: set `merged` to true or false, and `accept` it.

    Returns the number of entries.
    """
    table = guarded(run.merges.select(REVIEWED))
    table.write_csv(path)
    return len(table)


def read_review(path: Path) -> list[dict[str, Any]]:
    """The rows of a reviewed CSV. Raises InputError for a file that is none."""
    try:
        frame = pl.read_csv(path, infer_schema=False, truncate_ragged_lines=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"{path} cannot be read as CSV: {error}") from None
    missing = [name for name in ("field", "alias", "canonical", "merged") if name not in frame.columns]
    if missing:
        raise InputError(
            f"{path} has no column {missing[0]!r}: `autoanalyze merges RUN --csv FILE` writes a list to "
            "review"
        )
    return [{name: unguarded(value) for name, value in row.items()} for row in frame.fill_null("").to_dicts()]


def is_yes(said: object, line: int) -> bool:
    """What a reviewer says of a merge. Raises InputError for anything but yes and no."""
    word = str(said).strip().lower()
    if word not in YES | NO:
        raise InputError(f"line {line}: merged is {said!r}; write true or false")
    return word in YES
