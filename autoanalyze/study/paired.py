"""Comparing settings over paired seeds. Pure functions.

`results` is the table of an experiment: a row per run and label field, with the settings that tell runs
apart, `seed`, `field`, and a column per measure.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from autoanalyze.study.intervals import Estimate, paired_interval

__all__ = ["against_baseline", "difference", "estimate", "estimates", "tells_apart"]


def against_baseline(
    results: pl.DataFrame, baseline: str, paired_by: Sequence[str], settings: Sequence[str] = ()
) -> pl.DataFrame:
    """`results` with speedup, time_saved, consistency_ratio and cost_ratio over the runs of one case.

    A run is compared with the run of that case that has the same seed, field and `paired_by`, and the same
    value of each of `settings` in which the runs of that case differ; where there is none, the four are
    null.
    """
    keys = ["seed", "field", *paired_by]
    base = results.filter(case=baseline)
    for setting in settings:
        if setting not in keys and tells_apart(base, keys, setting):
            keys.append(setting)
    compared = ("model_seconds", "consistency", "cost_per_1000")
    theirs = base.select(*keys, *(pl.col(name).alias(f"{name}_baseline") for name in compared))
    together = results.join(
        theirs.unique(keys, keep="first", maintain_order=True),
        on=keys,
        how="left",
        maintain_order="left",
        nulls_equal=True,
        validate="m:1",
    )
    speedup = pl.col("model_seconds_baseline") / pl.col("model_seconds")
    return together.with_columns(
        speedup.alias("speedup"),
        (1 - 1 / speedup).alias("time_saved"),
        (pl.col("consistency") / pl.col("consistency_baseline")).alias("consistency_ratio"),
        (pl.col("cost_per_1000") / pl.col("cost_per_1000_baseline")).alias("cost_ratio"),
    ).drop(f"{name}_baseline" for name in compared)


def tells_apart(results: pl.DataFrame, by: Sequence[str], setting: str) -> bool:
    """Whether rows that are alike in `by` differ in a setting."""
    if not by:
        return results[setting].n_unique() > 1
    groups = results.group_by(by).agg(pl.col(setting).n_unique().alias("values"))
    return bool((groups["values"] > 1).any())


def estimate(results: pl.DataFrame, measure: str) -> Estimate:
    """Mean of a measure over seeds with its 95 % interval (Student's t); nothing where it is not measured."""
    if measure not in results.columns:
        return Estimate(None)
    return paired_interval(results.sort("seed")[measure].drop_nulls().cast(pl.Float64).to_list())


def estimates(results: pl.DataFrame, by: Sequence[str], measures: Sequence[str]) -> pl.DataFrame:
    """A row per combination of `by` and measure, in order of appearance: value, low, high, seeds."""
    rows = []
    for values, group in results.group_by(by, maintain_order=True) if by else [((), results)]:
        for measure in measures:
            found = estimate(group, measure)
            rows.append(
                {
                    **dict(zip(by, values, strict=True)),
                    "measure": measure,
                    **{end: getattr(found, end) for end in ("value", "low", "high")},
                    "seeds": group["seed"].n_unique(),
                }
            )
    return pl.DataFrame(rows, infer_schema_length=None)


def difference(one: pl.DataFrame, other: pl.DataFrame, measure: str, *, on: Sequence[str] = ()) -> Estimate:
    """Mean over seeds of `one` less `other`, run by run, with its 95 % interval.

    Runs are paired by seed and field, and by `on`.
    """
    keys = ["seed", "field", *on]
    pairs = one.select(*keys, measure).join(other.select(*keys, measure), on=keys, suffix="_other")
    return paired_interval((pairs[measure] - pairs[f"{measure}_other"]).drop_nulls().to_list())
