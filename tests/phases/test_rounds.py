"""Rounds of phase 2: who gets another chance when the endpoint fails, and how busy streams were."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from fakes import make_sessions
from hypothesis import given, settings
from hypothesis import strategies as st

from autoanalyze.errors import EndpointGoneError, StoppedRunError
from autoanalyze.phases.rounds import CHANCES, EndpointHealth, RoundRecord, utilisation
from autoanalyze.records import Facts, Session, SessionResult

FACTS = Facts("Contained", {"general_intent": "A", "transfer_reason": None})


def answers(dealt: Sequence[Session], failed: Sequence[Session]) -> dict[str, SessionResult]:
    """A result per session; the endpoint failed some of them."""
    return {
        session.session_id: SessionResult(
            session.session_id,
            None if session in failed else FACTS,
            "parallel",
            1,
            1,
            1,
            error="503: overloaded" if session in failed else None,
            endpoint_failed=session in failed,
        )
        for session in dealt
    }


class Played:
    """Rounds until nothing waits any more, dealt as the orchestrator deals them: from the front, and those
    that failed at the end."""

    def __init__(self, streams: int, fails: Callable[[Session, int], bool]) -> None:
        self.health = EndpointHealth(streams)
        self.streams: list[int] = []
        self.asked: Counter[str] = Counter()
        self.answered: list[str] = []
        self.given_up: list[str] = []
        self.rounds: list[tuple[list[str], int]] = []
        """Of each round who failed, and how many were answered."""
        self.gone = False
        self._fails = fails

    def play(self, sessions: Sequence[Session], share: int) -> Played:
        """All rounds, or those until the endpoint is held to be gone."""
        waiting, number = list(sessions), 0
        while waiting:
            number += 1
            self.streams.append(self.health.streams)
            dealt, waiting = self._dealt(waiting, share)
            failed = [session for session in dealt if self._fails(session, number)]
            self.asked.update(session.session_id for session in dealt)
            self.answered += [session.session_id for session in dealt if session not in failed]
            self.rounds.append(([s.session_id for s in failed], len(dealt) - len(failed)))
            try:
                again = self.health.after_round(dealt, answers(dealt, failed), number=number)
            except EndpointGoneError:
                self.gone = True
                return self
            assert again == [session for session in failed if session in again], "in the order dealt"
            self.given_up += [s.session_id for s in failed if s not in again]
            waiting += again
        return self

    def _dealt(self, waiting: list[Session], share: int) -> tuple[list[Session], list[Session]]:
        size = self.health.streams * share
        return waiting[:size], waiting[size:]


cases = st.tuples(st.integers(1, 40), st.integers(1, 9), st.integers(1, 4), st.integers(0, 9999))


@settings(deadline=None, max_examples=40)
@given(cases, st.floats(0, 1), st.sets(st.integers(0, 39), max_size=4))
def test_no_session_is_lost_or_doubled(
    case: tuple[int, int, int, int], rate: float, poisonous: set[int]
) -> None:
    """However often the endpoint fails, and whatever it can never take: each session is answered once or
    given up once, asked for three times at most, and nothing is left over unless the endpoint is gone."""
    count, streams, share, seed = case
    draw = random.Random(seed)
    sessions = make_sessions(count)
    never = {sessions[i].session_id for i in poisonous if i < count}
    played = Played(streams, lambda s, _n: s.session_id in never or draw.random() < rate).play(
        sessions, share
    )
    ended = [*played.answered, *played.given_up]
    assert len(set(ended)) == len(ended)
    assert max(played.asked.values()) <= CHANCES
    assert all(played.asked[session_id] == CHANCES for session_id in played.given_up)
    if not played.gone:
        assert sorted(ended) == [session.session_id for session in sessions]
        assert never <= set(played.given_up)


@settings(deadline=None, max_examples=40)
@given(cases, st.floats(0, 1))
def test_streams_only_fall_and_never_below_one(case: tuple[int, int, int, int], rate: float) -> None:
    """The number of streams is halved and never raised; each time the record says from what, to what and
    why, and the rounds stand in order."""
    count, streams, share, seed = case
    draw = random.Random(seed)
    played = Played(streams, lambda _s, _n: draw.random() < rate).play(make_sessions(count), share)
    health = played.health
    assert played.streams == sorted(played.streams, reverse=True)
    assert health.streams >= 1
    before = streams
    for degradation in health.degradations:
        assert (degradation.streams_before, degradation.streams_after) == (before, before // 2)
        assert degradation.reason == "503: overloaded"
        before = degradation.streams_after
    assert before == health.streams
    rounds = [degradation.round for degradation in health.degradations]
    assert rounds == sorted(set(rounds))


@settings(deadline=None, max_examples=40)
@given(cases, st.floats(0, 1))
def test_same_draws_give_the_same_rounds(case: tuple[int, int, int, int], rate: float) -> None:
    """Health depends on what was dealt and answered, and on nothing else."""
    count, streams, share, seed = case

    def play() -> tuple[list[int], Counter[str], list[str], list[str], bool]:
        draw = random.Random(seed)
        played = Played(streams, lambda _s, _n: draw.random() < rate).play(make_sessions(count), share)
        return played.streams, played.asked, played.answered, played.given_up, played.gone

    assert play() == play()


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 4), st.integers(0, 6))
def test_endpoint_is_gone_when_nobody_is_answered_any_more(
    count: int, streams: int, share: int, healthy: int
) -> None:
    """From a round on nothing comes back: the run ends by an error that says why, and gives nobody up; if
    everybody was answered before, there is none."""
    played = Played(streams, lambda _s, number: number > healthy).play(make_sessions(count), share)
    assert played.gone == (len(played.answered) < count)
    assert played.given_up == []
    assert len(played.answered) == min(count, healthy * streams * share)


@settings(deadline=None, max_examples=40)
@given(cases, st.lists(st.sampled_from([0.0, 0.3, 0.9, 1.0]), min_size=1, max_size=8))
def test_endpoint_is_gone_exactly_when_nobody_is_answered(
    case: tuple[int, int, int, int], spells: list[float]
) -> None:
    """In good and bad spells: the run ends in the first round in which a session fails for the third time
    and nobody was answered since its first, or the last of the streams has had three silent rounds."""
    count, streams, share, seed = case
    draw = random.Random(seed)
    played = Played(streams, lambda _s, number: draw.random() < spells[number % len(spells)])
    played.play(make_sessions(count), share)

    def silent(first: int, last: int) -> bool:
        return not any(answered for _, answered in played.rounds[first - 1 : last])

    failures: dict[str, list[int]] = {}
    for number, (failed, _) in enumerate(played.rounds, start=1):
        for session_id in failed:
            failures.setdefault(session_id, []).append(number)
        third = [rounds for s, rounds in failures.items() if s in failed and len(rounds) == CHANCES]
        alone = played.streams[number - 1] == 1 and number >= CHANCES
        gone = any(silent(rounds[0], number) for rounds in third) or (
            alone and silent(number - CHANCES + 1, number)
        )
        assert gone == (played.gone and number == len(played.rounds))


def test_error_says_why_and_that_the_run_can_go_on() -> None:
    """The message has the endpoint's reason and the remedy, and the command line ends with 3."""
    health, (session,) = EndpointHealth(4), make_sessions(1)
    for number in range(1, CHANCES):
        assert health.after_round([session], answers([session], [session]), number=number) == [session]
    with pytest.raises(EndpointGoneError, match="503: overloaded; resume the run") as ended:
        health.after_round([session], answers([session], [session]), number=CHANCES)
    assert isinstance(ended.value, StoppedRunError)
    assert ended.value.exit_code == 3


