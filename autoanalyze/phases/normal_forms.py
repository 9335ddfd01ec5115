"""When two labels are the same name, spelled otherwise: case, spacing, plural, word order."""

from __future__ import annotations

import re

__all__ = ["normal_form", "words_of"]

FILLERS = frozenset({"a", "an", "of", "the"})
"""Words that come and go with the order of the others: "Status of the Claim", "Claim Status"."""

DIRECTIONS = frozenset(
    {"after", "as", "before", "by", "from", "into", "over", "than", "to", "under", "versus", "vs"}
)
"""Words that make the order of the others matter: "From Bank To Wallet" is not "From Wallet To Bank"."""


def words_of(label: str) -> list[str]:
    """The words of a label in small letters and the singular, in order."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label)
    return [
        singular(word) for word in re.findall(r"\w+", apart.replace("_", " ").replace("'", "").casefold())
    ]


def normal_form(label: str) -> tuple[str, ...]:
    """What all spellings of one name share. Order counts only where a word makes it matter."""
    words = [word for word in words_of(label) if word not in FILLERS]
    return tuple(words) if DIRECTIONS & set(words) else tuple(sorted(words))


def singular(word: str) -> str:
    """An English noun in the singular, by the regular rules; what ends otherwise stays as it is."""
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    if word.endswith(("ches", "shes", "xes", "sses", "zzes")):
        return word[:-2]
    return word[:-1]
