"""Where the vectors of labels come from in this experiment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from autoanalyze.config import Config, EmbeddingsConfig
from autoanalyze.phases.duplicates.words import words_of
from autoanalyze.protocols import Embedded, Embedder
from autoanalyze.reading.sentences import embedded
from autoanalyze.reading.vectors import unit
from autoanalyze.records import CallContext, Usage

NGRAMS, STATIC, SIMULATED = "n-grams", "static", "simulated"
VECTORS = (NGRAMS, STATIC, SIMULATED)
RARE = "static, rare words"
REAL = (NGRAMS, STATIC)
"""Those that the hypotheses are about."""


class StaticVectors:
    """Static word vectors (WordLlama), as an embedding server would send them."""

    async def embed(self, texts: Sequence[str], _context: CallContext) -> Embedded:
        """Vectors of `texts`; see `protocols.Embedder`."""
        return Embedded(unit(embedded(texts)).astype(np.float32), "static", Usage())


class RareWords:
    """Labels as means of their words' static vectors, rarer ones among the labels at hand with more weight
    (inverse frequency). The package cannot do that: endpoints give vectors of texts, not of words."""

    async def embed(self, texts: Sequence[str], _context: CallContext) -> Embedded:
        """Vectors of `texts`; see `protocols.Embedder`."""
        words = [words_of(text) for text in texts]
        counts = Counter(word for some in words for word in set(some))
        known = dict(zip(counts, unit(embedded(list(counts))), strict=True))
        weigh = {word: np.log(1 + len(texts) / count) for word, count in counts.items()}
        sums = np.vstack([sum(weigh[word] * known[word] for word in some) for some in words])
        return Embedded(unit(sums).astype(np.float32), RARE, Usage())


def with_vectors(config: Config, vectors: str) -> tuple[Config, Embedder | None]:
    """A configuration with its vectors, and who makes them if no configuration can say so."""
    if vectors == SIMULATED:
        return config, None
    if vectors == NGRAMS:
        offline = EmbeddingsConfig("offline", "n-grams", dimensions=None, price=0.0)
        return replace(config, embeddings=offline), None
    return config, RareWords() if vectors == RARE else StaticVectors()
