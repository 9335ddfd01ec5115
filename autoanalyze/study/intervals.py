"""Intervals: how far a figure could have come out otherwise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import polars as pl
from numpy.typing import NDArray

from autoanalyze.study.measures import MEASURES


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


def paired_interval(values: Sequence[float], confidence: float = 0.95) -> Estimate:
    """Mean over seeds with its interval by Student's t, for claims across runs; 95 % unless told otherwise.

    Give differences or ratios of paired runs to compare two configurations. With fewer than two
    values there is no interval.
    """
    if not values:
        return Estimate(None)
    mean = float(np.mean(values))
    if len(values) < 2:
        return Estimate(mean)
    # Of scipy.special, as a table asks hundreds of times: stats.t.ppf comes to the same, slowly.
    from scipy.special import stdtrit

    quantile = float(stdtrit(len(values) - 1, (1 + confidence) / 2))
    margin = float(np.std(values, ddof=1) / np.sqrt(len(values))) * quantile
    return Estimate(mean, mean - margin, mean + margin)


def bounded_interval(values: Sequence[float]) -> Estimate:
    """Mean over seeds of a measure that lies between 0 and 1, with a 95 % interval that does so too.

    Student's t for the logit of the mean, its standard error by the delta method, turned back: as surveys do
    for shares (Korn & Graubard 1999, section 3.2). The mean is transformed, not the values, so that the
    interval stays one for the mean. On beta distributions near 1 it held the true mean 92 to 96 times in 100
    with 3 to 20 seeds, where plain t had 83 to 92 and a BCa bootstrap 65 to 91; that one run in ten is bad,
    none of them sees in few seeds. Values outside 0 to 1 get Student's t as it is; equal ones an interval
    without width, as there.
    """
    plain = paired_interval(values)
    mean, high = plain.value, plain.high
    if mean is None or high is None or high == mean or not 0 <= min(values) <= max(values) <= 1:
        return plain
    centre, reach = math.log(mean / (1 - mean)), (high - mean) / (mean * (1 - mean))
    low, high = (1 / (1 + math.exp(-end)) for end in (centre - reach, centre + reach))
    # Where the ends are next to the mean, rounding could put it outside.
    return Estimate(mean, min(low, mean), max(high, mean))


def share_interval(values: Sequence[float]) -> Estimate:
    """The share of runs that have something, each 1 or 0, with its 95 % interval (Wilson 1927)."""
    if not values:
        return Estimate(None)
    share, low, high = wilson(pl.lit(sum(values)), pl.lit(len(values)))
    return Estimate(*pl.select(share.alias("share"), low.alias("low"), high.alias("high")).row(0))


def interval_of(measure: str, values: Sequence[float]) -> Estimate:
    """Mean of a measure over seeds with the interval that fits its kind.

    What a run has or has not is a share (Wilson), what lies between 0 and 1 stays there (logit), all else
    has Student's t.
    """
    kind = MEASURES.get(measure)
    if kind is not None and kind.yes_no:
        return share_interval(values)
    return bounded_interval(values) if kind is not None and kind.bounded else paired_interval(values)


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
    together = joined(results, theirs, keys)
    speedup = pl.col("model_seconds_baseline") / pl.col("model_seconds")
    return together.with_columns(
        speedup.alias("speedup"),
        (1 - 1 / speedup).alias("time_saved"),
        (pl.col("consistency") / pl.col("consistency_baseline")).alias("consistency_ratio"),
        (pl.col("cost_per_1000") / pl.col("cost_per_1000_baseline")).alias("cost_ratio"),
    ).drop(f"{name}_baseline" for name in compared)


def with_speedups(
    results: pl.DataFrame,
    *,
    one_stream: pl.Expr,
    sequential: pl.Expr,
    by: Sequence[str],
    same: Sequence[str] = (),
    streams: str = "parallel.streams",
    size: str = "batch_size",
) -> pl.DataFrame:
    """`results` with parallel_speedup, per_stream and speedup_best_sequential, each above 0; null without a
    partner.

    `one_stream` and `sequential` say which rows are runs with one stream, and which are runs of calls one
    after the other. All are paired by seed, field and `by`, those with one stream also by `same`: the
    settings in which a run and itself with one stream are alike.

    - parallel_speedup: model seconds with one stream over those of the run, S; per_stream: S / `streams`
      (speedup and efficiency of Amdahl's law, as textbooks have them).
    - speedup_best_sequential: model seconds of the sequential run over those of the run; of all values of
      `size` that one which takes sequential runs the least on average over seeds, chosen per `by`.
    """
    keys = ["seed", "field", *by]
    alike = [*keys, *(name for name in same if name not in keys)]
    alone = results.filter(one_stream).select(*alike, pl.col("model_seconds").alias("_one"))
    together = joined(results, alone, alike)
    calls = results.filter(sequential).with_columns(
        # Where no size was set apart, there is one.
        (pl.col(size) if size in results.columns else pl.lit(None)).alias("_size"),
        pl.col("model_seconds").alias("_best"),
    )
    together = joined(together, best_size(calls, by).select(*keys, "_best"), keys)
    speedup = pl.col("_one") / pl.col("model_seconds")
    count = pl.col(streams) if streams in results.columns else pl.lit(None, pl.Float64)
    return together.with_columns(
        speedup.alias("parallel_speedup"),
        (speedup / count).alias("per_stream"),
        (pl.col("_best") / pl.col("model_seconds")).alias("speedup_best_sequential"),
    ).drop("_one", "_best")


def best_size(calls: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Of sequential runs those of the call size with the least mean time, per `by`; of a tie the smallest."""
    ranked = calls.group_by(*by, "_size").agg(pl.col("_best").mean().alias("_mean")).sort("_mean", "_size")
    chosen = ranked.unique(by, keep="first", maintain_order=True) if by else ranked.head(1)
    return calls.join(chosen, on=[*by, "_size"], how="semi", nulls_equal=True)


def joined(results: pl.DataFrame, partners: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """`results` with what the one partner has that is alike in `keys`; null where there is none."""
    return results.join(
        partners.unique(keys, keep="first", maintain_order=True),
        on=keys,
        how="left",
        maintain_order="left",
        nulls_equal=True,
        validate="m:1",
    )


def tells_apart(results: pl.DataFrame, by: Sequence[str], setting: str) -> bool:
    """Whether rows that are alike in `by` differ in a setting."""
    if not by:
        return results[setting].n_unique() > 1
    groups = results.group_by(by).agg(pl.col(setting).n_unique().alias("values"))
    return bool((groups["values"] > 1).any())


def estimate(results: pl.DataFrame, measure: str) -> Estimate:
    """Mean of a measure over seeds with its 95 % interval (`interval_of`); nothing if it is not measured."""
    if measure not in results.columns:
        return Estimate(None)
    return interval_of(measure, results.sort("seed")[measure].drop_nulls().cast(pl.Float64).to_list())


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
