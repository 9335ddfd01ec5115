"""The tables of the session store, and how conversations become their rows."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence

import duckdb
import polars as pl
import pyarrow as pa

from autoanalyze.records import Conversation, Message

_KEY: Mapping[str, pl.DataType] = {"bot_id": pl.String(), "session_id": pl.String()}

#: Metadata of a session: the columns of `Store.sessions`, and what `data.where` can speak of.
SESSION_SCHEMA: Mapping[str, pl.DataType] = {
    **_KEY,
    "user_id": pl.String(),
    "start_time": pl.Datetime("us"),
    "end_time": pl.Datetime("us"),
    "containment_type": pl.String(),
    "message_count": pl.Int32(),
    "token_count": pl.Int32(),
    "token_encoding": pl.String(),
    "source": pl.String(),
    "partial": pl.Boolean(),
}
# What only an import asks for.
_STORED_SCHEMA: Mapping[str, pl.DataType] = {**SESSION_SCHEMA, "made_id": pl.Boolean()}
_MESSAGE_SCHEMA: Mapping[str, pl.DataType] = {
    **_KEY,
    "position": pl.Int32(),
    "role": pl.String(),
    "text": pl.String(),
    "timestamp": pl.Datetime("us"),
}
_TRUTH_SCHEMA: Mapping[str, pl.DataType] = {**_KEY, "field": pl.String(), "concept": pl.String()}


_FEWEST_BYTES = 64_000_000
"""With so much, DuckDB can write any number of messages; a very long one needs more."""
_THESE = "bot_id = $bot_id AND session_id IN (SELECT unnest($session_ids::VARCHAR[]))"


class Spool:
    """Messages on their way into the store, in a temporary file: one insert of all of them takes
    DuckDB a fraction of the memory that many inserts of a transaction take."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        paths = connection.execute("SELECT path FROM duckdb_databases() WHERE NOT internal").fetchall()
        self._on_disk = paths[0][0] is not None
        self._largest = 0
        self._schema = pl.DataFrame(schema=_MESSAGE_SCHEMA).to_arrow().schema
        self._begin()

    def _begin(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._writer = pa.ipc.new_stream(self._file, self._schema)
        self._empty = True

    def add(self, rows: Sequence[tuple[object, ...]]) -> None:
        """Take rows of the table of messages."""
        if rows:
            table = _frame(rows, _MESSAGE_SCHEMA).to_arrow().cast(self._schema)
            self._largest = max(self._largest, table.nbytes)
            self._writer.write_table(table)
            self._empty = False

    def flush(self) -> None:
        """Insert what was taken."""
        self._writer.close()
        if not self._empty:
            self._file.seek(0)
            self._connection.register("incoming", pa.ipc.open_stream(self._file))
            # Otherwise DuckDB keeps what it has written, as long as the machine has memory.
            if self._on_disk:
                self._connection.execute(f"SET memory_limit = '{max(_FEWEST_BYTES, 16 * self._largest)}B'")
            self._connection.execute("INSERT INTO messages BY NAME SELECT * FROM incoming")
            self._connection.execute("RESET memory_limit")
            self._connection.unregister("incoming")
        self._file.close()
        self._begin()

    def close(self) -> None:
        """Remove the temporary file, with what was not inserted."""
        self._file.close()


def stored(
    connection: duckdb.DuckDBPyConnection, bot_id: str, conversations: Sequence[Conversation], spool: Spool
) -> dict[str, Conversation]:
    """Those of the conversations that the bot already has, as they are stored; `spool` may hold some."""
    these = {"bot_id": bot_id, "session_ids": [conversation.session_id for conversation in conversations]}
    rows = connection.execute(
        "SELECT session_id, user_id, start_time, end_time, containment_type, partial, made_id, source"
        f" FROM sessions WHERE {_THESE}",
        these,
    ).fetchall()
    if not rows:
        return {}
    spool.flush()
    these["session_ids"] = [row[0] for row in rows]
    messages: dict[str, list[Message]] = {row[0]: [] for row in rows}
    said = connection.execute(
        f"SELECT session_id, role, text, timestamp FROM messages WHERE {_THESE} ORDER BY position", these
    )
    for session_id, role, text, timestamp in said.fetchall():
        messages[session_id].append(Message(role, text, timestamp))
    truth: dict[str, dict[str, str]] = {row[0]: {} for row in rows}
    known = connection.execute(f"SELECT session_id, field, concept FROM truth WHERE {_THESE}", these)
    for session_id, label_field, concept in known.fetchall():
        truth[session_id][label_field] = concept
    return {
        key: Conversation(
            key, user, tuple(messages[key]), kind, start, end, truth[key], partial, made, source
        )
        for key, user, start, end, kind, partial, made, source in rows
    }


def remove(connection: duckdb.DuckDBPyConnection, bot_id: str, session_ids: Sequence[str]) -> None:
    """Take sessions out, so that `insert` can write them anew."""
    if session_ids:
        for table in ("truth", "messages", "sessions"):
            connection.execute(
                f"DELETE FROM {table} WHERE {_THESE}", {"bot_id": bot_id, "session_ids": session_ids}
            )


def insert(
    connection: duckdb.DuckDBPyConnection,
    spool: Spool,
    conversations: Sequence[Conversation],
    tokens: Sequence[int],
    *,
    bot_id: str,
    token_encoding: str,
    source: str,
) -> None:
    """Write conversations, whose transcripts have `tokens` tokens; their messages go to `spool`."""
    sessions = [
        (
            bot_id,
            conversation.session_id,
            conversation.user_id,
            conversation.start_time,
            conversation.end_time,
            conversation.containment_type,
            len(conversation.messages),
            token_count,
            token_encoding,
            conversation.source or source,
            conversation.partial,
            conversation.made_id,
        )
        for conversation, token_count in zip(conversations, tokens, strict=True)
    ]
    messages = [
        (bot_id, conversation.session_id, position, message.role, message.text, message.timestamp)
        for conversation in conversations
        for position, message in enumerate(conversation.messages)
    ]
    truth = [
        (bot_id, conversation.session_id, label_field, concept)
        for conversation in conversations
        for label_field, concept in conversation.truth.items()
    ]
    _append(connection, "sessions", sessions, _STORED_SCHEMA)
    spool.add(messages)
    _append(connection, "truth", truth, _TRUTH_SCHEMA)


def _append(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    rows: Sequence[tuple[object, ...]],
    schema: Mapping[str, pl.DataType],
) -> None:
    if not rows:
        return
    connection.register("incoming", _frame(rows, schema))
    connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM incoming")
    connection.unregister("incoming")


def _frame(rows: Sequence[tuple[object, ...]], schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    # Columns, not rows, so that Polars need not guess; the cast turns aware times into naive UTC.
    columns = zip(schema.items(), zip(*rows, strict=True), strict=True)
    frame = pl.DataFrame([pl.Series(name, values, dtype=kind) for (name, kind), values in columns])
    return frame.cast(pl.Schema(schema))
