"""What a run ends with, and the tables of the run folder made from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import polars as pl

from autoanalyze.llm.journal import Account
from autoanalyze.phases.conflicts import ResolutionResult
from autoanalyze.phases.discovery import DiscoveryResult
from autoanalyze.phases.probes import ProbeResult
from autoanalyze.phases.rounds import ParallelResult, RoundRecord
from autoanalyze.phases.vocabulary import label_counts
from autoanalyze.records import (
    FALLBACK_OUTCOMES,
    Facts,
    LabelSchema,
    Resolution,
    Session,
    SessionResult,
    Usage,
    VocabularySnapshot,
)
from autoanalyze.run_folder import RunFolder
from autoanalyze.study.efficiency import staleness

__all__ = ["Outcome", "PhaseResults", "probes_table", "sessions_table", "tables", "totals", "write_tables"]


@dataclass(frozen=True, slots=True)
class PhaseResults:
    """What the phases brought. `results` holds a row per session with the labels first given;
    `final` the facts of the labelled ones under their canonical labels. A phase that a run did
    not get to is null."""

    schema: LabelSchema
    sessions: tuple[Session, ...]
    results: tuple[SessionResult, ...]
    final: Mapping[str, Facts]
    vocabulary: VocabularySnapshot
    discovery: DiscoveryResult | None = None
    parallel: ParallelResult | None = None
    resolution: ResolutionResult | None = None
    probes: ProbeResult | None = None

    def redirects(self) -> Mapping[str, Mapping[str, str]]:
        """Per field, alias to canonical."""
        return self.resolution.redirects() if self.resolution else {}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The phases' results, and what they took. `cost_usd` is as if every call were made now;
    `model_seconds` is time on the run's clock."""

    phases: PhaseResults
    account: Account
    cost_usd: float
    model_seconds: float
    probes_cost_usd: float = 0.0
    """The part of `cost_usd` that probes took."""


def totals(outcome: Outcome) -> dict[str, Any]:
    """The figures of a run for `run.json`."""
    phases, account = outcome.phases, outcome.account
    labelled = sum(result.facts is not None for result in phases.results)
    return {
        "sessions": {
            "sampled": len(phases.sessions),
            "labelled": labelled,
            "unresolved": len(phases.sessions) - labelled,
            "shortened": sum(result.shortened for result in phases.results),
        },
        "labels": {
            name: {
                "first_given": len(phases.vocabulary.labels(name)),
                "final": len({facts.labels[name] for facts in phases.final.values()} - {None}),
            }
            for name in phases.schema.names
        },
        "calls": account.calls,
        "failed_calls": account.failures,
        "tokens": tokens_of(account.usage),
        "cost_usd": round(outcome.cost_usd, 6),
        "paid": {
            "calls": account.paid_calls,
            "tokens": tokens_of(account.paid_usage),
            "cost_usd": round(account.spent_usd, 6),
            "uncertain_usd": round(account.uncertain_usd, 6),
        },
        "model_seconds": round(outcome.model_seconds, 3),
        **phase_totals(phases),
        "probes": phases.probes and probe_totals(phases.probes, outcome.probes_cost_usd),
    }


def probe_totals(probes: ProbeResult, cost_usd: float) -> dict[str, Any]:
    """What measuring agreement took; it is part of the run's own calls, tokens and time."""
    return {
        "asked": probes.asked,
        "answered": len(probes.facts),
        "calls": probes.calls,
        "tokens": tokens_of(probes.usage),
        "cost_usd": round(cost_usd, 6),
        "seconds": round(probes.seconds, 3),
    }


def tokens_of(usage: Usage) -> dict[str, int]:
    """A usage by name."""
    return {"prompt": usage.prompt, "cached": usage.cached, "completion": usage.completion}


def phase_totals(phases: PhaseResults) -> dict[str, Any]:
    """The figures of each phase; null for one that the run did not get to."""
    discovery, parallel, resolution = phases.discovery, phases.parallel, phases.resolution
    return {
        "discovery": discovery
        and {
            "sessions": discovery.processed_count,
            "unique_labels": discovery.unique_labels,
            "rate": round(discovery.discovery_rate, 4),
            "seconds": round(discovery.stream.seconds, 3),
            "ramp_sessions": discovery.ramp_sessions,
        },
        "parallel": parallel
        and {
            "rounds": len(parallel.rounds),
            "sync_points": parallel.sync_points,
            "utilisation": round(parallel.utilisation, 4),
            **staleness(rounds_table(parallel.rounds)),
            "degradations": [asdict(degradation) for degradation in parallel.degradations],
        },
        "resolution": resolution
        and {
            "conflicts_found": resolution.conflicts_found,
            "resolved": resolution.resolved,
            "canonical_mappings": resolution.canonical_mappings,
            "merged_on_the_way": sum(merge.round > 0 for merge in resolution.resolutions),
            "errors": list(resolution.errors),
        },
    }


