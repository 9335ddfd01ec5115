"""Phase 1: how many sessions, which, and what they teach."""

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
from autoanalyze.phases.discovery import StrategicDiscovery
from autoanalyze.phases.streams import StreamProcessing
from autoanalyze.records import ReplyRow, Session


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
