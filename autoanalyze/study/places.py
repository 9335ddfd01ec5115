"""The places in run.json, once for all who read it, and its content as tables: a row per run, per score."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

Record = Mapping[str, Any]

TEXT, COUNT, NUMBER, YES_NO = pl.String(), pl.Int64(), pl.Float64(), pl.Boolean()


@dataclass(frozen=True, slots=True)
class Place:
    """Where run.json says something, which column of the runs table it is, and what it is called where runs
    are compared; null where it is not shown. In places of a label field `{}` stands for its name."""

    place: str
    kind: pl.DataType
    column: str | None
    title: str | None = None


IDENTITY = (
    Place("id", TEXT, "id"),
    Place("status", TEXT, "status"),
    Place("wall.started", pl.Datetime("us"), "started"),
    Place("wall.seconds", NUMBER, "seconds"),
    Place("model", TEXT, "model"),
    Place("judge", TEXT, "judge"),
    Place("endpoint", TEXT, "endpoint", "endpoint"),
    Place("bot", TEXT, "bot", "bot"),
    Place("seed", COUNT, "seed"),
    Place("git.commit", TEXT, "git_commit", "git commit"),
    Place("git.dirty", YES_NO, "git_dirty", "git dirty"),
    Place("config_hash", TEXT, "config_hash"),
    Place("dataset_fingerprint", TEXT, "dataset_fingerprint", "data set"),
    Place("prompt_hash", TEXT, None, "prompt"),
    Place("token_counter", TEXT, None, "token counter"),
)
"""Which run it is, and what else may tell two apart."""

SETTINGS = (
    Place("config.sync", TEXT, "sync"),
    Place("config.parallel.streams", COUNT, "streams"),
    Place("config.parallel.sessions_per_stream", COUNT, "sessions_per_stream"),
    Place("config.batch_size", COUNT, "batch_size"),
    Place("config.discovery.mode", TEXT, "discovery"),
    Place("config.discovery.percentage", NUMBER, "discovery_percentage"),
    Place("config.discovery.min_sessions", COUNT, "discovery_min_sessions"),
    Place("config.discovery.max_sessions", COUNT, "discovery_max_sessions"),
    Place("config.resolution.mode", TEXT, "resolution"),
    Place("config.resolution.opinions", COUNT, "opinions"),
    Place("config.embeddings.source", TEXT, "embeddings"),
    Place("config.reply", TEXT, "reply"),
    Place("config.data.source", TEXT, "data_source"),
    Place("config.data.path", TEXT, "data_path"),
    Place("config.data.count", COUNT, "data_count"),
    Place("config.limits.tier", TEXT, "tier"),
    Place("config.budget_usd", NUMBER, "budget_usd"),
    Place("config.vocabulary.from_run", TEXT, "vocabulary_from"),
    Place("config.noise.reuse", NUMBER, "noise_reuse"),
    Place("config.noise.confusion", NUMBER, "noise_confusion"),
    Place("config.faults.rate", NUMBER, "fault_rate"),
    Place("config.probe_share", NUMBER, "probe_share"),
    Place("config.unaided_share", NUMBER, "unaided_share"),
    Place("config.repeat", COUNT, "repeat"),
    Place("config.repetition", COUNT, "repetition"),
)
"""The settings that people compare most; all of them are in the column `config`."""

FIGURES = (
    Place("sessions.sampled", COUNT, "sessions_sampled", "sessions sampled"),
    Place("sessions.labelled", COUNT, "sessions_labelled", "sessions labelled"),
    Place("sessions.unresolved", COUNT, "sessions_unresolved", "sessions unresolved"),
    Place("model_seconds", NUMBER, "model_seconds", "model time, s"),
    Place("baseline.model_seconds", NUMBER, "baseline_seconds", "sequential baseline, s"),
    Place("speedup", NUMBER, "speedup", "speedup"),
    Place("efficiency", NUMBER, "efficiency", "efficiency"),
    Place("parallel.utilisation", NUMBER, None, "stream utilisation"),
    Place("calls", COUNT, "calls", "calls"),
    Place("failed_calls", COUNT, "failed_calls", "calls that failed"),
    Place("tokens.prompt", COUNT, "tokens_prompt", "tokens prompt"),
    Place("tokens.cached", COUNT, "tokens_cached", "tokens cached"),
    Place("tokens.completion", COUNT, "tokens_completion", "tokens completion"),
    Place("resolution.pairs_judged", COUNT, None, "pairs judged"),
    Place("resolution.canonical_mappings", COUNT, None, "labels merged"),
    Place("cost_usd", NUMBER, "cost_usd", "cost, USD"),
    Place("paid.cost_usd", NUMBER, None, "really paid, USD"),
    Place("wall.seconds", NUMBER, None, "wall-clock time, s"),
)
"""What a run took and brought."""

FIELD_FIGURES = (
    Place("labels.{}.first_given", COUNT, None, "labels first given"),
    Place("labels.{}.final", COUNT, None, "labels final"),
    Place("metrics.{}.concept_count.value", COUNT, None, "labels planted"),
    Place("metrics.{}.consistency.value", NUMBER, "consistency", "consistency"),
    Place("metrics.{}.consistency.low", NUMBER, None, "  lower end"),
    Place("metrics.{}.consistency.high", NUMBER, None, "  upper end"),
    Place("metrics.{}.precision.value", NUMBER, "precision", "precision"),
    Place("metrics.{}.precision_macro.value", NUMBER, "precision_macro", "precision, mean of concepts"),
    Place("metrics.{}.cross_stream_consistency.value", NUMBER, None, "consistency across streams"),
    Place("metrics.{}.merged_concepts.value", NUMBER, None, "concepts merged"),
    Place("agreement.probes.{}.value", NUMBER, None, "agreement of probes"),
    Place("agreement.repeats.fields.{}.value", NUMBER, None, "agreement of repetitions"),
)
"""What is said of each label field. The columns are those of the first one that was scored."""


def value_at(record: Any, place: str) -> Any:
    """The value at a dotted place in a nested record; null where there is none."""
    for name in place.split("."):
        record = record.get(name) if isinstance(record, Mapping) else None
    return record


def value_of(record: Record, place: str, field: str) -> Any:
    """The value at a place of a label field; by parts, because the name of a field may hold a dot."""
    before, after = place.split(".{}.")
    return value_at((value_at(record, before) or {}).get(field), after)


def run_table(runs: Iterable[tuple[str, Record]]) -> pl.DataFrame:
    """A row per run: what it is, its settings, its figures. `started` is UTC, times are seconds.

    What a run did not record is null, so that runs of several versions stand in one table.
    """
    places = {p.column: p for p in (*IDENTITY, *SETTINGS, *FIGURES) if p.column}
    rows = [
        {
            "run": name,
            **{column: value_at(record, place.place) for column, place in places.items()},
            "started": moment(value_at(record, "wall.started")),
            "config": json.dumps(record.get("config")),
            **first_scored(record),
        }
        for name, record in runs
    ]
    kinds = {column: place.kind for column, place in places.items()}
    return typed(rows, {"run": TEXT, **kinds, "config": TEXT, "field": TEXT, **FIRST_SCORED})


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


FIRST_SCORED = {place.column: place.kind for place in FIELD_FIGURES if place.column}


def first_scored(record: Record) -> dict[str, Any]:
    """Name and scores of the first label field with a consistency; nulls without one."""
    for field, measures in (record.get("metrics") or {}).items():
        if value_at(measures, "consistency.value") is not None:
            places = {p.column: p.place for p in FIELD_FIGURES if p.column}
            return {"field": field, **{name: value_of(record, at, field) for name, at in places.items()}}
    return dict.fromkeys(("field", *FIRST_SCORED))


def moment(text: object) -> datetime | None:
    """A recorded time as naive UTC; null where none was recorded."""
    try:
        parsed = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return parsed.astimezone(UTC).replace(tzinfo=None) if parsed.tzinfo else parsed
