"""What run.json says of a run: where it comes from, and its totals."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from typing import Any

from autoanalyze.analysis.configuration import code_digest, config_hash, digest, located
from autoanalyze.config import Config
from autoanalyze.llm.journal import Account
from autoanalyze.phases.probes import ProbeResult
from autoanalyze.phases.results import PhaseResults
from autoanalyze.phases.rounds import RoundRecord
from autoanalyze.phases.vocabulary import label_use
from autoanalyze.records import Usage

PACKAGES = ("autoanalyze", "openai", "polars", "duckdb", "scikit-learn", "numpy", "tiktoken")


def provenance(
    config: Config, *, endpoint: str, dataset_fingerprint: str, instructions: str, token_counter: str
) -> dict[str, Any]:
    """What `run.json` says of a run before it starts; none of it is secret."""
    return {
        "bot": config.data.bot_id,
        "seed": config.seed,
        "model": config.model.name,
        "judge": (config.resolution.model or config.model).name,
        "endpoint": endpoint,
        "config": asdict(located(config)),
        "config_hash": config_hash(config),
        "code": code_digest(),
        "dataset_fingerprint": dataset_fingerprint,
        "prompt_hash": digest(instructions),
        "token_counter": token_counter,
        "git": git_state(),
        "python": platform.python_version(),
        "packages": dict(packages()),
    }


@cache
def packages() -> Mapping[str, str]:
    """The versions of the packages that a run depends on most."""
    return {name: version(name) for name in PACKAGES}


def wall(started: datetime) -> dict[str, Any]:
    """The wall-clock figures of a run that ends now; they differ from run to run."""
    ended = datetime.now(UTC)
    return {
        "started": started.isoformat(timespec="seconds"),
        "ended": ended.isoformat(timespec="seconds"),
        "seconds": round((ended - started).total_seconds(), 3),
    }


@cache
def git_state() -> Mapping[str, Any] | None:
    """Commit of the repository that holds this package, and whether package or configuration differ from it.

    Null when installed elsewhere. Asked once per process: what is edited later is not what runs, since the
    code is loaded.
    """
    folder = Path(__file__).resolve().parent.parent.parent
    if not (folder / ".git").exists():
        return None

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    changes = git("status", "--porcelain", "--", "autoanalyze", "configs")
    return {"commit": git("rev-parse", "HEAD"), "dirty": None if changes is None else bool(changes)}


@dataclass(frozen=True, slots=True)
class Completed:
    """The phases' results, and what they took. `cost_usd` is as if every call were made now;
    `model_seconds` is time on the run's clock."""

    phases: PhaseResults
    account: Account
    cost_usd: float
    model_seconds: float
    probes_cost_usd: float = 0.0
    """The part of `cost_usd` that probes took."""
    unaided_cost_usd: float = 0.0
    """The same of probes without known labels."""
    notices: tuple[str, ...] = ()
    """What the user should know of how the endpoint was asked, and of what it does not tell."""
    cost_by: Mapping[str, float] = field(default_factory=dict)
    """`cost_usd` by who was asked: labelling (with embeddings), and judging."""


def totals(outcome: Completed) -> dict[str, Any]:
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
        "notices": list(outcome.notices),
        "tokens": tokens_of(account.usage),
        "cost_usd": round(outcome.cost_usd, 6),
        "cost_by": {part: round(usd, 6) for part, usd in outcome.cost_by.items()},
        "paid": {
            "calls": account.paid_calls,
            "tokens": tokens_of(account.paid_usage),
            "cost_usd": round(account.spent_usd, 6),
            "uncertain_usd": round(account.uncertain_usd, 6),
        },
        "model_seconds": round(outcome.model_seconds, 3),
        **phase_totals(phases),
        "probes": phases.probes and probe_totals(phases.probes, outcome.probes_cost_usd),
        "unaided": phases.unaided and probe_totals(phases.unaided.probes, outcome.unaided_cost_usd),
    }


def probe_totals(probes: ProbeResult, cost_usd: float) -> dict[str, Any]:
    """What asking once more took; it is part of the run's own calls, tokens and time."""
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
            "unjudged": {name: len(labels) for name, labels in resolution.unjudged.items()},
        },
    }
