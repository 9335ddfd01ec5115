"""Phrases: what in a text could be the name of a matter, which is no person, number or address."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from pathlib import Path

import yaml

Clauses = Sequence[Sequence[str]]
"""The words of a text, clause by clause."""

LONGEST_PHRASE = 3
"""Words. Four are allowed in a label, but hardly four words come back in the same order."""

UNSPEAKABLE = re.compile(r"\S+@\S+|(?:https?://|www\.)\S+|\[[^\]]*\]|<[^>]*>|\S*[\d_]\S*", re.IGNORECASE)
"""Addresses, placeholders, numbers and what has digits in it."""

CLAUSE_END = re.compile(r"[.,;:!?\n\r()\"\u201c\u201d/|\u2026\u2013\u2014]+|\s-+\s")
SPOKEN = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
SHORTEST_WORD, LONGEST_WORD = 2, 20


@cache
def stop_words() -> frozenset[str]:
    """Words that are no part of a name (stop_words.yaml)."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS  # seconds to import

    path = Path(__file__).resolve().with_name("stop_words.yaml")
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    given = {name: frozenset(words.split()) for name, words in content.items()}
    return frozenset((ENGLISH_STOP_WORDS - given["meant"]) | given["said_anyway"])


DENIAL = "not"
"""A denial stays in its place: without it, a phrase would say the opposite."""
DENIALS = frozenset({"not", "cannot", "without"})

INTRODUCED = re.compile(
    r"\b(?:name(?: is|'s|:)|named|called)\s+(?P<one>[^\W\d_]+)(?:\s+(?P<two>[^\W\d_]+))?"
    r"|\b(?:[Ii](?: a|')m|[Tt]his is|[Hh]i|[Hh]ello|[Dd]ear|[Tt]hanks|[Tt]hank you|[Mm]rs?\.?|[Mm]s\.?)"
    r",?\s+(?P<three>[A-Z][a-z]+)(?:\s+(?P<four>[A-Z][a-z]+))?"
)
OFTEN_INTRODUCED = 0.15
"""Of the times that a word is said: from then on it is taken for a person's name."""
MOST_CAPITALS = 0.15
"""Of the words inside clauses: beyond, they are the nouns of a language that writes them so."""


def phrases(said: Clauses, names: frozenset[str] = frozenset()) -> Iterator[str]:
    """What of a text could be a name: two or three words that follow each other in a clause, stop words left
    out, and its single words. `names` are words that are never part of one."""
    for clause in said:
        words = [word for word in map(plain, clause) if word not in names and told(word)]
        for start, first in enumerate(words):
            if first not in DENIALS:
                yield first
            for length in range(2, LONGEST_PHRASE + 1):
                phrase = words[start : start + length]
                if len(set(phrase)) == length and phrase[-1] not in DENIALS:
                    yield " ".join(phrase)


def clauses(text: str) -> Clauses:
    """The words of each clause of a text, without what is no word."""
    return [SPOKEN.findall(clause) for clause in CLAUSE_END.split(UNSPEAKABLE.sub(".", text))]


@lru_cache(maxsize=100_000)
def plain(word: str) -> str:
    """A word in small letters; one that denies as the denial it is."""
    word = word.casefold().replace("\u2019", "'")
    return DENIAL if word.endswith("n't") else word.removesuffix("'s")


@lru_cache(maxsize=100_000)
def told(word: str) -> bool:
    """Whether a word may stand in a name."""
    if word in DENIALS:
        return True
    return word not in stop_words() and "'" not in word and SHORTEST_WORD <= len(word) <= LONGEST_WORD


def people(texts: Sequence[str], spoken: Sequence[Clauses]) -> frozenset[str]:
    """Words that name somebody or some place, as far as the texts show: those that often follow "my name is",
    "Mr" or a greeting, and those that have a capital where others have none. Written small and never
    introduced, a name is not found; where all nouns have capitals (German), capitals say nothing."""
    introduced: Counter[str] = Counter()
    capital: Counter[str] = Counter()
    small: Counter[str] = Counter()
    said: Counter[str] = Counter()
    inside = 0
    for text, told_in in zip(texts, spoken, strict=True):
        for match in INTRODUCED.finditer(text):
            introduced.update(plain(word) for word in match.groups() if word)
        for words in told_in:
            said.update(map(plain, words))
            small.update(plain(word) for word in words if word[0].islower())
            raised = [plain(word) for word in words[1:] if word[0].isupper()]
            # In a heading or on a button, capitals say nothing.
            if 2 * len(raised) < len(words):
                capital.update(raised)
                inside += len(words) - 1
    found = {word for word, times in introduced.items() if times >= OFTEN_INTRODUCED * said[word]}
    if sum(capital.values()) <= MOST_CAPITALS * inside:
        found |= {word for word, times in capital.items() if times > small[word]}
    return frozenset(found - stop_words())


def common_little_words(spoken: Sequence[Clauses]) -> frozenset[str]:
    """Short words that stand in very many texts: the stop words of languages that no list here knows."""
    counted: Counter[str] = Counter()
    for said in spoken:
        counted.update({plain(word) for words in said for word in words if len(word) <= LITTLE})
    return frozenset(word for word, times in counted.items() if times >= max(10, COMMON * len(spoken)))


LITTLE, COMMON = 3, 0.1
"""Letters of a little word, and the share of texts from which on it is common."""


def title(phrase: str) -> str:
    """A phrase in Title Case."""
    return " ".join(word[:1].upper() + word[1:] for word in phrase.split())
