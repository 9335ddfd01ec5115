"""Exports of chat platforms are recognised without a mapping; each sample here is of our own making."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from autoanalyze.data.importers import import_files, look
from autoanalyze.data.reports import ImportOptions, ImportReport
from autoanalyze.data.store import Store
from autoanalyze.errors import ConfigurationError, ImportDataError

ASK, REPLY, PERSON = ("user", "Where is my parcel?"), ("bot", "Let me look."), ("agent", "It is on its way.")


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


def said(store: Store) -> dict[str, list[tuple[str, str]]]:
    """Who said what in each session of the store."""
    ids = store.sessions("default")["session_id"].to_list()
    found = store.read("default", ids)
    return {key: [(message.role, message.text) for message in found[key]] for key in ids}


KORE = [
    {"sessionId": "k1", "type": kind, "createdOn": f"2024-05-01T10:00:0{n}Z", "createdBy": "u7"}
    | {"components": [{"cT": "text", "data": {"text": text}}]}
    for n, (kind, text) in enumerate([("incoming", ASK[1]), ("outgoing", REPLY[1])])
]
CONNECT = {
    "Version": "2019-08-26",
    "ContactId": "c9",
    "Transcript": [
        {"Type": "EVENT", "ContentType": "application/vnd.amazonaws.connect.event.participant.joined"}
        | {"ParticipantRole": "SYSTEM", "ParticipantId": "x", "AbsoluteTime": "2024-05-01T10:00:00.100Z"},
        *(
            {"Type": "MESSAGE", "ParticipantRole": role, "ParticipantId": "x", "Content": text}
            | {"AbsoluteTime": f"2024-05-01T10:00:0{n}.100Z"}
            for n, (role, text) in enumerate(
                [("CUSTOMER", ASK[1]), ("CUSTOM_BOT", REPLY[1]), ("AGENT", PERSON[1])], 1
            )
        ),
    ],
}
LEX = [
    {"sessionId": "l1", "inputTranscript": ASK[1], "timestamp": "2024-05-01T10:00:00Z"}
    | {"messages": [{"content": REPLY[1], "contentType": "PlainText"}]}
]
INTERCOM = {
    "type": "conversation",
    "id": "55",
    "created_at": 1714557600,
    "source": {"body": "<p>Where is my&nbsp;parcel?</p>", "author": {"type": "lead", "id": "p"}},
    "conversation_parts": {
        "conversation_parts": [
            {"part_type": "comment", "body": "<p>Let me look.</p>", "author": {"type": "bot", "id": "b"}},
            {"part_type": "note", "body": "<p>Difficult one</p>", "author": {"type": "admin", "id": "a"}},
            {"part_type": "comment", "body": "It is on<br>its way.", "author": {"type": "admin", "id": "a"}},
        ]
    },
}
CHAT = {
    "id": "2405.z",
    "type": "chat",
    "visitor": {"id": "v1"},
    "timestamp": "2024-05-01T10:00:00Z",
    "history": [
        {"type": "chat.memberjoin", "sender_type": "Visitor", "timestamp": "2024-05-01T10:00:00Z"},
        {"type": "chat.msg", "sender_type": "Visitor", "msg": ASK[1], "timestamp": "2024-05-01T10:00:01Z"},
        {"type": "chat.msg", "sender_type": "Trigger", "msg": REPLY[1], "timestamp": "2024-05-01T10:00:02Z"},
        {"type": "chat.msg", "sender_type": "Agent", "msg": PERSON[1], "timestamp": "2024-05-01T10:00:03Z"},
    ],
}
TICKET = {
    "id": 77,
    "requester_id": 5,
    "created_at": "2024-05-01T10:00:00Z",
    "comments": [
        {"author_id": 5, "body": ASK[1], "public": True, "created_at": "2024-05-01T10:00:00Z"},
        {"author_id": 6, "body": "Not shown", "public": False, "created_at": "2024-05-01T10:00:01Z"},
        {"author_id": 6, "body": PERSON[1], "public": True, "created_at": "2024-05-01T10:00:02Z"},
    ],
}
RASA = {
    "sender_id": "r1",
    "events": [
        {"event": "action", "name": "action_session_start", "timestamp": 1714557600.1},
        {"event": "user", "text": ASK[1], "timestamp": 1714557600.2},
        {"event": "slot", "name": "parcel", "value": None, "timestamp": 1714557600.3},
        {"event": "bot", "text": REPLY[1], "timestamp": 1714557600.4},
    ],
}
CCAI = {
    "entries": [
        {"role": "END_USER", "text": ASK[1], "user_id": 1, "start_timestamp_usec": 1714557600000000},
        {"role": "AUTOMATED_AGENT", "text": REPLY[1], "user_id": 2, "start_timestamp_usec": 1714557601000000},
        {"role": "HUMAN_AGENT", "text": PERSON[1], "user_id": 3, "start_timestamp_usec": 1714557602000000},
    ]
}
TOOLS = {
    "messages": [
        {"role": "developer", "content": "Be brief."},
        {
            "role": "user",
            "content": [{"type": "text", "text": ASK[1]}, {"type": "image_url", "image_url": {}}],
        },
        {"role": "assistant", "content": None, "tool_calls": [{"id": "t"}]},
        {"role": "tool", "content": "{}"},
        {"role": "assistant", "content": REPLY[1]},
    ]
}
VTT = """WEBVTT

