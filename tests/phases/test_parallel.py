"""Phase 2: dealing, streams with a barrier and without, synchronising, failing endpoints."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from fakes import SCHEMA, EchoReader, Order, ScriptedModel, make_conflicts, make_sessions, make_tokens, row
from hypothesis import given, settings
from hypothesis import strategies as st

from autoanalyze.config import ParallelConfig, ResolutionConfig, RetryConfig
from autoanalyze.errors import BudgetExceededError, EndpointGoneError, TransientEndpointError
from autoanalyze.llm.prompts import AnalysisPrompt
from autoanalyze.phases.conflicts import BackgroundMerging
from autoanalyze.phases.discovery import Ramp
from autoanalyze.phases.parallel import (
    BARRIER,
    ParallelProcessingOrchestrator,
    call_size,
    first_call,
    smallest_call,
)
from autoanalyze.phases.rounds import ParallelResult
from autoanalyze.phases.streams import StreamProcessing
from autoanalyze.records import CallContext, ReplyRow, Session, VocabularySnapshot
from autoanalyze.serving.clock import VirtualClockLoop

Virtually = Callable[[Any], Any]
NOTHING = VocabularySnapshot()
WAYS = ("rounds", "continuous", "none")


def schedule(
    model: ScriptedModel,
    streams: int = 4,
    *,
    sync: str = "continuous",
    order: Order | None = None,
    share: int | None = 3,
    merge_every: int | None = None,
    adaptive: bool = False,
    **settings: Any,
) -> ParallelProcessingOrchestrator:
    tokens = make_tokens(streams=streams)
    processing = StreamProcessing(
        model, EchoReader(), AnalysisPrompt(SCHEMA), tokens, retry=RetryConfig(), seed=1
    )
    resolution = ResolutionConfig(opinions=1, every_labels=merge_every)
    conflicts = make_conflicts(model, mode="llm", opinions=1, every_labels=resolution.every_labels)
    config = ParallelConfig(streams, share, **{"taper": None, **settings})
    return ParallelProcessingOrchestrator(
        processing,
        config,
        sync=sync,
        order=order or Order(),
        ramp=Ramp(
            SCHEMA, collisions=200.0, streams=streams, first_call=2, smallest_call=smallest_call(config)
        )
        if adaptive
        else None,
        merging=BackgroundMerging(conflicts, SCHEMA, resolution, withdraw_aliases=True)
        if merge_every
        else None,
    )


def rounds(model: ScriptedModel, streams: int = 4, share: int | None = 3) -> ParallelProcessingOrchestrator:
    """The same with a barrier."""
    return schedule(model, streams, share=share, sync="rounds")


def by_call(
    _n: int, ids: list[str], vocabulary: VocabularySnapshot, context: CallContext
) -> Sequence[ReplyRow]:
    """Each call coins a label of its own."""
    return [row(f"s{i}", f"Label {context.round}") for i in range(1, len(ids) + 1)]


def seen(model: ScriptedModel) -> list[tuple[list[str], tuple[str, ...], int, int]]:
    """What was asked: sessions, labels shown, number of the call, stream."""
    return [(ids, v.labels("general_intent"), c.round, c.stream) for ids, v, c in model.calls]


@given(st.integers(0, 60), st.integers(1, 9), st.booleans(), st.booleans(), st.sampled_from(WAYS))
@settings(deadline=None, max_examples=40)
def test_every_session_is_labelled_once(
    count: int, streams: int, adaptive: bool, merging: bool, sync: str
) -> None:
    """No session is lost or asked for twice, whatever is switched on; results stand in the given order."""
    model, sessions = ScriptedModel(by_call), make_sessions(count)
    work = schedule(model, streams, sync=sync, adaptive=adaptive, merge_every=3 if merging else None)
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        result = runner.run(work.process_in_parallel(sessions, NOTHING))
    assert [r.session_id for r in result.sessions] == [s.session_id for s in sessions]
    assert sorted(i for ids, _, _ in model.calls for i in ids) == [s.session_id for s in sessions]
    assert 0 <= result.utilisation <= 1


def test_free_stream_sees_the_newest_labels(virtually: Virtually) -> None:
    """A call that begins when another ended is shown its label; one that is under way is not waited for."""
    model = ScriptedModel(by_call, delay=lambda context: 1.0 if context.round == 1 else 5.0)
    virtually(schedule(model, 2).process_in_parallel(make_sessions(9), NOTHING))
    assert [(labels, stream) for _, labels, _, stream in seen(model)] == [
        ((), 1),
        ((), 2),
        (("Label 1",), 1),
    ]


def test_nothing_is_shared_when_told_so(virtually: Virtually) -> None:
    """Without sharing a stream knows what discovery and it itself found, and no other's labels."""
    model = ScriptedModel(by_call)
    known = VocabularySnapshot().extended({"general_intent": ["Known"]})
    virtually(schedule(model, 3, sync="none").process_in_parallel(make_sessions(27), known))
    own: dict[int, list[str]] = {}
    for _, labels, number, stream in seen(model):
        assert labels == ("Known", *own.setdefault(stream, []))
        own[stream].append(f"Label {number}")


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(0, 10_000), st.booleans())
def test_recorded_order_repeats_a_run_at_any_speed(first: int, second: int, merging: bool) -> None:
    """With the order of a run, its calls are made again exactly, however long each takes this time."""

    def run(seed: int, order: Order) -> tuple[list[Any], ParallelResult]:
        model = ScriptedModel(
            by_call,
            delay=lambda context: random.Random(f"{seed} {context.phase} {context.round}").uniform(0, 9),
            groups=lambda labels: [tuple(labels[:2])],
        )
        work = schedule(model, 4, order=order, adaptive=True, merge_every=4 if merging else None)
        with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
            result = runner.run(work.process_in_parallel(make_sessions(50), NOTHING))
        return seen(model), result

    original = Order()
    calls, result = run(first, original)
    repeated = Order(original.finishes)
    again, other = run(second, repeated)
    assert repeated.finishes == original.finishes
    assert sorted(again, key=lambda call: call[2]) == sorted(calls, key=lambda call: call[2])
    assert other.sessions == result.sessions
    assert other.vocabulary == result.vocabulary


