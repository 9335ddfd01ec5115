"""Job: one run from its first step to its last, as a value that any executor can take."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from autoanalyze.analysis import record as records
from autoanalyze.analysis.configuration import sequential
from autoanalyze.analysis.earlier_run import carried_over
from autoanalyze.analysis.endpoints import (
    counter_of,
    in_process,
    is_in_process,
    is_simulated,
    network,
    served,
)
from autoanalyze.analysis.folder import RunFolder, as_typed
from autoanalyze.analysis.paging import leave_page
from autoanalyze.analysis.progress import Progress, ProgressTracker
from autoanalyze.analysis.reasons import check_unresolved, no_verdict, nothing_labelled, unjudged_before
from autoanalyze.analysis.record import Completed
from autoanalyze.analysis.scoring import measured, repeats_agreement
from autoanalyze.analysis.sessions import (
    Population,
    open_population,
    sampled,
    transcripts_of,
    truth_table,
)
from autoanalyze.analysis.tables import merges_recorded, merges_table, sessions_table, write_tables
from autoanalyze.config import Config, JournalConfig
from autoanalyze.errors import CancelledRunError, RunFolderError, StoppedRunError
from autoanalyze.llm.calls import Endpoint
from autoanalyze.llm.connection import Connection, analysis_prompt, connected, rate_limits
from autoanalyze.llm.tokens import TokenManagement
from autoanalyze.phases.pipeline import Pipeline
from autoanalyze.phases.results import PhaseResults
from autoanalyze.records import Session, Usage
from autoanalyze.serving.clock import VirtualClockLoop
from autoanalyze.study.metrics import speedup
from autoanalyze.study.runs import Run, load_run

CANCEL_POLL_SECONDS = 0.5

BASELINE_FIGURES = ("model_seconds", "calls", "tokens", "cost_usd", "metrics")
"""What a run's record keeps of its baseline."""


