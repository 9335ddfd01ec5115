"""Why sessions stayed unresolved: the same reason said once, with how many it kept from a label."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from autoanalyze.analysis.folder import RunFolder, as_typed
from autoanalyze.errors import NothingLabelledError, RunFolderError
from autoanalyze.study.runs import Run

VOLATILE = re.compile(r"'[^']*'|\"[^\"]*\"|\b[\w-]*\d[\w-]{5,}\b|\b\d+(\.\d+)?\b")
"""What differs from session to session of one reason: names, ids and numbers."""

LONGEST_REASON, TOLD_REASONS = 200, 3


def most_frequent(errors: Iterable[str | None]) -> list[tuple[str, int]]:
    """Reasons, the most frequent first, each in the words of its first session, with its sessions.

    Null stands for a session that has no error.
    """
    words: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for error in errors:
        if error is not None:
            kind = VOLATILE.sub("*", error)[:LONGEST_REASON]
            words.setdefault(kind, " ".join(error.split())[:LONGEST_REASON])
            counts[kind] += 1
    return [(words[kind], count) for kind, count in counts.most_common()]


def nothing_labelled(folder: RunFolder, errors: Sequence[str | None]) -> NothingLabelledError:
    """What a run ends with that has no label for any session."""
    told = "; ".join(f"{count:,} x {reason}" for reason, count in most_frequent(errors)[:TOLD_REASONS])
    return NothingLabelledError(
        f"not one of {len(errors):,} sessions was labelled: {told}. Mend that, then go on with "
        f"`autoanalyze resume {as_typed(folder.path)} --unresolved`"
    )


def check_unresolved(folder: RunFolder, record: Mapping[str, Any]) -> None:
    """Raise RunFolderError if a run that is done has nothing to ask for again, or must not be changed."""
    if not record["sessions"]["unresolved"]:
        raise RunFolderError(f"every session of {folder.path} has a label: there is nothing to ask for again")
    if Run(folder.path, {}).merges["review"].drop_nulls().len():
        raise RunFolderError(
            f"the merges of {folder.path} were reviewed, and asking again would judge them anew: start a new "
            f"run with vocabulary.from={folder.path}"
        )


def undecided_fields(run: Run) -> dict[str, str]:
    """Label fields that no judge's verdict could be had for, with what was wrong with its answers."""
    found: dict[str, str] = {}
    for error in (run.record.get("resolution") or {}).get("errors", []):
        field, left, reason = error.partition(": left unmerged: ")
        if left and run.merges.filter((pl.col("field") == field) & (pl.col("opinions") > 0)).is_empty():
            found.setdefault(field, reason)
    return found
