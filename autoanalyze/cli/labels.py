"""`autoanalyze labels`: the final labels of a run, listed and edited."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autoanalyze.errors import InputError

if TYPE_CHECKING:
    from rich.console import Group

    from autoanalyze.editing.labels import Labels

SHOWN = 15
"""Labels of a field that are listed without --all."""


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("labels")(labels_command)


def labels_command(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    given: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="What --merge or --undo is about.")
    ] = None,
    field: Annotated[str | None, typer.Option(help="The label field, where several have that name.")] = None,
    all_: Annotated[bool, typer.Option("--all", help=f"List more than {SHOWN} labels per field.")] = False,
    rename: Annotated[
        tuple[str, str] | None, typer.Option(metavar="OLD NEW", help="Call a label otherwise.")
    ] = None,
    merge: Annotated[
        bool, typer.Option("--merge", help="Make labels one: --merge A B --into C; C may be new.")
    ] = False,
    into: Annotated[str | None, typer.Option(metavar="NAME", help="What they are called then.")] = None,
    csv: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write sessions and their labels to be reviewed.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite that file if it exists.")] = False,
    accept: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Correct sessions as a reviewed CSV says: session_id and a column per label field; an "
            "empty cell leaves a label as it is, - takes it away, a new name makes a label.",
        ),
    ] = None,
    undo: Annotated[
        bool, typer.Option("--undo", help="Take the last edit back, or --undo N that of a number.")
    ] = False,
) -> None:
    """List the labels of a run; rename and merge them, correct single sessions, take edits back.

    Scores are computed anew, without any call, and vocabulary.from=RUN uses the new names in the next run.
    """
    from rich.console import Console

    from autoanalyze.analysis.folder import as_typed
    from autoanalyze.editing.labels import labels

    names, console = given or [], Console()
    wishes = {"--rename": rename, "--merge": merge, "--accept": accept, "--undo": undo, "--csv": csv}
    chosen = [option for option, wish in wishes.items() if wish]
    if len(chosen) > 1:
        raise InputError(f"{' and '.join(chosen)} are two wishes: give one after the other")
    if names and not (merge or undo):
        raise InputError(f"what is to be done with {names[0]!r}? --merge A B --into C, or --rename OLD NEW")
    if merge != (into is not None) or (merge and not names):
        raise InputError("labels are merged with `labels RUN --merge A B --into C`")
    found = labels(run_folder)
    if csv is not None:
        sessions = found.write(csv, force=force)
        if csv != "-":
            said = f"{sessions:,} sessions written to {csv}; change labels in it, then --accept it"
            console.print(said, markup=False, highlight=False, soft_wrap=True)
        return
    if rename:
        found.rename(*rename, field=field)
    elif into is not None:
        found.merge(names, into=into, field=field)
    elif accept is not None:
        found.accept(accept)
    elif undo:
        found.undo(edit_number(names))
    else:
        console.print(labels_tables(found, field=field, everything=all_))
        return
    back = f"`autoanalyze labels {as_typed(run_folder)} --undo` takes the last edit back"
    said = found.done if undo else f"{found.done}; {back}"
    console.print(said, markup=False, highlight=False, soft_wrap=True)


def edit_number(given: list[str]) -> int | None:
    """The edit to take back; null for the last one. Raises InputError."""
    if len(given) > 1 or not all(text.isdecimal() for text in given):
        raise InputError("--undo takes the number of one edit, as `autoanalyze labels RUN` lists them")
    return int(given[0]) if given else None


def labels_tables(found: Labels, *, field: str | None, everything: bool) -> Group:
    """The labels of each field, of all sessions that have one, and the edits that stand."""
    from rich.console import Group, RenderableType
    from rich.table import Table
    from rich.text import Text

    from autoanalyze.cli.listings import visible
    from autoanalyze.study.attractors import swallowing

    parts: list[RenderableType] = [Text(f"{word}: {why}") for word, why in found.run.caveats.items()]
    fields = [part["name"] for part in found.run.record["config"]["schema"]["fields"]]
    if field is not None and field not in fields:
        raise InputError(f"there is no label field {field!r}: the fields are {', '.join(fields)}")
    for (name,), rows in found.frame.group_by("field", maintain_order=True):
        if field not in (None, name):
            continue
        used = rows if everything else rows.filter(rows["sessions"] > 0).head(SHOWN)
        table = Table(title=f"\n{name}", title_justify="left", box=None, padding=(0, 1, 0, 0))
        table.add_column("sessions", justify="right", no_wrap=True)
        table.add_column("share", justify="right", no_wrap=True)
        table.add_column("label", overflow="fold")
        table.add_column("merged into it", overflow="fold")
        table.add_column("origin", no_wrap=True)
        themed = rows["theme"].null_count() < len(rows)
        if themed:
            table.add_column("theme", overflow="fold")
        for row in used.iter_rows(named=True):
            merged = Text(visible(", ".join(row["merged"])))
            label = Text(visible(row["label"]), style="bold")
            theme = [Text(visible(row["theme"] or ""))] if themed else []
            shares = f"{row['sessions']:,}", f"{row['share']:.1%}"
            table.add_row(*shares, label, merged, Text(row["origin"]), *theme)
        parts.append(table)
        parts += [Text(f"  {visible(said)}") for said in swallowing(found.run.record, name)]
        if len(used) < len(rows):
            parts.append(Text(f"  ... and {len(rows) - len(used):,} more: --all"))
    edits = [f"  {number}  {visible(what)}" for number, what, _ in found.edits.iter_rows()]
    if edits:
        parts.append(Text("\n".join(("\nedits, which --undo N takes back:", *edits))))
    return Group(*parts)
