"""EndpointHealth: whom to ask again, and how many streams an endpoint that fails can bear."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoanalyze.errors import EndpointGoneError
from autoanalyze.records import Session, SessionResult

__all__ = ["Degradation", "EndpointHealth"]

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
