"""Which settings hold the target, and which of those are fastest or cheapest. Pure functions.

`results` has a row per run: the settings named by `rows`, `seed`, and the measures. A setting holds the
target when the lower confidence bounds of its consistency and of its precision both reach it: merging
everything would be perfectly consistent, and cheap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

HELD = ("consistency", "precision")
"""What has to reach the target."""

Setting = tuple[Any, ...]
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a setting stands: its values by seed, and one-sided confidence bounds of what it has to hold."""

    setting: Setting
    seeds: int
    low: Mapping[str, float]
    high: Mapping[str, float]
    seconds: Mapping[int, float]
    cost: Mapping[int, float]

    @property
    def mean_seconds(self) -> float:
        """Mean model time in seconds."""
        return float(np.mean(list(self.seconds.values())))

    @property
    def mean_cost(self) -> float:
        """Mean cost in USD per 1,000 sessions."""
        return float(np.mean(list(self.cost.values())))

    def holds(self, target: float) -> bool:
        """Whether consistency and precision are at the target or above it, with the confidence asked."""
        return all(self.low[measure] >= target for measure in HELD)

    def hopeless(self, target: float) -> bool:
        """Whether either is below the target, at the confidence of the bounds."""
        return any(self.high[measure] < target for measure in HELD)


def standings(results: pl.DataFrame, rows: Sequence[str], *, confidence: float) -> list[Standing]:
    """How each setting stands, in order of appearance; bounds by Student's t, each at `confidence`."""
    found = []
    for setting, group in results.group_by(rows, maintain_order=True):
        bounds = {
            measure: bounds_of(group[measure].cast(pl.Float64).to_numpy(), confidence) for measure in HELD
        }
        seeds = group["seed"].to_list()
        found.append(
            Standing(
                setting,
                len(seeds),
                {measure: low for measure, (low, _) in bounds.items()},
                {measure: high for measure, (_, high) in bounds.items()},
                dict(zip(seeds, group["model_seconds"].to_list(), strict=True)),
                dict(zip(seeds, group["cost_per_1000"].to_list(), strict=True)),
            )
        )
    return found


def simultaneous_confidence(confidence: float, settings: int) -> float:
    """How sure each of several settings has to be, 0 to 1, for all to be right together with a confidence.

    Bonferroni: of many settings that just miss the target, some one else holds it by luck (of 20, with .95
    each, nearly every second time). Holding two measures needs nothing more: both have to be shown.
    """
    return 1 - (1 - confidence) / max(1, settings)


def bounds_of(values: Values, confidence: float) -> tuple[float, float]:
    """The one-sided lower and upper bound of a mean; infinite for fewer than two values.

    Where nothing could be measured, nothing is held: both are minus infinity.
    """
    values = values[~np.isnan(values)]
    if not len(values):
        return -np.inf, -np.inf
    if len(values) < 2:
        return -np.inf, np.inf
    # stats.sem and stats.t.ppf come to the same, slowly.
    from scipy.special import stdtrit

    error = float(np.std(values, ddof=1) / np.sqrt(len(values)))
    mean, margin = float(np.mean(values)), error * float(stdtrit(len(values) - 1, confidence))
    return mean - margin, mean + margin


def survivors(field: Sequence[Standing], *, target: float, confidence: float) -> list[Standing]:
    """The settings that are worth more seeds: those that may hold the target and that no other beats.

    One is beaten by another that holds the target and is better in time or cost, run by run at `confidence`,
    and no worse in the other on average.
    """
    holding = [standing for standing in field if standing.holds(target)]
    return [
        standing
        for standing in field
        if not standing.hopeless(target)
        and not any(beats(other, standing, confidence) for other in holding if other is not standing)
    ]


def beats(one: Standing, other: Standing, confidence: float) -> bool:
    """Whether one setting is surely faster than another and no dearer on average, or surely cheaper and no
    slower, over the seeds that both were run with."""
    shared = sorted(one.seconds.keys() & other.seconds.keys())
    if len(shared) < 2:
        return False
    time, cost = (
        np.array([ours[seed] - theirs[seed] for seed in shared])
        for ours, theirs in ((one.seconds, other.seconds), (one.cost, other.cost))
    )
    faster, cheaper = (bounds_of(less, confidence)[1] < 0 for less in (time, cost))
    return bool((faster and cost.mean() <= 0) or (cheaper and time.mean() <= 0))


def frontier_of(field: Sequence[Standing], *, target: float) -> list[Standing]:
    """Of the settings that hold the target, those that no other beats in both mean time and mean cost.

    From the slowest, which is the cheapest, to the fastest.
    """
    holding = sorted((s for s in field if s.holds(target)), key=lambda s: (s.mean_seconds, s.mean_cost))
    best: list[Standing] = []
    for standing in holding:
        if not best or standing.mean_cost < best[-1].mean_cost:
            best.append(standing)
    return best[::-1]
