"""Archived runs are replayed from their journals, offline, and compared."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from autoanalyze.analysis.build import build_analysis
from autoanalyze.analysis.configuration import compose
from autoanalyze.cli.commands import main
from autoanalyze.errors import JournalError, RunFolderError
from autoanalyze.laboratory.replay import archive, replay

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """An experiment with one archived run."""
    small = ["data.count=40", "data.population=60", "baseline=none", "resamples=2"]
    build_analysis(compose(small)).run_sync(tmp_path / "run")
    archive(tmp_path / "run", tmp_path / "experiment", "a run")
    return tmp_path / "experiment"


def test_replay_gives_the_same_numbers(experiment: Path) -> None:
    """Every table and every figure, without a single call."""
    (replayed,) = replay(experiment)
    assert replayed.differing == ()
    assert replayed.record["paid"]["calls"] == 0
    assert replayed.record["calls"] == replayed.archived.record["calls"] > 0


def test_what_differs_is_named(experiment: Path) -> None:
    """Someone who changed a table or a figure of the archive is found out."""
    folder = experiment / "archive" / "a run"
    sessions = pl.read_parquet(folder / "sessions.parquet")
    sessions.with_columns(general_intent=pl.lit("Nothing")).write_parquet(folder / "sessions.parquet")
    record = json.loads((folder / "run.json").read_text())
    record["model_seconds"] += 1
    (folder / "run.json").write_text(json.dumps(record))
    (replayed,) = replay(experiment)
    assert replayed.differing == ("sessions", "model_seconds")


def test_a_call_that_the_journal_lacks_is_an_error(experiment: Path) -> None:
    """A replay never asks anybody."""
    path = experiment / "archive" / "a run" / "run.json"
    record = json.loads(path.read_text())
    record["config"]["context"] = "Another question."
    path.write_text(json.dumps(record))
    with pytest.raises(JournalError):
        list(replay(experiment))


def test_without_an_archive_there_is_nothing_to_replay(tmp_path: Path) -> None:
    """An empty folder is said to be empty."""
    with pytest.raises(RunFolderError, match="archive"):
        list(replay(tmp_path))


@pytest.mark.slow
def test_lab_book_is_replayed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The archived runs of the lab book come out as they were when they were archived."""
    monkeypatch.setattr("sys.argv", ["autoanalyze", "replay", str(ROOT / "experiments" / "streams")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert capsys.readouterr().out.count("the same") == len(
        list((ROOT / "experiments" / "streams" / "archive").iterdir())
    )
