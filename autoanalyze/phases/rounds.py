"""ParallelProcessingOrchestrator: streams label the rest in rounds and share what they found."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoanalyze.config import ParallelConfig
from autoanalyze.errors import EndpointGoneError
from autoanalyze.llm.tokens import TokenManagement
from autoanalyze.phases.streams import StreamProcessing, StreamResult
from autoanalyze.phases.together import together
from autoanalyze.phases.vocabulary import Vocabulary
from autoanalyze.records import LabelSchema, Session, SessionResult, Usage, VocabularySnapshot

__all__ = ["Degradation", "ParallelProcessingOrchestrator", "ParallelResult", "RoundRecord"]


CHANCES = 3
"""Rounds in which a session may be asked for when it is the endpoint that fails."""


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
class Degradation:
    """The number of streams was lowered after `round`, and why."""

    round: int
    streams_before: int
    streams_after: int
    reason: str


@dataclass(frozen=True, slots=True)
class ParallelResult:
    """All rounds together. `utilisation` is busy time over busy plus waiting time, 0 to 1."""

    sessions: tuple[SessionResult, ...]
    vocabulary: VocabularySnapshot
    rounds: tuple[RoundRecord, ...]
    degradations: tuple[Degradation, ...]
    usage: Usage
    utilisation: float

    @property
    def sync_points(self) -> int:
        """How often vocabularies were synchronised."""
        return len(self.rounds)


class EndpointHealth:
    """Tells sessions that the endpoint cannot take from an endpoint that is gone."""

    def __init__(self) -> None:
        self._answered = 0
        self._silent_rounds = 0
        self._failures: Counter[str] = Counter()
        self._answered_before: dict[str, int] = {}

    def has_failed(self, sessions: Sequence[Session]) -> bool:
        """Whether the endpoint failed any of these before."""
        return any(self._failures[session.session_id] for session in sessions)

    def after_round(
        self,
        dealt: Sequence[Session],
        failed: Sequence[Session],
        results: Mapping[str, SessionResult],
        *,
        streams: int,
    ) -> list[Session]:
        """The failed sessions that get another chance.

        One that failed three times while others were answered stays unresolved. Raises
        EndpointGoneError when nobody was answered meanwhile, or in three rounds of a single stream.
        """
        before = self._answered
        self._answered += len(dealt) - len(failed)
        self._silent_rounds = 0 if self._answered > before else self._silent_rounds + 1
        for session in failed:
            self._failures[session.session_id] += 1
            self._answered_before.setdefault(session.session_id, before)
        given_up = [s for s in failed if self._failures[s.session_id] >= CHANCES]
        silent = any(self._answered_before[s.session_id] == self._answered for s in given_up)
        if silent or (streams == 1 and self._silent_rounds >= CHANCES):
            reason = results[failed[0].session_id].error
            raise EndpointGoneError(
                f"nothing came back any more, in spite of all retries: {reason}; "
                "resume the run when the endpoint is back"
            )
        return [session for session in failed if session not in given_up]


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
    ) -> None:
        self._streams = streams
        self._schema = schema
        self._tokens = tokens
        self._config = config
        self._active = config.streams

    async def process_in_parallel(
        self, sessions: Sequence[Session], vocabulary: VocabularySnapshot
    ) -> ParallelResult:
        """Label `sessions` with all streams, round after round, starting from what discovery knows.

        Raises EndpointGoneError when nothing comes back any more.
        """
        known = Vocabulary(self._schema, vocabulary)
        results: dict[str, SessionResult] = {}
        rounds: list[RoundRecord] = []
        degradations: list[Degradation] = []
        usage, health = Usage(), EndpointHealth()
        remaining = list(sessions)
        while remaining:
            shares = self.distribute_sessions_across_streams(remaining, known.snapshot())
            dealt = remaining[: sum(map(len, shares))]
            start = asyncio.get_running_loop().time()
            answers = await self._round(shares, known.snapshot(), len(rounds) + 1, health)
            end = asyncio.get_running_loop().time()
            new_labels = self.synchronize_classifications(known, answers)
            results |= {result.session_id: result for answer in answers for result in answer.sessions}
            usage = sum((answer.usage for answer in answers), usage)
            rounds.append(self._record(len(rounds) + 1, answers, new_labels, known, start, end))
            failed = [session for session in dealt if results[session.session_id].endpoint_failed]
            again = health.after_round(dealt, failed, results, streams=self._active)
            # They go last: by then the endpoint may have recovered, and nobody else waits for it.
            remaining = [*remaining[len(dealt) :], *again]
            if 2 * len(failed) >= len(dealt) and self._active > 1:
                before, self._active = self._active, self._active // 2
                reason = results[failed[0].session_id].error or "unknown"
                degradations.append(Degradation(len(rounds), before, self._active, reason))
        busy = sum(record.busy_seconds for record in rounds)
        total = busy + sum(record.waiting_seconds for record in rounds)
        return ParallelResult(
            tuple(results[session.session_id] for session in sessions),
            known.snapshot(),
            tuple(rounds),
            tuple(degradations),
            usage,
            busy / total if total else 0.0,
        )

    def _record(
        self,
        number: int,
        answers: Sequence[StreamResult],
        new_labels: int,
        known: Vocabulary,
        start: float,
        end: float,
    ) -> RoundRecord:
        busy = sum(answer.busy_seconds for answer in answers)
        return RoundRecord(
            number,
            len(answers),
            sum(len(answer.sessions) for answer in answers),
            new_labels,
            known.snapshot().version,
            start,
            end,
            busy,
            self._active * (end - start) - busy,
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
        taken = min(len(sessions), share * self._active)
        size, larger = divmod(taken, self._active)
        shares, position = [], 0
        for stream in range(self._active):
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
        health: EndpointHealth,
    ) -> list[StreamResult]:
        return await together(
            self._streams.process_stream(
                share,
                vocabulary,
                phase="parallel",
                stream=stream,
                round_number=number,
                # Asked one by one, a session that the endpoint cannot take harms no other.
                share=1 if health.has_failed(share) else self._config.sessions_per_stream,
            )
            for stream, share in enumerate(shares, start=1)
        )

    def _full_call(self, sessions: Sequence[Session], vocabulary: VocabularySnapshot | None) -> int:
        mean = sum(session.token_count for session in sessions) / len(sessions)
        taken = self._streams.vocabulary_tokens(vocabulary or VocabularySnapshot())
        return self._tokens.calculate_max_sessions_per_call(mean, vocabulary_tokens=taken)
