"""Masking what may tell who somebody is: mail addresses, and numbers of six or more digits.

Such numbers are phone, card, account and customer numbers, also with blanks, dots, dashes, slashes or
brackets among their digits, and dates written in figures. Shorter ones (amounts, times, an order of three
items) stay. So do names, which no pattern finds, and session ids, by which a session is found in its store.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import polars as pl

from autoanalyze.study.runs import Run

# Without look-around, so that Python and Polars read them alike.
PATTERNS = {
    r"[\w.+%'-]+@[\w-]+(?:\.[\w-]+)+": "[mail]",
    r"\+?\(?\d(?:[ \u00a0().\-/]{0,2}\d){5,}": "[number]",
}


def masked(text: str) -> str:
    """A text without mail addresses and long numbers."""
    for pattern, instead in PATTERNS.items():
        text = re.sub(pattern, instead, text)
    return text


def masked_columns(frame: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """A table in which these columns, as far as it has them, are masked."""
    there = pl.col([name for name in columns if name in frame.columns])
    for pattern, instead in PATTERNS.items():
        frame = frame.with_columns(there.str.replace_all(pattern, instead))
    return frame


def masked_run(run: Run) -> Run:
    """A run with masked labels, notes, errors and reasons; its folder stays as it is."""
    fields = [field["name"] for field in run.record["config"]["schema"]["fields"]]
    copy = Run(run.path, run.record)
    vars(copy).update(
        sessions=masked_columns(run.sessions, *fields, "notes", "error"),
        labels=masked_columns(run.labels, "label", "canonical"),
        codebook=masked_columns(run.codebook, "label", "under", "line", "theme"),
        merges=masked_columns(run.merges, "alias", "canonical", "reason", "chosen"),
    )
    return copy


def masked_transcripts(
    transcripts: Callable[[Sequence[str]], pl.DataFrame],
) -> Callable[[Sequence[str]], pl.DataFrame]:
    """What reads transcripts, with their texts masked."""
    return lambda session_ids: masked_columns(transcripts(session_ids), "text")
