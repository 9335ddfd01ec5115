"""The service: a run from start to folder, watched, cancelled, repeated."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from fakes import small_config

from autoanalyze.analysis import job
from autoanalyze.analysis.build import build_analysis, transcripts
from autoanalyze.analysis.progress import Progress
from autoanalyze.analysis.service import ParallelAutoAnalyze
from autoanalyze.errors import CancelledRunError, ConfigurationError, ImportDataError, RunFolderError
from autoanalyze.serving.clock import VirtualClockLoop
from autoanalyze.study.runs import Run, load_run

TABLES = ("sessions", "labels", "merges", "rounds", "truth")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One small run that several tests look at."""
    return build_analysis(small_config()).run_sync(tmp_path_factory.mktemp("runs") / "one")


def comparable(record: dict[str, Any]) -> dict[str, Any]:
    """run.json without what may differ between two runs of the same thing."""
    return {key: value for key, value in record.items() if key not in ("id", "wall", "git")}


def test_same_seed_same_bytes(run: Run, tmp_path: Path) -> None:
    """A second run gives the same tables and journal to the byte, and the same figures."""
    again = build_analysis(small_config()).run_sync(tmp_path / "again")
    for name in (*(f"{table}.parquet" for table in TABLES), "calls.jsonl", "baseline/sessions.parquet"):
        assert (again.path / name).read_bytes() == (run.path / name).read_bytes(), name
    assert comparable(again.record) == comparable(run.record)


def test_another_seed_is_another_run(run: Run, tmp_path: Path) -> None:
    """The seed changes the sample and the model's draws."""
    other = build_analysis(small_config(seed="8", baseline="none")).run_sync(tmp_path / "other")
    assert set(other.sessions["session_id"]) != set(run.sessions["session_id"])


def test_every_sampled_session_has_one_row(run: Run) -> None:
    """Rows are sessions, labelled ones have an outcome, and nothing is lost or doubled."""
    sessions = run.sessions
    assert len(sessions) == sessions["session_id"].n_unique() == run.record["sessions"]["sampled"] == 60
    labelled = sessions.filter(pl.col("status") == "labelled")
    assert labelled["session_outcome"].null_count() == 0
    assert labelled["fallback_outcome"].null_count() == len(labelled)
    assert set(sessions["phase"]) == {"ramp", "parallel"}


def test_final_labels_are_first_labels_redirected(run: Run) -> None:
    """Merges turn first into final labels, the first are kept, and no canonical is an alias."""
    for field in ("general_intent", "transfer_reason", "drop_off_location"):
        merges = run.merges.filter((pl.col("field") == field) & pl.col("merged"))
        redirects = dict(zip(merges["alias"], merges["canonical"], strict=True))
        assert not set(redirects) & set(redirects.values())
        expected = [redirects.get(label, label) for label in run.sessions[f"{field}_first"]]
        assert run.sessions[field].to_list() == expected


def test_labels_count_their_sessions(run: Run) -> None:
    """The label table adds up to the sessions, before and after merging."""
    for field in ("general_intent", "transfer_reason"):
        labels = run.labels.filter(pl.col("field") == field)
        assert labels["sessions"].sum() == run.sessions[field].drop_nulls().len()
        assert labels["sessions_first"].sum() == run.sessions[f"{field}_first"].drop_nulls().len()
        assert labels.filter(pl.col("label") != pl.col("canonical"))["sessions"].sum() == 0


def test_record_adds_up_to_the_journal(run: Run) -> None:
    """Calls, tokens, cost and time of the record are those of the journal."""
    calls, record = run.calls, run.record
    assert record["calls"] == len(calls)
    assert record["tokens"] == {name: calls[name].sum() for name in record["tokens"]}
    assert set(record["tokens"]) == {"prompt", "cached", "completion", "embedded"}
    assert record["model_seconds"] == pytest.approx(calls["end"].max(), abs=0.01)
    fresh = record["tokens"]["prompt"] - record["tokens"]["cached"]
    cost = (fresh * 0.15 + record["tokens"]["cached"] * 0.075 + record["tokens"]["completion"] * 0.6) / 1e6
    cost += record["tokens"]["embedded"] * 0.02 / 1e6
    assert record["cost_usd"] == pytest.approx(cost, abs=1e-6)
    assert record["speedup"] == pytest.approx(
        record["baseline"]["model_seconds"] / record["model_seconds"], abs=1e-3
    )
    for call in run.calls.filter(pl.col("kind") == "analyze").iter_rows(named=True):
        assert 1 <= call["sessions"] <= 20


