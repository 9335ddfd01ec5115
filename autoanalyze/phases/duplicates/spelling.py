"""What words alone tell of two labels: the same name spelled otherwise, or things that must stay apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from autoanalyze.phases.duplicates.numbers import Numbers, numbers_of
from autoanalyze.phases.duplicates.polarity import (
    DENIALS,
    UNABLE,
    Token,
    denies,
    is_done,
    is_listed,
    negative,
    relation,
    tokens_of,
)
from autoanalyze.phases.duplicates.words import words_of

FILLERS = frozenset({"a", "an", "of", "the"})
"""Words that come and go with the order of the others: "Status of the Claim", "Claim Status"."""

DIRECTIONS = frozenset(
    {"after", "as", "before", "by", "from", "into", "over", "than", "to", "under", "versus", "vs"}
)
"""Words that make the order of the others matter: "From Bank To Wallet" is not "From Wallet To Bank"."""


def normal_form(label: str) -> tuple[str, ...]:
    """What all spellings of one name share. Order counts only where a word makes it matter."""
    words = [word for word in words_of(label) if word not in FILLERS]
    return tuple(words) if DIRECTIONS & set(words) else tuple(sorted(words))


@dataclass(frozen=True, slots=True)
class Objection:
    """Why two labels must not become one. A judge may overrule one that is not `certain`: the labels differ
    in other words too, and may mean the same in spite of the two that speak against it."""

    reason: str
    certain: bool


def objection(first: str, second: str) -> str | None:
    """Why two labels must not become one; null if nothing speaks against it."""
    found = objection_to(first, second)
    return None if found is None else found.reason


def objection_to(first: str, second: str) -> Objection | None:
    """What speaks against taking two labels for one; null if nothing does."""
    one, other = Saying.of(first), Saying.of(second)
    differing = one.numbers.other_than(other.numbers) or other.numbers.other_than(one.numbers)
    if differing is not None:
        return Objection(differing, certain=True)
    found = sorted(contradictions(one, other), key=lambda found: not found.certain)
    if found:
        return found[0]
    if (
        one.stems == other.stems
        and UNABLE & (set(one.words) ^ set(other.words))
        and one.negative != other.negative
    ):
        return Objection(DENIED, certain=True)
    reordered = one.words != other.words and sorted(one.words) == sorted(other.words)
    if reordered and DIRECTIONS & set(one.words):
        return Objection("the same words in another direction", certain=True)
    return None


REMEMBERED = 20_000
"""Labels of which it is remembered what they say: each is compared with many."""

DENIED = "one denies what the other says"


@dataclass(frozen=True)
class Saying:
    """What the words of one label say, read once."""

    numbers: Numbers
    tokens: tuple[Token, ...]
    stems: frozenset[str]
    negative: bool
    denials: int

    @classmethod
    @lru_cache(maxsize=REMEMBERED)
    def of(cls, label: str) -> Saying:
        """What a label says."""
        numbers = numbers_of(label)
        words, tokens = numbers.words, tokens_of(numbers.words)
        stems = frozenset(token.stem for token in tokens)
        denials = sum(word in DENIALS for word in words)
        return cls(numbers, tuple(tokens), stems, negative(words, tokens), denials)

    @property
    def words(self) -> tuple[str, ...]:
        """The words without numbers."""
        return self.numbers.words


def contradictions(one: Saying, other: Saying) -> Iterator[Objection]:
    """What one label says and the other denies, or says the opposite of, unless both labels say both."""
    signs = {(mine, theirs): agreement(mine, theirs) for mine in one.tokens for theirs in other.tokens}
    agreed = {token for pair, sign in signs.items() if sign > 0 for token in pair}
    # What one label denies, the other denies in another word: "No Paper Bill", "Paperless Billing".
    matched = any(sign > 0 and mine.denied != theirs.denied for (mine, theirs), sign in signs.items())
    alike = one.stems == other.stems and one.denials % 2 != other.denials % 2
    for (mine, theirs), sign in signs.items():
        if sign >= 0 or mine in agreed or theirs in agreed:
            continue
        if mine.denied != theirs.denied:
            # Two labels that are both negative may be so for one reason: "No Internet", "Internet Down". But
            # what is not paid is not what is paid, with whatever issue.
            done = mine.word == theirs.word and is_done(mine.word)
            if not matched and (alike or done or one.negative != other.negative):
                yield Objection(DENIED, alike)
        elif is_listed(mine.word, theirs.word) or not complained(mine, theirs, one, other):
            differing = {mine.stem, theirs.stem}
            reason = f"opposites: {mine.word} and {theirs.word}"
            yield Objection(reason, one.stems - differing == other.stems - differing)


def agreement(mine: Token, theirs: Token) -> int:
    """1 for two words that say the same, -1 for two that contradict each other, else 0."""
    return relation(mine.word, theirs.word) * (1 if mine.denied == theirs.denied else -1)


def complained(mine: Token, theirs: Token, one: Saying, other: Saying) -> bool:
    """Whether the label without the prefix says in other words that something is not so: "Disconnected" and
    "Connection Problem"."""
    return other.negative if denies(mine.word, theirs.word) else one.negative
