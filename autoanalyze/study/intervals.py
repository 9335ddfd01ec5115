"""Intervals: how far a figure could have come out otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import polars as pl
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with the ends of its 95 % interval; null where nothing could be measured."""

    value: float | None
    low: float | None = None
    high: float | None = None

    def as_dict(self) -> dict[str, float | None]:
        """Value, low and high, to six digits."""
        ends = {"value": self.value, "low": self.low, "high": self.high}
        # Adding nothing turns -0.0, which rounding leaves behind, into 0.0.
        return {name: None if end is None else round(end, 6) + 0.0 for name, end in ends.items()}


def shown(estimate: Estimate, digits: int = 3) -> str:
    """An estimate with its interval, for tables; a dash where nothing could be measured."""
    if estimate.value is None:
        return "-"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.{digits}f}"
    return f"{estimate.value:.{digits}f} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"


def shown_briefly(estimate: Estimate, digits: int = 3) -> str:
    """An estimate with half the width of its interval, for narrow tables."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return shown(estimate, digits)
    return f"{estimate.value:.{digits}f} ±{(estimate.high - estimate.low) / 2:.{digits}f}"


Z = NormalDist().inv_cdf(0.975)


def wilson(part: pl.Expr, whole: pl.Expr, z: float = Z) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    """A share with the ends of its interval (Wilson 1927), all from 0 to 1; null of nothing.

    `z` is how many standard errors it reaches to either side, by default those of 95 %.
    """
    n = pl.when(whole > 0).then(whole.cast(pl.Float64))
    p = part / n
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * (p * (1 - p) / n + z**2 / (4 * n**2)).sqrt()
    # At 0 and at 1 rounding would leave an end on the wrong side of the share.
    low = pl.min_horizontal(p, (middle - reach).clip(0, 1))
    return p, low, pl.max_horizontal(p, (middle + reach).clip(0, 1))


def newcombe(
    part: pl.Expr, whole: pl.Expr, other_part: pl.Expr, other_whole: pl.Expr, z: float = Z
) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    """How much greater the second of two independent shares is, with the ends of its interval.

    From -1 to 1; null where a share is of nothing. Newcombe 1998, method 10: the ends of the two Wilson
    intervals, of `z` standard errors, put together.
    """
    p, p_low, p_high = wilson(part, whole, z)
    q, q_low, q_high = wilson(other_part, other_whole, z)
    difference = pl.when(whole > 0, other_whole > 0).then(q - p)
    low = difference - ((q - q_low) ** 2 + (p_high - p) ** 2).sqrt()
    return difference, low, difference + ((q_high - q) ** 2 + (p - p_low) ** 2).sqrt()


def user_weights(users: pl.Series, *, resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Bootstrap draws of whole users: for each draw, how often every session counts.

    Sessions of one user resemble each other, so that they are drawn together.
    """
    codes = users.rank("dense").to_numpy().astype(np.intp) - 1
    count = int(codes.max(initial=-1)) + 1
    generator = np.random.default_rng(seed)
    for _ in range(resamples):
        drawn = np.bincount(generator.integers(0, count, count), minlength=count)
        yield drawn[codes].astype(np.float64)


def percentile_interval(value: float | None, draws: Sequence[float | None]) -> Estimate:
    """A value with the 2.5 % and 97.5 % points of its bootstrap draws."""
    known = [draw for draw in draws if draw is not None]
    if value is None or not known:
        return Estimate(value)
    low, high = np.percentile(known, [2.5, 97.5])
    return Estimate(value, float(low), float(high))


def paired_interval(values: Sequence[float]) -> Estimate:
    """Mean over seeds with its 95 % interval by Student's t, for claims across runs.

    Give differences or ratios of paired runs to compare two configurations. With fewer than two
    values there is no interval.
    """
    if not values:
        return Estimate(None)
    mean = float(np.mean(values))
    if len(values) < 2:
        return Estimate(mean)
    from scipy import stats  # a second to import

    margin = float(stats.sem(values) * stats.t.ppf(0.975, len(values) - 1))
    return Estimate(mean, mean - margin, mean + margin)


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
