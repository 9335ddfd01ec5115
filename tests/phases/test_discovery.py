"""Phase 1: how many sessions, which, and what they teach; adaptive: what may be in flight meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal

import pytest
from fakes import SCHEMA, EchoReader, ScriptedModel, make_sessions, make_tokens, row
from hypothesis import given
from hypothesis import strategies as st

from autoanalyze.config import DiscoveryConfig, RetryConfig
from autoanalyze.llm.prompts import AnalysisPrompt
from autoanalyze.phases.discovery import (
    Ramp,
    Step,
    StrategicDiscovery,
    bearable_collisions,
    expected_collisions,
)
from autoanalyze.phases.streams import StreamProcessing
from autoanalyze.records import Facts, ReplyRow, Session, SessionResult


def discovery(
    config: DiscoveryConfig | None = None, model: ScriptedModel | None = None
) -> StrategicDiscovery:
    streams = StreamProcessing(
        model or ScriptedModel(),
        EchoReader(),
        AnalysisPrompt(SCHEMA),
        make_tokens(),
        retry=RetryConfig(),
        seed=1,
    )
    return StrategicDiscovery(streams, SCHEMA, config or DiscoveryConfig(), seed=1)


@pytest.mark.parametrize(
    ("available", "size"), [(10, 10), (100, 50), (400, 60), (1000, 150), (100_000, 150), (0, 0)]
)
def test_size_is_a_clamped_percentage(available: int, size: int) -> None:
    """15 %, at least 50, at most 150, and never more than there are."""
    assert discovery().calculate_discovery_size(available) == size


def test_size_without_bounds_or_discovery() -> None:
    """Null lifts the upper bound; 0 % and mode none switch discovery off in spite of the lower bound."""
    assert discovery(DiscoveryConfig(max_sessions=None)).calculate_discovery_size(10_000) == 1_500
    assert discovery(DiscoveryConfig(percentage=0)).calculate_discovery_size(1_000) == 0
    assert discovery(DiscoveryConfig(mode="none")).calculate_discovery_size(1_000) == 0


def varied(count: int) -> list[Session]:
    kinds: tuple[Literal["agent", "selfService"], ...] = ("agent", "selfService", "selfService")
    start = datetime(2026, 5, 1)
    return [
        replace(
            session,
            containment_type=kinds[i % 3],
            token_count=10 + (i * 37) % 500,
            start_time=None if i % 10 == 0 else start + timedelta(hours=i),
        )
        for i, session in enumerate(make_sessions(count))
    ]


@given(st.integers(1, 200), st.data())
def test_selection_takes_no_session_twice(count: int, data: st.DataObject) -> None:
    """Exactly the wanted number is chosen, all different, all from the sample, whatever its order."""
    sessions = varied(count)
    size = data.draw(st.integers(0, count))
    chosen = discovery().select_diverse_sessions(sessions, size) if size else []
    assert len({session.session_id for session in chosen}) == size
    assert {session.session_id for session in chosen} <= {session.session_id for session in sessions}
    if size:
        shuffled = data.draw(st.permutations(sessions))
        assert discovery().select_diverse_sessions(shuffled, size) == chosen


def test_selection_is_proportional() -> None:
    """Containment types keep their shares, and early and late sessions are both there."""
    sessions = varied(300)
    chosen = discovery().select_diverse_sessions(sessions, 60)
    assert Counter(s.containment_type for s in chosen)["agent"] == pytest.approx(20, abs=3)
    positions = [sessions.index(session) for session in chosen]
    assert min(positions) < 60
    assert max(positions) > 240


def test_discovery_labels_in_sequence_and_leaves_the_rest(virtually: Callable[[Any], Any]) -> None:
    """Calls follow one another with a growing vocabulary; the rest remains in its order."""

    def script(n: int, ids: list[str], _v: object, _c: object) -> Sequence[ReplyRow]:
        return [row(f"s{i}", f"Intent {min(n, 3)}") for i in range(1, len(ids) + 1)]

    model = ScriptedModel(script)
    sessions = make_sessions(100)
    result = virtually(discovery(model=model).run_discovery(sessions))
    assert [len(ids) for ids, _, _ in model.calls] == [5] * 10
    assert result.processed_count == 50
    assert result.unique_labels["general_intent"] == 3
    taken = {r.session_id for r in result.processed}
    assert list(result.remaining) == [s for s in sessions if s.session_id not in taken]
    # Three of the fifty sessions were the first to carry their label.
    assert result.discovery_rate == pytest.approx(3 / 50)
    assert {r.stream for r in result.processed} == {0}


def results(labels: list[str], start: int = 0) -> list[SessionResult]:
    return [
        SessionResult(f"a{start + i}", Facts("Contained", {"general_intent": label}), "ramp", 1, 1, 1)
        for i, label in enumerate(labels)
    ]


def ramp(streams: int = 8, smallest: int = 2, first: int = 2, collisions: float = 20.0) -> Ramp:
    return Ramp(SCHEMA, collisions=collisions, streams=streams, first_call=first, smallest_call=smallest)


@pytest.mark.parametrize(
    ("sessions", "streams", "borne"),
    [
        (1_000, 8, 20.0),
        (300, 8, 20.0),
        (150, 8, 40.0),
        (100, 8, 60.0),
        (60, 2, 100.0),
        (10, 8, 200.0),
        (0, 8, 200.0),
        (1_000, 1, 20.0),
        (900, 32, 80.0),
    ],
)
def test_short_runs_and_many_streams_start_faster(sessions: int, streams: int, borne: float) -> None:
    """Unless configured: 20 collisions, in proportion more above 8 streams and below 300 sessions."""
    own = bearable_collisions(DiscoveryConfig(), sessions=sessions, streams=streams)
    assert own == pytest.approx(borne)
    given = DiscoveryConfig(collisions=7.0)
    assert bearable_collisions(given, sessions=sessions, streams=streams) == 7.0


def test_formula_by_hand() -> None:
    """C(4,2) * 5^2 * 3 / C(20,2) = 6 * 25 * 3 / 190; one call alone collides with nobody."""
    assert expected_collisions(4, 5, 20, 3) == pytest.approx(450 / 190)
    assert expected_collisions(1, 20, 0, 1) == 0
    assert expected_collisions(2, 1, 1, 1) == float("inf")


def test_first_call_goes_alone_and_small() -> None:
    """Before anything is known, one small call is in flight."""
    assert ramp().step(20) == Step(1, 2)


def test_calls_are_small_until_two_were_answered() -> None:
    """What comes first is small, so that it is known soon; what comes then pays for its instructions."""
    growing = ramp(smallest=5, collisions=200)
    assert growing.step(20) == Step(1, 2)
    growing.learn(results(["A"] * 3))
    assert growing.step(20).sessions < 5
    growing.learn(results(["B"], 3))
    assert growing.step(20) == Step(7, 5)


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
