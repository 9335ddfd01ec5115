"""Runs to make pages of: ordinary ones of any size, and one whose every text wants to be markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from run_folders import write_run

from autoanalyze.study.runs import Run, load_run

__all__ = ["HOSTILE", "REASONS", "said", "transcripts_of", "written_run"]

HOSTILE = (
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "\"'><b onmouseover=alert(1)>quotes</b>",
    "{{7*7}}{% raw %}${7*7}",
    "\u202eright to left\u202c \u0645\u0631\u062d\u0628\u0627",
    "<!--<script>",
    "null\x00byte\x1b[31m",
    "javascript:alert(1)",
)
"""Labels, ids and messages that try to get out of the page's frame."""
REASONS = ("Agent Requested", "System Error", "Fraud Suspected")
FIELDS = (
    {"name": "general_intent", "description": "what the user came for.", "applies_to": []},
    {"name": "transfer_reason", "description": "why a human took over.", "applies_to": ["Transfer"]},
    {"name": "drop_off_location", "description": "where it left the bot.", "applies_to": ["Transfer"]},
)
SETTINGS = {
    "schema": {"fields": list(FIELDS)},
    "data": {"source": "store", "path": "/home/somebody/secret/store.duckdb", "start": None, "where": None},
    "discovery": {"mode": "adaptive"},
    "resolution": {"mode": "judged"},
}


def written_run(
    folder: Path,
    intents: Sequence[str | None] = ("Billing", "Billing", "Claims"),
    *,
    merges: Sequence[tuple[str, str]] = (),
    days: int = 30,
    ids: str = "session-{}",
    errors: Sequence[str] = (),
    **changes: Any,
) -> Run:
    """A finished run with one session per intent, every second one transferred, and one per error.

    Sessions are spread over so many days; none have a time where there are no days.
    """
    count = len(intents)
    transferred = [place % 2 == 1 for place in range(count)]
    start = datetime(2026, 5, 1, 9)
    rows = [
        {
            "session_id": ids.format(place),
            "start_time": start + timedelta(days=days * place / count) if days else None,
            "status": "labelled",
            "session_outcome": "Transfer" if gone else "Contained",
            "general_intent": intent,
            "transfer_reason": REASONS[place % 3] if gone else None,
            "drop_off_location": f"Step {place % 4}" if gone else None,
            "notes": f"wrote from mail{place}@example.com",
            "error": None,
        }
        for place, (intent, gone) in enumerate(zip(intents, transferred, strict=True))
    ]
    rows += [
        {"session_id": f"lost-{place}", "start_time": None, "status": "unresolved", "error": error}
        for place, error in enumerate(errors)
    ]
    text = dict.fromkeys(
        (
            "session_id",
            "status",
            "session_outcome",
            *(str(field["name"]) for field in FIELDS),
            "notes",
            "error",
        ),
        pl.String(),
    )
    sessions = pl.DataFrame(rows, schema={**text, "start_time": pl.Datetime("us")})
    known = dict.fromkeys(intent for intent in intents if intent is not None)
    pairs = [(label, label) for label in known] + list(merges)
    tables = {
        "sessions": sessions,
        "labels": pl.DataFrame(
            {
                "field": ["general_intent"] * len(pairs),
                "label": [alias for alias, _ in pairs],
                "canonical": [canonical for _, canonical in pairs],
            },
            schema={"field": pl.String, "label": pl.String, "canonical": pl.String},
        ),
        "merges": ledger(merges),
    }
    settings = {**SETTINGS, **changes.pop("settings", {})}
    return load_run(write_run(folder, tables, settings=settings, **changes), partial=True)


def ledger(merges: Sequence[tuple[str, str]]) -> pl.DataFrame:
    """The ledger of a run that merged these pairs."""
    entries: Mapping[str, Any] = {
        "merge": range(1, len(merges) + 1),
        "field": ["general_intent"] * len(merges),
        "sessions": [3] * len(merges),
        "alias": [alias for alias, _ in merges],
        "verdict": ["same"] * len(merges),
        "merged": [True] * len(merges),
        "canonical": [canonical for _, canonical in merges],
        "similarity": [0.9] * len(merges),
        "judge": ["test-model"] * len(merges),
        "reason": ["other words for one matter"] * len(merges),
        "chosen": ["more sessions"] * len(merges),
        "review": [None] * len(merges),
    }
    text = dict.fromkeys(
        ("field", "alias", "verdict", "canonical", "judge", "reason", "chosen", "review"), pl.String
    )
    kinds: dict[str, Any] = {**text, "merge": pl.Int64, "sessions": pl.Int64}
    return pl.DataFrame(entries, schema_overrides={**kinds, "merged": pl.Boolean, "similarity": pl.Float64})


def said(session_id: str) -> tuple[tuple[str, str], ...]:
    """What was said in a session: all that is hostile, and something of its own."""
    return (
        ("bot", f"Good day, this is {session_id}"),
        *(("user", text) for text in HOSTILE),
        ("agent", "My number is +49 151 2345678, or mail@example.com"),
    )


def transcripts_of(session_ids: Sequence[str]) -> pl.DataFrame:
    """The messages of some sessions, as a session store gives them."""
    rows = [
        (session_id, position, role, text, datetime(2026, 5, 1, 9, position))
        for session_id in session_ids
        for position, (role, text) in enumerate(said(session_id))
    ]
    return pl.DataFrame(rows, schema=["session_id", "position", "role", "text", "timestamp"], orient="row")
