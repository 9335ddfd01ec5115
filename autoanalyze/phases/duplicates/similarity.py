"""Which pairs of labels are worth a question: those that lie near each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from autoanalyze.config import EmbeddingsConfig, ResolutionConfig
from autoanalyze.phases.duplicates.judge import Took
from autoanalyze.phases.duplicates.ledger import FieldLedger
from autoanalyze.phases.duplicates.opinions import LARGEST_GROUP, Pair, Source, grouped, pair_of
from autoanalyze.phases.duplicates.spelling import objection
from autoanalyze.phases.vocabulary import LabelUse
from autoanalyze.protocols import Embedded, Embedder, Vectors
from autoanalyze.records import CallContext, LabelField

NEIGHBOURS = 15
"""Labels that a label is compared with at most: how alike two labels are says little, who is nearest more."""

TINY = 1e-6
"""Lengths below are none: what is left of a vector that differs from the mean by rounding only."""

DIGITS = 4
"""Of a similarity: what lies behind them depends on the machine."""


class LabelSpace:
    """The labels of one field as points in space. Each label is embedded once.

    Embeddings differ in how alike they make any two texts, so that no likeness means the same in two of them.
    What counts is the order of a label's neighbours after what all labels at hand share is taken away.
    """

    def __init__(self, embedder: Embedder, config: EmbeddingsConfig, label_field: LabelField) -> None:
        self._embedder = embedder
        self._config = config
        self._field = label_field
        self._positions: dict[str, int] = {}
        self._texts: list[str] = []
        self._embedded: Embedded | None = None

    def __contains__(self, label: str) -> bool:
        """Whether a label was embedded."""
        return label in self._positions

    async def add(
        self, labels: Sequence[str], notes: Mapping[str, Sequence[str]], context: CallContext
    ) -> Took:
        """Embed those of some labels that are new, beside what is embedded already; all anew if vectors now
        come from elsewhere. Returns what it took, with what the user should know of it."""
        fresh = [label for label in labels if label not in self._positions]
        if not fresh:
            return Took()
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
        self._positions |= {label: len(self._positions) + n for n, label in enumerate(fresh)}
        self._texts += texts
        self._embedded = embedded
        return Took(usage, [] if embedded.warning is None else [embedded.warning])

    def neighbours(self, labels: Sequence[str]) -> dict[Pair, float]:
        """The pairs of each of some labels with its nearest ones among all, nearest first, with their plain
        likeness (cosine). So the pairs grow with the labels and not with their square."""
        near = self._near(self._centred(), labels)
        ordered = sorted(near, key=lambda pair: (-near[pair], pair))
        vectors = self._vectors
        ends = [vectors[[self._positions[label] for label in pair]] for pair in ordered]
        return {
            pair: round(float(one @ other), DIGITS) for pair, (one, other) in zip(ordered, ends, strict=True)
        }

    def above(self, labels: Sequence[str], least: float) -> dict[Pair, float]:
        """Of these pairs, by plain likeness, those that are at least so alike (-1 to 1), most alike first."""
        near = self._near(self._vectors, labels)
        return {pair: near[pair] for pair in sorted(near, key=lambda p: (-near[p], p)) if near[pair] >= least}

    def arranged(self, labels: Sequence[str]) -> list[str]:
        """Some labels in an order in which those that are alike stand together (average linkage)."""
        from scipy.cluster.hierarchy import leaves_list, linkage  # half a second to import
        from scipy.spatial.distance import pdist

        if len(labels) < 3:
            return list(labels)
        points = self._centred()[[self._positions[label] for label in labels]]
        distances = pdist(points, "sqeuclidean").round(DIGITS)
        return [labels[n] for n in leaves_list(linkage(distances, "average"))]

    @property
    def _vectors(self) -> Vectors:
        assert self._embedded is not None, "labels were embedded before"
        return self._embedded.vectors

    def _centred(self) -> Vectors:
        """All vectors as they differ from their mean; a label that is the mean itself is like no other."""
        moved = self._vectors - self._vectors.mean(axis=0)
        lengths = np.linalg.norm(moved, axis=1, keepdims=True)
        centred: Vectors = np.divide(moved, lengths, out=np.zeros_like(moved), where=lengths > TINY)
        return centred

    def _near(self, vectors: Vectors, labels: Sequence[str]) -> dict[Pair, float]:
        """The pairs of some labels with those nearest to them, and how alike they are."""
        from sklearn.neighbors import NearestNeighbors  # seconds to import, and few labels need none

        names = list(self._positions)
        rows = [self._positions[label] for label in labels]
        count = min(len(names), NEIGHBOURS + 1)
        search = NearestNeighbors(n_neighbors=count, metric="cosine", algorithm="brute").fit(vectors)
        distances, positions = search.kneighbors(vectors[rows])
        return {
            pair_of(names[row], names[other]): round(1.0 - float(distance), DIGITS)
            for row, near, far in zip(rows, positions, distances, strict=True)
            for other, distance in [(o, d) for o, d in zip(near, far, strict=True) if o != row][:NEIGHBOURS]
        }

    def _text(self, label: str, notes: Sequence[str]) -> str:
        """What is embedded of a label: its words, and as much of its surroundings as is configured."""
        named = f"{self._field.name.replace('_', ' ')}: {label}" if self._config.field else label
        return " ".join([named, *notes[: self._config.notes]])


class BySimilarity:
    """Takes labels of one field for the same when they are at least as alike as `resolution.merge_above`
    says, and no guard objects."""

    def __init__(
        self,
        embedder: Embedder,
        label_field: LabelField,
        config: ResolutionConfig,
        embeddings: EmbeddingsConfig,
    ) -> None:
        assert config.merge_above is not None, "the configuration was checked"
        self._space = LabelSpace(embedder, embeddings, label_field)
        self._config = config
        self._least = config.merge_above

    async def settle(self, ledger: FieldLedger, use: LabelUse, step: int) -> Took:
        """Group the labels that no earlier step settled, with each other and with the groups that stand."""
        fresh, spelled = ledger.spellings(ledger.unsettled(use.counts))
        if not fresh:
            ledger.regroup(ledger.groups, spelled, use.counts, step)
            return Took()
        known = [label for members in ledger.groups.values() for label in members]
        took = await self._space.add([*known, *fresh], use.notes, CallContext("resolution", round=step))
        near = self._space.above(fresh, self._least)
        source = Source("similarity", "embeddings", step)
        for pair in near:
            reason = objection(*pair) if self._config.guards else None
            if reason is not None:
                ledger.opinions.settle(pair, "different", reason, replace(source, judge="guard"))
            else:
                ledger.opinions.settle(pair, "same", f"at least as alike as {self._least}", source)
        groups = grouped(fresh, ledger.groups, ledger.opinions, largest=LARGEST_GROUP)
        ledger.similarity |= near
        ledger.regroup(groups, spelled, use.counts, step)
        return took