def test_order_of_another_run_is_left_where_it_differs(virtually: Virtually) -> None:
    """A record that does not fit is no trap: the run goes on by itself."""
    model = ScriptedModel(by_call)
    work = schedule(model, 2, order=Order([1, 77, 3]))
    result = virtually(work.process_in_parallel(make_sessions(20), NOTHING))
    assert len(result.sessions) == 20


def test_merges_withdraw_aliases_from_later_prompts(virtually: Virtually) -> None:
    """Once two labels are merged in the background, calls that begin later are shown the canonical only."""
    model = ScriptedModel(by_call, groups=lambda labels: [tuple(labels[:2])], delay=lambda _context: 1.0)
    result = virtually(schedule(model, 2, merge_every=2).process_in_parallel(make_sessions(30), NOTHING))
    assert model.judged, "nothing was merged on the way"
    first, second = model.judged[0][:2]
    last = seen(model)[-1][1]
    assert first in last
    assert second not in last
    assert second in result.vocabulary.labels("general_intent"), "what was given stays known"


def test_failed_sessions_come_back_one_by_one(virtually: Virtually) -> None:
    """Sessions that the endpoint failed are asked for again at the end, each alone; streams are halved."""

    def script(_n: int, ids: list[str], _v: VocabularySnapshot, context: CallContext) -> Sequence[ReplyRow]:
        if context.round <= 4:
            raise TransientEndpointError("busy")
        return [row(f"s{i}") for i in range(1, len(ids) + 1)]

    model = ScriptedModel(script)
    result = virtually(schedule(model).process_in_parallel(make_sessions(24), NOTHING))
    assert all(r.facts is not None for r in result.sessions)
    assert [d.streams_after for d in result.degradations] == [2]
    late = [ids for ids, _, _ in model.calls if ids[0] in {f"a{i:03}" for i in range(12)}][4:]
    assert late
    assert all(len(ids) == 1 for ids in late)


def test_dead_endpoint_ends_the_run(virtually: Virtually) -> None:
    """When nothing comes back any more, the run stops instead of asking for ever."""

    def script(*_: Any) -> Sequence[ReplyRow]:
        raise TransientEndpointError("gone")

    with pytest.raises(EndpointGoneError, match="resume"):
        virtually(schedule(ScriptedModel(script)).process_in_parallel(make_sessions(24), NOTHING))


