"""Jupyter: progress below the cell, and interrupts that leave a run resumable; slow tests start kernels."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty
from typing import Any

import nbformat
import pytest
from fakes import small_config
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel
from nbclient import NotebookClient
from rich.console import Console

from autoanalyze.analysis import displays
from autoanalyze.analysis.build import build_analysis
from autoanalyze.analysis.configuration import compose
from autoanalyze.analysis.displays import ProgressLines
from autoanalyze.analysis.folder import RunFolder
from autoanalyze.analysis.progress import LiveProgress, Progress, live_progress, phases_table
from autoanalyze.study.runs import Run

PATIENCE_SECONDS = 240
TABLES = ("sessions", "labels", "merges", "rounds", "truth")
LONG = ["data.count=600", "page=false", "parallel.sessions_per_stream=2", "baseline=none", "resamples=10"]
SETUP = f"import autoanalyze\nanalysis = autoanalyze.build_analysis(autoanalyze.compose({LONG}))"
DOORS = {"awaited": "await analysis.run('run'{})", "synchronous": "analysis.run_sync('run'{})"}


class FakeDisplay:
    """IPython's `display` and the handle that it returns, keeping what was shown."""

    def __init__(self) -> None:
        self.shown: list[dict[str, str]] = []

    def __call__(self, bundle: dict[str, str], **_options: object) -> FakeDisplay:
        self.update(bundle)
        return self

    def update(self, bundle: dict[str, str], **_options: object) -> None:
        self.shown.append(bundle)


def test_live_progress_ends_as_one_table_without_bars(tmp_path: Path) -> None:
    """Each phase is shown when it is entered; what stays is the same whenever it is run, and agrees with
    run.json."""
    displays = [FakeDisplay(), FakeDisplay()]
    for number, display in enumerate(displays):
        run = build_analysis(small_config(resamples="10"), listener=LiveProgress(display)).run_sync(
            tmp_path / str(number)
        )
    first, last = displays[0].shown, displays[0].shown[-1]["text/html"]
    for phase in ("Parallel streams", "Conflict resolution", "Sequential baseline"):
        assert any(phase in bundle["text/html"] and "<progress" in bundle["text/html"] for bundle in first)
        assert phase in last
    assert "<progress" not in last
    assert last.count("60 of 60 sessions") == 3
    assert "3 of 3 label fields" in last
    tokens = run.record["tokens"]["prompt"] + run.record["tokens"]["completion"]
    took = f"{tokens:,} tokens, {run.record['cost_usd']:.4f} USD, {run.record['model_seconds']:,.1f} s"
    assert took in last
    assert displays[1].shown[-1] == displays[0].shown[-1]
    assert displays[0].shown[-1]["text/plain"].startswith("done: 60 of 60 sessions")


def test_live_progress_does_not_show_every_batch() -> None:
    """A thousand moments in a row are not a thousand updates, but the last one is always shown."""
    display = FakeDisplay()
    show = LiveProgress(display)
    for step in range(1000):
        show(Progress("running", "parallel", step=step, steps=1000, sessions_total=1000))
    show(Progress("done", "parallel", step=1000, steps=1000, sessions_total=1000))
    assert len(display.shown) < 500
    assert "1,000 of 1,000 sessions" in display.shown[-1]["text/html"]


def test_errors_are_shown_as_text() -> None:
    """What an endpoint or a file name says is no markup."""
    table = phases_table([Progress("failed", "parallel", error="<script>alert(1)</script> & more")])
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in table
    assert "<script" not in table


def test_outside_kernels_nothing_is_shown() -> None:
    """Where IPython is not loaded it is not looked for, and a run needs no display."""
    assert live_progress() is None
    code = "import sys, autoanalyze.analysis.progress as p; print(p.live_progress(), *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "IPython" not in done.stdout.split()


