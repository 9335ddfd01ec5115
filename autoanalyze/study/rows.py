"""What is measured of a finished run: its rows in the results of an experiment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from autoanalyze.study.efficiency import limit_use
from autoanalyze.study.measures import MEASURES, SCORES
from autoanalyze.study.runs import Run

HELD = ("consistency", "precision")
"""What has to reach its target in every label field of a run that meets it."""


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
        yield {"field": None, **dict.fromkeys((*SCORES, "meets_target", "concepts")), **shared}
    held = meets_target(record["metrics"]) if record["metrics"] else None
    for field, metrics in record["metrics"].items():
        yield {
            "field": field,
            # Runs that were measured before there was a score have none.
            **{score: metrics.get(score, {}).get("value") for score in SCORES},
            "meets_target": held,
            "labels_first": record["labels"][field]["first_given"],
            "labels": record["labels"][field]["final"],
            "concepts": metrics["concept_count"]["value"],
            "merged_concepts": metrics["merged_concepts"]["value"],
            "collisions": record["collisions"][field],
            **shared,
        }


def meets_target(metrics: Mapping[str, Any]) -> float:
    """1 if a run reaches the targets of consistency and of precision (.95 each) in all its fields, else 0.

    Fields are those whose truth is known. What could not be measured is not reached.
    """
    reached = (
        (field[name]["value"] or 0.0) >= (MEASURES[name].target or 0.0)
        for field in metrics.values()
        for name in HELD
    )
    return float(all(reached))


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
