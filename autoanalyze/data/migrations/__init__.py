"""The numbered steps from an empty DuckDB file to today's session store.

A step is a file `NNNN_name.sql` beside this module. A step that was released is
never edited: a change is a new file.
"""

from __future__ import annotations

from importlib import resources

import duckdb

from autoanalyze.data.database import transaction
from autoanalyze.errors import ConfigurationError


def steps() -> dict[int, str]:
    """SQL of every known step by its number, in order."""
    files = (entry for entry in resources.files(__name__).iterdir() if entry.name.endswith(".sql"))
    return {
        int(entry.name.partition("_")[0]): entry.read_text("utf-8")
        for entry in sorted(files, key=lambda entry: entry.name)
    }


def migrate(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Bring the store that `connection` has open for writing up to date.

    `name` is what messages call the file. Each step is a transaction of its own, so
    a process killed half-way leaves a store at an earlier version, not a broken one.

    Raises ConfigurationError for a database that is not a session store, which is left
    as it is, and for one written by a newer autoanalyze.
    """
    current = _version(connection, name)
    for number, sql in steps().items():
        if number <= current:
            continue
        with transaction(connection):
            connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY)")
            connection.execute(sql)
            connection.execute("INSERT INTO schema_version VALUES ($version)", {"version": number})


def require_current(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Check a store that is open read-only, which therefore cannot be brought up to date.

    Raises ConfigurationError as `migrate` does, and also for an older store.
    """
    current, latest = _version(connection, name), max(steps())
    if current < latest:
        raise ConfigurationError(
            f"data.path: {name} has schema version {current}, this autoanalyze needs {latest}, and a "
            f"read-only store cannot be brought up to date. Open it once for writing, for example "
            f"with `autoanalyze import`."
        )


def _version(connection: duckdb.DuckDBPyConnection, name: str) -> int:
    """Number of the last step that was applied; 0 for an empty database."""
    rows = connection.execute("SELECT table_name FROM duckdb_tables() WHERE NOT internal").fetchall()
    if not rows:
        return 0
    try:
        row = connection.execute("SELECT max(version) FROM schema_version").fetchone()
    except duckdb.Error:
        row = None
    current = row[0] if row else None
    if not isinstance(current, int):
        raise ConfigurationError(
            f"data.path: {name} is a DuckDB database, but not a session store of autoanalyze. "
            f"Give another path; `autoanalyze import` creates the file."
        )
    if current > max(steps()):
        raise ConfigurationError(
            f"data.path: {name} was written by a newer autoanalyze (schema version {current}, known here "
            f"up to {max(steps())}). Upgrade autoanalyze, or import the sessions into a new file."
        )
    return current
