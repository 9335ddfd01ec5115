"""The record of calls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from autoanalyze.llm.journal import Journal, request_hash
from autoanalyze.records import CallContext, Usage


def send(journal: Journal, **changes: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "request": "h",
        "kind": "analyze",
        "model": "m",
        "context": CallContext("parallel", 2, 3, 1, 99),
        "session_ids": ["a"],
        "vocabulary_version": 4,
        "reserved_usd": 0.25,
        "start": 1.5,
    }
    return journal.sent(**{**arguments, **changes})


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_sent_is_on_disk_before_the_answer(tmp_path: Path) -> None:
    """A call that never returns has left its line and its reserved cost."""
    path = tmp_path / "calls.jsonl"
    with Journal(path) as journal:
        send(journal)
        (line,) = lines(path)
    assert (line["event"], line["reserved_usd"], line["round"], line["stream"]) == ("sent", 0.25, 2, 3)


def test_answer_and_failure_are_told_apart(tmp_path: Path) -> None:
    """Usage adds up over answers only; a reply of any characters is one line."""
    path = tmp_path / "calls.jsonl"
    with Journal(path) as journal:
        journal.answered(
            send(journal), end=2.0, usage=Usage(10, 4, 5), finish_reason="stop", reply="a\u2028\n\u202e\ud800"
        )
        journal.failed(send(journal), end=3.0, error="500")
        journal.answered(send(journal), end=4.0, usage=Usage(1, 0, 1), finish_reason="stop", reply="")
    assert journal.usage == Usage(11, 4, 6)
    assert (journal.calls, journal.failures) == (2, 1)
    written = lines(path)
    assert [line["event"] for line in written] == ["sent", "answered", "sent", "failed", "sent", "answered"]
    assert [line["call"] for line in written] == [1, 1, 2, 2, 3, 3]
    assert written[1]["reply"] == "a\u2028\n\u202e\ud800"


def test_hash_covers_what_changes_the_answer() -> None:
    """Another seed, text or endpoint is another request; the order of keys is not."""
    request = {"model": "m", "messages": [{"role": "user", "content": "x"}], "seed": 1}
    same = {"seed": 1, "messages": [{"content": "x", "role": "user"}], "model": "m"}
    assert request_hash(request, "e") == request_hash(same, "e")
    others = [request_hash({**request, "seed": 2}, "e"), request_hash(request, "f")]
    assert request_hash(request, "e") not in others
