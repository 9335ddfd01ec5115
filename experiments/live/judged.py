"""Precision and recall of merging, from pairs of labels that a person judged.

    python experiments/live/judged.py PAIRS.csv [--key pairs-key.parquet] [--into FOLDER]

PAIRS.csv is what experiments/live/pairs.py wrote, with answers in its last column; some may be empty. What
comes out is printed, and of live runs also written into the chapter (README.md here, or in FOLDER).
"""

from __future__ import annotations

import argparse
import csv
import io
import re
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]

import pairs  # noqa: E402  # lies beside this file

from autoanalyze.config import IN_PROCESS  # noqa: E402
from autoanalyze.errors import AutoAnalyzeError, InputError  # noqa: E402
from autoanalyze.study.exports import unguarded  # noqa: E402
from autoanalyze.study.intervals import Estimate, shown, wilson  # noqa: E402

ANSWERS = ("yes", "no", "broader", "narrower")
STRICT, LENIENT = ("yes",), ("yes", "broader", "narrower")
"""The answers that count as the same name for one thing, and as names that may be merged."""
BLOCK = re.compile(r"(<!-- pairs -->\n).*?(<!-- /pairs -->)", re.DOTALL)
PRECISION, RECALL = 0.9, 0.8
"""What H4 and H5 want of merging (experiments/PREREGISTERED.md)."""
LOOKED_AT = (pairs.APART, pairs.NEAR)
"""Strata in which a duplicate would have been found by looking closely."""


@dataclass(frozen=True, slots=True)
class Stratum:
    """`same` of the `judged` pairs are the same; there are `of` pairs like them."""

    of: int
    judged: int
    same: int

    @property
    def share(self) -> Estimate:
        """The share that is the same, with Wilson's interval; nothing of nothing."""
        ends = pl.select(
            *(end.alias(str(n)) for n, end in enumerate(wilson(pl.lit(self.same), pl.lit(self.judged))))
        )
        return Estimate(*ends.row(0))

    @property
    def number(self) -> Estimate:
        """How many of all pairs of the stratum are the same."""
        ends = (self.share.value, self.share.low, self.share.high)
        return Estimate(*(None if end is None else self.of * end for end in ends))


def read_judged(path: Path, key: pl.DataFrame) -> pl.DataFrame:
    """The key with the answer to each pair; null where there is none yet.

    Raises InputError, naming the line and the remedy, for a file that is not the one that was drawn, with
    answers in it.
    """
    rows = rows_of(path)
    drawn = {row["pair"]: row for row in key.iter_rows(named=True)}
    answers: dict[int, str | None] = {}
    for line, row in enumerate(rows, start=2):
        number, answer = pair_number(row["pair"], line, drawn.keys()), row[pairs.ANSWER].strip().lower()
        if number in answers:
            raise InputError(f"{path}: line {line}: pair {number} stands there twice: leave one of them")
        if (row["label one"], row["label two"]) != (drawn[number]["one"], drawn[number]["two"]):
            raise InputError(
                f"{path}: line {line}: pair {number} has other labels than when it was drawn: give the key "
                "that was written beside it with --key, or put the labels back"
            )
        if answer and answer not in ANSWERS:
            raise InputError(
                f"{path}: line {line}: {row[pairs.ANSWER]!r} is no answer: write {', '.join(ANSWERS)}, or "
                "leave it empty"
            )
        answers[number] = answer or None
    if not any(answers.values()):
        raise InputError(f"{path} has no answer yet: fill the column {pairs.ANSWER!r} in")
    told = {"pair": list(answers), "answer": list(answers.values())}
    frame = pl.DataFrame(told, schema={"pair": pl.Int64, "answer": pl.String})
    return key.join(frame, on="pair", how="left", maintain_order="left")


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV as a spreadsheet left it, with commas, semicolons or tabs. Raises InputError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8: save it as `CSV UTF-8`") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): name the judged pairs.csv") from None
    heading = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=heading.count))
    missing = [
        name
        for name in ("pair", "label one", "label two", pairs.ANSWER)
        if name not in (reader.fieldnames or ())
    ]
    if missing:
        raise InputError(
            f"{path} has no column {missing[0]!r}: keep the headings that experiments/live/pairs.py wrote"
        )
    rows = [{name: unguarded(value or "") for name, value in row.items() if name} for row in reader]
    return [row for row in rows if any(value.strip() for value in row.values())]


def pair_number(said: str, line: int, numbers: Collection[int]) -> int:
    """The number of a pair. Raises InputError for one that there is not."""
    if not said.strip().isdecimal() or int(said) not in numbers:
        raise InputError(
            f"line {line}: there is no pair {said!r}: they are {min(numbers)} to {max(numbers)}, as in "
            "the file that was drawn"
        )
    return int(said)


def outcome(found: Estimate, margin: float) -> str:
    """Whether a share surely reaches a margin, surely does not, or neither."""
    if found.low is None or found.high is None:
        return "open"
    return "holds" if found.low >= margin else "fails" if found.high < margin else "open"


def strata(judged: pl.DataFrame, same: Sequence[str] = STRICT) -> dict[str, Stratum]:
    """What was judged, stratum by stratum."""
    found = {}
    for stratum in pairs.SHARES:
        own = judged.filter(stratum=stratum)
        answered = own["answer"].drop_nulls()
        there = int(own["of"][0]) if len(own) else 0
        found[stratum] = Stratum(there, len(answered), int(answered.is_in(list(same)).sum()))
    return found