1
00:00:01.000 --> 00:00:02.000
<v Customer>Where is</v>

2
00:00:02.000 --> 00:00:03.000
<v Customer>my parcel?</v>

00:00:04.000 --> 00:00:05.000
Agent: It is on its way.
"""


@pytest.mark.parametrize(
    ("name", "content", "session_id", "expected"),
    [
        ("kore.jsonl", KORE, "k1", [ASK, REPLY]),
        ("kore.json", {"total": 2, "messages": KORE}, "k1", [ASK, REPLY]),
        ("connect.json", CONNECT, "c9", [ASK, REPLY, PERSON]),
        ("lex.jsonl", LEX, "l1", [ASK, REPLY]),
        ("intercom.jsonl", [INTERCOM], "55", [ASK, REPLY, ("agent", "It is on\nits way.")]),
        ("intercom.json", {"type": "conversation.list", "conversations": [INTERCOM]}, "55", None),
        ("chats.json", {"chats": [CHAT], "count": 1}, "2405.z", [ASK, REPLY, PERSON]),
        ("tickets.jsonl", [TICKET], "77", [ASK, PERSON]),
        ("rasa.json", [RASA], "r1", [ASK, REPLY]),
        ("ccai.json", CCAI, "ccai.json:1", [ASK, REPLY, PERSON]),
        ("tools.jsonl", [TOOLS], "tools.jsonl:1", [ASK, REPLY]),
        ("share.json", [{"conversations": [{"from": "human", "value": ASK[1]}]}], "share.json:2", [ASK]),
        ("call.vtt", VTT, "call.vtt:1", [ASK, PERSON]),
        (
            "mongo.jsonl",
            [{"_id": {"$oid": "65"}, "messages": [{"role": "user", "text": ASK[1]}]}],
            "65",
            [ASK],
        ),
    ],
)
def test_exports_of_platforms_need_no_mapping(
    store: Store, tmp_path: Path, name: str, content: Any, session_id: str, expected: Any
) -> None:
    """Ids, roles and texts are found where the platform documents them; nobody's people are bots."""
    path = tmp_path / name
    if isinstance(content, str):
        path.write_text(content)
    elif name.endswith("l"):
        path.write_text("".join(json.dumps(row) + "\n" for row in content))
    else:
        path.write_text(json.dumps(content, indent=2))
    report = load(store, path)
    assert (report.added, report.rejected) == (1, ())
    found = said(store)
    assert list(found) == [session_id]
    if expected is not None:
        assert found[session_id] == expected
    containment = store.sessions("default")["containment_type"].item()
    assert containment == ("agent" if any(role == "agent" for role, _ in found[session_id]) else "unknown")
    assert load(store, path).already_there == 1


def test_session_and_message_exports_of_kore_complete_each_other(store: Store, tmp_path: Path) -> None:
    """The containment types are theirs, whichever of the two files comes first."""
    messages, about = tmp_path / "messages.jsonl", tmp_path / "sessions.json"
    messages.write_text("".join(json.dumps(row) + "\n" for row in KORE))
    about.write_text(
        json.dumps({"sessions": [{"sessionId": "k1", "userId": "u7", "containmentType": "dropOff"}]})
    )
    for order in ((messages, about), (about, messages)):
        with Store.in_memory() as other:
            load(other, *order)
            assert other.sessions("default")["containment_type"].to_list() == ["dropOff"]
            assert said(other) == {"k1": [ASK, REPLY]}
    load(store, about)
    assert load(store, messages).extended == 1


