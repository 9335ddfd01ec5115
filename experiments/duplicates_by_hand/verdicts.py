"""What was preregistered, held against the results."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl
import pooling
import sets
from vectors import NGRAMS, STATIC

from autoanalyze.study.intervals import Estimate, paired_interval

PAIRS, BLOCKS, ALONE = "questions on pairs", "blocks", "likeness alone"
LARGER = 60
"""Labels from which on a set counts for the number of pairs that the judge sees."""


@dataclass(frozen=True, slots=True)
class Test:
    """One test: a figure that has to be at least, or at most, a margin."""

    hypothesis: str
    where: str
    found: Estimate
    margin: float
    at_least: bool = True

    @property
    def outcome(self) -> str:
        """Whether the whole interval is on the right side, on the wrong one, or neither."""
        low, high = self.found.low, self.found.high
        if low is None or high is None:
            return "open"
        if self.at_least:
            return "holds" if low >= self.margin else "fails" if high < self.margin else "open"
        return "holds" if high <= self.margin else "fails" if low > self.margin else "open"


def tests(results: pl.DataFrame, guards: pl.DataFrame) -> list[Test]:
    """All tests, in order."""
    judged = results.filter(way=PAIRS)
    single = judged.filter(kind=sets.ONE)
    found = []
    for vectors in (NGRAMS, STATIC):
        of_vectors = single.filter(vectors=vectors)
        for hypothesis, judge, measure, margin in (
            ("H1 offered", "2 %", "offered", 0.98),
            ("H2 precision", "2 %", "precision", 0.97),
            ("H2 recall", "2 %", "recall", 0.93),
            ("H3 precision", "10 %, per pair", "precision", 0.97),
        ):
            units = pooling.by_set(of_vectors.filter(judge=judge))
            where = f"{vectors}, {judge}" if measure != "offered" else vectors
            found.append(Test(hypothesis, where, pooling.share(units, measure), margin))
        found += seen_by_the_judge(judged.filter(vectors=vectors, judge="2 %"), vectors)
    found += [*of_guards(guards), *without_judge(results.filter(way=ALONE)), *of_blocks(results)]
    return sorted(found, key=lambda test: test.hypothesis)


def seen_by_the_judge(judged: pl.DataFrame, vectors: str) -> Iterator[Test]:
    """H1 on what the judge sees, in the largest sets: the mean over seeds."""
    for name, rows in judged.filter(pl.col("labels") >= LARGER).group_by("set", maintain_order=True):
        per_label = (rows["pairs_judged"] / rows["labels"]).to_list()
        where = f"{vectors}, {name[0]} ({rows['labels'][0]} labels)"
        yield Test("H1 pairs per label", where, paired_interval(per_label), 5.0, at_least=False)


def of_blocks(results: pl.DataFrame) -> Iterator[Test]:
    """K2 to K4: blocks against pairs, in the sets of 60 and more labels; intervals over sets."""
    large = results.filter(pl.col("labels") >= LARGER)
    if large.is_empty():  # as in the quick form
        return
    for vectors in (NGRAMS, STATIC):
        shown, asked = (large.filter(vectors=vectors, way=way) for way in (BLOCKS, PAIRS))
        units, others = (pooling.by_set(rows.filter(judge="2 %")) for rows in (shown, asked))
        for measure, margin in (("precision", 0.97), ("recall", 0.93)):
            yield Test(f"K2 {measure}", f"blocks, {vectors}", pooling.share(units, measure), margin)
        ratio = units.select("set", found="cost").join(others.select("set", planted="cost"), on="set")
        yield Test("K3 cost, blocks / pairs", vectors, pooling.share(ratio, "recall"), 1.0, at_least=False)
        units, others = (pooling.by_set(rows.filter(judge="10 %, per pair")) for rows in (shown, asked))
        both = units.join(others, on="set", suffix="_pairs")
        lost = pooling.difference(both, "precision")
        yield Test("K4 precision lost to pairs", vectors, lost, 0.02, at_least=False)


def of_guards(guards: pl.DataFrame) -> Iterator[Test]:
    """H4: guards on duplicates, and on look-alikes of the kinds that they are meant to know."""
    single = guards.filter(kind=sets.ONE).with_columns(objected=pl.col("objection").is_not_null())
    for hypothesis, rows, margin, at_least in (
        ("H4 duplicates vetoed", single.filter(pl.col("class") == "duplicate"), 0.01, False),
        ("H4 look-alikes known", single.filter(pl.col("guarded").is_not_null()), 0.90, True),
    ):
        units = rows.group_by("set", maintain_order=True).agg(
            found=pl.col("objected").sum(), planted=pl.len()
        )
        estimate = pooling.share(units, "recall")
        yield Test(hypothesis, "ten sets", estimate, margin, at_least=at_least)


def without_judge(alone: pl.DataFrame) -> Iterator[Test]:
    """H5 and H6: a threshold that was chosen on other domains, as means over domains."""
    chosen = pooling.left_out(alone)
    for vectors in (NGRAMS, STATIC):
        of_vectors = chosen.filter(vectors=vectors)
        left, hindsight = (of_vectors.filter(way=way).sort("domain") for way in ("left out", "in hindsight"))
        for measure, margin in (("precision", 0.90), ("recall", 0.70)):
            yield Test(f"H5 {measure}", vectors, over(left[measure]), margin)
        lost = over(hindsight["f1"] - left["f1"])
        yield Test("H6 F1 lost", vectors, lost, 0.05, at_least=False)


def over(values: pl.Series) -> Estimate:
    """A mean over domains with its interval (percentile bootstrap over domains)."""
    units = pl.DataFrame({"found": values, "planted": pl.Series([1.0] * len(values))})
    return pooling.share(units, "recall")
