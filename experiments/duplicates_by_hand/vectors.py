"""Where the vectors of labels come from in this experiment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from autoanalyze.config import Config, EmbeddingsConfig
from autoanalyze.llm.embeddings import similarities_of
from autoanalyze.protocols import Embedded, Embedder
from autoanalyze.reading.sentences import embedded
from autoanalyze.reading.vectors import unit
from autoanalyze.records import CallContext, Usage

NGRAMS, STATIC, CENTRED, SIMULATED = "n-grams", "static", "static, centred", "simulated"
VECTORS = (NGRAMS, STATIC, CENTRED, SIMULATED)
REAL = (NGRAMS, STATIC)
"""Those that the hypotheses are about."""


class StaticVectors:
    """Static word vectors (WordLlama), as an embedding server would send them: with the threshold and the
    likely similarity that the package takes for any endpoint. `centred` ones are differences from the mean
    of the labels that are asked for together, all labels of a set here."""

    def __init__(self, *, centred: bool) -> None:
        self._centred = centred

    async def embed(self, texts: Sequence[str], _context: CallContext) -> Embedded:
        """Vectors of `texts`; see `protocols.Embedder`."""
        found = unit(embedded(texts))
        if self._centred:
            found = unit(found - found.mean(axis=0))
        threshold, likely = similarities_of(EmbeddingsConfig(), "endpoint")
        return Embedded(found.astype(np.float32), f"static {self._centred}", threshold, likely, Usage())


def with_vectors(config: Config, vectors: str) -> tuple[Config, Embedder | None]:
    """A configuration with its vectors, and who makes them if no configuration can say so."""
    if vectors == SIMULATED:
        return config, None
    if vectors == NGRAMS:
        offline = EmbeddingsConfig("offline", "n-grams", dimensions=None, price=0.0)
        return replace(config, embeddings=offline), None
    return config, StaticVectors(centred=vectors == CENTRED)
