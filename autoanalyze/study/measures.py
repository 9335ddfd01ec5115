"""What `run.json` says of runs, as tables: a row per run, and a row per score."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from autoanalyze.study.efficiency import limit_use
from autoanalyze.study.runs import Run

Record = Mapping[str, Any]

TEXT, COUNT, NUMBER, YES_NO = pl.String(), pl.Int64(), pl.Float64(), pl.Boolean()

IDENTITY: dict[str, tuple[str, pl.DataType]] = {
    "id": ("id", TEXT),
    "status": ("status", TEXT),
    "started": ("wall.started", pl.Datetime("us")),
    "seconds": ("wall.seconds", NUMBER),
    "model": ("model", TEXT),
    "endpoint": ("endpoint", TEXT),
    "bot": ("bot", TEXT),
    "seed": ("seed", COUNT),
    "git_commit": ("git.commit", TEXT),
    "git_dirty": ("git.dirty", YES_NO),
    "config_hash": ("config_hash", TEXT),
    "dataset_fingerprint": ("dataset_fingerprint", TEXT),
}
"""Columns of the runs table that say which run it is, with their place in run.json."""

SETTINGS: dict[str, tuple[str, pl.DataType]] = {
    "sync": ("config.sync", TEXT),
    "streams": ("config.parallel.streams", COUNT),
    "sessions_per_stream": ("config.parallel.sessions_per_stream", COUNT),
    "batch_size": ("config.batch_size", COUNT),
    "discovery": ("config.discovery.mode", TEXT),
    "discovery_percentage": ("config.discovery.percentage", NUMBER),
    "discovery_min_sessions": ("config.discovery.min_sessions", COUNT),
    "discovery_max_sessions": ("config.discovery.max_sessions", COUNT),
    "resolution": ("config.resolution.mode", TEXT),
    "opinions": ("config.resolution.opinions", COUNT),
    "embeddings": ("config.embeddings.source", TEXT),
    "reply": ("config.reply", TEXT),
    "data_source": ("config.data.source", TEXT),
    "data_path": ("config.data.path", TEXT),
    "data_count": ("config.data.count", COUNT),
    "tier": ("config.limits.tier", TEXT),
    "budget_usd": ("config.budget_usd", NUMBER),
    "vocabulary_from": ("config.vocabulary.from_run", TEXT),
    "noise_reuse": ("config.noise.reuse", NUMBER),
    "noise_confusion": ("config.noise.confusion", NUMBER),
    "fault_rate": ("config.faults.rate", NUMBER),
    "probe_share": ("config.probe_share", NUMBER),
    "repeat": ("config.repeat", COUNT),
    "repetition": ("config.repetition", COUNT),
}
"""Columns for the settings that people compare; all others are in the column `config`."""

FIGURES: dict[str, tuple[str, pl.DataType]] = {
    "sessions_sampled": ("sessions.sampled", COUNT),
    "sessions_labelled": ("sessions.labelled", COUNT),
    "sessions_unresolved": ("sessions.unresolved", COUNT),
    "calls": ("calls", COUNT),
    "failed_calls": ("failed_calls", COUNT),
    "tokens_prompt": ("tokens.prompt", COUNT),
    "tokens_cached": ("tokens.cached", COUNT),
    "tokens_completion": ("tokens.completion", COUNT),
    "cost_usd": ("cost_usd", NUMBER),
    "model_seconds": ("model_seconds", NUMBER),
    "baseline_seconds": ("baseline.model_seconds", NUMBER),
    "speedup": ("speedup", NUMBER),
    "efficiency": ("efficiency", NUMBER),
}
"""Columns for what a run took and brought."""

SCORED: dict[str, pl.DataType] = {"field": TEXT, "consistency": NUMBER, "precision": NUMBER}
"""The first label field that was scored, and its scores; precision is the guard."""

COLUMNS: dict[str, pl.DataType] = {
    "run": TEXT,
    **{name: kind for name, (_, kind) in (IDENTITY | SETTINGS).items()},
    "config": TEXT,
    **{name: kind for name, (_, kind) in FIGURES.items()},
    **SCORED,
}


def value_at(record: Any, place: str) -> Any:
    """The value at a dotted place in a nested record; null where there is none."""
    for name in place.split("."):
        record = record.get(name) if isinstance(record, Mapping) else None
    return record


def run_table(runs: Iterable[tuple[str, Record]]) -> pl.DataFrame:
    """A row per run: what it is, its settings, its figures. `started` is UTC, times are seconds.

    What a run did not record is null, so that runs of several versions stand in one table.
    """
    places = IDENTITY | SETTINGS | FIGURES
    rows = [
        {
            "run": name,
            **{column: value_at(record, place) for column, (place, _) in places.items()},
            "started": moment(value_at(record, "wall.started")),
            "config": json.dumps(record.get("config")),
            **first_scored(record),
        }
        for name, record in runs
    ]
    return typed(rows, COLUMNS)


def score_table(runs: Iterable[tuple[str, Record]]) -> pl.DataFrame:
    """A row per run, label field and measure, with the ends of its 95 % interval where there is one."""
    rows = [
        {
            "run": name,
            "field": field,
            "measure": measure,
            **{end: value_at(estimate, end) for end in ("value", "low", "high")},
        }
        for name, record in runs
        for field, measures in (record.get("metrics") or {}).items()
        for measure, estimate in measures.items()
    ]
    texts = dict.fromkeys(("run", "field", "measure"), TEXT)
    return typed(rows, texts | dict.fromkeys(("value", "low", "high"), NUMBER))


def typed(rows: Sequence[Record], schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Rows as a table; a value that is not of its column's type is null."""
    columns = {name: [row[name] for row in rows] for name in schema}
    return pl.DataFrame(
        [pl.Series(name, values, dtype=schema[name], strict=False) for name, values in columns.items()]
    )


def first_scored(record: Record) -> dict[str, Any]:
    """Name, consistency and precision of the first label field with a consistency; nulls without one."""
    for field, measures in (record.get("metrics") or {}).items():
        consistency = value_at(measures, "consistency.value")
        if consistency is not None:
            guard = value_at(measures, "precision.value")
            return {"field": field, "consistency": consistency, "precision": guard}
    return dict.fromkeys(SCORED)


def moment(text: object) -> datetime | None:
    """A recorded time as naive UTC; null where none was recorded."""
    try:
        parsed = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return parsed.astimezone(UTC).replace(tzinfo=None) if parsed.tzinfo else parsed


SCORES = ("consistency", "precision", "cross_stream_consistency", "coverage", "v_measure", "ami")


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
    "precision": Measure("guard", "0 to 1", target=0.95),
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
