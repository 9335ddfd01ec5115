"""Experiments as files: each composes, runs in its quick form, and says what it asks."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml

from autoanalyze.analysis.keys import known_keys
from autoanalyze.cli.commands import main
from autoanalyze.config import Config
from autoanalyze.study.measures import MEASURES

ROOT = Path(__file__).resolve().parent.parent.parent
EXPERIMENTS = sorted((ROOT / "configs" / "experiment").glob("*.yaml"))
#: What the toolkit promises to answer.
WANTED = {
    "worlds",
    "judges",
    "timing",
    "levers",
    "live",
    "streams",
    "discovery",
    "sync",
    "batch_size",
    "drift",
    "limits",
    "duplicates",
    "faults",
    "real_data",
}


def test_all_experiments_are_there() -> None:
    """The experiments that the toolkit promises, each with its chapter of the lab book."""
    names = {path.stem for path in EXPERIMENTS}
    assert names >= WANTED
    for name in names:
        assert (ROOT / "experiments" / name / "README.md").exists(), name


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_experiment_says_what_it_asks_and_how_it_is_run(path: Path) -> None:
    """A question, the command that opens the file, known settings and measures, seeds, a quick form."""
    text = path.read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    report, sweeper = content["report"], content["hydra"]["sweeper"]
    assert content["hydra"]["mode"] == "MULTIRUN"
    assert report["question"].endswith("?")
    command = "autoanalyze frontier" if path.stem == "frontier" else f"autoanalyze run experiment={path.stem}"
    assert command in text
    keys = {*known_keys(), "case", "model", "limits", "field", "label_count", "world", "judge", "latency"}
    for key in (*report["rows"], report.get("across"), report.get("lines"), *sweeper["params"]):
        assert key is None or key in keys, key
    assert set(report.get("measures", [])) | set(report.get("figure", [])) <= set(MEASURES)
    assert report.get("baseline") is None or report["baseline"] in sweeper["cases"]
    if path.stem != "frontier":
        first, after = re.findall(r"\d+", sweeper["params"]["seed"])[:: 2 if path.stem == "live" else 1]
        assert path.stem == "live" or int(after) - int(first) >= 10, "fewer replicates than ten tell nothing"
    assert sweeper["quick"]


def two_cases(path: Path) -> list[str]:
    """The first case of an experiment, and the one that others are held against, or the last."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    cases = list(content["hydra"]["sweeper"].get("cases", {}))
    chosen = dict.fromkeys([*cases[:1], content["report"].get("baseline") or (cases or [None])[-1]])
    return [f"case={','.join(map(repr, chosen))}"] if cases else []


@pytest.mark.slow
@pytest.mark.parametrize("path", [p for p in EXPERIMENTS if p.stem != "real_data"], ids=lambda p: p.stem)
def test_quick_form_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every experiment, from its file to its figure, in seconds."""
    command = ["frontier"] if path.stem == "frontier" else ["run", f"experiment={path.stem}"]
    monkeypatch.chdir(tmp_path)
    few = ("resamples=10",) if path.stem == "frontier" else ("seed=1", "resamples=10", *two_cases(path))
    monkeypatch.setattr("sys.argv", ["autoanalyze", *command, "quick=true", *few, "hydra/launcher=basic"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    folder = tmp_path / "outputs" / "experiments" / path.stem
    results = pl.read_parquet(folder / "results.parquet")
    assert results["consistency" if "consistency" in results.columns else "recall"].null_count() == 0
    assert (folder / "figure.png").stat().st_size > 5_000
    assert (folder / "table.md").read_text().startswith("| ")


def test_defaults_know_no_experiment() -> None:
    """Without an experiment nothing is swept, named or reported."""
    config = Config()
    assert (config.case, config.quick, config.seeds, config.report.into) == (None, False, [], None)


BOOKS = [path for path in EXPERIMENTS if (ROOT / "experiments" / path.stem / "results.parquet").exists()]


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_lab_book_shows_its_results(path: Path) -> None:
    """Table and figure of a chapter are those of its results, from ten seeds or more and this file; what was
    not committed then, and runs that failed, are told in it."""
    chapter = ROOT / "experiments" / path.stem
    table = (chapter / "table.md").read_text(encoding="utf-8")
    text = (chapter / "README.md").read_text(encoding="utf-8")
    assert table in text
    told = json.loads((chapter / "provenance.json").read_text(encoding="utf-8"))
    assert told["git"]["dirty"] is False or "and changes" in text
    assert told["runs_failed"] == 0 or f"**{told['runs_failed']:,} more failed**" in text
    assert told["question"] == yaml.safe_load(path.read_text(encoding="utf-8"))["report"]["question"]
    results = pl.read_parquet(chapter / "results.parquet")
    assert results["seed"].n_unique() >= 10
    assert "TODO" not in text


@pytest.mark.slow
def test_loss_of_labelling_in_parallel_is_measured_anywhere(tmp_path: Path) -> None:
    """The quick form takes chats of our own making, and leaves the lab book as it is."""
    script = ROOT / "experiments" / "parallel_loss" / "measure_loss.py"
    before = (script.parent / "table.md").read_bytes()
    command = [sys.executable, str(script), "--quick"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert (script.parent / "table.md").read_bytes() == before
