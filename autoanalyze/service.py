"""ParallelAutoAnalyze: the three phases in order, from start to run folder."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from autoanalyze import provenance
from autoanalyze.config import Config
from autoanalyze.data.sampling import SessionSampling
from autoanalyze.data.store import Store
from autoanalyze.errors import CancelledRunError, ConfigurationError, RunFolderError
from autoanalyze.llm.client import Endpoint, OpenAIAnalysis
from autoanalyze.llm.journal import Journal
from autoanalyze.llm.prompts import analysis_instructions
from autoanalyze.llm.tokens import TokenCounter, TokenManagement
from autoanalyze.pipeline import Pipeline
from autoanalyze.progress import Progress, ProgressTracker
from autoanalyze.records import Session
from autoanalyze.results import Outcome, tables, totals
from autoanalyze.run_folder import RunFolder, new_path
from autoanalyze.study.runs import Run, load_run

__all__ = ["Engine", "ParallelAutoAnalyze"]

CANCEL_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Engine:
    """What `build` chose for a run: whose time passes, where requests go, what happens afterwards.

    `connect` is given the sampled sessions. `finish` is called with the stored run folder, before
    the run counts as done, and returns what it adds to `run.json`.
    """

    loop_factory: Callable[[], asyncio.AbstractEventLoop]
    counter: TokenCounter
    connect: Callable[[Sequence[Session]], Endpoint]
    finish: Callable[[RunFolder, Outcome, ProgressTracker], dict[str, Any]]


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
        self._jobs: dict[str, tuple[RunFolder, ProgressTracker, Future[Run]]] = {}

    def start_analysis(self, folder: Path | str | None = None) -> str:
        """Start a run that writes to `folder` (by default a new one in `outputs/`); returns its id at once.

        Raises RunFolderError if the folder holds a run already or cannot be written.
        """
        run_folder = RunFolder.create(folder or new_path())
        tracker = ProgressTracker(run_folder, self._listener)
        run_id = uuid.uuid4().hex[:12]
        future = self._executor.submit(self._execute, run_id, run_folder, tracker)
        self._jobs[run_id] = (run_folder, tracker, future)
        return run_id

    def get_progress(self, run_id: str) -> Progress:
        """How far a run is."""
        return self._job(run_id)[1].current

    def get_results(self, run_id: str) -> Run:
        """A run's results once it is done; waits for it. Raises what ended the run otherwise."""
        return self._job(run_id)[2].result()

    def cancel_analysis(self, run_id: str) -> None:
        """Ask a run to stop; within a second, on the run's clock, it ends as cancelled."""
        self._job(run_id)[0].request_cancel()

    def store_results(self, folder: RunFolder, outcome: Outcome) -> None:
        """Write the tables of a run."""
        for name, frame in tables(outcome.phases).items():
            folder.write_table(name, frame)

    async def run(self, folder: Path | str | None = None) -> Run:
        """Start a run and wait for its results; cancelling the wait cancels the run."""
        run_id = self.start_analysis(folder)
        try:
            return await asyncio.wrap_future(self._job(run_id)[2])
        except asyncio.CancelledError:
            self.cancel_analysis(run_id)
            raise

    def run_sync(self, folder: Path | str | None = None) -> Run:
        """The same for callers without an event loop; an interrupt cancels the run and waits for its end."""
        run_id = self.start_analysis(folder)
        try:
            return self.get_results(run_id)
        except KeyboardInterrupt:
            self.cancel_analysis(run_id)
            return self.get_results(run_id)

    def _job(self, run_id: str) -> tuple[RunFolder, ProgressTracker, Future[Run]]:
        if run_id not in self._jobs:
            raise RunFolderError(
                f"no run {run_id!r} was started here; known: {', '.join(self._jobs) or 'none'}"
            )
        return self._jobs[run_id]

    def _execute(self, run_id: str, folder: RunFolder, tracker: ProgressTracker) -> Run:
        """The whole run, in the executor's thread."""
        started = datetime.now(UTC)
        record: dict[str, Any] = {"id": run_id, "status": "running"}
        tracker.update(status="running")
        try:
            sessions = self._sample(tracker)
            endpoint = self._engine.connect(sessions)
            record |= self._provenance(endpoint, sessions)
            folder.write_json("run.json", record)
            with asyncio.Runner(loop_factory=self._engine.loop_factory) as runner:
                outcome = runner.run(self._analyze(folder, endpoint, sessions, tracker))
            self.store_results(folder, outcome)
            record |= totals(outcome)
            record |= self._engine.finish(folder, outcome, tracker)
        except BaseException as error:
            status = "cancelled" if isinstance(error, CancelledRunError) else "failed"
            message = str(error) or type(error).__name__
            folder.write_json("run.json", {**record, "status": status, "error": message})
            tracker.update(status=status, error=message)
            raise
        record["status"] = "done"
        record["wall"] = provenance.wall(started)
        folder.write_json("run.json", record)
        tracker.update(status="done")
        return load_run(folder.path)

    def _sample(self, tracker: ProgressTracker) -> tuple[Session, ...]:
        data = self.config.data
        found = self._store.sessions(data.bot_id, data.where)
        sample = SessionSampling(found).sample_sessions(
            data.count,
            seed=self.config.seed,
            minimum_messages=data.minimum_messages,
            start=moment(data.start),
        )
        tracker.update(sessions_found=len(found), sessions_total=len(sample.sessions))
        return sample.sessions

    def _provenance(self, endpoint: Endpoint, sessions: Sequence[Session]) -> dict[str, Any]:
        instructions = analysis_instructions(self.config.schema.records(), self.config.context)
        bot = self.config.data.bot_id
        fingerprint = self._store.fingerprint(bot, [session.session_id for session in sessions])
        return provenance.record(
            self.config,
            endpoint=endpoint.identity,
            dataset_fingerprint=fingerprint,
            instructions=instructions,
            token_counter=self._engine.counter.name,
        )

    async def _analyze(
        self, folder: RunFolder, endpoint: Endpoint, sessions: Sequence[Session], tracker: ProgressTracker
    ) -> Outcome:
        """The phases, with an eye on the wish to cancel."""
        work = asyncio.ensure_future(self._phases(folder, endpoint, sessions, tracker))
        while True:
            await asyncio.wait({work}, timeout=CANCEL_POLL_SECONDS)
            if work.done():
                return work.result()
            if folder.cancel_requested:
                work.cancel()
                await asyncio.wait({work})
                raise CancelledRunError(f"the run was cancelled; its journal is {folder.journal}")

    async def _phases(
        self, folder: RunFolder, endpoint: Endpoint, sessions: Sequence[Session], tracker: ProgressTracker
    ) -> Outcome:
        config, tokens = self.config, self._tokens()
        clock = asyncio.get_running_loop()
        start = clock.time()
        with Journal(folder.journal) as journal:
            model = OpenAIAnalysis(
                endpoint,
                model=config.model,
                schema=config.schema.records(),
                tokens=tokens,
                journal=journal,
                context=config.context,
                timeout_seconds=config.limits.timeout_seconds,
            )
            reader = self._store.reader(config.data.bot_id)
            try:
                phases = await Pipeline(config, model, reader, tokens, tracker).run(sessions)
            finally:
                await model.close()
        return Outcome(
            phases,
            calls=journal.calls,
            failed_calls=journal.failures,
            usage=journal.usage,
            cost_usd=tokens.calculate_cost_estimate(journal.usage),
            model_seconds=clock.time() - start,
        )

    def _tokens(self) -> TokenManagement:
        config = self.config
        instructions = analysis_instructions(config.schema.records(), config.context)
        tier = config.model.tiers[config.limits.tier] if config.limits.tier else None
        return TokenManagement(
            config.model,
            self._engine.counter,
            overhead_tokens=self._engine.counter.count(instructions),
            streams=config.parallel.streams,
            tokens_per_minute=tier.tokens_per_minute if tier else None,
            batch_size=config.batch_size,
        )


def moment(text: str | None) -> datetime | None:
    """A time of the configuration as naive UTC. Raises ConfigurationError."""
    if text is None:
        return None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"data.start={text} is not a time: write it like 2026-05-01T12:00") from None
    return parsed if parsed.tzinfo is None else parsed.astimezone(UTC).replace(tzinfo=None)
