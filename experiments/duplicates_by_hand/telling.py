"""The chapter's tables and figure, from its results."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import polars as pl
import pooling
import sets
import verdicts
from drawing import drawn
from vectors import NGRAMS, RARE, SIMULATED, STATIC, VECTORS

from autoanalyze.study.intervals import shown

QUESTION = (
    "On labels that two authors wrote, how many duplicates do real vectors propose, what is left of them "
    "under a judge, and does a threshold without a judge transfer to another domain?"
)
BLOCK = re.compile(r"(<!-- results -->\n).*?(<!-- /results -->)", re.DOTALL)


def tell(into: Path) -> None:
    """Write table.md and figure.png, and fill the chapter's block if there is a chapter."""
    results = pl.read_parquet(into / "results.parquet")
    guards, alike = (pl.read_parquet(into / f"{name}.parquet") for name in ("guards", "likeness"))
    text = "\n\n".join(
        f"{heading}:\n\n{markdown(table)}" for heading, table in chapter(results, guards, alike)
    )
    more = "\n\n".join(f"{heading}:\n\n{markdown(table)}" for heading, table in rest(guards, alike))
    (into / "table.md").write_text(f"{text}\n\n{more}\n", "utf-8")
    told = into / "README.md"
    title = QUESTION
    if told.exists():
        before = told.read_text(encoding="utf-8")
        title = before.partition("\n")[0].removeprefix("# ")
        after = BLOCK.sub(lambda block: f"{block[1]}{text}\n\n![{title}](figure.png)\n{block[2]}", before)
        told.write_text(after, encoding="utf-8")
    figure = drawn(results, alike, title)
    figure.savefig(into / "figure.png", metadata={"Software": None})
    plt.close(figure)


def chapter(
    results: pl.DataFrame, guards: pl.DataFrame, alike: pl.DataFrame
) -> list[tuple[str, pl.DataFrame]]:
    """The tables that stand in the chapter."""
    single = results.filter(kind=sets.ONE)
    return [
        ("What was preregistered", tested(results, guards)),
        (
            "Ten sets of one domain by one author together, questions on pairs; 95 % intervals by bootstrap "
            "over the ten sets",
            together(single.filter(way=verdicts.PAIRS)),
        ),
        (
            "Sets of 60 and more labels (both authors of a domain, one author, the shared set), blocks "
            "of 60 and questions on pairs; intervals by bootstrap over sets",
            together(results.filter(pl.col("labels") >= verdicts.LARGER)),
        ),
        (
            "The ten sets shown to the judge as they are, three looks (the default up to 60)",
            together(single.filter(way=verdicts.BLOCKS)),
        ),
        (
            "Duplicates among the nearest neighbours of one of their labels, and connected by these",
            nearest(alike),
        ),
        (
            "Set by set, under the 2 % judge; intervals by bootstrap over the matters of the set",
            apart(results.filter(judge="2 %")),
        ),
        (
            "Without a judge: precision / recall in each domain at a threshold that was chosen on the other "
            "domains, beside the threshold that the package ships",
            without_judge(results),
        ),
        ("Duplicates that a guard vetoes", vetoed(guards)),
        (
            "Look-alikes of guarded kinds, and the first two of their label pairs to which no guard objects",
            unknown(guards, few=2),
        ),
    ]


