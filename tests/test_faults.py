"""The fault campaign in a form of seconds; experiments/faults/campaign.py is the long one."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "experiments" / "faults"))

import campaign  # type: ignore[import-not-found]  # lies beside the experiment

pytestmark = pytest.mark.slow  # whole runs and commands


@pytest.mark.parametrize("seed", range(5_000, 5_012))
def test_no_invariant_breaks_under_faults(seed: int) -> None:
    """Whatever the endpoint does at this seed, what must hold of a run folder holds."""
    verdict = campaign.fault_run(seed)
    assert not verdict.problems, f".venv/bin/python experiments/faults/campaign.py --seed {seed}"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [5_000, 5_001])
def test_killed_runs_end_as_if_undisturbed(seed: int) -> None:
    """A process killed at random moments and resumed leaves the bytes of an undisturbed run."""
    verdict = campaign.kill_run(seed)
    assert not verdict.problems, f".venv/bin/python experiments/faults/campaign.py --kill-seed {seed}"


def test_a_broken_promise_is_found(tmp_path: Path) -> None:
    """The invariants can fail: a doubled row, a changed cost and a repeated call are all seen."""
    folder = tmp_path / "run"
    campaign.build_analysis(campaign.small()).run_sync(folder)
    assert campaign.broken(folder) == []
    sessions = pl.read_parquet(folder / "sessions.parquet")
    pl.concat([sessions, sessions.head(1)]).write_parquet(folder / "sessions.parquet")
    record = json.loads((folder / "run.json").read_text())
    record["paid"]["cost_usd"] += 1
    (folder / "run.json").write_text(json.dumps(record))
    problems = campaign.broken(folder)
    assert any("one row each" in problem for problem in problems)
    assert any("cost_usd" in problem for problem in problems)
