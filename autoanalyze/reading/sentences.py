"""Sentence vectors beside words: what texts mean in other words, from a small model that a package ships.

WordLlama (MIT) holds 16 MB of static token vectors, distilled from large models' input embeddings, in its
wheel: nothing is fetched, and nothing of it is in this repository.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from autoanalyze.errors import ConfigurationError
from autoanalyze.reading.vectors import Matrix, Vectors, unit

SENTENCE_SHARE = 0.3
"""Of a text's squared length. Of .3, .5 and 1 it was the best in the worst of five data sets
(experiments/reading): sentences alone lose STAR, where words tell matters apart."""


class SentenceVectors:
    """Vectors of words, and beside them those of a sentence model, centred on the run's own texts: absolute
    cosines of such models do not compare, differences from the mean do (Mu and Viswanath 2018).

    Raises ConfigurationError if the extra that brings the model is not installed.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._words = Vectors(texts)
        sentences = embedded(texts)
        self._mean = sentences.mean(axis=0)
        self.fitted = self._mixed(self._words.fitted, sentences)

    def of(self, texts: Sequence[str]) -> Matrix:
        """The vectors of any texts."""
        return self._mixed(self._words.of(texts), embedded(texts))

    def _mixed(self, words: Matrix, sentences: Matrix) -> Matrix:
        shares = (1 - SENTENCE_SHARE, SENTENCE_SHARE)
        parts = zip((words, unit(sentences - self._mean)), shares, strict=True)
        mixed: Matrix = unit(np.hstack([part * share**0.5 for part, share in parts]))
        return mixed


def embedded(texts: Sequence[str]) -> Matrix:
    """The vectors of texts as the model gives them."""
    vectors: Matrix = np.asarray(model().embed(list(texts), norm=False), dtype=np.float32)
    return vectors


@cache
def model() -> Any:
    """The sentence model. Raises ConfigurationError if its package is not installed."""
    try:
        import wordllama
    except ImportError:
        raise ConfigurationError(
            "reader.vectors=sentences needs a sentence model: pip install 'autoanalyze[sentences]', or leave "
            "reader.vectors=words"
        ) from None
    # Its own folder holds weights and tokenizer; without being told, it would ask the network for the latter.
    folder = Path(wordllama.__file__).parent
    return wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
