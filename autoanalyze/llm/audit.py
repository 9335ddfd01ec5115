"""Reading a journal back: its whole lines, their chain of hashes, and their sums."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoanalyze.errors import JournalError
from autoanalyze.records import Usage

CHAIN_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Audit:
    """What a journal holds. `spent_usd` is what was surely billed, `uncertain_usd` the reservations of
    calls of which nobody knows whether they were (time-outs, crashes)."""

    lines: int
    sent: int
    answered: int
    failed: int
    unanswered: int
    spent_usd: float
    uncertain_usd: float
    torn: bool


def verify(path: Path) -> Audit:
    """Hash a whole journal again and sum it up.

    A torn last line, which a crash leaves, is tolerated and reported. Raises JournalError, with the
    number of the line, for anything that was changed, taken out or put in.
    """
    lines, end = read_lines(path)
    chain = ""
    for number, line in enumerate(lines, start=1):
        content = {name: value for name, value in line.items() if name != "chain"}
        chain = chained(chain, written(content))
        if line.get("chain") != chain:
            raise JournalError(f"{path}:{number}: this line, or one before it, is not as it was written")
    return audited(lines, torn=end < path.stat().st_size)


def audited(lines: Sequence[Mapping[str, Any]], *, torn: bool) -> Audit:
    """The sums over the lines of a journal."""
    events = {
        event: [line for line in lines if line["event"] == event] for event in ("sent", "answered", "failed")
    }
    ended = {line["call"] for event in ("answered", "failed") for line in events[event]}
    unanswered = [line for line in events["sent"] if line["call"] not in ended]
    return Audit(
        lines=len(lines),
        sent=len(events["sent"]),
        answered=len(events["answered"]),
        failed=len(events["failed"]),
        unanswered=len(unanswered),
        spent_usd=sum(line["cost_usd"] for line in events["answered"]),
        uncertain_usd=sum(line["uncertain_usd"] for line in events["failed"])
        + sum(line["reserved_usd"] for line in unanswered),
        torn=torn,
    )


def read_lines(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The whole lines of a journal, and where they end in the file.

    Raises JournalError if the file cannot be read, or if a line is damaged.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise JournalError(f"{path}: the journal cannot be read ({error.strerror})") from None
    lines, end = [], 0
    for number, raw in enumerate(split(content), start=1):
        if not raw.endswith(b"\n"):
            break  # the line feed is written last: without it, a crash tore this line
        try:
            line = json.loads(raw)
            whole = line["event"] in ("sent", "answered", "failed", "finished", "ledger")
        except (ValueError, KeyError, TypeError):
            whole = False
        if not whole:
            raise JournalError(f"{path}:{number}: this line is damaged; restore the file from a copy")
        lines.append(line)
        end += len(raw)
    return lines, end


def split(content: bytes) -> Iterator[bytes]:
    """Lines with their ends; only a line feed ends one."""
    start = 0
    while start < len(content):
        end = content.find(b"\n", start) + 1 or len(content)
        yield content[start:end]
        start = end


def chained(chain: str, text: str) -> str:
    """Hash over the text of a line and, through `chain`, all before it."""
    return hashlib.sha256((chain + text).encode()).hexdigest()[:CHAIN_DIGITS]


def written(line: Mapping[str, Any]) -> str:
    """A line as it stands in the file."""
    return json.dumps(line, ensure_ascii=True, separators=(",", ":"))


def usage_of(line: Mapping[str, Any]) -> Usage:
    """The usage of an answered line."""
    return Usage(**line["usage"])


def was_paid(line: Mapping[str, Any]) -> bool:
    """Whether a line is an answer that this run paid for."""
    return line["event"] == "answered" and not line.get("reused", False)
