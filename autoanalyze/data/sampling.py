"""Which sessions an analysis takes: a fair draw on metadata, before any transcript is read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from autoanalyze.errors import ConfigurationError
from autoanalyze.records import Session

#: How far a time window is widened, step by step, until it holds enough sessions; in hours.
WINDOW_HOURS = (3, 6, 12, 144)

_NO_SESSIONS = (
    "data: there are no sessions to sample. Import some with `autoanalyze import`, or check data.path, "
    "data.bot_id and data.where."
)
# What records.Session holds, in the order of its fields.
_SESSION_COLUMNS = (
    "session_id",
    "user_id",
    "bot_id",
    "start_time",
    "end_time",
    "containment_type",
    "message_count",
    "token_count",
)


@dataclass(frozen=True, slots=True)
class Sample:
    """The sessions that were drawn, by start time and then by id; those without a time come last.

    `available` counts all sessions that have enough messages, `found` those of them that lie
    in the time window. `window_hours` is its length (3, 6, 12 or 144), null without a window.
    """

    sessions: tuple[Session, ...]
    window_hours: float | None
    available: int
    found: int


class SessionSampling:
    """Draws sessions from the metadata of one bot.

    A session is known by its `session_id` alone: of a user with several sessions, each may
    be drawn.
    """

    def __init__(self, sessions: pl.DataFrame) -> None:
        """`sessions` is a frame as `Store.sessions` returns it; the order of its rows does not matter."""
        self._sessions = sessions

    def sample_sessions(
        self, count: int, *, seed: int, minimum_messages: int = 2, start: datetime | None = None
    ) -> Sample:
        """Draw `count` sessions (>= 1) uniformly without replacement, or all if there are fewer.

        Only sessions with at least `minimum_messages` messages take part. With `start` (naive
        means UTC) they must begin in a window from there, which is widened to 3, 6 and 12 hours
        and to 6 days until it holds `count`; if even 6 days hold fewer, those are taken.

        The same seed draws the same sessions, and a larger `count` only adds to them.

        Raises ConfigurationError, naming the key to change, if there is nothing to draw from.
        """
        if count < 1:
            raise ConfigurationError(f"data.count: {count} is out of range; at least 1 session is needed")
        if self._sessions.is_empty():
            raise ConfigurationError(_NO_SESSIONS)
        available = self._long_enough(minimum_messages)
        found, window_hours = (available, None) if start is None else _window(available, start, count)
        drawn = sorted(found["session_id"], key=lambda session_id: _rank(seed, session_id))[:count]
        return Sample(_records(found, drawn), window_hours, available.height, found.height)

    def _long_enough(self, minimum_messages: int) -> pl.DataFrame:
        available = self._sessions.filter(pl.col("message_count") >= minimum_messages)
        if available.is_empty():
            longest = max(self._sessions["message_count"])
            raise ConfigurationError(
                f"data.minimum_messages: none of the {self._sessions.height} sessions has {minimum_messages} "
                f"messages or more; the longest has {longest}. Lower it, "
                f"or import longer sessions."
            )
        return available


def _window(available: pl.DataFrame, start: datetime, count: int) -> tuple[pl.DataFrame, float]:
    """The sessions in the first window that holds `count`, or else in the longest; and its hours."""
    if start.tzinfo is not None:
        start = start.astimezone(UTC).replace(tzinfo=None)
    start_time = pl.col("start_time")
    later = available.filter(start_time >= start)
    for hours in WINDOW_HOURS:
        found = later.filter(start_time - start < timedelta(hours=hours))
        if found.height >= count:
            break
    if found.is_empty():
        raise ConfigurationError(f"data.start: {_nothing_found(available['start_time'], start)}")
    return found, hours


def _nothing_found(times: pl.Series, start: datetime) -> str:
    known = times.drop_nulls().to_list()
    if not known:
        return "none of the sessions has a start time; leave data.start out to sample from all of them"
    return (
        f"no session with enough messages starts within 6 days of {start.isoformat(' ')} (UTC). The data go "
        f"from {min(known)} to {max(known)}; choose a time between, or leave data.start out."
    )


def _rank(seed: int, session_id: str) -> tuple[bytes, str]:
    # The lowest hashes are a uniform draw that depends on nothing but seed and id: not on the order
    # of rows, a library's generator, or the other sessions. So larger samples contain smaller ones.
    return hashlib.sha256(f"{seed}\n{session_id}".encode()).digest(), session_id


def _records(found: pl.DataFrame, session_ids: list[str]) -> tuple[Session, ...]:
    drawn = found.filter(pl.col("session_id").is_in(session_ids)).sort(
        "start_time", "session_id", nulls_last=True
    )
    return tuple(Session(*row) for row in drawn.select(_SESSION_COLUMNS).iter_rows())
