"""Two runs, or two weeks, beside each other: what rose, what fell, what is new, what is gone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import polars as pl
from markupsafe import Markup

from autoanalyze.report.wording import heading, percent, points, without_folders
from autoanalyze.study.answer import Answer, FieldAnswer, answer
from autoanalyze.study.comparison import compared, started
from autoanalyze.study.intervals import newcombe
from autoanalyze.study.runs import Run

ERROR = 0.05
"""How often an interval may miss."""
ALIKE = 0.8
"""The share of sessions that common labels must cover for single labels to be spoken of aloud."""
NAMED = 3
"""Labels that a sentence names at most in each direction."""


@dataclass(frozen=True, slots=True)
class FieldComparison:
    """The labels of one field in both runs.

    `labels` has a row per label: label, before and after (sessions), share_before and share_after, difference
    (second share less first) with low and high (Newcombe 1998, 95 %), `changed` (whether that interval leaves
    zero out), `sure` (whether also the one does that holds for all labels at once), and `word`: new, gone,
    rose, fell, or empty where the interval holds zero.
    """

    name: str
    before: int
    after: int
    shared: int
    """Labels that both runs have."""
    covered: float
    """The share of all sessions with a label whose label both runs have."""
    labels: pl.DataFrame

    @property
    def named_alike(self) -> bool:
        """Whether the names agree so far that a label which is new or gone tells something."""
        return self.covered >= ALIKE


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changed from a first run to a second."""

    names: tuple[str, str]
    answers: tuple[Answer, Answer]
    started: tuple[str, str]
    contained: dict[str, float | None]
    """Difference of the shares that the bot contained, with low and high."""
    fields: tuple[FieldComparison, ...]
    overlap: int
    """Sessions that are in both runs."""
    settings: tuple[tuple[str, str, str], ...]
    headlines: tuple[Markup, ...]


def comparison(first: Run, second: Run) -> Comparison:
    """What changed from one run to another; labels are the same where their names are."""
    answers = answer(first), answer(second)
    theirs = {field.name: field for field in answers[1].fields}
    fields = tuple(
        field_comparison(field, theirs[field.name]) for field in answers[0].fields if field.name in theirs
    )
    contained = difference_of_contained(*(run.sessions for run in (first, second)))
    names = tuple(run.path.resolve().name for run in (first, second))
    if names[0] == names[1]:  # the folder above tells them apart
        names = tuple("/".join(run.path.resolve().parts[-2:]) for run in (first, second))
    return Comparison(
        (names[0], names[1]),
        answers,
        (started(first.record), started(second.record)),
        contained,
        fields,
        first.sessions.join(second.sessions, on="session_id", how="semi").height,
        tuple(settings(first, second)),
        tuple(headlines(fields, contained)),
    )


def field_comparison(first: FieldAnswer, second: FieldAnswer) -> FieldComparison:
    """The labels of a field in two runs, those that changed most first."""
    counts = (each.labels.select("label", "sessions") for each in (first, second))
    before, after = (
        frame.rename({"sessions": name}) for frame, name in zip(counts, ("before", "after"), strict=True)
    )
    both = before.join(after, on="label", how="full", coalesce=True).with_columns(
        pl.col("before", "after").fill_null(0).cast(pl.Int64)
    )
    shared = both.filter(pl.col("before") > 0, pl.col("after") > 0)
    known = first.sessions + second.sessions
    return FieldComparison(
        first.name,
        first.sessions,
        second.sessions,
        len(shared),
        sum(shared["before"]) / known + sum(shared["after"]) / known if known else 0.0,
        judged(both, first, second),
    )


