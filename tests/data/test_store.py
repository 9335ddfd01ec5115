"""The session store: all or nothing, metadata apart from transcripts, every failure with its remedy."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import duckdb
import polars as pl
import pytest

from autoanalyze.data.growth import AddResult
from autoanalyze.data.migrations import steps
from autoanalyze.data.store import Store
from autoanalyze.data.tables import SESSION_SCHEMA
from autoanalyze.errors import ConfigurationError, ImportDataError
from autoanalyze.protocols import TranscriptReader
from autoanalyze.records import Conversation, Message, Truth

NOON = datetime(2024, 5, 1, 12)
TALK = (
    Message("user", "Where is my card?", NOON),
    Message("bot", "On its way.", NOON + timedelta(minutes=1)),
)


def count_words(texts: Sequence[str]) -> list[int]:
    """Words as tokens, so that counts are easy to check."""
    return [len(text.split()) for text in texts]


def talk(number: int, messages: tuple[Message, ...] = TALK) -> Conversation:
    """Session `s00001` and so on; odd ones were transferred and have truth."""
    return Conversation(
        session_id=f"s{number:05}",
        user_id=f"u{number % 3}",
        messages=messages,
        containment_type="agent" if number % 2 else "selfService",
        start_time=NOON + timedelta(hours=number),
        end_time=NOON + timedelta(hours=number, minutes=1),
        truth={"general_intent": "card"} if number % 2 else {},
    )


def add(
    store: Store, conversations: Iterator[Conversation] | list[Conversation], bot: str = "b"
) -> AddResult:
    """Add conversations to the store with the plain arguments."""
    return store.add(
        conversations, bot_id=bot, count_tokens=count_words, token_encoding="words", source="test"
    )


@pytest.fixture
def store() -> Iterator[Store]:
    """A store of three sessions, the last of them without messages."""
    with Store.in_memory() as store:
        add(store, [talk(1), talk(2), talk(3, messages=())])
        yield store


def test_metadata_of_a_session_tells_all_but_what_was_said(store: Store) -> None:
    """The sessions frame has a row per session with exactly the metadata columns."""
    frame = store.sessions("b")
    assert frame.schema == pl.Schema(SESSION_SCHEMA)
    assert frame["session_id"].to_list() == ["s00001", "s00002", "s00003"]
    assert frame.row(0) == (
        "b",
        "s00001",
        "u1",
        NOON + timedelta(hours=1),
        NOON + timedelta(hours=1, minutes=1),
        "agent",
        2,
        9,
        "words",
        "test",
        False,
    )


def test_add_reports_only_what_went_in() -> None:
    """Adding the same sessions again adds nothing, and the report says so."""
    with Store.in_memory() as store:
        first = add(store, [talk(1), talk(2), talk(3, messages=())])
        again = add(store, [talk(1), talk(4)])
    assert first == AddResult(added=3, messages=4, without_messages=1, with_truth=2)
    assert again == AddResult(added=1, already_there=1, messages=2)


def test_the_session_that_was_there_first_stays(store: Store) -> None:
    """A second session of the same id changes nothing, neither later nor within one batch."""
    other = (Message("user", "Something else"),)
    add(store, [talk(1, messages=other), talk(9), talk(9, messages=other)])
    assert store.read("b", ["s00001", "s00009"]) == {"s00001": TALK, "s00009": TALK}


def test_times_with_a_zone_are_stored_as_naive_utc(store: Store) -> None:
    """An aware time becomes the same moment in UTC, without its zone."""
    noon = NOON.replace(tzinfo=timezone(timedelta(hours=2)))
    add(store, [Conversation("zone", "u", (Message("user", "Hi", noon),), start_time=noon)])
    assert store.sessions("b", "session_id = 'zone'")["start_time"].item() == NOON - timedelta(hours=2)
    assert store.read("b", ["zone"])["zone"][0].timestamp == NOON - timedelta(hours=2)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_half_way_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    """Whatever stops an import after thousands of sessions, none of them stays."""

    def broken() -> Iterator[Conversation]:
        yield from (talk(number) for number in range(4_500))
        raise error

    path = tmp_path / "sessions.db"
    with Store.open(path) as store:
        with pytest.raises(error):
            add(store, broken())
        assert store.bots() == ()
        assert add(store, [talk(1)]).added == 1
    with Store.open(path, read_only=True) as store:
        assert store.sessions("b").height == 1


def test_a_counter_that_fails_leaves_nothing(store: Store) -> None:
    """An exception of the token counter undoes the import as well."""

    def broken(texts: Sequence[str]) -> list[int]:
        raise OSError(f"no encoding for {len(texts)} texts")

    with pytest.raises(OSError, match="no encoding"):
        store.add([talk(7)], bot_id="c", count_tokens=broken, token_encoding="words", source="test")
    assert store.bots() == ("b",)


def test_a_killed_process_leaves_nothing(tmp_path: Path) -> None:
    """A process killed in the middle of an import leaves a store that opens and is empty."""
    path = tmp_path / "sessions.db"
    script = f"""
        import os, signal
        from autoanalyze.data.store import Store
        from autoanalyze.records import Conversation, Message
        def killed():
            for number in range(5000):
                yield Conversation(str(number), "u", (Message("user", "Hi"),))
            os.kill(os.getpid(), signal.SIGKILL)
        with Store.open({str(path)!r}) as store:
            store.add(killed(), bot_id="b", count_tokens=lambda texts: [1] * len(texts),
                      token_encoding="none", source="test")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert done.returncode == -signal.SIGKILL
    with Store.open(path, read_only=True) as store:
        assert store.bots() == ()
    with Store.open(path) as store:
        assert add(store, [talk(1)]).added == 1


