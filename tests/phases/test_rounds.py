"""Phase 2: dealing, rounds, synchronising."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from fakes import SCHEMA, EchoReader, ScriptedModel, make_sessions, make_tokens, row
from hypothesis import given, settings
from hypothesis import strategies as st

from autoanalyze.config import ParallelConfig, RetryConfig
from autoanalyze.errors import EndpointGoneError, TransientEndpointError
from autoanalyze.llm.prompts import AnalysisPrompt
from autoanalyze.phases.parallel import ParallelProcessingOrchestrator
from autoanalyze.phases.rounds import ParallelResult
from autoanalyze.phases.streams import StreamProcessing
from autoanalyze.phases.vocabulary import Vocabulary
from autoanalyze.records import CallContext, ReplyRow, VocabularySnapshot

Virtually = Callable[[Any], Any]


def orchestrator(
    model: ScriptedModel, streams: int = 4, share: int | None = 3
) -> ParallelProcessingOrchestrator:
    tokens = make_tokens(streams=streams)
    stream = StreamProcessing(
        model, EchoReader(), AnalysisPrompt(SCHEMA), tokens, retry=RetryConfig(), seed=1
    )
    return ParallelProcessingOrchestrator(stream, SCHEMA, tokens, ParallelConfig(streams, share))


def by_stream(
    _n: int, ids: list[str], vocabulary: VocabularySnapshot, context: CallContext
) -> Sequence[ReplyRow]:
    """Each stream coins a label of its own in each round."""
    label = f"Round {context.round} Stream {context.stream}"
    return [row(f"s{i}", label) for i in range(1, len(ids) + 1)]


@given(st.integers(0, 100), st.integers(1, 12), st.none() | st.integers(1, 7))
def test_dealing_takes_from_the_front_evenly(count: int, streams: int, share: int | None) -> None:
    """A round takes the first sessions in order; streams get as many, or one more, within their share."""
    if count == 0:
        return
    sessions = make_sessions(count)
    shares = orchestrator(ScriptedModel(), streams, share).distribute_sessions_across_streams(sessions)
    dealt = [session for part in shares for session in part]
    assert dealt == sessions[: len(dealt)]
    sizes = [len(part) for part in shares]
    assert 1 <= min(sizes) <= max(sizes) <= (share or 20)
    assert max(sizes) - min(sizes) <= 1
    assert len(dealt) == min(count, streams * (share or 20))


def test_every_session_is_labelled_once(virtually: Virtually) -> None:
    """Rounds go on until nothing is left; no session is lost or asked for twice."""
    model = ScriptedModel()
    sessions = make_sessions(31)
    result = virtually(orchestrator(model).process_in_parallel(sessions, VocabularySnapshot()))
    assert [r.session_id for r in result.sessions] == [s.session_id for s in sessions]
    assert sorted(i for ids, _, _ in model.calls for i in ids) == [s.session_id for s in sessions]
    assert [record.sessions for record in result.rounds] == [12, 12, 7]


def test_streams_of_a_round_share_one_snapshot(virtually: Virtually) -> None:
    """Within a round nobody sees the others' labels; in the next, everybody sees all of them."""
    model = ScriptedModel(by_stream)
    virtually(orchestrator(model).process_in_parallel(make_sessions(24), VocabularySnapshot()))
    first = [v.labels("general_intent") for _, v, c in model.calls if c.round == 1]
    second = [v.labels("general_intent") for _, v, c in model.calls if c.round == 2]
    assert first == [()] * 4
    assert second == [tuple(f"Round 1 Stream {i}" for i in range(1, 5))] * 4


@settings(deadline=None, max_examples=25)
@given(st.randoms(use_true_random=False))
def test_completion_order_changes_nothing(generator: random.Random) -> None:
    """However long each stream takes, sessions, labels and their order of arrival are the same."""
    import asyncio

    from autoanalyze.simulation.clock import VirtualClockLoop

    def run(delay: Callable[[CallContext], float]) -> ParallelResult:
        model = ScriptedModel(by_stream, delay=delay)
        with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
            return runner.run(
                orchestrator(model).process_in_parallel(make_sessions(30), VocabularySnapshot())
            )

    delays = {stream: generator.uniform(0.1, 9) for stream in range(1, 5)}
    even, uneven = run(lambda _c: 1.0), run(lambda c: delays[c.stream])
    assert even.sessions == uneven.sessions
    assert even.vocabulary == uneven.vocabulary


