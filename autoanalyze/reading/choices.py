"""Closed lists of labels: which of them a text names in words of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence

from autoanalyze.reading.phrases import stop_words

WORD = re.compile(r"\w+")
ENDING = 3
"""Letters that the end of a word may differ in: delivery, delivered, deliveries."""


def chosen(text: str, labels: Sequence[str]) -> str | None:
    """The label of which the text has the greatest share of words, the first of equals; null if it has none.

    Words are the same if one begins like the other, but for their endings. Stop words tell nothing, unless
    a label has no others.
    """
    words = set(WORD.findall(text.casefold()))
    shares = [share(words, telling(WORD.findall(label.casefold()))) for label in labels]
    best = max(shares, default=0.0)
    return labels[shares.index(best)] if best > 0 else None


def telling(words: Sequence[str]) -> Sequence[str]:
    """The words of a label that are no stop words; all, if there are no others."""
    return [word for word in words if word not in stop_words()] or words


def share(words: set[str], wanted: Sequence[str]) -> float:
    """The share of the wanted words that are among the words, 0 to 1."""
    found = [any(alike(word, other) for other in words) for word in wanted]
    return sum(found) / len(found) if found else 0.0


def alike(word: str, other: str) -> bool:
    """Whether two words are one, but for their endings."""
    kept = max(ENDING + 1, max(len(word), len(other)) - ENDING)
    return word == other or (min(len(word), len(other)) >= kept and word[:kept] == other[:kept])
