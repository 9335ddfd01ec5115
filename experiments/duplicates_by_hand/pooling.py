"""Counts of pairs put together to shares, with intervals."""

from __future__ import annotations

import numpy as np
import polars as pl
import sets
from numpy.typing import NDArray

from autoanalyze.study.intervals import Estimate

DRAWS = 10_000
MEASURES = {
    "offered": ("offered", "planted"),
    "recall": ("found", "planted"),
    "precision": ("found", "merged"),
    "precision, broader left out": ("found", "merged_strictly"),
    "look-alikes merged": ("look_alikes_merged", "look_alikes"),
    "broader merged": ("broader_merged", "broader"),
    "pairs judged per label": ("pairs_judged", "labels"),
    "micro-USD per label": ("cost", "labels"),
}
"""What a share is a share of, by the names of counts."""


def share(units: pl.DataFrame, measure: str) -> Estimate:
    """A measure of all units together, with a percentile bootstrap over units (95 %)."""
    part, whole = (units[name].cast(pl.Float64).to_numpy() for name in MEASURES[measure])
    if np.isnan(part).any() or whole.sum() == 0:
        return Estimate(None)
    low, high = np.nanpercentile(drawn(part, whole), [2.5, 97.5])
    return Estimate(float(part.sum() / whole.sum()), float(low), float(high))


def difference(units: pl.DataFrame, measure: str) -> Estimate:
    """How much less a measure is than with the columns that end with `_pairs`, drawn over the same units."""
    part, whole = MEASURES[measure]
    here, there = (
        [units[f"{n}{end}"].cast(pl.Float64).to_numpy() for n in (part, whole)] for end in ("", "_pairs")
    )
    low, high = np.nanpercentile(drawn(*there) - drawn(*here), [2.5, 97.5])
    value = there[0].sum() / there[1].sum() - here[0].sum() / here[1].sum()
    return Estimate(float(value), float(low), float(high))


def drawn(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share in bootstrap draws of units."""
    count = len(part)
    weights = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=DRAWS)
    wholes = weights @ whole
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(wholes > 0, (weights @ part) / wholes, np.nan))


def by_set(results: pl.DataFrame) -> pl.DataFrame:
    """A row per set: mean counts over seeds."""
    names = {name for ends in MEASURES.values() for name in ends} - {"merged", "merged_strictly"}
    mean = results.group_by("set", maintain_order=True).agg(pl.col(sorted({*names, "wrong"})).mean())
    merged = pl.col("found") + pl.col("wrong")
    return mean.with_columns(merged=merged, merged_strictly=merged - pl.col("broader_merged"))


def by_matter(results: pl.DataFrame) -> pl.DataFrame:
    """A row per matter of one set: mean counts over seeds. A wrong pair counts half for each matter."""
    matters = results.explode("by_matter").unnest("by_matter", separator=".")
    columns = ["planted", "offered", "found", "wrong"]
    names = [pl.col(f"by_matter.{name}").mean().alias(name) for name in columns]
    mean = matters.group_by("by_matter.matter", maintain_order=True).agg(names)
    return mean.with_columns(merged=pl.col("found") + pl.col("wrong"))


def within(results: pl.DataFrame, measure: str) -> Estimate:
    """A measure of one set, with an interval over its matters, or over seeds where it is not by matter."""
    if all(name in (*COUNTED, "merged") for name in MEASURES[measure]):
        return share(by_matter(results), measure)
    part, whole = MEASURES[measure]
    counts = results.with_columns(
        merged_strictly=pl.col("found") + pl.col("wrong") - pl.col("broader_merged")
    )
    return (
        share(counts, measure) if counts[whole].sum() and counts[part].null_count() == 0 else Estimate(None)
    )


COUNTED = ("planted", "offered", "found", "wrong")


def among(alike: pl.DataFrame, k: int) -> tuple[float, float, float]:
    """Share of duplicates among the k nearest of one of their labels, the share that these connect, and pairs
    per label that are among them."""
    within = alike.with_columns(near=pl.col("within").list.get(k - 1))
    duplicates = within.filter(pl.col("class") == "duplicate")
    labels = alike.unique("set")["labels"].sum()
    total = float(duplicates["pairs"].sum())
    joined = duplicates.select(pl.col("joined").list.get(k - 1).sum()).item()
    return (
        float(duplicates["near"].sum()) / total,
        joined / total,
        float(within["near"].sum()) / float(labels),
    )


def left_out(alone: pl.DataFrame) -> pl.DataFrame:
    """A row per kind of vectors and domain: what a threshold does there that was chosen on all other domains
    by F1, beside the package's own threshold and the best one in hindsight."""
    rows = []
    single = alone.filter(kind=sets.ONE)
    for vectors in single["vectors"].unique(maintain_order=True):
        of_vectors = single.filter(vectors=vectors)
        for domain in of_vectors["domain"].unique(maintain_order=True):
            here = scored(of_vectors.filter(domain=domain))
            elsewhere = scored(of_vectors.filter(pl.col("domain") != domain))
            ways = {
                "left out": best(elsewhere),
                "shipped": SHIPPED[vectors],
                "in hindsight": best(here),
            }
            for way, threshold in ways.items():
                at = here.sort((pl.col("threshold") - threshold).abs()).head(1).to_dicts()[0]
                rows.append({"vectors": vectors, "domain": domain, "way": way, **at})
    return pl.DataFrame(rows)


SHIPPED = {"n-grams": 0.50, "static": 0.65, "simulated": 0.65}
"""Where the package merged without a judge until it asked for a threshold."""


def scored(alone: pl.DataFrame) -> pl.DataFrame:
    """A row per threshold: precision, recall and F1 of all sets together."""
    counts = ["found", "wrong", "planted", "look_alikes_merged", "look_alikes", "broader_merged", "broader"]
    total = alone.group_by("threshold").agg(pl.col(counts).sum()).sort("threshold")
    merged = pl.col("found") + pl.col("wrong")
    precision = pl.when(merged > 0).then(pl.col("found") / merged).otherwise(1.0)
    both = 2 * pl.col("found") / (pl.col("found") + pl.col("wrong") + pl.col("planted"))
    return total.with_columns(precision=precision, recall=pl.col("found") / pl.col("planted"), f1=both)


def best(scores: pl.DataFrame) -> float:
    """The threshold with the highest F1; of several the highest."""
    return float(scores.sort("f1", "threshold")["threshold"][-1])
