"""The commands that read finished runs: `runs` lists, compares and asks, `export` writes tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from autoanalyze.errors import InputError

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("runs")(runs_command)
    app.command("export")(export_command)


def runs_command(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH", help="Runs, folders of runs, or patterns. By default outputs and multirun."
        ),
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Put the runs side by side: what differs, and all figures.")
    ] = False,
    sql: Annotated[
        str | None,
        typer.Option(
            help="Ask the views runs, sessions, labels, merges, rounds, calls, scores and truth of all runs."
        ),
    ] = None,
    csv: Annotated[str | None, typer.Option(help="Write the table to this file; - is stdout.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite that file if it exists.")] = False,
) -> None:
    """List finished runs, newest first; compare them, or ask them in SQL."""
    from autoanalyze.exports import text_of, write_text
    from autoanalyze.listing import answer_text, comparison_tables, list_table, skipped_text
    from autoanalyze.study.collection import runs

    if compare and sql is not None:
        raise InputError("--compare and --sql are two questions: give one of them")
    found, console = runs(*(paths or ())), Console()
    if found.skipped:
        # Beside the table, so that what is piped or copied holds nothing else.
        Console(stderr=True, soft_wrap=True).print(skipped_text(found.skipped), markup=False, highlight=False)
    if compare and len(found) < 2:
        raise InputError(f"--compare needs two runs or more, and {len(found)} were found: give their folders")
    if csv is not None:
        table = (
            found.sql(sql)
            if sql is not None
            else found.comparison().frame
            if compare
            else found.frame("runs").sort("started", descending=True, nulls_last=True, maintain_order=True)
        )
        write_text(text_of(table, "csv"), csv, force=force)
        if csv != "-":
            console.print(f"{len(table):,} rows written to {csv}", markup=False, highlight=False)
    elif sql is not None:
        print(answer_text(found.sql(sql)))
    elif compare:
        console.print(comparison_tables(found.comparison().frame, console.width), highlight=False)
    elif len(found):
        console.print(list_table(list(found)), highlight=False)


def export_command(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    to: Annotated[
        str | None, typer.Option(help="File to write, by default TABLE-RUN.csv here; - is stdout.")
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option("--format", help="csv, jsonl, or excel; by default as the file ends."),
    ] = None,
    table: Annotated[str, typer.Option(help="sessions, labels, merges, rounds or calls.")] = "sessions",
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if it exists.")] = False,
) -> None:
    """Write a table of a finished run as CSV, JSON Lines, or CSV that is safe to open in Excel.

    excel: UTF-8 with a mark, and an apostrophe before what a spreadsheet would take for a formula.
    """
    from autoanalyze.exports import export
    from autoanalyze.study.runs import load_run

    run = load_run(run_folder)
    written = export(run, table, to, format_, force=force)
    if written != "-":
        rows = len(getattr(run, table))
        Console(soft_wrap=True).print(
            f"{rows:,} rows of {table} written to {written}", markup=False, highlight=False
        )
