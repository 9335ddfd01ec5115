"""What a run has to say: which labels, how often, and how sessions ended; with scores or without any."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import polars as pl

from autoanalyze.study.containment import containment_by
from autoanalyze.study.intervals import Estimate, wilson

VOLATILE = re.compile(r"'[^']*'|\"[^\"]*\"|\b[\w-]*\d[\w-]{5,}\b|\b\d+(\.\d+)?\b")
"""What differs from session to session of one reason: names, ids and numbers."""

LONGEST_REASON = 300


class Finished(Protocol):
    """What an answer needs of a `runs.Run`, which shows its answer itself."""

    @property
    def record(self) -> Mapping[str, Any]:
        """Its run.json."""
        ...

    @property
    def sessions(self) -> pl.DataFrame:
        """A row per sampled session."""
        ...

    @property
    def labels(self) -> pl.DataFrame:
        """A row per label."""
        ...

    @property
    def codebook(self) -> pl.DataFrame:
        """A row per name with its theme; empty if there are none."""
        ...

    @property
    def caveats(self) -> Mapping[str, str]:
        """What must be said wherever a figure stands."""
        ...


@dataclass(frozen=True, slots=True)
class FieldAnswer:
    """The labels of one field. `labels` has a row per final label, the most frequent first: label, sessions,
    share (of the sessions that have one) with low and high, merged (how many other names became it),
    contained with contained_low and contained_high, and theme (null if it has none). Shares go from 0 to 1;
    intervals are Wilson's, 95 %.
    """

    name: str
    description: str
    sessions: int
    """Sessions that have a label."""
    without: int
    """Labelled sessions that have none in this field, because it does not apply or nothing was said."""
    labels: pl.DataFrame

    @property
    def themes(self) -> pl.DataFrame:
        """A row per theme, that of most sessions first: theme, sessions, share with low and high, and labels.
        Empty where there are no themes; what has none stands last, under null."""
        if self.labels["theme"].null_count() == len(self.labels):
            return self.labels.head(0)
        grouped = self.labels.group_by("theme").agg(pl.col("sessions").sum(), labels=pl.col("label"))
        whole = grouped.with_columns(whole=pl.lit(self.sessions))
        shares = whole.with_columns(*wilson_columns("sessions", "whole")).drop("whole")
        return shares.sort(pl.col("theme").is_null(), "sessions", "theme", descending=[False, True, False])


@dataclass(frozen=True, slots=True)
class Answer:
    """What a run found, over its labelled sessions."""

    fields: tuple[FieldAnswer, ...]
    sampled: int
    labelled: int
    contained: Estimate
    """The share of labelled sessions that stayed with the bot."""
    reasons: tuple[tuple[str, int], ...]
    """Why sessions have no label, with how many of them, the most frequent first."""
    caveats: Mapping[str, str]
    """What must stand beside every figure: see `Run.caveats`."""


def answer(run: Finished) -> Answer:
    """What a run says of its sessions."""
    labelled = run.sessions.filter(status="labelled")
    configured = run.record["config"]["schema"]["fields"]
    unresolved = run.sessions.filter(status="unresolved")
    outcomes = pl.DataFrame(
        {"part": [labelled.filter(session_outcome="Contained").height], "whole": [labelled.height]}
    ).select(*wilson_columns("part", "whole"))
    return Answer(
        tuple(field_answer(run, labelled, field["name"], field["description"]) for field in configured),
        run.sessions.height,
        labelled.height,
        Estimate(*outcomes.row(0)),
        tuple(most_frequent_reasons(unresolved["error"])),
        run.caveats,
    )


def field_answer(run: Finished, labelled: pl.DataFrame, name: str, description: str) -> FieldAnswer:
    """What the labelled sessions say of one field."""
    known = labelled.drop_nulls(name)
    merged = run.labels.filter(pl.col("field") == name, pl.col("label") != pl.col("canonical"))
    contained = containment_by(labelled, name).select(
        "label", "contained", contained_low="low", contained_high="high"
    )
    counted = known.group_by(pl.col(name).alias("label")).len("sessions")
    labels = (
        counted.with_columns(whole=pl.lit(known.height))
        .with_columns(*wilson_columns("sessions", "whole"))
        .drop("whole")
        .join(merged.group_by(pl.col("canonical").alias("label")).len("merged"), on="label", how="left")
        .with_columns(pl.col("merged").fill_null(0))
        .join(contained, on="label", how="left")
        .join(themed_labels(run, name), on="label", how="left")
        .sort(["sessions", "label"], descending=[True, False])
    )
    return FieldAnswer(name, description, known.height, labelled.height - known.height, labels)


def themed_labels(run: Finished, name: str) -> pl.DataFrame:
    """The theme of each final label of a field, whatever it is called now: label, theme. Of several labels
    that a person made one, that of the one they became counts, else the earliest."""
    grouped = run.codebook.filter(field=name).drop_nulls("theme")
    own = run.labels.filter(field=name).select("label", "canonical")
    return (
        grouped.join(own, on="label", maintain_order="left")
        .sort(pl.col("label") != pl.col("canonical"), maintain_order=True)
        .unique("canonical", keep="first", maintain_order=True)
        .select("theme", label="canonical")
    )


def wilson_columns(part: str, whole: str) -> tuple[pl.Expr, ...]:
    """The columns share, low and high of two columns of counts."""
    ends = wilson(pl.col(part), pl.col(whole))
    return tuple(end.alias(name) for end, name in zip(ends, ("share", "low", "high"), strict=True))


def most_frequent_reasons(errors: Iterable[str | None]) -> list[tuple[str, int]]:
    """Reasons, the most frequent first, each in the words of its first session, with its sessions.

    Null stands for a session that has no error.
    """
    words: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for error in errors:
        if error is not None:
            kind = VOLATILE.sub("*", error)[:LONGEST_REASON]
            words.setdefault(kind, " ".join(error.split())[:LONGEST_REASON])
            counts[kind] += 1
    return [(words[kind], count) for kind, count in counts.most_common()]
