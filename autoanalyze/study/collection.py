"""Many runs as one: found below any paths, asked in SQL, handed out as frames.

Polars scans the files of all runs together and DuckDB asks those scans for the columns and rows that a
query needs, so that neither a table nor its columns are read before somebody wants them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, overload

import duckdb
import polars as pl

from autoanalyze.errors import InputError, RunFolderError
from autoanalyze.study.comparison import compared, listing_rows
from autoanalyze.study.finding import Found, Search, Skipped
from autoanalyze.study.places import run_table, score_table
from autoanalyze.study.runs import CALL_SCHEMA, Run, WholeTable, answered_calls, caveats_of, html_table

if TYPE_CHECKING:
    import pandas as pd

VIEWS = ("runs", "sessions", "labels", "merges", "rounds", "calls", "scores", "truth")
NO_TRUTH = {"run": pl.String, "session_id": pl.String, "field": pl.String, "concept": pl.String}
SHOWN_RUNS, SHOWN_SKIPPED = 50, 10


class Runs:
    """Finished runs, by the name of their folder as it was given.

    `len`, iteration, `runs[0]` and `runs["outputs/..."]` give `Run` objects, a slice gives fewer `Runs`.
    `skipped` says what was left out, and why. Every row of every table carries the name of its `run`.
    """

    def __init__(self, found: Sequence[Found], skipped: Sequence[Skipped] = ()) -> None:
        self._found = tuple(found)
        self.skipped = tuple(skipped)
        self._views: dict[str, pl.LazyFrame] = {}
        self._registered: set[str] = set()

    def sql(self, query: str) -> pl.DataFrame:
        """The answer to a SQL query (DuckDB's) over runs, sessions, labels, merges, rounds, calls, scores
        and truth.

        Raises InputError, naming views and columns, for a query that cannot be answered, and
        RunFolderError for a run whose files are damaged.
        """
        try:
            self._register(wanted(query))
            answer = self._database.sql(query)
            if answer is None:
                raise InputError(f"{query!r} asks nothing: give a SELECT")
            frame: pl.DataFrame = answer.pl()
            return frame
        except (duckdb.Error, UnicodeError) as error:
            raise InputError(f"cannot answer {query!r}: {reason(error)}\n{self._columns()}") from None

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """DuckDB itself, with all views."""
        self._register(VIEWS)
        return self._database

    def frame(self, view: str) -> pl.DataFrame:
        """One of the views as a Polars frame, run by run. Raises InputError for a name that is none."""
        try:
            return self._lazy(view).collect(engine="streaming")
        except (pl.exceptions.PolarsError, OSError) as error:
            raise RunFolderError(f"the {view} of these runs cannot be read: {error}") from None

    def pandas(self, view: str) -> pd.DataFrame:
        """The same as a pandas frame."""
        return self.frame(view).to_pandas()

    def comparison(self) -> WholeTable:
        """The runs side by side: a column per run; rows are the settings that differ, and all figures."""
        return WholeTable(compared([(run.name, run.record) for run in self._found]))

    def __len__(self) -> int:
        """The number of runs."""
        return len(self._found)

    def __iter__(self) -> Iterator[Run]:
        """The runs, by name."""
        return (Run(Path(found.name), found.record) for found in self._found)

    @overload
    def __getitem__(self, which: int | str | Path) -> Run: ...
    @overload
    def __getitem__(self, which: slice) -> Runs: ...
    def __getitem__(self, which: int | str | Path | slice) -> Run | Runs:
        """A run by its place or folder, or several as a slice. Raises IndexError and RunFolderError."""
        if isinstance(which, slice):
            return Runs(self._found[which])
        if isinstance(which, int):
            found = self._found[which]
        else:
            path = Path(os.path.abspath(which))  # noqa: PTH100 (it also takes `..` out)
            matching = [run for run in self._found if str(which) == run.name or run.path == path]
            if not matching:
                raise RunFolderError(
                    f"{which} is none of these {len(self):,} runs: .frame('runs') lists them"
                )
            found = matching[0]
        return Run(Path(found.name), found.record)

    def __repr__(self) -> str:
        """How many runs there are, the first of them, and what was left out."""
        names = [f"  {run.name}" for run in self._found[:SHOWN_RUNS]]
        if len(self) > SHOWN_RUNS:
            names.append(f"  ... and {len(self) - SHOWN_RUNS:,} more")
        return "\n".join([f"{len(self):,} runs", *names, *self._notes()])

    def _repr_html_(self) -> str:
        rows = listing_rows([(run.name, run.record) for run in self._found])
        table = html_table(rows[1 : SHOWN_RUNS + 1], rows[0]) if self._found else ""
        notes = [f"{len(self):,} runs", *self._notes()]
        if len(self) > SHOWN_RUNS:
            notes[0] += f", of which the first {SHOWN_RUNS} are shown"
        notes += caveats_of(list(self))
        return table + html_table([(note.strip(),) for note in notes])

    def _notes(self) -> list[str]:
        notes = [f"  {skipped.path}: {skipped.reason}" for skipped in self.skipped[:SHOWN_SKIPPED]]
        if len(self.skipped) > SHOWN_SKIPPED:
            notes.append(f"  ... and {len(self.skipped) - SHOWN_SKIPPED:,} more in .skipped")
        return [f"{len(self.skipped):,} left out", *notes] if notes else []

    @cached_property
    def _database(self) -> duckdb.DuckDBPyConnection:
        return duckdb.connect(":memory:")

    def _register(self, views: Sequence[str]) -> None:
        for view in views:
            if view not in self._registered:
                self._database.register(view, self._lazy(view))
                self._registered.add(view)

    def _lazy(self, view: str) -> pl.LazyFrame:
        """A view, of which nothing but the names of columns has been read."""
        if view not in VIEWS:
            raise InputError(f"there is no view {view!r}: the views are {', '.join(VIEWS)}")
        if view not in self._views:
            records = [(run.name, run.record) for run in self._found]
            if view == "runs":
                self._views[view] = run_table(records).lazy()
            elif view == "scores":
                self._views[view] = score_table(records).lazy()
            elif view == "calls":
                self._views[view] = call_table(self._found).lazy()
            else:
                self._views[view] = scan(view, self._found)
        return self._views[view]

    def _columns(self) -> str:
        lines = []
        for view in VIEWS:
            try:
                columns = ", ".join(self._lazy(view).collect_schema().names())
            except RunFolderError as error:
                columns = str(error)
            lines.append(f"  {view}: {columns}")
        return "\n".join(["The views and their columns are", *lines])


def runs(*paths: str | Path) -> Runs:
    """All finished runs below any paths: folders of runs, folders that hold such, patterns like `outputs/**`.

    Without paths: those in `outputs` and `multirun`. Runs that have not finished, folders of others and
    damaged ones are left out, see `.skipped`. Raises RunFolderError for a path that does not exist.
    """
    search = Search(paths)
    return Runs(search.found, search.skipped)


def wanted(query: str) -> Sequence[str]:
    """The views that a query mentions; all of them where it mentions none, as SHOW TABLES."""
    return [view for view in VIEWS if re.search(rf"\b{view}\b", query, re.IGNORECASE)] or VIEWS


def call_table(found: Sequence[Found]) -> pl.DataFrame:
    """The answered calls of all runs."""
    rows = [{"run": run.name, **row} for run in found for row in answered_calls(run.path)]
    return pl.DataFrame(rows, schema={"run": pl.String, **CALL_SCHEMA})


def scan(table: str, found: Sequence[Found]) -> pl.LazyFrame:
    """The files of one table of all runs, united by the names of their columns."""
    files = {str(run.path / f"{table}.parquet"): run.name for run in found}
    if table == "truth":
        files = {path: name for path, name in files.items() if Path(path).exists()}
    if not files:
        return pl.LazyFrame(schema=NO_TRUTH if table == "truth" else {"run": pl.String})
    schemas = {path: file_schema(path) for path in files}
    united: dict[str, pl.DataType] = {}
    for schema in schemas.values():
        united |= {name: kind for name, kind in schema.items() if name not in united}
    kinds = {(name, kind) for schema in schemas.values() for name, kind in schema.items()}
    if len(kinds) == len(united):
        return scanned(files, united)
    # Where types differ between versions, each set of types is a scan; Polars then finds common ones.
    groups: dict[tuple[tuple[str, pl.DataType], ...], dict[str, str]] = {}
    for path, name in files.items():
        groups.setdefault(tuple(schemas[path].items()), {})[path] = name
    parts = [scanned(group, dict(schema)) for schema, group in groups.items()]
    order = pl.col("run").cast(pl.Enum(list(files.values())))
    return pl.concat(parts, how="diagonal_relaxed").sort(order, maintain_order=True)


def scanned(files: dict[str, str], schema: dict[str, pl.DataType]) -> pl.LazyFrame:
    """Files whose columns have the same types, with the name of each file's run in front."""
    source = free_name("file", schema)
    rows = pl.scan_parquet(
        list(files),
        schema=schema,
        include_file_paths=source,
        missing_columns="insert",
        glob=False,
        cache=False,
    )
    # By way of an Enum, because renaming a few categories is much faster than renaming a million texts.
    run = pl.col(source).cast(pl.Enum(list(files)))
    run = run.replace_strict(list(files), list(files.values()), return_dtype=pl.String)
    return rows.select(run.alias("run"), pl.all().exclude(source, "run"))


def free_name(name: str, taken: dict[str, pl.DataType]) -> str:
    """A column name that no column has."""
    while name in taken:
        name += "_"
    return name


def file_schema(path: str) -> dict[str, pl.DataType]:
    """Columns and types of a Parquet file. Raises RunFolderError for a damaged one."""
    try:
        # As an open file, because brackets and stars in a path would be taken for a pattern.
        with Path(path).open("rb") as file:
            return dict(pl.read_parquet_schema(file))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise RunFolderError(
            f"{path} is damaged ({first_line(error)}): restore it, or leave its run out"
        ) from None


def reason(error: Exception) -> str:
    """What DuckDB says of a query, without the picture of it."""
    return str(error).strip().partition("\n\n")[0].partition("\nLINE")[0].strip()


def first_line(error: Exception) -> str:
    """The first line of an error, which says what it is."""
    return str(error).strip().partition("\n")[0]