def test_calls_in_flight_are_finished_before_a_stop(virtually: Virtually) -> None:
    """When the budget ends one call, those already paid for are still awaited."""
    finished: list[int] = []

    def script(_n: int, ids: list[str], _v: VocabularySnapshot, context: CallContext) -> Sequence[ReplyRow]:
        if context.round == 2:
            raise BudgetExceededError("used up")
        finished.append(context.round)
        return [row(f"s{i}") for i in range(1, len(ids) + 1)]

    model = ScriptedModel(script, delay=lambda context: float(context.round))
    with pytest.raises(BudgetExceededError):
        virtually(schedule(model).process_in_parallel(make_sessions(40), NOTHING))
    assert set(finished) >= {1, 3, 4}


def test_staleness_counts_what_others_found_meanwhile(virtually: Virtually) -> None:
    """A slow call misses a version per call that ended while it was under way."""
    model = ScriptedModel(by_call, delay=lambda context: 10.0 if context.round == 1 else 1.0)
    result = virtually(schedule(model, 2).process_in_parallel(make_sessions(15), NOTHING))
    record = next(record for record in result.rounds if record.round == 1)
    assert record.staleness == 4
    assert record.missed_labels == 4
    assert [r.staleness for r in result.rounds if r.round != 1] == [0, 0, 0, 0]


@given(
    st.integers(1, 500),
    st.integers(1, 20),
    st.integers(1, 5),
    st.integers(1, 32),
    st.none() | st.floats(0.1, 5),
)
def test_call_sizes_stay_within_their_limits(
    waiting: int, most: int, smallest: int, streams: int, taper: float | None
) -> None:
    """A call holds at least one session and at most a full call; less waiting never makes it larger."""
    size = call_size(waiting, most, smallest, streams=streams, taper=taper)
    assert 1 <= size <= most
    assert size >= call_size(max(1, waiting - 1), most, smallest, streams=streams, taper=taper)


def test_smallest_call_is_what_is_configured() -> None:
    """5 unless something else is, and fewer to begin with in a short run."""
    configured = [ParallelConfig(8, smallest_call=size) for size in (None, 1, 9)]
    assert [smallest_call(config) for config in configured] == [5, 1, 9]
    assert [first_call(config) for config in configured] == [2, 1, 9]


@given(
    st.integers(0, 250),
    st.integers(1, 16),
    st.none() | st.integers(5, 12),
    st.booleans(),
    st.none() | st.floats(0.3, 3),
    st.sampled_from([way for way in WAYS if way not in BARRIER]),
)
@settings(deadline=None, max_examples=40)
def test_only_the_first_calls_and_the_last_are_small(
    count: int, streams: int, share: int | None, adaptive: bool, taper: float | None, sync: str
) -> None:
    """Every call but the last, and one for each stream to begin with where discovery is adaptive, holds five
    sessions at least; all together hold each session once."""
    model, sessions = ScriptedModel(by_call), make_sessions(count)
    work = schedule(model, streams, share=share, sync=sync, adaptive=adaptive, taper=taper)
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        runner.run(work.process_in_parallel(sessions, NOTHING))
    calls = [ids for ids, _, _ in sorted(model.calls, key=lambda call: call[2].round)]
    assert [session_id for ids in calls for session_id in ids] == [s.session_id for s in sessions]
    sizes = [len(ids) for ids in calls]
    begun = next((number for number, size in enumerate(sizes) if size >= 5), len(sizes))
    assert begun <= (streams + 1 if adaptive else 0) or begun >= len(sizes) - 1
    assert all(5 <= size <= (share or 20) for size in sizes[begun:-1])


def leaves_out(left: set[str]) -> Callable[..., Sequence[ReplyRow]]:
    """A script that leaves these sessions out of the first reply to each."""
    asked: set[str] = set()

    def script(_n: int, ids: list[str], _v: VocabularySnapshot, _c: CallContext) -> Sequence[ReplyRow]:
        rows = [row(f"s{i}") for i, name in enumerate(ids, 1) if name not in left or name in asked]
        asked.update(ids)
        return rows

    return script


