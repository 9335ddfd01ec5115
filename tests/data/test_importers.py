"""Importing other people's files: good rows go in once, bad ones are named, nothing is half done."""

from __future__ import annotations

import csv
import io
import json
import string
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoanalyze.data.importers import import_files
from autoanalyze.data.reports import ImportOptions, ImportReport
from autoanalyze.data.staging import RejectedRow
from autoanalyze.data.store import Store
from autoanalyze.data.values import clean_text, identity
from autoanalyze.errors import AutoAnalyzeError, ConfigurationError, ImportDataError
from autoanalyze.records import Message

SHARED = Path(__file__).parents[3] / "shared" / "data"

# Two sessions whose rows are interleaved, as an export by time has them.
BY_MESSAGE = """session_id,user_id,timestamp,role,text,containment_type,true_intent,true_topic
s1,anna,2024-05-01T12:00:00+02:00,customer,"Where is my card, please?",,card,money
s2,,1714557601,HUMAN,Hello,dropOff,,
s1,bot-7,2024-05-01 10:00:05,assistant,On its way.,agent,,
s2,,1714557602000,gpt,Hi!,dropoff,greeting,
"""
HEADER, *ROWS = BY_MESSAGE.splitlines(keepends=True)
SHUFFLED = HEADER + "".join(reversed(ROWS))
S1 = (
    Message("user", "Where is my card, please?", datetime(2024, 5, 1, 10)),
    Message("bot", "On its way.", datetime(2024, 5, 1, 10, 0, 5)),
)
S2 = (
    Message("user", "Hello", datetime(2024, 5, 1, 10, 0, 1)),
    Message("bot", "Hi!", datetime(2024, 5, 1, 10, 0, 2)),
)


@pytest.fixture
def store() -> Iterator[Store]:
    """An empty store."""
    with Store.in_memory() as store:
        yield store


def count_words(texts: Sequence[str]) -> list[int]:
    """Words as tokens."""
    return [len(text.split()) for text in texts]


def load(store: Store, path: Path, **options: Any) -> ImportReport:
    """Import a file with the plain arguments."""
    telling = {name: options.pop(name) for name in ("progress",) if name in options}
    given = ImportOptions(**options)
    return import_files([path], store, given, count_tokens=count_words, token_encoding="words", **telling)


def load_files(store: Store, *sources: Path | str, **options: Any) -> ImportReport:
    """Import files with these options."""
    return import_files(
        sources, store, ImportOptions(**options), count_tokens=count_words, token_encoding="words"
    )


