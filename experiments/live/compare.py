"""What the nine runs of `experiment=live` say of each other, with truth where it is known, and without.

    python experiments/live/compare.py [SWEEP] [--into FOLDER]

Prints a table per case and per field, and what was preregistered, decided. For live runs, it is also written
into the chapter (README.md here, or in FOLDER), whose title then no longer says that nobody has run it, with
runs.parquet and provenance.json beside it: figures and names of fields, no label and no text.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]

import pairs  # noqa: E402  # lies beside this file

from autoanalyze.analysis.reasons import unjudged_before  # noqa: E402
from autoanalyze.errors import AutoAnalyzeError, InputError  # noqa: E402
from autoanalyze.study.intervals import Estimate, estimate, paired_interval, shown  # noqa: E402
from autoanalyze.study.metrics import matched  # noqa: E402
from autoanalyze.study.runs import Run  # noqa: E402
from autoanalyze.study.verdicts import MARGIN, equivalent, exceeds  # noqa: E402

CASES = ("sequential", "design", "default")
REFERENCE = "sequential"
FEWEST_SHARED = 30
"""Sessions that two runs must share for their agreement to mean anything."""
TIMES_FASTER = 2.0
LEVEL = 0.05
NOT_YET = "Not yet run on a live model"
BLOCK = re.compile(r"(<!-- runs -->\n).*?(<!-- /runs -->)", re.DOTALL)
MEASURES = {
    "labels_first": ("labels first given", 1),
    "labels": ("after merging", 1),
    "f1": ("B-cubed F1", 3),
    "repeated": ("agrees with itself (another seed)", 3),
    "with_sequential": ("agrees with sequential (same seed)", 3),
}


@dataclass(frozen=True, slots=True)
class Case:
    """The finished runs of one case, by seed."""

    name: str
    runs: dict[int, Run]


def cases_of(sweep: Path) -> list[Case]:
    """The finished runs of a sweep. Raises InputError if a case has none."""
    found = []
    for name in CASES:
        runs = pairs.finished_runs(sweep, name)
        found.append(Case(name, {int(run.record["seed"]): run for run in runs}))
    return found


def rows_of(case: Case, reference: Case) -> Iterator[dict[str, object]]:
    """What is measured of the runs of a case: a row per seed and field."""
    for seed, run in case.runs.items():
        record = run.record
        others = [other for number, other in case.runs.items() if number != seed]
        same_seed = [] if case.name == reference.name else [reference.runs.get(seed)]
        for field, counts in record["labels"].items():
            yield {
                "case": case.name,
                "seed": seed,
                "field": field,
                "labels_first": counts["first_given"],
                "labels": counts["final"],
                "f1": f1_of(record["metrics"].get(field)),
                "repeated": mean([agreement(run, other, field) for other in others]),
                "with_sequential": mean([agreement(run, other, field) for other in same_seed if other]),
                "unlabelled": record["sessions"]["unresolved"],
                "seconds": record["model_seconds"],
                "cost": record["cost_usd"],
            }


def f1_of(metrics: dict[str, dict[str, float | None]] | None) -> float | None:
    """B-cubed F1 of a field, without self-pairs; null where truth is not known."""
    if metrics is None:
        return None
    recall, precision = metrics["consistency"]["value"], metrics["precision"]["value"]
    if recall is None or precision is None:
        return None
    return 2 * recall * precision / (recall + precision) if recall + precision else 0.0


def agreement(one: Run, other: Run, field: str) -> float | None:
    """The share of the sessions of both that have the same label, names paired as well as they can be."""
    first = one.sessions.filter(status="labelled").select("session_id", "user_id", first=field)
    second = other.sessions.filter(status="labelled").select("session_id", second=field)
    both = first.join(second, on="session_id")
    return matched(both, seed=0, resamples=0).value if len(both) >= FEWEST_SHARED else None


def mean(values: Sequence[float | None]) -> float | None:
    """The mean of those that there are."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def measured(sweep: Path) -> pl.DataFrame:
    """All rows of a sweep, case by case."""
    cases = cases_of(sweep)
    reference = next(case for case in cases if case.name == REFERENCE)
    numbers = dict.fromkeys(("f1", "repeated", "with_sequential"), pl.Float64)
    rows = [row for case in cases for row in rows_of(case, reference)]
    return pl.DataFrame(rows, schema_overrides=numbers)


def by_field(rows: pl.DataFrame) -> str:
    """A table with a line per case and field: means over seeds."""
    known = [name for name in MEASURES if rows[name].count()]
    lines = [["case", "field", "runs", *(MEASURES[name][0] for name in known)]]
    for (case, field), own in rows.group_by("case", "field", maintain_order=True):
        cells = [shown(within(estimate(own, name), name), MEASURES[name][1]) for name in known]
        lines.append([str(case), str(field).replace("_", " "), str(len(own)), *cells])
    return table(lines)


def within(found: Estimate, measure: str) -> Estimate:
    """An estimate whose interval stays where the measure can be: from 0 on, and shares up to 1.

    Agreements of a case with itself share runs with each other, so that they have no interval.
    """
    if found.low is None or found.high is None or measure == "repeated":
        return Estimate(found.value)
    most = 1.0 if measure in ("f1", "with_sequential") else float("inf")
    return Estimate(found.value, max(0.0, found.low), min(most, found.high))


def by_case(rows: pl.DataFrame) -> str:
    """A table with a line per case: what its runs took."""
    runs = rows.unique(["case", "seed"], keep="first", maintain_order=True)
    lines = [["case", "runs", "seconds", "USD a run", "USD together", "sessions without a label"]]
    for (case,), own in runs.group_by("case", maintain_order=True):
        took = [shown(within(estimate(own, name), name), n) for name, n in (("seconds", 1), ("cost", 4))]
        sums = [f"{own['cost'].sum():.4f}", str(own["unlabelled"].sum())]
        lines.append([str(case), str(len(own)), *took, *sums])
    return table(lines)


