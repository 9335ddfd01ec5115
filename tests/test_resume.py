"""Nothing lost, nothing paid twice: stopping, resuming, replaying, reusing, and many at once."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from fakes import small_config
from hypothesis import given, settings
from hypothesis import strategies as st

from autoanalyze.analysis import job
from autoanalyze.analysis.build import build_analysis, build_plan, import_sessions
from autoanalyze.analysis.configuration import compose, restored
from autoanalyze.analysis.endpoints import in_process
from autoanalyze.analysis.folder import RunFolder
from autoanalyze.analysis.progress import Progress
from autoanalyze.config import Config, FaultsConfig, JournalConfig
from autoanalyze.errors import (
    BudgetExceededError,
    CancelledRunError,
    ConfigurationError,
    EndpointGoneError,
    JournalError,
    QuotaExceededError,
    RunFolderError,
    StoppedRunError,
)
from autoanalyze.llm.calls import Endpoint
from autoanalyze.serving.app import ServedEndpoint
from autoanalyze.serving.faults import FaultInjector
from autoanalyze.study.runs import Run, load_run

TABLES = ("sessions", "labels", "merges", "rounds", "truth")


@pytest.fixture(scope="module")
def config() -> Config:
    """A small run without a baseline; its labels are embedded and asked about in questions."""
    asking = {"resolution.shown_together": "0", "resolution.every_labels": "30"}
    return small_config(baseline="none", resamples="10", **asking)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory, config: Config) -> Run:
    """The undisturbed run that others are compared with."""
    return build_analysis(config).run_sync(tmp_path_factory.mktemp("calm") / "run")


def same_tables(one: Path, other: Path) -> list[str]:
    """Tables that differ in any byte."""
    return [t for t in TABLES if (one / f"{t}.parquet").read_bytes() != (other / f"{t}.parquet").read_bytes()]


def events(folder: Path, kind: str) -> list[str]:
    lines = (folder / "calls.jsonl").read_text(encoding="utf-8").splitlines()
    return [event["request"] for event in map(json.loads, lines) if event["event"] == kind]


@pytest.mark.slow
@settings(deadline=None, max_examples=8)
@given(stop=st.integers(0, 40), again=st.integers(0, 40))
def test_stopped_twice_and_resumed_is_as_if_undisturbed(
    calm: Run, config: Config, stop: int, again: int
) -> None:
    """Wherever the credit runs out, the resumed run ends with the same bytes and asks for nothing twice."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        for resume, after in ((False, stop), (True, again)):
            broke = replace(config, faults=FaultsConfig(quota_after=after))
            with suppress(QuotaExceededError):
                build_analysis(broke).run_sync(folder, resume=resume)
                break  # the credit was enough
            assert RunFolder(folder).status() == "stopped"
            partial = json.loads((folder / "run.json").read_text())["sessions"]
            assert partial["sampled"] == 60
        if RunFolder(folder).status() != "done":
            build_analysis(config).run_sync(folder, resume=True)
        assert same_tables(folder, calm.path) == []
        answered = events(folder, "answered")
        assert len(set(answered)) == len(answered)
        assert sorted(answered) == sorted(events(calm.path, "answered"))


def test_budget_is_a_hard_cap_and_a_larger_one_goes_on(tmp_path: Path, config: Config, calm: Run) -> None:
    """The run stops within its budget with what it has; with more it ends as if it had had it at once."""
    folder = tmp_path / "run"
    with pytest.raises(BudgetExceededError) as stopped:
        build_analysis(replace(config, budget_usd=0.003)).run_sync(folder)
    assert stopped.value.exit_code == 3
    record = json.loads((folder / "run.json").read_text())
    assert record["status"] == "stopped"
    assert 0 < record["paid"]["cost_usd"] + record["paid"]["uncertain_usd"] <= 0.003
    assert 0 < record["sessions"]["labelled"] < 60
    resumed = build_analysis(restored(record["config"], ["budget_usd=1"])).run_sync(folder, resume=True)
    assert same_tables(folder, calm.path) == []
    assert resumed.record["paid"]["calls"] == resumed.record["calls"] == calm.record["calls"]
    assert resumed.record["cost_usd"] == pytest.approx(resumed.record["paid"]["cost_usd"], abs=1e-6)
    assert resumed.record["resumed"] == 1


