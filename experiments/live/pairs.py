"""Pairs of labels for a person to judge, drawn from a sweep of `experiment=live`.

    python experiments/live/pairs.py [SWEEP] [--case NAME] [--pairs N] [--into FOLDER] [--force]

Writes pairs.csv, which does not tell what the runs made of a pair, and pairs-key.parquet, which does. Give
the person pairs.csv alone; `python experiments/live/judged.py pairs.csv` reads the answers.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from autoanalyze.errors import AutoAnalyzeError, InputError
from autoanalyze.laboratory.points import ended_points
from autoanalyze.phases.duplicates.spelling import normal_form
from autoanalyze.study.exports import text_of, write_text
from autoanalyze.study.runs import Run, load_run

SWEEP = Path("outputs") / "experiments" / "live"
PAIRS, KEY = "pairs.csv", "pairs-key.parquet"
ANSWER = "same? (yes/no/broader/narrower)"
HEADINGS = ("pair", "field", "label one", "label two", "notes on one", "notes on two", ANSWER)

MERGED, APART, NEAR, OTHERS = "merged", "kept apart", "near by spelling", "others"
SHARES = {MERGED: 0.3, APART: 0.25, NEAR: 0.2, OTHERS: 0.25}
"""How the pairs are spread over the strata, as far as these have so many."""
WANTED, SEED = 300, 7
NEAR_RATIO = 0.6
"""Of difflib, on words in order: what is at least so alike is near by spelling."""
NOTES, NOTE_LENGTH = 2, 160
"""Notes that are shown of the sessions of a label, and how much of each."""


def finished_runs(sweep: Path, case: str) -> list[Run]:
    """The finished runs of one case of a sweep, by seed. Raises InputError if there are none to draw from."""
    ended = [point for point in ended_points(sweep) if point.settings.get("case") == case]
    done = [point for point in ended if point.status != "failed"]
    if not done:
        raise InputError(
            f"{sweep} has no finished run of the case {case!r}: `autoanalyze run experiment=live "
            "endpoint=... model=...` makes them, and the same command goes on with those that stopped"
        )
    runs = [load_run(point.folder) for point in sorted(done, key=lambda point: int(point.settings["seed"]))]
    for run in runs:
        if run.reviewed:
            raise InputError(
                f"the labels of {run.path} were edited since: `autoanalyze labels {run.path} --undo` takes "
                "that back, so that the run is judged and not its editor"
            )
    return runs


def population(runs: Sequence[Run]) -> pl.DataFrame:
    """Every pair of names that was given in one run and field: run, field, one, two, stratum.

    A pair that several runs have counts once, as the first of them decided on it.
    """
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for number, run in enumerate(runs):
        for field in open_fields(run):
            for one, two, stratum in pairs_of(run, field):
                told = {"run": number, "field": field, "one": one, "two": two, "stratum": stratum}
                rows.setdefault((field, one, two), told)
    schema = {"run": pl.Int64, **dict.fromkeys(("field", "one", "two", "stratum"), pl.String)}
    return pl.DataFrame(list(rows.values()), schema=schema)


def open_fields(run: Run) -> list[str]:
    """The label fields whose names the model coins: in a closed list nothing is merged."""
    return [field["name"] for field in run.record["config"]["schema"]["fields"] if not field["labels"]]


def pairs_of(run: Run, field: str) -> Iterator[tuple[str, str, str]]:
    """The pairs of first-given names of a field, in order, with their stratum."""
    given = run.labels.filter(pl.col("field") == field, pl.col("sessions_first") > 0)
    canonical = dict(given.select("label", "canonical").iter_rows())
    ledger = run.merges.filter(pl.col("field") == field).select("alias", "canonical")
    looked_at = {frozenset(pair) for pair in ledger.iter_rows()}
    spelled = {label: " ".join(normal_form(label)) for label in canonical}
    for one, two in combinations(sorted(canonical), 2):
        if canonical[one] == canonical[two]:
            yield one, two, MERGED
        elif frozenset((one, two)) in looked_at:
            yield one, two, APART
        elif SequenceMatcher(None, spelled[one], spelled[two], autojunk=False).ratio() >= NEAR_RATIO:
            yield one, two, NEAR
        else:
            yield one, two, OTHERS


def sizes(there: Mapping[str, int], wanted: int) -> dict[str, int]:
    """How many pairs of each stratum are drawn: its share, and what strata that are too small leave over.

    The rest goes to the largest one first: it is there that a few misses would weigh most.
    """
    taken = {stratum: min(there.get(stratum, 0), round(wanted * share)) for stratum, share in SHARES.items()}
    for stratum in reversed(SHARES):
        left = wanted - sum(taken.values())
        taken[stratum] += max(0, min(left, there.get(stratum, 0) - taken[stratum]))
    return taken


def drawn(everything: pl.DataFrame, wanted: int, seed: int) -> pl.DataFrame:
    """A draw within each stratum, in random order, and which name stands first drawn too.

    With the number of each pair, and of how many pairs of its stratum it is one (`of`).
    """
    random = np.random.default_rng(seed)
    there = dict(everything["stratum"].value_counts().iter_rows())
    parts = []
    for stratum, size in sizes(there, wanted).items():
        own = everything.filter(stratum=stratum)
        chosen = sorted(random.choice(len(own), size, replace=False).tolist()) if size else []
        parts.append(own[chosen].with_columns(of=pl.lit(len(own), pl.Int64)))
    found: pl.DataFrame = pl.concat(parts)
    found = found[random.permutation(len(found)).tolist()]
    swapped = pl.Series("swapped", random.random(len(found)) < 0.5)
    one, two = pl.col("one"), pl.col("two")
    return found.with_columns(
        pair=pl.int_range(1, len(found) + 1),
        one=pl.when(swapped).then(two).otherwise(one),
        two=pl.when(swapped).then(one).otherwise(two),
    )


def notes_on(run: Run, field: str, label: str) -> str:
    """What the model noted of some sessions that it first gave a label."""
    own = run.sessions.filter(pl.col(f"{field}_first") == label)["notes"].drop_nulls()
    texts = (" ".join(note.split()) for note in own.head(NOTES))
    return " | ".join(text[:NOTE_LENGTH] for text in texts)


def sheet(found: pl.DataFrame, runs: Sequence[Run]) -> pl.DataFrame:
    """What the person sees: nothing of runs, strata or decisions."""
    rows = []
    for row in found.iter_rows(named=True):
        run, field = runs[row["run"]], row["field"]
        notes = [notes_on(run, field, row[side]) for side in ("one", "two")]
        values = (row["pair"], field.replace("_", " "), row["one"], row["two"], *notes, "")
        rows.append(dict(zip(HEADINGS, values, strict=True)))
    return pl.DataFrame(rows)


def key_of(found: pl.DataFrame, runs: Sequence[Run], case: str) -> pl.DataFrame:
    """What the runs made of each pair, and which runs they are."""
    told = pl.DataFrame(
        {
            "run": range(len(runs)),
            "run_id": [run.record["id"] for run in runs],
            "model": [run.record["model"] for run in runs],
            "endpoint": [run.record["endpoint"] for run in runs],
        },
        schema_overrides={"run": pl.Int64},
    )
    known = found.join(told, on="run", how="left", maintain_order="left")
    known = known.with_columns(case=pl.lit(case))
    return known.select("pair", "field", "one", "two", "stratum", "of", "case", "run_id", "model", "endpoint")


def write_pairs(
    sweep: Path,
    into: Path | None = None,
    *,
    case: str = "default",
    wanted: int = WANTED,
    seed: int = SEED,
    force: bool = False,
) -> str:
    """Draw pairs from the runs of a case and write both files; what is said of it.

    Files that are there already from the same runs are kept, since answers may stand in them. Raises
    InputError where there is nothing to draw, and for files of other runs, unless `force` is set.
    """
    into = into or sweep
    runs = finished_runs(sweep, case)
    if (into / PAIRS).exists() and not force:
        return kept(into, {run.record["id"] for run in runs})
    everything = population(runs)
    if everything.is_empty():
        raise InputError(f"the runs of {sweep} gave no two names in any field: there is nothing to judge")
    found = drawn(everything, wanted, seed)
    into.mkdir(parents=True, exist_ok=True)
    write_text(text_of(sheet(found, runs), "excel"), str(into / PAIRS), force=force)
    key_of(found, runs, case).write_parquet(into / KEY)
    few = "" if len(found) == wanted else f", instead of {wanted:,}: the runs have no more"
    per = ", ".join(f"{count:,} {stratum}" for stratum, count in by_stratum(found))
    words = dict.fromkeys(word for run in runs for word in run.caveats)
    caveats = f" ({', '.join(words)})" if words else ""
    return (
        f"{len(found):,} pairs of labels{caveats}{few}, of {len(everything):,}: {per}\n"
        f"to be judged: {into / PAIRS} (column {ANSWER!r}); what the runs decided: {into / KEY}"
    )


def by_stratum(found: pl.DataFrame) -> list[tuple[str, int]]:
    """How many pairs there are of each stratum."""
    counts = dict(found["stratum"].value_counts().iter_rows())
    return [(stratum, counts.get(stratum, 0)) for stratum in SHARES]


def kept(into: Path, run_ids: set[str]) -> str:
    """What is said of pairs that are there. Raises InputError if they are of other runs."""
    drawn_from = set(pl.read_parquet(into / KEY)["run_id"]) if (into / KEY).exists() else set()
    if not drawn_from or not drawn_from <= run_ids:
        raise InputError(
            f"{into / PAIRS} was drawn from other runs: move it and {KEY} elsewhere, or give --force to draw "
            "anew over it"
        )
    return f"{into / PAIRS} is there already, and stays as it is: --force draws anew over it"


def main() -> None:
    """Draw what was asked for, and say what there is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sweep", nargs="?", type=Path, default=SWEEP, help=f"default: {SWEEP}")
    parser.add_argument("--case", default="default", help="whose merging is judged")
    parser.add_argument("--pairs", type=int, default=WANTED)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--into", type=Path, help="folder of both files; the sweep's own by default")
    parser.add_argument("--force", action="store_true", help="draw anew over pairs that are there")
    given = parser.parse_args()
    try:
        print(
            write_pairs(
                given.sweep,
                given.into,
                case=given.case,
                wanted=given.pairs,
                seed=given.seed,
                force=given.force,
            )
        )
    except AutoAnalyzeError as error:
        print(f"pairs.py: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