def test_waiting_for_the_slowest_counts_as_waiting(virtually: Virtually) -> None:
    """With one stream of four at 4 s and the others at 1 s, utilisation is 7 / 16."""
    model = ScriptedModel(delay=lambda context: 4.0 if context.stream == 1 else 1.0)
    result = virtually(orchestrator(model).process_in_parallel(make_sessions(12), VocabularySnapshot()))
    assert result.utilisation == 7 / 16
    assert result.rounds[0].waiting_seconds == 9


def test_streams_without_work_count_as_waiting(virtually: Virtually) -> None:
    """A last session leaves three of four streams idle."""
    result = virtually(
        orchestrator(ScriptedModel()).process_in_parallel(make_sessions(1), VocabularySnapshot())
    )
    assert result.utilisation == 1 / 4


labels = st.sampled_from(["A", "B", "C", "D"])


@given(st.lists(st.lists(labels, max_size=5), max_size=5), st.lists(labels, max_size=3))
def test_synchronising_keeps_order_of_streams_and_loses_nothing(
    found: list[list[str]], known: list[str]
) -> None:
    """After a synchronisation every label is known once, older ones first, then by stream."""
    vocabulary = Vocabulary(SCHEMA, VocabularySnapshot().extended({"general_intent": known}))
    before = vocabulary.snapshot()
    new = vocabulary.synchronize({"general_intent": stream} for stream in found)
    after = vocabulary.snapshot()
    expected = list(dict.fromkeys([*known, *(label for stream in found for label in stream)]))
    assert list(after.labels("general_intent")) == expected
    assert new == len(expected) - len(set(known))
    assert after.additions[: before.version] == before.additions
    assert after.version - before.version == (1 if new else 0)


def test_null_share_fills_calls() -> None:
    """Without a share, a stream takes one full call, which shrinks with longer sessions."""
    phase = orchestrator(ScriptedModel(), streams=2, share=None)
    short = phase.distribute_sessions_across_streams(make_sessions(100))
    long = phase.distribute_sessions_across_streams(
        [replace(s, token_count=20_000) for s in make_sessions(100)]
    )
    assert [len(part) for part in short] == [20, 20]
    assert max(len(part) for part in long) <= 6


def failing(guilty: Callable[[int, list[str]], bool]) -> ScriptedModel:
    """A model whose endpoint fails the calls that are guilty."""

    def script(n: int, ids: list[str], _v: object, _c: object) -> Sequence[ReplyRow]:
        if guilty(n, ids):
            raise TransientEndpointError("503: overloaded")
        return [row(f"s{i}") for i in range(1, len(ids) + 1)]

    return ScriptedModel(script)


def test_streams_are_halved_while_the_endpoint_fails(virtually: Virtually) -> None:
    """A bad spell lowers the number of streams, the record says when and why, and nothing is lost."""
    model = failing(lambda n, _ids: n <= 4)
    result = virtually(orchestrator(model).process_in_parallel(make_sessions(40), VocabularySnapshot()))
    assert all(r.facts for r in result.sessions)
    assert [(d.round, d.streams_before, d.streams_after) for d in result.degradations] == [(1, 4, 2)]
    assert "503" in result.degradations[0].reason


def test_endpoint_that_is_gone_stops_the_run(virtually: Virtually) -> None:
    """When nothing comes back any more the run stops, resumable, instead of giving every session up."""
    for count in (1, 5, 40):
        model = failing(lambda n, _ids: n > 2)
        with pytest.raises(EndpointGoneError, match="503"):
            virtually(
                orchestrator(model).process_in_parallel(make_sessions(count + 12), VocabularySnapshot())
            )


@pytest.mark.parametrize("streams", [1, 4])
def test_session_that_the_endpoint_cannot_take_is_given_up_alone(virtually: Virtually, streams: int) -> None:
    """A session whose every call fails ends unresolved after three rounds; all others are labelled."""
    model = failing(lambda _n, ids: "a005" in ids)
    result = virtually(
        orchestrator(model, streams).process_in_parallel(make_sessions(20), VocabularySnapshot())
    )
    assert [r.session_id for r in result.sessions if r.facts is None] == ["a005"]
    assert sum("a005" in ids for ids, _, _ in model.calls) == 3
