"""What is measured of a run when it has ended: scores, efficiency, agreement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from autoanalyze.analysis.folder import RunFolder
from autoanalyze.analysis.record import Completed
from autoanalyze.analysis.tables import probes_table, sessions_table, unaided_table
from autoanalyze.config import Config
from autoanalyze.llm.connection import rate_limits
from autoanalyze.phases.duplicates.spelling import normal_form
from autoanalyze.study import efficiency
from autoanalyze.study.attractors import attraction
from autoanalyze.study.code_sets import stream_code_sets
from autoanalyze.study.intervals import Estimate
from autoanalyze.study.metrics import matched, same_label, score_run
from autoanalyze.study.runs import Run


def measured(config: Config, folder: RunFolder, outcome: Completed, truth: pl.DataFrame) -> dict[str, Any]:
    """What `run.json` says of a run besides its totals; scores only where truth is known."""
    phases, limits = outcome.phases, rate_limits(config)
    sessions = sessions_table(phases)
    probes = None if phases.probes is None else probes_table(phases)
    unaided = None if phases.unaided is None else unaided_table(phases)
    found: dict[str, Any] = {
        "efficiency": efficiency.efficiency(
            Run(folder.path, {}).calls,
            streams=config.parallel.streams,
            model_seconds=outcome.model_seconds,
            tokens_per_minute=limits.tokens_per_minute,
            requests_per_minute=limits.requests_per_minute,
        ),
        **label_measures(config, sessions, probes, truth, unaided),
    }
    if not truth.is_empty():
        rounds = pl.read_parquet(folder.path / "rounds.parquet")
        found["collisions"] = efficiency.collisions(sessions, rounds, truth, phases.schema.names)
    return found


def label_measures(
    config: Config,
    sessions: pl.DataFrame,
    probes: pl.DataFrame | None,
    truth: pl.DataFrame,
    unaided: pl.DataFrame | None = None,
) -> dict[str, Any]:
    """What is measured of final labels: scores against the truth where it is known, agreement of streams and
    of probes, and labels that attract."""
    names = config.schema.records().names
    alike = {field: sets.as_dict() for field, sets in stream_code_sets(sessions, names).items()}
    found: dict[str, Any] = {"metrics": {}, "agreement": {"streams": alike}}
    if not truth.is_empty():
        scores = score_run(sessions, truth, names, seed=config.seed, resamples=config.resamples)
        found["metrics"] = {
            field: {**score.as_dict(), "right_names": right_names(config, sessions, truth, field).as_dict()}
            for field, score in scores.items()
        }
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
    if unaided is not None:
        whose = unaided.sort("session_id")
        found["attractors"] = {
            name: attraction(
                both(whose.select("session_id", second=name), sessions, name)
                .drop_nulls()
                .select("first", "second")
                .rows()
            ).to_dicts()
            for name in names
        }
    return found


def right_names(config: Config, sessions: pl.DataFrame, truth: pl.DataFrame, field: str) -> Estimate:
    """The share of sessions, 0 to 1, whose final label is their concept's own name, with a 95 % interval.

    Compared are normal forms: spelling, plurals and mostly the order of words do not matter. The truth has
    one name for each concept, and any other that is right as well counts as wrong, as does a session without
    a label: this is a lower bound, and where the truth has codes instead of names it says nothing.
    """
    known = truth.filter(pl.col("field") == field).select("session_id", second="concept")
    given = sessions.select("session_id", "user_id", first=field).join(known, on="session_id")
    forms = {
        name: " ".join(normal_form(name))
        for name in {*given["first"].drop_nulls().unique(), *given["second"].unique()}
    }
    compared = given.with_columns(pl.col("first", "second").replace(forms))
    return same_label(compared.sort("session_id"), seed=config.seed, resamples=config.resamples)


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
    """Two labellings side by side: first and second, with session_id and what else `second` has."""
    return second.join(sessions.select("session_id", first=name), on="session_id")
