"""Small run folders for the tests that read them: what a run writes, without running one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

__all__ = ["FIELD", "write_run"]

FIELD = "general_intent"


def estimate(value: float | None) -> dict[str, float | None]:
    """A measure as `run.json` holds it."""
    return {"value": value, "low": value and value - 0.05, "high": value and value + 0.05}


def record_of(**changes: Any) -> dict[str, Any]:
    """A record of a finished run; the changes replace its entries, and `settings` those of its config."""
    settings = changes.pop("settings", {})
    config = {
        "model": {"name": "test-model", "item_cap": 20},
        "parallel": {"streams": 8},
        "sync": "rounds",
        "data": {"source": "synthetic", "count": 2},
        "seed": 7,
    }
    measures = {
        name: estimate(0.9) for name in ("consistency", "precision", "precision_macro", "concept_count")
    }
    return {
        "id": "0123456789ab",
        "status": "done",
        "bot": "default",
        "seed": 7,
        "model": "test-model",
        "endpoint": "simulated",
        "config": {**config, **settings},
        "sessions": {"sampled": 2, "labelled": 1, "unresolved": 1},
        "labels": {FIELD: {"first_given": 2, "final": 1}},
        "calls": 1,
        "tokens": {"prompt": 900, "cached": 0, "completion": 40},
        "cost_usd": 0.0012,
        "model_seconds": 3.5,
        "speedup": 2.5,
        "efficiency": 0.8,
        "metrics": {FIELD: measures},
        "wall": {"started": "2026-05-01T12:00:00+02:00", "seconds": 1.5},
        **changes,
    }


def write_run(folder: Path, tables: Mapping[str, pl.DataFrame] | None = None, **changes: Any) -> Path:
    """Write a finished run into a folder; `tables` replace those that it has by default."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps(record_of(**changes)), encoding="utf-8")
    answered = {
        "event": "answered",
        "call": 1,
        "kind": "analyze",
        "phase": "discovery",
        "round": 0,
        "stream": 0,
        "attempt": 0,
        "model": "test-model",
        "session_ids": ["a", "b"],
        "start": 0.0,
        "end": 3.5,
        "usage": {"prompt": 900, "cached": 0, "completion": 40, "embedded": 0},
        "cost_usd": 0.0012,
        "finish_reason": "stop",
        "reply": "a raw reply",
    }
    lines = [{**answered, "event": "sent"}, answered]
    (folder / "calls.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    sessions = {"session_id": ["a", "b"], "status": ["labelled", "unresolved"], FIELD: ["Claims", None]}
    frames = {
        "sessions": pl.DataFrame(sessions),
        "labels": pl.DataFrame({"field": [FIELD], "label": ["Claims"]}),
        "merges": pl.DataFrame({"alias": ["Claim"], "canonical": ["Claims"]}),
        "rounds": pl.DataFrame({"round": [1]}),
        **(tables or {}),
    }
    for name, frame in frames.items():
        frame.write_parquet(folder / f"{name}.parquet")
    return folder
