"""Further looks: who is looked at again, what the looks together say, and that a run of several repeats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoanalyze.analysis.build import build_analysis
from autoanalyze.analysis.configuration import compose
from autoanalyze.config import SecondLookConfig
from autoanalyze.phases.second_look import (
    bearing,
    canonical,
    decided,
    disputed,
    doubles,
    freed,
    used,
    worth_it,
)
from autoanalyze.records import Facts, Session, SessionResult
from autoanalyze.study.runs import Run

FIELD, WHEN = "general_intent", datetime(2026, 5, 1)
COMMON, RARE = "Refund", "Refund Follow-Up"
COUNTS = {FIELD: Counter({COMMON: 90, RARE: 3, "Order": 90})}
NONE: dict[str, dict[str, str]] = {FIELD: {}}


def facts(label: str | None) -> Facts:
    return Facts("Contained", {FIELD: label}, "notes")


def result(number: int, label: str | None) -> SessionResult:
    return SessionResult(str(number), facts(label), "parallel", 1, 1, 1)


def label_of(given: Facts) -> str | None:
    return given.labels[FIELD]


@pytest.mark.parametrize(
    ("looks", "wanted"),
    [
        ([RARE], RARE),
        ([RARE, COMMON], COMMON),
        ([COMMON, RARE], COMMON),
        ([RARE, COMMON, RARE], RARE),
        ([RARE, COMMON, "Order"], "Order"),
        ([RARE, "Never Seen Before"], RARE),
        ([RARE, None], RARE),
        ([None, COMMON], None),
    ],
    ids=str,
)
def test_most_looks_decide_then_the_common_label_then_the_latest(
    looks: list[str | None], wanted: str | None
) -> None:
    """New names count for nothing, and a field that did not apply stays empty."""
    said = [facts(label) for label in looks]
    after = decided(said[0], said, NONE, COUNTS, NONE)
    assert label_of(after) == wanted
    assert after.notes == "notes"


def test_aliases_count_as_what_they_became() -> None:
    """A look that gives another name of the same label does not dispute it."""
    redirects = {FIELD: {"Money Back": COMMON}}
    said = [facts("Money Back"), facts(COMMON)]
    assert not disputed(said, redirects)
    assert label_of(decided(said[0], said, redirects, COUNTS, NONE)) == "Money Back"
    assert disputed([facts(COMMON), facts(RARE)], redirects)
    assert not disputed([], redirects)


def several(labels: Sequence[str | None]) -> tuple[list[Session], list[SessionResult]]:
    """Sessions that bear these labels, with the results that say so."""
    sessions = [Session(str(i), "u", "bot", WHEN, WHEN, "agent", 2, 10) for i in range(len(labels))]
    return sessions, [result(i, label) for i, label in enumerate(labels)]


def looked_at(labels: Sequence[str | None], **settings: float) -> list[str]:
    """The sessions that are worth another look."""
    sessions, results = several(labels)
    results[0] = SessionResult("0", None, "parallel", 1, 1, 1, error="lost")
    counts = used([FIELD], results, NONE)
    return [one.session_id for one in worth_it(sessions, results, NONE, counts, SecondLookConfig(**settings))]


def test_rare_labels_are_worth_another_look() -> None:
    """Under a share of the sessions of the field; unresolved sessions are not asked about here."""
    labels = [COMMON] * 97 + [RARE] + ["Order"] * 2
    assert looked_at(labels, rare_share=0.02) == ["97"]
    assert looked_at(labels, rare_share=0.03) == ["97", "98", "99"]
    assert looked_at(labels, rare_share=0.0) == []


def test_the_rarest_labels_come_first_where_not_all_can_be_looked_at() -> None:
    """Up to a share of all sessions, unresolved ones among them; whichever way the labels stand."""
    labels = [COMMON] * 90 + ["Order"] * 4 + [RARE] * 3 + ["New"] * 2 + ["Odd"]
    assert looked_at(labels, rare_share=0.1, most=0.06) == ["99", "97", "98", "94", "95", "96"]
    assert looked_at(labels, rare_share=0.1, most=0.0) == []
    assert len(looked_at(labels, rare_share=0.1, most=1.0)) == 10


def test_a_label_that_loses_most_of_its_sessions_to_one_other_is_its_double() -> None:
    """Two sessions at least, and more than half; the rarer becomes the commoner, whichever lost."""
    lost = [[facts(RARE), facts(COMMON)], [facts(RARE), facts(COMMON)], [facts(RARE), facts(RARE)]]
    assert doubles(lost, NONE, COUNTS) == {FIELD: {RARE: COMMON}}
    assert doubles(lost[1:], NONE, COUNTS) == {FIELD: {}}
    other_way = [[facts(COMMON), facts(RARE)]] * 2
    assert doubles(other_way, NONE, COUNTS) == {FIELD: {RARE: COMMON}}
    assert label_of(decided(facts(RARE), [], NONE, COUNTS, {FIELD: {RARE: COMMON}})) == COMMON


@given(
    looks=st.lists(st.lists(st.sampled_from([COMMON, RARE, "Order", "New", None]), min_size=1, max_size=4)),
    order=st.randoms(use_true_random=False),
)
def test_what_looks_say_does_not_depend_on_the_order_of_sessions(
    looks: list[list[str | None]], order: object
) -> None:
    """And no look brings a label that nobody bore."""
    said = [[facts(label) for label in session] for session in looks]
    same = doubles(said, NONE, COUNTS)
    mixed = list(said)
    order.shuffle(mixed)  # type: ignore[attr-defined]
    assert doubles(mixed, NONE, COUNTS) == same
    for session in said:
        chosen = label_of(decided(session[0], session, NONE, COUNTS, same))
        assert chosen == session[0].labels[FIELD] or COUNTS[FIELD][str(chosen)]


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


def test_sessions_of_an_attractor_take_another_label_in_use() -> None:
    """Whatever is commoner. A name that nobody bears, or none, leaves them where they are."""
    redirects = {FIELD: {"Money Back": COMMON}}
    swallowing = {FIELD: [COMMON]}
    for second, wanted in (
        ("Order", "Order"),
        (RARE, RARE),
        ("New", COMMON),
        (None, COMMON),
        (COMMON, COMMON),
    ):
        first = facts("Money Back")
        said = [freed(first, facts(second), swallowing, redirects, COUNTS), facts(second)]
        assert canonical(FIELD, label_of(decided(first, said, redirects, COUNTS, NONE)), redirects) == wanted
        assert doubles([said] * 3, redirects, COUNTS) == NONE, "who is not shown a label does not refuse it"
    assert freed(facts(RARE), facts("Order"), swallowing, redirects, COUNTS) == facts(RARE)


def test_who_bears_an_attractor_is_found_by_what_it_became() -> None:
    """Also under another name of it; unresolved sessions bear none."""
    results = [result(0, "Money Back"), result(1, RARE), result(2, None)]
    results.append(SessionResult("3", None, "parallel", 1, 1, 1, error="lost"))
    sessions = [Session(str(i), "u", "bot", WHEN, WHEN, "agent", 2, 10) for i in range(4)]
    found = bearing({FIELD: [COMMON]}, sessions, results, {FIELD: {"Money Back": COMMON}})
    assert [session.session_id for session in found] == ["0"]
    assert bearing({}, sessions, results, NONE) == []