def test_where_selects_on_metadata(store: Store) -> None:
    """A condition keeps the sessions that meet it, in order, with all columns."""
    frame = store.sessions("b", "containment_type = 'agent' AND message_count >= 2")
    assert frame["session_id"].to_list() == ["s00001"]
    assert frame.schema == pl.Schema(SESSION_SCHEMA)
    assert store.sessions("b", "start_time >= '2024-05-01 14:00' -- after two")["session_id"].to_list() == [
        "s00002",
        "s00003",
    ]
    assert store.sessions("b", "token_count < (SELECT avg(token_count) FROM sessions)").height == 1
    assert store.sessions("b", "user_id = ';'").is_empty()
    assert store.sessions("b", "  ").height == 3


@pytest.mark.parametrize(
    "condition",
    [
        "containment = 'agent'",
        "message_count >=",
        "true; DROP TABLE sessions",
        "true) OR (true",
        "true UNION SELECT session_id FROM sessions",
        "true ORDER BY session_id",
        "message_count",
        "user_id",
        "count(*) > 1",
        "message_count > $1",
        "user_id = '\ud800'",
        "message_count > (SELECT count(*) FROM messages)",
        "EXISTS (SELECT * FROM truth)",
        "EXISTS (SELECT * FROM read_csv('/etc/passwd'))",
    ],
)
def test_a_bad_where_names_the_key_and_the_columns(store: Store, condition: str) -> None:
    """Anything but one condition on metadata is a configuration error, and nothing happens."""
    with pytest.raises(
        ConfigurationError, match=r"data\.where: .* over the columns bot_id, session_id, user_id"
    ):
        store.sessions("b", condition)
    assert store.sessions("b").height == 3


def test_reader_returns_messages_in_the_order_asked(store: Store) -> None:
    """Transcripts come per session as they were, in the order of the ids; a silent session has none."""
    reader: TranscriptReader = store.reader("b")
    found = reader.read(["s00003", "s00001"])
    assert list(found.items()) == [("s00003", ()), ("s00001", TALK)]
    assert reader.read([]) == {}


def test_reading_an_unknown_session_is_an_error(store: Store) -> None:
    """A session that the bot does not have is named, also if another bot has it."""
    with pytest.raises(ImportDataError, match="'other' has no session s00001"):
        store.reader("other").read(["s00001"])
    with pytest.raises(ImportDataError, match=r"no session x0, x1, x2 and 2 more\."):
        store.truth("b", ["s00001", *(f"x{number}" for number in range(5))])


def test_many_threads_read_at_once(store: Store) -> None:
    """A reader that threads share gives each of them its own sessions."""
    add(store, [talk(number, (Message("user", f"I am {number}"),)) for number in range(100, 400)])
    reader = store.reader("b")

    def text(number: int) -> str:
        return reader.read([f"s{number:05}"])[f"s{number:05}"][0].text

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(text, range(100, 400))) == [f"I am {number}" for number in range(100, 400)]


def test_truth_comes_with_the_outcome_of_the_channel(store: Store) -> None:
    """Every session has a truth; concepts are empty where none is known."""
    add(store, [Conversation("odd", "u", TALK)])
    assert store.truth("b", ["odd", "s00002", "s00001"]) == [
        Truth("odd", None, {}),
        Truth("s00002", "Contained", {}),
        Truth("s00001", "Transfer", {"general_intent": "card"}),
    ]


def test_bots_never_mix(store: Store) -> None:
    """The same session id may stand for different sessions of two bots."""
    other = (Message("user", "Another bot"),)
    assert add(store, [talk(1, messages=other)], bot="a").added == 1
    assert store.bots() == ("a", "b")
    assert store.sessions("a").height == 1
    assert store.read("a", ["s00001"]) == {"s00001": other}
    assert store.read("b", ["s00001"]) == {"s00001": TALK}
    assert store.sessions("nobody").is_empty()


def test_fingerprint_depends_on_what_was_said_alone(store: Store) -> None:
    """Order, bot and times do not change the fingerprint; a word or a session does."""
    ids = ["s00001", "s00002"]
    here = store.fingerprint("b", ids)
    add(store, [Conversation(name, "someone", TALK) for name in ids], bot="copy")
    assert here == store.fingerprint("copy", reversed(ids)) == store.fingerprint("b", [*ids, *ids])
    add(store, [Conversation(name, "u", (*TALK, Message("user", "Thanks"))) for name in ids], bot="longer")
    assert len({here, store.fingerprint("b", ids[:1]), store.fingerprint("longer", ids)}) == 3