@dataclass(frozen=True)
class Job:
    """One run, or what is left of one that stopped: all that is needed to do it, wherever it is done.

    `earlier` is the record of a run that stopped. A job can be pickled: any executor takes `job.run`, be
    its workers threads, processes, or machines that see folder and session store under the same paths.
    """

    run_id: str
    config: Config
    folder: Path
    earlier: Mapping[str, Any] | None = None

    @classmethod
    def begin(cls, config: Config, folder: Path | str) -> Job:
        """A new run in a folder. Raises RunFolderError if that holds a run already or cannot be written."""
        return cls(uuid.uuid4().hex[:12], config, RunFolder.create(folder).path)

    @classmethod
    def resume(cls, config: Config, folder: Path | str) -> Job:
        """What is left of a run that stopped, was cancelled, failed or was interrupted.

        One that is done is only resumed with a higher `retry.unresolved`. Raises RunFolderError for any other
        that is done, and for one that a process is working on.
        """
        run_folder = RunFolder(folder)
        earlier = run_folder.read_json("run.json")
        status = run_folder.status()
        more = config.retry.unresolved > earlier.get("config", {}).get("retry", {}).get("unresolved", 0)
        if status == "done" and more:
            check_unresolved(run_folder, earlier)
        elif status == "done":
            raise RunFolderError(f"the run in {folder} is done: there is nothing to resume")
        if status in ("created", "running"):
            raise RunFolderError(f"the run in {folder} is going on: see `autoanalyze status {folder}`")
        run_folder.withdraw_cancel()
        if unjudged_before(earlier):
            # The answers that could not be used stand in the journal: further ones are asked for.
            retry = replace(config.retry, unjudged=config.retry.unjudged + 1)
            config = replace(config, retry=retry)
        return cls(earlier["id"], config, run_folder.path, earlier)

    def anywhere(self) -> Job:
        """The same with absolute paths, for workers that have another working folder."""
        config, data, journal = self.config, self.config.data, self.config.journal
        earlier = config.vocabulary.from_run
        settings = replace(
            config,
            data=replace(data, path=data.path and str(Path(data.path).absolute())),
            journal=replace(journal, reuse=[str(Path(folder).absolute()) for folder in journal.reuse]),
            vocabulary=replace(config.vocabulary, from_run=earlier and str(Path(earlier).absolute())),
        )
        return replace(self, config=settings, folder=self.folder.absolute())

    def run(self, tracker: ProgressTracker | None = None) -> Path:
        """Do it, and leave everything in the folder; `tracker` is told of its progress.

        Raises StoppedRunError when it stopped with what it has, and any other error as it is; the folder
        tells which in both cases.
        """
        folder = RunFolder(self.folder)
        job = self if self.earlier else self._taken_over(folder)
        return job._work(tracker or ProgressTracker(folder), None)

    def _taken_over(self, folder: RunFolder) -> Job:
        """The job as another worker left it that died over it; the job itself if there was none."""
        if not (folder.path / "run.json").exists():
            return self
        folder.wait_until_free()  # a worker that only lost its connection may still be at it
        begun = folder.read_json("run.json")
        return replace(self, earlier=begun) if "planned_tokens_per_minute" in begun else self

    def _work(self, tracker: ProgressTracker, population: Population | None) -> Path:
        folder = RunFolder(self.folder)
        with folder.locked():
            started = datetime.now(UTC)
            record: dict[str, Any] = {"id": self.run_id, "status": "running"}
            tracker.update(status="running")

            def end(status: str, error: str | None) -> None:
                ending = {"status": status} if error is None else {"status": status, "error": error}
                folder.write_json("run.json", {**record, **ending, "wall": records.wall(started)})
                tracker.update(status=status, error=error)

            opened = population
            try:
                opened = population or self._opened(record, tracker)
                self._label(record, tracker, opened)
            except StoppedRunError as error:
                if population is None:  # a run inside another one is resumed with that one
                    error.args = (str(error).replace("resume RUN", f"resume {as_typed(self.folder)}"),)
                end("cancelled" if isinstance(error, CancelledRunError) else "stopped", str(error))
                self._leave_page(opened)
                raise
            except BaseException as error:
                end("failed", str(error) or type(error).__name__)
                raise
            end("done", None)
            self._leave_page(opened)
            return folder.path

    def _leave_page(self, population: Population | None) -> None:
        """Write the page of what has just ended, unless that was before there were sessions."""
        if self.config.page and population is not None:
            leave_page(self.folder, partial(transcripts_of, population.store, self.config.data.bot_id))

    def _opened(self, record: dict[str, Any], tracker: ProgressTracker) -> Population:
        """The sessions to choose from. Cancelled here, a run can be resumed: it knows its settings."""
        record["config"] = asdict(self.config)
        return open_population(self.config, counter_of(self.config), partial(self._prepared, tracker))

    def _prepared(self, tracker: ProgressTracker, done: int, of: int) -> None:
        """Tell how much is ready of what a run needs before its first call, unless it is to stop."""
        if RunFolder(self.folder).cancel_requested:
            raise cancelled(self.folder)
        tracker.update(phase="preparing", step=done, steps=of)

    def _label(self, record: dict[str, Any], tracker: ProgressTracker, population: Population) -> None:
        """Run the phases, keep what they brought, and measure it."""
        config, folder = self.config, RunFolder(self.folder)
        sessions, found = sampled(config, population.store)
        tracker.update(sessions_found=found, sessions_total=len(sessions))
        self._prepared(tracker, 0, 0)
        app = None
        if is_in_process(config):
            ids = [session.session_id for session in sessions]
            app = served(config, population, ids, counter_of(config))
            self._prepared(tracker, 0, 0)
        endpoint = in_process(app) if app else network(config)
        record |= self._provenance(endpoint, sessions, population)
        folder.write_json("run.json", record)
        loop = VirtualClockLoop if endpoint.virtual_time else asyncio.new_event_loop
        try:
            with asyncio.Runner(loop_factory=loop) as runner:
                outcome, stopped = runner.run(self._analyze(endpoint, sessions, record, tracker, population))
        finally:
            if app and app.faults.drawn:
                record["faults_drawn"] = dict(app.faults.drawn)
        write_tables(folder, outcome.phases)
        record |= records.totals(outcome)
        # From here on progress tells of judging and embedding too, as `run.json` does.
        tokens = outcome.account.usage
        tracker.update(
            tokens=tokens.prompt + tokens.completion,
            cost_usd=outcome.cost_usd,
            seconds=outcome.model_seconds,
        )
        stopped = stopped or no_verdict(folder, outcome.phases.resolution)
        if stopped is not None:
            raise stopped
        if sessions and not outcome.phases.final:
            raise nothing_labelled(folder, [result.error for result in outcome.phases.results])
        tracker.update(phase="measuring", step=0, steps=0)
        record |= self._measured(outcome, tracker, population)

    def _provenance(
        self, endpoint: Endpoint, sessions: Sequence[Session], population: Population
    ) -> dict[str, Any]:
        config, earlier = self.config, self.earlier
        ids = [session.session_id for session in sessions]
        fingerprint = population.store.fingerprint(config.data.bot_id, ids)
        if earlier is not None and earlier.get("dataset_fingerprint", fingerprint) != fingerprint:
            raise RunFolderError(
                f"the sessions of {self.folder} are not what they were when it started: restore the "
                "session store, or start a new run"
            )
        planned = rate_limits(config).tokens_per_minute
        return {
            **records.provenance(
                config,
                endpoint=endpoint.identity,
                dataset_fingerprint=fingerprint,
                instructions=analysis_prompt(config).instructions,
                token_counter=counter_of(config).name,
            ),
            "planned_tokens_per_minute": (earlier or {}).get("planned_tokens_per_minute", planned),
            "resumed": earlier.get("resumed", 0) + 1 if earlier else 0,
        }

    async def _analyze(
        self,
        endpoint: Endpoint,
        sessions: Sequence[Session],
        record: Mapping[str, Any],
        tracker: ProgressTracker,
        population: Population,
    ) -> tuple[Completed, StoppedRunError | None]:
        """The phases; when they stop early, what there is by then, and why."""
        config, clock = self.config, asyncio.get_running_loop()
        start, reader = clock.time(), population.store.reader(config.data.bot_id)
        planned = record["planned_tokens_per_minute"]
        journal_path = RunFolder(self.folder).journal
        connecting = connected(
            config, endpoint, counter_of(config), journal_path, planned_tokens_per_minute=planned
        )
        async with connecting as connection:
            pipeline = Pipeline(config, connection, reader, tracker, carried_over(config))
            phases, stopped = await self._watched(pipeline, sessions)
            if phases.resolution is not None:
                connection.journal.ledger(merges_recorded(merges_table(phases)), "run")
            return self._completed(phases, connection, clock.time() - start), stopped

    def _completed(self, phases: PhaseResults, connection: Connection, seconds: float) -> Completed:
        tokens, account, probes = connection.tokens, connection.journal.account(), phases.probes

        def cost_of(own: TokenManagement, *kinds: str) -> float:
            if not own.model.price_tiers:
                return own.calculate_cost_estimate(account.of(*kinds))
            # Then it matters how long each prompt was.
            some = Run(self.folder, {}).calls.filter(pl.col("kind").is_in(kinds)).select(*asdict(Usage()))
            return own.cost_of_calls(Usage(**call) for call in some.iter_rows(named=True))

        by_part = {
            "labelling": cost_of(tokens, "analyze", "embed"),
            "judging": cost_of(connection.judging, "judge", "codebook", "themes"),
        }
        unaided = phases.unaided and phases.unaided.probes
        probed, named = [
            tokens.calculate_cost_estimate(p.usage, p.calls) if p else 0.0 for p in (probes, unaided)
        ]
        cost = sum(by_part.values())
        return Completed(phases, account, cost, seconds, probed, named, connection.notices, by_part)

    async def _watched(
        self, pipeline: Pipeline, sessions: Sequence[Session]
    ) -> tuple[PhaseResults, StoppedRunError | None]:
        """The pipeline's work, with an eye on the wish to cancel."""
        folder = RunFolder(self.folder)
        work = asyncio.ensure_future(pipeline.run(sessions))
        try:
            while not work.done():
                await asyncio.wait({work}, timeout=CANCEL_POLL_SECONDS)
                if folder.cancel_requested and not work.done():
                    work.cancel()
                    await asyncio.wait({work})
                    raise cancelled(self.folder)
            return work.result(), None
        except StoppedRunError as stopped:
            return pipeline.so_far(sessions, str(stopped)), stopped

    def _measured(
        self, outcome: Completed, tracker: ProgressTracker, population: Population
    ) -> dict[str, Any]:
        """What there is to measure of a run that has ended, with its repetitions and its baseline."""
        config, folder = self.config, RunFolder(self.folder)
        ids = tuple(session.session_id for session in outcome.phases.sessions)
        names = config.schema.records().names
        truth = truth_table(population.known_truth(config.data.bot_id, ids, names))
        if not truth.is_empty():
            folder.write_table("truth", truth)
        added = {"speedup": None, "baseline": None, **measured(config, folder, outcome, truth)}
        if config.repeat > 1:
            added["agreement"]["repeats"] = self._repeated(outcome, tracker, population)
        wanted = config.baseline or ("run" if is_simulated(config) else "none")
        if wanted == "run" and config.sync != "sequential":
            tracker.update(phase="baseline", step=0, steps=tracker.current.sessions_total)
            baseline = self._inside("baseline", sequential(config), tracker, population).record
            added["baseline"] = {key: baseline[key] for key in BASELINE_FIGURES}
            added["speedup"] = round(speedup(baseline["model_seconds"], outcome.model_seconds), 4)
        return added

    def _repeated(
        self, outcome: Completed, tracker: ProgressTracker, population: Population
    ) -> dict[str, Any]:
        """The same analysis again and again, and how far its results agree."""
        config = self.config
        tables, cost = [sessions_table(outcome.phases)], 0.0
        # The budget is one for all repetitions together.
        spent = outcome.account.spent_usd + outcome.account.uncertain_usd
        tracker.update(phase="repeats", step=0, steps=(config.repeat - 1) * len(tables[0]))
        for repetition in range(config.repetition + 1, config.repetition + config.repeat):
            again = replace(
                config,
                repeat=1,
                repetition=repetition,
                baseline="none",
                probe_share=0.0,
                unaided_share=0.0,
                budget_usd=None if config.budget_usd is None else config.budget_usd - spent,
            )
            run = self._inside(f"repeat-{repetition}", again, tracker, population)
            tables.append(run.sessions)
            cost += run.record["cost_usd"]
            spent += run.record["paid"]["cost_usd"] + run.record["paid"]["uncertain_usd"]
        agreement = repeats_agreement(config, tables)
        return {"runs": config.repeat, "cost_usd": round(cost, 6), "fields": agreement}

    def _inside(self, name: str, config: Config, tracker: ProgressTracker, population: Population) -> Run:
        """Another run of the same sessions, in a folder inside this run's; resumed if it was begun.

        A replay takes its answers from the same folder inside the recorded run. Cancelling this run cancels
        it, and what is resumed is this run.
        """
        outer, inner, before = RunFolder(self.folder), RunFolder(self.folder / name), tracker.current.step
        journal = JournalConfig()
        if self.config.journal.mode == "replay":
            recorded = [str(Path(folder) / name) for folder in self.config.journal.reuse]
            journal = replace(self.config.journal, reuse=recorded)
        settings = replace(config, journal=journal, page=False)

        def follow(progress: Progress) -> None:
            tracker.update(step=before + progress.sessions_processed)
            if outer.cancel_requested:
                inner.request_cancel()

        if (inner.path / "run.json").exists():
            if inner.status() == "done":
                tracker.update(step=before + tracker.current.sessions_total)
                return load_run(inner.path)
            job = Job.resume(settings, inner.path)
        else:
            job = Job.begin(settings, inner.path)
        try:
            return load_run(job._work(ProgressTracker(inner, follow), population))
        except CancelledRunError:
            raise cancelled(self.folder) from None


def cancelled(folder: Path) -> CancelledRunError:
    """What a cancelled run ends with."""
    return CancelledRunError(f"the run was cancelled; go on with `autoanalyze resume {as_typed(folder)}`")
