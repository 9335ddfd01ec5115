"""Rounds of phase 2: what is under way, what came of it, and how much an endpoint that fails can bear."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from autoanalyze.errors import EndpointGoneError
from autoanalyze.phases.streams import StreamResult
from autoanalyze.phases.vocabulary import Vocabulary
from autoanalyze.records import Session, SessionResult, Usage, VocabularySnapshot

CHANCES = 3
"""Rounds in which a session may be asked for when it is the endpoint that fails."""


@dataclass(frozen=True, slots=True)
class Degradation:
    """The number of streams was lowered after `round`, and why."""

    round: int
    streams_before: int
    streams_after: int
    reason: str


class EndpointHealth:
    """Tells sessions that the endpoint cannot take from an endpoint that is gone.

    When it fails half of a round or more, the streams are halved, down to one. `streams` says how many
    may work now, `degradations` when there became fewer.
    """

    def __init__(self, streams: int) -> None:
        self.streams = streams
        self.degradations: list[Degradation] = []
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
        results: Mapping[str, SessionResult],
        *,
        number: int,
    ) -> list[Session]:
        """The failed sessions of those `dealt` in round `number` that get another chance.

        One that failed three times while others were answered stays unresolved. Raises
        EndpointGoneError when nobody was answered meanwhile, or in three rounds of a single stream.
        """
        failed = [session for session in dealt if results[session.session_id].endpoint_failed]
        before = self._answered
        self._answered += len(dealt) - len(failed)
        self._silent_rounds = 0 if self._answered > before else self._silent_rounds + 1
        for session in failed:
            self._failures[session.session_id] += 1
            self._answered_before.setdefault(session.session_id, before)
        given_up = [s for s in failed if self._failures[s.session_id] >= CHANCES]
        silent = any(self._answered_before[s.session_id] == self._answered for s in given_up)
        if silent or (self.streams == 1 and self._silent_rounds >= CHANCES):
            reason = results[failed[0].session_id].error
            raise EndpointGoneError(
                f"nothing came back any more, in spite of all retries: {reason}; "
                "resume the run when the endpoint is back"
            )
        if 2 * len(failed) >= len(dealt) and self.streams > 1:
            reason = results[failed[0].session_id].error or "unknown"
            self.degradations.append(Degradation(number, self.streams, self.streams // 2, reason))
            self.streams //= 2
        return [session for session in failed if session not in given_up]


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """One round: `start` and `end` on the run's clock, `busy_seconds` summed over its streams.

    A stream waits from its last answer to the end of the round. Without a barrier a round is one
    call, and its stream waited from its last call to this one. `staleness` says how many versions
    newer than the one a call was shown the vocabulary was when its answer came (with a barrier none,
    since versions are made there), `missed_labels` how many labels others had found meanwhile; both
    are means over the calls of the round.
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
    staleness: float = 0.0
    missed_labels: float = 0.0


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


def utilisation(rounds: Sequence[RoundRecord], streams: int) -> float:
    """Busy time over what all streams had from the first start to the last end, 0 to 1.

    Whatever a stream waited for counts: a barrier, the ramp, or the last call of another.
    """
    if not rounds:
        return 0.0
    lasted = max(record.end for record in rounds) - min(record.start for record in rounds)
    busy = sum(record.busy_seconds for record in rounds)
    return busy / (streams * lasted) if lasted > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Share:
    """Sessions on their way: which stream has them, since when, and what was known then."""

    number: int
    round: int
    stream: int
    sessions: tuple[Session, ...]
    seen: VocabularySnapshot
    labels_known: int
    start: float
    waited: float


@dataclass
class Work:
    """Everything that changes while sessions are labelled. Work in flight has a number: shares count up
    from 1, merges down from -1."""

    queue: deque[Session]
    known: Vocabulary
    began: float
    own: dict[int, VocabularySnapshot] = field(default_factory=dict)
    flying: dict[int, asyncio.Task[StreamResult | None]] = field(default_factory=dict)
    shares: dict[int, Share] = field(default_factory=dict)
    free_since: dict[int, float] = field(default_factory=dict)
    results: dict[str, SessionResult] = field(default_factory=dict)
    records: list[RoundRecord] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    unchecked: list[Share] = field(default_factory=list)
    """Shares since the endpoint's health was looked at."""
    left_over: set[str] = field(default_factory=set)
    """Sessions that a reply left out, and that wait for another call or had it."""
    last_number: int = 0

    @property
    def calling(self) -> int:
        """Shares in flight."""
        return sum(number > 0 for number in self.flying)
