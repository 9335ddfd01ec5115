"""Sessions that were read lately: most runs fit in, and the others hold no more than this at once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

from autoanalyze.records import Message

__all__ = ["RecentSessions"]

MOST_BYTES = 32_000_000
"""About 7,500 synthetic sessions."""

BYTES_PER_MESSAGE = 250
"""What a message takes beside its text, roughly."""


class RecentSessions:
    """Messages by bot and session id, the least recently used forgotten first; at most about `most_bytes`.

    Right for what never changes once it is stored. Safe to use from many threads.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._messages: OrderedDict[tuple[str, str], tuple[Message, ...]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many sessions are remembered."""
        return len(self._messages)

    def find(self, bot_id: str, session_ids: Iterable[str]) -> dict[str, tuple[Message, ...]]:
        """Those of the sessions that are remembered."""
        found = {}
        with self._lock:
            for session_id in session_ids:
                key = (bot_id, session_id)
                if key in self._messages:
                    self._messages.move_to_end(key)
                    found[session_id] = self._messages[key]
        return found

    def remember(self, bot_id: str, sessions: Mapping[str, tuple[Message, ...]]) -> None:
        """Keep sessions that were just read."""
        with self._lock:
            for session_id, messages in sessions.items():
                self._bytes -= size(self._messages.pop((bot_id, session_id), ()))
                self._messages[bot_id, session_id] = messages
                self._bytes += size(messages)
            while self._bytes > self._most_bytes:
                self._bytes -= size(self._messages.popitem(last=False)[1])


def size(messages: Sequence[Message]) -> int:
    """Bytes that messages take, roughly."""
    return sum(BYTES_PER_MESSAGE + len(message.text) for message in messages)