def test_tickets_of_one_text_take_names_of_somebodys_own(store: Store, tmp_path: Path) -> None:
    """An id and a text are a session of one message; an id that stands twice is not a ticket."""
    path = tmp_path / "mine.csv"
    path.write_text("Ticket No,Question\nT-1,Where is it?\nT-2,Charged twice\n")
    mapping = {"Ticket No": "session_id", "Question": "text"}
    assert load(store, path, mapping=mapping).added == 2
    path.write_text("Ticket No,Question\nT-3,Where is it?\nT-3,Hello?\n")
    with pytest.raises(ImportDataError, match="role"):
        load(store, path, mapping=mapping)


def test_one_row_per_ticket_is_a_session_of_one_message(store: Store, tmp_path: Path) -> None:
    """Subject and description are what the customer wrote."""
    path = tmp_path / "tickets.csv"
    path.write_text('Ticket ID,Subject,Description\n7,Parcel,"<p>Where is it?</p>"\n')
    assert load(store, path).added == 1
    assert said(store) == {"7": [("user", "Parcel\n\nWhere is it?")]}


def test_a_mapping_reaches_nested_fields(store: Store, tmp_path: Path) -> None:
    """Dots go into objects, and numbers into lists, of a row or of its messages."""
    path = tmp_path / "odd.jsonl"
    row = {"meta": {"key": "n1"}, "who": {"kind": "client"}, "parts": [{"say": {"it": ASK[1]}}]}
    path.write_text(json.dumps(row) + "\n")
    mapping = {"meta.key": "session_id", "who.kind": "role", "parts.0.say.it": "text"}
    load(store, path, mapping=mapping)
    assert said(store) == {"n1": [ASK]}


def test_roles_in_any_language_are_told(store: Store, tmp_path: Path) -> None:
    """An unknown role is rejected with the option that helps; one that no message has is noted."""
    path = tmp_path / "german.csv"
    path.write_text("session_id,role,text\na,Kunde,Hallo\na,Berater,Guten Tag\n")
    assert load(store, path).brought_nothing
    report = load(store, path, roles={"kunde": "user", "BERATER": "agent", "Chef": "agent"})
    assert said(store) == {"a": [("user", "Hallo"), ("agent", "Guten Tag")]}
    assert report.notes == ("--role Chef: no message has this role",)
    with pytest.raises(ConfigurationError, match="=user, =bot, =agent or =skip"):
        ImportOptions(roles={"Kunde": "customer"})


@pytest.mark.parametrize("packed", ["gzip", "zstd", None])
def test_packed_files_and_folders_and_patterns(store: Store, tmp_path: Path, packed: str | None) -> None:
    """Several files are one import, whatever packs them; what cannot be read in a folder is noted."""
    for name in "ab":
        content = f"session_id,role,text\n{name},user,Hi\n".encode()
        if packed == "gzip":
            (tmp_path / f"{name}.csv.gz").write_bytes(gzip.compress(content))
        elif packed == "zstd":
            (tmp_path / f"{name}.csv.zst").write_bytes(pa.Codec("zstd").compress(content, asbytes=True))
        else:
            (tmp_path / f"{name}.csv").write_bytes(content)
    (tmp_path / "notes.md").write_text("no sessions")
    report = load(store, tmp_path)
    assert (report.added, len(report.notes)) == (2, 1)
    assert load(store, tmp_path / "*.csv*").already_there == 2
    with pytest.raises(ImportDataError, match="check the pattern"):
        load(store, tmp_path / "*.tsv")


def test_workbooks_are_read(store: Store, tmp_path: Path) -> None:
    """Numbers and times of cells keep their kind; ids that a cell cannot hold are refused."""
    xlsxwriter = pytest.importorskip("xlsxwriter")
    path = tmp_path / "book.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        form = book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        for number, row in enumerate(
            [["Export"], ["Session ID", "Role", "Text", "Time"], [17, "user", "Hi"]]
        ):
            sheet.write_row(number, 0, row)
        sheet.write_datetime(2, 3, datetime(2024, 5, 1, 10), form)
        sheet.write_row(3, 0, [123456789012345678, "user", "Lost"])
    report = load(store, path)
    assert said(store) == {"17": [("user", "Hi")]}
    assert store.sessions("default")["start_time"].item() == datetime(2024, 5, 1, 10)
    assert [row.line for row in report.rejected] == [4]


