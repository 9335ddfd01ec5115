"""What is measured of finished runs: the columns of the results of an experiment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from autoanalyze.study.efficiency import limit_use
from autoanalyze.study.runs import Run

SCORES = (
    "consistency",
    "precision",
    "precision_macro",
    "cross_stream_consistency",
    "coverage",
    "v_measure",
    "ami",
)


@dataclass(frozen=True, slots=True)
class Measure:
    """How a column of the results is shown: its title, its unit or range, and the digits of a table.

    `target` is the least value wanted, if there is one.
    """

    title: str
    unit: str
    digits: int = 3
    target: float | None = None

    @property
    def label(self) -> str:
        """Title and unit, for an axis."""
        return self.unit if self.unit.startswith(self.title) else f"{self.title}, {self.unit}"


MEASURES = {
    "consistency": Measure("consistency", "0 to 1", target=0.95),
    "precision": Measure("precision", "0 to 1", target=0.95),
    "precision_macro": Measure("precision, mean of concepts", "0 to 1"),
    "cross_stream_consistency": Measure("consistency across streams", "0 to 1", target=0.95),
    "coverage": Measure("coverage", "0 to 1"),
    "v_measure": Measure("V-measure", "0 to 1"),
    "ami": Measure("adjusted mutual information", "up to 1"),
    "labels_first": Measure("labels first given", "count", 1),
    "labels": Measure("labels after merging", "count", 1),
    "concepts": Measure("planted concepts", "count", 1),
    "merged_concepts": Measure("concepts merged into another", "count", 2),
    "collisions": Measure("collisions", "pairs of calls", 1),
    "missed_labels": Measure("labels a call could not see", "mean", 1),
    "discovery_sessions": Measure("sessions in discovery", "count", 1),
    "model_seconds": Measure("model time", "s", 1),
    "speedup": Measure("speedup", "times the baseline", 2),
    "time_saved": Measure("time saved", "share", 2),
    "consistency_ratio": Measure("consistency / baseline's", "ratio"),
    "cost_ratio": Measure("cost / baseline's", "ratio", 2),
    "efficiency": Measure("efficiency", "0 to 1", 2),
    "utilisation": Measure("utilisation of streams", "0 to 1", 2),
    "limit_use": Measure("use of the token limit", "share", 2),
    "calls": Measure("calls", "count", 1),
    "failed_calls": Measure("calls that failed", "count", 1),
    "asked_again": Measure("sessions asked about again", "share", 4),
    "unresolved": Measure("unresolved sessions", "share", 4),
    "shortened": Measure("sessions shortened to fit", "share", 3),
    "prompt_tokens": Measure("prompt tokens per session", "tokens", 0),
    "completion_tokens": Measure("completion tokens per session", "tokens", 0),
    "cached_share": Measure("prompt tokens cached", "share", 2),
    "cost_per_1000": Measure("USD per 1,000", "USD per 1,000 sessions", 4),
    "pair_precision": Measure("precision of merged pairs", "0 to 1", 4, target=0.95),
    "recall": Measure("duplicates found (recall)", "0 to 1", 4, target=0.95),
    "hard_merged": Measure("hard negatives merged", "share", 4),
    "candidate_recall": Measure("duplicates proposed", "0 to 1", 4),
    "judged_share": Measure("pairs judged / all", "share", 4),
    "pairs_per_label": Measure("pairs judged per label", "count", 2),
    "detection_cost": Measure("cost", "USD", 4),
    "processor_seconds": Measure("processor time", "s", 2),
}
"""Every measure that a report may name."""


def rows_of(run: Run) -> Iterator[dict[str, Any]]:
    """What is measured of a run, per label field whose truth is known (one row for planted label sets)."""
    if run.record.get("kind") == "detection":
        yield detection_row(run.record)
        return
    shared = whole_run(run)
    record = run.record
    if not record[
        "metrics"
    ]:  # nothing is known to be right: time, cost and trouble are measured all the same
        yield {"field": None, **dict.fromkeys((*SCORES, "concepts")), **shared}
    for field, metrics in record["metrics"].items():
        yield {
            "field": field,
            **{score: metrics[score]["value"] for score in SCORES},
            "labels_first": record["labels"][field]["first_given"],
            "labels": record["labels"][field]["final"],
            "concepts": metrics["concept_count"]["value"],
            "merged_concepts": metrics["merged_concepts"]["value"],
            "collisions": record["collisions"][field],
            **shared,
        }


def whole_run(run: Run) -> dict[str, Any]:
    """What belongs to a run as a whole."""
    record = run.record
    sessions, tokens = record["sessions"]["sampled"], record["tokens"]
    parallel = record["parallel"] or {}
    limit = token_limit(record["config"])
    return {
        "discovery_sessions": (record["discovery"] or {}).get("sessions"),
        "missed_labels": parallel.get("missed_labels"),
        "utilisation": parallel.get("utilisation"),
        "efficiency": record["efficiency"],
        "limit_use": limit_use(run.calls, limit) if limit else None,
        "model_seconds": record["model_seconds"],
        "calls": record["calls"],
        "failed_calls": record["failed_calls"],
        "asked_again": run.sessions.select((pl.col("attempts") > 1).mean()).item(),
        "unresolved": record["sessions"]["unresolved"] / sessions,
        "shortened": record["sessions"]["shortened"] / sessions,
        "prompt_tokens": tokens["prompt"] / sessions,
        "completion_tokens": tokens["completion"] / sessions,
        "cached_share": tokens["cached"] / tokens["prompt"] if tokens["prompt"] else None,
        "cost_per_1000": 1000 * record["cost_usd"] / sessions,
    }


def token_limit(config: dict[str, Any]) -> int | None:
    """The tokens per minute that a run kept to; null for none."""
    limits, tier = config["limits"], config["limits"]["tier"]
    limit = config["model"]["tiers"][tier]["tokens_per_minute"] if tier else None
    given: int | None = limits["tokens_per_minute"] or limit
    return given


def detection_row(record: dict[str, Any]) -> dict[str, Any]:
    """What is measured of duplicate detection on a planted label set."""
    figures = record["detection"]
    names = ("recall", "hard_merged", "candidate_recall", "judged_share", "calls")
    classes = {name: share for name, share in figures.items() if name.startswith("hard_")}
    return {
        "field": "planted labels",
        "label_count": figures["labels"],
        "pair_precision": figures["precision"],
        **{name: figures[name] for name in names},
        **classes,
        "pairs_per_label": figures["pairs_judged"] / figures["labels"],
        "detection_cost": figures["cost_usd"],
        "model_seconds": figures["model_seconds"],
        "processor_seconds": record["wall"]["processor_seconds"],
    }
