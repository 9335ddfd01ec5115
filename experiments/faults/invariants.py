"""What must hold of every run folder, whatever happened to the run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from autoanalyze.llm.audit import verify
from autoanalyze.llm.journal import may_stand

FIELDS = ("general_intent", "transfer_reason", "drop_off_location")
FINAL = ("done", "stopped", "cancelled")


def broken(folder: Path) -> list[str]:
    """The invariants that a run folder breaks, in words; empty if it is sound."""
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    sessions = pl.read_parquet(folder / "sessions.parquet")
    checks = (
        rows(sessions, record),
        facts(sessions),
        calls(folder),
        cost(folder, record),
        merges(folder, sessions),
    )
    found = [problem for check in checks for problem in check]
    if record["status"] not in FINAL:
        found.append(f"the run ended as {record['status']}")
    if record["status"] != json.loads((folder / "progress.json").read_text())["status"]:
        found.append("run.json and progress.json disagree on the status")
    return found


def rows(sessions: pl.DataFrame, record: dict[str, dict[str, int]]) -> Iterator[str]:
    """Each sampled session has exactly one row, labelled or with its error."""
    if not len(sessions) == sessions["session_id"].n_unique() == record["sessions"]["sampled"]:
        yield "the sampled sessions do not have one row each"
    unresolved = sessions.filter(pl.col("status") == "unresolved")
    if unresolved["error"].null_count():
        yield "an unresolved session has no error"
    if any(unresolved[field].drop_nulls().len() for field in FIELDS):
        yield "an unresolved session has a label"


def facts(sessions: pl.DataFrame) -> Iterator[str]:
    """Facts satisfy the schema."""
    labelled = sessions.filter(pl.col("status") == "labelled")
    if set(labelled["session_outcome"]) - {"Transfer", "Contained"}:
        yield "a labelled session has no valid outcome"
    contained = labelled.filter(pl.col("session_outcome") == "Contained")
    if any(contained[field].drop_nulls().len() for field in FIELDS[1:]):
        yield "a contained session has a transfer reason or location"
    if any((labelled[field].drop_nulls().str.strip_chars() == "").any() for field in FIELDS):
        yield "a label is empty"
    if any("Somebody Else" in labelled[field].to_list() for field in FIELDS):
        yield "a duplicated row was believed"


def calls(folder: Path) -> Iterator[str]:
    """No journalled answer was asked for again, but for those that are none."""
    answered: set[str] = set()
    for line in (folder / "calls.jsonl").read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        if event["event"] == "sent" and event["request"] in answered:
            yield f"call {event['call']} asked for what was answered before"
        if event["event"] == "answered" and may_stand(event):
            answered.add(event["request"])


def cost(folder: Path, record: dict[str, dict[str, float]]) -> Iterator[str]:
    """The record's cost is the sum over the journal, and the journal is as it was written."""
    audit = verify(folder / "calls.jsonl")
    for name, value in (("cost_usd", audit.spent_usd), ("uncertain_usd", audit.uncertain_usd)):
        if abs(record["paid"][name] - value) > 1e-5:
            yield f"{name} is {record['paid'][name]} in run.json and {value} in the journal"


def merges(folder: Path, sessions: pl.DataFrame) -> Iterator[str]:
    """The merged vocabulary has no cycle, and sessions carry canonical labels only."""
    table = pl.read_parquet(folder / "merges.parquet")
    for field in FIELDS:
        own = table.filter((pl.col("field") == field) & pl.col("merged"))
        aliases = set(own["alias"])
        if aliases & set(own["canonical"]):
            yield f"{field}: a canonical label is an alias"
        if aliases & set(sessions[field].drop_nulls()):
            yield f"{field}: a session carries an alias"
