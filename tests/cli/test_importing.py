"""The import command: what it says of files, and what it ends with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from autoanalyze.cli.commands import app
from autoanalyze.data.store import Store
from autoanalyze.errors import ConfigurationError, ImportDataError, InputError


def importing(*arguments: str) -> Any:
    """What the command prints; its own errors are raised."""
    result = CliRunner().invoke(app, ["import", *arguments], env={"COLUMNS": "200"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    """Two whole sessions of a desk with a word of its own for its people, and one with a broken row."""
    rows = [
        ("a", "Kundin", "My card is lost"),
        ("a", "Beraterin", "I block it"),
        ("b", "Kundin", "A refund"),
        ("b", "bot", "Done"),
        ("1.5E+17", "Kundin", "damaged"),
    ]
    path = tmp_path / "chats.csv"
    path.write_text("chat,who,text\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows), encoding="utf-8")
    return path


ROLES = (
    "--role",
    "Kundin=user",
    "--role",
    "Beraterin=agent",
    "--map",
    "chat=session_id",
    "--map",
    "who=role",
)


def test_a_look_says_what_was_recognised_and_writes_nothing(chats: Path, tmp_path: Path) -> None:
    """Columns, roles, sessions as they would go in, and what stays out; no store is made."""
    output = importing(str(chats), "--into", str(tmp_path / "s.duckdb"), "--look", *ROLES)
    for text in (
        "session_id",
        "role agent: Beraterin (1)",
        "user: My card is lost",
        "2 sessions would go in",
    ):
        assert text in output
    assert "1 rows rejected" in output
    assert not (tmp_path / "s.duckdb").exists()


def test_sessions_go_in_once_and_trouble_is_listed_by_line(chats: Path, tmp_path: Path) -> None:
    """A second import of the same file adds nothing; a damaged id is named with its line."""
    store = str(tmp_path / "s.duckdb")
    first = importing(str(chats), "--into", store, *ROLES)
    assert "2 sessions added" in first
    assert "chats.csv:6" in first
    again = importing(str(chats), "--into", store, *ROLES)
    assert "0 sessions added" in again
    assert "2 already there" in again


def test_sessions_that_grew_are_extended(tmp_path: Path) -> None:
    """A later file with more messages of a session extends it."""
    turns = [
        {"role": "user", "text": "Hello"},
        {"role": "bot", "text": "Hi"},
        {"role": "user", "text": "Bye"},
    ]
    for name, count in (("early", 2), ("late", 3)):
        line = json.dumps({"session_id": "a", "messages": turns[:count]})
        (tmp_path / f"{name}.jsonl").write_text(line, encoding="utf-8")
    store = tmp_path / "s.duckdb"
    importing(str(tmp_path / "early.jsonl"), "--into", str(store))
    assert "1 extended" in importing(str(tmp_path / "late.jsonl"), "--into", str(store))
    with Store.open(store, read_only=True) as opened:
        assert len(opened.read("default", ["a"])["a"]) == 3


def test_an_import_that_brings_nothing_is_an_error(tmp_path: Path) -> None:
    """Where no session can be used, what is wrong is listed and the command fails as bad input."""
    path = tmp_path / "bad.csv"
    path.write_text("session_id,role,text\n,user,Hello\nNULL,user,Hello\n", encoding="utf-8")
    with pytest.raises(ImportDataError, match="nothing was imported") as caught:
        importing(str(path), "--into", str(tmp_path / "s.duckdb"))
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "kind", "remedy"),
    [
        (("--map", "oops"), InputError, "theirs=ours"),
        (("--role", "=user"), InputError, "theirs=ours"),
        (("--role", "Kundin=customer"), ConfigurationError, "=agent"),
        (("--dates", "middle"), ConfigurationError, "day-first"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(
    chats: Path, tmp_path: Path, arguments: tuple[str, ...], kind: type[InputError], remedy: str
) -> None:
    """The message says how the option is written."""
    with pytest.raises(kind, match=remedy):
        importing(str(chats), "--into", str(tmp_path / "s.duckdb"), *arguments)


def test_a_store_must_be_named(chats: Path) -> None:
    """Without a store only a look is possible, and the message says so."""
    with pytest.raises(InputError, match="--look"):
        importing(str(chats), *ROLES)
