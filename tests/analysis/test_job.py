"""Job: a run as a value that any executor can take, with the runs inside it."""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest
from fakes import small_config

from autoanalyze.analysis.build import build_analysis
from autoanalyze.analysis.folder import RunFolder
from autoanalyze.analysis.job import Job
from autoanalyze.analysis.progress import Progress, ProgressTracker
from autoanalyze.errors import BudgetExceededError, CancelledRunError, RunFolderError
from autoanalyze.study.runs import load_run

TABLES = ("sessions", "labels", "merges", "rounds")
QUICK = {"baseline": "none", "resamples": "0"}


def events(folder: Path, event: str) -> list[dict[str, object]]:
    """The lines of a journal that tell of one kind of event."""
    lines = (folder / "calls.jsonl").read_text(encoding="utf-8").splitlines()
    return [line for line in map(json.loads, lines) if line["event"] == event]


def test_a_baseline_meets_none_of_the_faults_of_its_run(tmp_path: Path) -> None:
    """What a run is compared with is made by an endpoint that works, as its record says."""
    config = small_config(resamples="0", **{"faults.rate": "0.3"})
    Job.begin(config, tmp_path / "run").run()
    calm = small_config(resamples="0")
    Job.begin(calm, tmp_path / "calm").run()
    baseline = tmp_path / "run" / "baseline"
    assert events(tmp_path / "run", "failed")
    assert not events(baseline, "failed")
    assert load_run(baseline).record["config"]["faults"]["rate"] == 0.0
    for table in TABLES:
        expected = (tmp_path / "calm" / "baseline" / f"{table}.parquet").read_bytes()
        assert (baseline / f"{table}.parquet").read_bytes() == expected


def test_a_job_can_be_sent_elsewhere(tmp_path: Path) -> None:
    """A pickled job does what the job would have done."""
    config = small_config(**QUICK)
    here = Job.begin(config, tmp_path / "here")
    there = pickle.loads(pickle.dumps(Job.begin(config, tmp_path / "there")))
    for job in (here, there):
        job.run()
    for table in TABLES:
        assert (tmp_path / "here" / f"{table}.parquet").read_bytes() == (
            tmp_path / "there" / f"{table}.parquet"
        ).read_bytes()


@pytest.mark.slow
def test_an_executor_of_processes_works_on_jobs_and_tells_progress(tmp_path: Path) -> None:
    """Progress of work in another process is read from the run folder, relative paths and all."""
    seen: list[Progress] = []
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        analysis = build_analysis(small_config(**QUICK), executor=executor, listener=seen.append)
        run = analysis.run_sync("run")
    assert run.record["sessions"]["labelled"] == 60
    assert seen[-1].status == "done"
    assert run.path.is_absolute()


def test_a_job_that_another_worker_died_over_goes_on(tmp_path: Path) -> None:
    """A job without a record finds what was begun in its folder, and asks for none of it again."""
    config = small_config(**QUICK)
    job = Job.begin(replace(config, budget_usd=0.003), tmp_path / "run")
    with pytest.raises(BudgetExceededError):
        job.run()
    answered = len(events(job.folder, "answered"))
    replace(job, config=config).run()
    record = load_run(job.folder).record
    assert answered
    assert record["resumed"] == 1
    assert record["id"] == job.run_id
    requests = [line["request"] for line in events(job.folder, "answered")]
    assert len(set(requests)) == len(requests)


def test_what_is_done_or_going_on_is_not_resumed(tmp_path: Path) -> None:
    """A finished run has nothing left, and a busy one has its worker."""
    config = small_config(**QUICK)
    Job.begin(config, tmp_path / "run").run()
    with pytest.raises(RunFolderError, match="nothing to resume"):
        Job.resume(config, tmp_path / "run")
    going = Job.begin(config, tmp_path / "going")
    RunFolder(going.folder).write_json("run.json", {"id": "x", "status": "running"})
    with RunFolder(going.folder).locked(), pytest.raises(RunFolderError, match="going on"):
        Job.resume(config, going.folder)


def test_cancelling_during_the_baseline_advises_to_resume_the_run(tmp_path: Path) -> None:
    """The advice names the run that a person started, and resuming it asks for nothing twice."""
    config = small_config(resamples="0")
    job = Job.begin(config, tmp_path / "run")
    folder = RunFolder(job.folder)

    def stop(progress: Progress) -> None:
        if progress.phase == "baseline" and progress.step > 10:
            folder.request_cancel()

    with pytest.raises(CancelledRunError, match=r"resume \S*run`"):
        job.run(ProgressTracker(folder, stop))
    answered = len(events(job.folder, "answered"))
    Job.resume(config, job.folder).run()
    record = load_run(job.folder).record
    assert record["speedup"] > 1
    assert record["paid"]["calls"] == answered


def test_the_budget_is_one_for_all_repetitions(tmp_path: Path) -> None:
    """What earlier repetitions spent is not there for later ones."""
    once = small_config(**QUICK)
    Job.begin(once, tmp_path / "once").run()
    cost = load_run(tmp_path / "once").record["cost_usd"]
    thrice = replace(once, repeat=3, budget_usd=2.5 * cost)
    with pytest.raises(BudgetExceededError):
        Job.begin(thrice, tmp_path / "thrice").run()
    paid = sum(
        line["cost_usd"]  # type: ignore[misc]  # numbers, as JSON has them
        for path in (tmp_path / "thrice").rglob("calls.jsonl")
        for line in events(path.parent, "answered")
    )
    assert paid <= 2.5 * cost
