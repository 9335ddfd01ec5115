"""The race for the cheapest and the fastest settings, from the command to its conclusion."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from autoanalyze.cli.commands import main
from autoanalyze.config import ReportConfig
from autoanalyze.laboratory.frontier import Frontier
from autoanalyze.laboratory.points import EndedPoint, ended_points

SMALL = ("quick=true", "data.count=30", "hydra/launcher=basic", "hydra.sweep.dir=race", "case=default")


def race(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["autoanalyze", "frontier", *SMALL, *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def outcome(
    setting: str, seed: int, *, consistency: float, seconds: float, field: str = "intent"
) -> EndedPoint:
    row = {
        "field": field,
        "consistency": consistency + 0.0001 * seed,
        "precision": 0.99,
        "model_seconds": seconds + 0.01 * (seed % 3),
        "cost_per_1000": seconds,
    }
    settings = {"case": setting, "seed": seed}
    return EndedPoint(ord(setting[0]), seed, settings, f"{setting}-{seed}-{field}", "done", rows=(row,))


def frontier(*ended: EndedPoint) -> Frontier:
    return Frontier(ReportConfig(rows=["case"]), ended, target=0.95, confidence=0.95, confirming_from=1001)


GOOD = [outcome("good", seed, consistency=0.97, seconds=10) for seed in range(1, 6)]
WEAK = [outcome("weak", seed, consistency=0.90, seconds=1) for seed in range(1, 6)]


def test_the_conclusion_rests_on_fresh_seeds() -> None:
    """The winner is named with what it holds where luck had no part in choosing it."""
    lucky = [outcome("good", seed, consistency=0.80, seconds=10) for seed in range(1001, 1006)]
    assert [s.setting for s in frontier(*GOOD, *WEAK).best] == [("good",)]
    assert "may miss" in frontier(*GOOD, *WEAK, *lucky).conclusion()
    sure = [outcome("good", seed, consistency=0.97, seconds=10) for seed in range(1001, 1006)]
    told = frontier(*GOOD, *WEAK, *sure)
    assert "case=good" in told.conclusion()
    assert "holds: at least 1.0" in told.conclusion()
    assert {line[0] for line in told.table()[1]} == {"1 cheapest and fastest", "misses the target"}


def test_fresh_seeds_change_nothing_in_the_race() -> None:
    """They only say what the winners are worth."""
    fresh = [outcome("weak", seed, consistency=0.99, seconds=1) for seed in range(1001, 1011)]
    assert [s.setting for s in frontier(*GOOD, *WEAK, *fresh).best] == [("good",)]


def test_one_label_field_is_raced_for() -> None:
    """Rows of another field of the same runs are neither more seeds nor other results."""
    other = [outcome("good", seed, consistency=0.1, seconds=10, field="reason") for seed in range(1, 6)]
    (standing,) = frontier(*GOOD, *other).standings
    assert standing.seeds == 5
    assert standing.holds(0.95)


def test_a_race_without_results_has_no_winner() -> None:
    """Nothing is made up when all points failed."""
    nothing = frontier(EndedPoint(0, 0, {"case": "a", "seed": 1}, "a", "failed", "why"))
    assert (nothing.alive, nothing.best, nothing.figure()) == ([], [], None)
    assert "No setting holds" in nothing.conclusion()


@pytest.mark.slow
def test_race_gives_seeds_to_those_that_may_win(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every setting runs with the first seeds, none with the same seed twice, and winners with fresh ones;
    numbers written otherwise on the command line are the same settings."""
    monkeypatch.chdir(tmp_path)
    settings = (
        "parallel.streams=2,4",
        "batch_size=10",
        "discovery.collisions=20,200",
        "seed=7",
        "resamples=0",
    )
    assert race(monkeypatch, *settings, "--target", "0.3") == 0
    ended = ended_points(Path("race"))
    counted = Counter((o.settings["parallel.streams"], o.settings["discovery.collisions"]) for o in ended)
    assert set(counted) == {(2, 20.0), (2, 200.0), (4, 20.0), (4, 200.0)}
    assert len({(o.folder) for o in ended}) == len(ended)
    assert any(o.settings["seed"] >= 1001 for o in ended)
    results = pl.read_parquet("race/results.parquet")
    assert (
        results.group_by("parallel.streams", "discovery.collisions", "seed", "field").len()["len"].max() == 1
    )
    assert "Fastest:" in capsys.readouterr().out


def test_live_race_asks_for_all_it_may_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Settings times all heats and the fresh seeds, before the first call."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    live = ("endpoint=http://127.0.0.1:9/v1", "token_counter=estimate", "confirm_above_usd=0.0001")
    assert race(monkeypatch, *live, "parallel.streams=2,4", "batch_size=10") == 2
    assert "These 80 runs together may cost up to" in capsys.readouterr().err
