"""Topics: which texts belong together, found from the texts alone; how many there are is not told."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from autoanalyze.reading.sentences import SentenceVectors
from autoanalyze.reading.vectors import Matrix, Vectors, unit

NEIGHBOURS = 15
"""Of the graph. With 10 there are more and smaller topics, and matters fall apart sooner."""

RESOLUTION = 2.0
"""Of the modularity that is maximised; at 1, matters that share words become one."""

MOST_FITTED = 10_000
"""Texts that the graph is made of. More are placed beside those, so that work grows with the sessions and
not with their square."""

FIFTH = 5
ROWS_AT_ONCE = 1_000
DIGITS = 5
"""Of a likeness: what lies behind them may depend on the machine."""

NOWHERE = -1


class Topics:
    """Communities (Louvain: Blondel et al. 2008) of the graph that joins each text to its nearest by cosine.

    `threshold` is the median likeness of a text to its fifth nearest: what two texts have in common that are
    typically near each other in these data. It is what counts as near, and nobody has to set it.
    """

    def __init__(self, texts: Sequence[str], vectors: str = "words") -> None:
        drawn = sorted(random.Random(0).sample(range(len(texts)), min(len(texts), MOST_FITTED)))
        self.texts = [texts[position] for position in drawn]
        self._vectors = (SentenceVectors if vectors == "sentences" else Vectors)(self.texts)
        self.fitted = self._vectors.fitted
        likeness, near = self._nearest(self.fitted, 1 + min(NEIGHBOURS, round(len(drawn) ** 0.5)))
        fifth = likeness[:, min(FIFTH, likeness.shape[1] - 1)]
        self.threshold = float(np.median(fifth))
        self.community = communities(likeness, near)
        self.centres = unit(
            np.stack([self.fitted[self.community == c].mean(axis=0) for c in range(self.community.max() + 1)])
        )

    def place(self, texts: Sequence[str]) -> tuple[Matrix, Any]:
        """Vectors and communities of any texts: each belongs where most of its nearest do, weighted by how
        near they are. A text of which no word is known belongs nowhere (-1)."""
        vectors = self._vectors.of(texts)
        likeness, near = self._nearest(vectors, min(NEIGHBOURS, len(self.texts)))
        votes = np.zeros((len(texts), len(self.centres)))
        for rank in range(near.shape[1]):
            votes[np.arange(len(texts)), self.community[near[:, rank]]] += np.maximum(likeness[:, rank], 0)
        return vectors, np.where(votes.max(axis=1) > 0, votes.argmax(axis=1), NOWHERE)

    def _nearest(self, vectors: Matrix, count: int) -> tuple[Any, Any]:
        """Likeness and positions of the `count` nearest fitted texts, nearest first."""
        count = min(count, len(self.fitted))
        found = []
        for start in range(0, len(vectors), ROWS_AT_ONCE):
            likeness = np.round(vectors[start : start + ROWS_AT_ONCE] @ self.fitted.T, DIGITS)
            near = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
            order = np.lexsort((near, -np.take_along_axis(likeness, near, axis=1)))
            near = np.take_along_axis(near, order, axis=1)
            found.append((np.take_along_axis(likeness, near, axis=1), near))
        return np.vstack([likeness for likeness, _ in found]), np.vstack([near for _, near in found])


def communities(likeness: Any, near: Any) -> Any:
    """The community of each text, the largest first."""
    import networkx  # a while to import

    graph = networkx.Graph()
    graph.add_nodes_from(range(len(near)))
    for position, (others, alike) in enumerate(zip(near.tolist(), likeness.tolist(), strict=True)):
        graph.add_weighted_edges_from(
            (position, other, weight)
            for other, weight in zip(others, alike, strict=True)
            if other != position and weight > 0
        )
    found = networkx.community.louvain_communities(graph, resolution=RESOLUTION, seed=0)
    community = np.zeros(len(near), dtype=int)
    for number, members in enumerate(sorted(found, key=lambda members: (-len(members), min(members)))):
        community[list(members)] = number
    return community
