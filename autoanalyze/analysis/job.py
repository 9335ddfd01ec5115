"""One run from its first step to its last: what the executor's thread does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from autoanalyze.analysis import record as provenance
from autoanalyze.analysis.folder import RunFolder, shown
from autoanalyze.analysis.progress import ProgressTracker
from autoanalyze.analysis.record import Completed, totals
from autoanalyze.analysis.sessions import sampled
from autoanalyze.analysis.tables import merges_recorded, merges_table, write_tables
from autoanalyze.config import Config
from autoanalyze.data.store import Store
from autoanalyze.errors import CancelledRunError, RunFolderError, StoppedRunError
from autoanalyze.llm.calls import Endpoint
from autoanalyze.llm.client import OpenAIAnalysis
from autoanalyze.llm.connection import analysis_prompt, rate_limits, token_management
from autoanalyze.llm.embeddings import load_embedder
from autoanalyze.llm.journal import Journal
from autoanalyze.llm.limits import Budget, RateLimiter
from autoanalyze.llm.sending import Sender
from autoanalyze.llm.tokens import TokenCounter, TokenManagement
from autoanalyze.phases.duplicates.ledger import Carried
from autoanalyze.phases.pipeline import PhaseResults, Pipeline
from autoanalyze.records import Session

__all__ = ["Engine", "Job"]

CANCEL_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Engine:
    """What `build` chose for a run: whose time passes, where requests go, what happens afterwards.

    `connect` is given the sampled sessions. `finish` is called with the stored run folder, before
    the run counts as done, and returns what it adds to `run.json`. `relive` lets reused answers
    take as long as they took when they were made, which only makes sense in virtual time.
    """

    loop_factory: Callable[[], asyncio.AbstractEventLoop]
    counter: TokenCounter
    connect: Callable[[Sequence[Session]], Endpoint]
    finish: Callable[[RunFolder, Completed, ProgressTracker], dict[str, Any]]
    relive: bool
    carried: Carried
    """What is settled before the run begins."""


class Job:
    """One run, or what is left of one that stopped."""

    def __init__(
        self,
        run_id: str,
        config: Config,
        store: Store,
        engine: Engine,
        folder: RunFolder,
        tracker: ProgressTracker,
    ) -> None:
        self._id = run_id
        self._config = config
        self._store = store
        self._engine = engine
        self._folder = folder
        self._tracker = tracker

    def run(self, earlier: dict[str, Any] | None = None) -> Path:
        """Do it, and leave everything in the folder; `earlier` is the record of a run that stopped.

        Raises StoppedRunError when it stopped with what it has, and any other error as it is; the
        folder tells which in both cases.
        """
        with self._folder.locked():
            started = datetime.now(UTC)
            record: dict[str, Any] = {"id": self._id, "status": "running"}
            self._tracker.update(status="running")
            try:
                self._work(record, earlier)
            except StoppedRunError as error:
                status = "cancelled" if isinstance(error, CancelledRunError) else "stopped"
                self._end(record, started, status, str(error))
                raise
            except BaseException as error:
                self._end(record, started, "failed", str(error) or type(error).__name__)
                raise
            self._end(record, started, "done", None)
            return self._folder.path

    def _work(self, record: dict[str, Any], earlier: dict[str, Any] | None) -> None:
        sessions, found = sampled(self._config, self._store)
        self._tracker.update(sessions_found=found, sessions_total=len(sessions))
        endpoint = self._engine.connect(sessions)
        record |= self._provenance(endpoint, sessions, earlier)
        self._folder.write_json("run.json", record)
        with asyncio.Runner(loop_factory=self._engine.loop_factory) as runner:
            outcome, stopped = runner.run(self._analyze(endpoint, sessions, record))
        write_tables(self._folder, outcome.phases)
        record |= totals(outcome)
        # From here on progress tells of judging and embedding too, as `run.json` does.
        tokens = outcome.account.usage
        self._tracker.update(
            tokens=tokens.prompt + tokens.completion,
            cost_usd=outcome.cost_usd,
            seconds=outcome.model_seconds,
        )
        if stopped is not None:
            raise stopped
        record |= self._engine.finish(self._folder, outcome, self._tracker)

    def _end(self, record: dict[str, Any], started: datetime, status: str, error: str | None) -> None:
        ending = {"status": status} if error is None else {"status": status, "error": error}
        self._folder.write_json("run.json", {**record, **ending, "wall": provenance.wall(started)})
        self._tracker.update(status=status, error=error)

    def _provenance(
        self, endpoint: Endpoint, sessions: Sequence[Session], earlier: dict[str, Any] | None
    ) -> dict[str, Any]:
        config = self._config
        ids = [session.session_id for session in sessions]
        fingerprint = self._store.fingerprint(config.data.bot_id, ids)
        if earlier is not None and earlier.get("dataset_fingerprint", fingerprint) != fingerprint:
            raise RunFolderError(
                f"the sessions of {self._folder.path} are not what they were when it started: restore the "
                "session store, or start a new run"
            )
        planned = rate_limits(config).tokens_per_minute
        return {
            **provenance.record(
                config,
                endpoint=endpoint.identity,
                dataset_fingerprint=fingerprint,
                instructions=analysis_prompt(config).instructions,
                token_counter=self._engine.counter.name,
            ),
            # Calls are packed for the limits that the run began with, so that a resumed run makes the
            # same calls and finds them in its journal.
            "planned_tokens_per_minute": earlier["planned_tokens_per_minute"] if earlier else planned,
            "resumed": earlier.get("resumed", 0) + 1 if earlier else 0,
        }

    async def _analyze(
        self, endpoint: Endpoint, sessions: Sequence[Session], record: dict[str, Any]
    ) -> tuple[Completed, StoppedRunError | None]:
        """The phases; when they stop early, what there is by then, and why."""
        config = self._config
        tokens = token_management(config, self._engine.counter, record["planned_tokens_per_minute"])
        clock = asyncio.get_running_loop()
        start = clock.time()
        reuse = [Path(folder) / "calls.jsonl" for folder in config.journal.reuse]
        follow = config.journal.mode == "replay"
        with Journal(self._folder.journal, reuse=reuse, follow=follow) as journal:
            sender = self._sender(endpoint, tokens, journal)
            prompt = analysis_prompt(config)
            pipeline = Pipeline(
                config,
                OpenAIAnalysis(sender, model=config.model, prompt=prompt, tokens=tokens),
                load_embedder(config.embeddings, sender, self._engine.counter),
                self._store.reader(config.data.bot_id),
                prompt,
                tokens,
                self._tracker,
                order=journal,
                carried=self._engine.carried,
            )
            try:
                phases, stopped = await self._watched(pipeline, sessions)
            finally:
                await sender.close()
            if phases.resolution is not None:
                journal.ledger(merges_recorded(merges_table(phases)), "run")
        cost = tokens.calculate_cost_estimate(journal.usage)
        probes = tokens.calculate_cost_estimate(phases.probes.usage) if phases.probes else 0.0
        return Completed(phases, journal.account(), cost, clock.time() - start, probes), stopped

    def _sender(self, endpoint: Endpoint, tokens: TokenManagement, journal: Journal) -> Sender:
        config = self._config
        limits = rate_limits(config)
        return Sender(
            endpoint,
            tokens=tokens,
            journal=journal,
            limiter=RateLimiter(
                requests_per_minute=limits.requests_per_minute,
                tokens_per_minute=limits.tokens_per_minute,
                # The judge's questions on all fields may be more than there are streams.
                concurrency=max(config.parallel.streams, 16),
            ),
            budget=Budget(config.budget_usd, journal.spent_usd + journal.uncertain_usd),
            retry=config.retry,
            timeout_seconds=config.limits.timeout_seconds,
            replay=config.journal.mode == "replay",
            relive=self._engine.relive,
        )

    async def _watched(
        self, pipeline: Pipeline, sessions: Sequence[Session]
    ) -> tuple[PhaseResults, StoppedRunError | None]:
        """The pipeline's work, with an eye on the wish to cancel."""
        work = asyncio.ensure_future(pipeline.run(sessions))
        try:
            while not work.done():
                await asyncio.wait({work}, timeout=CANCEL_POLL_SECONDS)
                if self._folder.cancel_requested and not work.done():
                    work.cancel()
                    await asyncio.wait({work})
                    raise CancelledRunError(
                        f"the run was cancelled; go on with `autoanalyze resume {shown(self._folder.path)}`"
                    )
            return work.result(), None
        except StoppedRunError as stopped:
            return pipeline.so_far(sessions, str(stopped)), stopped
