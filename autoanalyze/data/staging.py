"""Messages on their way to whole sessions, in a few temporary files: no more than a part lies in memory.

Rows of a session may lie anywhere in the files. They are dealt out by a hash of the session's id
to buckets, each small enough to be held; a session lies in one bucket whole.
"""

from __future__ import annotations

import pickle
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from types import TracebackType
from typing import Any, NamedTuple, Self

from autoanalyze.data.growth import grown, settled
from autoanalyze.data.layouts import About, Entry
from autoanalyze.data.sources import Source
from autoanalyze.data.values import identity
from autoanalyze.records import Conversation, Message

_BUCKETS = 128
_HELD = 16_384


@dataclass(frozen=True, slots=True)
class RefusedSession:
    """A session that stays out whole: `lines` of `file` are to blame, each with one of `reasons`."""

    session_id: str
    file: str
    lines: tuple[int, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row, or a message of one, that cannot be used. `line` counts from 1; in Parquet and workbooks it
    is the number of the row. `session_id` is null where the row does not tell."""

    file: str
    line: int
    reason: str
    session_id: str | None = None


class _Broken(NamedTuple):
    """A broken row of file `number`."""

    number: int
    line: int
    reason: str


class Staging:
    """Takes entries, and gives back sessions with all that was said of them. Use as a context manager."""

    def __init__(self, files: Sequence[Source], partial: bool) -> None:
        """`files` are found by the number in an entry's part; `partial` lets halves of sessions in."""
        self._files = files
        self._partial = partial
        self._held: list[list[Entry]] = [[] for _ in range(_BUCKETS)]
        self._count = 0
        self._spills: list[Any] = []
        self._suspects: dict[str, list[_Broken]] = {}
        self.rejected: list[RejectedRow] = []
        self.repeated = 0
        self.extended = 0

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the temporary files."""
        for spill in self._spills:
            spill.close()

    def add(self, entry: Entry) -> None:
        """Take an entry."""
        if entry.problem is not None:
            file = str(self._files[entry.part[0]].path)
            self.rejected.append(RejectedRow(file, entry.line, entry.problem, entry.session_id))
        self._held[zlib.crc32(entry.session_id.encode("utf-8", "replace")) % _BUCKETS].append(entry)
        self._count += 1
        if self._count >= _HELD:
            self._spill()

    def reject(self, number: int, line: int, reason: str, cells: Sequence[str] = ()) -> None:
        """Take a row of file `number` that is of no known session; the id may be among its `cells`."""
        self.rejected.append(RejectedRow(str(self._files[number].path), line, reason))
        for cell in cells:
            with suppress(ValueError):
                if session_id := identity(cell):
                    self._suspects.setdefault(session_id, []).append(_Broken(number, line, reason))

    def _spill(self) -> None:
        if not self._spills:
            self._spills = [tempfile.TemporaryFile() for _ in range(_BUCKETS)]  # noqa: SIM115 - closed at exit
        for held, spill in zip(self._held, self._spills, strict=True):
            if held:
                pickle.dump([tuple(entry) for entry in held], spill, pickle.HIGHEST_PROTOCOL)
                held.clear()
        self._count = 0

    def _bucket(self, number: int) -> Iterator[Entry]:
        if self._spills:
            spill = self._spills[number]
            spill.seek(0)
            while True:
                try:
                    entries = pickle.load(spill)
                except EOFError:
                    break
                yield from (Entry(*entry) for entry in entries)
        yield from self._held[number]

    def sessions(self) -> Iterator[Conversation | RefusedSession]:
        """All sessions: those that can go in, and those that cannot."""
        for number in range(_BUCKETS):
            pieces: dict[str, dict[tuple[int, int], list[Entry]]] = {}
            for entry in self._bucket(number):
                pieces.setdefault(entry.session_id, {}).setdefault(entry.part, []).append(entry)
            for session_id, parts in pieces.items():
                yield from self._session(session_id, parts)

    def _session(
        self, session_id: str, parts: dict[tuple[int, int], list[Entry]]
    ) -> Iterator[Conversation | RefusedSession]:
        """A session of all its pieces; pieces that contradict each other are not joined."""
        whole, line, halves = None, 0, False
        for part in sorted(parts):
            entries = parts[part]
            piece = self._piece(session_id, part, entries)
            if isinstance(piece, Conversation) and whole is not None:
                merged = grown(whole, piece)
                self.repeated += merged is whole
                self.extended += merged not in (None, whole)
                piece = merged or self._other(piece, entries[0].line, whole.source, line)
            if isinstance(piece, RefusedSession):
                yield piece
                # Rows of messages in two files may be halves of one session: then nothing of it goes in.
                halves = halves or (part[1] == 0 and not self._partial)
            else:
                whole, line = piece, line or entries[0].line
        if whole is not None and not halves:
            yield settled(whole)

    def _other(self, piece: Conversation, line: int, file: str, before: int) -> RefusedSession:
        reason = (
            f"the session stands already in {file}, line {before}, with other content; an id is one session's"
        )
        return RefusedSession(piece.session_id, piece.source, (line,), (reason,))

    def _piece(
        self, session_id: str, part: tuple[int, int], entries: list[Entry]
    ) -> Conversation | RefusedSession:
        """One file's share of a session, or why it is refused whole."""
        file = str(self._files[part[0]].path)
        problems = {entry.line: entry.problem for entry in entries if entry.problem is not None}
        known = len(problems)
        piece = _gathered(session_id, entries, problems, self._files[part[0]].name)
        self.rejected += [RejectedRow(file, n, why, session_id) for n, why in list(problems.items())[known:]]
        if part[1] == 0:
            broken = (row for row in self._suspects.get(session_id, ()) if row.number == part[0])
            problems.update((row.line, row.reason) for row in broken)
        good = any(entry.problem is None for entry in entries)
        if problems and not (self._partial and good):
            lines = tuple(sorted(problems))
            return RefusedSession(session_id, file, lines, tuple(dict.fromkeys(problems[n] for n in lines)))
        return replace(piece, partial=bool(problems))


def _gathered(session_id: str, entries: Sequence[Entry], problems: dict[int, str], file: str) -> Conversation:
    """One conversation of its entries; a row that contradicts an earlier one goes to `problems`."""
    about = About(None, None, None, "unknown", ())
    messages: list[Message] = []
    speaker = None
    for entry in entries:
        if entry.problem is not None:
            continue
        if entry.about is not None:
            try:
                about = _agreed(about, entry.about)
            except ValueError as error:
                problems[entry.line] = str(error)
                continue
        # In many exports the column names the sender, so that bot messages carry the bot's id.
        speaker = speaker or entry.speaker
        if entry.message is not None:
            messages.append(Message(*entry.message))
    times = [message.timestamp for message in messages if message.timestamp is not None]
    # Rows may come in any order; a list stands as it was said.
    if entries[0].part[1] == 0 and len(times) == len(messages):
        messages.sort(key=lambda message: message.timestamp or datetime.min)
    return Conversation(
        session_id=session_id,
        user_id=speaker or about.user_id or session_id,
        messages=tuple(messages),
        containment_type=about.containment_type,
        start_time=about.start_time or min(times, default=None),
        end_time=about.end_time or max(times, default=None),
        truth=dict(about.truth),
        made_id=entries[0].made,
        source=file,
    )


def _agreed(known: About, more: About) -> About:
    """What two rows say of their session; ValueError if they contradict each other."""
    if known == more or (more == (more.user_id, None, None, "unknown", ()) and known.user_id is not None):
        return known
    truth = dict(known.truth)
    for name, value in ("containment_type", more.containment_type), *more.truth:
        before = known.containment_type if name == "containment_type" else truth.setdefault(name, value)
        if before not in ("unknown", value) and value != "unknown":
            raise ValueError(f"{name} {value!r}: an earlier row of the session says {before!r}")
    return About(
        known.user_id or more.user_id,
        known.start_time or more.start_time,
        known.end_time or more.end_time,
        more.containment_type if known.containment_type == "unknown" else known.containment_type,
        tuple(truth.items()),
    )
