"""What phase 2 brings, with a barrier or without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autoanalyze.phases.health import Degradation
from autoanalyze.records import SessionResult, Usage, VocabularySnapshot

__all__ = ["ParallelResult", "RoundRecord", "utilisation"]


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
