"""The data inside a page: sessions in columns, transcripts in blocks, each packed until it is looked at."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import polars as pl

from autoanalyze.report.wording import heading, without_folders
from autoanalyze.study.answer import LONGEST_REASON, VOLATILE, Answer

BLOCK = 200
"""Sessions whose transcripts are unpacked together: a few milliseconds in a browser."""
BLOCKS_READ = 10
"""Blocks that are read from a session store at once; the most that is ever held."""
Transcripts = Callable[[Sequence[str]], pl.DataFrame]
"""Reads a row per message of these sessions: session_id, position, role, text, timestamp."""


def packed(value: Any) -> str:
    """A value as JSON, compressed, in letters that are safe in HTML; the same value gives the same text."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode("utf-8", "replace"), 6, mtime=0)).decode("ascii")


def sessions_columns(sessions: pl.DataFrame, found: Answer, *, notes: bool) -> dict[str, Any]:
    """The sessions of a run by column; labels as their place among the labels of a field, -1 for none."""
    fields = [
        {
            "name": field.name,
            "title": heading(field.name),
            **coded(sessions[field.name], field.labels["label"]),
        }
        for field in found.fields
    ]
    outcomes = pl.Series(["Contained", "Transfer"])
    reasons = pl.Series(reason_of_each(sessions["error"]), dtype=pl.String)
    fields += [
        {"name": "outcome", "title": "Outcome", **coded(sessions["session_outcome"], outcomes)},
        {"name": "error", "title": "Not labelled", **coded(reasons, reasons.drop_nulls().unique().sort())},
    ]
    return {
        "ids": sessions["session_id"].to_list(),
        "times": sessions["start_time"].dt.strftime("%Y-%m-%d %H:%M").to_list(),
        "fields": fields,
        "notes": sessions["notes"].to_list() if notes and sessions["notes"].count() else None,
        "block": BLOCK,
    }


def coded(values: pl.Series, known: pl.Series) -> dict[str, list[Any]]:
    """Known labels, and which of them each value is."""
    places = values.cast(pl.Enum(known), strict=False).to_physical().cast(pl.Int64).fill_null(-1)
    return {"labels": known.to_list(), "codes": places.to_list()}


def reason_of_each(errors: pl.Series) -> list[str | None]:
    """Why each session has no label, in the words that `Answer.reasons` has for all sessions of that kind."""
    words: dict[str, str] = {}
    found: list[str | None] = []
    for error in errors:
        if error is None:
            found.append(None)
        else:
            kind = VOLATILE.sub("*", error)[:LONGEST_REASON]
            found.append(words.setdefault(kind, without_folders(" ".join(error.split())[:LONGEST_REASON])))
    return found


def transcript_blocks(session_ids: Sequence[str], transcripts: Transcripts) -> Iterator[str]:
    """Transcripts in the order of the sessions, packed by blocks; never more than a few blocks are held."""
    step = BLOCK * BLOCKS_READ
    for start in range(0, len(session_ids), step):
        messages = by_session(transcripts(session_ids[start : start + step]))
        for first in range(start, min(start + step, len(session_ids)), BLOCK):
            yield packed([messages.get(one, []) for one in session_ids[first : first + BLOCK]])


def by_session(frame: pl.DataFrame) -> dict[str, list[tuple[str, str, str | None]]]:
    """Role, text and time of each message, by session."""
    found: dict[str, list[tuple[str, str, str | None]]] = {}
    if frame.is_empty():
        return found
    time = pl.col("timestamp").cast(pl.Datetime("us")).dt.strftime("%H:%M")
    for session_id, *message in frame.select("session_id", "role", "text", time).iter_rows():
        found.setdefault(session_id, []).append(tuple(message))
    return found
