"""What differs between runs: the settings, and the figures beside each other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from autoanalyze.study.places import (
    FIELD_FIGURES,
    FIGURES,
    IDENTITY,
    first_scored,
    moment,
    value_at,
    value_of,
)

Record = Mapping[str, Any]
Named = Sequence[tuple[str, Record]]


def flat(settings: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Settings by their dotted names, as the command line takes them; lists are values."""
    if isinstance(settings, Mapping) and settings:
        for name, value in settings.items():
            yield from flat(value, f"{place}.{name}" if place else str(name))
    elif place:
        yield place, settings


def differences(records: Sequence[Record]) -> list[tuple[str, list[Any]]]:
    """Settings that are not the same in all runs, with the value in each; null where a run has none.

    Of models that differ only the names are told: all that belongs to them differs too.
    """
    settings = [dict(flat(record.get("config"))) for record in records]
    names = dict.fromkeys(name for values in settings for name in values)
    found = []
    for name in names:
        values = [each.get(name) for each in settings]
        if any(value != values[0] for value in values):
            found.append((name, values))
    if any(name == "model.name" for name, _ in found):
        found = [(name, values) for name, values in found if not name.startswith("model.")]
        found.insert(0, ("model", [each.get("model.name") for each in settings]))
    return found


def spoken(value: Any) -> str:
    """A value as the command line would be given it, cut where it is long; a dash for none."""
    if value is None:
        return "-"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:59]}…"


def figures(records: Sequence[Record]) -> Iterator[tuple[str, str, list[Any]]]:
    """Part, name and values of every figure that at least one run has."""
    fields = dict.fromkeys(field for record in records for field in record.get("labels") or {})
    for field in fields:
        for place in FIELD_FIGURES:
            yield field, str(place.title), [value_of(record, place.place, field) for record in records]
    for place in FIGURES:
        yield "all", str(place.title), [value_at(record, place.place) for record in records]


def compared(runs: Named) -> pl.DataFrame:
    """Runs side by side: columns part, name, one per run, and with two runs their difference.

    `part` is `setting` (those that differ), a label field, or `all`. Values are text, because settings
    are; the difference is that of the second run from the first.
    """
    records = [record for _, record in runs]
    lines: list[tuple[str, str, list[Any]]] = []
    for place in IDENTITY:
        values = [value_at(record, place.place) for record in records]
        if place.title and any(value != values[0] for value in values):
            lines.append(("setting", place.title, values))
    lines += [("setting", name, values) for name, values in differences(records)]
    lines += [line for line in figures(records) if any(value is not None for value in line[2])]
    rows = []
    for part, name, values in lines:
        row: dict[str, str | None] = {"part": part, "name": name}
        row |= {run: None if v is None else plain(v) for (run, _), v in zip(runs, values, strict=True)}
        if len(runs) == 2:
            row["difference"] = None if part == "setting" else change(*values)
        rows.append(row)
    columns = ["part", "name", *(run for run, _ in runs), *(["difference"] if len(runs) == 2 else [])]
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String))


def plain(value: Any) -> str:
    """A value as text; numbers with at most four digits after the point, long hashes by their beginning."""
    if isinstance(value, float):
        return tidy(f"{value:.4f}")
    if isinstance(value, str):
        digest = value.removeprefix("sha256:")
        return digest[:12] if re.fullmatch("[0-9a-f]{40,64}", digest) else value
    return json.dumps(value, ensure_ascii=False)


def tidy(number: str) -> str:
    """A decimal number without needless zeros."""
    return number.rstrip("0").rstrip(".")


def change(first: Any, second: Any) -> str | None:
    """How far the second figure is from the first; null unless both are there."""
    if first is None or second is None:
        return None
    text = tidy(f"{second - first:+.4f}")
    return "0" if text in ("+0", "-0") else text


def listing_rows(runs: Named) -> list[list[str]]:
    """A row per run with what differs between them and its main figures, below a row of headings."""
    differing = differences([record for _, record in runs])
    settings = [name for name, _ in differing if name != "model"]
    headings = ["run", "started", "model", *settings]
    headings += ["sessions", "consistency", "precision", "speedup", "cost, USD"]
    values = dict(differing)
    return [headings] + [
        [
            name,
            started(record),
            spoken(record.get("model")),
            *(spoken(values[setting][number]) for setting in settings),
            *main_figures(record),
        ]
        for number, (name, record) in enumerate(runs)
    ]


def started(record: Record) -> str:
    """When a run began, in UTC."""
    when = moment(value_at(record, "wall.started"))
    return "-" if when is None else when.strftime("%Y-%m-%d %H:%M")


def main_figures(record: Record) -> list[str]:
    """Sessions, consistency and precision of the first scored field, speedup and cost."""
    scores = first_scored(record)
    places = (
        (value_at(record, "sessions.sampled"), ",.0f", ""),
        (scores["consistency"], ".3f", ""),
        (scores["precision"], ".3f", ""),
        (record.get("speedup"), ".2f", "x"),
        (record.get("cost_usd"), ".4f", ""),
    )
    return ["-" if value is None else f"{value:{how}}{unit}" for value, how, unit in places]
