"""How sessions ended: contained in the bot or handed over, by any label field. Pure functions."""

from __future__ import annotations

import polars as pl

from autoanalyze.study.intervals import wilson


def containment_by(sessions: pl.DataFrame, field: str) -> pl.DataFrame:
    """Per label: sessions, and the share of them that the bot contained, with its 95 % interval.

    `sessions` is a run's table; unresolved sessions have no outcome and are left out, as is the null label.
    Interval: Wilson 1927. Most sessions first.
    """
    known = sessions.filter(pl.col("session_outcome").is_not_null(), pl.col(field).is_not_null())
    share, low, high = wilson(pl.col("contained"), pl.col("sessions"))
    return (
        known.group_by(pl.col(field).alias("label"))
        .agg(pl.len().alias("sessions"), (pl.col("session_outcome") == "Contained").sum().alias("contained"))
        .with_columns(share.alias("contained"), low.alias("low"), high.alias("high"))
        .sort(["sessions", "label"], descending=[True, False])
    )


def cross_table(sessions: pl.DataFrame, rows: str, columns: str, *, top: int = 6) -> pl.DataFrame:
    """Sessions by two fields, the most frequent labels of each, for reading where people drop off and why."""
    known = sessions.drop_nulls([rows, columns])
    first, second = (most_frequent(known[field], top) for field in (rows, columns))
    chosen = known.filter(pl.col(rows).is_in(first.implode()), pl.col(columns).is_in(second.implode()))
    counted = chosen.group_by(rows, columns).len().pivot(on=columns, index=rows, values="len")
    kept = [name for name in second if name in counted.columns]
    order = {label: place for place, label in enumerate(first)}
    return counted.select(rows, *(pl.col(name).fill_null(0) for name in kept)).sort(
        pl.col(rows).replace_strict(order, return_dtype=pl.Int64)
    )


def most_frequent(labels: pl.Series, top: int) -> pl.Series:
    """The labels that most sessions carry, the first by name where several do."""
    counted = labels.value_counts(name="count").sort(["count", labels.name], descending=[True, False])
    return counted[labels.name].head(top)
