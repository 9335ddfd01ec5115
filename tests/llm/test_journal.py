"""The record of calls."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoanalyze.errors import JournalError
from autoanalyze.llm.audit import verify
from autoanalyze.llm.calls import Call
from autoanalyze.llm.journal import Journal, Try, request_hash
from autoanalyze.records import CallContext, Usage


def send(journal: Journal, *, start: float = 1.5, **changes: Any) -> dict[str, Any]:
    return journal.sent(make_call(**changes), reserved_usd=0.25, start=start)


def make_call(request: str = "h", **changes: Any) -> Call:
    """A labelling call of one session."""
    context = CallContext("parallel", 2, 3, 1, 99)
    return replace(Call("analyze", "m", {}, request, context, ("a",), 4, 10, 100, 50, 1.0), **changes)


def answer(journal: Journal, request: str, reply: str = "r", **changes: Any) -> None:
    arguments = {
        "end": 2.0,
        "usage": Usage(10, 4, 5),
        "cost_usd": 0.1,
        "finish_reason": "stop",
        "reply": reply,
    }
    journal.answered(send(journal, request=request), **{**arguments, **changes})


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
        answer(journal, "h1", "a\u2028\n\u202e\ud800")
        journal.failed(send(journal), end=3.0, error="500", uncertain_usd=0.0)
        answer(journal, "h2", "", usage=Usage(1, 0, 1))
    account = journal.account()
    assert account.usage == account.paid_usage == Usage(11, 4, 6)
    assert (account.calls, account.failures, account.spent_usd) == (2, 1, 0.2)
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


def test_reopened_journal_knows_its_answers_and_its_costs(tmp_path: Path) -> None:
    """After a crash: answers are found, a call without an outcome counts as spent, numbers go on."""
    path = tmp_path / "calls.jsonl"
    with Journal(path) as journal:
        answer(journal, "h1", '{"sessions": [1]}')
        send(journal, request="h2")
    with Journal(path) as journal:
        recorded = journal.recorded("h1")
        assert recorded is not None
        assert (recorded.text, recorded.seconds, recorded.own) == ('{"sessions": [1]}', 1.0, True)
        assert recorded.tries == (Try(1.5, 2.0),)
        assert journal.recorded("h2") is None
        assert (journal.spent_usd, journal.uncertain_usd) == (0.1, 0.25)
        journal.reused(make_call("h1"), recorded, end=9.0)
        answer(journal, "h2")
    account = journal.account()
    assert (account.calls, account.paid_calls) == (2, 2)
    assert [line["call"] for line in lines(path)] == [1, 1, 2, 3, 3]
    assert verify(path).unanswered == 1


def test_answers_of_other_runs_are_copied_and_cost_nothing(tmp_path: Path) -> None:
    """A reused answer makes the journal whole, and is counted as if made but not as paid."""
    with Journal(tmp_path / "other.jsonl") as journal:
        answer(journal, "h1", "[]")
        journal.failed(send(journal, request="h3"), end=3.0, error="500", uncertain_usd=0.0)
    with Journal(tmp_path / "mine.jsonl", reuse=[tmp_path / "other.jsonl"]) as journal:
        recorded = journal.recorded("h1")
        assert recorded is not None
        assert journal.recorded("h3") is None
        journal.reused(make_call("h1"), recorded, end=4.0)
    account = journal.account()
    assert (account.calls, account.paid_calls, account.spent_usd) == (1, 0, 0.0)
    with Journal(tmp_path / "mine.jsonl") as journal:
        again = journal.recorded("h1")
        assert again is not None
        assert again.text == "[]"
        assert journal.account().paid_calls == 0


@given(st.data())
def test_torn_tail_is_forgotten_and_damage_is_not(data: st.DataObject) -> None:
    """Cut anywhere, a journal opens and goes on with its whole lines; a changed byte is found."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "calls.jsonl"
        with Journal(path) as journal:
            for number in range(3):
                answer(journal, f"h{number}", f"reply {number}")
        content = path.read_bytes()
        cut = data.draw(st.integers(0, len(content)))
        path.write_bytes(content[:cut])
        whole = content[:cut].count(b"\n")
        assert verify(path).lines == whole
        with Journal(path) as journal:
            answer(journal, "new")
        assert verify(path).lines == whole + 2
        position = data.draw(st.integers(0, len(content) - 2))
        if content[position : position + 1] not in b"\n":
            other = bytes([content[position] ^ 1])
            path.write_bytes(content[:position] + other + content[position + 1 :])
            with pytest.raises(JournalError):
                verify(path)