def judged(both: pl.DataFrame, first: FieldAnswer, second: FieldAnswer) -> pl.DataFrame:
    """Labels with their shares, the difference, and what may be said of it."""
    whole = pl.lit(first.sessions), pl.lit(second.sessions)
    share_before, share_after = pl.col("before") / whole[0], pl.col("after") / whole[1]
    difference, low, high = newcombe(pl.col("before"), whole[0], pl.col("after"), whole[1])
    # Bonferroni: with as many labels at once, each interval is that much wider.
    wide = NormalDist().inv_cdf(1 - ERROR / (2 * max(len(both), 1)))
    _, lowest, highest = newcombe(pl.col("before"), whole[0], pl.col("after"), whole[1], z=wide)
    changed = (low > 0) | (high < 0)
    word = (
        pl.when(pl.col("before") == 0)
        .then(pl.lit("new"))
        .when(pl.col("after") == 0)
        .then(pl.lit("gone"))
        .when(changed & (difference > 0))
        .then(pl.lit("rose"))
        .when(changed)
        .then(pl.lit("fell"))
        .otherwise(pl.lit(""))
    )
    return both.with_columns(
        share_before=share_before,
        share_after=share_after,
        difference=difference,
        low=low,
        high=high,
        changed=changed.fill_null(False),
        sure=((lowest > 0) | (highest < 0)).fill_null(False),
        word=word,
    ).sort(pl.col("difference").abs(), "label", descending=[True, False], nulls_last=True)


def difference_of_contained(first: pl.DataFrame, second: pl.DataFrame) -> dict[str, float | None]:
    """How the share of contained sessions changed."""
    counts = {
        name: [frame.filter(session_outcome="Contained").height, frame["session_outcome"].count()]
        for name, frame in (("first", first), ("second", second))
    }
    frame = pl.DataFrame(
        {
            f"{name} {of}": [count]
            for name, pair in counts.items()
            for of, count in zip("pw", pair, strict=True)
        }
    )
    ends = newcombe(pl.col("first p"), pl.col("first w"), pl.col("second p"), pl.col("second w"))
    value, low, high = frame.select(end.alias(name) for end, name in zip(ends, "vlh", strict=True)).row(0)
    return {"value": value, "low": low, "high": high}


def headlines(fields: tuple[FieldComparison, ...], contained: dict[str, float | None]) -> Iterator[Markup]:
    """What may be said aloud: only changes that hold with all labels of a field looked at together."""
    value, low, high = contained["value"], contained["low"], contained["high"]
    if value is not None and low is not None and high is not None:
        told = Markup(
            "The share that ended inside the bot changed by <strong>{} points</strong> ({} to {}){}."
        )
        open_ = ", which leaves open whether it changed at all" if low <= 0 <= high else ""
        yield told.format(points(value), points(low), points(high), open_)
    for field in fields:
        name, sure = heading(field.name), field.labels.filter("sure")
        if not field.named_alike:
            yield Markup(
                "{}: labels that both runs have cover only <strong>{}</strong> of the sessions, so that what "
                "changed cannot be told from what is only named otherwise."
            ).format(name, percent(field.covered, 0))
        elif sure.is_empty():
            yield Markup("{}: no label changed by more than chance can do.").format(name)
        else:
            for word in ("rose", "fell", "new", "gone"):
                rows = sure.filter(word=word).head(NAMED).iter_rows(named=True)
                said = Markup(", ").join(moved(row) for row in rows)
                if said:
                    yield Markup("{}: {} {}.").format(
                        name, f"{word} is" if word in ("new", "gone") else word, said
                    )


def moved(row: dict[str, object]) -> Markup:
    """A label with its shares and the difference."""
    shares = f"from {percent(row['share_before'])} to {percent(row['share_after'])}"  # type: ignore[arg-type]
    ends = f"{points(row['low'])} to {points(row['high'])} points"  # type: ignore[arg-type]
    return Markup("<strong>{}</strong> {} ({})").format(row["label"], shares, ends)


def settings(first: Run, second: Run) -> Iterator[tuple[str, str, str]]:
    """Settings that differ, with their values; paths by their last name."""
    table = compared([("first", first.record), ("second", second.record)]).filter(part="setting")
    for name, before, after in table.select("name", "first", "second").iter_rows():
        if name not in ("page", "report"):
            yield name, *("–" if value is None else without_folders(value) for value in (before, after))  # noqa: RUF001
