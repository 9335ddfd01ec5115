"""Sweeps, as a person starts them: laid out, worked on once, taken up again, summed up."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
import pytest
import yaml

from autoanalyze.analysis.configuration import point_folder
from autoanalyze.cli.commands import main
from autoanalyze.laboratory.points import ended_points
from autoanalyze.study.runs import load_run

pytestmark = pytest.mark.slow  # whole runs and commands

SMALL = ("data.count=30", "data.population=60", "baseline=none", "resamples=2")
HERE = "hydra.sweep.dir=sweep"
Command = Callable[..., int]


@pytest.fixture
def sweep(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Runs `autoanalyze run -m ...` on few sessions in a folder of the test's own; the exit code."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, first: Sequence[str] = ("run", "-m", *SMALL, HERE)) -> int:
        monkeypatch.setattr("sys.argv", ["autoanalyze", *first, *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    return run


def statuses(folder: Path = Path("sweep")) -> list[str]:
    return [outcome.status for outcome in ended_points(folder)]


def test_every_combination_is_a_run_folder_of_its_own(sweep: Command) -> None:
    """Two settings with two values each are four runs, named after what was set, each with Hydra's files."""
    assert sweep("parallel.streams=2,4", "seed=1,2") == 0
    folders = [Path(outcome.folder) for outcome in ended_points(Path("sweep"))]
    assert len(set(folders)) == 4
    for folder, outcome in zip(folders, ended_points(Path("sweep")), strict=True):
        run = load_run(folder)
        assert run.record["config"]["parallel"]["streams"] == outcome.settings["parallel.streams"]
        assert run.record["seed"] == outcome.settings["seed"]
        assert f"parallel.streams={outcome.settings['parallel.streams']}" in folder.name
        overrides = yaml.safe_load((folder / ".hydra" / "overrides.yaml").read_text())
        assert f"seed={outcome.settings['seed']}" in overrides


def test_points_leave_a_page_only_when_told(sweep: Command) -> None:
    """Who reads a sweep reads its table; the points are the same ones either way."""
    assert sweep("seed=1") == 0
    assert list(Path("sweep").rglob("report.html")) == []
    assert sweep("seed=2", "page=true") == 0
    assert len(list(Path("sweep").rglob("report.html"))) == 1
    assert sweep("seed=1", "page=true") == 0
    assert statuses() == ["kept"]


