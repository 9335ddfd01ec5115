"""The answer of a run in words and figures, the same for a terminal and for a notebook: rows of plain text.

What strangers wrote stands in them as it is: whoever shows a row escapes it for where it is shown.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from autoanalyze.study.answer import Answer, FieldAnswer
from autoanalyze.study.intervals import Estimate

SHOWN_LABELS = 10
LABEL_HEADINGS = ("sessions", "share", "95 % interval")


def label_rows(field: FieldAnswer) -> list[tuple[str, str, str, str]]:
    """The most frequent labels of a field with their sessions, share and interval; then the others as one."""
    shown = field.labels.head(SHOWN_LABELS)
    rows = [
        (row["label"], f"{row['sessions']:,}", percent(row["share"]), interval(row["low"], row["high"]))
        for row in shown.iter_rows(named=True)
    ]
    others = field.labels.slice(SHOWN_LABELS)
    if len(others):
        sessions = int(others["sessions"].sum())
        name = "1 other label" if len(others) == 1 else f"{len(others):,} other labels"
        rows.append((f"({name})", f"{sessions:,}", percent(sessions / field.sessions), ""))
    return rows


def label_notes(field: FieldAnswer) -> str:
    """How many sessions have no label in a field, and how many names were merged into these labels."""
    if not field.sessions:
        return f"none of the {field.without:,} sessions has one"
    merged = int(field.labels["merged"].sum())
    into = field.labels.filter(pl.col("merged") > 0).height
    notes = [
        f"{field.without:,} {'session has' if field.without == 1 else 'sessions have'} none",
        f"{merged:,} other {'name was' if merged == 1 else 'names were'} merged into {into:,} of the labels"
        if merged
        else "no names were merged",
    ]
    return "; ".join(notes)


def glance(answer: Answer) -> dict[str, str]:
    """How many sessions are labelled, stayed with the bot, and went to a human."""
    unlabelled = answer.sampled - answer.labelled
    rows = {
        "sessions labelled": f"{answer.labelled:,} of {answer.sampled:,}"
        + (f" ({unlabelled:,} have no label)" if unlabelled else "")
    }
    if answer.labelled:
        stayed = answer.contained
        low, high = (None if end is None else 1 - end for end in (stayed.high, stayed.low))
        gone = Estimate(None if stayed.value is None else 1 - stayed.value, low, high)
        rows |= {"stayed with the bot": share(stayed), "went to a human": share(gone)}
    return rows


def caveat_lines(caveats: Mapping[str, str]) -> list[str]:
    """What must stand at the head of an answer: a line for each caveat."""
    return [f"{word.upper()}: {sentence}" for word, sentence in caveats.items()]


def share(estimate: Estimate) -> str:
    """A share with its interval, in percent."""
    return f"{percent(estimate.value)} [{interval(estimate.low, estimate.high)}]"


def percent(value: float | None) -> str:
    """A share as percent."""
    return "-" if value is None else f"{100 * value:.1f} %"


def interval(low: float | None, high: float | None) -> str:
    """Both ends of an interval of a share, in percent."""
    return "" if low is None or high is None else f"{100 * low:.1f} to {100 * high:.1f} %"