def test_an_answer_between_failures_keeps_the_endpoint_alive() -> None:
    """One session fails three times; whether it is given up or the endpoint is gone depends on others."""
    bad, good = make_sessions(2)
    health = EndpointHealth(2)
    for number in (1, 2):
        assert health.after_round([bad], answers([bad], [bad]), number=number) == [bad]
    assert health.has_failed([good, bad])
    assert not health.has_failed([good])
    assert health.after_round([bad, good], answers([bad, good], [bad]), number=3) == []


def test_answers_beside_a_first_failure_count_as_well() -> None:
    """Somebody was answered in the round in which a session failed first: it is given up after two more in
    which it was alone, and the endpoint is not held to be gone."""
    bad, good = make_sessions(2)
    health = EndpointHealth(8)
    assert health.after_round([bad, good], answers([bad, good], [bad]), number=1) == [bad]
    assert health.after_round([bad], answers([bad], [bad]), number=2) == [bad]
    assert health.after_round([bad], answers([bad], [bad]), number=3) == []


def test_half_of_a_round_halves_the_streams_and_less_does_not() -> None:
    """Two of five failing change nothing, three of six do; an odd number is rounded down."""
    health = EndpointHealth(5)
    sessions = make_sessions(11)
    health.after_round(sessions[:5], answers(sessions[:5], sessions[:2]), number=1)
    assert (health.streams, health.degradations) == (5, [])
    health.after_round(sessions[5:], answers(sessions[5:], sessions[5:8]), number=2)
    assert health.streams == 2


def record(number: int, start: float, end: float, busy: float) -> RoundRecord:
    return RoundRecord(number, 1, 1, 0, 0, start, end, busy, 0.0)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 8),
    st.lists(st.floats(0.01, 50), min_size=1, max_size=30),
    st.randoms(use_true_random=False),
)
def test_utilisation_is_a_share_of_all_streams_time(
    streams: int, durations: list[float], draw: random.Random
) -> None:
    """Calls packed onto streams in any order, with gaps or without: 0 to 1, the same whatever order the
    records stand in, and twice the streams with the same work are half as busy."""
    free = [0.0] * streams
    records = []
    for number, seconds in enumerate(durations, start=1):
        stream = draw.randrange(streams)
        start = free[stream] + draw.choice([0.0, draw.uniform(0, 5)])
        free[stream] = start + seconds
        records.append(record(number, start, free[stream], seconds))
    busy = utilisation(records, streams)
    assert 0 < busy <= 1 + 1e-9
    assert utilisation(draw.sample(records, len(records)), streams) == pytest.approx(busy)
    assert utilisation(records, 2 * streams) == pytest.approx(busy / 2)
    if streams == 1:
        gaps = max(r.end for r in records) - min(r.start for r in records) - sum(durations)
        assert (busy == pytest.approx(1)) == (gaps == pytest.approx(0, abs=1e-6 * sum(durations)))


def test_no_rounds_and_no_time_are_no_utilisation() -> None:
    """Without work there is nothing to be busy with; calls that took no time divide by nothing."""
    assert utilisation([], 4) == 0.0
    assert utilisation([record(1, 5.0, 5.0, 0.0)], 4) == 0.0
