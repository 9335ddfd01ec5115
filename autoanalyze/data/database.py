"""Sealed DuckDB databases: opened with their remedies, written in transactions, asked in safety."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb
import polars as pl

from autoanalyze.errors import ConfigurationError

# A store needs no other file, no network and no Python variable. Without this, a condition could
# read any file, and opening a SQLite file would try to download an extension.
_SEALED: Mapping[str, str | bool | int | float | list[str]] = {
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
}


def connect(path: Path, read_only: bool) -> duckdb.DuckDBPyConnection:
    """Open the DuckDB file at `path`; for writing it is created, with its folder, if it is missing.

    Raises ConfigurationError with the remedy if that is impossible.
    """
    # Absolute, so that neither ":memory:" nor "http:..." means something else to DuckDB.
    path = path.absolute()
    if path.is_dir():
        raise ConfigurationError(
            f"data.path: {path} is a folder; give a file in it, as in {path}/sessions.db"
        )
    if read_only and not path.exists():
        raise ConfigurationError(
            f"data.path: there is no session store at {path}; make one with `autoanalyze import`"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return duckdb.connect(str(path), read_only=read_only, config=dict(_SEALED))
    except (OSError, duckdb.Error) as error:
        raise ConfigurationError(f"data.path: cannot open {path}: {_remedy(path, error)}") from error


def connect_in_memory() -> duckdb.DuckDBPyConnection:
    """A new, empty database that is gone when it is closed."""
    return duckdb.connect(":memory:", config=dict(_SEALED))


def _remedy(path: Path, error: Exception) -> str:
    reason = str(error).strip().partition("\n")[0]
    if isinstance(error, duckdb.ConnectionException):
        return "this process has it open with other rights; close that store first"
    if "set lock" in reason:
        return (
            f"another process is using it; wait until that one ends, or stop it. While one process "
            f"writes, no other can even read. ({reason})"
        )
    if isinstance(error, OSError) or not path.exists():
        return f"the file cannot be made there; give a path in a folder that you may write to. ({reason})"
    return f"it is not a session store; give the path of a file that `autoanalyze import` made. ({reason})"


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Keep everything that the block writes, or nothing at all if the block raises."""
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def matching(frame: pl.DataFrame, condition: str) -> pl.DataFrame:
    """Column `session_id` of the rows of `frame` that meet a SQL condition.

    The condition must be one boolean expression. It is evaluated in a sealed database that
    holds `frame` under the name `sessions` and nothing else.

    Raises ConfigurationError, naming `data.where` and the columns, for anything else.
    """
    with connect_in_memory() as database:
        try:
            database.register("sessions", frame)
            everything = database.sql("FROM sessions")
            expression = duckdb.SQLExpression(condition)
            if str(everything.select(expression).types[0]) != "BOOLEAN":
                raise _refused(frame, condition, "it is a value, not a condition that is true or false")
            found: pl.DataFrame = everything.filter(expression).select("session_id").pl()
        except (duckdb.Error, TypeError, UnicodeError) as error:
            raise _refused(frame, condition, str(error).strip().partition("\n")[0]) from error
    return found


def _refused(frame: pl.DataFrame, condition: str, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"data.where: cannot select sessions by {condition!r}: {reason}. Write one SQL condition, such "
        f"as \"containment_type = 'agent' AND message_count >= 4\", over the columns "
        f"{', '.join(frame.columns)}."
    )
