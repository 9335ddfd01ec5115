"""What several looks say together, of a session and of labels that are one."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoanalyze.phases.votes import canonical, decided, disputed, doubles, freed
from autoanalyze.records import Facts

FIELD = "general_intent"
COMMON, RARE = "Refund", "Refund Follow-Up"
COUNTS = {FIELD: Counter({COMMON: 90, RARE: 3, "Order": 90})}
NONE: dict[str, dict[str, str]] = {FIELD: {}}


def facts(label: str | None) -> Facts:
    return Facts("Contained", {FIELD: label}, "notes")


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
