"""What the phases of a run bring, and who is told on the way how far they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from autoanalyze.phases.conflicts import ResolutionResult
from autoanalyze.phases.discovery import DiscoveryResult
from autoanalyze.phases.duplicates.ledger import Carried
from autoanalyze.phases.probes import ProbeResult
from autoanalyze.phases.rounds import ParallelResult
from autoanalyze.phases.streams import BatchOutcome
from autoanalyze.phases.unaided import Unaided
from autoanalyze.protocols import FieldCodebook
from autoanalyze.records import (
    CallContext,
    Facts,
    LabelSchema,
    Session,
    SessionResult,
    VocabularySnapshot,
)


@dataclass(frozen=True, slots=True)
class PhaseResults:
    """What the phases brought. `results` holds a row per session with the labels first given;
    `final` the facts of the labelled ones under their canonical labels. A phase that a run did
    not get to is null."""

    schema: LabelSchema
    sessions: tuple[Session, ...]
    results: tuple[SessionResult, ...]
    final: Mapping[str, Facts]
    vocabulary: VocabularySnapshot
    discovery: DiscoveryResult | None = None
    parallel: ParallelResult | None = None
    resolution: ResolutionResult | None = None
    probes: ProbeResult | None = None
    unaided: Unaided | None = None
    carried: Carried = field(default_factory=Carried)
    codebook: Mapping[str, FieldCodebook] = field(default_factory=dict)
    themes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Per field, the theme of each final label."""

    def redirects(self) -> Mapping[str, Mapping[str, str]]:
        """Per field, alias to canonical."""
        return self.resolution.redirects() if self.resolution else {}


class Watcher(Protocol):
    """Is told how far a run is."""

    @property
    def phase(self) -> str:
        """The phase that is shown now."""
        ...

    def update(self, **changes: Any) -> None:
        """Change some of the figures of `analysis.progress.Progress`."""
        ...

    def advance(self, steps: int) -> None:
        """So many more steps of the phase are done."""
        ...

    def batch_done(
        self, outcome: BatchOutcome, context: CallContext, *, seconds: float, cost_usd: float
    ) -> None:
        """A batch of sessions is done, at `seconds` on the run's clock."""
        ...