def write(folder: Path, name: str, content: str | bytes) -> Path:
    """A file of this content."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def lines(*sessions: Mapping[str, object]) -> str:
    """Sessions as JSONL."""
    return "".join(json.dumps(session) + "\n" for session in sessions)


def talk(session_id: str, *texts: str, **more: object) -> dict[str, object]:
    """A session as the user says it, for a JSONL file."""
    return {"session_id": session_id, "messages": [{"role": "user", "text": text} for text in texts], **more}


def reasons(report: ImportReport) -> list[tuple[int, str]]:
    """Line and reason of each rejected row."""
    return [(row.line, row.reason) for row in report.rejected]


def test_a_csv_with_a_row_per_message_is_gathered(store: Store, tmp_path: Path) -> None:
    """Interleaved rows become sessions; spellings, time zones and epochs are understood."""
    report = load(store, write(tmp_path, "talks.csv", BY_MESSAGE))
    assert report == ImportReport(added=2, with_truth=2, messages=4)
    assert store.read("default", ["s1", "s2"]) == {"s1": S1, "s2": S2}
    rows = store.sessions("default").select(
        "user_id", "start_time", "end_time", "containment_type", "message_count", "token_count", "source"
    )
    assert rows.rows() == [
        ("anna", S1[0].timestamp, S1[1].timestamp, "agent", 2, 10, "talks.csv"),
        ("s2", S2[0].timestamp, S2[1].timestamp, "dropOff", 2, 4, "talks.csv"),
    ]
    assert [truth.concepts for truth in store.truth("default", ["s1", "s2"])] == [
        {"general_intent": "card"},
        {"general_intent": "greeting"},
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bom.csv", b"\xef\xbb\xbf" + BY_MESSAGE.encode()),
        ("windows.csv", BY_MESSAGE.replace("\n", "\r\n")),
        ("blank.csv", "\n\n" + BY_MESSAGE.replace("\ns", "\n\ns") + "\n"),
        ("shuffled.csv", SHUFFLED),
        ("tabs.tsv", BY_MESSAGE.replace("card, please", "card; please").replace(",", "\t").replace(";", ",")),
        ("excel.CSV", BY_MESSAGE.replace("card, please", "card| please").replace(",", ";").replace("|", ",")),
        (
            "lines.jsonl",
            "".join(json.dumps(row) + "\n" for row in csv.DictReader(io.StringIO(BY_MESSAGE))),
        ),
    ],
)
def test_dialects_of_the_same_table_mean_the_same(
    store: Store, tmp_path: Path, name: str, content: str | bytes
) -> None:
    """Byte order mark, line ends, blank lines, order of rows and delimiters make no difference."""
    assert load(store, write(tmp_path, name, content)).rejected == ()
    assert store.read("default", ["s1", "s2"]) == {"s1": S1, "s2": S2}


def test_a_csv_with_a_transcript_column(store: Store, tmp_path: Path) -> None:
    """A row per session carries its messages as JSON; without texts it counts as without messages."""
    table = pl.DataFrame(
        {
            "session_id": ["a", "b", "c"],
            "start_time": ["2024-05-01 10:00:00 UTC", "", "20240501"],
            "messages": ['[{"message_type": "user", "message": "Hi", "timestamp": null}]', "", "[]"],
        }
    )
    table.write_csv(tmp_path / "talks.csv")
    report = load(store, tmp_path / "talks.csv")
    assert report == ImportReport(added=3, without_messages=2, messages=1)
    assert store.read("default", ["a", "b"]) == {"a": (Message("user", "Hi"),), "b": ()}
    assert store.sessions("default")["start_time"].to_list() == [
        datetime(2024, 5, 1, 10),
        None,
        datetime(2024, 5, 1),
    ]


def test_jsonl_truth_of_any_field_is_kept(store: Store, tmp_path: Path) -> None:
    """`true_<field>` is truth of that field; topics and lists of intents are not."""
    session = talk("a", "Hi", true_intent="card", true_transfer_reason="fraud", true_notes="", session=1)
    content = lines(session | {"true_topic": "bank", "true_intents": ["card"]})
    assert load(store, write(tmp_path, "talks.jsonl", content)).with_truth == 1
    assert store.truth("default", ["a"])[0].concepts == {"general_intent": "card", "transfer_reason": "fraud"}


def test_importing_twice_adds_nothing(store: Store, tmp_path: Path) -> None:
    """The second import reports its sessions as already there; another bot may have them too."""
    path = write(tmp_path, "talks.csv", BY_MESSAGE)
    load(store, path)
    assert load(store, path) == ImportReport(already_there=2)
    assert load(store, path, bot_id="other").added == 2
    assert store.sessions("default").height == 2


def test_a_mapping_renames_columns_and_keys_of_messages(store: Store, tmp_path: Path) -> None:
    """Their names are taken for ours, and take the place of a column that had our name."""
    session = {
        "id": 17,
        "session_id": "not this one",
        "text": [{"who": "client", "what": "Hi", "text": "nor this"}],
        "goal": "card",
    }
    mapping = {"id": "session_id", "text": "messages", "who": "role", "what": "text", "goal": "true_intent"}
    load(store, write(tmp_path, "talks.jsonl", lines(session)), mapping=mapping)
    assert store.read("default", ["17"]) == {"17": (Message("user", "Hi"),)}
    assert store.truth("default", ["17"])[0].concepts == {"general_intent": "card"}


@pytest.mark.parametrize(
    ("mapping", "error", "message"),
    [
        (
            {"conversation": "session_id"},
            ImportDataError,
            "names conversation, which .* Found: session_id, user",
        ),
        ({"role": "speaker"}, ConfigurationError, r"no field speaker.*session_id.*true_<field>"),
        ({"role": "text", "user_id": "text"}, ConfigurationError, "two columns are mapped to text"),
    ],
)
def test_a_wrong_mapping_is_refused(
    store: Store, tmp_path: Path, mapping: dict[str, str], error: type[AutoAnalyzeError], message: str
) -> None:
    """A mapping from a missing column, to a field that does not exist, or twice to one is an error."""
    with pytest.raises(error, match=message):
        load(store, write(tmp_path, "talks.csv", BY_MESSAGE), mapping=mapping)
    assert store.bots() == ()


BAD_ROWS = """session_id,role,text,timestamp,containment_type,true_intent
ok,user,Hello,2024-05-01,agent,a
,user,No id,,,
s1,nobody,Who speaks?,,,
s1,user,When?,yesterday,,
s1,user,Kind?,,phone,
s1,user,Too few
s1,user,Too, many, cells, in, this, row
s1,user,Far,9e99,,
s1,user,"A ""quoted"" text
of two lines",,,
ok,bot,Contradiction,2024-05-02,selfService,
ok,bot,Contradiction,2024-05-02,,b
s1,user,"Broken" quote,,,
ok,bot,Bye,2024-05-03,,a
"""


def test_bad_rows_are_named_and_good_ones_go_in(store: Store, tmp_path: Path) -> None:
    """Each bad row has its file, its line in the file and a reason that shows what is wrong."""
    path = write(tmp_path, "bad.csv", BAD_ROWS)
    report = load(store, path)
    assert (report.added, report.messages) == (0, 0)
    assert {row.file for row in report.rejected} == {str(path)}
    expected = {
        3: "session_id: the id is missing",
        4: "role 'nobody': this role is unknown; say who it is with --role 'nobody=user'",
        5: "timestamp 'yesterday': this time cannot be read; times are read as 2024-05-01T10:00:00Z",
        6: "containment_type 'phone': this containment type is unknown; the types are agent, selfService",
        7: "3 columns where the header has 6",
        8: "8 columns where the header has 6; texts that hold ',' need quotes",
        9: "timestamp '9e99'",
        12: "containment_type 'selfService': an earlier row of the session says 'agent'",
        13: "general_intent 'b': an earlier row of the session says 'a'",
        14: "broken CSV",
    }
    found = sorted(reasons(report))
    assert [line for line, _ in found] == list(expected)
    for line, reason in found:
        assert reason.startswith(expected[line])
    assert {one.session_id: one.lines for one in report.refused} == {
        "ok": (12, 13),
        "s1": (4, 5, 6, 7, 8, 9, 14),
    }


def test_partial_lets_in_what_is_good_and_marks_it(store: Store, tmp_path: Path) -> None:
    """With partial, sessions of which rows were rejected go in without them; metadata says so."""
    report = load_files(store, write(tmp_path, "bad.csv", BAD_ROWS), partial=True)
    assert (report.added, report.partial, report.messages, report.refused) == (2, 2, 3, ())
    assert [message.text for message in store.read("default", ["s1"])["s1"]] == [
        'A "quoted" text\nof two lines'
    ]
    assert [message.text for message in store.read("default", ["ok"])["ok"]] == ["Hello", "Bye"]
    assert store.sessions("default", "partial").height == 2


def test_a_quote_that_never_closes_is_one_bad_row(store: Store, tmp_path: Path) -> None:
    """The row where the quote opens is named; what came before it goes in."""
    report = load(
        store, write(tmp_path, "talks.csv", BY_MESSAGE + 's3,,,user,"Oops\n' + "s4,,,user,Hi\n" * 3)
    )
    assert report.added == 2
    assert [line for line, _ in reasons(report)] == [6]
    assert "never closes" in report.rejected[0].reason


def test_bad_lines_of_jsonl_are_named(store: Store, tmp_path: Path) -> None:
    """Broken JSON, wrong types, wrong bytes and second sessions stay out, line by line."""
    good = lines(talk("a", "Hi")).encode()
    bad = [
        b'{"session_id": "b", "messages": [}\n',
        b'["session_id", "messages"]\n',
        b'{"session_id": "caf\xe9", "messages": []}\n',
        b"\n",
        b'{"session_id": "c"}\n',
        b'{"session_id": "d", "messages": "not json"}\n',
        b'{"session_id": "e", "messages": [{"role": "user", "text": "Hi"}, {"role": "user"}]}\n',
        b'{"session_id": "f", "messages": {"role": "user"}}\n',
        b'{"session_id": ["g"], "messages": []}\n',
        b'{"session_id": "h", "messages": [], "true_intent": ["x"]}\n',
        b'{"session_id": "i", "messages": ' + b"[" * 100_000 + b"\n",
        lines(talk("a", "Again")).encode(),
    ]
    report = load(
        store, write(tmp_path, "talks.jsonl", good + b"".join(bad) + lines(talk("z", "Hi")).encode())
    )
    assert (report.added, report.without_messages, report.left_out) == (4, 1, {"without text": 2})
    expected = {
        2: "not JSON: Expecting value at column",
        3: "not a JSON object",
        4: f"not UTF-8 at byte {len(good) + len(bad[0]) + len(bad[1]) + 19} of the file (line 4)",
        6: "messages is missing",
        7: "messages 'not json': not JSON",
        10: "session_id ['g']",
        11: "true_intent ['x']",
        12: "not JSON that can be read: it is nested too deeply",
    }
    assert {one.session_id: one.reasons[0] for one in report.refused}["a"].startswith(
        "the session stands already in talks.jsonl, line 1, with other content"
    )
    assert [line for line, _ in reasons(report)] == list(expected)
    for line, reason in reasons(report):
        assert reason.startswith(expected[line])
    assert store.read("default", ["a"])["a"] == (Message("user", "Hi"),)


def test_a_file_of_bad_rows_alone_is_a_report(store: Store, tmp_path: Path) -> None:
    """If no row can be read, each is reported, and the import itself did not fail."""
    path = write(tmp_path, "talks.jsonl", "nonsense\n")
    report = load(store, path)
    assert report.rejected == (RejectedRow(str(path), 1, "not JSON: Expecting value at column 1"),)
    assert report.added == 0


def test_strict_refuses_all_for_one_bad_row(store: Store, tmp_path: Path) -> None:
    """With strict, bad rows are listed and not one session goes in; good files are not affected."""
    path = write(tmp_path, "bad.csv", BAD_ROWS)
    with pytest.raises(ImportDataError, match=r"nothing was imported.*\n  line 3: .*(\n.*)*and 5 more"):
        load(store, path, strict=True)
    many = lines(*(talk(str(number), "Hi") for number in range(5_000)), talk("7", "Twice"))
    with pytest.raises(
        ImportDataError, match=r"1 rows are bad.*\n  line 5001: .*already in twice.jsonl, line 8"
    ):
        load(store, write(tmp_path, "twice.jsonl", many), strict=True)
    assert store.bots() == ()
    assert load(store, write(tmp_path, "good.csv", BY_MESSAGE), strict=True).added == 2


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("talks.doc", "PK", r"suffix '\.doc' cannot be imported; \.csv, .*\.xlsx.*Save it"),
        ("talks", "session_id", "suffix '' cannot"),
        ("empty.csv", "", "file is empty"),
        ("empty.jsonl", "", "file is empty"),
        ("empty.parquet", "", "file is empty"),
        ("blank.csv", "\n \n", "file is empty"),
        ("blank.jsonl", "\n\n", "file is empty"),
        ("header.csv", "session_id,role,text\n", "file is empty: it has no rows"),
        ("words.parquet", "session_id,role,text\n" * 9, r"cannot be read.*what the suffix \.parquet says"),
        ("twice.csv", "session_id,role,role,text\na,user,bot,x\n", "names a column twice"),
        ("header2.csv", '"session_id" x,text\na,b\n', "header in line 1 is broken"),
        (
            "columns.csv",
            "id,role,text\na,user,Hi\n",
            r"columns are missing: session_id\. Found: id, role, text\. .*--map theirs=session_id",
        ),
        (
            "columns2.csv",
            "session_id,speaker\na,user\n",
            "missing: role or message_type, text or message. .*--map theirs=role",
        ),
        ("columns.jsonl", lines({"id": 1, "turns": []}), "session_id, role or message_type, text or message"),
        (
            "latin.csv",
            "session_id,role,text\na,user,Hi\nb,user,caf\xe9\n".encode("latin-1"),
            r"not UTF-8 at byte 41 of the file \(line 3\)\. .*iconv -f WINDOWS-1252 -t UTF-8",
        ),
        ("utf16.csv", BY_MESSAGE.encode("utf-16-le"), "UTF-16 without its mark; save it as UTF-8"),
        ("zipped.zip", "PK", "Unpack it first"),
        ("broken.xlsx", "PK", "cannot be read"),
    ],
)
def test_files_that_make_no_sense_are_explained(
    store: Store, tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    """Wrong formats, encodings and columns are errors that name the file, the finding and the remedy."""
    with pytest.raises(ImportDataError, match=message) as caught:
        load(store, write(tmp_path, name, content))
    assert str(caught.value).startswith(str(tmp_path / name))
    assert store.bots() == ()


def test_a_file_cut_off_is_an_error_and_leaves_nothing(store: Store, tmp_path: Path) -> None:
    """Broken bytes deep in a file undo what was read before them."""
    table = pl.DataFrame(
        {"session_id": [str(number) for number in range(6_000)], "role": "user", "text": "Hi " * 20}
    )
    sessions = [talk(row["session_id"], row["text"]) for row in table.iter_rows(named=True)]
    path = tmp_path / "talks.parquet"
    pl.DataFrame(sessions).write_parquet(path, compression="uncompressed", row_group_size=1_000)
    content = bytearray(path.read_bytes())
    middle = int(len(content) * 0.8)
    content[middle : middle + 4_000] = b"\xff" * 4_000
    path.write_bytes(content)
    with pytest.raises(ImportDataError, match="cannot be read"):
        load(store, path)
    bad = BY_MESSAGE.encode() + b"s3,,,user,ok,,,\n" * 9_000 + b"s4,,,user,\xff,,,\n"
    with pytest.raises(ImportDataError, match=r"line 9006"):
        load(store, write(tmp_path, "talks.csv", bad))
    assert store.bots() == ()


def test_parquet_times_that_python_cannot_hold_are_explained(store: Store, tmp_path: Path) -> None:
    """A year beyond 9999 in a column of times is an error with its reason."""
    late = pl.Series("timestamp", [2**62]).cast(pl.Datetime("us"))
    table = pl.DataFrame({"session_id": ["a"], "role": ["user"], "text": ["Hi"]}).with_columns(late)
    table.write_parquet(tmp_path / "late.parquet")
    with pytest.raises(ImportDataError, match="cannot be read: year 148108"):
        load(store, tmp_path / "late.parquet")


def test_a_missing_file_and_a_folder_are_errors(store: Store, tmp_path: Path) -> None:
    """There is nothing to import from a path without a file."""
    for path, reason in ((tmp_path / "none.csv", "there is no such file"), (tmp_path, "holds no file")):
        with pytest.raises(ImportDataError, match=reason):
            load(store, path)


def test_a_bot_needs_a_name(store: Store, tmp_path: Path) -> None:
    """An empty bot id is refused before anything is read."""
    with pytest.raises(ConfigurationError, match=r"data\.bot_id"):
        load(store, tmp_path / "none.csv", bot_id=" ")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_transcript_of_ten_megabytes_works(store: Store, tmp_path: Path, suffix: str) -> None:
    """Length alone never stops an import."""
    text = "All work and no play makes Jack a dull boy. " * 240_000
    table = pl.DataFrame({"session_id": ["a"], "role": ["user"], "text": [text]})
    path = tmp_path / f"long{suffix}"
    if suffix == ".parquet":
        table.write_parquet(path)
    elif suffix == ".jsonl":
        table.write_ndjson(path)
    else:
        table.write_csv(path)
    assert load(store, path).added == 1
    assert store.read("default", ["a"])["a"][0].text == text
    assert csv.field_size_limit() == 131_072


def test_characters_that_cannot_be_kept_are_replaced(store: Store, tmp_path: Path) -> None:
    """NUL and lone surrogates become U+FFFD, other control characters spaces, line ends newlines."""
    text = "a\0b\ud800c\x1b[31m\td\r\ne\x85f😀"
    load(
        store,
        write(tmp_path, "talks.jsonl", lines(talk("i\0d", text, user_id="\ud9ff", true_intent="x\x07y"))),
    )
    assert store.read("default", ["i\ufffdd"])["i\ufffdd"][0].text == "a\ufffdb\ufffdc [31m\td\ne f😀"
    assert store.truth("default", ["i\ufffdd"])[0].concepts == {"general_intent": "x y"}
    load(store, write(tmp_path, "talks.csv", "session_id,role,text\nn,user,a\0b\n"))
    assert store.read("default", ["n"])["n"][0].text == "a\ufffdb"


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2024-05-01T10:00:00Z", datetime(2024, 5, 1, 10)),
        ("2024-05-01 10:00", datetime(2024, 5, 1, 10)),
        (" 2024-05-01 12:00:00.25+02 ", datetime(2024, 5, 1, 10, 0, 0, 250_000)),
        ("2024-05-01T23:30:00-0300", datetime(2024, 5, 2, 2, 30)),
        ("20240501T100000", datetime(2024, 5, 1, 10)),
        ("20240501", datetime(2024, 5, 1)),
        (1714557600, datetime(2024, 5, 1, 10)),
        ("1714557600.5", datetime(2024, 5, 1, 10, 0, 0, 500_000)),
        (1714557600123, datetime(2024, 5, 1, 10, 0, 0, 123_000)),
        ("1714557600123", datetime(2024, 5, 1, 10, 0, 0, 123_000)),
        ("1714557600123456789", datetime(2024, 5, 1, 10, 0, 0, 123_456)),
        ("20240501100000", datetime(2024, 5, 1, 10)),
        ("2024-05-01 10:00:00 -0500", datetime(2024, 5, 1, 15)),
        ("2024-5-1 9:05 PM", datetime(2024, 5, 1, 21, 5)),
        ("Wed, 01 May 2024 10:00:00 +0200", datetime(2024, 5, 1, 8)),
        ("Wed May 01 2024 10:00:00 GMT+0000 (Coordinated Universal Time)", datetime(2024, 5, 1, 10)),
        ("13.05.2024 15:04", datetime(2024, 5, 13, 15, 4)),
        ("5/13/24 12:04 am", datetime(2024, 5, 13, 0, 4)),
        ("May 1st, 2024 at 3:04:05 p.m.", datetime(2024, 5, 1, 15, 4, 5)),
        (None, None),
        ("", None),
        ("-", None),
        ("NULL", None),
    ],
)
def test_times_become_naive_utc(
    store: Store, tmp_path: Path, time: object, expected: datetime | None
) -> None:
    """ISO 8601 and epochs in seconds or milliseconds mean a moment in UTC; none is none."""
    session = {"session_id": "a", "messages": [{"role": "bot", "text": "Hi", "timestamp": time}]}
    assert load(store, write(tmp_path, "talks.jsonl", lines(session))).rejected == ()
    assert store.read("default", ["a"])["a"][0].timestamp == expected
    assert store.sessions("default")["start_time"].item() == expected


@pytest.mark.parametrize(
    "time",
    ["0001-01-01T00:00:00+14:00", "May 1st", 1e300, True, [1], "12:30", "1.71E+12", 45413.4, "99.99.2024"],
)
def test_times_that_mean_nothing_are_bad_rows(store: Store, tmp_path: Path, time: object) -> None:
    """A time that cannot be understood is never guessed."""
    report = load(store, write(tmp_path, "talks.jsonl", lines(talk("a", "Hi", start_time=time))))
    assert report.rejected[0].reason.startswith("start_time ")


def test_progress_ends_at_the_size_of_the_file(store: Store, tmp_path: Path) -> None:
    """Progress never goes back and ends with all that there is, whatever the unit."""
    seen: list[tuple[int, int]] = []
    path = write(tmp_path, "talks.jsonl", lines(*(talk(str(number), "Hi") for number in range(1_200))))
    load(store, path, progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert len(seen) == 4
    assert {total for _, total in seen} == {path.stat().st_size}
    assert seen[-1] == (path.stat().st_size, path.stat().st_size)


def plain(text: str) -> bool:
    """Whether a text is no HTML and says something, also once it was cleaned."""
    return "<" not in text and text.strip() not in ("null", "None", "nan", "NULL", "NaN")


def kept(name: str) -> bool:
    """Whether a name is no word for a missing value, and not what spreadsheets make of ids."""
    try:
        return identity(name) == name
    except ValueError:
        return False


names = st.text(string.ascii_letters + string.digits + "äß😀-_.", min_size=1, max_size=12).filter(kept)
times = st.none() | st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1))
turns = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "bot", "agent"]),
        "text": st.text(max_size=40).filter(plain),
        "timestamp": times,
    }
)
sessions = st.lists(
    st.fixed_dictionaries(
        {
            "session_id": names,
            "user_id": names,
            "containment_type": st.sampled_from(["agent", "selfService", "dropOff", None]),
            "messages": st.lists(turns, min_size=1, max_size=4),
            "true_intent": st.none() | names,
        }
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda session: str(session["session_id"]),
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sessions, st.sampled_from([".csv", ".jsonl", ".parquet", "by-message.csv"]))
def test_what_is_written_is_read_again(tmp_path: Path, data: list[dict[str, Any]], kind: str) -> None:
    """Every format gives back each session as it was written, but for characters that cannot be kept."""
    path = tmp_path / f"talks{kind}"
    write_sessions(path, data)
    with Store.in_memory() as store:
        report = load(store, path)
        ids = [session["session_id"] for session in data]
        found = store.read("default", ids)
        truth = store.truth("default", ids)
    assert (report.added, report.rejected) == (len(data), ())
    for session, known in zip(data, truth, strict=True):
        messages = [
            Message(turn["role"], clean_text(turn["text"]), turn["timestamp"])
            for turn in session["messages"]
            if clean_text(turn["text"]).strip()
        ]
        if kind == "by-message.csv" and all(message.timestamp for message in messages):
            messages.sort(key=lambda message: message.timestamp or datetime.min)
        assert list(found[session["session_id"]]) == messages
        intent = session["true_intent"]
        assert known.concepts == ({} if intent is None else {"general_intent": intent})


def write_sessions(path: Path, data: list[dict[str, Any]]) -> None:
    """Write sessions in the format of the suffix, the way that other programs do."""
    if path.suffix == ".parquet":
        turn: dict[str, pl.DataType] = {
            "role": pl.String(),
            "text": pl.String(),
            "timestamp": pl.Datetime("us"),
        }
        columns: dict[str, pl.DataType] = {
            "messages": pl.List(pl.Struct(turn)),
            "containment_type": pl.String(),
            "true_intent": pl.String(),
        }
        pl.DataFrame(data, schema_overrides=columns).write_parquet(path)
    elif path.suffix == ".jsonl":
        path.write_text(lines(*json.loads(json.dumps(data, default=str))), encoding="utf-8")
    else:
        rows = [{**session, "messages": json.dumps(session["messages"], default=str)} for session in data]
        if path.name.endswith("by-message.csv"):
            rows = [session | message for session in data for message in session["messages"]]
            rows = [{name: value for name, value in row.items() if name != "messages"} for row in rows]
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), quoting=csv.QUOTE_ALL)
            writer.writeheader()
            writer.writerows(rows)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "star",
            ImportReport(
                added=6652,
                without_messages=447,
                with_truth=6392,
                messages=108127,
                left_out={"without text": 10},
            ),
        ),
        ("taubench", ImportReport(added=288, with_truth=200, messages=4132)),
    ],
)
def test_real_dialogues_are_imported_whole(store: Store, name: str, expected: ImportReport) -> None:
    """The public data sets come in complete, with the truth that their description promises."""
    path = SHARED / f"{name}.parquet"
    if not path.exists():
        pytest.skip("the shared data are not here")
    assert load(store, path) == expected
    assert load(store, path).already_there == expected.added
    frame = pl.read_parquet(path, columns=["session_id", "start_time", "containment_type"]).sort("session_id")
    stored = store.sessions("default")
    assert stored["session_id"].to_list() == frame["session_id"].to_list()
    assert stored["containment_type"].to_list() == frame["containment_type"].to_list()
    assert stored["start_time"].to_list() == frame["start_time"].dt.replace_time_zone(None).to_list()