def test_failed_attempts_are_remembered_with_their_answer(tmp_path: Path) -> None:
    """Resuming lives an answered call again with all its attempts; one cut short by a crash counts once."""
    path = tmp_path / "calls.jsonl"
    for _ in range(2):  # the same attempt before the crash, and again after it
        with Journal(path) as journal:
            journal.failed(send(journal), end=1.7, error="429", uncertain_usd=0.0, busy=True)
    with Journal(path) as journal:
        journal.answered(
            send(journal, start=3.0), end=4.0, usage=Usage(), cost_usd=0.0, finish_reason="stop", reply="[]"
        )
    with Journal(path) as journal:
        recorded = journal.recorded("h")
    assert recorded is not None
    assert recorded.tries == (Try(1.5, 1.7, busy=True), Try(3.0, 4.0))


USELESS = ["", "sorry", '{"error": {"code": 429}}', '{"sessions": [{"k": "s1"', "null"]


@pytest.mark.parametrize("useless", USELESS)
def test_useless_answers_are_asked_again_but_replayed(tmp_path: Path, useless: str) -> None:
    """Neither resume nor reuse takes nothing, prose or an error for an answer; a replay takes it."""
    with Journal(tmp_path / "calls.jsonl") as journal:
        answer(journal, "h1", useless)
        assert journal.recorded("h1") is None
    path = tmp_path / "calls.jsonl"
    for again in (Journal(path), Journal(tmp_path / "other.jsonl", reuse=[path])):
        with again:
            assert again.recorded("h1") is None
    with Journal(tmp_path / "replay.jsonl", reuse=[path], follow=True) as replay:
        assert replay.recorded("h1") is not None


def test_order_of_finishing_is_kept_and_followed(tmp_path: Path) -> None:
    """What finished is found again in the same order, and is not written twice."""
    path = tmp_path / "calls.jsonl"
    with Journal(path) as journal:
        for work in (2, 1, -1):
            assert journal.next_finished() is None
            journal.finished(work)
    size = path.stat().st_size
    with Journal(path) as journal:
        for work in (2, 1, -1):
            assert journal.next_finished() == work
            journal.finished(work)
        assert journal.next_finished() is None
        assert path.stat().st_size == size
    verify(path)


@given(st.lists(st.lists(st.integers(-3, 9), max_size=8), min_size=1, max_size=5))
def test_last_order_counts_however_often_a_run_was_resumed(runs: list[list[int]]) -> None:
    """Each resumed run follows the record as far as it fits; the next finds what happened last."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "calls.jsonl"
        expected: list[int] = []
        for finishes in runs:
            with Journal(path) as journal:
                for work in finishes:
                    journal.finished(work)
            agreed = [work for work, other in zip(finishes, expected, strict=False) if work == other]
            follows = agreed == finishes[: len(agreed)] and len(finishes) <= len(expected)
            expected = expected if follows and finishes == expected[: len(finishes)] else finishes
        with Journal(path) as journal:
            found = []
            while (work := journal.next_finished()) is not None:  # type: ignore[assignment]  # null ends the loop
                found.append(work)
                journal.finished(work)
        assert found == expected


def test_replay_follows_the_first_of_the_reused_journals(tmp_path: Path) -> None:
    """The order of another run is followed only when told to, and is then written down here too."""
    other, own = tmp_path / "other.jsonl", tmp_path / "own.jsonl"
    with Journal(other) as journal:
        journal.finished(5)
    with Journal(own, reuse=[other]) as journal:
        assert journal.next_finished() is None
    with Journal(own, reuse=[other], follow=True) as journal:
        assert journal.next_finished() == 5
        journal.finished(5)
    with Journal(own) as journal:
        assert journal.next_finished() == 5