def write_tables(folder: RunFolder, phases: PhaseResults) -> None:
    """Write the tables of a run into its folder."""
    for name, frame in tables(phases).items():
        folder.write_table(name, frame)
    if phases.probes is not None:
        folder.write_table("probes", probes_table(phases))


def tables(phases: PhaseResults) -> dict[str, pl.DataFrame]:
    """The tables of the run folder: sessions, labels, merges, rounds."""
    return {
        "sessions": sessions_table(phases),
        "labels": labels_table(phases),
        "merges": merges_table(phases.resolution.resolutions if phases.resolution else ()),
        "rounds": rounds_table(phases.parallel.rounds if phases.parallel else ()),
    }


def sessions_table(phases: PhaseResults) -> pl.DataFrame:
    """A row per sampled session, in the order of the sample."""
    rows = []
    for session, result in zip(phases.sessions, phases.results, strict=True):
        final = phases.final.get(session.session_id)
        labels: dict[str, str | None] = {}
        for name in phases.schema.names:
            labels[name] = final.labels[name] if final else None
            labels[f"{name}_first"] = result.facts.labels[name] if result.facts else None
        rows.append(
            {
                "session_id": session.session_id,
                "user_id": session.user_id,
                "start_time": session.start_time,
                "containment_type": session.containment_type,
                "message_count": session.message_count,
                "token_count": session.token_count,
                "status": result.status,
                "session_outcome": final.session_outcome if final else None,
                "fallback_outcome": None if final else FALLBACK_OUTCOMES[session.containment_type],
                **labels,
                "notes": final.notes if final else None,
                "phase": result.phase,
                "round": result.round,
                "stream": result.stream,
                "attempts": result.attempts,
                "vocabulary_version": result.vocabulary_version,
                "shortened": result.shortened,
                "error": result.error,
            }
        )
    text = pl.String()
    schema: dict[str, Any] = {
        "session_id": text,
        "user_id": text,
        "start_time": pl.Datetime("us"),
        "containment_type": text,
        "message_count": pl.Int64(),
        "token_count": pl.Int64(),
        "status": text,
        "session_outcome": text,
        "fallback_outcome": text,
        **{column: text for name in phases.schema.names for column in (name, f"{name}_first")},
        "notes": text,
        "phase": text,
        "round": pl.Int64(),
        "stream": pl.Int64(),
        "attempts": pl.Int64(),
        "vocabulary_version": pl.Int64(),
        "shortened": pl.Boolean(),
        "error": text,
    }
    return pl.DataFrame(rows, schema=schema)


def labels_table(phases: PhaseResults) -> pl.DataFrame:
    """The vocabulary: a row per label with its arrival, its version, and its sessions before and after."""
    redirects = phases.redirects()
    first = label_counts(phases.schema, phases.vocabulary, phases.results)
    final: dict[str, dict[str, int]] = {name: {} for name in phases.schema.names}
    for facts in phases.final.values():
        for name, label in facts.labels.items():
            if label is not None:
                final[name][label] = final[name].get(label, 0) + 1
    rows = [
        {
            "field": name,
            "label": label,
            "canonical": redirects.get(name, {}).get(label, label),
            "sessions_first": first[name][label],
            "sessions": final[name].get(label, 0),
            "version": version,
        }
        for version, addition in enumerate(phases.vocabulary.additions, start=1)
        for name, labels in addition.items()
        for label in labels
    ]
    schema: dict[str, Any] = {
        "field": pl.String(),
        "label": pl.String(),
        "canonical": pl.String(),
        "sessions_first": pl.Int64(),
        "sessions": pl.Int64(),
        "version": pl.Int64(),
    }
    return pl.DataFrame(rows, schema=schema).with_row_index("arrival")


def merges_table(resolutions: Sequence[Resolution]) -> pl.DataFrame:
    """A row per redirected alias."""
    schema: dict[str, Any] = {
        "field": pl.String(),
        "alias": pl.String(),
        "canonical": pl.String(),
        "judge": pl.String(),
        "reason": pl.String(),
        "round": pl.Int64(),
        "similarity": pl.Float64(),
    }
    return pl.DataFrame([asdict(merge) for merge in resolutions], schema=schema)


def probes_table(phases: PhaseResults) -> pl.DataFrame:
    """A row per session that was labelled twice: the second answer, under canonical labels."""
    redirects, names = phases.redirects(), phases.schema.names
    facts = phases.probes.facts if phases.probes else {}
    rows = [
        {
            "session_id": session_id,
            **{
                name: None if label is None else redirects.get(name, {}).get(label, label)
                for name, label in fact.labels.items()
            },
        }
        for session_id, fact in sorted(facts.items())
    ]
    return pl.DataFrame(rows, schema=dict.fromkeys(("session_id", *names), pl.String))


def rounds_table(rounds: Sequence[RoundRecord]) -> pl.DataFrame:
    """A row per round, or per call where there are no rounds; times in seconds on the run's clock."""
    schema: dict[str, Any] = {
        column.name: pl.Float64() if column.type == "float" else pl.Int64() for column in fields(RoundRecord)
    }
    return pl.DataFrame([asdict(record) for record in rounds], schema=schema)
