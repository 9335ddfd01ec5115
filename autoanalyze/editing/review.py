"""Reviewing what a run merged: undoing merges, and carrying out a reviewed list, without any call."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from autoanalyze.analysis.tables import RENAMED
from autoanalyze.editing.edits import APART, MERGED, Draft
from autoanalyze.editing.labels import call
from autoanalyze.editing.names import new_name
from autoanalyze.editing.relabelling import rewritten
from autoanalyze.errors import InputError
from autoanalyze.study.exports import guarded, unguarded
from autoanalyze.study.runs import Run


def undo(folder: Path, numbers: Collection[int]) -> Run:
    """Take merges and names back, by their number in the ledger. Raises InputError for one that is none."""

    def undone(draft: Draft) -> str:
        rows = {row["merge"]: row for row in draft.run.merges.filter("merged").iter_rows(named=True)}
        unknown = sorted(set(numbers) - rows.keys())
        if unknown:
            raise InputError(
                f"{folder} has no merge {unknown[0]}: `autoanalyze merges {folder}` lists them by number"
            )
        for number in sorted(numbers):
            decide(draft, rows[number], wanted=False)
        return f"undo {', '.join(map(str, sorted(numbers)))}"

    return rewritten(folder, undone)


def accept(folder: Path, reviewed: Path | pl.DataFrame) -> Run:
    """Carry out a reviewed list: a CSV or frame with field, alias, canonical and merged (true or false).

    Pairs that it does not name stay as they are; pairs that the ledger does not know are added. A canonical
    label that the run does not have is a new name for the label that alias is, or belongs to. Raises
    InputError that names the row for an alias that the run does not have, one with two canonical labels or
    two new names, redirects in a circle, and a fixed label that would be merged away or renamed.
    """
    rows = read_review(reviewed) if isinstance(reviewed, Path) else reviewed.to_dicts()

    def accepted(draft: Draft) -> str:
        present: dict[tuple[str, str, str], dict[int, dict[str, Any]]] = {}
        for row in draft.run.merges.iter_rows(named=True):
            present.setdefault((row["field"], row["alias"], row["canonical"]), {})[row["merge"]] = row
        labels, renamed = draft.names().labels, list[tuple[int, str, str, str]]()
        # A file has a heading, so that its first row stands in line 2.
        for line, row in enumerate(rows, start=2):
            wanted, pair = is_yes(row["merged"], line), (row["field"], row["alias"], row["canonical"])
            field, alias, canonical = pair
            if field not in labels:
                raise InputError(
                    f"line {line}: there is no label field {field!r}: there are {', '.join(labels)}"
                )
            if pair in present:
                # Two labels that swapped their names have an entry of each kind; then the number tells.
                entries = present[pair]
                known = entries.get(number_of(row), next(iter(entries.values())))
                if known["merged"] != wanted:
                    decide(draft, known, wanted=wanted)
            elif wanted and canonical not in labels[field]:
                renamed.append((line, field, alias, canonical))
            elif wanted:
                draft.set("merge", field, alias, MERGED, target=canonical)
        rename(draft, renamed)
        return "accept"

    return rewritten(folder, accepted)


def decide(draft: Draft, row: Mapping[str, Any], *, wanted: bool) -> None:
    """Let an entry of the ledger stand, or not."""
    if row["proposed_by"] == RENAMED:
        draft.set("name", row["field"], row["alias"], row["canonical"] if wanted else None)
    else:
        draft.set("merge", row["field"], row["alias"], MERGED if wanted else APART, target=row["canonical"])


def rename(draft: Draft, wanted: Collection[tuple[int, str, str, str]]) -> None:
    """Call labels otherwise, as the lines of a list say. Raises InputError that names the line."""
    said: dict[tuple[str, str], str] = {}
    for line, field, alias, given in wanted:
        names, name = draft.names(), new_name(given)
        if alias not in names.labels[field]:
            raise InputError(f"line {line}: the run has no label {alias!r} in {field}")
        root = names.root(field, alias)
        if said.setdefault((field, root), name) != name:
            raise InputError(
                f"line {line}: {alias!r} is called {said[field, root]!r} already, by a line before"
            )
        call(draft, field, root, name)


def number_of(row: Mapping[str, Any]) -> int:
    """The number that a line has in the ledger; 0 for a line that was added."""
    said = str(row.get("merge") or "")
    return int(said) if said.isdecimal() else 0


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
