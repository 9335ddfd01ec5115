"""The journal: an append-only record of every call, written before and after it is made.

One JSON object per line of `calls.jsonl`. A `sent` line with the reserved cost is on disk
before a request leaves, an `answered` or `failed` line before its result is used. Times are
those of the run's clock, so the journal of a simulated run is the same to the byte each time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from autoanalyze.records import CallContext, Usage

__all__ = ["Journal", "request_hash"]

HASH_TAG = "autoanalyze-request-1"
"""Changes when the meaning of a request changes although its content does not."""


def request_hash(request: Mapping[str, Any], endpoint: str) -> str:
    """Identity of a request: everything that can change the answer and nothing that only schedules."""
    content = json.dumps([HASH_TAG, endpoint, request], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()


class Journal:
    """Writes `calls.jsonl`. Sums up the usage and the number of calls as it goes."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._number = 0
        self.calls = 0
        self.failures = 0
        self.usage = Usage()

    def __enter__(self) -> Journal:
        """The journal itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._file.close()

    def sent(
        self,
        *,
        request: str,
        kind: str,
        model: str,
        context: CallContext,
        session_ids: Sequence[str],
        vocabulary_version: int,
        reserved_usd: float,
        start: float,
    ) -> dict[str, Any]:
        """Record that a call is about to leave; the returned entry identifies it for its outcome."""
        self._number += 1
        entry = {
            "call": self._number,
            "request": request,
            "kind": kind,
            "phase": context.phase,
            "round": context.round,
            "stream": context.stream,
            "attempt": context.attempt,
            "model": model,
            "session_ids": list(session_ids),
            "vocabulary_version": vocabulary_version,
            "start": round(start, 6),
        }
        self._write({"event": "sent", **entry, "reserved_usd": round(reserved_usd, 9)})
        return entry

    def answered(
        self, entry: Mapping[str, Any], *, end: float, usage: Usage, finish_reason: str, reply: str
    ) -> None:
        """Record an answer, raw, before anything is made of it."""
        self.calls += 1
        self.usage += usage
        tokens = {"prompt": usage.prompt, "cached": usage.cached, "completion": usage.completion}
        outcome = {"end": round(end, 6), "usage": tokens, "finish_reason": finish_reason, "reply": reply}
        self._write({"event": "answered", **entry, **outcome})

    def failed(self, entry: Mapping[str, Any], *, end: float, error: str) -> None:
        """Record that a call brought no answer."""
        self.failures += 1
        self._write({"event": "failed", **entry, "end": round(end, 6), "error": error})

    def _write(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line, ensure_ascii=True, separators=(",", ":")) + "\n")
        self._file.flush()