@given(st.integers(0, 120), st.integers(1, 8), st.sets(st.integers(0, 119), max_size=30), st.booleans())
@settings(deadline=None, max_examples=40)
def test_what_a_reply_leaves_out_is_lost_nowhere(
    count: int, streams: int, left: set[int], adaptive: bool
) -> None:
    """Whatever replies leave out, each session has one result; its attempts count all that asked for it."""
    sessions = make_sessions(count)
    model = ScriptedModel(leaves_out({sessions[number].session_id for number in left if number < count}))
    work = schedule(model, streams, share=None, adaptive=adaptive)
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        result = runner.run(work.process_in_parallel(sessions, NOTHING))
    times = Counter(session_id for ids, _, _ in model.calls for session_id in ids)
    assert [r.session_id for r in result.sessions] == [s.session_id for s in sessions]
    assert all(r.facts is not None and r.attempts == times[r.session_id] for r in result.sessions)
    assert sum(record.sessions for record in result.rounds) == count


def test_what_a_reply_leaves_out_rides_with_the_next_call(virtually: Virtually) -> None:
    """One session left out of twenty is no call of its own, while others wait."""
    sessions = make_sessions(41)
    model = ScriptedModel(leaves_out({sessions[3].session_id}))
    virtually(schedule(model, 1, share=None).process_in_parallel(sessions, NOTHING))
    assert [len(ids) for ids, _, _ in model.calls] == [20, 20, 2]
    assert model.calls[1][0][0] == sessions[3].session_id


def test_what_is_left_out_again_or_last_is_asked_at_once(virtually: Virtually) -> None:
    """A session is left to a later call once, and only if there is one to come."""
    sessions = make_sessions(41)
    gone = sessions[3].session_id
    model = ScriptedModel(
        lambda _n, ids, _v, c: [row(f"s{i}") for i, name in enumerate(ids, 1) if name != gone or c.attempt]
    )
    result = virtually(schedule(model, 1, share=None).process_in_parallel(sessions, NOTHING))
    assert [(len(ids), context.attempt) for ids, _, context in model.calls] == [
        (20, 0),
        (20, 0),
        (1, 1),
        (2, 0),
    ]
    assert result.sessions[3].attempts == 3
    last = ScriptedModel(leaves_out({sessions[40].session_id}))
    virtually(schedule(last, 1, share=None).process_in_parallel(sessions, NOTHING))
    assert [len(ids) for ids, _, _ in last.calls] == [20, 20, 1, 1]


@given(st.integers(0, 250), st.integers(1, 16), st.booleans())
@settings(deadline=None, max_examples=20)
def test_only_the_first_and_the_last_round_have_small_calls(count: int, streams: int, adaptive: bool) -> None:
    """With a barrier it is the first rounds and the last one, dealt to all, whose calls may be small."""
    model, sessions = ScriptedModel(by_call), make_sessions(count)
    work = schedule(model, streams, share=None, sync="rounds", adaptive=adaptive)
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        runner.run(work.process_in_parallel(sessions, NOTHING))
    last = max((context.round for _, _, context in model.calls), default=0)
    first = 2 if adaptive else 0
    assert all(len(ids) >= 5 for ids, _, context in model.calls if first < context.round < last)
    assert sorted(i for ids, _, _ in model.calls for i in ids) == [s.session_id for s in sessions]


def test_sessions_too_long_for_a_call_stand_alone(virtually: Virtually) -> None:
    """Token limits hold for calls formed one at a time."""
    model = ScriptedModel(by_call)
    long: list[Session] = make_sessions(4, tokens=90_000)
    result = virtually(schedule(model, 2).process_in_parallel(long, NOTHING))
    assert len(result.sessions) == 4
    assert [len(ids) for ids, _, _ in model.calls] == [1, 1, 1, 1]


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
    shares = rounds(ScriptedModel(), streams, share).distribute_sessions_across_streams(sessions)
    dealt = [session for part in shares for session in part]
    assert dealt == sessions[: len(dealt)]
    sizes = [len(part) for part in shares]
    assert 1 <= min(sizes) <= max(sizes) <= (share or 20)
    assert max(sizes) - min(sizes) <= 1
    assert len(dealt) == min(count, streams * (share or 20))


