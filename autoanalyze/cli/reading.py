"""The commands that read finished runs: `runs` lists, compares and asks, `export` writes tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autoanalyze.errors import InputError, JournalError


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("merges")(merges_command)
    app.command("calibrate")(calibrate_command)
    app.command("verify")(verify_command)
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
    from rich.console import Console

    from autoanalyze.cli.listings import (
        answer_text,
        comparison_tables,
        list_table,
        skipped_text,
    )
    from autoanalyze.study.collection import runs
    from autoanalyze.study.exports import text_of, write_text
    from autoanalyze.study.runs import caveats_of

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
        console.print("".join(f"\n{told}" for told in caveats_of(list(found))), markup=False, highlight=False)
    elif len(found):
        console.print(list_table(list(found)), highlight=False)
        legend = "".join(f"\n* {told}" for told in caveats_of(list(found)))
        console.print(legend, markup=False, highlight=False)


def export_command(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    to: Annotated[
        str | None,
        typer.Option(
            help="File to write: .xlsx, .csv or .jsonl; by default TABLE-RUN.csv here; - is stdout."
        ),
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option("--format", help="xlsx, excel, csv or jsonl; by default as the file ends."),
    ] = None,
    table: Annotated[
        str | None,
        typer.Option(help="sessions (the default), labels, merges, rounds or calls; xlsx has its own."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if it exists.")] = False,
) -> None:
    """Write a run as a workbook (--to labels.xlsx), or one of its tables as CSV or JSON Lines.

    A .csv file is safe to open in a spreadsheet (format excel): UTF-8 with a mark, and an apostrophe before
    what would be taken for a formula. --format csv, and stdout, leave every text as it is, for programs.
    What of a run that stopped is there is written too.
    """
    from rich.console import Console

    from autoanalyze.study.exports import export
    from autoanalyze.study.runs import load_run

    run = load_run(run_folder, partial=True)
    written = export(run, table, to, format_, force=force)
    # Beside the table, not in it: a column or a line more would break what reads it, and the workbook, which
    # people read, has a sheet that says it.
    for word, reason in run.caveats.items():
        Console(stderr=True, soft_wrap=True).print(f"{word}: {reason}", markup=False, highlight=False)
    if written != "-":
        book = written.lower().endswith(".xlsx") or format_ == "xlsx"
        what = (
            "a workbook"
            if book
            else f"{len(getattr(run, table or 'sessions')):,} rows of {table or 'sessions'}"
        )
        Console(soft_wrap=True).print(f"{what} written to {written}", markup=False, highlight=False)


def merges_command(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    undo: Annotated[
        list[int] | None, typer.Option("--undo", help="Take back the merge of this number. Repeatable.")
    ] = None,
    accept: Annotated[
        Path | None, typer.Option("--accept", help="Carry out a reviewed CSV: its column merged decides.")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Write the whole ledger as a CSV to be reviewed.")
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Also list the pairs that were looked at and kept apart.")
    ] = False,
) -> None:
    """List which labels became one, and why; undo merges, or carry out a reviewed list.

    Final labels are written anew from the labels first given and from the ledger, without any call.
    """
    from rich.console import Console

    from autoanalyze.cli.tables import ledger_tables
    from autoanalyze.editing import review
    from autoanalyze.editing.review import write_review
    from autoanalyze.study.runs import load_run

    console, run = Console(), load_run(run_folder)
    before = len(run.merges.filter("merged"))
    if undo:
        run = review.undo(run_folder, undo)
    if accept is not None:
        run = review.accept(run_folder, accept)
    if csv is not None:
        console.print(f"{write_review(run, csv):,} entries written to {csv}; set merged, then --accept it")
    elif undo or accept is not None:
        now = len(run.merges.filter("merged"))
        console.print(f"{before:,} merges before, {now:,} now; final labels and scores were written anew")
    else:
        console.print(ledger_tables(run, everything=all_))


def calibrate_command(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
) -> None:
    """Fit the simulated model's drift, omission and latency to a live run.

    Prints a noise configuration: `autoanalyze calibrate RUN > configs/noise/mine.yaml`, then noise=mine.
    """
    from autoanalyze.laboratory.calibration import calibrate
    from autoanalyze.study.runs import load_run

    print(calibrate(load_run(run_folder)).as_yaml(), end="")


def verify_command(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
) -> None:
    """Hash a run's journal again, and compare its sums with the run's record."""
    from rich.console import Console

    from autoanalyze.analysis.folder import RunFolder
    from autoanalyze.llm.audit import verify
    from autoanalyze.study.runs import Run
    from autoanalyze.study.summary import caveat_lines

    folder = RunFolder(run_folder)
    record, audit = folder.read_json("run.json"), verify(folder.journal)
    paid = record.get("paid")
    if paid and abs(paid["cost_usd"] - audit.spent_usd) > 1e-5:
        raise JournalError(
            f"run.json says {paid['cost_usd']} USD were paid, the journal {audit.spent_usd:.6f}"
        )
    for line in caveat_lines(Run(folder.path, record).caveats) if "endpoint" in record else ():
        Console(soft_wrap=True).print(line, markup=False, highlight=False)
    torn = "; its last line was torn by a crash" if audit.torn else ""
    Console().print(
        f"{folder.journal}: {audit.lines:,} lines as they were written{torn}. {audit.sent:,} calls sent, "
        f"{audit.answered:,} answered, {audit.failed:,} failed, {audit.unanswered:,} without an outcome; "
        f"{audit.spent_usd:.6f} USD spent, {audit.uncertain_usd:.6f} USD uncertain"
    )
