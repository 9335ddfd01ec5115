"""The command that writes a page to send: `report`, of one run or of what changed between two."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autoanalyze.errors import InputError


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("report")(report_command)


def report_command(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished or stopped run.")],
    other: Annotated[
        Path | None, typer.Argument(metavar="RUN2", help="A second run: tell what changed up to it.")
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(help="File to write. By default RUN/report.html, or RUN2/report-against-RUN.html."),
    ] = None,
    no_transcripts: Annotated[
        bool, typer.Option("--no-transcripts", help="Leave out transcripts, and notes, which quote them.")
    ] = False,
    mask: Annotated[
        bool,
        typer.Option(
            "--mask",
            help="Mask mail addresses and numbers of six or more digits (phones, cards, accounts) in "
            "transcripts, notes and labels. Names and session ids stay.",
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file of --to if it exists.")] = False,
) -> None:
    """Write a page to send, one HTML file; with two runs, what rose, fell, is new or gone.

    Labels lead to their sessions and transcripts; the page of two runs has figures alone.
    """
    from autoanalyze.analysis.folder import as_typed
    from autoanalyze.analysis.paging import write_comparison, write_report

    if to is not None and to.exists() and not force:
        raise InputError(f"{to} exists: give another name, or --force to overwrite it")
    if other is None:
        written = write_report(run_folder, to, transcripts=not no_transcripts, mask=mask)
    else:
        written = write_comparison(run_folder, other, to, mask=mask)
    typer.echo(as_typed(written))