def test_every_session_is_labelled_once_in_rounds(virtually: Virtually) -> None:
    """Rounds go on until nothing is left; no session is lost or asked for twice."""
    model = ScriptedModel()
    sessions = make_sessions(31)
    result = virtually(rounds(model).process_in_parallel(sessions, VocabularySnapshot()))
    assert [r.session_id for r in result.sessions] == [s.session_id for s in sessions]
    assert sorted(i for ids, _, _ in model.calls for i in ids) == [s.session_id for s in sessions]
    assert [record.sessions for record in result.rounds] == [12, 12, 7]


def test_streams_of_a_round_share_one_snapshot(virtually: Virtually) -> None:
    """Within a round nobody sees the others' labels; in the next, everybody sees all of them."""
    model = ScriptedModel(by_stream)
    virtually(rounds(model).process_in_parallel(make_sessions(24), VocabularySnapshot()))
    first = [v.labels("general_intent") for _, v, c in model.calls if c.round == 1]
    second = [v.labels("general_intent") for _, v, c in model.calls if c.round == 2]
    assert first == [()] * 4
    assert second == [tuple(f"Round 1 Stream {i}" for i in range(1, 5))] * 4


@settings(deadline=None, max_examples=25)
@given(st.randoms(use_true_random=False))
def test_completion_order_changes_nothing(generator: random.Random) -> None:
    """However long each stream takes, sessions, labels and their order of arrival are the same."""

    def run(delay: Callable[[CallContext], float]) -> ParallelResult:
        model = ScriptedModel(by_stream, delay=delay)
        with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
            return runner.run(rounds(model).process_in_parallel(make_sessions(30), VocabularySnapshot()))

    delays = {stream: generator.uniform(0.1, 9) for stream in range(1, 5)}
    even, uneven = run(lambda _c: 1.0), run(lambda c: delays[c.stream])
    assert even.sessions == uneven.sessions
    assert even.vocabulary == uneven.vocabulary


def test_waiting_for_the_slowest_counts_as_waiting(virtually: Virtually) -> None:
    """With one stream of four at 4 s and the others at 1 s, utilisation is 7 / 16."""
    model = ScriptedModel(delay=lambda context: 4.0 if context.stream == 1 else 1.0)
    result = virtually(rounds(model).process_in_parallel(make_sessions(12), VocabularySnapshot()))
    assert result.utilisation == 7 / 16
    assert result.rounds[0].waiting_seconds == 9


def test_streams_without_work_count_as_waiting(virtually: Virtually) -> None:
    """A last session leaves three of four streams idle."""
    result = virtually(rounds(ScriptedModel()).process_in_parallel(make_sessions(1), VocabularySnapshot()))
    assert result.utilisation == 1 / 4


def test_null_share_fills_calls() -> None:
    """Without a share, a stream takes one full call, which shrinks with longer sessions."""
    phase = rounds(ScriptedModel(), streams=2, share=None)
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
    result = virtually(rounds(model).process_in_parallel(make_sessions(40), VocabularySnapshot()))
    assert all(r.facts for r in result.sessions)
    assert [(d.round, d.streams_before, d.streams_after) for d in result.degradations] == [(1, 4, 2)]
    assert "503" in result.degradations[0].reason


def test_endpoint_that_is_gone_stops_the_run(virtually: Virtually) -> None:
    """When nothing comes back any more the run stops, resumable, instead of giving every session up."""
    for count in (1, 5, 40):
        model = failing(lambda n, _ids: n > 2)
        with pytest.raises(EndpointGoneError, match="503"):
            virtually(rounds(model).process_in_parallel(make_sessions(count + 12), VocabularySnapshot()))


@pytest.mark.parametrize("streams", [1, 4])
def test_session_that_the_endpoint_cannot_take_is_given_up_alone(virtually: Virtually, streams: int) -> None:
    """A session whose every call fails ends unresolved after three rounds; all others are labelled."""
    model = failing(lambda _n, ids: "a005" in ids)
    result = virtually(rounds(model, streams).process_in_parallel(make_sessions(20), VocabularySnapshot()))
    assert [r.session_id for r in result.sessions if r.facts is None] == ["a005"]
    assert sum("a005" in ids for ids, _, _ in model.calls) == 3
