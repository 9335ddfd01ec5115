"""Reading run folders: what a whole one gives, and what is said of one that is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from autoanalyze.errors import RunFolderError
from autoanalyze.study.runs import load_run

RECORD: dict[str, Any] = {
    "status": "done",
    "model": "gpt-4o-mini",
    "endpoint": "simulated",
    "sessions": {"sampled": 2, "labelled": 1, "unresolved": 1},
    "calls": 1,
    "tokens": {"prompt": 900, "cached": 0, "completion": 40},
    "cost_usd": 0.0012,
    "model_seconds": 3.5,
    "speedup": None,
}
SENT = {
    "event": "sent",
    "call": 1,
    "kind": "analyze",
    "phase": "discovery",
    "round": 0,
    "stream": 0,
    "attempt": 0,
    "session_ids": ["a", "b"],
    "start": 0.0,
}
ANSWERED = {
    **SENT,
    "event": "answered",
    "end": 3.5,
    "usage": {"prompt": 900, "cached": 0, "completion": 40},
    "finish_reason": "stop",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small finished run without truth."""
    write_record(tmp_path, RECORD)
    write_calls(tmp_path, [SENT, ANSWERED])
    sessions = pl.DataFrame({"session_id": ["a", "b"], "status": ["labelled", "unresolved"]})
    sessions.write_parquet(tmp_path / "sessions.parquet")
    for name in ("labels", "merges", "rounds"):
        pl.DataFrame({"round": [1]}).write_parquet(tmp_path / f"{name}.parquet")
    return tmp_path


def write_record(folder: Path, record: object) -> None:
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")


def write_calls(folder: Path, lines: list[dict[str, Any]]) -> None:
    (folder / "calls.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def test_whole_folder_is_read(folder: Path) -> None:
    """Record and tables are those that were written."""
    run = load_run(str(folder))
    assert run.record == RECORD
    assert run.sessions["session_id"].to_list() == ["a", "b"]
    assert run.labels.columns == run.merges.columns == run.rounds.columns == ["round"]


def test_only_answered_calls_are_rows(folder: Path) -> None:
    """A call is a row once it was answered, with its usage and the number of its sessions."""
    failed = {**SENT, "event": "failed", "end": 1.0, "error": "busy"}
    write_calls(folder, [SENT, failed, SENT, ANSWERED])
    (row,) = load_run(folder).calls.rows(named=True)
    assert (row["start"], row["end"], row["prompt"], row["sessions"]) == (0.0, 3.5, 900, 2)


def test_run_without_answers_has_the_same_columns(folder: Path) -> None:
    """A run whose every call failed can be drawn and queried like any other."""
    answered = load_run(folder).calls.schema
    write_calls(folder, [SENT])
    assert load_run(folder).calls.is_empty()
    assert load_run(folder).calls.schema == answered


def test_truth_is_null_unless_it_was_written(folder: Path) -> None:
    """Sessions without known concepts have no truth; pandas gets an empty frame for it."""
    run = load_run(folder)
    assert run.truth is None
    assert run.pandas("truth").empty
    pl.DataFrame({"session_id": ["a"], "field": ["f"], "concept": ["x"]}).write_parquet(
        folder / "truth.parquet"
    )
    truth = load_run(folder).truth
    assert truth is not None
    assert truth["concept"].to_list() == ["x"]


def test_pandas_gets_the_same_table(folder: Path) -> None:
    """The pandas frame of a table holds its rows and columns."""
    frame = load_run(folder).pandas("sessions")
    assert frame.to_dict("list") == {"session_id": ["a", "b"], "status": ["labelled", "unresolved"]}


def test_summary_shows_figures_and_escapes_text(folder: Path) -> None:
    """Jupyter shows sessions, time and cost; nothing in the record can become markup."""
    write_record(folder, {**RECORD, "endpoint": "<script>"})
    summary = load_run(folder)._repr_html_()
    assert "1 / 1" in summary
    assert "3.5 s" in summary
    assert "<script>" not in summary


def test_summary_shows_each_field_with_its_interval(folder: Path) -> None:
    """Labels before and after merging stand beside consistency and precision, marked as simulated; a
    field whose truth nobody knows has no row."""
    scores = {"value": 0.9, "low": 0.85, "high": 0.95}
    metrics = {"concept_count": {"value": 7.0}, "consistency": scores, "precision": {**scores, "value": 1.0}}
    metrics["precision_macro"] = scores
    labels = {"<b>intent": {"first_given": 12, "final": 8}, "reason": {"first_given": 3, "final": 3}}
    write_record(folder, {**RECORD, "labels": labels, "metrics": {"<b>intent": metrics}})
    summary = load_run(folder)._repr_html_()
    for text in (
        "12 &gt; 8",
        "0.900 [0.850, 0.950]",
        "1.000 [0.850, 0.950]",
        "scores (simulated)",
        "&lt;b&gt;intent",
    ):
        assert text in summary
    assert "<b>" not in summary
    assert "reason" not in summary


def test_merges_are_shown_whole_and_escaped(folder: Path) -> None:
    """The table of merges names judge, review and reason; pairs kept apart are there if asked for."""
    pl.DataFrame(
        {
            "merge": [1, 2],
            "field": "intent",
            "alias": ["<i>Claim " + "x" * 90, "b"],
            "canonical": "Claims",
            "verdict": ["same", "different"],
            "merged": [True, False],
            "sessions": [3, 1],
            "judge": "a-model",
            "reason": ["same meaning", None],
            "chosen": ["more sessions", None],
            "similarity": [0.9, None],
            "review": ["accepted", None],
        }
    ).write_parquet(folder / "merges.parquet")
    run = load_run(folder)
    shown = run.merge_table()._repr_html_()
    assert "x" * 90 in shown
    assert "&lt;i&gt;Claim" in shown
    (row,) = run.merge_table().frame.rows(named=True)
    assert row["decided by"] == "a-model, accepted by a reviewer"
    assert row["why"] == "same meaning; more sessions"
    assert len(run.merge_table(everything=True)) == 2


def test_torn_journal_is_named(folder: Path) -> None:
    """A journal whose answers cannot be read is an error that says what to do."""
    (folder / "calls.jsonl").write_text('{"event":"answered","call":', encoding="utf-8")
    with pytest.raises(RunFolderError, match="autoanalyze verify"):
        _ = load_run(folder).calls


@pytest.mark.parametrize("name", ["sessions.parquet", "rounds.parquet", "calls.jsonl"])
def test_missing_file_is_named(folder: Path, name: str) -> None:
    """A folder that lost a file is refused, and the message says which."""
    (folder / name).unlink()
    with pytest.raises(RunFolderError, match=name):
        load_run(folder)


def test_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    """Missing folders, empty ones, and a run.json that is no JSON are none of ours."""
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{", encoding="utf-8")
    for path in (tmp_path / "nowhere", tmp_path, tmp_path / "broken"):
        with pytest.raises(RunFolderError, match=r"run\.json"):
            load_run(path)


@pytest.mark.parametrize("record", [{**RECORD, "status": "running"}, {"other": 1}, [1]])
def test_unfinished_or_foreign_record_is_refused(folder: Path, record: object) -> None:
    """Only a run that says it is done is read."""
    write_record(folder, record)
    with pytest.raises(RunFolderError, match="status"):
        load_run(folder)
