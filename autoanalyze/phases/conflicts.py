"""ConflictResolution: labels that mean the same become one, and every session is rewritten."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from autoanalyze.config import EmbeddingsConfig, ResolutionConfig, RetryConfig
from autoanalyze.errors import EndpointGoneError
from autoanalyze.llm.calls import together
from autoanalyze.phases.codebook import Codebook
from autoanalyze.phases.discovery import Ramp
from autoanalyze.phases.duplicates.all_at_once import AllAtOnce
from autoanalyze.phases.duplicates.judge import Judge, Took
from autoanalyze.phases.duplicates.ledger import Carried, FieldLedger, LedgerEntry
from autoanalyze.phases.duplicates.opinions import Pair
from autoanalyze.phases.duplicates.pairwise import PairwiseJudging
from autoanalyze.phases.duplicates.similarity import BySimilarity
from autoanalyze.phases.vocabulary import LabelUse, Vocabulary, label_use
from autoanalyze.phases.votes import renamed
from autoanalyze.protocols import Embedder, Model
from autoanalyze.records import Facts, LabelSchema, SessionResult, Usage, VocabularySnapshot


@dataclass(frozen=True, slots=True)
class ResolutionResult:
    """What was merged, and what was kept apart.

    `conflicts_found` counts the groups that at least one opinion proposed, `resolved` those that were
    merged; `errors` says what could not be used, and why.
    """

    ledger: tuple[LedgerEntry, ...]
    conflicts_found: int
    usage: Usage
    errors: tuple[str, ...] = ()
    pairs_judged: int = 0
    """Pairs of labels that the judge was shown to compare."""
    unjudged: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Per field, labels that stay as first given because no answer about them could be used."""

    @property
    def merges(self) -> tuple[LedgerEntry, ...]:
        """The entries that redirect an alias."""
        return tuple(entry for entry in self.ledger if entry.merged)

    @property
    def resolved(self) -> int:
        """Groups of labels that became one."""
        return len({(entry.field, entry.canonical) for entry in self.merges})

    @property
    def canonical_mappings(self) -> int:
        """Aliases that were redirected."""
        return len(self.merges)

    def redirects(self) -> dict[str, dict[str, str]]:
        """Per field, alias to canonical."""
        redirects: dict[str, dict[str, str]] = {}
        for entry in self.merges:
            redirects.setdefault(entry.field, {})[entry.alias] = entry.canonical
        # What became a name that is linked to another one goes there too.
        return {
            name: {alias: direct.get(canonical, canonical) for alias, canonical in direct.items()}
            for name, direct in redirects.items()
        }


class Settler(Protocol):
    """Decides about the labels of one field."""

    async def settle(self, ledger: FieldLedger, use: LabelUse, step: int) -> Took:
        """Settle the labels that no earlier step settled: all of them or, if it fails, none."""
        ...


@dataclass
class FieldResolution:
    """One label field on its way: who decides about it, what is decided, and what that took."""

    ledger: FieldLedger
    settler: Settler | None
    took: Took = field(default_factory=Took)
    unjudged: tuple[str, ...] = ()


class ConflictResolution:
    """Phase 3, also in steps while labels still arrive: what one step settled, no later one unsettles.

    `carried` are fixed labels and what an earlier run settled. Names that a `codebook` links are redirected
    too, as long as it says so.
    """

    def __init__(
        self,
        model: Model,
        embedder: Embedder,
        schema: LabelSchema,
        config: ResolutionConfig,
        embeddings: EmbeddingsConfig,
        *,
        retry: RetryConfig,
        seed: int,
        carried: Carried | None = None,
        codebook: Codebook | None = None,
    ) -> None:
        self._schema = schema
        self.codebook = codebook
        self._fields: dict[str, FieldResolution] = {}
        for label_field in schema.fields:
            asking = Judge(
                model,
                label_field,
                retry=retry,
                seed=seed,
            )
            settler: Settler | None = None
            # Closed lists were written by a person: none of their labels is another one's double.
            mode = "none" if label_field.labels else config.mode
            if mode == "llm":
                settler = AllAtOnce(asking, config)
            elif mode == "judged":
                settler = PairwiseJudging(asking, embedder, label_field, config, embeddings)
            elif mode == "embeddings":
                settler = BySimilarity(embedder, label_field, config, embeddings)
            ledger = FieldLedger(label_field.name, carried or Carried())
            self._fields[label_field.name] = FieldResolution(ledger, settler)

    def redirects(self) -> dict[str, dict[str, str]]:
        """Per field, alias to canonical, as far as it is known by now."""
        return self._result().redirects()

    def entries(self) -> tuple[LedgerEntry, ...]:
        """All that is settled by now."""
        return self._result().ledger

    def judged(self) -> dict[tuple[str, str], str]:
        """What the judge of this run merged: field and alias, to the canonical label."""
        return {
            (name, alias): canonical
            for name, part in self._fields.items()
            for alias, canonical in part.ledger.judged().items()
        }

    def part(self, wrong: Mapping[tuple[str, str], str], step: int) -> None:
        """Undo merges (field and alias, with the reason): the labels stand for themselves from now on."""
        for (name, alias), reason in wrong.items():
            self._fields[name].ledger.part(alias, reason, step)

    def candidates(self, field_name: str) -> Mapping[Pair, float]:
        """The pairs of labels of a field that embeddings proposed so far, with their similarity."""
        return self._fields[field_name].ledger.similarity

    async def resolve_conflicts(
        self,
        use: Mapping[str, LabelUse],
        *,
        step: int = 0,
        on_field: Callable[[str], None] = lambda _name: None,
    ) -> ResolutionResult:
        """Merge the labels of each field that no earlier step settled; returns all steps together.

        `use`: per field, how its labels are used. `step` numbers merges made on the way; 0 is the one at
        the end. `on_field` is told when a field is done, for progress displays.
        """

        # What one field found is kept when another failed: its labels will not be judged again.
        async def settled(name: str) -> None:
            await self._settle(name, use.get(name, LabelUse()), step)
            on_field(name)

        await together(settled(name) for name in self._schema.names)
        return self._result()

    async def _settle(self, name: str, use: LabelUse, step: int) -> None:
        resolution = self._fields[name]
        if resolution.settler is not None:
            took = await resolution.settler.settle(resolution.ledger, use, step)
            before = resolution.took
            resolution.took = Took(
                before.usage + took.usage, before.errors + took.errors, before.pairs + took.pairs
            )
            resolution.unjudged = tuple(resolution.ledger.unsettled(use.counts))

    def _result(self) -> ResolutionResult:
        """All steps so far, all fields together."""
        parts = self._fields.values()
        ledger = tuple(entry for part in parts for entry in part.ledger.entries())
        if self.codebook is not None:
            ledger += self.codebook.entries({(e.field, e.alias) for e in ledger if e.merged})
        return ResolutionResult(
            ledger,
            sum(part.ledger.conflicts for part in parts),
            sum((part.took.usage for part in parts), Usage()),
            tuple(
                dict.fromkeys([*(e for part in parts for e in part.took.errors), *self._codebook_errors()])
            ),
            sum(part.took.pairs for part in parts),
            {name: part.unjudged for name, part in self._fields.items() if part.unjudged},
        )

    def _codebook_errors(self) -> Sequence[str]:
        return self.codebook.errors if self.codebook is not None else ()

    def final(self, results: Sequence[SessionResult]) -> dict[str, Facts]:
        """The facts of labelled sessions under their canonical labels."""
        redirects = self.redirects()
        return {
            result.session_id: renamed(result.facts, redirects)
            for result in results
            if result.facts is not None
        }


