"""The doors to an analysis: command line, notebooks and cluster workers all come through here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import polars as pl

from autoanalyze.analysis.configuration import restored, sequential
from autoanalyze.analysis.endpoints import Workshop
from autoanalyze.analysis.folder import RunFolder
from autoanalyze.analysis.planning import Plan, plan_run
from autoanalyze.analysis.progress import Progress, ProgressTracker
from autoanalyze.analysis.service import ParallelAutoAnalyze, Submit
from autoanalyze.cluster import connected
from autoanalyze.config import Config, JobsConfig
from autoanalyze.data.importers import ImportReport, import_file
from autoanalyze.data.store import Store
from autoanalyze.llm.tokens import count_with, load_counter
from autoanalyze.simulation.endpoint import SimulatedEndpoint
from autoanalyze.study.runs import Run

__all__ = ["build_analysis", "build_endpoint", "build_plan", "import_sessions", "transcripts"]


def build_analysis(
    config: Config,
    *,
    executor: Executor | None = None,
    listener: Callable[[Progress], None] | None = None,
    progress: bool = True,
) -> ParallelAutoAnalyze:
    """An analysis, ready to run, as the configuration describes it.

    `listener` is called with every `Progress`, in the thread that works. Without one, Jupyter shows
    live progress below the cell that starts a run, unless `progress` is false.
    Raises ConfigurationError when the configuration lacks something that the run needs.
    """
    effective = sequential(config) if config.sync == "sequential" else config
    if effective.jobs.address is not None:
        return ParallelAutoAnalyze(effective, on_cluster(effective), listener=listener, progress=progress)
    return Workshop(effective).analysis(executor=executor, listener=listener, progress=progress)


def on_cluster(config: Config) -> Submit:
    """Work on jobs at `jobs.address`. Run folder and session store must have the same paths there.

    Raises ConfigurationError if nobody answers there.
    """
    executor = connected(config.jobs.address).get_executor()
    path = config.data.path and str(Path(config.data.path).absolute())
    there = replace(config, jobs=JobsConfig(), data=replace(config.data, path=path))

    def submit(
        run_id: str, folder: RunFolder, tracker: ProgressTracker, earlier: dict[str, Any] | None
    ) -> Future[Path]:
        future: Future[Path] = executor.submit(work_remotely, there, run_id, folder.path.absolute(), earlier)
        tracker.follow(future)
        return future

    return submit


def work_remotely(config: Config, run_id: str, path: Path, earlier: dict[str, Any] | None) -> Path:
    """One job, in a worker of a cluster; taken up again where another worker died over it."""
    folder = RunFolder(path)
    folder.wait_until_free()  # a worker that lost its connection may still be at it
    if earlier is None and (path / "run.json").exists():
        begun = folder.read_json("run.json")
        earlier = begun if "planned_tokens_per_minute" in begun else None
    return Workshop(config).work(run_id, folder, earlier)


def build_plan(config: Config) -> Plan:
    """What the configured run would take; contacts nothing."""
    workshop = Workshop(config)
    return plan_run(config, workshop.store, workshop.counter)


def build_endpoint(config: Config) -> SimulatedEndpoint:
    """The simulated endpoint over all sessions of the configured data, to be served in real time."""
    workshop = Workshop(config)
    bot = config.data.bot_id
    return workshop.simulated_endpoint(workshop.store.sessions(bot)["session_id"].to_list())


def transcripts(run: Run, session_ids: Sequence[str]) -> pl.DataFrame:
    """What was said in some sessions of a run: a row per message, in the order asked for.

    Columns: session_id, position, role, text, timestamp. Run folders hold no transcripts: they are read from
    the session store that the run names, or invented anew where the run's sessions were. Raises
    ConfigurationError if the store is gone, and ImportDataError if it lacks a session.
    """
    config = restored(run.record["config"])
    # Without an endpoint, so that no key is needed.
    found = Workshop(replace(config, endpoint="simulated")).store.read(config.data.bot_id, session_ids)
    rows = [
        {"session_id": session_id, "position": position, **asdict(message)}
        for session_id in session_ids
        for position, message in enumerate(found[session_id])
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def import_sessions(
    path: Path,
    into: Path,
    *,
    bot_id: str,
    mapping: dict[str, str],
    strict: bool,
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Import a file of sessions into a store, counting tokens with o200k_base if that can be had."""
    counter = load_counter("o200k_base", "tiktoken")
    with Store.open(into) as store:
        return import_file(
            path,
            store,
            bot_id=bot_id,
            mapping=mapping,
            strict=strict,
            count_tokens=count_with(counter),
            token_encoding=counter.name,
            progress=progress,
        )