def table(lines: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    head, *rest = lines
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rest))


def decided(rows: pl.DataFrame) -> str:
    """The hypotheses on runs that were preregistered, as far as they can be decided here."""
    lines = [["hypothesis", "seeds", "difference, or ratio [95 %]", "outcome"]]
    worst = rows.group_by("case", "seed", maintain_order=True).agg(
        pl.col("f1", "repeated", "with_sequential").min(), pl.col("seconds").first()
    )
    names = {"H1": "default", "H2": "design"}
    for hypothesis, case in names.items():
        told, differences = equal(worst, case, with_truth=bool(rows["f1"].count()))
        outcome = "open"
        if len(differences) > 1:
            p = equivalent(differences, MARGIN)
            outcome = "equivalent" if p <= LEVEL else "open"
        told = f"{hypothesis}: {told}"
        lines.append([told, str(len(differences)), shown(paired_interval(differences)), outcome])
    return table([*lines, faster(worst)])


def equal(worst: pl.DataFrame, case: str, *, with_truth: bool) -> tuple[str, list[float]]:
    """What is compared of a case and sequential on the worst field, and by how much they differ per seed."""
    own, theirs = of(worst, case), of(worst, REFERENCE)
    shared = sorted(own.keys() & theirs.keys())
    if with_truth:
        told, found = "B-cubed F1", [(own[seed]["f1"], theirs[seed]["f1"]) for seed in shared]
    else:
        told = "agreement with sequential, against that of sequential with itself"
        found = [(own[seed]["with_sequential"], theirs[seed]["repeated"]) for seed in shared]
    known = [one - other for one, other in found if one is not None and other is not None]
    return f"{case}, worst field: {told}, within 1 point", known


def of(worst: pl.DataFrame, case: str) -> dict[int, dict[str, float]]:
    """What is known of a case, by seed."""
    return {row["seed"]: row for row in worst.filter(case=case).iter_rows(named=True)}


def faster(worst: pl.DataFrame) -> list[str]:
    """H3: whether the default is more than twice as fast as sequential, as a line."""
    own, theirs = of(worst, "default"), of(worst, REFERENCE)
    logs = [np.log(theirs[s]["seconds"] / own[s]["seconds"]) for s in sorted(own.keys() & theirs.keys())]
    ratio = paired_interval(logs)
    ends = (None if end is None else float(np.exp(end)) for end in (ratio.value, ratio.low, ratio.high))
    surely = len(logs) > 1 and exceeds(logs, float(np.log(TIMES_FASTER))) <= LEVEL
    told = f"H3: default, more than {TIMES_FASTER:g} times as fast"
    return [told, str(len(logs)), shown(Estimate(*ends), 2), "holds" if surely else "open"]


def markdown(rows: pl.DataFrame, told: str) -> str:
    """All tables, with what they were measured on."""
    return "\n\n".join([told, by_case(rows), by_field(rows), decided(rows)]) + "\n"


def told_of(runs: Sequence[Run]) -> tuple[str, bool]:
    """What the runs were made with, and whether any of them had no live model."""
    words = {word for run in runs for word in run.caveats} & {"simulated", "draft"}
    models = sorted({f"{run.record['model']} at {run.record['endpoint']}" for run in runs})
    days = sorted({str(run.record["wall"]["started"])[:10] for run in runs})
    sessions = runs[0].record["sessions"]["sampled"]
    source = "".join(f"{word.upper()}, " for word in sorted(words))
    told = f"{source}{', '.join(models)}, {days[0]}: {len(runs)} runs of {sessions} sessions."
    unjudged = sum(unjudged_before(run.record) for run in runs)
    told += f" In {unjudged} of them no judge could be used: names are as first given." if unjudged else ""
    return told, bool(words)


def into_chapter(text: str, told: str, chapter: Path) -> None:
    """Put the tables between the marks of a chapter, whose title says what it was run on, if it said that it
    was not. Raises InputError if it has no marks."""
    written = chapter.read_text(encoding="utf-8") if chapter.exists() else ""
    if not BLOCK.search(written):
        raise InputError(f"{chapter} has no <!-- runs --> ... <!-- /runs -->: give the folder of a chapter")
    title, rest = written.split("\n", 1)
    title = title.replace(f"{NOT_YET}.", f"Run on {told}")
    filled = BLOCK.sub(lambda found: f"{found[1]}{text}{found[2]}", rest)
    chapter.write_text(f"{title}\n{filled}", encoding="utf-8")


def tell(sweep: Path, into: Path | None) -> str:
    """The tables of a sweep; those of live runs are also written into the chapter, and kept beside it."""
    runs = [run for case in cases_of(sweep) for run in case.runs.values()]
    told, made_here = told_of(runs)
    rows = measured(sweep)
    text = markdown(rows, told)
    if into is None and made_here:
        return f"{text}\nno live model: the chapter stays as it is"
    chapter = (into or HERE) / "README.md"
    into_chapter(text, told, chapter)
    rows.write_parquet(chapter.with_name("runs.parquet"))
    shutil.copy(sweep / "provenance.json", chapter.parent)
    return f"{text}\nwritten into {chapter}"


def main() -> None:
    """Compare what there is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("sweep", nargs="?", type=Path, default=pairs.SWEEP, help=f"default: {pairs.SWEEP}")
    parser.add_argument("--into", type=Path, help="folder of the chapter; this one by default, for live runs")
    given = parser.parse_args()
    try:
        print(tell(given.sweep, given.into))
    except AutoAnalyzeError as error:
        print(f"compare.py: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
