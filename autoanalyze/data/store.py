"""The session store: the only place that speaks SQL over sessions.

A store is one DuckDB file. DuckDB lets either one process write or many read, so a
run opens it read-only and keeps its own results in a run folder. Sessions go in
through `Store.add`, all or nothing; afterwards a session only grows, and only there.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import polars as pl
from cachetools import LRUCache

from autoanalyze.data.database import connect, connect_in_memory, matching, transaction
from autoanalyze.data.growth import AddResult, compared
from autoanalyze.data.migrations import migrate, require_current
from autoanalyze.data.tables import SESSION_SCHEMA, Spool, insert, remove, stored
from autoanalyze.errors import ImportDataError
from autoanalyze.records import FALLBACK_OUTCOMES, Conversation, Message, Truth, transcript

# Conversations that are held in memory at once; enough for every insert to be a bulk insert.
_CHUNK = 2_000
# Most runs fit in (about 7,500 synthetic sessions), and the others hold no more than this at once.
_REMEMBERED_BYTES = 32_000_000
_BYTES_PER_MESSAGE = 250


class Store:
    """Sessions of one or more bots in a DuckDB file. Use `open` or `in_memory`, and close it.

    Reading is safe from many threads at once: each read has a cursor of its own. What
    DuckDB itself cannot do (a full disk, a closed store) is raised as ImportDataError.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, name: str) -> None:
        """Take over a connection whose tables are up to date; `name` is what messages call it."""
        self._connection = connection
        self._name = name
        self._lock = threading.Lock()
        self._recent: LRUCache[tuple[str, str], tuple[Message, ...]] = LRUCache(_REMEMBERED_BYTES, _size)

    @classmethod
    def open(cls, path: Path | str, read_only: bool = False) -> Self:
        """Open the store at `path`; for writing it is created, with its folder, if it is missing.

        Raises ConfigurationError, always with the remedy, if the file is missing (read-only),
        locked by another process, not a session store, of a newer version, of an older
        version (read-only), or cannot be created.
        """
        path = Path(path)
        connection = connect(path, read_only)
        try:
            (require_current if read_only else migrate)(connection, str(path))
        except BaseException:
            connection.close()
            raise
        return cls(connection, str(path))

    @classmethod
    def in_memory(cls) -> Self:
        """A new, empty store that is gone when it is closed."""
        connection = connect_in_memory()
        migrate(connection, "the store in memory")
        return cls(connection, "the store in memory")

    def close(self) -> None:
        """Let go of the file. Closing twice does no harm."""
        self._connection.close()

    def __enter__(self) -> Self:
        """Return the store itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the store."""
        self.close()

    def add(
        self,
        conversations: Iterable[Conversation],
        *,
        bot_id: str,
        count_tokens: Callable[[Sequence[str]], Sequence[int]],
        token_encoding: str,
        source: str,
    ) -> AddResult:
        """Store conversations, all or none: whatever is raised on the way, nothing stays behind.

        A session that the bot already has is extended if the new one holds all that is stored and
        more, and is counted as already there if it holds no more; if the two contradict each other
        it is a conflict, and stays as it is. `count_tokens` gives the tokens of each transcript in the
        encoding that `token_encoding` names; `source` tells where sessions came from that do not say it.

        Raises ImportDataError if the store cannot be written, and whatever `conversations` or
        `count_tokens` raises.
        """
        result = AddResult()
        remaining = iter(conversations)
        with self._cursor() as cursor, transaction(cursor), closing(Spool(cursor)) as spool:
            while chunk := list(islice(remaining, _CHUNK)):
                known = stored(cursor, bot_id, chunk, spool)
                changed, counts = compared(known, chunk)
                tokens = count_tokens([transcript(conversation.messages) for conversation in changed])
                remove(cursor, bot_id, [one.session_id for one in changed if one.session_id in known])
                insert(
                    cursor,
                    spool,
                    changed,
                    tokens,
                    bot_id=bot_id,
                    token_encoding=token_encoding,
                    source=source,
                )
                result += counts
            spool.flush()
        with self._lock:
            self._recent.clear()
        return result

    def sessions(self, bot_id: str, where: str | None = None) -> pl.DataFrame:
        """Metadata of the bot's sessions, one row each, by session id; never a message.

        `where` is one SQL condition on these columns, without the word WHERE. It is evaluated
        in a database that holds nothing else, so it can neither see transcripts or truth nor
        change anything. Columns: bot_id, session_id, user_id, start_time and end_time (naive
        UTC), containment_type, message_count, token_count, token_encoding, source.

        Raises ConfigurationError, naming `data.where`, for anything but such a condition.
        """
        columns = ", ".join(SESSION_SCHEMA)
        query = f"SELECT {columns} FROM sessions WHERE bot_id = $bot_id"
        with self._cursor() as cursor:
            frame: pl.DataFrame = cursor.sql(query, params={"bot_id": bot_id}).pl()
        if where is not None and where.strip():
            frame = frame.join(matching(frame, where), on="session_id", how="semi")
        return frame.sort("session_id")

    def reader(self, bot_id: str) -> StoreReader:
        """A records.TranscriptReader of one bot's sessions."""
        return StoreReader(self, bot_id)

    def read(self, bot_id: str, session_ids: Sequence[str]) -> dict[str, tuple[Message, ...]]:
        """Messages of each session, in the order of `session_ids`.

        Raises ImportDataError if the bot has no session of that id.
        """
        with self._lock:
            keys = [(session_id, self._recent.get((bot_id, session_id))) for session_id in session_ids]
        known = {session_id: messages for session_id, messages in keys if messages is not None}
        unknown = [session_id for session_id in session_ids if session_id not in known]
        if unknown:
            found = self._read_messages(bot_id, unknown)
            self._require_all(bot_id, [session_id for session_id in unknown if session_id not in found])
            with self._lock:
                for session_id, messages in found.items():
                    if _size(messages) <= self._recent.maxsize:
                        self._recent[bot_id, session_id] = messages
            known |= found
        return {session_id: known.get(session_id, ()) for session_id in session_ids}

    def _read_messages(self, bot_id: str, session_ids: list[str]) -> dict[str, tuple[Message, ...]]:
        """Messages of those of the sessions that have some."""
        rows = self._rows(
            "SELECT position, session_id, role, text, timestamp FROM messages"
            " WHERE bot_id = $bot_id AND session_id IN (SELECT unnest($session_ids::VARCHAR[]))",
            bot_id=bot_id,
            session_ids=session_ids,
        )
        # Sorted here: for the few rows of a call DuckDB takes longer to plan it.
        rows.sort(key=itemgetter(0))
        found: dict[str, list[Message]] = {}
        for _, session_id, role, text, timestamp in rows:
            found.setdefault(session_id, []).append(Message(role, text, timestamp))
        return {session_id: tuple(messages) for session_id, messages in found.items()}

    def truth(self, bot_id: str, session_ids: Sequence[str]) -> list[Truth]:
        """What is known to be right of each session, in the order of `session_ids`.

        A session without truth has no concepts; its outcome is the one that its containment
        type suggests. Raises ImportDataError if the bot has no session of that id.
        """
        rows = self._rows(
            "SELECT session_id, field, concept FROM truth"
            " WHERE bot_id = $bot_id AND session_id IN (SELECT unnest($session_ids::VARCHAR[]))"
            " ORDER BY session_id, field",
            bot_id=bot_id,
            session_ids=list(session_ids),
        )
        concepts: dict[str, dict[str, str]] = {}
        for session_id, label_field, concept in rows:
            concepts.setdefault(session_id, {})[label_field] = concept
        containment = self._require_all(bot_id, session_ids)
        return [
            Truth(session_id, FALLBACK_OUTCOMES[containment[session_id]], concepts.get(session_id, {}))
            for session_id in session_ids
        ]

    def bots(self) -> tuple[str, ...]:
        """Ids of the bots that have sessions here, sorted."""
        rows = self._rows("SELECT DISTINCT bot_id FROM sessions ORDER BY bot_id")
        return tuple(bot_id for (bot_id,) in rows)

    def fingerprint(self, bot_id: str, session_ids: Iterable[str]) -> str:
        """Hash of the ids, roles and texts of these sessions: the same for the same data.

        Neither the order of `session_ids` nor bot, file or time of import changes it.
        """
        # The tag keeps this hash apart from any other over the same bytes.
        digest = hashlib.sha256(b"autoanalyze sessions 1\n")
        remaining = iter(sorted(set(session_ids)))
        while chunk := list(islice(remaining, _CHUNK)):
            for session_id, messages in self.read(bot_id, chunk).items():
                content = [session_id, [[message.role, message.text] for message in messages]]
                digest.update(json.dumps(content, ensure_ascii=True).encode() + b"\n")
        return f"sha256:{digest.hexdigest()}"

    def _rows(self, sql: str, **parameters: object) -> list[tuple[Any, ...]]:
        # Plain rows: for the few that a call needs they cost half of what a frame does.
        with self._cursor() as cursor:
            return cursor.execute(sql, parameters or None).fetchall()

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of the caller's own to the same database, with DuckDB's errors translated."""
        try:
            with self._lock:
                cursor = self._connection.cursor()
            try:
                yield cursor
            finally:
                cursor.close()
        except duckdb.Error as error:
            reason = str(error).strip().partition("\n")[0]
            raise ImportDataError(
                f"{self._name}: the session store cannot be used: {reason}. Check that the disk is not "
                f"full and that the store was opened for what you do; if the file is damaged, import again."
            ) from error

    def _require_all(self, bot_id: str, session_ids: Sequence[str]) -> dict[str, str]:
        """Containment types of the sessions; ImportDataError if one of them is not there."""
        if not session_ids:
            return {}
        rows = self._rows(
            "SELECT session_id, containment_type FROM sessions"
            " WHERE bot_id = $bot_id AND session_id IN (SELECT unnest($session_ids::VARCHAR[]))",
            bot_id=bot_id,
            session_ids=list(session_ids),
        )
        found: dict[str, str] = dict(rows)
        if missing := sorted(set(session_ids) - found.keys()):
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            raise ImportDataError(
                f"{self._name}: bot {bot_id!r} has no session {', '.join(missing[:3])}{more}. "
                f"Sessions of a run must stay in the store that the run names."
            )
        return found


@dataclass(frozen=True, slots=True)
class StoreReader:
    """A records.TranscriptReader of one bot's sessions; may be shared between threads."""

    store: Store
    bot_id: str

    def read(self, session_ids: Sequence[str]) -> dict[str, tuple[Message, ...]]:
        """Messages of each session, as `Store.read` gives them."""
        return self.store.read(self.bot_id, session_ids)


def _size(messages: Sequence[Message]) -> int:
    """Bytes that messages take, roughly."""
    return sum(_BYTES_PER_MESSAGE + len(message.text) for message in messages)