def test_resume_refuses_other_changes(config: Config, calm: Run) -> None:
    """Only budget and limits may change; what is done or going on is not resumed."""
    for override in ("parallel.streams=2", "seed=1", "budget_usd"):
        with pytest.raises(ConfigurationError, match="only budget_usd"):
            restored(calm.record["config"], [override])
    changed = restored(calm.record["config"], ["limits.tokens_per_minute=5000", "budget_usd=2"])
    assert (changed.limits.tokens_per_minute, changed.budget_usd) == (5000, 2.0)
    assert restored(calm.record["config"]) == config
    with pytest.raises(RunFolderError, match="nothing to resume"):
        build_analysis(config).resume_analysis(calm.path)
    with pytest.raises(RunFolderError, match="not the folder of a run"):
        build_analysis(config).resume_analysis(calm.path.parent / "nowhere")


def test_endpoint_that_is_gone_keeps_partial_results(tmp_path: Path, config: Config) -> None:
    """What was answered is in the tables; the rest is unresolved, with the error."""
    broken = replace(config, faults=FaultsConfig(gone_after=8))
    with pytest.raises(EndpointGoneError, match="resume"):
        build_analysis(broken).run_sync(tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert 0 < record["sessions"]["labelled"] < 60
    assert record["sessions"]["labelled"] + record["sessions"]["unresolved"] == 60


def never(*_: object, **__: object) -> None:
    """An endpoint that must not be asked."""
    raise AssertionError("the endpoint was contacted")


def test_replay_gives_the_same_without_an_endpoint(
    tmp_path: Path, config: Config, calm: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A strict replay of a journal has the same tables, pays nothing, and misses are errors."""
    replayed = replace(config, journal=JournalConfig("replay", [str(calm.path)]))
    with monkeypatch.context() as patched:
        patched.setattr(FaultInjector, "answer", never)
        run = build_analysis(replayed).run_sync(tmp_path / "run")
    assert same_tables(run.path, calm.path) == []
    assert run.record["paid"]["calls"] == 0
    assert run.record["cost_usd"] == calm.record["cost_usd"]
    with pytest.raises(JournalError, match="no journal holds"):
        build_analysis(replace(replayed, seed=8)).run_sync(tmp_path / "other")


@pytest.mark.slow
def test_sweep_pays_for_identical_calls_once(tmp_path: Path) -> None:
    """Another judge shares the labelling: its answers are taken over, and only the rest is paid."""
    config = small_config(baseline="none", resamples="10", resolution="llm")
    first = build_analysis(config).run_sync(tmp_path / "first")
    resolution = replace(config.resolution, opinions=5)
    other = replace(config, resolution=resolution, journal=JournalConfig("record", [str(first.path)]))
    run = build_analysis(other).run_sync(tmp_path / "run")
    alone = build_analysis(replace(config, resolution=resolution)).run_sync(tmp_path / "alone")
    assert 0 < run.record["paid"]["calls"] < alone.record["paid"]["calls"] / 2
    assert same_tables(run.path, alone.path) == []
    assert run.record["cost_usd"] == alone.record["cost_usd"]


@pytest.mark.slow
def test_live_run_without_barrier_is_taken_up_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In real time, where answers come when they come, a resumed run repeats the order that was recorded:
    every answer paid for is used, and a replay ends with the same labels."""
    quick = {"noise.first_token_seconds": "0.02", "noise.tokens_per_second": "1e5", "parallel.streams": "6"}
    config = small_config(
        baseline="none", resamples="10", **quick, **{"data.count": "150", "resolution.every_labels": "20"}
    )

    def live(config: Config, folder: Path, *, resume: bool = False) -> Run:
        return build_analysis(config).run_sync(folder, resume=resume)

    def in_real_time(served: ServedEndpoint) -> Endpoint:
        return replace(in_process(served), virtual_time=False)

    monkeypatch.setattr(job, "in_process", in_real_time)

    with pytest.raises(QuotaExceededError):
        live(replace(config, faults=FaultsConfig(quota_after=20)), tmp_path / "run")
    before = events(tmp_path / "run", "answered")
    assert len(before) >= 15
    run = live(config, tmp_path / "run", resume=True)
    answered = events(tmp_path / "run", "answered")
    assert len(set(answered)) == len(answered) == run.record["calls"], "something paid for was not used"
    replayed = live(replace(config, journal=JournalConfig("replay", [str(run.path)])), tmp_path / "again")
    assert replayed.sessions.drop("attempts").equals(run.sessions.drop("attempts"))
    assert replayed.merges.equals(run.merges)
    assert replayed.record["paid"]["calls"] == 0


@pytest.mark.slow
def test_replay_replays_repetitions_and_baseline(tmp_path: Path, config: Config) -> None:
    """Runs inside a run are replayed from those inside the recorded one: nothing is asked for again."""
    config = replace(config, repeat=2, baseline="run")
    run = build_analysis(config).run_sync(tmp_path / "run")
    again = replace(config, journal=JournalConfig("replay", [str(run.path)]))
    replayed = build_analysis(again).run_sync(tmp_path / "again")
    for inner in ("", "repeat-2", "baseline"):
        assert load_run(tmp_path / "again" / inner).record["paid"]["calls"] == 0, inner
    assert replayed.record["agreement"] == run.record["agreement"]
    assert replayed.record["speedup"] == run.record["speedup"]


def test_damaged_journal_is_refused(tmp_path: Path, config: Config) -> None:
    """A journal that somebody changed is not built upon."""
    folder = tmp_path / "run"
    with pytest.raises(StoppedRunError):
        build_analysis(replace(config, faults=FaultsConfig(quota_after=5))).run_sync(folder)
    path = folder / "calls.jsonl"
    path.write_text(path.read_text().replace('"event":"sent"', '"event":"lost"', 1))
    with pytest.raises(JournalError, match=r"calls\.jsonl:1"):
        build_analysis(config).run_sync(folder, resume=True)


def spawn(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """`autoanalyze` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "autoanalyze", *arguments],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


LONG = (
    "data.count=1200",
    "page=false",
    "hydra.run.dir=long",
    "baseline=none",
    "resamples=10",
    "parallel.sessions_per_stream=2",
)


@pytest.mark.slow
def test_run_is_watched_cancelled_and_killed_from_other_processes(tmp_path: Path) -> None:
    """Its status is read while it runs, cancel ends it with exit code 3, a kill shows as interrupted, and
    each time resume goes on."""
    folder = RunFolder(tmp_path / "long")
    process = spawn(tmp_path, "run", *LONG)
    wait_for(
        lambda: (
            (folder.path / "calls.jsonl").exists() and folder.read_json("progress.json").get("step", 0) > 20
        )
    )
    assert folder.status() == "running"
    with pytest.raises(RunFolderError, match="going on"):
        build_analysis(compose(LONG[:1])).resume_analysis(folder.path)
    assert spawn(tmp_path, "cancel", "long").wait(60) == 0
    assert process.wait(60) == 3
    assert folder.status() == "cancelled"
    paid = len(events(folder.path, "answered"))
    process = spawn(tmp_path, "resume", "long")
    wait_for(lambda: len(events(folder.path, "answered")) > paid + 20)
    process.kill()
    process.wait(60)
    assert folder.status() == "interrupted"
    assert spawn(tmp_path, "verify", "long").wait(60) == 0
    assert spawn(tmp_path, "resume", "long").wait(100) == 0
    answered = events(folder.path, "answered")
    assert len(set(answered)) == len(answered)
    assert load_run(folder.path).record["sessions"]["labelled"] == 1200


@pytest.mark.slow
def test_four_processes_share_one_store(tmp_path: Path) -> None:
    """Runs on the same session store do not disturb each other, and each gives what it gives alone."""
    lines = ["session_id,role,text,true_general_intent"]
    for number in range(60):
        kind = ("Billing Question", "Password Reset", "Order Status")[number % 3]
        lines += [f"c{number},user,hello {number} my {kind.lower()},{kind}", f"c{number},bot,sure,{kind}"]
    (tmp_path / "s.csv").write_text("\n".join(lines))
    import_sessions(tmp_path / "s.csv", tmp_path / "s.duckdb")
    shared = (
        "data=store",
        "data.path=s.duckdb",
        "discovery.min_sessions=10",
        "baseline=none",
        "resamples=10",
    )
    processes = [spawn(tmp_path, "run", *shared, f"hydra.run.dir=run{i}") for i in range(4)]
    assert [process.wait(120) for process in processes] == [0] * 4
    assert [same_tables(tmp_path / f"run{i}", tmp_path / "run0") for i in range(4)] == [[]] * 4


def test_cancel_takes_effect_within_a_second(tmp_path: Path, config: Config) -> None:
    """From the wish to the end of the last call there is at most a second on the run's clock."""
    folder = tmp_path / "run"
    asked: list[float] = []

    def impatient(progress: Progress) -> None:
        if progress.phase == "parallel" and progress.sessions_processed >= 15 and not asked:
            asked.append(progress.seconds)
            RunFolder(folder).request_cancel()

    with pytest.raises(CancelledRunError, match="resume"):
        build_analysis(config, listener=impatient).run_sync(folder)
    lines = (folder / "calls.jsonl").read_text(encoding="utf-8").splitlines()
    assert max(json.loads(line).get("end", 0) for line in lines) <= asked[0] + 1
    with pytest.raises(RunFolderError, match="cancelled"):
        load_run(folder)


def test_plan_is_near_what_happens_and_bounds_it(tmp_path: Path) -> None:
    """Calls are those of the run, cost and time are in its region, and the upper bound holds."""
    config = small_config(baseline="none", resamples="10")
    plan = build_plan(config)
    record = build_analysis(config).run_sync(tmp_path / "run").record
    assert plan.sessions == 60
    assert record["calls"] == pytest.approx(
        plan.calls, rel=0.25
    )  # how fast discovery ramps up is not known before
    assert plan.cost_upper_usd > record["cost_usd"]
    assert 0.5 < plan.cost_usd / record["cost_usd"] < 2
    assert 0.5 < plan.seconds / record["model_seconds"] < 2
    assert build_plan(replace(config, limits=compose(["limits=tier1"]).limits)).limit_seconds == 0


@pytest.mark.slow
def test_rate_limit_is_used_and_kept(tmp_path: Path) -> None:
    """At 200,000 tokens a minute and 32 streams: under 1 % of calls meet a 429, 90 % of the limit is used."""
    settings_ = ("data.count=3000", "parallel.streams=32", "limits=tier1", "baseline=none", "discovery=none")
    run = build_analysis(compose([*settings_, "resamples=10"])).run_sync(tmp_path / "run")
    assert run.record["failed_calls"] < 0.01 * run.record["calls"]
    parallel = run.calls.filter(run.calls["phase"] == "parallel")
    # After the first minute's allowance is used up, and before the last round, which few calls fill.
    before_last = parallel.filter(parallel["round"] < parallel["round"].max())
    steady = before_last.filter(before_last["start"] > 60)
    ends: list[float] = steady["end"].to_list()
    used = int((steady["prompt"] + steady["completion"]).sum())
    assert used / (max(ends) - 60) * 60 >= 0.9 * 200_000


def test_cancel_before_the_run_began_is_heard(tmp_path: Path, config: Config) -> None:
    """A wish to stop that comes right after the start is not lost, and resume forgets it."""
    analysis = build_analysis(config)
    run_id = analysis.start_analysis(tmp_path / "run")
    analysis.cancel_analysis(run_id)
    with pytest.raises(CancelledRunError):
        analysis.get_results(run_id)
    assert build_analysis(config).run_sync(tmp_path / "run", resume=True).record["status"] == "done"


@pytest.mark.parametrize("stop", [6, 19])
def test_a_codebook_is_written_once(tmp_path: Path, stop: int) -> None:
    """A run with codebook and themes that is stopped before it or at its end goes on as if undisturbed; a
    replay asks for nothing, and a link is undone like a merge."""
    levels = {"world": "granular", "vocabulary.codebook": "true", "vocabulary.themes": "true"}
    config = small_config(baseline="none", resamples="0", **levels)
    calm = build_analysis(config).run_sync(tmp_path / "calm")
    assert {"codebook", "themes"} <= set(calm.calls["kind"])
    assert set(calm.codebook["place"]) <= {"stays", "narrower", "unfit"}
    assert calm.codebook["line"].null_count() < len(calm.codebook)
    folder = tmp_path / "broken"
    with pytest.raises(QuotaExceededError):
        build_analysis(replace(config, faults=FaultsConfig(quota_after=stop))).run_sync(folder)
    build_analysis(config).run_sync(folder, resume=True)
    replayed = replace(config, journal=JournalConfig("replay", [str(calm.path)]))
    again = build_analysis(replayed).run_sync(tmp_path / "replayed")
    for other in (folder, again.path):
        assert same_tables(other, calm.path) == []
        assert (other / "codebook.parquet").read_bytes() == (calm.path / "codebook.parquet").read_bytes()
    assert len(set(events(folder, "answered"))) == len(events(folder, "answered"))
