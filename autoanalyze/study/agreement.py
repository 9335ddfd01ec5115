"""How far two labellings of the same sessions agree, when nobody knows what is right. Pure functions."""

from __future__ import annotations

import numpy as np
import polars as pl
from scipy.optimize import linear_sum_assignment

from autoanalyze.study.intervals import Estimate, percentile_interval, user_weights

__all__ = ["matched", "same_label"]


def same_label(frame: pl.DataFrame, *, seed: int, resamples: int = 1000) -> Estimate:
    """The share of sessions with the same label in both columns, with a 95 % interval.

    `frame`: a row per session with user_id, first, second. Where both are null the field does not
    apply and there is nothing to agree on; where one is, they disagree.
    """
    frame = frame.filter(pl.col("first").is_not_null() | pl.col("second").is_not_null())
    if frame.is_empty():
        return Estimate(None)
    agree = frame.select(pl.col("first").eq_missing(pl.col("second")))["first"].to_numpy().astype(float)
    weights = user_weights(frame["user_id"], resamples=resamples, seed=seed)
    draws = [float(np.average(agree, weights=weight)) for weight in weights if weight.sum() > 0]
    return percentile_interval(float(agree.mean()), draws)


def matched(frame: pl.DataFrame, *, seed: int, resamples: int = 1000) -> Estimate:
    """The same for two runs that named things on their own.

    Each name of the second run is first paired with at most one of the first, so that as many sessions
    as possible agree (assignment problem: Kuhn 1955).
    """
    both = frame.drop_nulls(["first", "second"])
    if both.is_empty():
        return same_label(frame, seed=seed, resamples=resamples)
    table = both.pivot(on="second", index="first", values="user_id", aggregate_function="len").fill_null(0)
    table = table.select("first", *sorted(table.columns[1:])).sort("first")
    rows, columns = linear_sum_assignment(table.drop("first").to_numpy(), maximize=True)
    firsts, seconds = table["first"].to_list(), table.columns[1:]
    names = {seconds[column]: firsts[row] for row, column in zip(rows, columns, strict=True)}
    # A name without a partner keeps a mark of its own, so that equal words by chance are no agreement.
    alone = {name: f"\0{name}" for name in seconds if name not in names}
    renamed = pl.col("second").replace({**names, **alone})
    return same_label(frame.with_columns(renamed.alias("second")), seed=seed, resamples=resamples)
