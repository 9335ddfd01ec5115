"""Exported tables: what is written is what is read back, and no spreadsheet runs it."""

from __future__ import annotations

import io
import json
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from run_folders import FIELD, write_run

from autoanalyze.errors import InputError
from autoanalyze.study.exports import export, guarded, text_of, unguarded
from autoanalyze.study.runs import Run, load_run

TEXTS = st.one_of(st.none(), st.text(max_size=20), st.text(alphabet="'=+-@ \t\r\n\",a\xa0\ufeff", max_size=6))


def labelled(texts: list[str | None]) -> pl.DataFrame:
    """A table with a text, a number and a time."""
    numbers = [-1.5] * len(texts)
    return pl.DataFrame(
        {"label": texts, "number": numbers, "when": [datetime(2026, 5, 1)] * len(texts)},
        schema={"label": pl.String, "number": pl.Float64, "when": pl.Datetime("us")},
    )


@given(st.lists(TEXTS, min_size=1, max_size=5))
@example(["", None, "a\rb", "a\r\nb", '"', "\x00", "\u2028", "'=1", "  =1"])
def test_texts_are_read_back_as_they_were(texts: list[str | None]) -> None:
    """Whatever a label holds: line breaks, quotes, nothing at all; numbers stay numbers."""
    frame = labelled(texts)
    lines = text_of(frame, "jsonl").split("\n")[:-1]
    assert [json.loads(line)["label"] for line in lines] == texts
    assert [json.loads(line)["number"] for line in lines] == frame["number"].to_list()
    schema = frame.schema
    read = pl.read_csv(io.BytesIO(text_of(frame, "csv").encode()), schema=schema)
    assert read["label"].to_list() == texts
    assert read["number"].to_list() == frame["number"].to_list()


@given(st.lists(TEXTS, min_size=1, max_size=5))
@example(["=1", " \t=1", "'=1", "''-1", "\ufeff@x", "＝1", "x", "'x", ""])  # noqa: RUF001
def test_no_cell_for_excel_is_a_formula(texts: list[str | None]) -> None:
    """No text begins like a formula, not even after blanks, and taking the guard away gives it back."""
    text = text_of(labelled(texts), "excel")
    assert text.startswith("\ufeff")
    read = pl.read_csv(io.BytesIO(text.removeprefix("\ufeff").encode()), infer_schema=False)
    for cell, original in zip(read["label"].to_list(), texts, strict=True):
        if original is None:
            assert cell is None
        else:
            assert not cell.lstrip().lstrip("\ufeff\u200b").startswith(("=", "+", "-", "@"))
            assert not cell.startswith(("\t", "\r"))
            assert unguarded(cell) == original
    assert read["number"].to_list() == ["-1.5"] * len(texts)


def test_headings_are_guarded_too() -> None:
    """The name of a label field is a text like any other."""
    assert guarded(pl.DataFrame({"=cmd": ["a"], "plain": ["b"]})).columns == ["'=cmd", "plain"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run one of whose labels a spreadsheet would run."""
    sessions = pl.DataFrame({"session_id": ["a", "b"], FIELD: ["=1+1", "two\nlines"]})
    return load_run(write_run(tmp_path / "the run", {"sessions": sessions}))


def test_files_are_named_after_table_and_run(run: Run) -> None:
    """Without a name the file is made where the user is; as plain CSV it is what the table is."""
    assert export(run) == "sessions-the run.csv"
    assert export(run, form="csv", force=True) == "sessions-the run.csv"
    assert pl.read_csv("sessions-the run.csv").equals(run.sessions)
    assert export(run, "calls", form="jsonl") == "calls-the run.jsonl"
    assert json.loads(Path("calls-the run.jsonl").read_text())["prompt"] == 900


def test_csv_files_are_safe_to_open_and_pipes_are_plain(
    run: Run, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Whoever double-clicks a file gets no formula; a program that reads a pipe gets every text as it is."""
    export(run, to="labels.csv")
    assert Path("labels.csv").read_text(encoding="utf-8").startswith("\ufeff")
    assert "'=1+1" in Path("labels.csv").read_text(encoding="utf-8")
    export(run, to="-")
    piped = capfdbinary.readouterr().out.decode()
    assert '"=1+1"' in piped
    assert not piped.startswith("\ufeff")


@pytest.mark.parametrize("table", ["sessions", "labels", "merges", "rounds", "calls"])
def test_every_table_can_be_exported(run: Run, table: str) -> None:
    """In every format, by the ending or by name."""
    for to, form in (
        ("a.csv", None),
        ("a.jsonl", None),
        ("a.NDJSON", None),
        ("b.csv", "excel"),
        ("c", "csv"),
    ):
        assert export(run, table, to, form, force=True) == to
        assert Path(to).stat().st_size > 0


def test_files_that_exist_are_kept(run: Run) -> None:
    """Only force overwrites."""
    Path("mine.csv").write_text("mine")
    with pytest.raises(InputError, match="--force"):
        export(run, to="mine.csv")
    assert Path("mine.csv").read_text() == "mine"
    export(run, to="mine.csv", force=True)
    assert "two\nlines" in Path("mine.csv").read_text()


@pytest.mark.parametrize(
    ("table", "to", "form", "reason"),
    [
        ("transcripts", None, None, "the tables are sessions"),
        ("sessions", None, "parquet", "xlsx, excel, csv, jsonl"),
        ("sessions", "a.parquet", None, "give --format"),
        ("sessions", "a.csv", "xlsx", "does not end as xlsx"),
        ("sessions", "a.jsonl", "excel", "does not end as excel"),
        ("sessions", "no/such/folder.csv", None, "cannot be written"),
    ],
)
def test_wishes_that_cannot_be_met_name_the_remedy(
    run: Run, table: str, to: str | None, form: str | None, reason: str
) -> None:
    """Another table, another format, an ending that does not fit, and a folder that is not there."""
    with pytest.raises(InputError, match=reason):
        export(run, table, to, form)


def test_lists_are_no_csv() -> None:
    """A column that holds lists is refused with its name; JSON Lines takes it."""
    frame = pl.DataFrame({"ids": [["a"]]})
    with pytest.raises(InputError, match="ids"):
        text_of(frame, "csv")
    assert text_of(frame, "jsonl") == '{"ids":["a"]}\n'
