"""What a label denies, and which words are opposites of each other: by prefix, by list, in any inflection."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from autoanalyze.phases.duplicates.words import listed, stem

ALL_AFTER = frozenset({"no", "non", "without", "lack", "lacking"})
"""Deny the words after them: "No Internet Connection"."""
NEXT = frozenset(
    listed(
        """
        not never neither nor dont doesnt didnt wont wouldnt isnt wasnt arent werent hasnt havent hadnt
        """
    )
)
"""Deny the next word that says something: "Not Yet Received"."""
DENIALS = ALL_AFTER | NEXT
UNABLE = frozenset({"cannot", "cant", "couldnt", "unable"})
"""Being unable is negative too, but "Cannot Log In" and "Log In Problem" are the same."""

BREAKS = frozenset(
    listed(
        """
        after and are at because before by but during for from if in into is of on or since than to until
        was when while with
        """
    )
)
"""Words at which what "no" denies ends."""
EMPTY = frozenset(
    listed(
        """
        a able again all an any anymore be been being did do does ever get getting got has have is it my
        still that the this was were will yet
        """
    )
)
"""Words that say nothing of their own."""

COMPLAINTS = frozenset(
    listed(
        """
        absent broken cut dead defect defective down error fail failed failing failure fault faulty gone
        interrupted interruption issue lack lacking loss lost missing outage problem stopped trouble
        unavailable
        """
    )
)
"""Words that say that something is not there or does not work: "Internet Down" is "No Internet"."""

DONE = frozenset(listed("bought found paid sent sold withdrawn"))

OPPOSITES = frozenset(
    frozenset(stem(word) for word in pair.split("/"))
    for pair in listed(
        """
        above/below accept/decline accept/reject activate/suspend add/delete add/remove after/before
        approve/decline approve/deny approve/reject arrive/depart attach/detach begin/end borrow/lend
        buy/sell cold/hot continue/stop create/delete deflate/inflate deposit/withdraw decrease/increase
        disable/enable early/late empty/full end/start enter/exit exclude/include export/import
        exterior/interior external/internal fail/pass fail/success fail/work fast/slow faster/slower
        find/lose finish/start first/last freeze/unfreeze give/receive gain/lose grant/deny grant/revoke
        hide/show high/low higher/lower hire/fire incoming/outgoing increase/reduce inside/outside
        join/leave larger/smaller less/more link/unlink lock/unlock long/short longer/shorter lower/raise
        major/minor maximum/minimum max/min new/old newer/older off/on open/close open/shut over/under
        pause/resume pickup/dropoff present/absent promote/demote public/private pull/push receive/send
        same/different start/stop subscribe/unsubscribe top/bottom true/false win/lose
        """
    )
)

OPPOSED = frozenset(stem for pair in OPPOSITES for stem in pair)

TWIN_PREFIXES = (("over", "under"), ("up", "down"), ("in", "out"), ("pre", "post"))
"""Prefixes that make two words of one stem opposites: overcharged and undercharged."""
TWIN_STEM = 4

PREFIXES = {"un": 3, "non": 3, "dis": 4, "in": 5, "im": 5, "ir": 5, "il": 5, "de": 5, "mis": 5}
"""Prefixes that turn a word into its opposite, and how many letters of the word there have to be."""
NOT_PREFIXED = frozenset(
    stem(word)
    for word in listed(
        """
        decease decrease default delight depress deserve design detail discard discharge discount discover
        dismiss dispatch display impact implant import impound impress improve include income increase
        inform inside insight install instance intent invest invoice mission missing mistake under union
        unit
        """
    )
)
"""Stems of words that only look as if they began with such a prefix."""
LESS = "less"

PARTICLES = {"in": "in", "on": "in", "out": "out", "off": "out"}
WITH_PARTICLE = re.compile(r"(log|sign|check|clock|opt|switch|turn)(?:[gt]?ing|[gt]?ed|s)?(in|on|out|off)?")
ONE_VERB = {"sign": "log"}
"""Verbs that a word after them turns into their opposite: log in and log out, in one word or two."""


@dataclass(frozen=True, slots=True)
class Token:
    """A word of a label that says something, and whether the label denies it."""

    word: str
    denied: bool

    @property
    def stem(self) -> str:
        """What all inflections of the word share."""
        return self.word if ">" in self.word else stem(self.word)


def tokens_of(words: Sequence[str]) -> list[Token]:
    """The words that say something; denials are told by what they deny."""
    tokens: list[Token] = []
    denying = all_after = False
    for before, word in pairwise(["", *particles_joined(words)]):
        if word in DENIALS or (before, word) == ("no", "longer"):
            denying, all_after = True, word in ALL_AFTER
            continue
        denying = denying and not (all_after and word in BREAKS)
        if word in EMPTY | UNABLE or (word in BREAKS and not is_opposed(word)):
            continue
        tokens.append(Token(word, denying))
        denying = denying and all_after
    return tokens


def is_done(word: str) -> bool:
    """Whether a word says that something has been done: "confirmed", "paid"."""
    return word.endswith("ed") or word in DONE


def is_opposed(word: str) -> bool:
    """Whether a word has an opposite of its own."""
    return stem(word) in OPPOSED


def particles_joined(words: Sequence[str]) -> list[str]:
    """The words, with verbs and the particle that turns them round as one: log>in, log>out."""
    joined: list[str] = []
    position = 0
    while position < len(words):
        found = WITH_PARTICLE.fullmatch(words[position])
        after = words[position + 1] if position + 1 < len(words) else ""
        if found and (found[2] or after in PARTICLES):
            joined.append(f"{ONE_VERB.get(found[1], found[1])}>{PARTICLES[found[2] or after]}")
            position += 1 if found[2] else 2
        else:
            joined.append(words[position])
            position += 1
    return joined


def negative(words: Sequence[str], tokens: Sequence[Token]) -> bool:
    """Whether a label says that something is not so, is not there or does not work."""
    complaints = {token.word for token in tokens if not token.denied} & COMPLAINTS
    denied = [token for token in tokens if token.denied and token.word not in COMPLAINTS]
    return bool(complaints or denied or UNABLE & set(words))


def relation(one: str, other: str) -> int:
    """1 for two forms of one word or two words that deny the same, -1 for opposites, else 0."""
    verb, particle, _ = one.partition(">")
    if particle or ">" in other:
        return (one == other) * 2 - 1 if other.startswith(f"{verb}>") else 0
    if stem(one) == stem(other) or bared(one) & bared(other):
        return 1
    return -1 if is_listed(one, other) or denies(one, other) or denies(other, one) else 0


def is_listed(one: str, other: str) -> bool:
    """Whether two words are opposites whatever stands beside them, and not one of them the other's denial."""
    pairs = frozenset({stem(one), stem(other)}) in OPPOSITES or ">" in one
    return pairs or twins(one, other) or twins(other, one)


def denies(word: str, bare: str) -> bool:
    """Whether `word` is `bare` with something that turns it into its opposite: invalid and valid."""
    return stem(bare) in bared(word)


@cache
def bared(word: str) -> frozenset[str]:
    """The stems of a word without what turns it into its opposite; none if nothing does."""
    if stem(word) in NOT_PREFIXED:
        return frozenset()
    roots = {
        word.removeprefix(prefix)
        for prefix, least in PREFIXES.items()
        if word.startswith(prefix) and len(word) - len(prefix) >= least
    }
    if word.endswith(LESS) and len(word) - len(LESS) >= PREFIXES["un"]:
        roots.add(word.removesuffix(LESS))
    return frozenset(stem(root) for root in roots)


def twins(one: str, other: str) -> bool:
    """Whether two words of one stem begin with prefixes that are opposites."""
    return any(
        one.startswith(first)
        and other.startswith(second)
        and len(one) - len(first) >= TWIN_STEM
        and stem(one.removeprefix(first)) == stem(other.removeprefix(second))
        for first, second in TWIN_PREFIXES
    )