def recall(found: dict[str, Stratum], missed_in: Sequence[str]) -> Estimate:
    """Of the pairs that are the same, the share that was merged, counting those missed in some strata.

    The numbers of each stratum are estimated apart. The interval of their sum puts Wilson's together (MOVER:
    Zou & Donner 2008); that of the ratio takes the worst ends of both, so that it is rather too wide.
    """
    merged = found[pairs.MERGED].number
    missed = total([found[stratum] for stratum in missed_in if found[stratum].of])
    if merged.value is None or missed.value is None or merged.value + missed.value == 0:
        return Estimate(None)
    low, high = (merged.low or 0.0, missed.high or 0.0), (merged.high or 0.0, missed.low or 0.0)
    return Estimate(merged.value / (merged.value + missed.value), low[0] / sum(low), high[0] / sum(high))


def total(parts: Sequence[Stratum]) -> Estimate:
    """How many pairs are the same in some strata together; nothing if one of them was not judged at all."""
    numbers = [part.number for part in parts]
    if any(number.value is None for number in numbers):
        return Estimate(None)
    value = sum(number.value or 0.0 for number in numbers)
    below = sum(((number.value or 0.0) - (number.low or 0.0)) ** 2 for number in numbers) ** 0.5
    above = sum(((number.high or 0.0) - (number.value or 0.0)) ** 2 for number in numbers) ** 0.5
    return Estimate(value, max(0.0, value - below), value + above)


def results(judged: pl.DataFrame) -> pl.DataFrame:
    """Precision and recall of merging, once with `yes` alone as the same, once with related names too."""
    rows = []
    for told, same in (("yes alone", STRICT), ("yes, broader or narrower", LENIENT)):
        found = strata(judged, same)
        for measure, estimate in (
            ("precision", found[pairs.MERGED].share),
            ("recall, of pairs looked at or near", recall(found, LOOKED_AT)),
            ("recall, of all pairs", recall(found, (*LOOKED_AT, pairs.OTHERS))),
        ):
            ends = {end: getattr(estimate, end) for end in ("value", "low", "high")}
            rows.append({"same means": told, "measure": measure, **ends})
    return pl.DataFrame(rows, schema_overrides=dict.fromkeys(("value", "low", "high"), pl.Float64))


def markdown(judged: pl.DataFrame) -> str:
    """What came out, as the chapter has it."""
    lines = ["| pairs | there are | drawn | judged | yes | broader | narrower | no | same [95 %] |"]
    lines.append("| --- " * 9 + "|")
    for stratum, part in strata(judged).items():
        own = judged.filter(stratum=stratum)
        counts = [str(int((own["answer"] == word).sum())) for word in ("yes", "broader", "narrower", "no")]
        cells = [stratum, f"{part.of:,}", str(len(own)), str(part.judged), *counts, shown(part.share)]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| merging | yes alone | yes, broader or narrower |", "| --- | --- | --- |"]
    for (measure,), own in results(judged).group_by("measure", maintain_order=True):
        cells = [shown(Estimate(*row)) for row in own.select("value", "low", "high").iter_rows()]
        lines.append(f"| {measure} | {' | '.join(cells)} |")
    lines += ["", decided(strata(judged))]
    first, answered = judged.row(0, named=True), judged["answer"].count()
    head = (
        f"{answered} of {len(judged)} pairs judged, of the case {first['case']}, {first['model']} "
        f"({first['endpoint']}). Wilson's 95 % intervals; recall weights strata by the pairs that there are."
    )
    return "\n".join([head, "", *lines]) + "\n"


def decided(found: dict[str, Stratum]) -> str:
    """The hypotheses on pairs that were preregistered."""
    precision, near = found[pairs.MERGED].share, recall(found, LOOKED_AT)
    return (
        f"H4, precision at least {PRECISION:.2f}: {outcome(precision, PRECISION)}. H5, recall of pairs "
        f"looked at or near at least {RECALL:.2f}: {outcome(near, RECALL)}."
    )


def is_no_model(judged: pl.DataFrame) -> bool:
    """Whether any of the runs had no live model: a simulated one, or the reader."""
    return any(endpoint.startswith(IN_PROCESS) for endpoint in judged["endpoint"])


def into_chapter(text: str, chapter: Path) -> None:
    """Put the text between the marks of a chapter. Raises InputError if there are none."""
    written = chapter.read_text(encoding="utf-8") if chapter.exists() else ""
    if not BLOCK.search(written):
        raise InputError(f"{chapter} has no <!-- pairs --> ... <!-- /pairs -->: give the folder of a chapter")
    chapter.write_text(BLOCK.sub(lambda found: f"{found[1]}{text}{found[2]}", written), encoding="utf-8")


def tell(path: Path, key: Path, into: Path | None) -> str:
    """Read the answers, and write what they say into the chapter if they are of live runs."""
    if not key.exists():
        raise InputError(f"{key} is not there: give the file that was drawn together with {path} with --key")
    judged = read_judged(path, pl.read_parquet(key))
    text = markdown(judged)
    if into is None and is_no_model(judged):
        return f"{text}\nno live model: the chapter stays as it is"
    chapter = (into or HERE) / "README.md"
    into_chapter(text, chapter)
    return f"{text}\nwritten into {chapter}"


def main() -> None:
    """Read what was judged, and say what it means."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("judged", type=Path, help="the judged pairs.csv")
    parser.add_argument("--key", type=Path, help=f"what the runs decided; by default {pairs.KEY} beside it")
    parser.add_argument("--into", type=Path, help="folder of the chapter; this one by default, for live runs")
    given = parser.parse_args()
    try:
        print(tell(given.judged, given.key or given.judged.with_name(pairs.KEY), given.into))
    except AutoAnalyzeError as error:
        print(f"judged.py: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
