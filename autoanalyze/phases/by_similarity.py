"""BySimilarity: embeddings alone decide. A baseline: likeness cannot tell duplicates from opposites."""

from __future__ import annotations

from dataclasses import replace

from autoanalyze.config import EmbeddingsConfig, ResolutionConfig
from autoanalyze.phases.candidates import LabelSpace
from autoanalyze.phases.groups import grouped
from autoanalyze.phases.guards import objection
from autoanalyze.phases.judge import Took
from autoanalyze.phases.ledger import FieldLedger
from autoanalyze.phases.opinions import Source
from autoanalyze.phases.vocabulary import LabelUse
from autoanalyze.protocols import Embedder
from autoanalyze.records import CallContext, LabelField

__all__ = ["BySimilarity"]


class BySimilarity:
    """Takes labels of one field for the same when they are alike enough, and no guard objects."""

    def __init__(
        self,
        embedder: Embedder,
        label_field: LabelField,
        config: ResolutionConfig,
        embeddings: EmbeddingsConfig,
    ) -> None:
        self._space = LabelSpace(embedder, embeddings, label_field)
        self._config = config

    async def settle(self, ledger: FieldLedger, use: LabelUse, step: int) -> Took:
        """Group the labels that no earlier step settled, with each other and with the groups that stand."""
        fresh, spelled = ledger.spellings(ledger.unsettled(use.counts))
        if not fresh:
            ledger.regroup(ledger.groups, spelled, use.counts, step)
            return Took()
        known = (label for members in ledger.groups.values() for label in members)
        unseen = [label for label in known if label not in self._space]
        context = CallContext("resolution", round=step)
        given = self._config.merge_above
        near = await self._space.neighbours([*unseen, *fresh], use.notes, context, threshold=given)
        needed = near.likely if given is None else given
        source = Source("similarity", "embeddings", step)
        for pair, similarity in near.candidates.items():
            reason = objection(*pair) if self._config.guards else None
            if reason is not None:
                ledger.opinions.settle(pair, "different", reason, replace(source, judge="guard"))
            elif similarity >= needed:
                ledger.opinions.settle(pair, "same", f"at least as alike as {needed}", source)
            else:
                ledger.opinions.settle(pair, "different", f"less alike than {needed}", source)
        groups = grouped(fresh, ledger.groups, ledger.opinions, largest=self._config.largest_group)
        ledger.similarity |= near.candidates
        ledger.regroup(groups, spelled, use.counts, step)
        return Took(near.usage, list(near.warnings))
