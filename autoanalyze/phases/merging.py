"""Merging on the way: labels are judged in the background while streams go on."""

from __future__ import annotations

from collections.abc import Sequence

from autoanalyze.config import ResolutionConfig
from autoanalyze.errors import EndpointGoneError
from autoanalyze.phases.conflicts import ConflictResolution
from autoanalyze.phases.ramp import Ramp
from autoanalyze.phases.vocabulary import Vocabulary, label_use
from autoanalyze.records import LabelSchema, SessionResult, VocabularySnapshot

__all__ = ["BackgroundMerging"]


class BackgroundMerging:
    """Decides when to merge, and does it. The redirects hold for sessions labelled before and after.

    What was settled on the way need not be judged when the last session is done, and prompts need not
    carry several names for one thing.
    """

    def __init__(
        self,
        conflicts: ConflictResolution,
        schema: LabelSchema,
        config: ResolutionConfig,
        *,
        withdraw_aliases: bool,
    ) -> None:
        self._conflicts = conflicts
        self._schema = schema
        self._config = config
        self._withdraw = withdraw_aliases
        self._new_labels = 0
        self._rounds = 0.0
        self.steps = 0
        """Merges begun so far."""

    @property
    def wanted(self) -> bool:
        """Whether the configuration asks for merges on the way."""
        config = self._config
        return config.mode != "none" and (config.every_labels is not None or config.every_rounds is not None)

    def note(self, *, new_labels: int, rounds: float) -> None:
        """Count what happened since the last merge; without rounds, a call of one of N streams is 1/N."""
        self._new_labels += new_labels
        self._rounds += rounds

    def due(self) -> bool:
        """Whether it is time to merge."""
        config = self._config
        if not self.wanted or self._new_labels == 0:
            return False
        labels, rounds = config.every_labels, config.every_rounds
        by_labels = labels is not None and self._new_labels >= labels
        # Nearly: eight eighths may add up to a little less than one.
        by_rounds = rounds is not None and self._rounds >= rounds - 1e-9
        return by_labels or by_rounds

    async def merge(self, vocabulary: VocabularySnapshot, results: Sequence[SessionResult]) -> None:
        """Judge the labels known now. An endpoint that cannot be reached leaves them for a later step."""
        self.steps += 1
        self._new_labels, self._rounds = 0, 0.0
        use = label_use(self._schema, vocabulary, results)
        try:
            await self._conflicts.resolve_conflicts(use, step=self.steps)
        except EndpointGoneError:
            return

    def publish(self, known: Vocabulary, ramp: Ramp | None) -> None:
        """Let everybody know what a merge found: the ramp counts aliases as one label with their
        canonical, and prompts show them no more, if so configured."""
        redirects = self._conflicts.redirects()
        if ramp is not None:
            ramp.redirect(redirects)
        if self._withdraw:
            known.withdraw(redirects)
