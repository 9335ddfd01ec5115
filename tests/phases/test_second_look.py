"""Further looks: who is looked at again, and that a run of several repeats and helps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest

from autoanalyze.analysis.build import build_analysis
from autoanalyze.analysis.configuration import compose
from autoanalyze.config import SecondLookConfig
from autoanalyze.phases.second_look import Standing, most_looks, worth_it
from autoanalyze.records import Facts, Session, SessionResult, VocabularySnapshot
from autoanalyze.study.runs import Run

FIELD, WHEN = "general_intent", datetime(2026, 5, 1)
COMMON, RARE = "Refund", "Refund Follow-Up"
NONE: dict[str, dict[str, str]] = {FIELD: {}}


def result(number: int, label: str | None) -> SessionResult:
    return SessionResult(str(number), Facts("Contained", {FIELD: label}, "notes"), "parallel", 1, 1, 1)


def several(labels: Sequence[str | None]) -> tuple[list[Session], list[SessionResult]]:
    """Sessions that bear these labels, with the results that say so."""
    sessions = [Session(str(i), "u", "bot", WHEN, WHEN, "agent", 2, 10) for i in range(len(labels))]
    return sessions, [result(i, label) for i, label in enumerate(labels)]


def looked_at(labels: Sequence[str | None], rare_share: float, most: float = 0.08) -> list[str]:
    """The sessions that are worth another look."""
    sessions, results = several(labels)
    results[0] = SessionResult("0", None, "parallel", 1, 1, 1, error="lost")
    standing = Standing([FIELD], sessions, results, NONE, VocabularySnapshot())
    return [one.session_id for one in worth_it(standing, SecondLookConfig(rare_share, most))]


def test_rare_labels_are_worth_another_look() -> None:
    """Under a share of the sessions of the field, or of two sessions at most; unresolved sessions are not
    asked about here."""
    labels = [COMMON] * 90 + ["Order"] * 4 + [RARE] * 3 + ["New"] * 2 + ["Odd"]
    assert looked_at(labels, rare_share=0.1) == ["99", "97", "98", "94", "95", "96", "90", "91", "92", "93"]
    assert looked_at(labels, rare_share=0.032) == ["99", "97", "98", "94", "95", "96"]
    assert looked_at(labels, rare_share=0.001) == ["99", "97", "98"]
    assert looked_at(labels, rare_share=0.0) == looked_at(labels, rare_share=0.1, most=0.0) == []


def test_the_rarest_labels_come_first_where_not_all_can_be_looked_at() -> None:
    """Up to a share of all sessions, unresolved ones among them; whichever way the labels stand."""
    labels = [COMMON] * 900 + ["Order"] * 40 + [RARE] * 30 + ["New"] * 20 + ["Odd"] * 10
    odd, new = [str(n) for n in range(990, 1000)], [str(n) for n in range(970, 990)]
    assert looked_at(labels, rare_share=0.1, most=0.05)[:30] == odd + new
    assert len(looked_at(labels, rare_share=0.1, most=0.05)) == 50
    assert len(looked_at(labels, rare_share=0.1, most=1.0)) == 100


@pytest.mark.parametrize(
    ("most", "sessions", "wanted"),
    [(0.08, 1000, 80), (0.08, 300, 40), (0.08, 20, 20), (0.0, 300, 0), (1, 9, 9)],
)
def test_short_runs_may_look_at_more(most: float, sessions: int, wanted: int) -> None:
    """As many as in a longer one, if there are so many, unless none are wanted."""
    assert most_looks(SecondLookConfig(most=most), sessions) == wanted


def run(folder: Path, *settings: str) -> Run:
    """A run of a granular world without what takes time."""
    small = ["world=granular", "data.count=250", "baseline=none", "resamples=0", "page=false", "seed=3"]
    return build_analysis(compose([*small, *settings])).run_sync(folder)


@pytest.mark.slow
def test_further_looks_repeat_and_help_where_names_have_levels(tmp_path: Path) -> None:
    """Two runs alike to the byte, as many rows as before, canonical labels only; and higher F1."""
    once, twice, again = (
        run(tmp_path / name, setting)
        for name, setting in (("a", "passes=1"), ("b", "preset=thorough"), ("c", "preset=thorough"))
    )
    for table in ("sessions", "labels", "merges"):
        assert (twice.path / f"{table}.parquet").read_bytes() == (
            again.path / f"{table}.parquet"
        ).read_bytes()
    assert twice.sessions["session_id"].to_list() == once.sessions["session_id"].to_list()
    aliases = set(twice.merges.filter(merged=True, field=FIELD)["alias"])
    assert not aliases & set(twice.sessions[FIELD].drop_nulls())
    before, after = (r.record["metrics"][FIELD]["f1"]["value"] for r in (once, twice))
    assert after > before + 0.01
    replayed = run(tmp_path / "d", "preset=thorough", "journal.mode=replay", f"journal.reuse=[{twice.path}]")
    assert replayed.sessions.equals(twice.sessions)


def test_who_bears_an_attractor_is_found_by_what_it_became() -> None:
    """Also under another name of it; unresolved sessions bear none."""
    results = [result(0, "Money Back"), result(1, RARE), result(2, None)]
    results.append(SessionResult("3", None, "parallel", 1, 1, 1, error="lost"))
    sessions = [Session(str(i), "u", "bot", WHEN, WHEN, "agent", 2, 10) for i in range(4)]
    redirects = {FIELD: {"Money Back": COMMON}}
    standing = Standing([FIELD], sessions, results, redirects, VocabularySnapshot())
    assert [session.session_id for session in standing.bearing({FIELD: [COMMON]})] == ["0"]
    assert standing.bearing({}) == []
