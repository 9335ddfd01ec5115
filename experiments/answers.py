"""What may be said of the experiments that compare settings in several worlds, as preregistered.

    .venv/bin/python experiments/answers.py [NAME ...]     of those in GROUPS, from their results.parquet

Fills the block `answers` of each chapter, and leaves answers.parquet beside it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from autoanalyze.study.intervals import Estimate, shown
from autoanalyze.study.verdicts import MARGIN, WorstField, exceeds, holm, paired, worst_field

HERE = Path(__file__).resolve().parent
BLOCK = re.compile(r"(<!-- answers -->\n).*?(<!-- /answers -->)", re.DOTALL)
LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class Question:
    """Whether one case differs from another."""

    text: str
    case: str
    against: str


QUESTIONS = {
    "worlds": (
        Question("discovery, with nothing shared", "fixed discovery", "nothing shared"),
        Question("discovery, with rounds", "rounds + fixed", "rounds"),
        Question("discovery, with continuous sharing", "continuous + fixed", "continuous"),
        Question("synchronisation in rounds", "rounds", "nothing shared"),
        Question("continuous synchronisation", "continuous", "nothing shared"),
        Question("the barrier (rounds less continuous)", "rounds", "continuous"),
        Question("the default less sequential", "default", "sequential"),
        Question("two passes less the default", "two passes", "default"),
        Question("three passes less the default", "three passes", "default"),
        Question("three passes less sequential", "three passes", "sequential"),
    ),
    "every_world": (
        Question("the default less sequential", "default", "sequential"),
        Question("the default less one pass", "default", "one pass"),
        Question("merges tried less not tried", "default", "merges not tried"),
        Question("thorough less one pass", "thorough", "one pass"),
        Question("thorough less sequential", "thorough", "sequential"),
        Question("the design less the default", "design", "default"),
    ),
    "judges": (
        Question("discovery, with nothing shared", "fixed discovery", "nothing shared"),
        Question("continuous synchronisation", "continuous", "nothing shared"),
        Question("the default less sequential", "default", "sequential"),
        Question("three passes less the default", "three passes", "default"),
        Question("three passes less sequential", "three passes", "sequential"),
    ),
}
GROUPS = {"worlds": "world", "judges": "judge", "levers": "world", "every_world": "world"}


def questions(name: str, results: pl.DataFrame) -> Sequence[Question]:
    """What is asked of an experiment: of levers, each against the default."""
    if name in QUESTIONS:
        return QUESTIONS[name]
    cases = [case for case in results["case"].unique(maintain_order=True) if case != "default"]
    return [Question(f"{case} less the default", case, "default") for case in cases]


def answers(name: str, results: pl.DataFrame) -> pl.DataFrame:
    """A row per question, group (world or judge) and measure: the worst and the best field, and the verdict.

    Holm over all fields and groups of a question, for differences and for equivalences apart.
    """
    if "reply" in results.columns:  # the sequence was run with both ways of answering: its own is compared
        results = results.filter((pl.col("reply") == "numbers") | (pl.col("case") == "design"))
    if "data.count" in results.columns:  # worlds of each size are places of their own
        place = pl.format("{}, {} sessions", GROUPS[name], "data.count")
        results = results.with_columns(place.alias(GROUPS[name]))
    rows = []
    for question in questions(name, results):
        for measure in ("f1", "f1_macro"):
            rows += list(decided(results, question, GROUPS[name], measure))
    return pl.DataFrame(rows)


def decided(
    results: pl.DataFrame, question: Question, group: str, measure: str
) -> Iterator[dict[str, object]]:
    """The rows of one question and measure."""
    found: dict[str, WorstField] = {}
    for (value,), own in results.group_by(group, maintain_order=True):
        compared = worst_field(
            own, pl.col("case") == question.case, pl.col("case") == question.against, measure=measure
        )
        if compared is not None:
            found[str(value)] = compared
    cells = {
        (value, one.field): paired(*cases(results, question, group, value), one.field, measure, ["seed"])
        for value, compared in found.items()
        for one in compared.fields
    }
    gain, loss = (
        dict(zip(cells, holm([two_sided([sign * d for d in v]) for v in cells.values()]), strict=True))
        for sign in (1, -1)
    )
    same = dict(zip(found, holm([compared.p for compared in found.values()]), strict=True))
    lost = [
        max(exceeds(cells[value, one.field], -MARGIN) for one in compared.fields)
        for value, compared in found.items()
    ]
    kept = dict(zip(found, holm(lost), strict=True))
    for value, compared in found.items():
        best = max(compared.fields, key=lambda one: one.difference.value or 0.0)
        up = float(min(gain[value, one.field] for one in compared.fields))
        down = float(min(loss[value, one.field] for one in compared.fields))
        yield {
            "question": question.text,
            group: value,
            "measure": measure,
            "worst_field": compared.worst.field,
            **ends("worst", compared.worst.simultaneous),
            "best_field": best.field,
            **ends("best", best.simultaneous),
            "p_gain": up,
            "p_loss": down,
            "p_equivalent": float(same[value]),
            "p_no_loss": float(kept[value]),
            "pairs": compared.worst.pairs,
            "verdict": verdict(
                up <= LEVEL, down <= LEVEL, float(same[value]) <= LEVEL, float(kept[value]) <= LEVEL
            ),
        }


def two_sided(difference: Sequence[float]) -> float:
    """p of a mean that is not above 0, doubled, as the other side is looked at too."""
    return min(1.0, 2 * exceeds(difference, 0.0))


def cases(
    results: pl.DataFrame, question: Question, group: str, value: str
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The runs of both cases in one world."""
    own = results.filter(pl.col(group) == value)
    return own.filter(case=question.case), own.filter(case=question.against)


