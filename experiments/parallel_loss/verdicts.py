"""What was preregistered, decided: paired differences over samples, tests, Holm, and shares given back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from autoanalyze.study.intervals import Estimate, paired_interval, percentile_interval, shown
from autoanalyze.study.verdicts import MARGIN, equivalent, exceeds, holm

LEVEL, DRAWS = 0.05, 10_000
SOME, MANY = 8, 32
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Setting:
    """Which runs, and which of their names."""

    streams: int
    sync: str
    discovery: str
    merging: str = "judge"
    names: str = "first"

    @property
    def told(self) -> str:
        """In words, without the names."""
        shared = "nothing shared" if self.sync == "none" else self.sync
        return f"{self.streams} streams, {shared}, {self.discovery} discovery".replace("none d", "no d")


ONE = Setting(1, "continuous", "none")
"""The reference: what sequential labelling gives."""


def merged(setting: Setting, merging: str = "judge") -> Setting:
    """The same after merging."""
    return Setting(setting.streams, setting.sync, setting.discovery, merging, "merged")


def bare(streams: int) -> Setting:
    """Nothing shared, no discovery; with one stream the reference."""
    return Setting(streams, "none", "none") if streams > 1 else ONE


def default(streams: int) -> Setting:
    """As the package does it unasked."""
    return Setting(streams, "continuous", "adaptive")


@dataclass(frozen=True, slots=True)
class Test:
    """`one` less `other`; whether that is `more` than the margin, or else within it."""

    hypothesis: str
    one: Setting
    other: Setting
    more: bool = True
    measure: str = "consistency"


def tests(results: pl.DataFrame) -> Iterator[Test]:
    """All preregistered tests, for one data set, as far as the settings were run."""
    streams = sorted(set(results["streams"]) - {1})
    some = [k for k in (SOME, MANY) if k in streams]
    for k in streams:
        yield Test("H1", ONE, bare(k))
    for k in some:
        yield Test("H2", Setting(k, "none", "fixed"), bare(k))
        yield Test("H2", default(k), Setting(k, "continuous", "none"))
        yield Test("H3", Setting(k, "rounds", "none"), bare(k))
        yield Test("H3", Setting(k, "continuous", "none"), bare(k))
        yield Test("H4", default(k), ONE, more=False)
        yield Test("H6", merged(bare(k), "names alone"), bare(k))
    ways = results.filter(pl.col("streams") > 1, merging="judge").select("streams", "sync", "discovery")
    for k, sync, discovery in ways.unique(maintain_order=True).iter_rows():
        for measure in ("consistency", "f1"):
            yield Test(f"H5 {measure}", merged(Setting(k, sync, discovery)), merged(ONE), False, measure)


def of_setting(results: pl.DataFrame, setting: Setting) -> pl.DataFrame:
    """The rows of a setting, in the order of samples."""
    return results.filter(
        pl.col("streams") == setting.streams,
        pl.col("sync") == setting.sync,
        pl.col("discovery") == setting.discovery,
        pl.col("merging") == setting.merging,
        pl.col("names") == setting.names,
    ).sort("seed")


def values(results: pl.DataFrame, setting: Setting, measure: str = "consistency") -> dict[int, float]:
    """A value per sample."""
    found = of_setting(results, setting)
    return dict(zip(found["seed"].to_list(), found[measure].to_list(), strict=True))


def less(one: Mapping[int, float], other: Mapping[int, float]) -> Values:
    """`one` less `other` in each sample that both have, in order."""
    return np.array([one[seed] - other[seed] for seed in sorted(one.keys() & other.keys())])


def verdicts(results: pl.DataFrame) -> pl.DataFrame:
    """A row per test and data set: the difference, p, p after Holm within the hypothesis, and what follows.

    `shown` is exceeds (by more than the margin) or equivalent, as was wanted; else open. `reverse`: what was
    to exceed the margin lies below 0, or what was to be equivalent exceeds the margin, each with its whole
    95 % interval.
    """
    rows = []
    for (name,), own in results.group_by("data_set", maintain_order=True):
        for test in tests(own):
            difference = less(values(own, test.one, test.measure), values(own, test.other, test.measure))
            found = paired_interval(difference.tolist())
            if found.low is None:
                continue
            p = exceeds(difference, MARGIN) if test.more else equivalent(difference, MARGIN)
            low, high = found.low, found.high or 0.0
            reverse = low > MARGIN or high < -MARGIN if not test.more else high < 0
            rows.append(
                {
                    "hypothesis": test.hypothesis,
                    "data_set": name,
                    "one": test.one.told,
                    "other": test.other.told,
                    "streams": max(test.one.streams, test.other.streams),
                    "samples": len(difference),
                    "difference": found.value,
                    "low": low,
                    "high": high,
                    "p": p,
                    "wanted": "exceeds" if test.more else "equivalent",
                    "reverse": reverse,
                }
            )
    frame = pl.DataFrame(rows)
    parts = [
        part.with_columns(p_holm=holm(part["p"].to_numpy()))
        for _, part in frame.group_by("hypothesis", maintain_order=True)
    ]
    return pl.concat(parts).with_columns(
        shown=pl.when(pl.col("p_holm") <= LEVEL).then(pl.col("wanted")).otherwise(pl.lit("open"))
    )


def outcomes(found: pl.DataFrame) -> pl.DataFrame:
    """Per hypothesis: how many of its tests reject, what that means, and the data sets that are worst."""
    rows = []
    for (name,), part in found.group_by("hypothesis", maintain_order=True):
        reject = part.filter(pl.col("shown") != "open")
        held = {len(part): "holds", 0: "holds nowhere"}.get(len(reject), "holds in part")
        worst = part.sort("difference").row(0, named=True)
        if part["wanted"][0] == "equivalent":
            worst = part.sort(pl.col("difference").abs()).row(-1, named=True)
        rows.append(
            {
                "hypothesis": name,
                "tests": len(part),
                "shown": len(reject),
                "shown in": told_sets(part),
                "the opposite": int(part["reverse"].sum()),
                "outcome": held,
                "least, or furthest from equal": f"{worst['data_set']}, {worst['one']}: "
                + shown(Estimate(worst["difference"], worst["low"], worst["high"])),
            }
        )
    return pl.DataFrame(rows)


def told_sets(part: pl.DataFrame) -> str:
    """How many tests reject in each data set."""
    counts = part.group_by("data_set", maintain_order=True).agg((pl.col("shown") != "open").sum(), pl.len())
    return ", ".join(f"{name} {rejected}/{tests}" for name, rejected, tests in counts.iter_rows())


def shares(results: pl.DataFrame) -> pl.DataFrame:
    """The loss of first names at some and at many streams, and which share of it each phase gives back.

    Of merging: by how much the distance to one stream is smaller after merging both. Shares are ratios of
    means with a percentile bootstrap over samples.
    """
    rows = []
    for (name,), own in results.group_by("data_set", maintain_order=True):
        for k in (k for k in (SOME, MANY) if k in set(own["streams"])):
            nothing = values(own, bare(k))
            loss = less(values(own, ONE), nothing)
            ways = {
                "fixed discovery, nothing shared": Setting(k, "none", "fixed"),
                "rounds": Setting(k, "rounds", "none"),
                "continuous": Setting(k, "continuous", "none"),
                "continuous, adaptive discovery": default(k),
            }
            back = {way: less(values(own, setting), nothing) for way, setting in ways.items()}
            for merging in ("names alone", "judge"):
                after = less(values(own, merged(ONE, merging)), values(own, merged(bare(k), merging)))
                back[f"merging by {merging}"] = loss - after
            rows.append({"data_set": name, "streams": k, "way": "loss", **paired_of(loss)})
            for way, gain in back.items():
                if len(gain) < len(loss):
                    continue
                rows.append({"data_set": name, "streams": k, "way": way, **ratio(gain, loss).as_dict()})
    return pl.DataFrame(rows)


def paired_of(difference: Values) -> dict[str, float | None]:
    """Mean with interval."""
    return paired_interval(difference.tolist()).as_dict()


def ratio(gain: Values, loss: Values) -> Estimate:
    """A ratio of means with its bootstrap interval."""
    if loss.mean() <= 0:
        return Estimate(None)
    drawn = np.random.default_rng(0).integers(0, len(loss), (DRAWS, len(loss)))
    below = loss[drawn].mean(axis=1)
    draws: Sequence[float] = (gain[drawn].mean(axis=1)[below > 0] / below[below > 0]).tolist()
    return percentile_interval(float(gain.mean() / loss.mean()), draws)
