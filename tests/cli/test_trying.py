"""The command for newcomers: a file of any kind to an answer and a page, again and again, without a key."""

from __future__ import annotations

import gc
import json
import os
import shlex
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from autoanalyze.analysis.configuration import compose
from autoanalyze.analysis.given import check_used
from autoanalyze.cli.commands import app
from autoanalyze.cli.trying import filled, quoted, sessions_in, show_command
from autoanalyze.data.reports import ImportOptions
from autoanalyze.data.sources import found
from autoanalyze.errors import AutoAnalyzeError, ImportDataError, InputError
from autoanalyze.study.runs import load_run

pytestmark = pytest.mark.slow  # whole runs and commands

ASKED = [
    *("I lost my card, please block my card", "my card is lost, block the card", "block my lost card"),
    *("where is my parcel", "the parcel has not arrived, where is the parcel", "my parcel is late"),
]


def trying(*arguments: Any) -> str:
    """What the command prints in 80 columns; its own errors are raised."""
    gc.collect()  # a run before this one, which a process of its own would not have, lets go of its store
    result = CliRunner().invoke(app, ["try", *map(str, arguments)], env={"COLUMNS": "80"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder that is not that of the files."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@pytest.fixture
def tickets(tmp_path: Path) -> Path:
    """Tickets under column names of their own, in a file with a name that needs quoting."""
    path = tmp_path / "my 'own' tickets.csv"
    rows = "".join(f'T{number},"{text}",North\n' for number, text in enumerate(ASKED))
    path.write_text(f"Ticket No,Question,Team\n{rows}", encoding="utf-8")
    return path


def messages(path: Path, sessions: dict[str, list[str]]) -> Path:
    """A file of messages: user and bot in turn."""
    lines = [
        {"session_id": one, "role": ("user", "bot")[position % 2], "text": text}
        for one, texts in sessions.items()
        for position, text in enumerate(texts)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


MAPS = ("--map", "Ticket No=session_id", "--map", "Question=text")


def commands_in(output: str) -> list[list[str]]:
    """The commands that are printed, as a shell would read them."""
    whole = output.replace("\\\n", "")
    return [shlex.split(line) for line in whole.splitlines() if line.startswith("  autoanalyze ")]


def test_tickets_end_in_answer_page_price_and_commands(tickets: Path) -> None:
    """All of a newcomer's way: columns, a draft of topics, a page, what a model costs, and how to ask one."""
    content = tickets.read_bytes()
    output = trying(tickets, *MAPS)
    order = [
        "session_id    Ticket No",
        "text of user  Question",
        "not used      Team",
        "6 sessions added",
        "also of one message",
        "DRAFT",
        "Card",
        "Parcel",
        "report: ",
        "less than 0.01 USD",
        "genai-prices",
        "OPENAI_API_KEY",
        "endpoint=openai",
        "endpoint=http://localhost",
    ]
    places = [output.index(part) for part in order]
    assert places == sorted(places)
    assert "consistency" not in output
    folder = tickets.parent / "my 'own' tickets.autoanalyze"
    assert sorted(path.name for path in folder.iterdir()) == ["run-1", "sessions-1.duckdb"]
    assert "Parcel" in (folder / "run-1/report.html").read_text(encoding="utf-8")
    assert tickets.read_bytes() == content
    for command in commands_in(output):
        assert command[:2] == ["autoanalyze", "run"]
        config = compose(command[2:])
        check_used(command[2:], [config])
        assert config.data.count == len(ASKED)
    assert len(commands_in(output)) == 2
    long = [line for line in output.splitlines() if len(line) > 80 and str(tickets.parent) not in line]
    assert all(" model time" in line for line in long)  # lines of progress, where no terminal shows bars


def test_another_try_keeps_the_first_run_and_adds_nothing(tmp_path: Path) -> None:
    """The store is the same, the run another, with the same labels; its folder is no input of a third."""
    file = tmp_path / "chats.jsonl"
    lines = [
        {"id": f"c{n}", "messages": [{"role": "user", "content": t}, {"role": "assistant", "content": "Yes"}]}
        for n, t in enumerate(ASKED)
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert "OpenAI messages" in trying(file)
    first = tmp_path / "chats.autoanalyze/run-1"
    before = {path.name: path.read_bytes() for path in first.iterdir()}
    assert "6 already there" in trying(file)
    assert {path.name: path.read_bytes() for path in first.iterdir()} == before
    assert load_run(first).sessions.equals(load_run(first.with_name("run-2")).sessions)
    assert [path.name for path in tmp_path.glob("*/*.duckdb")] == ["sessions-1.duckdb"]
    assert [source.name for source in found([tmp_path])[0]] == ["chats.jsonl"]


def test_a_file_that_changed_is_read_as_it_is_now(tmp_path: Path) -> None:
    """What grew is extended; what contradicts an earlier try goes into a new store, and that is said."""
    a, b = [ASKED[0], "Yes"], [ASKED[3], "Yes"]
    file, console = tmp_path / "chats.jsonl", Console(record=True, width=80, file=StringIO())
    for sessions, store, said in (
        ({"a": a, "b": b}, 1, "2 sessions added"),
        ({"a": [*a, "thanks"], "b": b}, 1, "1 extended"),
        ({"a": [ASKED[4], "No"], "b": b}, 2, "1 session read otherwise"),
        ({"b": b}, 3, "it had sessions that are gone"),
    ):
        messages(file, sessions)
        store_ = filled(console, [str(file)], tmp_path / "folder", ImportOptions())
        assert store_.name == f"sessions-{store}.duckdb"
        assert said in console.export_text()
        assert sessions_in(store_)["session_id"].to_list() == sorted(sessions)


def test_a_sample_is_said_and_the_price_is_for_all(tmp_path: Path) -> None:
    """With more sessions than are read, both numbers are named, and what is left out as too short."""
    asked = {f"s{number}": [text, "Yes"] for number, text in enumerate(ASKED)} | {"short": ["Hm"]}
    output = trying(messages(tmp_path / "chats.jsonl", asked), "--count", "4")
    assert "a sample of 4 of 6 sessions; left out: 1 of fewer than two messages" in output
    assert "6 sessions for about" in " ".join(output.split())
    assert all("data.count=6" in command for command in commands_in(output))
    assert load_run(tmp_path / "chats.autoanalyze/run-1").sessions.height == 4


def test_known_labels_are_not_shown_to_the_reader(tmp_path: Path) -> None:
    """Its labels are the same with and without a column of truth, of which only the scores know."""
    rows = [f'{number},"{text}",Secret{number % 2}\n' for number, text in enumerate(ASKED)]
    for name, header in (("known", "true_intent"), ("unknown", "note")):
        (tmp_path / f"{name}.csv").write_text(f"ticket_id,text,{header}\n{''.join(rows)}", encoding="utf-8")
    known, unknown = trying(tmp_path / "known.csv"), trying(tmp_path / "unknown.csv")
    assert "kept from the reader" in known
    assert "kept from the reader" not in unknown
    runs = [load_run(tmp_path / f"{name}.autoanalyze/run-1") for name in ("known", "unknown")]
    assert runs[0].sessions["general_intent"].equals(runs[1].sessions["general_intent"])
    assert not runs[1].record["metrics"]


HEADER = "session_id,role,text\n"


@pytest.mark.parametrize(
    ("name", "content", "remedy"),
    [
        ("empty.csv", b"", "export the sessions again"),
        ("header.csv", HEADER.encode(), "has no rows"),
        ("binary.csv", bytes(range(128, 256)) * 9, "not UTF-8"),
        ("picture.png", b"\x89PNG", "Save it as one of them"),
        ("silent.csv", f"{HEADER}a,user,\na,bot,\n".encode(), "what was said too"),
        ("other.csv", b"when,how\n1,2\n", "--map theirs=session_id"),
        ("strangers.csv", f"{HEADER}a,Kundin,Hello\n".encode(), "nothing was imported"),
    ],
)
def test_bad_files_are_a_word_with_a_remedy_and_leave_nothing(
    tmp_path: Path, name: str, content: bytes, remedy: str
) -> None:
    """Exit code 2, and neither store nor folder stays behind."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AutoAnalyzeError, match=remedy) as caught:
        trying(tmp_path / name)
    assert caught.value.exit_code == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "work"])


def test_what_is_not_there_or_holds_no_file_is_said(tmp_path: Path) -> None:
    """A missing file, and a folder without exports."""
    with pytest.raises(InputError, match="no such file"):
        trying(tmp_path / "nowhere.csv")
    with pytest.raises(ImportDataError, match="holds no file"):
        trying(tmp_path / "work")


@pytest.mark.parametrize(
    ("sessions", "said"),
    [
        ({f"s{n}": ["my card is lost", "Yes"] for n in range(5)}, "Card Lost"),
        ({"a": ["...", "?"], "b": ["!!", "?"]}, "--role THEIRS=user"),
    ],
)
def test_odd_data_are_answered(tmp_path: Path, sessions: dict[str, list[str]], said: str) -> None:
    """The same session over and over, nothing but punctuation."""
    assert said in trying(messages(tmp_path / "chats.jsonl", sessions))


def test_a_folder_that_cannot_be_written_makes_way_for_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said; where nothing can be written at all, that is said with a way out."""
    file = messages(tmp_path / "chats.jsonl", {"a": [ASKED[0], "Yes"]})
    monkeypatch.setattr(os, "access", lambda path, _mode: Path.cwd() in Path(path).parents)
    output = trying(file)
    assert "cannot be written: kept in chats.autoanalyze" in " ".join(output.split())
    assert "Reading 1 session." in output
    assert (tmp_path / "work/chats.autoanalyze/run-1/report.html").exists()
    assert not (tmp_path / "chats.autoanalyze").exists()
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    with pytest.raises(InputError, match="folder of your own"):
        trying(file)


@pytest.mark.parametrize("path", ["plain/x-1.duckdb", "it's \\' ${x} a=b,c [x]{y} ü: ~*?#&\"!"])
def test_any_path_can_be_copied(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Through shell and Hydra a path comes back as it was."""
    show_command(Console(soft_wrap=True), ["autoanalyze", "run", "data=store", f"data.path={quoted(path)}"])
    (command,) = commands_in(capsys.readouterr().out)
    assert compose(command[2:]).data.path == path
