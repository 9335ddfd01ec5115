"""What `run.json` says of runs, as tables: a row per run, and a row per score."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl

__all__ = ["first_scored", "moment", "run_table", "score_table", "value_at"]

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
    "layout": ("config.layout", TEXT),
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
