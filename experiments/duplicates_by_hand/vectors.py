"""Where the vectors of labels come from in this experiment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from autoanalyze.config import Config, EmbeddingsConfig
from autoanalyze.protocols import Embedded, Embedder
from autoanalyze.reading.sentences import embedded
from autoanalyze.reading.vectors import unit
from autoanalyze.records import CallContext, Usage

NGRAMS, STATIC, SIMULATED = "n-grams", "static", "simulated"
VECTORS = (NGRAMS, STATIC, SIMULATED)
REAL = (NGRAMS, STATIC)
"""Those that the hypotheses are about."""


class StaticVectors:
    """Static word vectors (WordLlama), as an embedding server would send them."""

    async def embed(self, texts: Sequence[str], _context: CallContext) -> Embedded:
        """Vectors of `texts`; see `protocols.Embedder`."""
        return Embedded(unit(embedded(texts)).astype(np.float32), "static", Usage())


def with_vectors(config: Config, vectors: str) -> tuple[Config, Embedder | None]:
    """A configuration with its vectors, and who makes them if no configuration can say so."""
    if vectors == SIMULATED:
        return config, None
    if vectors == NGRAMS:
        offline = EmbeddingsConfig("offline", "n-grams", dimensions=None, price=0.0)
        return replace(config, embeddings=offline), None
    return config, StaticVectors()