def rest(guards: pl.DataFrame, alike: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    """The tables that stand in table.md only."""
    return [
        ("How alike pairs are, ten sets (10 %, median, 90 %)", likeness(alike.filter(kind=sets.ONE))),
        ("All label pairs of look-alikes of guarded kinds to which no guard objects", unknown(guards)),
    ]


def tested(results: pl.DataFrame, guards: pl.DataFrame) -> pl.DataFrame:
    """A row per test."""
    return pl.DataFrame(
        [
            {
                "hypothesis": test.hypothesis,
                "where": test.where,
                "found": shown(test.found),
                "margin": f"{'at least' if test.at_least else 'at most'} {test.margin:g}",
                "outcome": test.outcome,
            }
            for test in verdicts.tests(results, guards)
        ]
    )


def together(results: pl.DataFrame) -> pl.DataFrame:
    """A row per way, kind of vectors and judge."""
    rows = []
    for (way, vectors, judge), group in results.group_by(["way", "vectors", "judge"], maintain_order=True):
        units = pooling.by_set(group)
        measures = {measure: shown(pooling.share(units, measure)) for measure in pooling.MEASURES}
        rows.append({"way": way, "vectors": vectors, "judge": judge, **measures})
    return pl.DataFrame(rows)


def apart(results: pl.DataFrame) -> pl.DataFrame:
    """A row per set."""
    rows = []
    for (name,), group in results.group_by(["set"], maintain_order=True):
        row = {"set": name, "labels": group["labels"][0], "pairs": group["planted"][0]}
        for vectors in (NGRAMS, STATIC):
            part = group.filter(vectors=vectors, way=verdicts.PAIRS)
            row |= {f"{m}, {vectors}": shown(pooling.within(part, m), 2) for m in ("offered", "recall")}
        part = group.filter(
            way=verdicts.BLOCKS, vectors=STATIC if group["labels"][0] >= verdicts.LARGER else "none"
        )
        row |= {f"{m}, blocks": shown(pooling.within(part, m), 2) for m in ("recall", "precision")}
        rows.append(row)
    return pl.DataFrame(rows)


def without_judge(results: pl.DataFrame) -> pl.DataFrame:
    """A row per kind of vectors and way to a threshold, a column per domain, and their mean."""
    found = pooling.left_out(results.filter(way=verdicts.ALONE))
    rows = []
    for (vectors, way), group in found.group_by(["vectors", "way"], maintain_order=True):
        cells = {
            row["domain"]: f"{row['precision']:.2f} / {row['recall']:.2f} at {row['threshold']:.3g}"
            for row in group.iter_rows(named=True)
        }
        means = {
            measure: shown(verdicts.over(group[measure]), 2) for measure in ("precision", "recall", "f1")
        }
        merged = {
            f"{kind} merged": f"{float(group[f'{name}_merged'].sum()) / float(group[name].sum()):.2f}"
            for kind, name in ((sets.ALIKE, "look_alikes"), (sets.BROADER, "broader"))
            if group[name].sum()
        }
        rows.append({"vectors": vectors, "threshold": way, **means, **merged, **cells})
    return pl.DataFrame(rows)


def likeness(alike: pl.DataFrame) -> pl.DataFrame:
    """A row per class of pairs: means over sets of the quantiles of similarities."""
    rows = []
    for (pair_class,), group in alike.group_by(["class"], maintain_order=True):
        cells = {}
        for vectors in VECTORS:
            ends = group.filter(vectors=vectors).select(pl.col("low", "median", "high").mean()).row(0)
            cells[vectors] = " ".join(f"{end:.2f}" for end in ends)
        pairs = group.filter(vectors=NGRAMS)["pairs"].sum()
        rows.append({"class": pair_class, "pairs": pairs, **cells})
    return pl.DataFrame(rows)


def nearest(alike: pl.DataFrame) -> pl.DataFrame:
    """A row per number of neighbours: the share of duplicates among them, the share that these connect, and
    the pairs per label that this makes."""
    rows = []
    for k in (1, 2, 4, 6, 8, 10, 15):
        cells = {"neighbours": str(k)}
        for vectors in (NGRAMS, STATIC, RARE, SIMULATED):
            for kind in (sets.ONE, sets.WHOLE):
                own = alike.filter(kind=kind, vectors=vectors)
                if own.is_empty():  # the quick form has no set of all domains
                    continue
                near, joined, pairs = pooling.among(own, k)
                cells[f"{vectors}, {kind}"] = f"{near:.2f}, {joined:.2f} ({pairs:.1f})"
        rows.append(cells)
    return pl.DataFrame(rows)


def vetoed(guards: pl.DataFrame) -> pl.DataFrame:
    """A row per set and objection to a duplicate, with its pairs of labels."""
    rows = guards.filter(pl.col("class") == "duplicate", pl.col("objection").is_not_null())
    return rows.group_by("set", "objection", maintain_order=True).agg(pairs=PAIR.str.join("; "))


def unknown(guards: pl.DataFrame, few: int = 10_000) -> pl.DataFrame:
    """A row per set and guarded kind: how many label pairs guards object to, and some of the others."""
    rows = guards.filter(pl.col("guarded").is_not_null(), kind=sets.ONE)
    missed = pl.col("objection").is_null()
    return rows.group_by("set", "guarded", maintain_order=True).agg(
        label_pairs=pl.len(),
        objected=(~missed).sum(),
        not_objected=PAIR.filter(missed).head(few).str.join("; "),
    )


PAIR = pl.format('"{}" / "{}"', "first", "second")


def markdown(frame: pl.DataFrame) -> str:
    """A table in Markdown."""
    if frame.is_empty():
        return "none"
    headings: Sequence[str] = [name.replace("_", " ") for name in frame.columns]
    lines = [headings, ["---"] * len(headings), *([str(cell) for cell in row] for row in frame.iter_rows())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
