"""Vectors as an embedding model would give them, made of the text alone: they know no truth.

A word's vector is a mix of its own, of its spelling (character n-grams) and of the matter it belongs to.
Words of one matter are alike whether they mean the same or the opposite, as in published embeddings,
where "refund" lies as near to "surcharge" as to "money back". So the cosines of duplicates and of hard
negatives overlap. The shares below are chosen so that unrelated labels lie at about 0.1 to 0.3 and
related ones at 0.5 to 0.9, the usual picture for short texts; they were not fitted to any one model.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from autoanalyze.simulation.paraphrase import matter_of, thesaurus

OWN, SPELLING, MATTER = 0.15, 0.25, 0.6
"""What a word's vector is made of, as shares of its squared length. For a word of no matter, its own
takes the matter's share."""

NEUTRAL_WEIGHT = 0.25
"""Of words that say little, such as "inquiry" or "of"; all others weigh 1."""
NEUTRAL = frozenset(
    ["a", "about", "an", "and", "for", "help", "in", "is", "of", "on", "or", "question", "the", "to", "with"]
)

SPREAD = 0.12
"""Share of the squared length of a text's vector that nothing explains: every text has its own."""

COMMON = 0.12
"""Share that all texts have in common, as embeddings of real models do."""


def simulated_embedding(text: str, dimensions: int) -> NDArray[np.float32]:
    """The unit vector of a text; the same text always has the same."""
    words = re.findall(r"[a-z]+|\d+", text.lower())
    neutral = NEUTRAL | {word for ending in thesaurus()["generic"]["endings"] for word in ending.split()}
    meaning = np.zeros(dimensions)
    for word in words:
        meaning += (NEUTRAL_WEIGHT if word in neutral else 1.0) * word_vector(word, dimensions)
    parts = [
        (1 - SPREAD - COMMON, unit(meaning)),
        (SPREAD, direction(f"text {text}", dimensions)),
        (COMMON, direction("all texts", dimensions)),
    ]
    mixed: NDArray[np.float32] = unit(mix(parts)).astype(np.float32)
    return mixed


@lru_cache(maxsize=20_000)
def word_vector(word: str, dimensions: int) -> NDArray[np.float64]:
    """The unit vector of one word."""
    padded = f"<{word}>"
    grams = [padded[start : start + 3] for start in range(len(padded) - 2)]
    spelling = np.sum([direction(f"gram {gram}", dimensions) for gram in grams], axis=0)
    own, matter = direction(f"word {word}", dimensions), matter_of().get(stem(word))
    if matter is None:
        return unit(mix([(OWN + MATTER, own), (SPELLING, unit(spelling))]))
    shared = direction(f"matter {matter}", dimensions)
    return unit(mix([(OWN, own), (SPELLING, unit(spelling)), (MATTER, shared)]))


def stem(word: str) -> str:
    """A word as the thesaurus has it: its plural is not there."""
    return word if word in matter_of() else word.removesuffix("s")


@lru_cache(maxsize=50_000)
def direction(name: str, dimensions: int) -> NDArray[np.float64]:
    """A direction that belongs to a name."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    return unit(np.random.Generator(np.random.PCG64(seed)).standard_normal(dimensions))


def mix(parts: Sequence[tuple[float, NDArray[np.float64]]]) -> NDArray[np.float64]:
    """Vectors mixed by their shares of the squared length."""
    return np.sum([np.sqrt(share) * vector for share, vector in parts], axis=0)  # type: ignore[no-any-return]  # numpy's sum


def unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """A vector of length 1; a text without words has none, and stays null."""
    length = float(np.linalg.norm(vector))
    return vector / length if length else vector
