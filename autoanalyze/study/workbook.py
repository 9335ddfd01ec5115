"""A run as a workbook for people: what it says, its labels, its sessions, and what was merged."""

from __future__ import annotations

import io
from datetime import datetime
from typing import Any

import polars as pl
import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from autoanalyze.errors import InputError
from autoanalyze.study.answer import Answer, answer
from autoanalyze.study.places import moment, value_at
from autoanalyze.study.runs import Run, decided_by, why

SHEET_ROWS = 1_048_576
"""Rows that a sheet of a workbook can have, its heading among them."""
CELL_TEXT = 32_767
"""Characters that a cell can hold."""
WIDEST, READ_FOR_WIDTH = 60, 500

CREATED = datetime(2000, 1, 1)
"""The date that every workbook says it was made on, so that the same run gives the same bytes."""

SESSION_HEADINGS = {
    "session_id": "Session",
    "start_time": "Started (UTC)",
    "user_id": "User",
    "session_outcome": "How it ended",
    "notes": "Notes",
    "message_count": "Messages",
    "status": "Labelled",
    "error": "Why not labelled",
}
"""Columns of the sheet of sessions as a person reads them; the label fields stand behind how it ended."""


def workbook(run: Run) -> bytes:
    """The workbook: sheets Summary, Labels, Sessions and Merges; nothing in it is a formula or a link.

    Raises InputError for a run with more sessions than a sheet has rows.
    """
    tables = {"Labels": label_rows(answer(run)), "Sessions": session_rows(run), "Merges": merge_rows(run)}
    for name, table in tables.items():
        if len(table) >= SHEET_ROWS:
            raise InputError(
                f"{len(table):,} rows of {name} do not fit into a sheet, which has {SHEET_ROWS:,}: export "
                f"--table {name.lower()} --to {name.lower()}.csv"
            )
    buffer = io.BytesIO()
    options = {
        "in_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "remove_timezone": True,
        "default_date_format": "yyyy-mm-dd hh:mm",
    }
    with xlsxwriter.Workbook(buffer, options) as book:
        book.set_properties({"title": f"Labels of {run.path.name}", "created": CREATED})
        bold = book.add_format({"bold": True})
        share = book.add_format({"num_format": "0.0%"})
        summary = book.add_worksheet("Summary")
        for place, (name, value) in enumerate(summary_rows(run)):
            summary.write_string(place, 0, name, bold)
            write_cell(summary, place, 1, value, None)
        summary.set_column(0, 0, 26)
        summary.set_column(1, 1, 90)
        for name, table in tables.items():
            fill(book.add_worksheet(name), table, bold, share)
    return buffer.getvalue()


def summary_rows(run: Run) -> list[tuple[str, Any]]:
    """What the run is, and what must be known of its figures."""
    record, found = run.record, answer(run)
    started = moment(value_at(record, "wall.started"))
    caveats = [(word.capitalize(), reason) for word, reason in run.caveats.items()]
    return [
        ("Run", run.path.resolve().name),
        *caveats,
        ("Started (UTC)", started and started.replace(tzinfo=None)),
        ("Sessions", found.sampled),
        ("Sessions with labels", found.labelled),
        *((f"Without: {reason}"[:200], count) for reason, count in found.reasons),
        *((f"{title(field.name)}: labels", len(field.labels)) for field in found.fields),
        ("Model", record["model"]),
        ("Endpoint", record["endpoint"]),
        ("Cost, USD", record.get("cost_usd")),
        *([("Edited since", f"{run.edits['edit'].n_unique()} times")] if len(run.edits) else []),
        ("Shares", "of the sessions that have a label in that field; from and to are Wilson's 95 % interval"),
        ("Contained", "the bot dealt with it alone; every other session went to a human"),
    ]


ENDS = {"": "", "_low": " from", "_high": " to"}


def label_rows(found: Answer) -> pl.DataFrame:
    """A row per final label of every field, the most frequent first."""
    shares = {"share": "Share", "low": "Share from", "high": "Share to"}
    contained = {f"contained{end}": f"Contained{words}" for end, words in ENDS.items()}
    parts = [
        field.labels.select(
            pl.lit(title(field.name)).alias("Question"),
            pl.col("label").alias("Label"),
            pl.col("sessions").alias("Sessions"),
            *(pl.col(name).alias(heading) for name, heading in shares.items()),
            pl.col("merged").alias("Names merged into it"),
            *(pl.col(name).alias(heading) for name, heading in contained.items()),
        )
        for field in found.fields
    ]
    return pl.concat(parts, how="vertical_relaxed")


def session_rows(run: Run) -> pl.DataFrame:
    """A row per session, in the order of the sample; columns that a run does not have are left out."""
    fields = {name: title(name) for name in run.record["labels"]}
    before, after = ("session_id", "start_time", "user_id", "session_outcome"), tuple(SESSION_HEADINGS)[4:]
    headings = {**{name: SESSION_HEADINGS[name] for name in before}, **fields}
    headings |= {name: SESSION_HEADINGS[name] for name in after}
    known = {name: heading for name, heading in headings.items() if name in run.sessions.columns}
    return run.sessions.select(pl.col(name).alias(heading) for name, heading in known.items())


def merge_rows(run: Run) -> pl.DataFrame:
    """A row per name that became another, with who decided and why."""
    return run.merges.filter("merged").select(
        pl.col("merge").alias("Number"),
        pl.col("field").replace({name: title(name) for name in run.record["labels"]}).alias("Question"),
        pl.col("alias").alias("Name"),
        pl.col("canonical").alias("Is now"),
        pl.col("sessions").alias("Sessions that had it"),
        decided_by().alias("Decided by"),
        why().alias("Why"),
    )


def title(field: str) -> str:
    """The name of a field as a heading."""
    words = field.replace("_", " ")
    return words[:1].upper() + words[1:]


def fill(sheet: Worksheet, table: pl.DataFrame, bold: Format, share: Format) -> None:
    """Write a table into a sheet, with a heading that stays, filters, and columns as wide as their texts."""
    for column, (name, kind) in enumerate(table.schema.items()):
        sheet.write_string(0, column, name, bold)
        style = share if kind == pl.Float64 else None
        for place, value in enumerate(table[name], start=1):
            write_cell(sheet, place, column, value, style)
        texts = table[name].head(READ_FOR_WIDTH).cast(pl.String).str.len_chars()
        longest = int(texts.max() or 0)  # type: ignore[arg-type]
        sheet.set_column(column, column, min(max(longest, len(name)) + 3, WIDEST))
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, len(table), table.width - 1)


def write_cell(sheet: Worksheet, row: int, column: int, value: Any, style: Format | None) -> None:
    """Write a value as what it is: a text is never a formula, a number or a link, however it looks."""
    if isinstance(value, str):
        sheet.write_string(row, column, value[:CELL_TEXT])
    elif isinstance(value, datetime):
        sheet.write_datetime(row, column, value)
    elif value is not None:
        sheet.write(row, column, value, style)