def test_reserved_cost_is_an_upper_bound(run: Run) -> None:
    """No call cost more than was reserved for it before it was sent."""
    lines = [json.loads(line) for line in (run.path / "calls.jsonl").read_text().splitlines()]
    reserved = {line["call"]: line["reserved_usd"] for line in lines if line["event"] == "sent"}
    for line in lines:
        if line["event"] == "answered":
            usage = line["usage"]
            assert (usage["prompt"] * 0.15 + usage["completion"] * 0.6) / 1e6 <= reserved[line["call"]] * 1.02


def test_baseline_is_sequential(run: Run) -> None:
    """The baseline labels the same sessions, one call after another, five at a time, without discovery."""
    baseline = load_run(run.path / "baseline")
    assert set(baseline.sessions["session_id"]) == set(run.sessions["session_id"])
    assert set(baseline.sessions["phase"]) == {"parallel"}
    labelling = baseline.calls.filter(pl.col("kind") == "analyze").sort("start")
    assert (labelling["start"][1:] >= labelling["end"][:-1]).all()
    assert baseline.record["baseline"] is None


def test_run_can_be_awaited_and_watched(tmp_path: Path) -> None:
    """`await` works inside a running loop; progress only moves forward and ends as done."""
    seen: list[Progress] = []
    analysis = build_analysis(small_config(baseline="none"), listener=seen.append)

    async def notebook_cell() -> Run:
        return await analysis.run(tmp_path / "awaited")

    result = asyncio.run(notebook_cell())
    assert result.record["status"] == "done"
    processed = [progress.sessions_processed for progress in seen]
    assert processed == sorted(processed)
    assert processed[-1] == 60
    phases = list(dict.fromkeys(progress.phase for progress in seen))
    assert phases == ["sampling", "preparing", "parallel", "second", "resolution", "measuring"]
    assert seen[-1].status == "done"
    assert sum(seen[-1].streams.values()) == 60
    assert json.loads((tmp_path / "awaited" / "progress.json").read_text())["status"] == "done"


def test_start_returns_at_once_and_results_are_asked_for(tmp_path: Path) -> None:
    """An id comes back; progress and results are had under it; an unknown id is an error."""
    analysis = build_analysis(small_config(baseline="none"))
    run_id = analysis.start_analysis(tmp_path / "started")
    assert analysis.get_results(run_id).record["id"] == run_id
    assert analysis.get_progress(run_id).status == "done"
    with pytest.raises(RunFolderError, match="no run 'nobody'"):
        analysis.get_progress("nobody")


def test_synchronous_door_works_inside_a_running_loop(tmp_path: Path) -> None:
    """As in a notebook's cell that does not await."""

    async def notebook_cell() -> Run:
        return build_analysis(small_config(baseline="none")).run_sync(tmp_path / "inside")

    assert asyncio.run(notebook_cell()).record["status"] == "done"


def test_progress_is_had_while_a_run_goes_on(tmp_path: Path) -> None:
    """Between start and end it can be asked for, and the analysis shows its runs as a table."""
    halfway, go_on = threading.Event(), threading.Event()

    def pause(progress: Progress) -> None:
        if progress.sessions_processed >= 20:
            halfway.set()
            go_on.wait()

    analysis = build_analysis(small_config(baseline="none"), listener=pause)
    run_id = analysis.start_analysis(tmp_path / "started")
    halfway.wait()
    try:
        progress = analysis.get_progress(run_id)
        assert (progress.status, progress.phase) == ("running", "parallel")
        assert 20 <= progress.sessions_processed <= 60
        assert f"{progress.sessions_processed} of 60 sessions" in progress._repr_html_()
        assert f"<td>{run_id}</td>" in analysis._repr_html_()
    finally:
        go_on.set()
    assert analysis.get_results(run_id).record["status"] == "done"