@pytest.mark.parametrize(
    ("value", "session_id"),
    [
        (17.0, "17"),
        (2.0**53, None),
        (float("nan"), None),
        ("\\N", None),
        ("1,5E+15", None),
        ('="007"', "007"),
    ],
)
def test_a_damaged_id_is_never_a_value(
    store: Store, tmp_path: Path, value: Any, session_id: str | None
) -> None:
    """What floats and spreadsheets damage is restored where that is exact, and refused elsewhere."""
    pl.DataFrame({"session_id": [value], "role": ["user"], "text": ["Hi"]}).write_parquet(
        tmp_path / "a.parquet"
    )
    report = load(store, tmp_path / "a.parquet")
    assert store.sessions("default")["session_id"].to_list() == ([] if session_id is None else [session_id])
    assert report.brought_nothing == (session_id is None)


def test_dates_that_cannot_be_told_apart_are_asked_for(store: Store, tmp_path: Path) -> None:
    """05/06 is refused with the option that tells; with it, or with another date that tells, it is read."""
    head = "session_id,role,text,timestamp\na,user,Hi,05/06/2024 10:00\n"
    (tmp_path / "a.csv").write_text(head)
    report = load(store, tmp_path / "a.csv")
    assert "--dates day-first" in report.rejected[0].reason
    load(store, tmp_path / "a.csv", dates="day-first")
    assert store.sessions("default")["start_time"].item() == datetime(2024, 6, 5, 10)
    (tmp_path / "b.csv").write_text(head.replace("a,", "b,") + "c,user,Hi,05/13/24 3:04 PM\n")
    load(store, tmp_path / "b.csv")
    assert store.sessions("default", "session_id = 'b'")["start_time"].item() == datetime(2024, 5, 6, 10)


def test_two_columns_that_could_be_the_text_are_a_question(store: Store, tmp_path: Path) -> None:
    """Neither is guessed; a mapping answers, also by leaving one out."""
    (tmp_path / "a.csv").write_text("session_id,role,text,message\na,user,,Hi\n")
    with pytest.raises(ImportDataError, match="text and message could both be the text"):
        load(store, tmp_path / "a.csv")
    load(store, tmp_path / "a.csv", mapping={"text": ""})
    assert said(store) == {"a": [("user", "Hi")]}


@pytest.mark.parametrize(
    "content",
    [
        b"sep=;\nsession_id;role;text\na;user;Hi\n",
        b"Report,,\nof May,,\n\nSession ID,ROLE,Text\na,user,Hi\nSession ID,ROLE,Text\n",
        b"session_id,role,text\ra,user,Hi\r",
        "session_id\trole\ttext\na\tuser\tHi\n".encode("utf-16"),
        b'session_id,role,text,tag,tag,,\n"a",user,Hi,x,y,,\n',
        b'session_id,role,text\r\na,user,"Hi"\r\n',
    ],
)
def test_tables_as_spreadsheets_write_them(store: Store, tmp_path: Path, content: bytes) -> None:
    """Titles, separators, repeated headers, line ends, encodings and unused columns make no difference."""
    (tmp_path / "a.csv").write_bytes(content)
    assert load(store, tmp_path / "a.csv").rejected == ()
    assert said(store) == {"a": [("user", "Hi")]}


def test_backslashes_escape_only_where_that_reads_the_file(store: Store, tmp_path: Path) -> None:
    """Quotes escaped by backslashes are read right, and a row within a text is no message."""
    (tmp_path / "a.csv").write_text(
        'session_id,role,text\na,user,"say \\"x\\"\nb,user,no"\nb,bot,\\N\nb,bot,ok\n'
    )
    load(store, tmp_path / "a.csv")
    assert said(store) == {"a": [("user", 'say "x"\nb,user,no')], "b": [("bot", "ok")]}


def test_a_look_tells_what_would_happen(tmp_path: Path) -> None:
    """Layout, columns, roles, samples and rejections are shown, and nothing is written."""
    path = tmp_path / "a.csv"
    path.write_text("Session ID,role,text\na,Visitor,Hi\na,bot,Hello\nb,nobody,Hm\n")
    seen = look([path], ImportOptions())
    assert seen.report.files[0].layout == "a row per message"
    assert seen.report.files[0].columns["session_id"] == ("Session ID",)
    assert seen.report.roles == {("Visitor", "user"): 1, ("bot", "bot"): 1}
    assert [one.session_id for one in seen.samples] == ["a"]
    assert [one.session_id for one in seen.report.refused] == ["b"]
    assert [file.name for file in tmp_path.iterdir()] == ["a.csv"]