def test_a_store_is_created_with_its_folder_and_kept(tmp_path: Path) -> None:
    """What one process wrote, another opens read-only, any number of times at once."""
    path = tmp_path / "new" / "folder" / "sessions.db"
    with Store.open(path) as store:
        add(store, [talk(1)])
    with Store.open(path, read_only=True) as one, Store.open(str(path), read_only=True) as two:
        assert one.sessions("b").equals(two.sessions("b"))
        with pytest.raises(ImportDataError, match="read-only"):
            add(one, [talk(2)])
    one.close()


def test_a_closed_store_says_so(store: Store) -> None:
    """Reading from a closed store is an error of ours."""
    store.close()
    with pytest.raises(ImportDataError, match="closed"):
        store.bots()


def test_a_missing_store_names_the_command(tmp_path: Path) -> None:
    """Read-only opening of nothing tells how a store is made, and makes none."""
    with pytest.raises(ConfigurationError, match=r"data\.path.*autoanalyze import"):
        Store.open(tmp_path / "none.db", read_only=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("read_only", [True, False])
def test_files_that_are_no_store_are_refused(tmp_path: Path, read_only: bool) -> None:
    """Text, an empty file, SQLite, a foreign DuckDB and a folder are refused and left as they are."""
    (tmp_path / "text.db").write_text("session_id,text\n" * 500)
    (tmp_path / "empty.db").touch()
    with sqlite3.connect(tmp_path / "sqlite.db") as connection:
        connection.execute("CREATE TABLE sessions (session_id)")
    connection.close()
    for name, table in (("foreign.db", "sales"), ("foreign2.db", "schema_version")):
        with duckdb.connect(str(tmp_path / name)) as database:
            database.execute(f"CREATE TABLE {table} (id INTEGER)")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for path in [*before, tmp_path]:
        with pytest.raises(ConfigurationError, match=r"data\.path: "):
            Store.open(path, read_only=read_only)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("folder", ["file.txt", "/proc"])
def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path, folder: str) -> None:
    """A store that cannot be created tells to choose another folder."""
    (tmp_path / "file.txt").write_text("not a folder")
    with pytest.raises(ConfigurationError, match="folder that you may write to"):
        Store.open(tmp_path / folder / "sessions.db")


def test_a_newer_store_asks_for_an_upgrade(tmp_path: Path) -> None:
    """A store of a later version is not touched, whether for reading or writing."""
    path = tmp_path / "sessions.db"
    Store.open(path).close()
    with duckdb.connect(str(path)) as database:
        database.execute("INSERT INTO schema_version VALUES (1000)")
    for read_only in (True, False):
        with pytest.raises(ConfigurationError, match=r"newer autoanalyze.*Upgrade"):
            Store.open(path, read_only=read_only)


def test_an_older_store_is_brought_up_to_date_when_opened_for_writing(tmp_path: Path) -> None:
    """Read-only opening of an older store tells the remedy; the remedy keeps the sessions."""
    path = tmp_path / "sessions.db"
    with duckdb.connect(str(path)) as database:
        database.execute(steps()[1])
        database.execute("CREATE TABLE schema_version (version INTEGER PRIMARY KEY)")
        database.execute("INSERT INTO schema_version VALUES (1)")
        database.execute(
            "INSERT INTO sessions VALUES ('b', 's', 'u', NULL, NULL, 'agent', 0, 0, 'words', 'old')"
        )
    with pytest.raises(ConfigurationError, match=r"schema version 1.*Open it once for writing"):
        Store.open(path, read_only=True)
    Store.open(path).close()
    with Store.open(path, read_only=True) as store:
        assert store.truth("b", ["s"]) == [Truth("s", "Transfer", {})]


def test_an_empty_database_becomes_a_store(tmp_path: Path) -> None:
    """A process killed before the first table leaves a file that the next one completes."""
    path = tmp_path / "sessions.db"
    duckdb.connect(str(path)).close()
    with pytest.raises(ConfigurationError, match="schema version 0"):
        Store.open(path, read_only=True)
    with Store.open(path) as store:
        assert store.bots() == ()


def test_a_locked_store_tells_who_holds_it(tmp_path: Path) -> None:
    """While another process writes, opening fails with its id and the advice to wait."""
    path = tmp_path / "sessions.db"
    script = f"""
        from autoanalyze.data.store import Store
        with Store.open({str(path)!r}):
            print("open", flush=True)
            input()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "open\n"
        for read_only in (True, False):
            with pytest.raises(ConfigurationError, match=rf"another process.*wait.*{writer.pid}"):
                Store.open(path, read_only=read_only)
        writer.communicate("\n")
    Store.open(path, read_only=True).close()


def test_one_process_cannot_hold_a_store_with_different_rights(tmp_path: Path) -> None:
    """Writing while this process reads is refused with the advice to close."""
    path = tmp_path / "sessions.db"
    Store.open(path).close()
    with (
        Store.open(path, read_only=True),
        pytest.raises(ConfigurationError, match="other rights; close"),
    ):
        Store.open(path)
