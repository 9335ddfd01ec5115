"""The doors to an analysis: command line, notebooks and cluster workers all come through here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path

import polars as pl

from autoanalyze.analysis.configuration import restored, sequential
from autoanalyze.analysis.earlier_run import carried_over, closed_over
from autoanalyze.analysis.endpoints import counter_of, is_in_process, network, served
from autoanalyze.analysis.planning import Plan, plan_run
from autoanalyze.analysis.preflight import check_connection
from autoanalyze.analysis.progress import Progress
from autoanalyze.analysis.service import ParallelAutoAnalyze
from autoanalyze.analysis.sessions import open_population, transcripts_of
from autoanalyze.config import Config
from autoanalyze.data.importers import import_files
from autoanalyze.data.reports import ImportOptions, ImportReport
from autoanalyze.data.store import Store
from autoanalyze.errors import ConfigurationError
from autoanalyze.llm.tokens import Estimate, count_with, known_prices, load_counter
from autoanalyze.serving.app import ServedEndpoint
from autoanalyze.study.runs import Run


def build_analysis(
    config: Config,
    *,
    executor: Executor | None = None,
    listener: Callable[[Progress], None] | None = None,
    progress: bool = True,
) -> ParallelAutoAnalyze:
    """An analysis, ready to run, as the configuration describes it.

    `executor` is any of concurrent.futures, or another package's such as `dask.distributed`'s
    `Client(...).get_executor()`; by default a thread of this process works. `listener` is called with every
    `Progress`; without one, Jupyter shows live progress below the cell that starts a run, unless `progress`
    is false. Raises ConfigurationError when the configuration lacks something that the run needs.
    """
    effective = closed_over(config)
    if config.sync == "sequential":  # what a person set around the run still holds
        effective = replace(sequential(effective), budget_usd=config.budget_usd, journal=config.journal)
    analysis = ParallelAutoAnalyze(effective, executor, listener=listener, progress=progress)
    analysis.warnings = check(effective)
    return analysis


def check(config: Config) -> list[str]:
    """Say now, before a run folder is made, what a run would miss: a price, a key, a store, an endpoint that
    answers. Returns what to know of an endpoint that does."""
    known_prices(config.model)
    if config.resolution.model is not None:
        known_prices(config.resolution.model, "resolution.model")
    carried_over(config)
    endpoint = None if is_in_process(config) else network(config)
    if config.data.source != "synthetic":  # inventing sessions takes time, of which the run's progress tells
        open_population(config, counter_of(config))
    if endpoint is None or config.journal.mode == "replay":
        return []
    return check_connection(config, endpoint)


def build_plan(config: Config) -> Plan:
    """What the configured run would take; contacts nothing."""
    config, counter = closed_over(config), counter_of(config)
    return plan_run(config, open_population(config, counter).store, counter)


def build_endpoint(config: Config) -> ServedEndpoint:
    """The endpoint of this process over all sessions of the configured data, to be served in real time."""
    counter = counter_of(config)
    population = open_population(config, counter)
    sessions = population.store.sessions(config.data.bot_id)
    return served(config, population, sessions["session_id"].to_list(), counter)


def transcripts(run: Run, session_ids: Sequence[str], *, store: Path | str | None = None) -> pl.DataFrame:
    """What was said in some sessions of a run: a row per message, in the order asked for.

    Columns: session_id, position, role, text, timestamp. Run folders hold no transcripts: they are read from
    the session store that the run names, or from `store` where it was moved since, or invented anew where
    the run's sessions were. Raises ConfigurationError if the store is gone, and ImportDataError if it lacks
    a session.
    """
    config = restored(run.record["config"])
    path = config.data.path
    if store is not None:
        config = replace(config, data=replace(config.data, source="store", path=str(store)))
    elif config.data.source == "store" and path is not None and not Path(path).exists():
        raise ConfigurationError(
            f"the session store of this run was {path}, where nothing is now (looked from {Path.cwd()}): "
            "if it was moved, say where it is with transcripts(run, ids, store=...)"
        )
    found = open_population(config, Estimate()).store
    return transcripts_of(found, config.data.bot_id, session_ids)


def import_sessions(
    files: Path | str | Sequence[Path | str],
    into: Path | str,
    options: ImportOptions | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Import files, folders or patterns of sessions into a store, made if it is missing.

    Tokens are counted with o200k_base if that can be had. Raises ImportDataError for files that cannot be
    read or understood; rows and sessions that stay out are in the report.
    """
    counter = load_counter("o200k_base", "tiktoken")
    sources = [files] if isinstance(files, (str, Path)) else files
    with Store.open(into) as store:
        return import_files(
            sources,
            store,
            options or ImportOptions(),
            count_tokens=count_with(counter),
            token_encoding=counter.name,
            progress=progress,
        )
