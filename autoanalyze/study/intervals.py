"""Intervals: how far a figure could have come out otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

__all__ = ["Estimate", "paired_interval", "percentile_interval", "shown", "shown_briefly", "user_weights"]


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
    margin = float(stats.sem(values) * stats.t.ppf(0.975, len(values) - 1))
    return Estimate(mean, mean - margin, mean + margin)
