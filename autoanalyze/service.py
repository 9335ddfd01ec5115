"""ParallelAutoAnalyze: starts, watches, cancels and resumes the analyses of one bot's sessions."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from autoanalyze.config import Config
from autoanalyze.data.store import Store
from autoanalyze.errors import RunFolderError
from autoanalyze.job import Engine, Job
from autoanalyze.progress import Progress, ProgressTracker
from autoanalyze.results import PhaseResults
from autoanalyze.run_folder import RunFolder, new_path
from autoanalyze.run_tables import write_tables
from autoanalyze.study.runs import Run, load_run

__all__ = ["ParallelAutoAnalyze"]


class ParallelAutoAnalyze:
    """Analyses the sessions of one bot in one store.

    Work is submitted to `executor`, by default a thread of this process with an event loop of
    its own; that is why both `await analysis.run(...)` and `analysis.run_sync(...)` work anywhere,
    also inside Jupyter. State lives in the run folder, so that other processes can follow it.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        engine: Engine,
        *,
        executor: Executor | None = None,
        listener: Callable[[Progress], None] | None = None,
    ) -> None:
        self.config = config
        self._store = store
        self._engine = engine
        self._executor = executor or ThreadPoolExecutor(thread_name_prefix="autoanalyze")
        self._listener = listener
        self._jobs: dict[str, tuple[RunFolder, ProgressTracker, Future[Path]]] = {}

    def start_analysis(self, folder: Path | str | None = None) -> str:
        """Start a run that writes to `folder` (by default a new one in `outputs/`); returns its id at once.

        Raises RunFolderError if the folder holds a run already or cannot be written.
        """
        return self._submit(RunFolder.create(folder or new_path()), uuid.uuid4().hex[:12], None)

    def resume_analysis(self, folder: Path | str) -> str:
        """Go on with a run that stopped, was cancelled, failed or was interrupted; returns its id at once.

        No answer in its journal is asked for again. Raises RunFolderError if the run is done, or if a
        process is working on it.
        """
        run_folder = RunFolder(folder)
        earlier = run_folder.read_json("run.json")
        status = run_folder.status()
        if status == "done":
            raise RunFolderError(f"the run in {folder} is done: there is nothing to resume")
        if status in ("created", "running"):
            raise RunFolderError(f"the run in {folder} is going on: see `autoanalyze status {folder}`")
        run_folder.withdraw_cancel()
        return self._submit(run_folder, earlier["id"], earlier)

    def get_progress(self, run_id: str) -> Progress:
        """How far a run is."""
        return self._job(run_id)[1].current

    def get_results(self, run_id: str) -> Run:
        """A run's results once it is done; waits for it. Raises what ended the run otherwise."""
        return load_run(self._job(run_id)[2].result())

    def cancel_analysis(self, run_id: str) -> None:
        """Ask a run to stop; within a second, on the run's clock, it ends as cancelled."""
        self._job(run_id)[0].request_cancel()

    def store_results(self, folder: RunFolder, phases: PhaseResults) -> None:
        """Write the tables of a run, as its job does when the phases end."""
        write_tables(folder, phases)

    async def run(self, folder: Path | str | None = None) -> Run:
        """Start a run and wait for its results; cancelling the wait cancels the run."""
        run_id = self.start_analysis(folder)
        try:
            await asyncio.wrap_future(self._job(run_id)[2])
        except asyncio.CancelledError:
            self.cancel_analysis(run_id)
            raise
        return self.get_results(run_id)

    def run_sync(self, folder: Path | str | None = None, *, resume: bool = False) -> Run:
        """The same for callers without an event loop; an interrupt cancels the run and waits for its end.

        With `resume`, goes on with the run in `folder`.
        """
        if resume and folder is None:
            raise RunFolderError("name the folder of the run to resume")
        run_id = self.resume_analysis(folder) if resume and folder else self.start_analysis(folder)
        try:
            return self.get_results(run_id)
        except KeyboardInterrupt:
            self.cancel_analysis(run_id)
            return self.get_results(run_id)

    def _submit(self, folder: RunFolder, run_id: str, earlier: dict[str, Any] | None) -> str:
        tracker = ProgressTracker(folder, self._listener)
        job = Job(run_id, self.config, self._store, self._engine, folder, tracker)
        self._jobs[run_id] = (folder, tracker, self._executor.submit(job.run, earlier))
        return run_id

    def _job(self, run_id: str) -> tuple[RunFolder, ProgressTracker, Future[Path]]:
        if run_id not in self._jobs:
            raise RunFolderError(
                f"no run {run_id!r} was started here; known: {', '.join(self._jobs) or 'none'}"
            )
        return self._jobs[run_id]
