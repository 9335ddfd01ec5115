"""Why sessions stayed unresolved: the same reason said once, with how many it kept from a label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from autoanalyze.analysis.folder import RunFolder, as_typed
from autoanalyze.errors import NothingLabelledError, RunFolderError
from autoanalyze.study.answer import most_frequent_reasons
from autoanalyze.study.runs import Run

TOLD_REASONS = 3


def nothing_labelled(folder: RunFolder, errors: Sequence[str | None]) -> NothingLabelledError:
    """What a run ends with that has no label for any session."""
    told = "; ".join(
        f"{count:,} x {reason}" for reason, count in most_frequent_reasons(errors)[:TOLD_REASONS]
    )
    return NothingLabelledError(
        f"not one of {len(errors):,} sessions was labelled: {told}. Mend that, then go on with "
        f"`autoanalyze resume {as_typed(folder.path)} --unresolved`"
    )


def check_unresolved(folder: RunFolder, record: Mapping[str, Any]) -> None:
    """Raise RunFolderError if a run that is done has nothing to ask for again, or must not be changed."""
    if not record["sessions"]["unresolved"]:
        raise RunFolderError(f"every session of {folder.path} has a label: there is nothing to ask for again")
    if Run(folder.path, {}).reviewed:
        raise RunFolderError(
            f"the labels of {folder.path} were edited since (its merges were reviewed, or names or sessions "
            "changed), and asking again would judge them anew: start a new run with "
            f"vocabulary.from={folder.path}"
        )


def undecided_fields(run: Run) -> dict[str, str]:
    """Label fields that no judge's verdict could be had for, with what was wrong with its answers."""
    found: dict[str, str] = {}
    for error in (run.record.get("resolution") or {}).get("errors", []):
        field, left, reason = error.partition(": left unmerged: ")
        if left and run.merges.filter((pl.col("field") == field) & (pl.col("opinions") > 0)).is_empty():
            found.setdefault(field, reason)
    return found
