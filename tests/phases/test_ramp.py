"""Adaptive discovery: what may be in flight follows from what was seen once and twice."""

from __future__ import annotations

import pytest
from fakes import SCHEMA
from hypothesis import given
from hypothesis import strategies as st

from autoanalyze.config import DiscoveryConfig
from autoanalyze.phases.discovery import Ramp, Step, expected_collisions
from autoanalyze.records import Facts, SessionResult


def results(labels: list[str], start: int = 0) -> list[SessionResult]:
    return [
        SessionResult(f"a{start + i}", Facts("Contained", {"general_intent": label}), "ramp", 1, 1, 1)
        for i, label in enumerate(labels)
    ]


def ramp(streams: int = 8, smallest: int = 2, **config: float) -> Ramp:
    settings = {"mode": "adaptive", "collisions": 20.0, **config}
    return Ramp(SCHEMA, DiscoveryConfig(**settings), streams=streams, smallest_call=smallest)  # type: ignore[arg-type]  # a float suits every setting


def test_formula_by_hand() -> None:
    """C(4,2) * 5^2 * 3 / C(20,2) = 6 * 25 * 3 / 190; one call alone collides with nobody."""
    assert expected_collisions(4, 5, 20, 3) == pytest.approx(450 / 190)
    assert expected_collisions(1, 20, 0, 1) == 0
    assert expected_collisions(2, 1, 1, 1) == float("inf")


def test_first_call_goes_alone_and_small() -> None:
    """Before anything is known, one small call is in flight."""
    assert ramp().step(20) == Step(1, 2)


@given(st.lists(st.sampled_from("ABCDEFGHIJKLMNOP"), max_size=120), st.integers(2, 40), st.integers(1, 6))
def test_bound_holds_while_the_ramp_lasts(labels: list[str], streams: int, smallest: int) -> None:
    """Whatever was seen, no more is in flight than the bound allows, and at least one call is."""
    growing = ramp(streams, smallest)
    growing.learn(results(labels))
    step = growing.step(20)
    doubletons = max(1, sum(labels.count(name) == 2 for name in set(labels))) + 1  # the other field's floor
    assert step.calls >= 1
    assert step.sessions >= 1
    if not growing.over:
        assert expected_collisions(step.calls, step.sessions, len(labels), doubletons) <= 20
    else:
        assert step == Step(streams, 20)


@given(st.integers(1, 300))
def test_more_seen_of_the_same_never_allows_less(count: int) -> None:
    """With nothing new coming, sessions in flight only grow."""
    growing = ramp()
    before = 0
    for number in range(count):
        growing.learn(results(["A"], number))
        step = growing.step(20)
        assert step.calls * step.sessions >= before
        before = step.calls * step.sessions


def test_ramp_ends_when_little_is_left_to_find() -> None:
    """A low unseen share ends it, but only once enough sessions were seen for such a share to show."""
    few, many = ramp(collisions=0.001), ramp(collisions=0.001)
    few.learn(results(["A"] * 49))
    many.learn(results(["A"] * 50))
    assert few.step(20) == Step(1, 2)
    assert many.step(20) == Step(8, 20)
    many.learn(results(list("XYZ")))
    assert many.step(20) == Step(8, 20), "what is over stays over"


def test_merged_labels_count_as_one() -> None:
    """Counts are taken after merges: two names seen once are one seen twice."""
    growing = ramp()
    growing.learn(results(["Claim", "Claims", "Card", "Card", "Card"]))
    assert growing.unseen_share == pytest.approx(2 / 5)
    growing.redirect({"general_intent": {"Claims": "Claim"}})
    assert growing.unseen_share == 0
    assert growing.unique_labels()["general_intent"] == 2


def test_single_stream_has_nobody_to_wait_for() -> None:
    """With one stream calls are full from the start."""
    assert ramp(streams=1).step(20) == Step(1, 20)


def test_unresolved_sessions_teach_nothing() -> None:
    """A session without facts is no evidence."""
    growing = ramp()
    growing.learn([SessionResult("a", None, "ramp", 1, 1, 4, error="lost")])
    assert growing.sessions == 0
