"""Which pairs of labels are worth a question: those that lie near each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from autoanalyze.config import EmbeddingsConfig, ResolutionConfig
from autoanalyze.phases.duplicates.judge import Took
from autoanalyze.phases.duplicates.ledger import FieldLedger
from autoanalyze.phases.duplicates.opinions import LARGEST_GROUP, Pair, Source, grouped, pair_of
from autoanalyze.phases.duplicates.spelling import objection
from autoanalyze.phases.vocabulary import LabelUse
from autoanalyze.protocols import Embedded, Embedder
from autoanalyze.records import CallContext, LabelField, Usage

NEIGHBOURS = 30
"""Labels that a label is compared with at most."""

DIGITS = 4
"""Of a similarity: what lies behind them depends on the machine."""


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """Candidate pairs with their similarity, most alike first, and the similarities that matter."""

    candidates: Mapping[Pair, float]
    likely: float
    usage: Usage
    warnings: tuple[str, ...] = ()


class LabelSpace:
    """The labels of one field as points in space. Each label is embedded once."""

    def __init__(self, embedder: Embedder, config: EmbeddingsConfig, label_field: LabelField) -> None:
        self._embedder = embedder
        self._config = config
        self._field = label_field
        self._labels: list[str] = []
        self._positions: dict[str, int] = {}
        self._texts: list[str] = []
        self._embedded: Embedded | None = None

    def __contains__(self, label: str) -> bool:
        """Whether a label was embedded."""
        return label in self._positions

    async def neighbours(
        self,
        fresh: Sequence[str],
        notes: Mapping[str, Sequence[str]],
        context: CallContext,
        *,
        threshold: float | None = None,
        nearest: int = 0,
    ) -> Neighbourhood:
        """Pairs of a label of `fresh` with any label so far that lie above the threshold: the given one, or
        that of the embeddings. The `nearest` of each count wherever they lie.

        Of each fresh label only its nearest neighbours count, so that the number of pairs grows with
        the number of labels and not with its square.
        """
        from sklearn.neighbors import NearestNeighbors  # seconds to import, and few labels need none

        usage = await self._add([label for label in fresh if label not in self], notes, context)
        assert self._embedded is not None, "labels were just embedded"
        embedded = self._embedded
        least = embedded.threshold if threshold is None else threshold
        rows = [self._positions[label] for label in fresh]
        count = min(len(self._labels), NEIGHBOURS + 1)
        search = NearestNeighbors(n_neighbors=count, metric="cosine", algorithm="brute").fit(embedded.vectors)
        distances, positions = search.kneighbors(embedded.vectors[rows])
        found: dict[Pair, float] = {}
        for row, near, far in zip(rows, positions, distances, strict=True):
            others = [(o, d) for o, d in zip(near, far, strict=True) if o != row]
            for rank, (other, distance) in enumerate(others):
                similarity = round(1.0 - float(distance), DIGITS)
                if similarity >= least or rank < nearest:
                    found[pair_of(self._labels[row], self._labels[other])] = similarity
        ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
        warnings = () if embedded.warning is None else (embedded.warning,)
        return Neighbourhood(dict(ordered), embedded.likely, usage, warnings)

    async def _add(
        self, fresh: Sequence[str], notes: Mapping[str, Sequence[str]], context: CallContext
    ) -> Usage:
        """Embed `fresh` beside what is embedded already; all anew if vectors now come from elsewhere."""
        if not fresh:
            return Usage()
        texts = [self._text(label, notes.get(label, ())) for label in fresh]
        embedded = await self._embedder.embed(texts, context)
        usage, before = embedded.usage, self._embedded
        if before is not None:
            earlier = before
            if earlier.space != embedded.space:
                earlier = await self._embedder.embed(self._texts, context)
                usage += earlier.usage
            vectors = np.vstack([earlier.vectors, embedded.vectors])
            embedded = replace(embedded, vectors=vectors)
        self._positions |= {label: len(self._labels) + n for n, label in enumerate(fresh)}
        self._labels += fresh
        self._texts += texts
        self._embedded = embedded
        return usage

    def _text(self, label: str, notes: Sequence[str]) -> str:
        """What is embedded of a label: its words, and as much of its surroundings as is configured."""
        named = f"{self._field.name.replace('_', ' ')}: {label}" if self._config.field else label
        return " ".join([named, *notes[: self._config.notes]])


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
        groups = grouped(fresh, ledger.groups, ledger.opinions, largest=LARGEST_GROUP)
        ledger.similarity |= near.candidates
        ledger.regroup(groups, spelled, use.counts, step)
        return Took(near.usage, list(near.warnings))
