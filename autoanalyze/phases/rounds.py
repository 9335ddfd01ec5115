"""ParallelProcessingOrchestrator: streams label the rest in rounds and share what they found."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from autoanalyze.config import ParallelConfig
from autoanalyze.llm.tokens import TokenManagement
from autoanalyze.phases.streams import StreamProcessing, StreamResult
from autoanalyze.phases.vocabulary import Vocabulary
from autoanalyze.records import LabelSchema, Session, SessionResult, Usage, VocabularySnapshot

__all__ = ["ParallelProcessingOrchestrator", "ParallelResult", "RoundRecord"]


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """One round: `start` and `end` on the run's clock, `busy_seconds` summed over its streams.

    A stream waits from its last answer to the end of the round.
    """

    round: int
    streams: int
    sessions: int
    new_labels: int
    vocabulary_version: int
    start: float
    end: float
    busy_seconds: float
    waiting_seconds: float


@dataclass(frozen=True, slots=True)
class ParallelResult:
    """All rounds together. `utilisation` is busy time over busy plus waiting time, 0 to 1."""

    sessions: tuple[SessionResult, ...]
    vocabulary: VocabularySnapshot
    rounds: tuple[RoundRecord, ...]
    usage: Usage
    utilisation: float

    @property
    def sync_points(self) -> int:
        """How often vocabularies were synchronised."""
        return len(self.rounds)


class ParallelProcessingOrchestrator:
    """Phase 2. The result does not depend on which stream answers first."""

    def __init__(
        self,
        streams: StreamProcessing,
        schema: LabelSchema,
        tokens: TokenManagement,
        config: ParallelConfig,
    ) -> None:
        self._streams = streams
        self._schema = schema
        self._tokens = tokens
        self._config = config

    async def process_in_parallel(
        self, sessions: Sequence[Session], vocabulary: VocabularySnapshot
    ) -> ParallelResult:
        """Label `sessions` with all streams, round after round, starting from what discovery knows."""
        known = Vocabulary(self._schema, vocabulary)
        results: list[SessionResult] = []
        rounds: list[RoundRecord] = []
        usage = Usage()
        remaining = list(sessions)
        while remaining:
            shares = self.distribute_sessions_across_streams(remaining, known.snapshot())
            remaining = remaining[sum(map(len, shares)) :]
            start = asyncio.get_running_loop().time()
            answers = await self._round(shares, known.snapshot(), len(rounds) + 1)
            end = asyncio.get_running_loop().time()
            new_labels = self.synchronize_classifications(known, answers)
            results += [result for answer in answers for result in answer.sessions]
            usage = sum((answer.usage for answer in answers), usage)
            busy = sum(answer.busy_seconds for answer in answers)
            rounds.append(
                RoundRecord(
                    len(rounds) + 1,
                    len(shares),
                    sum(map(len, shares)),
                    new_labels,
                    known.snapshot().version,
                    start,
                    end,
                    busy,
                    self._config.streams * (end - start) - busy,
                )
            )
        busy = sum(record.busy_seconds for record in rounds)
        total = busy + sum(record.waiting_seconds for record in rounds)
        return ParallelResult(
            tuple(results), known.snapshot(), tuple(rounds), usage, busy / total if total else 0.0
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
        taken = min(len(sessions), share * self._config.streams)
        size, larger = divmod(taken, self._config.streams)
        shares, position = [], 0
        for stream in range(self._config.streams):
            end = position + size + (1 if stream < larger else 0)
            shares.append(list(sessions[position:end]))
            position = end
        return [share for share in shares if share]

    def synchronize_classifications(self, vocabulary: Vocabulary, answers: Sequence[StreamResult]) -> int:
        """Add what the streams of a round found, in the order of the streams; how many labels were new."""
        return vocabulary.synchronize(answer.new_labels for answer in answers)

    async def _round(
        self, shares: Sequence[Sequence[Session]], vocabulary: VocabularySnapshot, number: int
    ) -> list[StreamResult]:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(
                    self._streams.process_stream(
                        share,
                        vocabulary,
                        phase="parallel",
                        stream=stream,
                        round_number=number,
                        share=self._config.sessions_per_stream,
                    )
                )
                for stream, share in enumerate(shares, start=1)
            ]
        return [task.result() for task in tasks]

    def _full_call(self, sessions: Sequence[Session], vocabulary: VocabularySnapshot | None) -> int:
        mean = sum(session.token_count for session in sessions) / len(sessions)
        taken = self._streams.vocabulary_tokens(vocabulary or VocabularySnapshot())
        return self._tokens.calculate_max_sessions_per_call(mean, vocabulary_tokens=taken)
