"""ParallelAutoAnalyze: starts, watches, cancels and resumes the analyses of one bot's sessions."""

from __future__ import annotations

import asyncio
import html
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from autoanalyze.analysis.folder import RunFolder, as_typed, new_path
from autoanalyze.analysis.job import Job
from autoanalyze.analysis.progress import Progress, ProgressTracker, live_progress
from autoanalyze.analysis.tables import write_tables
from autoanalyze.config import Config
from autoanalyze.errors import CancelledRunError, RunFolderError
from autoanalyze.phases.results import PhaseResults
from autoanalyze.study.runs import Run, load_run

WAKE_SECONDS = 0.25
"""How long an interrupt of an awaited run may go unnoticed, in wall time."""


STOPPING = (signal.SIGINT, signal.SIGTERM)
"""Signals that stop a run as a cancel does, so that it can be resumed."""


class ParallelAutoAnalyze:
    """Analyses the sessions of one bot in one store.

    Jobs are worked on by `executor`, by default a thread of this process with an event loop of its own; that
    is why both `await analysis.run(...)` and `analysis.run_sync(...)` work anywhere, also inside Jupyter.
    Workers elsewhere must see run folder and session store under the same paths. `listener` is called
    with every `Progress`, in another thread; without one, Jupyter shows live progress below the cell that
    starts a run, unless `progress` is false. State lives in the run folder: other processes can follow it.
    """

    def __init__(
        self,
        config: Config,
        executor: Executor | None = None,
        *,
        listener: Callable[[Progress], None] | None = None,
        progress: bool = True,
    ) -> None:
        self.config = config
        self._executor = executor or ThreadPoolExecutor(thread_name_prefix="autoanalyze")
        self._listener = listener
        self._progress = progress
        self.on_interrupt: Callable[[], None] = lambda: None
        """Is called when a person interrupts `run_sync`, which then takes a moment to end its run."""
        self.warnings: list[str] = []
        """What to know before the run: the day on which a live model ends."""
        self._jobs: dict[str, tuple[RunFolder, ProgressTracker, Future[Path]]] = {}

    def start_analysis(self, folder: Path | str | None = None) -> str:
        """Start a run that writes to `folder` (by default a new one in `outputs/`); returns its id at once.

        Raises RunFolderError if the folder holds a run already or cannot be written.
        """
        return self._submit(Job.begin(self.config, folder or new_path()))

    def resume_analysis(self, folder: Path | str) -> str:
        """Go on with a run that stopped, was cancelled, failed or was interrupted; returns its id at once.

        No answer in its journal is asked for again. Raises RunFolderError if the run is done, or if a
        process is working on it.
        """
        return self._submit(Job.resume(self.config, folder))

    def get_progress(self, run_id: str) -> Progress:
        """How far a run is."""
        return self._job(run_id)[1].current

    def get_results(self, run_id: str) -> Run:
        """A run's results once it is done; waits for it. Raises what ended the run otherwise."""
        _, tracker, future = self._job(run_id)
        folder = future.result()
        tracker.caught_up()
        return load_run(folder)

    def cancel_analysis(self, run_id: str) -> None:
        """Ask a run to stop; within a second, on the run's clock, it ends as cancelled."""
        self._job(run_id)[0].request_cancel()

    def store_results(self, folder: RunFolder, phases: PhaseResults) -> None:
        """Write the tables of a run, as its job does when the phases end."""
        write_tables(folder, phases)

    async def run(self, folder: Path | str | None = None, *, resume: bool = False) -> Run:
        """Start a run and wait for its results; with `resume`, go on with the run in `folder`.

        Cancelling the wait, as interrupting a notebook's cell does, cancels the run, waits for its end
        and then raises the CancelledError, whose message says how to go on.
        """
        run_id = self._begin(folder, resume=resume)
        waiting = asyncio.wrap_future(self._job(run_id)[2])
        interrupt: asyncio.CancelledError | None = None
        while not waiting.done():
            try:
                # ipykernel's handler of the interrupt does not wake a loop that only waits.
                await asyncio.wait({waiting}, timeout=WAKE_SECONDS)
            except asyncio.CancelledError as error:
                interrupt = error
                self.cancel_analysis(run_id)
        ended = waiting.exception()
        if interrupt is None:
            return self.get_results(run_id)
        raise cancelled_wait(self._advice(run_id, ended)) from ended

    def run_sync(self, folder: Path | str | None = None, *, resume: bool = False) -> Run:
        """The same for callers without an event loop, or who would rather not await.

        An interrupt cancels the run and waits for its end, when the folder is free again; further ones
        change nothing. Raises CancelledRunError, caused by a KeyboardInterrupt if there was one; a run
        that was done before it noticed raises the KeyboardInterrupt.
        """
        started: list[str] = []
        interrupts: list[KeyboardInterrupt] = []

        def cancel() -> None:
            if not interrupts:
                self.on_interrupt()
            interrupts.append(KeyboardInterrupt())
            for run_id in started:
                self.cancel_analysis(run_id)

        with interrupts_calling(cancel):
            started.append(self._begin(folder, resume=resume))
            if interrupts:
                self.cancel_analysis(started[0])
            ended = self._job(started[0])[2].exception()
        if not interrupts:
            return self.get_results(started[0])
        advice = self._advice(started[0], ended)
        if isinstance(ended, CancelledRunError):
            raise CancelledRunError(advice) from interrupts[0]
        raise ended or KeyboardInterrupt(advice) from interrupts[0]

    def _begin(self, folder: Path | str | None, *, resume: bool) -> str:
        if not resume:
            return self.start_analysis(folder)
        if folder is None:
            raise RunFolderError("name the folder of the run to resume")
        return self.resume_analysis(folder)

    def _advice(self, run_id: str, ended: BaseException | None) -> str:
        """How an interrupted run ended, and what to do next."""
        folder = str(as_typed(self._job(run_id)[0].path))
        if ended is None:
            return f"the run was done before it could be cancelled: see it with `load_run({folder!r})`"
        if not isinstance(ended, CancelledRunError):
            return str(ended)
        again = f"({folder!r}, resume=True)`"
        return f"{ended}, or in Python with `await analysis.run{again} or `analysis.run_sync{again}"

    def _submit(self, job: Job) -> str:
        listener = self._listener or (live_progress() if self._progress else None)
        folder = RunFolder(job.folder)
        tracker = ProgressTracker(folder, listener)
        if isinstance(self._executor, ThreadPoolExecutor):
            future = self._executor.submit(job.run, tracker)
        else:  # what goes to other processes tells its progress in the run folder
            future = self._executor.submit(job.anywhere().run)
            tracker.follow(future)
        self._jobs[job.run_id] = (folder, tracker, future)
        return job.run_id

    def _repr_html_(self) -> str:
        """The runs that were started here."""
        rows = [
            f"<tr><td>{run_id}</td><td>{html.escape(str(as_typed(folder.path)))}</td>"
            f"<td>{tracker.current.status}</td><td>{tracker.current.figures()}</td></tr>"
            for run_id, (folder, tracker, _) in self._jobs.items()
        ]
        heading = "<tr><th>run</th><th>folder</th><th>status</th><th>figures</th></tr>"
        return f"<table>{heading}{''.join(rows)}</table>" if rows else "no run was started here yet"

    def _job(self, run_id: str) -> tuple[RunFolder, ProgressTracker, Future[Path]]:
        if run_id not in self._jobs:
            raise RunFolderError(
                f"no run {run_id!r} was started here; known: {', '.join(self._jobs) or 'none'}"
            )
        return self._jobs[run_id]


@contextmanager
def interrupts_calling(act: Callable[[], None]) -> Iterator[None]:
    """Let interrupts, and the wish of a system to end this process, call `act` instead of raising
    KeyboardInterrupt, or ending everything, between any two instructions.

    Only the main thread gets signals. In a Jupyter cell that awaits something else they would not
    even be raised, but wait for the event loop.
    """
    # Who ignores interrupts goes on ignoring them; a handler that is none of Python's could not be put back.
    touchable = [n for n in STOPPING if signal.getsignal(n) not in (signal.SIG_IGN, None)]
    if threading.current_thread() is not threading.main_thread():
        touchable = []
    before = {number: signal.signal(number, lambda _number, _frame: act()) for number in touchable}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def cancelled_wait(message: str) -> asyncio.CancelledError:
    """The error of a cancelled wait, of which IPython shows the message alone.

    It is no CancelledRunError, nor any other subclass: time-outs and `asyncio.run` look for this very type.
    """
    error = asyncio.CancelledError(message)
    vars(error)["_render_traceback_"] = lambda: [f"CancelledError: {message}"]
    return error
