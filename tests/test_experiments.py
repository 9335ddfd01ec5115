"""Experiments run from their committed command; here in a form of seconds."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest


@pytest.mark.slow
def test_main_job_experiment_writes_its_results(tmp_path: Path, repository: Path) -> None:
    """The lab book's command gives a row per run and field, a table and a figure."""
    arguments = ["--seeds", "2", "--sessions", "60", "--star", "none", "--into", str(tmp_path)]
    subprocess.run(
        [sys.executable, str(repository / "experiments" / "main_job" / "run.py"), *arguments],
        check=True,
        capture_output=True,
        timeout=300,
    )
    results = pl.read_csv(tmp_path / "results.csv")
    assert len(results) == 2 * 2 * 3
    assert results["consistency"].is_between(0.5, 1).all()
    assert (tmp_path / "table.md").read_text().count("| synthetic |") == 6
    assert (tmp_path / "timeline.png").stat().st_size > 5_000


@pytest.mark.slow
def test_schedules_experiment_writes_its_results(tmp_path: Path, repository: Path) -> None:
    """The quick form has every setting and lever once per seed, both tables and the figure."""
    subprocess.run(
        [
            sys.executable,
            str(repository / "experiments/schedules/run.py"),
            "--quick",
            "--into",
            str(tmp_path),
        ],
        check=True,
        capture_output=True,
        timeout=300,
    )
    results = pl.read_csv(tmp_path / "results.csv")
    assert results.group_by("setting", "seed").len()["len"].unique().to_list() == [3]
    assert results.group_by("setting").agg(pl.col("seed").n_unique())["seed"].unique().to_list() == [2]
    targets, levers = ((tmp_path / f"{name}.md").read_text() for name in ("table", "levers"))
    assert "| default |" in targets
    assert "| design |" in targets
    assert set(results["setting"]) >= {line.split("|")[2].strip() for line in levers.splitlines()[3:]}
    assert (tmp_path / "levers.png").stat().st_size > 5_000


@pytest.mark.slow
def test_duplicates_experiment_writes_its_results(tmp_path: Path, repository: Path) -> None:
    """The quick form has every method, the table with the classes of hard negatives, and both figures."""
    command = [str(repository / "experiments/duplicates/run.py"), "--quick", "--into", str(tmp_path)]
    subprocess.run([sys.executable, *command], check=True, capture_output=True, timeout=300)
    results = pl.read_csv(tmp_path / "results.csv")
    assert results["method"].n_unique() == 17
    assert results["recall"].is_between(0, 1).all()
    table = (tmp_path / "table.md").read_text()
    assert "| 200 | embeddings + judge |" in table
    assert "negation" in table
    for figure in ("curves-200.png", "growth.png"):
        assert (tmp_path / figure).stat().st_size > 5_000


def test_earlier_timings_fit_is_least_squares() -> None:
    """Set-up and slope come from the sequential column alone: by hand 25.49 s and 1.4085 s per session."""
    path = Path(__file__).parent.parent / "experiments" / "earlier_timings" / "run.py"
    spec = importlib.util.spec_from_file_location("earlier_timings", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.fitted() == pytest.approx((25.49, 1.4085), rel=1e-3)


@pytest.mark.slow
def test_earlier_timings_are_predicted(tmp_path: Path, repository: Path) -> None:
    """Three seeds are enough to see that the prediction for 100 sessions holds (the command fails else)."""
    command = [
        str(repository / "experiments/earlier_timings/run.py"),
        "--seeds",
        "3",
        "--into",
        str(tmp_path),
    ]
    subprocess.run([sys.executable, *command], check=True, capture_output=True, timeout=300)
    assert (tmp_path / "table.md").read_text().count("\n| ") == 6
    assert (tmp_path / "timings.png").stat().st_size > 5_000