class Kernel:
    """A kernel that executes cells, one at a time, and gives back what they show."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager = manager
        self._client = client

    def start(self, code: str) -> str:
        """Begin a cell; its id."""
        return str(self._client.execute(code))

    def messages(self, cell: str) -> list[dict[str, Any]]:
        """What comes from the kernel until the cell has ended."""
        end, found = time.monotonic() + PATIENCE_SECONDS, []
        while time.monotonic() < end:
            try:
                message = self._client.get_iopub_msg(timeout=1)
            except Empty:
                continue
            found.append(message)
            mine = message["parent_header"].get("msg_id") == cell
            if mine and message["content"].get("execution_state") == "idle":
                return found
        pytest.fail("the cell did not end")

    def run(self, code: str) -> list[dict[str, Any]]:
        """Execute a cell that must not fail."""
        found = self.messages(self.start(code))
        assert errors(found) == []
        return found


def errors(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [message["content"] for message in messages if message["msg_type"] == "error"]


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


@pytest.fixture
def kernel(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    """A kernel that works in the test's folder with this very package."""
    monkeypatch.setenv("PYTHONPATH", str(repository), prepend=os.pathsep)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / ".ipython"))
    manager, client = start_new_kernel(startup_timeout=PATIENCE_SECONDS, cwd=str(tmp_path))
    try:
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The long run when nobody interrupts it."""
    return build_analysis(compose(LONG)).run_sync(tmp_path_factory.mktemp("calm") / "run")


@pytest.mark.slow
@pytest.mark.parametrize(("door", "interrupts"), [("awaited", 2), ("synchronous", 1)])
def test_interrupted_cell_cancels_the_run_and_the_next_one_resumes_it(
    kernel: Kernel, tmp_path: Path, calm: Run, door: str, interrupts: int
) -> None:
    """Through both doors, and however often it is pressed: the run has ended as cancelled when the cell ends
    with one message, and goes on in the next cell to the bytes of an undisturbed run."""
    folder = RunFolder(tmp_path / "run")
    kernel.run(SETUP)
    cell = kernel.start(DOORS[door].format(""))
    wait_for(lambda: (folder.path / "calls.jsonl").exists())
    wait_for(lambda: folder.read_json("progress.json").get("sessions_processed", 0) > 50)
    kernel.manager.interrupt_kernel()
    if interrupts == 2:
        wait_for(lambda: folder.cancel_requested)
        kernel.manager.interrupt_kernel()
    (error,) = errors(kernel.messages(cell))
    assert (folder.status(), folder.busy) == ("cancelled", False)
    (line,) = error["traceback"]
    assert "the run was cancelled" in line
    for way in ("autoanalyze resume run", "run('run', resume=True)", "run_sync('run', resume=True)"):
        assert way in line
    kernel.run(DOORS[door].format(", resume=True") + ";")
    assert folder.status() == "done"
    for table in TABLES:
        name = f"{table}.parquet"
        assert (folder.path / name).read_bytes() == (calm.path / name).read_bytes(), name


@pytest.mark.slow
def test_progress_reaches_its_cell_from_the_thread(kernel: Kernel) -> None:
    """One table appears below the cell and is updated in place, also from another cell while a run goes on;
    a listener or `progress=False` switches it off."""
    kernel.run(SETUP)
    found = kernel.run("id = analysis.start_analysis()")
    displays = [message for message in found if message["msg_type"] == "display_data"]
    assert len(displays) == 1
    display_id = displays[0]["content"]["transient"]["display_id"]
    found += kernel.run("import time\nwhile analysis.get_progress(id).step < 50: time.sleep(.02)")
    shown = kernel.run("display(analysis, analysis.get_progress(id)); analysis.get_results(id);")
    assert sum("of 600 sessions" in str(m["content"].get("data")) for m in shown) >= 2
    updates = [message for message in found + shown if message["msg_type"] == "update_display_data"]
    assert len(updates) >= 3
    assert {message["content"]["transient"]["display_id"] for message in updates} == {display_id}
    assert "<th style='text-align:left'>done</th>" in updates[-1]["content"]["data"]["text/html"]
    small = "autoanalyze.compose(['data.count=30', 'baseline=none', 'resamples=10', 'page=false'])"
    quiet = f"autoanalyze.build_analysis({small}, {{}})"
    for option in ("progress=False", "listener=lambda _: None"):
        silent = kernel.run(quiet.format(option) + ".run_sync();")
        assert not {"display_data", "update_display_data"} & {message["msg_type"] for message in silent}


@pytest.mark.slow
def test_executing_a_notebook_twice_gives_the_same_outputs(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `jupyter-execute` does it: the last state of each run is what stays below its cell."""
    monkeypatch.setenv("PYTHONPATH", str(repository), prepend=os.pathsep)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / ".ipython"))
    small = "autoanalyze.build_analysis(autoanalyze.compose(['data.count=60', 'resamples=10', 'page=false']))"
    cells = [
        f"import autoanalyze\nanalysis = {small}\nawait analysis.run();",
        "analysis.run_sync();",
        "run_id = analysis.start_analysis()",
        "analysis.get_results(run_id);",
    ]
    empty: dict[str, Any] = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    written = {
        "cells": [{**empty, "id": f"cell-{number}", "source": code} for number, code in enumerate(cells)],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    outputs = []
    for _ in range(2):
        notebook = nbformat.reads(json.dumps(written), as_version=4)  # type: ignore[no-untyped-call]  # nbformat is half typed
        path = {"metadata": {"path": str(tmp_path)}}
        NotebookClient(notebook, timeout=PATIENCE_SECONDS, kernel_name="python3", resources=path).execute()
        outputs.append([cell["outputs"] for cell in notebook["cells"]])
    assert outputs[0] == outputs[1]
    assert [len(shown) for shown in outputs[0]] == [1, 1, 1, 0]
    for (shown,) in outputs[0][:3]:
        assert "done</th>" in shown["data"]["text/html"]
        assert "<progress" not in shown["data"]["text/html"]


def test_lines_tell_how_far_a_run_is_when_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Off a terminal a line comes with each phase, and now and then while a call takes its time."""
    told, several = io.StringIO(), threading.Event()

    class Listening(Console):
        def print(self, *objects: Any, **named: Any) -> None:
            super().print(*objects, **named)
            if told.getvalue().count("4 of 60") >= 4:
                several.set()

    monkeypatch.setattr(displays, "LINE_EVERY_SECONDS", 0.01)
    with ProgressLines.shown(Listening(file=told)) as lines:
        lines(Progress(status="running", phase="parallel", step=4, steps=60, sessions_total=60))
        assert several.wait(10)
    printed = told.getvalue().splitlines()
    assert printed[0].startswith("Parallel streams 4 of 60: ")
    assert len(printed) >= 4
