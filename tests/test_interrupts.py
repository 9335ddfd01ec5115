"""Interrupting whoever waits for a run, through both doors: nothing is left behind that goes on."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import small_config

from autoanalyze.analysis.build import build_analysis
from autoanalyze.analysis.folder import RunFolder
from autoanalyze.analysis.progress import Progress
from autoanalyze.analysis.service import ParallelAutoAnalyze
from autoanalyze.errors import CancelledRunError
from autoanalyze.study.runs import Run

PATIENCE_SECONDS = 20.0
TABLES = ("sessions", "labels", "merges", "rounds", "truth")
SETTINGS = {"baseline": "none", "resamples": "10"}


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run when nobody interrupts it."""
    return build_analysis(small_config(**SETTINGS)).run_sync(tmp_path_factory.mktemp("calm") / "run")


def interrupted(act: Callable[[], None], folder: Path, *, again: bool = False) -> ParallelAutoAnalyze:
    """An analysis that acts in the middle of its run in a folder and, with `again`, at every later moment."""
    asked = RunFolder(folder)

    def listen(progress: Progress) -> None:
        if progress.sessions_processed >= 15 and (again or not asked.cancel_requested):
            act()
            # On a busy machine a run in virtual time would be over before the wish is heard.
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not asked.cancel_requested and time.monotonic() < deadline:
                time.sleep(0.01)

    return build_analysis(small_config(**SETTINGS), listener=listen)


def resumable(folder: Path, calm: Run, resume: Callable[[], Run]) -> None:
    """The run ended as cancelled, nobody holds its folder, and resumed it ends as if undisturbed."""
    assert (RunFolder(folder).status(), RunFolder(folder).busy) == ("cancelled", False)
    assert resume().record["status"] == "done"
    for name in TABLES:
        assert (folder / f"{name}.parquet").read_bytes() == (calm.path / f"{name}.parquet").read_bytes()


def press() -> None:
    """Ctrl-C."""
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def test_interrupt_cancels_and_is_told_from_a_cancel_elsewhere(tmp_path: Path, calm: Run) -> None:
    """The error of an interrupted run is caused by the KeyboardInterrupt, that of a cancelled one is not."""
    folder = tmp_path / "run"
    analysis = interrupted(press, folder)
    with pytest.raises(CancelledRunError, match=r"run_sync\('.*run', resume=True\)") as stopped:
        analysis.run_sync(folder)
    assert isinstance(stopped.value.__cause__, KeyboardInterrupt)
    resumable(folder, calm, lambda: build_analysis(small_config(**SETTINGS)).run_sync(folder, resume=True))
    other = RunFolder(tmp_path / "other")
    analysis = interrupted(other.request_cancel, other.path)
    with pytest.raises(CancelledRunError) as stopped:
        analysis.run_sync(other.path)
    assert stopped.value.__cause__ is None
    assert not isinstance(stopped.value.__context__, KeyboardInterrupt)


def test_wish_of_the_system_to_end_leaves_a_run_that_can_be_resumed(tmp_path: Path, calm: Run) -> None:
    """SIGTERM, as a cluster or a container sends it before it kills, cancels the run."""
    folder = tmp_path / "run"

    def terminate() -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    with pytest.raises(CancelledRunError):
        interrupted(terminate, folder).run_sync(folder)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    resumable(folder, calm, lambda: build_analysis(small_config(**SETTINGS)).run_sync(folder, resume=True))


def test_impatient_interrupts_still_wait_for_the_end(tmp_path: Path, calm: Run) -> None:
    """Pressed again and again until the very end, the run ends as cancelled and its folder is free."""
    folder = tmp_path / "run"
    analysis = interrupted(press, folder, again=True)
    with pytest.raises(CancelledRunError):
        analysis.run_sync(folder)
    resumable(folder, calm, lambda: build_analysis(small_config(**SETTINGS)).run_sync(folder, resume=True))


@pytest.mark.parametrize("again", [False, True])
def test_cancelled_wait_waits_for_the_end(tmp_path: Path, calm: Run, again: bool) -> None:
    """Cancelling the task once, or again and again, ends the run first; then the same door resumes it."""
    folder = tmp_path / "run"

    async def cell() -> None:
        loop = asyncio.get_running_loop()

        def cancel() -> None:
            loop.call_soon_threadsafe(task.cancel)

        analysis = interrupted(cancel, folder, again=again)
        task = asyncio.create_task(analysis.run(folder))
        with pytest.raises(asyncio.CancelledError, match=r"await analysis.run\('.*run', resume=True\)"):
            await task

    asyncio.run(cell())
    analysis = build_analysis(small_config(**SETTINGS))
    resumable(folder, calm, lambda: asyncio.run(analysis.run(folder, resume=True)))


def test_time_out_around_a_run_is_a_time_out(tmp_path: Path) -> None:
    """`asyncio.timeout` still sees that the cancelling was its own, and the run has ended."""
    folder = RunFolder(tmp_path / "run")

    async def cell() -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(None) as deadline:

            def expire() -> None:
                loop.call_soon_threadsafe(deadline.reschedule, 0)

            await interrupted(expire, folder.path).run(folder.path)

    with pytest.raises(TimeoutError):
        asyncio.run(cell())
    assert (folder.status(), folder.busy) == ("cancelled", False)
