"""ContinuousProcessing: no barrier. A stream that is free takes the next call with the newest labels."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from autoanalyze.config import ParallelConfig
from autoanalyze.llm.tokens import TokenManagement
from autoanalyze.phases.conflicts import BackgroundMerging
from autoanalyze.phases.discovery import Ramp, Step
from autoanalyze.phases.rounds import EndpointHealth, ParallelResult, RoundRecord, utilisation
from autoanalyze.phases.streams import BatchOutcome, StreamProcessing, labelled
from autoanalyze.phases.vocabulary import Vocabulary, count_labels, labels_found
from autoanalyze.protocols import CompletionOrder
from autoanalyze.records import CallContext, LabelSchema, Session, SessionResult, Usage, VocabularySnapshot


@dataclass(frozen=True, slots=True)
class Batch:
    """Sessions on their way: which stream has them, since when, and what was known then."""

    number: int
    stream: int
    sessions: tuple[Session, ...]
    seen: VocabularySnapshot
    labels_known: int
    start: float
    waited: float


@dataclass
class Work:
    """Everything that changes while sessions are labelled. Work in flight has a number: batches count
    up from 1, merges down from -1."""

    queue: deque[Session]
    known: Vocabulary
    began: float
    own: dict[int, VocabularySnapshot] = field(default_factory=dict)
    flying: dict[int, asyncio.Task[BatchOutcome | None]] = field(default_factory=dict)
    batches: dict[int, Batch] = field(default_factory=dict)
    free_since: dict[int, float] = field(default_factory=dict)
    results: dict[str, SessionResult] = field(default_factory=dict)
    records: list[RoundRecord] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    unchecked: list[Batch] = field(default_factory=list)
    """Batches since the endpoint's health was looked at."""
    last_number: int = 0

    @property
    def calling(self) -> int:
        """Batches in flight."""
        return sum(number > 0 for number in self.flying)