def test_clock_of_a_live_run_begins_with_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress counts from the run's start where the event loop's clock does not."""

    class Late(VirtualClockLoop):
        def time(self) -> float:
            return super().time() + 1e6

    seen: list[Progress] = []
    monkeypatch.setattr(job, "VirtualClockLoop", Late)
    analysis = build_analysis(small_config(baseline="none"), listener=seen.append)
    run = analysis.run_sync(tmp_path / "late")
    assert max(progress.seconds for progress in seen) == pytest.approx(run.record["model_seconds"], abs=0.01)


def test_resuming_needs_a_folder() -> None:
    """Through both doors."""
    analysis = build_analysis(small_config())
    with pytest.raises(RunFolderError, match="name the folder"):
        analysis.run_sync(resume=True)
    with pytest.raises(RunFolderError, match="name the folder"):
        asyncio.run(analysis.run(resume=True))


def test_cancelled_run_stops_and_says_so(tmp_path: Path) -> None:
    """Cancelling ends the run as cancelled, with its journal kept and nothing after it."""
    folder = tmp_path / "cancelled"
    analysis: ParallelAutoAnalyze
    holder: list[str] = []

    def impatient(progress: Progress) -> None:
        if progress.phase == "parallel" and progress.sessions_processed >= 20 and holder:
            analysis.cancel_analysis(holder[0])

    analysis = build_analysis(small_config(baseline="none"), listener=impatient, executor=Later())
    holder.append(analysis.start_analysis(folder))
    with pytest.raises(CancelledRunError):
        analysis.get_results(holder[0])
    assert json.loads((folder / "run.json").read_text())["status"] == "cancelled"
    assert analysis.get_progress(holder[0]).status == "cancelled"
    events = [json.loads(line) for line in (folder / "calls.jsonl").read_text().splitlines()]
    assert {event["event"] for event in events} >= {"sent", "answered", "failed"}
    assert sum(event["event"] == "sent" for event in events) == sum(
        event["event"] in ("answered", "failed") for event in events
    )
    with pytest.raises(RunFolderError, match="cancelled"):
        load_run(folder)


class Later(ThreadPoolExecutor):
    """An executor that works when it is asked for the result, so that the caller knows the id first."""

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **_named: Any) -> Any:
        """A future that does the work once somebody waits."""

        class Lazy(Future[Any]):
            def result(self, timeout: float | None = None) -> Any:
                return work(*arguments)

        return Lazy()


def test_folder_of_another_run_is_not_touched(run: Run) -> None:
    """A run never writes over another."""
    with pytest.raises(RunFolderError, match="holds a run already"):
        build_analysis(small_config()).start_analysis(run.path)


@pytest.mark.slow
def test_two_runs_in_one_process_do_not_disturb_each_other(tmp_path: Path, run: Run) -> None:
    """Started side by side, each gives what it gives alone."""
    analysis = build_analysis(small_config())
    ids = [analysis.start_analysis(tmp_path / name) for name in ("left", "right")]
    for run_id in ids:
        result = analysis.get_results(run_id)
        assert result.sessions.equals(run.sessions)


def test_live_run_without_a_key_says_what_to_set() -> None:
    """Asking for OpenAI without a key is a configuration error with the remedy."""
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        build_analysis(small_config(endpoint="openai"))


def test_reasons_only_stand_on_transfers(run: Run) -> None:
    """A contained session has neither reason nor location."""
    contained = run.sessions.filter(pl.col("session_outcome") == "Contained")
    assert (
        contained["transfer_reason"].null_count()
        == contained["drop_off_location"].null_count()
        == len(contained)
    )


def test_transcripts_of_a_run_are_what_was_said(tmp_path: Path) -> None:
    """Run folders hold none: they come from the sessions that the run names, in the order asked for."""
    run = build_analysis(small_config(baseline="none")).run_sync(tmp_path / "run")
    ids = run.sessions["session_id"].to_list()[3:1:-1]
    told = transcripts(run, ids)
    assert told["session_id"].unique(maintain_order=True).to_list() == ids
    counts = told.group_by("session_id", maintain_order=True).len()["len"].to_list()
    assert counts == run.sessions["message_count"].to_list()[3:1:-1]
    with pytest.raises(ImportDataError):
        transcripts(run, ["nobody"])