class BackgroundMerging:
    """Decides when to merge, and does it. The redirects hold for sessions labelled before and after.

    What was settled on the way need not be judged when the last session is done, and prompts need not
    carry several names for one thing. So the last merge on the way is while the last calls are answered.
    A codebook is written with each merge, the first one once `codebook_after` sessions are labelled.
    """

    def __init__(
        self,
        conflicts: ConflictResolution,
        schema: LabelSchema,
        config: ResolutionConfig,
        *,
        withdraw_aliases: bool,
    ) -> None:
        self.codebook_after: int | None = None
        """Null: no codebook on the way."""
        self.before: Sequence[SessionResult] = ()
        """What discovery labelled."""
        self._labelled = 0
        self._conflicts = conflicts
        self._schema = schema
        self._config = config
        self._withdraw = withdraw_aliases
        self._new_labels = 0
        self._rounds = 0.0
        self._last = False
        self.steps = 0
        """Merges begun so far."""

    @property
    def wanted(self) -> bool:
        """Whether the configuration asks for merges on the way."""
        config = self._config
        merging = config.every_labels is not None or config.every_rounds is not None
        return self.codebook_after is not None or (config.mode != "none" and merging)

    def note(self, *, new_labels: int, rounds: float, sessions: int = 0) -> None:
        """Count what happened since the last merge; without rounds, a call of one of N streams is 1/N."""
        self._labelled += sessions
        self._new_labels += new_labels
        self._rounds += rounds

    def due(self, *, last: bool = False) -> bool:
        """Whether it is time to merge; with the `last` calls under way it is, once."""
        config = self._config
        if self.codebook_after is not None and self.steps == 0:
            labelled = len(self.before) + self._labelled
            if labelled >= self.codebook_after:
                return True
        if not self.wanted or self._new_labels == 0:
            return False
        if last and not self._last:
            self._last = True
            return True
        labels, rounds = config.every_labels, config.every_rounds
        by_labels = labels is not None and self._new_labels >= labels
        # Nearly: eight eighths may add up to a little less than one.
        by_rounds = rounds is not None and self._rounds >= rounds - 1e-9
        return by_labels or by_rounds

    async def merge(self, vocabulary: VocabularySnapshot, results: Sequence[SessionResult]) -> None:
        """Judge the labels known now. An endpoint that cannot be reached leaves them for a later step."""
        self.steps += 1
        self._new_labels, self._rounds = 0, 0.0
        codebook = self._conflicts.codebook if self.codebook_after is not None else None
        known = [*self.before, *results] if codebook is not None else results
        use = label_use(self._schema, vocabulary, known)
        try:
            await self._conflicts.resolve_conflicts(use, step=self.steps)
            if codebook is not None:
                await codebook.write(use, self._conflicts.redirects(), self.steps)
        except EndpointGoneError:
            return

    def publish(self, known: Vocabulary, ramp: Ramp | None) -> None:
        """Let everybody know what a merge found: the ramp counts aliases as one label with their
        canonical, and prompts show them no more, if so configured."""
        redirects = self._conflicts.redirects()
        if ramp is not None:
            ramp.redirect(redirects)
        codebook = self._conflicts.codebook if self.codebook_after is not None else None
        if self._withdraw or codebook is not None:
            known.withdraw(redirects if self._withdraw else {})
        if codebook is not None:
            known.explain(codebook.hidden, codebook.lines())