class ContinuousProcessing:
    """Phase 2 without a barrier.

    What a run does next depends only on what finished so far and in which order. `order` keeps that
    order, so that a resumed or replayed run repeats it although its answers come at other times.
    Calls shrink towards the end (guided self-scheduling: Polychronopoulos & Kuck 1987), so that
    streams end together. With `shared` false nothing is shared: each stream knows what discovery
    found and what it found itself, which is the floor that sharing is compared with.
    """

    def __init__(
        self,
        streams: StreamProcessing,
        schema: LabelSchema,
        tokens: TokenManagement,
        config: ParallelConfig,
        *,
        order: CompletionOrder,
        ramp: Ramp | None = None,
        merging: BackgroundMerging | None = None,
        shared: bool = True,
        smallest_call: int = 1,
    ) -> None:
        self._streams = streams
        self._schema = schema
        self._tokens = tokens
        self._config = config
        self._order = order
        self._ramp = ramp
        self._merging = merging
        self._shared = shared
        self._smallest = smallest_call
        self._health = EndpointHealth(config.streams)

    async def process_in_parallel(
        self, sessions: Sequence[Session], vocabulary: VocabularySnapshot
    ) -> ParallelResult:
        """Label `sessions` with all streams, starting from what discovery knows.

        Raises EndpointGoneError when nothing comes back any more. When a call fails for good, those in
        flight are still brought to their end, because they are paid for; then its error is raised.
        """
        work = Work(deque(sessions), Vocabulary(self._schema, vocabulary), asyncio.get_running_loop().time())
        try:
            while work.queue or work.flying:
                self._start_calls(work, vocabulary)
                self._start_merge(work)
                await self._take_in(await self._next_finished(work), work)
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

    def _start_calls(self, work: Work, vocabulary: VocabularySnapshot) -> None:
        """Let free streams go, as many as there may be."""
        now = asyncio.get_running_loop().time()
        while work.queue:
            step = self._step()
            if work.calling >= min(self._health.streams, step.calls):
                return
            busy = {work.batches[number].stream for number in work.flying if number > 0}
            stream = next(s for s in range(1, self._config.streams + 1) if s not in busy)
            seen = work.known.snapshot() if self._shared else work.own.get(stream, vocabulary)
            work.last_number += 1
            batch = Batch(
                work.last_number,
                stream,
                self._next_sessions(work, seen, step),
                seen,
                count_labels(work.known.snapshot()),
                now,
                now - work.free_since.get(stream, work.began),
            )
            work.batches[batch.number] = batch
            work.flying[batch.number] = asyncio.create_task(self._label(batch))

    def _step(self) -> Step:
        full = self._tokens.item_cap(self._config.sessions_per_stream)
        return self._ramp.step(full) if self._ramp is not None else Step(self._config.streams, full)

    def _next_sessions(self, work: Work, seen: VocabularySnapshot, step: Step) -> tuple[Session, ...]:
        """The sessions of the next call, from the front of the queue."""
        # Asked one by one, a session that the endpoint cannot take harms no other.
        size = 1
        if not self._health.has_failed([work.queue[0]]):
            streams, taper = self._health.streams, self._config.taper
            size = call_size(len(work.queue), step.sessions, self._smallest, streams=streams, taper=taper)
        front = [work.queue[i] for i in range(min(size, len(work.queue)))]
        taken = self._streams.prompt_vocabulary_tokens(seen)
        chosen = self._tokens.split_sessions_into_batches(front, vocabulary_tokens=taken)[0]
        for _ in chosen:
            work.queue.popleft()
        return tuple(chosen)

    async def _label(self, batch: Batch) -> BatchOutcome:
        phase = "ramp" if self._ramp is not None and not self._ramp.over else "parallel"
        context = CallContext(phase, batch.number, batch.stream)
        return await self._streams.process_batch(batch.sessions, batch.seen, context)

    def _start_merge(self, work: Work) -> None:
        """Merge in the background, one merge at a time, when it is time to."""
        merging = self._merging
        if merging is None or any(number < 0 for number in work.flying):
            return
        if merging.due():
            snapshot, results = work.known.snapshot(), list(work.results.values())
            number = -(merging.steps + 1)
            work.flying[number] = asyncio.create_task(merging.merge(snapshot, results))

    async def _next_finished(self, work: Work) -> int:
        """The number of the work that is taken in next: as recorded, else whatever ends first."""
        recorded = self._order.next_finished()
        if recorded in work.flying:
            await asyncio.wait({work.flying[recorded]})
            number = recorded
        else:
            await asyncio.wait(work.flying.values(), return_when=asyncio.FIRST_COMPLETED)
            number = min(number for number, task in work.flying.items() if task.done())
        return number

    async def _take_in(self, number: int, work: Work) -> None:
        """Take in finished work; raises what it failed with."""
        outcome = await work.flying.pop(number)
        self._order.finished(number)
        if outcome is not None:
            self._take_in_batch(work.batches.pop(number), outcome, work)
        elif self._merging is not None:
            self._merging.publish(work.known, self._ramp)

    def _take_in_batch(self, batch: Batch, outcome: BatchOutcome, work: Work) -> None:
        now = asyncio.get_running_loop().time()
        before = work.known.snapshot()
        found = labels_found(self._schema, labelled(outcome.results))
        new_labels = work.known.add(found)
        work.own[batch.stream] = batch.seen.extended(found)
        work.free_since[batch.stream] = now
        work.results |= {result.session_id: result for result in outcome.results}
        work.usage += outcome.usage
        work.unchecked.append(batch)
        work.records.append(
            RoundRecord(
                batch.number,
                1,
                len(batch.sessions),
                new_labels,
                work.known.snapshot().version,
                batch.start,
                now,
                outcome.seconds,
                batch.waited,
                staleness=float(before.version - batch.seen.version) if self._shared else 0.0,
                missed_labels=float(count_labels(before) - batch.labels_known),
            )
        )
        if self._ramp is not None:
            self._ramp.learn(outcome.results)
        if self._merging is not None:
            self._merging.note(new_labels=new_labels, rounds=1 / self._config.streams)
        if len(work.unchecked) >= self._health.streams or work.calling == 0:
            self._look_after_endpoint(work)

    def _look_after_endpoint(self, work: Work) -> None:
        """As often as there are streams: sessions that the endpoint failed come back at the end."""
        dealt = [session for batch in work.unchecked for session in batch.sessions]
        number = work.unchecked[-1].number
        work.unchecked.clear()
        work.queue.extend(self._health.after_round(dealt, work.results, number=number))


def smallest_call(config: ParallelConfig, sessions: int) -> int:
    """The least that a call at the beginning or the end holds, if more are waiting.

    Small calls end sooner, and pay for the instructions more often: in a short run time counts, in a
    long one their cost. Unless configured, it is a 25th of a stream's part of all sessions, 2 to 5.
    """
    return config.smallest_call or min(5, max(2, sessions // (25 * config.streams)))


def call_size(waiting: int, most: int, smallest: int, *, streams: int, taper: float | None) -> int:
    """Sessions of the next call when so many are waiting: at most `most`, fewer towards the end."""
    if taper is None:
        return most
    return min(most, max(smallest, math.ceil(waiting / (taper * streams))))
