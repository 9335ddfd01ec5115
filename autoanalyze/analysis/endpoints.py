"""What a run is made of, from a configuration: the one place that chooses between parts.

Only here does it matter whether requests go to the simulated model or to a real endpoint,
and only here does planted truth leave the store: for the simulated model before a run, for
the metrics after it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from autoanalyze.analysis.configuration import digest, sequential
from autoanalyze.analysis.earlier_run import carried_over
from autoanalyze.analysis.folder import RunFolder
from autoanalyze.analysis.job import Engine, Job
from autoanalyze.analysis.progress import Progress, ProgressTracker
from autoanalyze.analysis.record import Completed
from autoanalyze.analysis.scoring import measured, repeats_agreement
from autoanalyze.analysis.service import ParallelAutoAnalyze, Submit
from autoanalyze.analysis.sessions import Population, synthetic_population
from autoanalyze.analysis.tables import sessions_table
from autoanalyze.config import Config, JournalConfig
from autoanalyze.data.store import Store
from autoanalyze.errors import ConfigurationError
from autoanalyze.llm.calls import Endpoint
from autoanalyze.llm.tokens import load_counter
from autoanalyze.records import Session, Truth
from autoanalyze.simulation.clock import VirtualClockLoop
from autoanalyze.simulation.endpoint import SimulatedEndpoint
from autoanalyze.simulation.model import SimulatedModel
from autoanalyze.simulation.truth import PlantedTruth
from autoanalyze.study.metrics import speedup
from autoanalyze.study.runs import Run, load_run

__all__ = ["Workshop"]

Finish = Callable[[RunFolder, Completed, ProgressTracker], dict[str, Any]]
"""What is done with a run when its phases have ended; what it adds to run.json."""

OPENAI_URL = "https://api.openai.com/v1"
POPULATION_SHARE = 1.5
"""Synthetic sessions that there are, per session to sample, unless `data.population` says otherwise."""


class Workshop:
    """Everything that a run and its baseline share: store, token counter, planted truth."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.simulated = config.endpoint == "simulated"
        # A replay contacts nothing: its answers take the time they took, in no time.
        self.replayed = config.journal.mode == "replay"
        self.relive = self.simulated or self.replayed
        self.loop_factory: Callable[[], asyncio.AbstractEventLoop] = (
            VirtualClockLoop if self.relive else asyncio.new_event_loop
        )
        """Whose time passes in runs."""
        mode = config.token_counter
        self.counter = load_counter(
            config.model.encoding, ("estimate" if self.simulated else "tiktoken") if mode == "auto" else mode
        )
        if not self.simulated:
            # Looked at now, so that a missing key is said before a run folder is made.
            _ = self._network
        self._carried = carried_over(config)
        self._population = self._open_population()
        self.store = self._population.store
        self.endpoints: list[SimulatedEndpoint] = []
        """The simulated endpoints that runs were given, newest last."""

    def analysis(
        self,
        *,
        executor: Executor | None = None,
        listener: Callable[[Progress], None] | None = None,
        progress: bool = True,
    ) -> ParallelAutoAnalyze:
        """The configured run, which scores itself and runs its baseline when it is done."""
        return ParallelAutoAnalyze(
            self._config, self._submit_to(executor, self._finish), listener=listener, progress=progress
        )

    def work(self, run_id: str, folder: RunFolder, earlier: dict[str, Any] | None) -> Path:
        """One job of the configured run, here and now."""
        engine, tracker = self._engine(self._finish), ProgressTracker(folder)
        return Job(run_id, self._config, self.store, engine, folder, tracker).run(earlier)

    def _submit_to(self, executor: Executor | None, finish: Finish, config: Config | None = None) -> Submit:
        """Work on jobs in an executor of this process, by default a thread of its own."""
        workers = executor or ThreadPoolExecutor(thread_name_prefix="autoanalyze")

        def submit(
            run_id: str, folder: RunFolder, tracker: ProgressTracker, earlier: dict[str, Any] | None
        ) -> Future[Path]:
            job = Job(run_id, config or self._config, self.store, self._engine(finish), folder, tracker)
            return workers.submit(job.run, earlier)

        return submit

    def _engine(self, finish: Finish) -> Engine:
        return Engine(
            loop_factory=self.loop_factory,
            counter=self.counter,
            connect=self._simulate if self.simulated else lambda _sessions: self._network,
            finish=finish,
            relive=self.relive,
            carried=self._carried,
        )

    def _open_population(self) -> Population:
        data = self._config.data
        if data.source == "store":
            if data.path is None:
                raise ConfigurationError(
                    "data.path is not set: give data.path=sessions.duckdb, as made by "
                    "`autoanalyze import FILE --into sessions.duckdb`"
                )
            return Population(Store.open(data.path, read_only=True))
        if data.source == "labels":
            raise ConfigurationError(
                "data=labels has no sessions to analyse: `autoanalyze run data=labels` measures duplicate "
                "detection on it; choose data=synthetic or data=store for anything else"
            )
        population = data.population or round(POPULATION_SHARE * data.count)
        return synthetic_population(
            population, seed=data.population_seed, bot_id=data.bot_id, counter=self.counter
        )

    @cached_property
    def _network(self) -> Endpoint:
        """A real endpoint, with the key from the environment."""
        key = os.environ.get("OPENAI_API_KEY", "")
        if self._config.endpoint == "openai":
            if not key and not self.replayed:
                raise ConfigurationError(
                    "endpoint=openai needs a key: set the environment variable OPENAI_API_KEY, or leave "
                    "endpoint=simulated to try things out for free"
                )
            url = os.environ.get("OPENAI_BASE_URL") or OPENAI_URL
            return Endpoint(url, url, key or "none")
        return Endpoint(self._config.endpoint, self._config.endpoint, key or "none")

    def _simulate(self, sessions: Sequence[Session]) -> Endpoint:
        served = self.simulated_endpoint([session.session_id for session in sessions])
        # The behaviour is part of the identity: another noise gives other answers to the same request.
        identity = f"simulated-{digest(asdict(self._config.noise))[:8]}"
        return Endpoint(identity, "http://simulated/v1", "simulated", served.transport())

    def simulated_endpoint(self, session_ids: Sequence[str]) -> SimulatedEndpoint:
        """A simulated endpoint that knows these sessions, with nothing cached yet.

        Raises ConfigurationError if none of them has planted truth.
        """
        config, schema = self._config, self._config.schema.records()
        labeller = SimulatedModel(self._planted(tuple(session_ids)), config.noise, schema)
        tier = config.model.tiers[config.limits.tier] if config.limits.tier else None
        endpoint = SimulatedEndpoint(
            labeller, config.model, config.noise, self.counter, tier=tier, faults=config.faults
        )
        self.endpoints.append(endpoint)
        return endpoint

    def _planted(self, session_ids: tuple[str, ...]) -> PlantedTruth:
        if not any(truth.concepts for truth in self._known_truth(session_ids)):
            raise ConfigurationError(
                f"endpoint=simulated answers from planted truth, and none of these {len(session_ids):,} "
                "sessions has any: import data with true_<field> columns, use data=synthetic, or name a "
                "real endpoint (endpoint=openai or a URL)"
            )
        return self._population.planted(
            self._config.data.bot_id, session_ids, self._config.schema.records().names
        )

    def _known_truth(self, session_ids: tuple[str, ...]) -> Sequence[Truth]:
        names = self._config.schema.records().names
        return self._population.known_truth(self._config.data.bot_id, session_ids, names)

    def _finish(self, folder: RunFolder, outcome: Completed, tracker: ProgressTracker) -> dict[str, Any]:
        """Measure a run that has ended; run its repetitions, and the baseline of its speedup."""
        added = self._score(folder, outcome, tracker)
        if self._config.repeat > 1:
            added["agreement"]["repeats"] = self._run_repetitions(folder, outcome, tracker)
        wanted = self._config.baseline or ("run" if self.simulated else "none")
        if wanted == "run" and self._config.sync != "sequential":
            tracker.update(phase="baseline", step=0, steps=tracker.current.sessions_total)
            baseline = replace(sequential(self._config), journal=self._journal_inside("baseline"))
            record = self._run_inside(folder, "baseline", baseline, tracker).record
            wanted_keys = ("model_seconds", "calls", "tokens", "cost_usd", "metrics")
            added["baseline"] = {key: record[key] for key in wanted_keys}
            added["speedup"] = round(speedup(record["model_seconds"], outcome.model_seconds), 4)
        return added

    def _score(self, folder: RunFolder, outcome: Completed, _tracker: ProgressTracker) -> dict[str, Any]:
        """Write what is known to be right beside the results, and compare the two."""
        truth = truth_table(
            self._known_truth(tuple(session.session_id for session in outcome.phases.sessions))
        )
        if not truth.is_empty():
            folder.write_table("truth", truth)
        return {"speedup": None, "baseline": None, **measured(self._config, folder, outcome, truth)}

    def _run_repetitions(
        self, folder: RunFolder, outcome: Completed, tracker: ProgressTracker
    ) -> dict[str, Any]:
        """The same analysis again and again, each in a run folder of its own inside the run's."""
        config = self._config
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
                journal=self._journal_inside(f"repeat-{repetition}"),
                budget_usd=None if config.budget_usd is None else config.budget_usd - spent,
            )
            run = self._run_inside(folder, f"repeat-{repetition}", again, tracker)
            tables.append(run.sessions)
            cost += run.record["cost_usd"]
            spent += run.record["paid"]["cost_usd"] + run.record["paid"]["uncertain_usd"]
        agreement = repeats_agreement(config, tables)
        return {"runs": config.repeat, "cost_usd": round(cost, 6), "fields": agreement}

    def _journal_inside(self, name: str) -> JournalConfig:
        """Where a run inside this one takes its answers from: a replay replays those of the recorded run."""
        journal = self._config.journal
        if journal.mode != "replay":
            return JournalConfig()
        return replace(journal, reuse=[str(Path(folder) / name) for folder in journal.reuse])

    def _run_inside(self, folder: RunFolder, name: str, config: Config, tracker: ProgressTracker) -> Run:
        """Another run of the same sessions, in a run folder inside this run's; resumed if it was begun."""
        inner, before = RunFolder(folder.path / name), tracker.current.step

        def follow(progress: Progress) -> None:
            tracker.update(step=before + progress.sessions_processed)
            if folder.cancel_requested:
                inner.request_cancel()

        service = ParallelAutoAnalyze(config, self._submit_to(None, self._score, config), listener=follow)
        begun = (inner.path / "run.json").exists()
        if begun and inner.status() == "done":
            tracker.update(step=before + tracker.current.sessions_total)
            return load_run(inner.path)
        return service.run_sync(inner.path, resume=begun)


def truth_table(known: Sequence[Truth]) -> pl.DataFrame:
    """A row per session and field whose concept is known."""
    rows = [
        (truth.session_id, field, concept)
        for truth in known
        for field, concept in sorted(truth.concepts.items())
    ]
    schema = {"session_id": pl.String, "field": pl.String, "concept": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")
