"""Runs in the terminal: a list of them, runs side by side, and the answer to a query."""

from __future__ import annotations

import string
from collections.abc import Sequence

import polars as pl
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from autoanalyze.study.comparison import listing_rows
from autoanalyze.study.finding import Skipped
from autoanalyze.study.places import value_at
from autoanalyze.study.runs import Run

SHOWN_SKIPPED = 10
NAMES_WIDTH, VALUE_WIDTH = 30, 12


def list_table(runs: Sequence[Run]) -> Table:
    """Runs, newest first: folder, start in UTC, model and what differs between them, then their figures.

    A star behind the model marks what caveats tell of below the list: figures that are simulated.
    """
    # Sorting keeps runs that began at the same moment in the order of their names.
    newest = sorted(runs, key=lambda run: value_at(run.record, "wall.started") or "", reverse=True)
    headings, *rows = listing_rows([(str(run.path), run.record) for run in newest])
    settings = headings[3:-5]
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("run", overflow="fold", vertical="bottom")
    for heading in ("sessions", "consis-\ntency", "preci-\nsion", "speedup", "cost,\nUSD"):
        table.add_column(heading, justify="right", no_wrap=True)
    for run, (name, when, model, *others) in zip(newest, rows, strict=True):
        said = [f"{setting}={value}" for setting, value in zip(settings, others, strict=False)]
        labeller = visible(model) + "*" * bool(run.caveats)
        below = Text("\n".join(filter(None, (f"{when}  {labeller}", visible(" ".join(said))))))
        cell = Group(Text(visible(name), style="bold"), Padding(below, (0, 0, 0, 2)))
        table.add_row(cell, *others[len(settings) :])
    return table


def comparison_tables(frame: pl.DataFrame, width: int) -> Group:
    """Runs side by side, as many beside each other as fit into a width; `frame` is what `compared` gives."""
    runs = [name for name in frame.columns if name not in ("part", "name", "difference")]
    letters = string.ascii_uppercase if len(runs) <= 26 else [str(n) for n in range(1, len(runs) + 1)]
    keys = dict(zip(runs, letters, strict=False))
    legend = [Text(f"{keys[run]}  {visible(run)}") for run in runs]
    parts: list[RenderableType] = [*legend]
    more = [("difference", f"{letters[1]} - {letters[0]}")] if "difference" in frame.columns else []
    fitting = max((width - NAMES_WIDTH) // VALUE_WIDTH - len(more), 1)
    for first in range(0, len(runs), fitting):
        columns = [(run, keys[run]) for run in runs[first : first + fitting]] + more
        parts += [Text(""), comparison_table(frame, columns, (width - NAMES_WIDTH) // len(columns) - 1)]
    return Group(*parts)


def comparison_table(frame: pl.DataFrame, columns: Sequence[tuple[str, str]], widest: int) -> Table:
    """One table of a comparison: a heading per part, and a column per run."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("", overflow="fold", max_width=NAMES_WIDTH)
    for _, key in columns:
        table.add_column(key, justify="right", overflow="fold", max_width=widest)
    titles = {"setting": "settings that differ", "all": "the whole run"}
    part = None
    for row in frame.iter_rows(named=True):
        if row["part"] != part:
            part = row["part"]
            table.add_row(Text(titles.get(part, visible(part)), style="bold"))
        cells = ("-" if row[column] is None else row[column] for column, _ in columns)
        table.add_row(Text(f"  {visible(row['name'])}"), *(Text(visible(cell)) for cell in cells))
    return table


def answer_text(frame: pl.DataFrame) -> str:
    """A frame as aligned text of which nothing is cut off, so that it can be copied."""
    rows = [["" if cell is None else visible(str(cell)) for cell in row] for row in frame.iter_rows()]
    table = [[visible(name) for name in frame.columns], *rows]
    widths = [max(cell_len(row[column]) for row in table) for column in range(frame.width)]
    right = [kind.is_numeric() for kind in frame.dtypes]
    lines = []
    for row in table:
        blanks = [" " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)]
        cells = zip(row, blanks, right, strict=True)
        lines.append(
            "  ".join(blank + cell if to_right else cell + blank for cell, blank, to_right in cells).rstrip()
        )
    return "\n".join(lines)


def skipped_text(skipped: Sequence[Skipped]) -> str:
    """What was left out, and why; empty when nothing was."""
    lines = [f"left out {visible(each.path)}: {visible(each.reason)}" for each in skipped[:SHOWN_SKIPPED]]
    if len(skipped) > SHOWN_SKIPPED:
        lines.append(f"... and {len(skipped) - SHOWN_SKIPPED:,} more")
    return "\n".join(lines)


def visible(text: str) -> str:
    """A text in one line, whose control characters a terminal shows instead of obeying."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
