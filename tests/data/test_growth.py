"""The same session again: extended if it has grown, a conflict if it is another, never joined or halved."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoanalyze.data.growth import grown
from autoanalyze.data.importers import import_files
from autoanalyze.data.migrations import steps
from autoanalyze.data.reports import ImportOptions, ImportReport
from autoanalyze.data.store import Store
from autoanalyze.records import Conversation, Message

MESSAGES = st.lists(
    st.builds(Message, st.sampled_from(["user", "bot", "agent"]), st.text("abc", min_size=1, max_size=3)),
    max_size=6,
).map(tuple)


@pytest.fixture
def store() -> Iterator[Store]:
    """An empty store."""
    with Store.in_memory() as store:
        yield store


def count_words(texts: Sequence[str]) -> list[int]:
    """Words as tokens."""
    return [len(text.split()) for text in texts]


def load(store: Store, *paths: Path, **options: Any) -> ImportReport:
    """Import files with these options."""
    return import_files(
        paths, store, ImportOptions(**options), count_tokens=count_words, token_encoding="words"
    )


def written(path: Path, session_id: str | None, *texts: str, **more: object) -> Path:
    """A file with one session, whose user and bot say these texts in turn."""
    turns = [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)]
    row = {"messages": turns, **more} | ({} if session_id is None else {"session_id": session_id})
    path.write_text(json.dumps(row) + "\n")
    return path


def texts(store: Store, session_id: str) -> list[str]:
    """What is said in a session of the store."""
    return [message.text for message in store.read("default", [session_id])[session_id]]


@given(MESSAGES, MESSAGES)
def test_a_session_that_goes_on_is_extended(said: tuple[Message, ...], more: tuple[Message, ...]) -> None:
    """In whatever order the shorter and the longer come, the longer one is known in the end."""
    short, long = Conversation("a", "u", said), Conversation("a", "u", said + more)
    for one, other in ((short, long), (long, short)):
        merged = grown(one, other)
        assert merged is not None
        assert merged.messages == said + more
        assert grown(merged, one) is merged
        assert grown(merged, other) is merged


@given(MESSAGES, MESSAGES)
def test_nothing_said_is_ever_lost_or_joined(one: tuple[Message, ...], other: tuple[Message, ...]) -> None:
    """What results is one of the two transcripts and holds both, or there is a conflict."""
    merged = grown(Conversation("a", "u", one), Conversation("a", "u", other))
    if merged is None:
        assert any(a.text != b.text or a.role != b.role for a, b in zip(one, other, strict=False))
    else:
        assert [m.text for m in merged.messages] in ([m.text for m in one], [m.text for m in other])
        assert len(merged.messages) == max(len(one), len(other))


@given(MESSAGES, st.data())
def test_a_partial_session_is_completed(said: tuple[Message, ...], data: st.DataObject) -> None:
    """What lacked messages may get them anywhere, once its file is mended, and loses none again."""
    some = tuple(message for message in said if data.draw(st.booleans()))
    half, whole = Conversation("a", "u", some, partial=True), Conversation("a", "u", said)
    completed = grown(half, whole)
    assert completed is not None
    assert (completed.messages, completed.partial) == (said, False)
    assert grown(completed, half) is completed


@pytest.mark.parametrize(
    "other",
    [
        {"containment_type": "selfService"},
        {"truth": {"general_intent": "card"}},
        {"user_id": "somebody else"},
        {"messages": (Message("user", "Other"),)},
    ],
)
def test_contradictions_are_conflicts(other: dict[str, Any]) -> None:
    """Content, user, containment and truth may become known, but not other than they are."""
    known = Conversation("a", "u", (Message("user", "Hi"),), "agent", truth={"general_intent": "parcel"})
    assert grown(known, replace(known, **other)) is None
    assert grown(replace(known, user_id="a", containment_type="unknown", truth={}), known) == known


def test_a_later_file_extends_a_session(store: Store, tmp_path: Path) -> None:
    """New messages go in and are counted, and are read at once; an older file adds nothing."""
    early = written(tmp_path / "early.jsonl", "a", "Hi")
    late = written(tmp_path / "late.jsonl", "a", "Hi", "Hello", "My card", containment_type="agent")
    load(store, early)
    assert texts(store, "a") == ["Hi"]
    report = load(store, late)
    assert (report.added, report.extended, report.messages) == (0, 1, 2)
    assert texts(store, "a") == ["Hi", "Hello", "My card"]
    row = store.sessions("default").row(0, named=True)
    assert (row["message_count"], row["token_count"], row["containment_type"]) == (3, 7, "agent")
    for path in (early, late):
        assert load(store, path).already_there == 1


def test_several_files_of_one_import_extend_too(store: Store, tmp_path: Path) -> None:
    """Files of one import are read one after another, and sessions that come twice are counted."""
    early = written(tmp_path / "1.jsonl", "a", "Hi")
    late = written(tmp_path / "2.jsonl", "a", "Hi", "Hello")
    report = load(store, early, late)
    assert (report.added, report.extended, report.messages) == (1, 1, 2)


def test_another_session_under_the_same_id_changes_nothing(store: Store, tmp_path: Path) -> None:
    """It is reported with its file, and the one that was there first stays as it was."""
    load(store, written(tmp_path / "one.jsonl", "a", "Hi", "Hello"))
    report = load(store, written(tmp_path / "two.jsonl", "a", "Hi", "Bye"))
    assert [(one.session_id, one.file) for one in report.conflicts] == [("a", "two.jsonl")]
    assert report.brought_nothing
    assert texts(store, "a") == ["Hi", "Hello"]


def test_halves_in_two_files_of_rows_are_not_taken_for_a_session(store: Store, tmp_path: Path) -> None:
    """Where files contradict each other row by row, neither half goes in; other sessions do."""
    for name, text in (("1.csv", "Hi"), ("2.csv", "Bye")):
        (tmp_path / name).write_text(f"session_id,role,text\na,user,{text}\nb,user,Same\n")
    report = load(store, tmp_path)
    assert store.sessions("default")["session_id"].to_list() == ["b"]
    assert [one.session_id for one in report.refused] == ["a"]


def test_made_ids_are_never_extended(store: Store, tmp_path: Path) -> None:
    """A file of the same name is another file: its first line is not the old one grown."""
    load(store, written(tmp_path / "talks.jsonl", None, "Hi"))
    report = load(store, written(tmp_path / "talks.jsonl", None, "Hi", "Hello"))
    assert [one.session_id for one in report.conflicts] == ["talks.jsonl:1"]
    assert texts(store, "talks.jsonl:1") == ["Hi"]


def test_a_rejected_message_keeps_its_session_out(store: Store, tmp_path: Path) -> None:
    """The session is listed with file, lines and reasons; the other one of the file goes in."""
    path = tmp_path / "talks.csv"
    path.write_text("session_id,role,text\na,user,Hi\na,who,Hm\nb,user,Hi\na,bot,too,many\n")
    report = load(store, path)
    assert store.sessions("default")["session_id"].to_list() == ["b"]
    (refused,) = report.refused
    assert (refused.session_id, refused.file, refused.lines) == ("a", str(path), (3, 5))
    assert "this role is unknown" in refused.reasons[0]
    assert "4 columns where the header has 3" in refused.reasons[1]


def test_agents_of_older_stores_become_agents_when_imported_again(tmp_path: Path) -> None:
    """A store made before agents were known is brought up to date, and the same file corrects it."""
    path = tmp_path / "old.db"
    with duckdb.connect(str(path)) as database:
        for number in (1, 2):
            database.execute(steps()[number])
        database.execute("CREATE TABLE schema_version (version INTEGER PRIMARY KEY)")
        database.execute("INSERT INTO schema_version VALUES (1), (2)")
        database.execute(
            "INSERT INTO sessions VALUES ('default', 'a', 'a', NULL, NULL, 'unknown', 2, 4, 'words', 'old')"
        )
        database.execute(
            "INSERT INTO messages VALUES ('default', 'a', 0, 'user', 'Hi', NULL),"
            " ('default', 'a', 1, 'bot', 'I am Ann', NULL)"
        )
    (tmp_path / "talks.csv").write_text("session_id,role,text\na,user,Hi\na,agent,I am Ann\n")
    with Store.open(path) as store:
        assert store.sessions("default", "NOT partial").height == 1
        report = load(store, tmp_path / "talks.csv")
        assert (report.extended, report.messages) == (1, 0)
        assert [message.role for message in store.read("default", ["a"])["a"]] == ["user", "agent"]
        assert store.sessions("default")["containment_type"].item() == "agent"


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.text("xy", min_size=1, max_size=2)), min_size=1, max_size=12
    )
)
def test_importing_twice_adds_nothing(rows: list[tuple[str, str]]) -> None:
    """Whatever a store is given, given again it changes nothing."""
    said: dict[str, list[Message]] = {}
    for session_id, text in rows:
        said.setdefault(session_id, []).append(Message("user", text))
    talks = [Conversation(key, key, tuple(messages)) for key, messages in said.items()]
    with Store.in_memory() as store:
        for added in (len(talks), 0):
            result = store.add(
                talks, bot_id="b", count_tokens=count_words, token_encoding="words", source="test"
            )
            assert (result.added, result.extended, result.conflicts) == (added, 0, ())
