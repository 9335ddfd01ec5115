"""The race for the cheapest and the fastest settings, from the command to its conclusion."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from autoanalyze.cli.commands import main
from autoanalyze.config import ReportConfig
from autoanalyze.laboratory.frontier import Frontier
from autoanalyze.laboratory.points import EndedPoint, ended_points
from autoanalyze.study.racing import bounds_of

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


def fresh(setting: str, *, consistency: float, seconds: float = 10) -> list[EndedPoint]:
    """Five more runs that took no part in the race."""
    return [outcome(setting, seed, consistency=consistency, seconds=seconds) for seed in range(1001, 1006)]


def test_the_conclusion_rests_on_fresh_seeds() -> None:
    """The winner is named with what it holds where luck had no part in choosing it."""
    assert [s.setting for s in frontier(*GOOD, *WEAK).best] == [("good",)]
    assert "with fresh seeds it -" in frontier(*GOOD, *WEAK).conclusion()
    told = frontier(*GOOD, *WEAK, *fresh("good", consistency=0.97))
    assert "case=good" in told.conclusion()
    assert "holds: at least 1.0" in told.conclusion()
    assert {line[0] for line in told.table()[1]} == {"1 cheapest and fastest", "misses the target"}


def test_who_fails_on_fresh_seeds_falls_off() -> None:
    """It is no winner any more, and is said to have been one; nothing that it beat takes its place."""
    beaten = [outcome("beaten", seed, consistency=0.97, seconds=20) for seed in range(1, 6)]
    told = frontier(*GOOD, *WEAK, *beaten, *fresh("good", consistency=-0.2))
    assert told.kept == []
    assert [line[0] for line in told.table()[1]] == ["fell off", "misses the target", "beaten"]
    assert "No setting that held in the race holds with fresh seeds too" in told.conclusion()
    assert "Fell off, and nothing takes its place: case=good (may miss: at least -0.1" in told.conclusion()
    assert "Cheapest" not in told.conclusion()
    assert told.figure() is not None


def priced(setting: str, seconds: float, cost: float, seeds: range, consistency: float) -> list[EndedPoint]:
    return [
        replace(point, rows=({**point.rows[0], "cost_per_1000": cost},))
        for point in (outcome(setting, seed, consistency=consistency, seconds=seconds) for seed in seeds)
    ]


def test_all_on_the_frontier_are_confirmed() -> None:
    """Also what lies between the cheapest and the fastest; who was not run again is not confirmed."""
    places = {"cheap": (30, 1), "middle": (20, 2), "fast": (10, 3), "fastest": (5, 4)}
    raced = [p for n, (s, c) in places.items() for p in priced(n, s, c, range(1, 6), 0.97)]
    again = {"cheap": -0.2, "middle": 0.97, "fast": 0.97}
    later = [p for n, v in again.items() for p in priced(n, *places[n], range(1001, 1006), v)]
    assert [s.setting[0] for s in frontier(*raced).kept] == list(places)
    told = frontier(*raced, *later)
    assert [s.setting[0] for s in told.kept] == ["middle", "fast"]
    verdicts = {line[1]: line[0] for line in told.table()[1]}
    assert verdicts == {
        "middle": "1 cheapest",
        "fast": "2 fastest",
        "cheap": "fell off",
        "fastest": "not confirmed",
    }
    assert told.conclusion().count("case=middle") == told.conclusion().count("case=cheap") == 1


def test_confirming_many_asks_more_of_each() -> None:
    """With four on the frontier each has to hold at 98.75 %, so that all four are right at 95 %."""
    places = {"a": (30, 1), "b": (20, 2), "c": (10, 3), "d": (5, 4)}
    raced = [p for n, (s, c) in places.items() for p in priced(n, s, c, range(1, 6), 0.97)]
    told = frontier(*raced, *priced("a", 30, 1, range(1001, 1006), 0.97))
    values = [0.97 + 0.0001 * seed for seed in range(1001, 1006)]
    assert told.fresh["a",].low["consistency"] == pytest.approx(bounds_of(np.array(values), 0.9875)[0])


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
