"""What words alone tell of two labels: the same name spelled otherwise, or things that must stay apart."""

from __future__ import annotations

import re
from itertools import pairwise

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


DENIALS = frozenset({"no", "not", "never", "non", "without", "dont", "doesnt", "didnt", "wont", "isnt"})
NEGATIONS = DENIALS | {"cannot", "cant", "unable"}
"""Being unable is negative too, but "Cannot Log In" and "Log In Problem" are the same."""

OPPOSITES = tuple(
    pair.split("/")
    for pair in """
    accept/reject accepted/rejected add/remove after/before above/below approved/declined
    approved/denied arrival/departure buy/sell connect/disconnect deposit/withdrawal early/late
    enable/disable first/last high/low inbound/outbound incoming/outgoing increase/decrease
    internal/external login/logout lock/unlock locked/unlocked maximum/minimum more/less old/new on/off
    open/close opened/closed opening/closing over/under pickup/dropoff push/pull send/receive
    sent/received start/stop subscribe/unsubscribe success/failure succeeded/failed upgrade/downgrade
    upload/download
    """.split()  # noqa: SIM905  # a list of so many strings is harder to read
)
OPPOSITE_OF = {
    word: {other for pair in OPPOSITES if word in pair for other in pair} - {word}
    for pair in OPPOSITES
    for word in pair
}

PREFIXES = ("un", "in", "im", "ir", "il", "non", "dis", "de", "mis")
"""Prefixes that turn a word into its opposite: valid and invalid, activated and deactivated."""
SHORTEST_STEM = 5
"""Letters of a word whose prefix counts: "form" and "inform" are no opposites."""

NUMBER_WORDS = {
    word: str(number)
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve".split()  # noqa: SIM905  # likewise
    )
}


def objection(first: str, second: str) -> str | None:
    """Why two labels must not become one, whatever anybody says; null if nothing speaks against it."""
    one, other = words_of(first), words_of(second)
    numbers, others = numbers_in(one), numbers_in(other)
    if numbers and others and numbers != others:
        return f"different numbers: {', '.join(sorted(numbers))} and {', '.join(sorted(others))}"
    for word in one:
        contrary = opposed(word, set(other), set(one))
        if contrary is not None:
            return f"opposites: {word} and {contrary}"
    if negated(one) != negated(other) and (
        content(one) == content(other) or denied(one) & content(other) or denied(other) & content(one)
    ):
        return "one denies what the other says"
    if one != other and sorted(one) == sorted(other) and DIRECTIONS & set(one):
        return "the same words in another direction"
    return None


def numbers_in(words: list[str]) -> set[str]:
    """All numbers, written as digits."""
    digits = {number for word in words for number in re.findall(r"\d+", word)}
    return digits | {NUMBER_WORDS[word] for word in words if word in NUMBER_WORDS}


def opposed(word: str, others: set[str], own: set[str]) -> str | None:
    """A word of `others` that is the opposite of `word`, unless both labels have both."""
    if word in others:
        return None
    prefixed = {f"{prefix}{word}" for prefix in PREFIXES if len(word) >= SHORTEST_STEM}
    stripped = {
        word.removeprefix(prefix)
        for prefix in PREFIXES
        if word.startswith(prefix) and len(word) - len(prefix) >= SHORTEST_STEM
    }
    contrary = (OPPOSITE_OF.get(word, set()) | prefixed | stripped) & others
    return min(contrary - own, default=None)


def negated(words: list[str]) -> bool:
    """Whether a label denies something."""
    return sum(word in NEGATIONS for word in words) % 2 == 1


def denied(words: list[str]) -> set[str]:
    """The words that a label denies outright."""
    return {after for word, after in pairwise(words) if word in DENIALS}


def content(words: list[str]) -> set[str]:
    """The words of a label that are no negation."""
    return set(words) - NEGATIONS