def ends(name: str, estimate: Estimate) -> dict[str, float | None]:
    """Value and interval as columns."""
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def verdict(gains: bool, loses: bool, equivalent: bool, kept: bool) -> str:
    """What follows, in a word."""
    if gains and loses:
        return "gains in one field, loses in another"
    way = "gains" if gains else "loses"
    if equivalent:
        return f"equivalent ({way} less than 1 point)" if gains or loses else "equivalent"
    if gains or loses:
        return way
    return "no loss of a point" if kept else "open"


def markdown(found: pl.DataFrame, group: str) -> str:
    """The answers as a table: a row per question and group, micro and macro side by side."""
    head = ["question", group, "verdict (F1)", "worst field", "F1 there", "best field", "F1 there"]
    lines = [[*head, "verdict (F1 macro)", "worst field", "F1 macro there"]]
    lines.append(["---"] * len(lines[0]))
    macro = {(r["question"], r[group]): r for r in found.filter(measure="f1_macro").iter_rows(named=True)}
    for row in found.filter(measure="f1").iter_rows(named=True):
        other = macro[row["question"], row[group]]
        lines.append(
            [
                *(row["question"], row[group], row["verdict"], told(row["worst_field"]), cell(row, "worst")),
                *(told(row["best_field"]), cell(row, "best")),
                *(other["verdict"], told(other["worst_field"]), cell(other, "worst")),
            ]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def told(field: str) -> str:
    """A field as people say it."""
    return field.replace("_", " ")


def cell(row: dict[str, float], name: str) -> str:
    """A difference with its interval."""
    return shown(Estimate(row[name], row[f"{name}_low"], row[f"{name}_high"]))


def filled(chapter: Path, text: str) -> None:
    """Put the answers between the marks of a chapter."""
    before = chapter.read_text(encoding="utf-8")
    chapter.write_text(BLOCK.sub(lambda block: f"{block[1]}{text}{block[2]}", before), encoding="utf-8")


def main() -> None:
    """Answer for the experiments that are named, or for all that have results."""
    for name in sys.argv[1:] or GROUPS:
        folder = HERE / name
        found = answers(name, pl.read_parquet(folder / "results.parquet"))
        found.write_parquet(folder / "answers.parquet")
        text = (
            "Differences of F1, by seed, in the field where they are least and where they are greatest, with "
            "intervals that hold in all three fields together (95 %). Equivalent: within 1 point in every "
            f"field. Verdicts at 5 % after Holm. Simulated.\n\n{markdown(found, GROUPS[name])}\n"
        )
        filled(folder / "README.md", text)
        print(f"{name}: {len(found)} answers")


if __name__ == "__main__":
    main()
