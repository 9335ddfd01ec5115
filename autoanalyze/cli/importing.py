"""The import command: sessions from other people's files into a store, or a look at what would go in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autoanalyze.errors import ImportDataError, InputError

if TYPE_CHECKING:
    from rich.table import Table

    from autoanalyze.data.reports import ImportOptions, ImportReport, Look, LookedAt

LISTED = 20
LONGEST_TEXT = 70

FilesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE...",
        help="Files, folders or patterns: CSV, JSON, JSONL, Parquet, Excel or VTT, also .gz and .zst.",
    ),
]
MapOption = Annotated[
    list[str] | None,
    typer.Option("--map", help="Their column, or dotted path, for a field of ours: theirs=ours; again."),
]
RoleOption = Annotated[
    list[str] | None,
    typer.Option("--role", help="Their word for who speaks: theirs=user, bot, agent or skip; again."),
]
DatesOption = Annotated[str | None, typer.Option(help="What 05/06 means: day-first or month-first.")]
BadOption = Annotated[
    bool | None,
    typer.Option(
        "--partial/--strict",
        help="Sessions with bad rows: let in what is left of them, marked, or import nothing at all.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("import")(import_command)


def import_command(
    files: FilesArgument,
    into: Annotated[Path | None, typer.Option(help="DuckDB file to import into; made if missing.")] = None,
    look: Annotated[bool, typer.Option("--look", help="Say what is recognised; write nothing.")] = False,
    bot: Annotated[str, typer.Option(help="The bot these sessions belong to.")] = "default",
    map_: MapOption = None,
    role: RoleOption = None,
    dates: DatesOption = None,
    bad: BadOption = None,
) -> None:
    """Import sessions into a store. Importing the same file again adds nothing; what grew is extended.

    A session goes in whole or not at all: one of which a message is rejected is listed, and stays out.
    """
    from rich.console import Console

    from autoanalyze.data.importers import look as look_at

    options = options_of(map_, role, dates, bad, bot)
    console = Console(soft_wrap=True)
    if look:
        show_look(console, look_at(files, options))
        return
    if into is None:
        raise InputError("--into is missing: name the store, as in --into sessions.duckdb, or --look first")
    show_report(console, imported(console, files, into, options))


def options_of(
    map_: list[str] | None, role: list[str] | None, dates: str | None, bad: bool | None, bot: str = "default"
) -> ImportOptions:
    """What the options say of files. Raises InputError for what cannot be meant."""
    from autoanalyze.data.reports import ImportOptions

    mapping, roles = pairs("--map", map_, "conversation=session_id"), pairs("--role", role, "Kundin=user")
    return ImportOptions(bot, mapping, roles, dates, bad is True, bad is False)


def imported(console: Any, files: Sequence[str], into: Path, options: ImportOptions) -> ImportReport:
    """Import with a bar on the screen."""
    from rich.progress import Progress

    from autoanalyze.analysis.build import import_sessions

    with Progress(console=console, transient=True) as bars:
        task = bars.add_task("Importing", total=None)
        return import_sessions(
            files, into, options, progress=lambda done, all_: bars.update(task, completed=done, total=all_)
        )


def pairs(option: str, given: Sequence[str] | None, example: str) -> dict[str, str]:
    """What an option that is given as theirs=ours says; theirs may hold a sign of equality itself."""
    found = {}
    for text in given or []:
        theirs, separator, ours = text.rpartition("=")
        if not separator or not theirs:
            raise InputError(f"{option} {text}: write it as theirs=ours, such as {option} {example}")
        found[theirs] = ours
    return found


def show_report(console: Any, report: ImportReport) -> None:
    """Say what an import did. Raises ImportDataError, after that, if it brought nothing."""
    said = [f"{report.added:,} sessions added"]
    if report.extended:
        said.append(f"{report.extended:,} extended")
    said += [f"{report.messages:,} messages", f"{report.already_there:,} already there"]
    told = {
        "with known labels": report.with_truth,
        "without messages": report.without_messages,
        "without messages that were rejected": report.partial,
    }
    said += [f"{count:,} {what}" for what, count in told.items() if count]
    console.print(", ".join(said), highlight=False)
    show_trouble(console, report)
    if report.brought_nothing:
        raise ImportDataError(
            "nothing was imported: no session could be used; see what is said above, and "
            "`autoanalyze import FILE --look`"
        )


def show_trouble(console: Any, report: ImportReport) -> None:
    """What stays out and why, and what was left out on purpose."""
    if report.left_out:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(report.left_out.items()))
        console.print(f"left out, since no message: {kinds}", markup=False, highlight=False)
    refused = [
        f"{one.session_id} ({one.file}:{', '.join(map(str, one.lines[:3]))}): {one.reasons[0]}"
        for one in report.refused
    ]
    lists: dict[str, Sequence[str]] = {
        "sessions refused whole (--partial lets in what is left of them)": refused,
        "sessions in conflict with the store": [
            f"{one.session_id}: {one.reasons[0]}" for one in report.conflicts
        ],
        "rows rejected": [f"{row.file}:{row.line}: {row.reason}" for row in report.rejected],
        "notes": report.notes,
    }
    for title, lines in lists.items():
        if lines:
            console.print(f"{len(lines):,} {title}:", markup=False, highlight=False)
            for line in lines[:LISTED]:
                console.print(f"  {line}", markup=False, highlight=False)
            if len(lines) > LISTED:
                console.print(f"  ... and {len(lines) - LISTED:,} more")


def show_look(console: Any, seen: Look) -> None:
    """Say what was recognised, with three sessions as they would go in."""
    show_recognised(console, seen.report)
    for one in seen.samples:
        about = (
            f"\n{one.session_id} (user {one.user_id}, {one.containment_type}, {one.start_time or 'no time'})"
        )
        console.print(about, markup=False, highlight=False)
        for message in one.messages[:4]:
            text = " ".join(message.text.split())
            cut = text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"
            console.print(f"  {message.role}: {cut}", markup=False, highlight=False)
        if len(one.messages) > 4:
            console.print(f"  ... {len(one.messages) - 4:,} more messages")
    console.print(f"\n{seen.sessions:,} sessions would go in; nothing was written")
    show_trouble(console, seen.report)


def show_recognised(console: Any, report: ImportReport) -> None:
    """Say how files were understood, those that are alike together, and who speaks in them."""
    alike: dict[tuple[Any, ...], list[LookedAt]] = {}
    for file in report.files:
        kind = (file.layout, *map(str, (file.columns, file.unused, file.dates, file.made_ids)))
        alike.setdefault(kind, []).append(file)
    for files in alike.values():
        console.print(file_table(files[0], len(files) - 1))
    words: dict[str, Counter[str]] = {}
    for (theirs, ours), count in report.roles.items():
        words.setdefault(ours, Counter())[theirs] += count
    for ours, theirs_counted in sorted(words.items()):
        told = ", ".join(f"{theirs} ({count:,})" for theirs, count in theirs_counted.most_common())
        console.print(f"role {ours}: {told}", markup=False, highlight=False)


def file_table(file: LookedAt, others: int) -> Table:
    """What was recognised in one file, and in `others` as in it."""
    from rich.table import Table
    from rich.text import Text

    more = f" and {others:,} more" if others else ""
    title = Text(f"{file.file}{more}: {file.layout}", style="italic")
    table = Table(title=title, title_justify="left", box=None, show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for ours, theirs in file.columns.items():
        table.add_row(ours, Text(", ".join(theirs)))
    if file.unused:
        table.add_row("not used", Text(", ".join(file.unused)))
    for column, order in file.dates.items():
        table.add_row("dates", Text(f"{column}: {order or 'cannot be told apart (--dates)'}"))
    if file.made_ids:
        table.add_row("session_id", "none there: made of file and line")
    return table
