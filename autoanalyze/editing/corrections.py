"""Labels that a person gives single sessions, by way of a reviewed list."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import polars as pl

from autoanalyze.editing.edits import NO_LABEL, Draft
from autoanalyze.editing.names import Names, new_name
from autoanalyze.errors import InputError
from autoanalyze.study.exports import text_of, unguarded, write_text
from autoanalyze.study.runs import Run

Decide = Callable[[Draft], str]
Rows = Sequence[Mapping[str, str]]


def write(run: Run, path: str, *, force: bool) -> int:
    """Write sessions with their labels as a CSV that a spreadsheet opens without harm; how many they are."""
    fields = [field["name"] for field in run.record["config"]["schema"]["fields"]]
    write_text(text_of(run.sessions.select("session_id", *fields), "excel"), path, force=force)
    return len(run.sessions)


def read(reviewed: Path | str | pl.DataFrame) -> Rows:
    """The rows of a reviewed list. Raises InputError for a file that is none."""
    if isinstance(reviewed, pl.DataFrame):
        frame = reviewed.cast(pl.String)
    else:
        try:
            # Spreadsheets of half the world write semicolons.
            text = Path(reviewed).read_text(encoding="utf-8-sig")
            heading = text.partition("\n")[0]
            separator = ";" if ";" in heading and "," not in heading else ","
            frame = pl.read_csv(io.StringIO(text), infer_schema=False, separator=separator)
        except (OSError, UnicodeError, pl.exceptions.PolarsError) as error:
            raise InputError(f"{reviewed} cannot be read as CSV in UTF-8: {error}") from None
    frame = frame.rename({name: unguarded(name) for name in frame.columns})
    if "session_id" not in frame.columns:
        raise InputError(
            "line 1: the list has no column 'session_id': `autoanalyze labels RUN --csv FILE` writes one to "
            "review"
        )
    return [
        {name: unguarded(cell).strip() for name, cell in row.items()}
        for row in frame.fill_null("").to_dicts()
    ]


def carry_out(draft: Draft, rows: Rows) -> None:
    """Give sessions the labels of a list. Raises InputError that names the line."""
    foreign = [name for row in rows[:1] for name in row if name not in ("session_id", *draft.fields)]
    if foreign:
        raise InputError(
            f"line 1: there is no label field {foreign[0]!r}: beside session_id there are "
            f"{', '.join(draft.fields)}"
        )
    now = {row["session_id"]: row for row in draft.run.sessions.iter_rows(named=True)}
    names, seen = draft.names(), dict[str, int]()
    for line, row in enumerate(rows, start=2):
        session = row["session_id"]
        if session not in now:
            raise InputError(f"line {line}: the run has no session {session!r}")
        if session in seen:
            raise InputError(f"line {line}: session {session!r} stands in line {seen[session]} already")
        seen[session] = line
        for field in draft.fields:
            said = row.get(field, "")
            label = meant(names, field, said, line) if said else None
            final = names.final(field, label) if label not in (None, NO_LABEL) else None
            if label is not None and final != now[session][field]:
                draft.set("session", field, session, label)


def meant(names: Names, field: str, said: str, line: int) -> str:
    """The label that a cell means, as it was first given. Raises InputError that names the line."""
    if said == NO_LABEL:
        return NO_LABEL
    try:
        name = new_name(said)
    except InputError as error:
        raise InputError(f"line {line}, {field}: {error}") from None
    return names.group(field, name) or names.earlier(field, name) or name
