"""The workbook: what a person opens is what the run says, and nothing in it runs."""

from __future__ import annotations

import io
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from python_calamine import CalamineWorkbook
from run_folders import FIELD, write_run

from autoanalyze.errors import InputError
from autoanalyze.study import workbook as module
from autoanalyze.study.exports import export
from autoanalyze.study.runs import Run, load_run
from autoanalyze.study.workbook import workbook

HOSTILE = ["=1+1", '=HYPERLINK("https://evil.example")', "+cmd", "https://evil.example", "@x", "\x07bell"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run that stopped, with labels that a spreadsheet would run."""
    count = len(HOSTILE) + 1
    sessions = pl.DataFrame(
        {
            "session_id": [f"00{n}" for n in range(count)],
            "start_time": [datetime(2026, 5, 1, 12, 30)] * count,
            "status": ["labelled"] * (count - 1) + ["unresolved"],
            "session_outcome": ["Contained", "Transfer", *["Contained"] * (count - 3), None],
            FIELD: [*HOSTILE, None],
            "error": [*[None] * (count - 1), "a filter refused it"],
        }
    )
    labels = pl.DataFrame(
        {
            "field": [FIELD, FIELD],
            "label": ["=1+1", "=2"],
            "canonical": ["=1+1", "=1+1"],
            "origin": ["new"] * 2,
        }
    )
    merge = {"merge": 1, "field": FIELD, "alias": "=2", "canonical": "=1+1", "merged": True, "sessions": 1}
    said = {"judge": "=model", "review": None, "reason": "=same", "chosen": ""}
    merges = pl.DataFrame([merge | said], schema_overrides={"review": pl.String})
    tables = {"sessions": sessions, "labels": labels, "merges": merges}
    fields = {"schema": {"fields": [{"name": FIELD, "description": "why", "applies_to": []}]}}
    return load_run(write_run(tmp_path / "run", tables, status="cancelled", settings=fields), partial=True)


def sheets(content: bytes) -> dict[str, list[list[Any]]]:
    book = CalamineWorkbook.from_filelike(io.BytesIO(content))
    return {name: book.get_sheet_by_name(name).to_python() for name in book.sheet_names}


def test_sheets_are_what_people_read(run: Run) -> None:
    """Summary with its caveats first, headings in words, dates as dates, shares as numbers."""
    found = sheets(workbook(run))
    assert list(found) == ["Summary", "Labels", "Sessions", "Merges"]
    summary = {row[0]: row[1] for row in found["Summary"]}
    assert "simulated model" in str(summary["Simulated"])
    assert "cancelled" in str(summary["Partial"])
    assert (summary["Sessions"], summary["Sessions with labels"]) == (7, 6)
    assert summary["Without: a filter refused it"] == 1
    assert summary["Cost, USD"] == 0.0012
    labels = found["Labels"]
    assert labels[0][:4] == ["Question", "Label", "Sessions", "Share"]
    first = dict(zip(labels[0], next(row for row in labels if row[1] == "=1+1"), strict=True))
    assert (first["Question"], first["Sessions"], first["Names merged into it"]) == ("General intent", 1, 1)
    assert first["Share"] == pytest.approx(1 / 6)
    assert first["Contained"] == 1
    session = found["Sessions"]
    assert session[0] == [
        "Session",
        "Started (UTC)",
        "How it ended",
        "General intent",
        "Labelled",
        "Why not labelled",
    ]
    assert session[1][:2] == ["000", datetime(2026, 5, 1, 12, 30)]
    assert found["Merges"][1][1:4] == ["General intent", "=2", "=1+1"]


def test_nothing_in_it_is_a_formula_or_a_link(run: Run) -> None:
    """Texts of strangers are texts; headings stay, and filters are set."""
    with zipfile.ZipFile(io.BytesIO(workbook(run))) as book:
        parts = {name: book.read(name).decode() for name in book.namelist()}
    cells = [text for name, text in parts.items() if "worksheets/sheet" in name]
    assert not any("<f>" in text or "<hyperlink" in text for text in cells)
    assert not any("_rels/sheet" in name for name in parts)
    assert all("frozen" in text and "<autoFilter" in text for text in cells[1:])
    assert [row[3] for row in sheets(workbook(run))["Sessions"][1:3]] == HOSTILE[:2]


def test_the_same_run_gives_the_same_bytes(run: Run) -> None:
    """The day on which it was written is not in it."""
    assert workbook(run) == workbook(load_run(run.path, partial=True))


def test_what_does_not_fit_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the remedy: a CSV."""
    monkeypatch.setattr(module, "SHEET_ROWS", 7)
    with pytest.raises(InputError, match=r"7 rows of Sessions do not .*--to sessions.csv"):
        workbook(run)


def test_a_workbook_is_an_export(run: Run) -> None:
    """By its ending or by name; it has its own tables."""
    assert export(run, to="labels.xlsx") == "labels.xlsx"
    assert Path("labels.xlsx").read_bytes() == workbook(run)
    assert export(run, form="xlsx") == "labels-run.xlsx"
    with pytest.raises(InputError, match="leave --table away"):
        export(run, "labels", "other.xlsx")
