"""What is measured of a run when it has ended: scores, efficiency, agreement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from autoanalyze.analysis.folder import RunFolder
from autoanalyze.analysis.record import Completed
from autoanalyze.analysis.tables import probes_table, sessions_table
from autoanalyze.config import Config
from autoanalyze.llm.connection import rate_limits
from autoanalyze.study import efficiency
from autoanalyze.study.metrics import matched, same_label, score_run
from autoanalyze.study.runs import Run


def measured(config: Config, folder: RunFolder, outcome: Completed, truth: pl.DataFrame) -> dict[str, Any]:
    """What `run.json` says of a run besides its totals; scores only where truth is known."""
    phases, limits = outcome.phases, rate_limits(config)
    sessions = sessions_table(phases)
    probes = None if phases.probes is None else probes_table(phases)
    found: dict[str, Any] = {
        "efficiency": efficiency.efficiency(
            Run(folder.path, {}).calls,
            streams=config.parallel.streams,
            model_seconds=outcome.model_seconds,
            tokens_per_minute=limits.tokens_per_minute,
            requests_per_minute=limits.requests_per_minute,
        ),
        **label_measures(config, sessions, probes, truth),
    }
    if not truth.is_empty():
        rounds = pl.read_parquet(folder.path / "rounds.parquet")
        found["collisions"] = efficiency.collisions(sessions, rounds, truth, phases.schema.names)
    return found


def label_measures(
    config: Config, sessions: pl.DataFrame, probes: pl.DataFrame | None, truth: pl.DataFrame
) -> dict[str, Any]:
    """What is measured of final labels: scores against the truth where it is known, agreement of probes."""
    names = config.schema.records().names
    found: dict[str, Any] = {"metrics": {}, "agreement": {}}
    if not truth.is_empty():
        scores = score_run(sessions, truth, names, seed=config.seed, resamples=config.resamples)
        found["metrics"] = {field: score.as_dict() for field, score in scores.items()}
    if probes is not None:
        whose = probes.join(sessions.select("session_id", "user_id"), on="session_id")
        found["agreement"]["probes"] = {
            name: same_label(
                both(whose.select("session_id", "user_id", second=name), sessions, name),
                seed=config.seed,
                resamples=config.resamples,
            ).as_dict()
            for name in names
        }
    return found


def repeats_agreement(config: Config, runs: Sequence[pl.DataFrame]) -> dict[str, Any]:
    """How far repetitions agree with the first: the ceiling of what consistency can be.

    `runs` are the sessions tables of all repetitions, the first one first. Per field, names of each
    further run are paired with those of the first, and all its sessions counted.
    """
    found: dict[str, dict[str, float | None]] = {}
    for name in config.schema.records().names:
        pairs = [
            both(other.select("session_id", "user_id", second=name), runs[0], name) for other in runs[1:]
        ]
        estimates = [matched(pair, seed=config.seed, resamples=config.resamples) for pair in pairs]
        found[name] = {}
        for end in ("value", "low", "high"):
            known = [getattr(e, end) for e in estimates if getattr(e, end) is not None]
            found[name][end] = round(sum(known) / len(known), 6) if known else None
    return found


def both(second: pl.DataFrame, sessions: pl.DataFrame, name: str) -> pl.DataFrame:
    """Two labellings side by side: session_id, user_id, first, second."""
    return second.join(sessions.select("session_id", first=name), on="session_id")
