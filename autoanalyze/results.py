"""What a run ends with, and the tables of the run folder made from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any

from autoanalyze.llm.journal import Account
from autoanalyze.phases.conflicts import ResolutionResult
from autoanalyze.phases.discovery import DiscoveryResult
from autoanalyze.phases.parallel import ParallelResult, RoundRecord
from autoanalyze.phases.probes import ProbeResult
from autoanalyze.phases.vocabulary import label_use
from autoanalyze.records import (
    Facts,
    LabelSchema,
    Session,
    SessionResult,
    Usage,
    VocabularySnapshot,
)
from autoanalyze.verdicts import Carried

__all__ = ["Outcome", "PhaseResults", "totals"]


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
    carried: Carried = field(default_factory=Carried)

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
    use = label_use(phases.schema, phases.vocabulary, phases.results)
    return {
        "sessions": {
            "sampled": len(phases.sessions),
            "labelled": labelled,
            "unresolved": len(phases.sessions) - labelled,
            "shortened": sum(result.shortened for result in phases.results),
        },
        "labels": {
            name: {
                "first_given": sum(count > 0 for count in use[name].counts.values()),
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
    return asdict(usage)


def mean_staleness(rounds: Sequence[RoundRecord]) -> dict[str, float | None]:
    """Means over the calls of a run: versions, and labels found by others, that a call did not see."""
    means = {"staleness": [r.staleness for r in rounds], "missed_labels": [r.missed_labels for r in rounds]}
    return {name: round(fmean(values), 4) if values else None for name, values in means.items()}


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
            **mean_staleness(parallel.rounds),
            "degradations": [asdict(degradation) for degradation in parallel.degradations],
        },
        "resolution": resolution
        and {
            "conflicts_found": resolution.conflicts_found,
            "resolved": resolution.resolved,
            "canonical_mappings": resolution.canonical_mappings,
            "merged_on_the_way": sum(merge.round > 0 for merge in resolution.merges),
            "pairs_judged": resolution.pairs_judged,
            "errors": list(resolution.errors),
        },
    }
