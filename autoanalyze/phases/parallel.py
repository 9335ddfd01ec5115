"""ParallelProcessingOrchestrator: streams label the rest and share what they find, barrier or none."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import fmean

from autoanalyze.config import ParallelConfig
from autoanalyze.phases.conflicts import BackgroundMerging
from autoanalyze.phases.discovery import Ramp, Step
from autoanalyze.phases.rounds import EndpointHealth, ParallelResult, RoundRecord, Share, Work, utilisation
from autoanalyze.phases.streams import FEWEST_SESSIONS, StreamProcessing, StreamResult
from autoanalyze.phases.vocabulary import Vocabulary, count_labels
from autoanalyze.protocols import CompletionOrder
from autoanalyze.records import Session, SessionResult, VocabularySnapshot

BARRIER = frozenset({"rounds", "sequential"})
"""Ways to synchronise in which all streams wait for each other."""


class ParallelProcessingOrchestrator:
    """Phase 2.

    With a barrier (`sync` is `rounds`, or `sequential` for one stream) all streams get a share, all wait for
    the slowest, and what they found is synchronised then: which stream answers first does not matter.

    Without one (`continuous`), a stream that is free takes the next call with the newest labels. What a run
    does next depends only on what finished so far and in which order; `order` keeps that order, so that a
    resumed or replayed run repeats it although its answers come at other times. Calls shrink towards the end
    (guided self-scheduling: Polychronopoulos & Kuck 1987), so that streams end together. With `none` nothing
    is shared: each stream knows what discovery found and what it found itself, which is the floor that
    sharing is compared with.

    Sessions that the endpoint failed come back at the end; see `EndpointHealth`. The few that a reply left
    out go, without a barrier, into the next call with others: one of their own would cost as much again.
    """

    def __init__(
        self,
        streams: StreamProcessing,
        config: ParallelConfig,
        *,
        sync: str,
        order: CompletionOrder,
        ramp: Ramp | None = None,
        merging: BackgroundMerging | None = None,
    ) -> None:
        self._streams = streams
        self._tokens = streams.tokens
        self._config = config
        self._barrier = sync in BARRIER
        self._shared = sync != "none"
        self._order = order
        self._ramp = ramp
        self._merging = merging
        self._health = EndpointHealth(config.streams)
        self._smallest = 1

    async def process_in_parallel(
        self, sessions: Sequence[Session], vocabulary: VocabularySnapshot
    ) -> ParallelResult:
        """Label `sessions` with all streams, starting from what discovery knows.

        Raises EndpointGoneError when nothing comes back any more. When a call fails for good, those in
        flight are still brought to their end, because they are paid for; then its error is raised.
        """
        self._smallest = smallest_call(self._config)
        known = Vocabulary(self._streams.schema, vocabulary)
        work = Work(deque(sessions), known, asyncio.get_running_loop().time())
        try:
            while work.queue or work.flying:
                self._start(work, vocabulary)
                await self._take_in(await self._finished(work), work)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):
                for task in work.flying.values():
                    task.cancel()
            await asyncio.gather(*work.flying.values(), return_exceptions=True)
            raise
        return ParallelResult(
            tuple(work.results[session.session_id] for session in sessions),
            work.known.snapshot(),
            tuple(work.records),
            tuple(self._health.degradations),
            work.usage,
            utilisation(work.records, self._config.streams),
        )

    def _start(self, work: Work, vocabulary: VocabularySnapshot) -> None:
        """Start a merge when it is time to, and give every stream that is free something to do."""
        if self._barrier:
            self._start_merge(work)
            self._start_round(work)
        else:
            self._start_calls(work, vocabulary)
            self._start_merge(work)

    def _start_merge(self, work: Work) -> None:
        """Merge in the background, one merge at a time."""
        merging = self._merging
        if merging is None or any(number < 0 for number in work.flying):
            return
        rare = self._ramp is None or self._ramp.over  # with new labels in each call it would be for nothing
        if merging.due(last=rare and not work.queue):
            snapshot, results = work.known.snapshot(), list(work.results.values())
            number = -(merging.steps + 1)
            work.flying[number] = asyncio.create_task(merging.merge(snapshot, results))

    def _start_round(self, work: Work) -> None:
        """A share for every stream, all from the front of the queue."""
        seen, number = work.known.snapshot(), len(work.records) + 1
        shares = self.distribute_sessions_across_streams(work.queue, seen)
        for stream, sessions in enumerate(shares, start=1):
            # Asked one by one, a session that the endpoint cannot take harms no other.
            size = 1 if self._health.has_failed(sessions) else self._config.sessions_per_stream
            self._send(work, number, stream, sessions, seen, size)

    def _start_calls(self, work: Work, vocabulary: VocabularySnapshot) -> None:
        """A call for every free stream, as many as there may be."""
        while work.queue:
            step = self._step()
            if work.calling >= min(self._health.streams, step.calls):
                return
            busy = {work.shares[number].stream for number in work.flying if number > 0}
            stream = next(s for s in range(1, self._config.streams + 1) if s not in busy)
            seen = work.known.snapshot() if self._shared else work.own.get(stream, vocabulary)
            self._send(work, work.last_number + 1, stream, self._next_sessions(work, seen, step), seen, None)

    def _send(
        self,
        work: Work,
        round_number: int,
        stream: int,
        sessions: Sequence[Session],
        seen: VocabularySnapshot,
        size: int | None,
    ) -> None:
        """Take sessions off the queue and let a stream label them, at most `size` in a call."""
        for _ in sessions:
            work.queue.popleft()
        now = asyncio.get_running_loop().time()
        work.last_number += 1
        work.shares[work.last_number] = Share(
            work.last_number,
            round_number,
            stream,
            tuple(sessions),
            seen,
            count_labels(work.known.snapshot()),
            now,
            now - work.free_since.get(stream, work.began),
        )
        ramping = self._ramp is not None and not self._ramp.over and not self._barrier
        labelling = self._streams.process_stream(
            sessions,
            seen,
            phase="ramp" if ramping else "parallel",
            stream=stream,
            round_number=round_number,
            share=size,
            leave=not self._barrier and bool(work.queue) and not self._left_before(sessions, work),
        )
        work.flying[work.last_number] = asyncio.create_task(labelling)

    def _left_before(self, sessions: Sequence[Session], work: Work) -> bool:
        return any(session.session_id in work.left_over for session in sessions)

    def _step(self) -> Step:
        full = self._tokens.item_cap(self._config.sessions_per_stream)
        return self._ramp.step(full) if self._ramp is not None else Step(self._config.streams, full)

    def _next_sessions(self, work: Work, seen: VocabularySnapshot, step: Step) -> list[Session]:
        """The sessions of the next call, from the front of the queue."""
        size = 1
        if not self._health.has_failed([work.queue[0]]):
            streams, taper = self._health.streams, self._config.taper
            size = call_size(len(work.queue), step.sessions, self._smallest, streams=streams, taper=taper)
        front = [work.queue[i] for i in range(min(size, len(work.queue)))]
        taken = self._streams.prompt_vocabulary_tokens(seen)
        return self._tokens.split_sessions_into_batches(front, vocabulary_tokens=taken)[0]

    def distribute_sessions_across_streams(
        self, sessions: Sequence[Session] | deque[Session], vocabulary: VocabularySnapshot | None = None
    ) -> list[list[Session]]:
        """The next round's share of each stream, from the front of `sessions` and in order.

        A share is `sessions_per_stream`, or one full call when that is null. When fewer sessions are left
        than the streams could take, they are dealt evenly, so that no stream works while others have nothing
        to do.
        """
        if not sessions:
            return []
        share = self._config.sessions_per_stream
        share = self._full_call(sessions, vocabulary) if share is None else self._tokens.item_cap(share)
        streams = self._health.streams
        if self._ramp is not None:
            step = self._ramp.step(share)
            streams, share = min(streams, step.calls), step.sessions
        size, larger = divmod(min(len(sessions), share * streams), streams)
        front = iter(sessions)
        shares = [[next(front) for _ in range(size + (stream < larger))] for stream in range(streams)]
        return [share for share in shares if share]

    def _full_call(self, sessions: Iterable[Session], vocabulary: VocabularySnapshot | None) -> int:
        taken = self._streams.prompt_vocabulary_tokens(vocabulary or VocabularySnapshot())
        counts = [session.token_count for session in sessions]
        return self._tokens.calculate_max_sessions_per_call(
            sum(counts) / len(counts), vocabulary_tokens=taken
        )

    async def _finished(self, work: Work) -> list[int]:
        """The numbers of the work that is taken in next: with a barrier all of it, else as recorded, else
        whatever ends first."""
        if self._barrier:
            await asyncio.wait(work.flying.values())
            return sorted(work.flying)
        recorded = self._order.next_finished()
        if recorded in work.flying:
            await asyncio.wait({work.flying[recorded]})
            return [recorded]
        await asyncio.wait(work.flying.values(), return_when=asyncio.FIRST_COMPLETED)
        return [min(number for number, task in work.flying.items() if task.done())]

    async def _take_in(self, numbers: Sequence[int], work: Work) -> None:
        """Take in finished work; raises what it failed with."""
        answers: list[tuple[Share, StreamResult]] = []
        for number in numbers:
            answer = await work.flying.pop(number)
            if not self._barrier:
                self._order.finished(number)
            if answer is not None:
                answers.append((work.shares.pop(number), answer))
        if self._merging is not None and (self._barrier or not answers):
            self._merging.publish(work.known, self._ramp)
        if answers:
            self._take_in_answers(answers, work)

    def _take_in_answers(self, answers: Sequence[tuple[Share, StreamResult]], work: Work) -> None:
        now = asyncio.get_running_loop().time()
        before = work.known.snapshot()
        new_labels = self.synchronize_classifications(work.known, [answer for _, answer in answers])
        work.records.append(self._record(answers, before, work.known.snapshot(), now))
        for share, answer in answers:
            work.own[share.stream] = answer.vocabulary
            work.free_since[share.stream] = now
            work.results |= {result.session_id: result for result in counted(answer, work)}
            left = [session for session in share.sessions if session.session_id in answer.left_over]
            work.queue.extendleft(reversed(left))
            work.left_over.update(answer.left_over)
            work.usage += answer.usage
            work.unchecked.append(share)
            if self._ramp is not None:
                self._ramp.learn(answer.sessions)
        if self._merging is not None:
            rounds = 1.0 if self._barrier else 1 / self._config.streams
            sessions = sum(len(answer.sessions) for _, answer in answers)
            self._merging.note(new_labels=new_labels, rounds=rounds, sessions=sessions)
        if len(work.unchecked) >= self._health.streams or work.calling == 0:
            self._look_after_endpoint(work)

    def synchronize_classifications(self, vocabulary: Vocabulary, answers: Sequence[StreamResult]) -> int:
        """Add what streams found, in the order of the streams; how many labels were new."""
        return vocabulary.synchronize(answer.new_labels for answer in answers)

    def _record(
        self,
        answers: Sequence[tuple[Share, StreamResult]],
        before: VocabularySnapshot,
        after: VocabularySnapshot,
        now: float,
    ) -> RoundRecord:
        first, busy = answers[0][0], sum(answer.busy_seconds for _, answer in answers)
        labels = count_labels(after)

        def missed(share: Share, answer: StreamResult) -> int:
            own = count_labels(before.extended(answer.new_labels)) - count_labels(before)
            return labels - own - share.labels_known

        stale = [before.version - share.seen.version for share, _ in answers] if self._shared else [0]
        return RoundRecord(
            first.round,
            len(answers),
            sum(len(answer.sessions) for _, answer in answers),
            labels - count_labels(before),
            after.version,
            first.start,
            now,
            busy,
            self._config.streams * (now - first.start) - busy if self._barrier else first.waited,
            staleness=fmean(stale),
            missed_labels=fmean(missed(share, answer) for share, answer in answers),
        )

    def _look_after_endpoint(self, work: Work) -> None:
        """As often as there are streams: sessions that the endpoint failed come back at the end."""
        dealt = [
            session
            for share in work.unchecked
            for session in share.sessions
            if session.session_id in work.results
        ]
        number = work.unchecked[-1].round
        work.unchecked.clear()
        work.queue.extend(self._health.after_round(dealt, work.results, number=number))


def counted(answer: StreamResult, work: Work) -> list[SessionResult]:
    """The results of an answer; those of sessions that a reply left out before count that attempt too."""
    return [
        replace(result, attempts=result.attempts + (result.session_id in work.left_over))
        for result in answer.sessions
    ]


def smallest_call(config: ParallelConfig) -> int:
    """The least that a call holds but the first ones, if more are waiting."""
    return config.smallest_call or FEWEST_SESSIONS


FIRST_CALL = 2
"""Sessions of the first calls of adaptive discovery, so that names are known before many are coined at once.
With 5, the worst field loses .048 [-.004, .100] where models name things on several levels (300 sessions, ten
seeds, simulated: experiments/levers)."""


def first_call(config: ParallelConfig) -> int:
    """What the first calls of adaptive discovery hold, so that names are shared soon."""
    return config.smallest_call or FIRST_CALL


def call_size(waiting: int, most: int, smallest: int, *, streams: int, taper: float | None) -> int:
    """Sessions of the next call when so many are waiting: at most `most`, fewer towards the end."""
    if taper is None:
        return most
    return min(most, max(smallest, math.ceil(waiting / (taper * streams))))
