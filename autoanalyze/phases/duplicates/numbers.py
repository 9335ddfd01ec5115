"""The numbers of a label, in digits or in words, and on which side of them it lies: under, over."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from autoanalyze.phases.duplicates.words import listed, plain, singular

UNITS = {
    word: number
    for number, word in enumerate(
        listed(
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
            "sixteen seventeen eighteen nineteen"
        )
    )
}
TENS = {
    word: 10 * number
    for number, word in enumerate(listed("twenty thirty forty fifty sixty seventy eighty ninety"), start=2)
}
SCALES = {"dozen": 12, "hundred": 100, "thousand": 1000, "million": 1_000_000}
ORDINALS = {
    word: number
    for number, word in enumerate(
        listed("first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"), start=1
    )
}

SIGNS = {
    **{"<=": " at most ", "\N{LESS-THAN OR EQUAL TO}": " at most "},
    **{">=": " at least ", "\N{GREATER-THAN OR EQUAL TO}": " at least "},
    **{"<": " under ", ">": " over "},
}
TOKEN = re.compile(r"\d+(?:,\d{3})+(?:\.\d+)?(?!\w)|\d+\.\d+(?!\w)|\w+")
ORDINAL = re.compile(r"(\d+)(?:st|nd|rd|th)")
DIGITS = re.compile(r"\d[\d,]*(?:\.\d+)?")
THOUSANDS = re.compile(r"(\d+)k")

UP = r"(?:more|greater|higher|larger|bigger|longer|older|later|above|over|up|upwards)"
DOWN = r"(?:less|fewer|lower|smaller|shorter|younger|earlier|cheaper|below|under)"
NUMBER = r"#(?P<number>[\d.]+)"
BEFORE = re.compile(
    r"(?P<denied>\b(?:no|not|never)\s)?\b"
    rf"(?:(?P<up>{UP} than|over|above|after|exceed\w*|beyond|at least|min|minimum)"
    rf"|(?P<down>{DOWN} than|under|below|before|within|until|till|up to|upto|at most|max|maximum))"
    rf"(?:\s(?:of|a|an|the|usd|eur|euro|dollar|pound))*\s{NUMBER}"
)
AFTER = re.compile(
    rf"{NUMBER}(?:\s\w+){{0,2}}?\s(?:(?:or|and)\s(?:(?P<up>{UP})|(?P<down>{DOWN}))"
    r"|(?P<least>at least|min|minimum)|(?P<most>at most|max|maximum))\b"
)


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers of a label: amounts, ordinals, the side (`up`, `down`) on which it lies of some, and the
    words that are left without all of that."""

    amounts: frozenset[str]
    ordinals: frozenset[int]
    sides: frozenset[tuple[str, str]]
    words: tuple[str, ...]

    def other_than(self, other: Numbers) -> str | None:
        """Why two labels differ by their numbers; null if they do not, or only one has any."""
        for one, two in ((self.amounts, other.amounts), (self.ordinals, other.ordinals)):
            if one and two and one != two:
                told = (", ".join(sorted(map(str, numbers))) for numbers in (one, two))
                return f"different numbers: {' and '.join(told)}"
        for number, side in sorted(self.sides):
            opposite = (number, "down" if side == "up" else "up")
            if opposite in other.sides and not {(number, side)} <= other.sides:
                return f"opposites: on either side of {number}"
        return None


def numbers_of(label: str) -> Numbers:
    """What the numbers of a label say: "twenty four" is 24, "no more than 50" is on the same side as "up
    to 50"."""
    text = plain(label)
    for sign, words in SIGNS.items():
        text = text.replace(sign, words)
    text = re.sub(r"(\d)\s?\+", r"\1 or more ", text)
    tokens = list(combined(TOKEN.findall(text)))
    ordinals = {int(token[1:]) for token in tokens if token.startswith("~")}
    # Also those that are part of a word: 4G.
    counts = (token for token in tokens if not token.startswith("~"))
    amounts = {digits for token in counts for digits in re.findall(r"\d+(?:\.\d+)?", token)}
    said = " ".join(tokens)
    sides = set()
    for pattern in (BEFORE, AFTER):
        for found in pattern.finditer(said):
            sides.add((found["number"], side_of(found.groupdict())))
        said = pattern.sub(lambda found: f"#{found['number']}", said)
    rest = (singular(word) for word in said.split() if not word.startswith(("#", "~")))
    return Numbers(frozenset(amounts), frozenset(ordinals), frozenset(sides), tuple(rest))


def side_of(found: dict[str, str | None]) -> str:
    """On which side of its number a phrase lies."""
    up = bool(found.get("up") or found.get("least"))
    return "up" if up != bool(found.get("denied")) else "down"


def combined(words: list[str]) -> Iterator[str]:
    """The words with each number as one token in digits: `#24`, or `~2` for an ordinal."""
    position = 0
    while position < len(words):
        word = words[position]
        value, length = amount(words[position:])
        ordinal = ORDINAL.fullmatch(word)
        timed = position > 0 and amount(words[position - 1 : position])[1] > 0
        if length:
            yield f"#{value.normalize():f}"
        elif ordinal or (word in ORDINALS and not (word == "second" and timed)):
            yield f"~{ordinal[1] if ordinal else ORDINALS[word]}"
        else:
            yield word
        position += max(1, length)


def amount(words: list[str]) -> tuple[Decimal, int]:
    """The number that some words begin with, and how many of them it takes: none if they begin otherwise."""
    total, end, least = Decimal(0), 0, 0  # what stands after a scale is smaller than it
    while True:
        start = end + (end > 0 and words[end : end + 1] == ["and"])
        value, length = simple(words[start:])
        scale = SCALES.get(words[start + length], 0) if start + length < len(words) else 0
        if scale > least > 0 and value < least:  # two hundred thousand, two hundred and one thousand
            total, end, least = (total + value) * scale, start + length + 1, scale
            continue
        worth = (value if length else Decimal(1)) * (scale or 1)
        if not (length or scale) or (end and worth >= least):
            return total, end
        total, end, least = total + worth, start + length + bool(scale), scale
        if not scale:
            return total, end


def simple(words: list[str]) -> tuple[Decimal, int]:
    """The number that some words begin with, scales left aside: digits, or words below a hundred."""
    word = words[0] if words else ""
    if word in TENS:
        unit = UNITS.get(words[1], 0) if len(words) > 1 else 0
        return (Decimal(TENS[word] + unit), 2) if 0 < unit < 10 else (Decimal(TENS[word]), 1)
    if word in UNITS:
        return Decimal(UNITS[word]), 1
    thousands = THOUSANDS.fullmatch(word)
    if thousands:
        return Decimal(thousands[1]) * 1000, 1
    return (Decimal(word.replace(",", "")), 1) if DIGITS.fullmatch(word) else (Decimal(0), 0)
