"""The journal: an append-only record of every call, written before and after it is made.

One JSON object per line of `calls.jsonl`. A `sent` line with the reserved cost is on disk
before a request leaves, an `answered` or `failed` line before its result is used; each line
carries a hash over itself and all lines before it. Times are those of the run's clock, so the
journal of a simulated run is the same to the byte each time.

An answer that is in a journal is never asked for again: that is resume (this run's own journal),
reuse (journals of other runs) and replay (journals only). Failures are never reused, nor is an answer that
says nothing usable (empty, prose, an error): only a replay, which contacts nobody, takes it as it was.

Where no barrier makes the order of answers meaningless, a `finished` line tells which piece of work
came next, so that a resumed or replayed run takes them in the same order, however fast each is now.
A `ledger` line says which labels were merged in the end, by the run or by a later review, and what that
changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from autoanalyze.llm.answers import is_usable
from autoanalyze.llm.audit import audited, chained, read_lines, usage_of, was_paid, written
from autoanalyze.llm.calls import Call
from autoanalyze.llm.replies import REFUSED
from autoanalyze.records import Usage

HASH_TAG = "autoanalyze-request-1"
"""Changes when the meaning of a request changes although its content does not."""


def request_hash(request: Mapping[str, Any], endpoint: str) -> str:
    """Identity of a request: everything that can change the answer and nothing that only schedules."""
    content = json.dumps([HASH_TAG, endpoint, request], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Try:
    """One attempt at a call, on the clock of its run; `busy` tells that the endpoint said 429."""

    start: float
    end: float
    busy: bool = False


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """An answer from a journal. `seconds` is what the call took with all its retries, `tries` are its
    attempts, the last of which brought the answer; `own` tells whether this run made them."""

    text: str
    usage: Usage
    finish_reason: str
    seconds: float
    tries: tuple[Try, ...]
    own: bool


@dataclass(frozen=True, slots=True)
class Account:
    """Calls and usage counted twice: as if every call were made now, and as this run really paid."""

    calls: int
    usage: Usage
    paid_calls: int
    paid_usage: Usage
    failures: int
    spent_usd: float
    uncertain_usd: float
    by_kind: Mapping[str, Usage] = field(default_factory=dict)
    """The usage of `usage` by the kind of calls: analyze, judge, codebook, themes, embed."""

    def of(self, *kinds: str) -> Usage:
        """The usage of some kinds of calls together."""
        return sum((self.by_kind.get(kind, Usage()) for kind in kinds), Usage())


class Journal:
    """Writes `calls.jsonl` and finds answers that are there already.

    `reuse` names further journals whose answers count; with `follow`, the first of them also says in
    which order work finished. Raises JournalError if a journal is damaged
    anywhere but in its last line, which a crash may have torn.
    """

    def __init__(self, path: Path, *, reuse: Sequence[Path] = (), follow: bool = False) -> None:
        self._answers: dict[str, RecordedAnswer] = {}
        self._failures: dict[str, dict[float, Try]] = {}
        self._order: list[int] = []
        self._position = 0
        self.replayed = follow
        for number, other in enumerate(reuse):
            others = read_lines(other)[0]
            self._remember(others, own=False)
            if follow and number == 0:
                self._order = order_of(others)
        lines, end = read_lines(path) if path.exists() else ([], 0)
        self._remember(lines, own=True)
        own_order = order_of(lines)
        self._written = len(own_order)
        self._order = own_order + self._order[len(own_order) :]
        self._number = max((line.get("call", 0) for line in lines), default=0)
        self._chain = lines[-1]["chain"] if lines else ""
        ledgers = [line for line in lines if line["event"] == "ledger"]
        self._ledger = {key: ledgers[-1][key] for key in ledgers[-1] if key != "chain"} if ledgers else {}
        audit = audited(lines, torn=False)
        self.spent_usd = audit.spent_usd
        self.uncertain_usd = audit.uncertain_usd
        self._paid = [usage_of(line) for line in lines if was_paid(line)]
        self.calls = 0
        self.usage = Usage()
        self._by_kind: dict[str, Usage] = {}
        self.failures = audit.failed
        if path.exists():
            with path.open("r+b") as file:
                file.truncate(end)
        self._file = path.open("a", encoding="utf-8")

    def __enter__(self) -> Journal:
        """The journal itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._file.close()

    def account(self) -> Account:
        """The sums so far."""
        return Account(
            self.calls,
            self.usage,
            len(self._paid),
            sum(self._paid, Usage()),
            self.failures,
            self.spent_usd,
            self.uncertain_usd,
            dict(self._by_kind),
        )

    def recorded(self, request: str) -> RecordedAnswer | None:
        """The answer to a request, if one is known."""
        return self._answers.get(request)

    def sent(self, call: Call, *, reserved_usd: float, start: float) -> dict[str, Any]:
        """Record that a call is about to leave; the returned entry identifies it for its outcome."""
        entry = self._entry(call, start)
        self._write({"event": "sent", **entry, "reserved_usd": reserved_usd})
        return entry

    def answered(
        self,
        entry: Mapping[str, Any],
        *,
        end: float,
        usage: Usage,
        cost_usd: float,
        finish_reason: str,
        reply: str,
    ) -> None:
        """Record an answer, raw, before anything is made of it."""
        line = {
            "event": "answered",
            **entry,
            "end": end,
            "usage": asdict(usage),
            "cost_usd": cost_usd,
            "finish_reason": finish_reason,
            "reply": reply,
        }
        self._write(line)
        self._remember([line], own=True)
        self.spent_usd += cost_usd
        self._paid.append(usage)
        self._count(entry["kind"], usage)

    def reused(self, call: Call, answer: RecordedAnswer, *, end: float) -> None:
        """Count an answer that was known already; one of another run is copied, as paid for there."""
        if not answer.own:
            line = {
                "event": "answered",
                **self._entry(call, call.began),
                "end": end,
                "usage": asdict(answer.usage),
                "cost_usd": 0.0,
                "reused": True,
                "finish_reason": answer.finish_reason,
                "reply": answer.text,
            }
            self._write(line)
            self._remember([line], own=True)
        self._count(call.kind, answer.usage)

    def _count(self, kind: str, usage: Usage) -> None:
        self.calls += 1
        self.usage += usage
        self._by_kind[kind] = self._by_kind.get(kind, Usage()) + usage

    def failed(
        self,
        entry: Mapping[str, Any],
        *,
        end: float,
        error: str,
        uncertain_usd: float,
        busy: bool = False,
    ) -> None:
        """Record that a call brought no answer; `uncertain_usd` is what it may have cost all the same,
        `busy` that the endpoint said 429."""
        self.failures += 1
        self.uncertain_usd += uncertain_usd
        outcome = {"end": end, "uncertain_usd": uncertain_usd, "busy": busy, "error": error}
        line = {"event": "failed", **entry, **outcome}
        self._write(line)
        self._remember([line], own=True)

    def _entry(self, call: Call, start: float) -> dict[str, Any]:
        """What all lines of a call have in common, under a number of its own."""
        self._number += 1
        return {
            "call": self._number,
            "request": call.digest,
            "kind": call.kind,
            "phase": call.context.phase,
            "round": call.context.round,
            "stream": call.context.stream,
            "attempt": call.context.attempt,
            "model": call.model,
            "session_ids": list(call.session_ids),
            "vocabulary_version": call.vocabulary_version,
            "began": call.began,
            "start": start,
        }

    def next_finished(self) -> int | None:
        """The piece of work that finished next when this was recorded; null where no record goes."""
        return self._order[self._position] if self._position < len(self._order) else None

    def finished(self, work: int) -> None:
        """Record that a piece of work finished. What a record still says otherwise is void from here on."""
        if self.next_finished() != work:
            self._order = [*self._order[: self._position], work]
            self._written = min(self._written, self._position)
        if self._position >= self._written:
            self._write({"event": "finished", "position": self._position, "work": work})
            self._written = self._position + 1
        self._position += 1

    def ledger(
        self, merges: Sequence[Mapping[str, Any]], by: str, changes: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        """Record which labels are merged, and `by` what: the run or a review. The last record counts.

        `changes` are those of a review: also to names, and to the labels of single sessions.
        """
        line = {"event": "ledger", "by": by, "merges": list(merges)}
        if changes:
            line["changes"] = list(changes)
        if line != self._ledger:
            self._write(line)
            self._ledger = line

    def _remember(self, lines: Sequence[Mapping[str, Any]], *, own: bool) -> None:
        for line in lines:
            if line["event"] == "failed" and own:
                # By start: a call that a crash cut short fails again at the same moment when it is resumed.
                tries = self._failures.setdefault(line["request"], {})
                tries[line["start"]] = Try(line["start"], line["end"], line["busy"])
            if line["event"] == "answered" and (self.replayed or may_stand(line)):
                failures = self._failures.get(line["request"], {}) if own else {}
                earlier = (tried for start, tried in sorted(failures.items()) if start < line["start"])
                self._answers[line["request"]] = RecordedAnswer(
                    line["reply"],
                    usage_of(line),
                    line["finish_reason"],
                    line["end"] - line["began"],
                    (*earlier, Try(line["start"], line["end"])),
                    own,
                )

    def _write(self, line: Mapping[str, Any]) -> None:
        text = written(line)
        self._chain = chained(self._chain, text)
        # As the line is with its chain as the last value, without spelling it a second time.
        self._file.write(f'{text[:-1]},"chain":"{self._chain}"}}\n')
        self._file.flush()


def may_stand(line: Mapping[str, Any]) -> bool:
    """Whether an answered line holds an answer; that a filter refused is one."""
    return line["finish_reason"] == REFUSED or is_usable(line["kind"], line["reply"])


def order_of(lines: Sequence[Mapping[str, Any]]) -> list[int]:
    """The order in which work finished; a later line overrules earlier ones from its position on."""
    order: list[int] = []
    for line in lines:
        if line["event"] == "finished":
            order[line["position"] :] = [line["work"]]
    return order
