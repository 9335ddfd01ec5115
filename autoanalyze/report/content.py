"""What the page of one run says, from its headline to how it was made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
from markupsafe import Markup

from autoanalyze.report.timeline import SHOWN_LABELS, Timeline, timeline
from autoanalyze.report.wording import (
    counted,
    heading,
    interval,
    percent,
    plural,
    spaced,
    with_interval,
    without_folders,
)
from autoanalyze.study.answer import Answer, FieldAnswer, answer
from autoanalyze.study.attractors import swallowing
from autoanalyze.study.comparison import started
from autoanalyze.study.containment import cross_table
from autoanalyze.study.intervals import Estimate
from autoanalyze.study.runs import Run

ENOUGH = 20
"""Sessions that a label must have for the headline to speak of how they ended."""
NAMED = 3
"""Labels that a sentence names at most."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """Sessions by the most frequent labels of two fields; each row is a label with its counts."""

    rows_field: str
    columns_field: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[int, ...]], ...]
    shown: int
    """Sessions that the table counts."""
    known: int
    """Sessions that have both labels."""

    @property
    def most(self) -> int:
        """The highest count."""
        return max((max(counts, default=0) for _, counts in self.rows), default=0)


@dataclass(frozen=True, slots=True)
class Content:
    """All that a page shows of a run. `ending` names the fields for which containment says something."""

    name: str
    title: str
    answer: Answer
    headlines: tuple[Markup, ...]
    ending: frozenset[str]
    crossing: Crossing | None
    timeline: Timeline | None
    merges: tuple[Mapping[str, Any], ...]
    reasons: tuple[tuple[str, int], ...]
    swallowing: Mapping[str, tuple[str, ...]]
    """Per field, what is to be said of labels that attract."""
    made: tuple[tuple[str, str], ...]


def content(run: Run) -> Content:
    """What a run says, ready to be shown."""
    found = answer(run)
    configured = run.record["config"]["schema"]["fields"]
    ending = frozenset(field["name"] for field in configured if len(field.get("applies_to") or "ab") > 1)
    main = next((field for field in found.fields if field.sessions), None)
    over_time = None
    if main is not None:
        over_time = timeline(run.sessions, main.name, main.labels["label"].head(SHOWN_LABELS).to_list())
    return Content(
        run.path.resolve().name,
        f"What {counted(found.labelled, 'conversation')} {'was' if found.labelled == 1 else 'were'} about",
        found,
        tuple(headlines(found, ending)),
        ending,
        crossing(run),
        over_time,
        tuple(run.merge_table().frame.sort("sessions", descending=True, maintain_order=True).to_dicts()),
        tuple((without_folders(reason), count) for reason, count in found.reasons),
        {field["name"]: tuple(swallowing(run.record, field["name"])) for field in configured},
        tuple(made(run)),
    )


def headlines(found: Answer, ending: frozenset[str]) -> Iterator[Markup]:
    """The sentences that somebody reads who reads nothing else; each figure with its interval."""
    if found.labelled:
        said = Markup("{} of {} ended inside the bot; the others went on to a human.")
        yield said.format(with_interval(found.contained), counted(found.labelled, "labelled session"))
    for field in found.fields:
        if len(field.labels):
            yield leading(field)
    for field in found.fields:
        if field.name in ending:
            yield from handed_over(field, found.contained)
    missing = found.sampled - found.labelled
    if missing:
        yield Markup("<strong>{}</strong> of {} could not be labelled; the reasons stand below.").format(
            f"{missing:,}", counted(found.sampled, "session")
        )


def leading(field: FieldAnswer) -> Markup:
    """The most frequent label of a field; two where their intervals leave open which it is."""
    first, *others = (labelled(row) for row in field.labels.head(2).iter_rows(named=True))
    rows, name = field.labels, spaced(field.name)
    among = f"of {counted(field.sessions, 'session')} that have one"
    if not others:
        return Markup("The only {} is {} {}.").format(name, first, among)
    if rows["low"][0] > rows["high"][1]:
        return Markup("The most frequent {} is {} {}, ahead of {}.").format(name, first, among, others[0])
    return Markup(
        "The most frequent {} are {} and {} {}; their intervals overlap, so either may lead."
    ).format(plural(name), first, others[0], among)


def labelled(row: Mapping[str, Any]) -> Markup:
    """A label with its share."""
    share = with_interval(Estimate(row["share"], row["low"], row["high"]))
    return Markup("<strong>{}</strong> with {}").format(row["label"], share)


def handed_over(field: FieldAnswer, overall: Estimate) -> Iterator[Markup]:
    """Labels of which the bot contains fewer than of all: those whose whole interval lies below."""
    if overall.low is None:
        return
    below = field.labels.filter(pl.col("sessions") >= ENOUGH, pl.col("contained_high") < overall.low)
    if len(below):
        rows = below.sort("contained", "label").head(NAMED).iter_rows(named=True)
        named = [
            Markup("<strong>{}</strong> {} ({})").format(
                row["label"],
                percent(row["contained"]),
                interval(row["contained_low"], row["contained_high"]),
            )
            for row in rows
        ]
        yield Markup(
            "The bot kept fewest of {}: their whole intervals lie below the {} of all sessions."
        ).format(Markup(", ").join(named), percent(overall.value))


def crossing(run: Run) -> Crossing | None:
    """The first two fields that apply to transfers alone, against each other; none where there are no two."""
    configured = run.record["config"]["schema"]["fields"]
    names = [field["name"] for field in configured if list(field.get("applies_to") or ()) == ["Transfer"]]
    if len(names) < 2:
        return None
    known = run.sessions.drop_nulls(names[:2])
    if known.is_empty():
        return None
    table = cross_table(known, names[0], names[1])
    rows = tuple((str(label), tuple(counts)) for label, *counts in table.iter_rows())
    return Crossing(
        names[0],
        names[1],
        tuple(table.columns[1:]),
        rows,
        sum(sum(counts) for _, counts in rows),
        known.height,
    )


def made(run: Run) -> Iterator[tuple[str, str]]:
    """How the figures came about: names and values."""
    record, config = run.record, run.record["config"]
    yield "Run", run.path.resolve().name
    yield "Status", record["status"]
    yield "Started (UTC)", started(record)
    yield "Model", record["model"]
    if record.get("judge", record["model"]) != record["model"]:
        yield "Judge of labels", record["judge"]
    yield "Endpoint", record["endpoint"]
    data = config["data"]
    yield "Sessions from", without_folders(str(data["path"] or data["source"]))
    yield "Bot", record["bot"]
    chosen = {"since": data.get("start"), "where": data.get("where")}
    if any(chosen.values()):
        yield "Chosen by", "; ".join(f"{name} {value}" for name, value in chosen.items() if value)
    yield (
        "Sessions",
        f"{run.sessions.height:,} sampled, {run.sessions.filter(status='labelled').height:,} labelled",
    )
    for field in config["schema"]["fields"]:
        yield heading(field["name"]), field["description"]
    parallel, discovery = config["parallel"], config["discovery"]
    yield "Method", f"discovery {discovery['mode']}, {parallel['streams']} streams, sync {config['sync']}"
    yield "Duplicate labels", config["resolution"]["mode"]
    yield "Seed", str(record["seed"])
    yield from spent(record)
    for notice in record.get("notices") or ():
        yield "Note", without_folders(notice)
    yield "Data set", str(record.get("dataset_fingerprint", "")).removeprefix("sha256:")[:12]
    yield "Configuration", str(record.get("config_hash", ""))[:12]


def spent(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What a run took, as far as it came to know it."""
    if "calls" in record:
        tokens = record["tokens"]
        yield "Calls", f"{record['calls']:,}"
        yield "Tokens", f"{tokens['prompt']:,} prompt, {tokens['completion']:,} completion"
        yield "Cost", f"{record['cost_usd']:.4f} USD"
        yield "Model time", f"{record['model_seconds']:,.1f} s"
