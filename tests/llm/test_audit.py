"""A journal read back: what it sums up to, and what was done to it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoanalyze.errors import JournalError
from autoanalyze.llm.audit import Audit, read_lines, split, verify, was_paid, written
from autoanalyze.llm.calls import Call
from autoanalyze.llm.journal import Journal
from autoanalyze.records import CallContext, Usage

OUTCOMES = st.sampled_from(["answered", "failed", "unanswered", "reused", "finished", "ledger"])
MONEY = st.integers(0, 1000).map(lambda thousandths: thousandths / 1000)
STEPS = st.lists(st.tuples(OUTCOMES, MONEY), max_size=12)
NOTHING = Audit(0, 0, 0, 0, 0, 0.0, 0.0, torn=False)


def journalled(path: Path, steps: list[tuple[str, float]]) -> None:
    """A journal in which these things happened, each to a call of its own."""
    usage = Usage(10, 4, 5)
    with TemporaryDirectory() as folder, Journal(path) as journal:
        for number, (outcome, usd) in enumerate(steps):
            if outcome == "finished":
                journal.finished(number)
            elif outcome == "ledger":
                journal.ledger([{"alias": f"a{number}"}], "run")
            elif outcome == "reused":
                with Journal(Path(folder) / f"{number}.jsonl") as other:
                    say(other, f"other {number}", usage, usd)
                    answer = other.recorded(f"other {number}")
                assert answer is not None
                journal.reused(call(f"other {number}"), replace(answer, own=False), end=1.0)
            elif outcome == "answered":
                say(journal, f"h{number}", usage, usd)
            else:
                entry = send(journal, f"h{number}", usd)
                if outcome == "failed":
                    journal.failed(entry, end=2.0, error="500", uncertain_usd=usd)


def send(journal: Journal, request: str, reserved: float) -> dict[str, Any]:
    return journal.sent(call(request), reserved_usd=reserved, start=1.0)


def call(request: str) -> Call:
    return Call("analyze", "m", {}, request, CallContext("parallel"), ("a",), 1, 10, 100, 50, 0.0)


def say(journal: Journal, request: str, usage: Usage, usd: float) -> None:
    entry = send(journal, request, 9.0)
    journal.answered(
        entry, end=2.0, usage=usage, cost_usd=usd, finish_reason="stop", reply='{"sessions": ["é\u2028"]}'
    )


@settings(deadline=None, max_examples=40)
@given(STEPS)
def test_sums_are_those_of_what_happened(steps: list[tuple[str, float]]) -> None:
    """Answers are spent, failures and calls without an outcome uncertain, reused answers cost nothing."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "calls.jsonl"
        journalled(path, steps)
        audit = verify(path)
        spent: Any = pytest.approx(sum(usd for outcome, usd in steps if outcome == "answered"))
        uncertain: Any = pytest.approx(
            sum(usd for outcome, usd in steps if outcome in ("failed", "unanswered"))
        )
        count = [outcome for outcome, _ in steps].count
        asked = count("answered") + count("failed") + count("unanswered")
        assert audit == Audit(
            lines=asked
            + count("answered")
            + count("failed")
            + sum(map(count, ("reused", "finished", "ledger"))),
            sent=asked,
            answered=count("answered") + count("reused"),
            failed=count("failed"),
            unanswered=count("unanswered"),
            spent_usd=spent,
            uncertain_usd=uncertain,
            torn=False,
        )
        with Journal(path) as journal:
            account = journal.account()
        assert (account.spent_usd, account.uncertain_usd) == (audit.spent_usd, audit.uncertain_usd)
        assert account.paid_calls == sum(map(was_paid, read_lines(path)[0])) == count("answered")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of eight lines."""
    steps = [("answered", 0.1), ("failed", 0.2), ("finished", 0), ("unanswered", 0.3), ("answered", 0.4)]
    journalled(tmp_path / "calls.jsonl", steps)
    return tmp_path / "calls.jsonl"


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_changed_bytes_are_found(data: st.DataObject) -> None:
    """Whichever byte of a line is another, the audit says so."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "calls.jsonl"
        journalled(path, [("answered", 0.1), ("failed", 0.2), ("answered", 0.3)])
        content = path.read_bytes()
        ends = [position for position, byte in enumerate(content) if byte == 0x0A]
        position = data.draw(st.integers(0, len(content) - 2).filter(lambda place: place not in ends))
        path.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        with pytest.raises(JournalError):
            verify(path)


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_lines_taken_out_put_in_or_moved_are_found_where_they_were(data: st.DataObject) -> None:
    """The error names the first line that does not follow from those before it."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "calls.jsonl"
        journalled(path, data.draw(STEPS.filter(lambda steps: len(steps) > 2)))
        lines = path.read_bytes().splitlines(keepends=True)
        one, other = sorted(
            data.draw(st.lists(st.integers(0, len(lines) - 1), min_size=2, max_size=2, unique=True))
        )
        kind = data.draw(st.sampled_from(["out", "in", "moved"]))
        if kind == "out":
            changed = lines[:one] + lines[one + 1 :]
        elif kind == "in":
            changed = [*lines[:one], lines[other], *lines[one:]]
        else:
            changed = [*lines]
            changed[one], changed[other] = lines[other], lines[one]
        path.write_bytes(b"".join(changed))
        with pytest.raises(JournalError, match=rf"calls\.jsonl:{one + 1}: .* not as it was written"):
            verify(path)


def test_forged_sums_are_found(path: Path) -> None:
    """A cheaper answer is seen although the line is whole and says what lines say."""
    lines = path.read_text(encoding="utf-8").splitlines()
    forged = {**json.loads(lines[1]), "cost_usd": 0.0}
    path.write_text("\n".join([lines[0], written(forged), *lines[2:], ""]), encoding="utf-8")
    assert was_paid(forged)
    with pytest.raises(JournalError, match=":2:"):
        verify(path)


def test_torn_last_line_is_told_and_not_counted(path: Path) -> None:
    """What a crash tore is no line; cut between two lines, a journal is only shorter."""
    content = path.read_bytes()
    whole = verify(path)
    start = content[:-1].rfind(b"\n") + 1
    for cut in (start + 1, len(content) - 1):
        path.write_bytes(content[:cut])
        torn = verify(path)
        assert (torn.lines, torn.torn) == (whole.lines - 1, True)
        assert torn.unanswered == whole.unanswered + 1, "its call has lost its outcome"
        assert torn.uncertain_usd == pytest.approx(whole.uncertain_usd + 9.0)
        assert torn.spent_usd == pytest.approx(whole.spent_usd - 0.4)
    path.write_bytes(content[:start])
    assert verify(path) == replace(torn, torn=False)


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"{",
        b"null",
        b"7",
        b"[]",
        b'"sent"',
        b"{}",
        b'{"event":"paid"}',
        b'{"event":["sent"]}',
        b'\xff{"event":"sent"}',
        b'{"event":"sent"}{}',
    ],
)
def test_damaged_lines_are_named(path: Path, damaged: bytes) -> None:
    """What is no event of a journal is refused by its number, before anything is made of it."""
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], damaged + b"\n", *lines[2:]]))
    for read in (verify, read_lines, Journal):
        with pytest.raises(JournalError, match=r":3: this line is damaged"):
            read(path)


def test_journals_that_cannot_be_read_are_errors(tmp_path: Path) -> None:
    """A missing file and a folder are said to be unreadable; an empty file is an empty journal."""
    for place in (tmp_path / "nowhere.jsonl", tmp_path):
        with pytest.raises(JournalError, match="cannot be read"):
            verify(place)
    (tmp_path / "empty.jsonl").touch()
    assert verify(tmp_path / "empty.jsonl") == NOTHING


@given(st.lists(st.sampled_from([b"a", b"\n", b"\r", b"\x0b", b"\xe2\x80\xa8", b"\x1e"])).map(b"".join))
def test_only_line_feeds_end_lines(content: bytes) -> None:
    """Lines with their ends make up the content again, and none holds a line feed but as its end."""
    pieces = list(split(content))
    assert b"".join(pieces) == content
    assert all(piece and b"\n" not in piece[:-1] for piece in pieces)
    assert all(piece.endswith(b"\n") for piece in pieces[:-1])


JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=50)
@given(st.dictionaries(st.text(max_size=5), JSON_VALUES, max_size=4))
def test_lines_say_any_content_in_plain_characters(line: dict[str, Any]) -> None:
    """Whatever a reply holds, a line is one line of ASCII and reads back as it was."""
    text = written(line)
    assert text.isascii()
    assert "\n" not in text
    assert json.loads(text) == line
