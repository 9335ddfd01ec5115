"""ParallelProcessingOrchestrator: streams label the rest in rounds and share what they found."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from autoanalyze.config import ParallelConfig
from autoanalyze.llm.calls import together
from autoanalyze.llm.tokens import TokenManagement
from autoanalyze.phases.conflicts import BackgroundMerging
from autoanalyze.phases.discovery import Ramp
from autoanalyze.phases.rounds import EndpointHealth, ParallelResult, RoundRecord, utilisation
from autoanalyze.phases.streams import StreamProcessing, StreamResult
from autoanalyze.phases.vocabulary import Vocabulary, count_labels
from autoanalyze.records import LabelSchema, Session, SessionResult, Usage, VocabularySnapshot


class ParallelProcessingOrchestrator:
    """Phase 2. The result does not depend on which stream answers first.

    Sessions that the endpoint failed come back in a later round. When it fails half of a round or
    more, the streams are halved, down to one; when nothing comes back any more, the run stops.
    """

    def __init__(
        self,
        streams: StreamProcessing,
        schema: LabelSchema,
        tokens: TokenManagement,
        config: ParallelConfig,
        *,
        ramp: Ramp | None = None,
        merging: BackgroundMerging | None = None,
    ) -> None:
        self._streams = streams
        self._schema = schema
        self._tokens = tokens
        self._config = config
        self._health = EndpointHealth(config.streams)
        self._ramp = ramp
        self._merging = merging

    async def process_in_parallel(
        self, sessions: Sequence[Session], vocabulary: VocabularySnapshot
    ) -> ParallelResult:
        """Label `sessions` with all streams, round after round, starting from what discovery knows.

        Raises EndpointGoneError when nothing comes back any more.
        """
        known = Vocabulary(self._schema, vocabulary)
        results: dict[str, SessionResult] = {}
        rounds: list[RoundRecord] = []
        usage = Usage()
        remaining = list(sessions)
        while remaining:
            shares = self.distribute_sessions_across_streams(remaining, known.snapshot())
            dealt = remaining[: sum(map(len, shares))]
            start = asyncio.get_running_loop().time()
            _, answers = await together(
                [
                    self._merge(known.snapshot(), list(results.values())),
                    self._round(shares, known.snapshot(), len(rounds) + 1),
                ]
            )
            end = asyncio.get_running_loop().time()
            if self._merging is not None:
                self._merging.publish(known, self._ramp)
            known_before = known.snapshot()
            new_labels = self.synchronize_classifications(known, answers)
            results |= {result.session_id: result for answer in answers for result in answer.sessions}
            self._learn(answers, new_labels)
            usage = sum((answer.usage for answer in answers), usage)
            rounds.append(self._record(len(rounds) + 1, answers, known_before, known, start, end))
            again = self._health.after_round(dealt, results, number=len(rounds))
            # They go last: by then the endpoint may have recovered, and nobody else waits for it.
            remaining = [*remaining[len(dealt) :], *again]
        return ParallelResult(
            tuple(results[session.session_id] for session in sessions),
            known.snapshot(),
            tuple(rounds),
            tuple(self._health.degradations),
            usage,
            utilisation(rounds, self._config.streams),
        )

    async def _merge(
        self, vocabulary: VocabularySnapshot, results: Sequence[SessionResult]
    ) -> list[StreamResult]:
        """Merge beside the streams of a round, when it is time to."""
        if self._merging is not None and self._merging.due():
            await self._merging.merge(vocabulary, results)
        return []

    def _learn(self, answers: Sequence[StreamResult], new_labels: int) -> None:
        """What a round tells the ramp and the merging."""
        if self._merging is not None:
            self._merging.note(new_labels=new_labels, rounds=1)
        if self._ramp is not None:
            for answer in answers:
                self._ramp.learn(answer.sessions)

    def _record(
        self,
        number: int,
        answers: Sequence[StreamResult],
        before: VocabularySnapshot,
        known: Vocabulary,
        start: float,
        end: float,
    ) -> RoundRecord:
        busy = sum(answer.busy_seconds for answer in answers)
        after = known.snapshot()
        new_labels = count_labels(after) - count_labels(before)
        own = [count_labels(before.extended(answer.new_labels)) - count_labels(before) for answer in answers]
        return RoundRecord(
            number,
            len(answers),
            sum(len(answer.sessions) for answer in answers),
            new_labels,
            after.version,
            start,
            end,
            busy,
            self._config.streams * (end - start) - busy,
            missed_labels=sum(new_labels - found for found in own) / len(own),
        )

    def distribute_sessions_across_streams(
        self, sessions: Sequence[Session], vocabulary: VocabularySnapshot | None = None
    ) -> list[list[Session]]:
        """The next round's share of each stream, from the front of `sessions` and in order.

        A share is `sessions_per_stream`, or one full call when that is null. When fewer
        sessions are left than the streams could take, they are dealt evenly, so that no
        stream works while others have nothing to do.
        """
        share = self._config.sessions_per_stream or self._full_call(sessions, vocabulary)
        share = self._tokens.item_cap(share) if self._config.sessions_per_stream else share
        streams = self._health.streams
        if self._ramp is not None:
            step = self._ramp.step(share)
            streams, share = min(streams, step.calls), step.sessions
        taken = min(len(sessions), share * streams)
        size, larger = divmod(taken, streams)
        shares, position = [], 0
        for stream in range(streams):
            end = position + size + (1 if stream < larger else 0)
            shares.append(list(sessions[position:end]))
            position = end
        return [share for share in shares if share]

    def synchronize_classifications(self, vocabulary: Vocabulary, answers: Sequence[StreamResult]) -> int:
        """Add what the streams of a round found, in the order of the streams; how many labels were new."""
        return vocabulary.synchronize(answer.new_labels for answer in answers)

    async def _round(
        self,
        shares: Sequence[Sequence[Session]],
        vocabulary: VocabularySnapshot,
        number: int,
    ) -> list[StreamResult]:
        return await together(
            self._streams.process_stream(
                share,
                vocabulary,
                phase="parallel",
                stream=stream,
                round_number=number,
                # Asked one by one, a session that the endpoint cannot take harms no other.
                share=1 if self._health.has_failed(share) else self._config.sessions_per_stream,
            )
            for stream, share in enumerate(shares, start=1)
        )

    def _full_call(self, sessions: Sequence[Session], vocabulary: VocabularySnapshot | None) -> int:
        mean = sum(session.token_count for session in sessions) / len(sessions)
        taken = self._streams.prompt_vocabulary_tokens(vocabulary or VocabularySnapshot())
        return self._tokens.calculate_max_sessions_per_call(mean, vocabulary_tokens=taken)
