"""Experiments run from their committed command; here in a form of seconds."""

from __future__ import annotations

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
