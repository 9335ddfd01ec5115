"""Runs as files for people and programs: a workbook, CSV that a spreadsheet opens without harm, plain CSV,
and JSON Lines."""

from __future__ import annotations

import codecs
import os
import re
import sys
from pathlib import Path

import polars as pl

from autoanalyze.errors import InputError
from autoanalyze.study.runs import Run
from autoanalyze.study.workbook import workbook

EXPORTED = ("sessions", "labels", "merges", "rounds", "calls")
FORMATS = ("xlsx", "excel", "csv", "jsonl")
ENDINGS = {".csv": "excel", ".jsonl": "jsonl", ".ndjson": "jsonl", ".xlsx": "xlsx"}
"""What a file becomes by its ending. People double-click CSV files, so that they are written for
spreadsheets; what goes into a pipe is for programs, and plain."""
ENDING_OF = {"xlsx": "xlsx", "excel": "csv", "csv": "csv", "jsonl": "jsonl"}

GUARD = "'"
"""Put before what a spreadsheet would take for a formula, and taken away again when a list is read."""

# Spelled out, because Polars and Python do not mean the same by `\\s`; spreadsheets skip blanks before a
# formula. A text that has guards already gets one more, so that taking one away always gives the text back.
BLANKS = " \t\r\n\v\f\x1c-\x1f\x85\xa0\u1680\u2000-\u200b\u2028\u2029\u202f\u205f\u3000\ufeff"
FORMULA = f"^[{GUARD}{BLANKS}]*[=+\\-@\t\r＝＋－＠]"  # noqa: RUF001 (spreadsheets take the wide signs too)
FORMULA_TEXT = re.compile(FORMULA)


def export(
    run: Run,
    table: str | None = None,
    to: str | None = None,
    form: str | None = None,
    *,
    force: bool = False,
) -> str:
    """Write a table of a run, or all that matters as a workbook, to a file, and say which; `-` is stdout.

    `form` is xlsx (a workbook), excel (CSV that is safe to open in a spreadsheet), csv (as it is) or jsonl,
    by default as the file ends: .csv is excel, and stdout csv. `table` is by default sessions.
    Without `to` the file is named after table and run, in the working folder. Raises InputError for another
    table or format, an ending that does not fit, a table for a workbook, which has its own, and a file that
    exists, unless `force` is set.
    """
    if table is not None and table not in EXPORTED:
        raise InputError(f"there is no table {table!r} to export: the tables are {', '.join(EXPORTED)}")
    form = chosen_format(to, form)
    if form == "xlsx" and table is not None:
        raise InputError("a workbook holds all tables: leave --table away, or write a .csv")
    name = "labels" if form == "xlsx" else table or "sessions"
    to = to or f"{name}-{run.path.resolve().name}.{ENDING_OF[form]}"
    content = workbook(run) if form == "xlsx" else text_of(getattr(run, name), form)
    write_text(content, to, force=force)
    return to


def chosen_format(to: str | None, form: str | None) -> str:
    """The format that was asked for, by name or by the ending of a file. Raises InputError."""
    if form is not None and form not in FORMATS:
        raise InputError(f"--format {form} is not known: it is one of {', '.join(FORMATS)}")
    ending = "" if to in (None, "-") else Path(str(to)).suffix.lower()
    if form is not None:
        if ending in ENDINGS and ENDING_OF[ENDINGS[ending]] != ENDING_OF[form]:
            raise InputError(f"{to} does not end as {form} does: name it otherwise, or leave --format away")
        return form
    if ending and ending not in ENDINGS:
        known = ", ".join(ENDINGS)
        raise InputError(f"what {to} is to be cannot be told by its ending: use {known}, or give --format")
    return ENDINGS.get(ending, "csv" if to == "-" else "excel")


def text_of(frame: pl.DataFrame, form: str) -> str:
    """A table as CSV, JSON Lines, or CSV for spreadsheets: marked as UTF-8, with formulas guarded.

    Texts are quoted in CSV, so that line breaks in them survive and nothing differs from an empty text.
    """
    if form == "jsonl":
        return frame.write_ndjson()
    nested = [name for name, kind in frame.schema.items() if kind.is_nested()]
    if nested:
        raise InputError(
            f"the column {nested[0]!r} holds lists, which CSV cannot: unnest it, or leave it out"
        )
    if form == "csv":
        return frame.write_csv(quote_style="non_numeric")
    return codecs.BOM_UTF8.decode() + guarded(frame).write_csv(quote_style="non_numeric")


def write_text(content: str | bytes, to: str, *, force: bool = False) -> None:
    """Write a text to a file, or to the standard output (`-`), as UTF-8 with the line ends it has; or bytes.

    Raises InputError for a file that exists, unless `force` is set, and for one that cannot be written.
    """
    written = content.encode() if isinstance(content, str) else content
    if to == "-":
        try:
            sys.stdout.flush()
            sys.stdout.buffer.write(written)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            # Whoever reads has seen enough; nothing may be written to them when Python ends, either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    try:
        with Path(to).open("wb" if force else "xb") as file:
            file.write(written)
    except FileExistsError:
        raise InputError(f"{to} exists: give another name, or --force to overwrite it") from None
    except OSError as error:
        raise InputError(f"{to} cannot be written ({error.strerror}): give another name") from None


def guarded(frame: pl.DataFrame) -> pl.DataFrame:
    """A table in which no text or heading is a formula to a spreadsheet; numbers stay numbers."""
    text = pl.col(pl.String)
    cells = pl.when(text.str.contains(FORMULA)).then(GUARD + text).otherwise(text)
    headings = {name: GUARD + name for name in frame.columns if FORMULA_TEXT.match(name)}
    return frame.with_columns(cells.name.keep()).rename(headings)


def unguarded(text: str) -> str:
    """A text as it was before `guarded`."""
    return text[1:] if text.startswith(GUARD) and FORMULA_TEXT.match(text[1:]) else text