def test_results_have_a_row_per_run_and_field(sweep: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """Table, figure and provenance lie in the sweep's folder, and the table is shown."""
    assert sweep("parallel.streams=2,4", "seed=1,2") == 0
    results = pl.read_parquet("sweep/results.parquet")
    assert results.group_by("parallel.streams", "seed").len()["len"].to_list() == [3] * 4
    assert set(results["field"]) == {"general_intent", "transfer_reason", "drop_off_location"}
    told = json.loads(Path("sweep/provenance.json").read_text())
    assert told["runs"] == 4
    assert told["command"].startswith("autoanalyze run -m data.count=30")
    table = Path("sweep/table.md").read_text()
    assert table.count("\n| ") == 3  # the rule and two rows: seeds are averaged over
    assert Path("sweep/figure.png").stat().st_size > 5_000
    assert "4 points: 4 done, 0 there already, 0 failed" in capsys.readouterr().out


def test_finished_points_are_skipped(sweep: Command) -> None:
    """Started again in the same place, a sweep works only on what is new, and reports on all of it."""
    assert sweep("parallel.streams=2,4") == 0
    before = {path: path.read_bytes() for path in Path("sweep").glob("*/run.json")}
    assert sweep("parallel.streams=2,4,8") == 0
    assert statuses() == ["kept", "kept", "done"]
    assert all(path.read_bytes() == content for path, content in before.items())
    assert len(pl.read_parquet("sweep/results.parquet")) == 9


def test_another_configuration_is_another_point(sweep: Command) -> None:
    """What changes a run is never mistaken for one that is there; what only names or reports it is."""
    assert sweep("seed=1", "noise.reuse=0.97,0.9") == 0
    assert sweep("seed=1", "noise.reuse=0.8") == 0
    assert statuses() == ["done"]
    assert sweep("seed=1", "noise.reuse=0.97", "report.question=Why?", "confirm_above_usd=9") == 0
    assert statuses() == ["kept"]


def test_bundled_seeds_are_the_same_points(sweep: Command) -> None:
    """Whether seeds share a job or have jobs of their own, their folders and results are the same."""
    assert sweep("seed=1,2,3", "hydra.sweeper.bundle=2") == 0
    first = pl.read_parquet("sweep/results.parquet")
    assert [(o.job, o.position) for o in ended_points(Path("sweep"))] == [(0, 0), (0, 1), (1, 0)]
    assert sweep("seed=1,2,3") == 0
    assert statuses() == ["kept"] * 3
    assert pl.read_parquet("sweep/results.parquet").equals(first)


def test_a_failing_point_is_listed_and_retried(sweep: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """One point that cannot be worked on ends neither the sweep nor its report; later it is tried again."""
    assert sweep("seed=1", "data.source=synthetic,store", "data.path=later.duckdb") == 1
    assert statuses() == ["done", "failed"]
    told, said = capsys.readouterr()
    assert "2 points: 1 done, 0 there already, 1 failed" in told
    assert "1 of the points failed" in said
    assert "data.source=store" in said
    assert "autoanalyze import" in said
    assert len(pl.read_parquet("sweep/results.parquet")) == 3
    write_store(Path("later.duckdb"), sweep)
    assert sweep("seed=1", "data.source=synthetic,store", "data.path=later.duckdb") == 0


def write_store(path: Path, sweep: Command) -> None:
    rows = ["session_id,role,text,true_general_intent"]
    for number in range(60):
        kind = ("Billing Question", "Password Reset", "Order Status")[number % 3]
        rows += [f"c{number},user,hello {number} my {kind.lower()},{kind}", f"c{number},bot,sure,{kind}"]
    Path("sessions.csv").write_text("\n".join(rows) + "\n")
    assert sweep("sessions.csv", "--into", str(path), first=("import",)) == 0


def test_a_run_that_failed_half_way_goes_on(sweep: Command) -> None:
    """A point whose endpoint went away is taken up from its journal, and ends as an undisturbed one."""
    gone = ("seed=1", "faults.gone_after=4", "retry.call_attempts=1")
    assert sweep(*gone) == 1
    (outcome,) = ended_points(Path("sweep"))
    assert outcome.status == "failed"
    answered = (Path(outcome.folder) / "calls.jsonl").read_text().count('"event":"answered"')
    assert sweep(*gone) == 1
    assert (Path(outcome.folder) / "calls.jsonl").read_text().count('"event":"answered"') >= answered
    assert json.loads((Path(outcome.folder) / "run.json").read_text())["resumed"] == 1


def test_a_killed_run_is_taken_up(sweep: Command) -> None:
    """A folder in which a process died is no obstacle, whatever it had written."""
    assert sweep("seed=1,2") == 0
    first, second = (Path(outcome.folder) for outcome in ended_points(Path("sweep")))
    whole = (first / "sessions.parquet").read_bytes()
    (first / "run.json").unlink()
    for folder in (first, second):
        (folder / "progress.json").write_text('{"status": "running"}')
    record = json.loads((second / "run.json").read_text())
    (second / "run.json").write_text(json.dumps({**record, "status": "running"}))
    assert sweep("seed=1,2") == 0
    assert statuses() == ["done", "done"]
    assert (first / "sessions.parquet").read_bytes() == whole


def test_misspelt_keys_and_cases_are_said_before_anything_runs(
    sweep: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    """A sweep over a setting that there is not, or a value that makes no sense, starts no run."""
    for arguments, message in (
        (["parallel.steams=2,4"], "did you mean parallel.streams"),
        (["parallel.streams=2,999"], "1 to 256"),
        (["report.mesures=[consistency]"], "did you mean report.measures"),
    ):
        assert sweep(*arguments) == 2
        assert message in capsys.readouterr().err
    assert not Path("sweep").exists()


def test_command_line_stands_before_the_file(sweep: Command) -> None:
    """One value changed on the command line changes it in an experiment, and `case=` chooses among cases."""
    experiment = ("run", "experiment=discovery", "quick=true", HERE, *SMALL, "hydra/launcher=basic")
    assert sweep("case=adaptive,sequential", "seed=3", first=experiment) == 0
    results = pl.read_parquet("sweep/results.parquet")
    assert set(results["case"]) == {"adaptive", "sequential"}
    assert set(results["seed"]) == {3}
    assert results.filter(case="sequential")["speedup"].unique().to_list() == [1.0]


def test_unknown_case_is_an_error_with_a_suggestion(
    sweep: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    """A case that the experiment does not have."""
    assert sweep("case=adaptve", first=("run", "experiment=discovery", HERE)) == 2
    assert "did you mean adaptive" in capsys.readouterr().err


@pytest.mark.slow
def test_joblib_gives_what_the_basic_launcher_gives(sweep: Command) -> None:
    """Processes side by side change neither results nor their order."""
    arguments = ("parallel.streams=2,4", "seed=1,2")
    assert sweep(*arguments) == 0
    alone = pl.read_parquet("sweep/results.parquet")
    shutil.rmtree("sweep")
    assert sweep(*arguments, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2") == 0
    assert pl.read_parquet("sweep/results.parquet").equals(alone)


def test_live_sweep_asks_for_its_whole_cost(
    sweep: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script must agree to what all runs of a live sweep may cost together, before any of them starts."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    live = (
        "endpoint=http://127.0.0.1:9/v1",
        "token_counter=estimate",
        "seed=1,2,3",
        "confirm_above_usd=0.0001",
    )
    assert sweep(*live) == 2
    assert "These 3 runs together may cost up to" in capsys.readouterr().err
    assert not Path("sweep").exists()


def test_what_else_is_swept_is_no_average(sweep: Command) -> None:
    """A setting that the report does not name tells rows of the table apart all the same, and a baseline
    that was run twice is paired by it."""
    experiment = ("run", "experiment=discovery", "quick=true", HERE, *SMALL, "hydra/launcher=basic")
    assert sweep("case=adaptive,sequential", "seed=1,2", "noise.reuse=0.9,0.5", first=experiment) == 0
    results = pl.read_parquet("sweep/results.parquet")
    assert len(results) == 2 * 2 * 2 * 3
    assert results.filter(case="sequential")["speedup"].unique().to_list() == [1.0]
    assert "| sequential | 0.5 |" in Path("sweep/table.md").read_text()


def test_a_point_that_is_asked_for_twice_is_one_run(sweep: Command) -> None:
    """Neither the table nor its intervals know it twice."""
    assert sweep("seed=1,1,2") == 0
    assert pl.read_parquet("sweep/results.parquet").filter(field="general_intent")["seed"].to_list() == [1, 2]


def test_a_finished_run_whose_files_are_gone_is_made_again(sweep: Command) -> None:
    """A damaged point is not kept for ever."""
    assert sweep("seed=1") == 0
    (outcome,) = ended_points(Path("sweep"))
    whole = (Path(outcome.folder) / "sessions.parquet").read_bytes()
    for name in ("calls.jsonl", "sessions.parquet"):
        (Path(outcome.folder) / name).unlink()
    assert sweep("seed=1") == 0
    assert statuses() == ["done"]
    assert (Path(outcome.folder) / "sessions.parquet").read_bytes() == whole


def test_a_reviewed_run_is_not_taken_for_its_configuration(
    sweep: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    """Someone undid a merge in it: its labels are no longer what its settings give."""
    assert sweep("seed=1", "data.count=60") == 0
    (outcome,) = ended_points(Path("sweep"))
    assert sweep(outcome.folder, "--undo", "1", first=("merges",)) == 0
    assert sweep("seed=1", "data.count=60") == 1
    assert "edited since" in capsys.readouterr().err


def test_earlier_runs_and_addresses_make_other_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a configuration only names is part of what it does."""
    record = tmp_path / "run" / "run.json"
    record.parent.mkdir()
    record.write_text("{}")
    carrying = {"vocabulary": {"from_run": str(record.parent)}, "endpoint": "openai"}
    names = {point_folder(carrying, [])}
    record.write_text('{"other": 1}')
    names.add(point_folder(carrying, []))
    monkeypatch.setenv("OPENAI_BASE_URL", "http://elsewhere/v1")
    names.add(point_folder(carrying, []))
    assert len(names) == 3


def test_folder_names_fit_any_file_system() -> None:
    """However long the settings are, and in whatever script."""
    assert len(point_folder({}, [f"context={'é漢' * 200}"]).encode()) <= 255


def test_cases_may_have_any_name(sweep: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """Percent signs and apostrophes are no trouble."""
    basic = ("quick=true", "hydra/launcher=basic", "seed=1")
    experiment = ("run", "experiment=discovery", HERE, *SMALL, *basic)
    assert sweep("case=5 %", first=experiment) == 0
    assert sweep('case="design\'s bounds"', first=experiment) == 0
    assert sweep("case=design's bounds", first=experiment) == 2
    assert "in quotes" in capsys.readouterr().err


def test_planted_labels_are_swept_too(sweep: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """Runs of data=labels have figures of their own, are kept when they are there, and are no sessions."""
    labels = ("data=labels", "data.count=20", "seed=1,2")
    first = ("run", "-m", HERE, "report.measures=[pair_precision,recall]")
    assert sweep(*labels, first=first) == 0
    assert sweep(*labels, first=first) == 0
    assert statuses() == ["kept", "kept"]
    results = pl.read_parquet("sweep/results.parquet")
    assert results["recall"].is_between(0, 1).all()
    assert sweep("sweep", first=("runs",)) == 0
    assert "has no sessions" in capsys.readouterr().err


@pytest.mark.slow
def test_an_interrupted_sweep_says_so_and_goes_on(tmp_path: Path) -> None:
    """Ctrl-C ends the whole sweep, with exit code 3; started again, it takes up what was begun."""
    point = ("data.count=800", "seed=1,2", "baseline=none", "resamples=0", "hydra/launcher=joblib")
    command = [sys.executable, "-m", "autoanalyze", "run", "-m", HERE, *point]
    pipe = subprocess.PIPE
    sweeping = subprocess.Popen(
        command, cwd=tmp_path, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 300
    while not any(path.stat().st_size > 8_000 for path in tmp_path.glob("sweep/*/calls.jsonl")):
        assert time.monotonic() < deadline
        assert sweeping.poll() is None, sweeping.communicate()[1]
        time.sleep(0.05)
    os.killpg(sweeping.pid, signal.SIGINT)  # as a terminal does
    _, errors = sweeping.communicate(timeout=120)
    assert sweeping.returncode == 3, errors
    assert "start it again to go on" in errors
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert {outcome.status for outcome in ended_points(tmp_path / "sweep")} <= {"done", "kept"}
    resumed = [json.loads(path.read_text())["resumed"] for path in tmp_path.glob("sweep/*/run.json")]
    assert max(resumed) == 1


def test_settings_that_came_to_the_same_are_named(
    sweep: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the reason, below the table in the terminal, which fits, and below the one in Markdown."""
    monkeypatch.setenv("COLUMNS", "80")
    assert sweep("discovery.percentage=5,15,60", "discovery.min_sessions=10") == 0
    note = "discovery.percentage=5.0 and discovery.percentage=15.0 came to the same runs: discovery takes 10"
    shown = capsys.readouterr().out
    assert note in " ".join(shown.split())
    assert "by discovery.min_sessions" in Path("sweep/table.md").read_text()
    assert "60.0 came" not in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= 80
