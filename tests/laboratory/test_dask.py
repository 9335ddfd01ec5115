"""Sweeps and jobs on a Dask cluster: a real scheduler, real worker processes, one of them killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoanalyze.analysis.build import build_analysis
from autoanalyze.analysis.configuration import compose
from autoanalyze.laboratory.points import ended_points

distributed = pytest.importorskip("distributed")

PATIENCE_SECONDS = 120.0


def wait_for(what: str, condition: object) -> None:
    """Until something holds; fails after a long time."""
    assert callable(condition)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler's address, and its two worker processes."""
    file = tmp_path / "scheduler.json"

    def start(module: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{module}", *arguments, "--no-dashboard"]
        quiet = subprocess.DEVNULL
        return subprocess.Popen(command, cwd=tmp_path, stdout=quiet, stderr=quiet)

    scheduler = start("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))
    wait_for("the scheduler", file.exists)
    address = json.loads(file.read_text())["address"]
    workers = [start("dask_worker", address, "--nthreads", "1", "--no-nanny") for _ in range(2)]
    try:
        yield address, workers
    finally:
        with contextlib.suppress(ValueError):  # no job was sent from this process
            distributed.default_client().close()
        for process in (*workers, scheduler):
            process.kill()
            process.wait()


@pytest.mark.slow
def test_every_point_finishes_once_though_a_worker_is_killed(
    tmp_path: Path, cluster: tuple[str, list[subprocess.Popen[bytes]]]
) -> None:
    """Points of a dead worker go on with another one; nothing is lost, doubled or asked for twice."""
    address, workers = cluster
    arguments = [
        *("run", "-m", "hydra/launcher=dask", f"hydra.launcher.address={address}", "hydra.sweep.dir=sweep"),
        *("data.count=300", "parallel.streams=2,4,8", "seed=1,2", "baseline=none", "resamples=2"),
    ]
    command = [sys.executable, "-m", "autoanalyze", *arguments]
    sweep = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    folder = tmp_path / "sweep"
    wait_for("two points", lambda: len(ended_points(folder)) >= 2 or sweep.poll() is not None)
    os.kill(workers[0].pid, signal.SIGKILL)
    output, errors = sweep.communicate(timeout=PATIENCE_SECONDS)
    assert sweep.returncode == 0, errors
    assert "6 points" in output
    ended = ended_points(folder)
    assert {(o.settings["parallel.streams"], o.settings["seed"]) for o in ended} == {
        (streams, seed) for streams in (2, 4, 8) for seed in (1, 2)
    }
    assert {o.status for o in ended} <= {"done", "kept"}
    assert len(list(folder.glob("*/run.json"))) == 6
    for outcome in ended:
        lines = (Path(outcome.folder) / "calls.jsonl").read_text().splitlines()
        calls = map(json.loads, lines)
        answered = Counter(call["request"] for call in calls if call["event"] == "answered")
        assert max(answered.values()) == 1


@pytest.mark.slow
def test_a_cluster_of_this_machine_is_made_and_ended(tmp_path: Path) -> None:
    """Without an address, processes of this machine work on the points."""
    arguments = ["run", "-m", "hydra/launcher=dask", "hydra.launcher.workers=2", "hydra.sweep.dir=sweep"]
    small = ["data.count=30", "seed=1,2,3,4", "baseline=none", "resamples=2", "hydra.sweeper.bundle=2"]
    done = subprocess.run(
        [sys.executable, "-m", "autoanalyze", *arguments, *small],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [outcome.status for outcome in ended_points(tmp_path / "sweep")] == ["done"] * 4


def test_an_address_where_nobody_answers_is_an_error(tmp_path: Path) -> None:
    """The message names the setting and how to start a scheduler."""
    from autoanalyze.errors import ConfigurationError
    from hydra_plugins.autoanalyze_sweeps import dask_launcher

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dask_launcher, "CONNECT_SECONDS", 1)
        with pytest.raises(ConfigurationError, match="dask scheduler"):
            dask_launcher.connected("tcp://127.0.0.1:9", None)


@pytest.mark.slow
def test_a_job_whose_worker_is_killed_goes_on_with_another(
    tmp_path: Path, cluster: tuple[str, list[subprocess.Popen[bytes]]]
) -> None:
    """What the first worker was answered is not asked for again, and the tables are as if undisturbed."""
    address, workers = cluster
    small = ["data.count=1500", "baseline=none", "resamples=2", "page=false"]
    client = distributed.Client(address)
    analysis = build_analysis(compose(small), executor=client.get_executor())
    run_id = analysis.start_analysis(tmp_path / "there")
    wait_for("some answers", lambda: analysis.get_progress(run_id).sessions_processed > 300)
    working = [worker for worker in workers if any("calls.jsonl" in path for path in open_files(worker.pid))]
    for worker in working:
        os.kill(worker.pid, signal.SIGKILL)
    run = analysis.get_results(run_id)
    assert analysis.get_progress(run_id).status == "done"
    assert len(working) == 1
    here = build_analysis(compose(small)).run_sync(tmp_path / "here")
    assert (run.path / "sessions.parquet").read_bytes() == (here.path / "sessions.parquet").read_bytes()
    assert run.record["resumed"] == 1
    assert run.record["paid"]["calls"] == here.record["paid"]["calls"]


def open_files(pid: int) -> list[str]:
    """What a process has open."""
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(str(link.readlink()))
    return found
