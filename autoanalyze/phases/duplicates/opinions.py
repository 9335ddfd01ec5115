"""What has been said so far of pairs of labels of one field, and the groups that follow from it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from autoanalyze.phases.duplicates.rates import Rates, estimated

Verdict = Literal["same", "different", "undecided", "narrower"]


LARGEST_GROUP = 25
"""Labels that may become one at most."""

MOST_OPINIONS = 3
"""Looks at one pair whose labels nobody held to be the same, and first looks at few labels together."""

MOST_IN_DOUBT = 7
"""Looks at one pair on which the others leave a doubt."""

CLEAR = 0.1
"""The chance of being wrong, 0 to .5, at which a pair needs no other look."""

EVEN = 1e-9
"""How far from .5 a chance decides nothing, since sums of small numbers are never quite the same."""

Pair = tuple[str, str]
"""Two labels in alphabetical order."""


def pair_of(first: str, second: str) -> Pair:
    """Two labels as a pair."""
    return (first, second) if first <= second else (second, first)


@dataclass(frozen=True, slots=True)
class Source:
    """Who says something of a pair, what brought its labels together, and at which merge on the way."""

    judge: str
    proposed_by: str
    step: int = 0


@dataclass
class Known:
    """What is known of one pair, from whom it was last heard, and what brought its labels together first;
    `settled` tells that nobody is asked any more, `lost` that no answer of this step could be used."""

    source: Source
    proposed_by: str
    rates: Rates
    looks: list[bool] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    settled: Verdict | None = None
    lost: bool = False

    @property
    def chance(self) -> float:
        """The chance, 0 to 1, that the two are the same, from all looks and how often the judge errs."""
        return self.rates.chance(sum(self.looks), len(self.looks))

    @property
    def clear(self) -> bool:
        """Whether no other look is needed."""
        return self.settled is not None or not CLEAR < self.chance < 1 - CLEAR

    @property
    def verdict(self) -> Verdict:
        """What is more likely; undecided where both are as likely, or nobody has looked."""
        if self.settled is not None:
            return self.settled
        chance = self.chance
        if not self.looks or abs(chance - 0.5) < EVEN:
            return "undecided"
        return "same" if chance > 0.5 else "different"

    @property
    def reason(self) -> str:
        """The last reason that was given for the verdict."""
        wanted = [
            r for look, r in zip(self.looks, self.reasons, strict=False) if look == (self.verdict == "same")
        ]
        return (wanted or self.reasons or [""])[-1]


class Opinions:
    """The memory of a judge. Verdicts hold for both orders of a pair.

    `apart` counts pairs that all of so many looks held apart and that are not remembered one by one.
    """

    def __init__(self) -> None:
        self._known: dict[Pair, Known] = {}
        self._same: dict[str, set[str]] = defaultdict(set)
        self.rates = Rates()
        self.apart: Counter[int] = Counter()

    def look(self, pair: Pair, same: bool, reason: str, source: Source) -> None:
        """Add what the judge said of a pair."""
        known = self._heard_of(pair, source)
        known.looks.append(same)
        known.reasons.append(reason)
        self._index(pair)

    def settle(self, pair: Pair, verdict: Verdict, reason: str, source: Source) -> None:
        """Decide a pair for good: a guard objects or is overruled, or it was decided before."""
        known = self._heard_of(pair, source)
        known.settled, known.reasons = verdict, [reason]
        self._index(pair)

    def lose(self, pair: Pair, reason: str, source: Source) -> None:
        """No answer could be used: the pair is not asked about again in this step."""
        known = self._heard_of(pair, source)
        known.lost = True
        if not known.looks:
            known.reasons = [reason]

    def find_lost(self) -> None:
        """A new step asks again what could not be answered before."""
        for known in self._known.values():
            known.lost = False

    def weigh(self) -> None:
        """Estimate anew how often the judge errs, from all looks so far, and decide by it."""
        counts = Counter({(0, looks): number for looks, number in self.apart.items()})
        counts.update((sum(known.looks), len(known.looks)) for known in self._known.values() if known.looks)
        self.rates = estimated(counts)
        for pair, known in self._known.items():
            known.rates = self.rates
            self._index(pair)

    def verdict(self, first: str, second: str) -> Verdict | None:
        """What is known of two labels; null if they were never looked at."""
        known = self._known.get(pair_of(first, second))
        return known.verdict if known else None

    def looks(self, first: str, second: str) -> int:
        """How often the judge was asked about two labels."""
        known = self._known.get(pair_of(first, second))
        return len(known.looks) if known else 0

    def clear(self, first: str, second: str) -> bool:
        """Whether what is known of two labels leaves no doubt; false if they were never looked at."""
        known = self._known.get(pair_of(first, second))
        return known is not None and known.clear

    def open(self, first: str, second: str) -> bool:
        """Whether another look may still change anything."""
        known = self._known.get(pair_of(first, second))
        if known is None:
            return True
        most = MOST_IN_DOUBT if any(known.looks) else MOST_OPINIONS
        return known.settled is None and not known.lost and len(known.looks) < most

    def unanswered(self, labels: Sequence[str]) -> list[str]:
        """Those of some labels that were asked about, and not once with an answer that could be used."""
        heard: set[str] = set()
        lost: set[str] = set()
        for pair, known in self._known.items():
            if known.looks:
                heard.update(pair)
            elif known.lost:
                lost.update(pair)
        return [label for label in labels if label in lost - heard]

    def same_as(self, label: str) -> set[str]:
        """The labels that mean the same as `label` by what is known now."""
        return self._same[label]

    def held_same(self, labels: Sequence[str]) -> list[Pair]:
        """The pairs with one of some labels that any look held to be the same, in the order in which they
        became known; without those that a guard decided."""
        some = set(labels)
        return [pair for pair, known in self._known.items() if any(known.looks) and some & set(pair)]

    def known(self, first: str, second: str) -> Known:
        """All that is known of two labels. Raises KeyError if they were never looked at."""
        return self._known[pair_of(first, second)]

    def pairs(self) -> list[Pair]:
        """All pairs that anything is known of, in the order in which it became known."""
        return list(self._known)

    def _heard_of(self, pair: Pair, source: Source) -> Known:
        known = self._known.setdefault(pair, Known(source, source.proposed_by, self.rates))
        known.source = source
        return known

    def _index(self, pair: Pair) -> None:
        first, second = pair
        if self._known[pair].verdict == "same":
            self._same[first].add(second)
            self._same[second].add(first)
        else:
            self._same[first].discard(second)
            self._same[second].discard(first)


Groups = dict[str, list[str]]
"""Canonical label to all labels of its group, itself first."""


def grouped(
    labels: Sequence[str], standing: Mapping[str, Sequence[str]], opinions: Opinions, *, largest: int
) -> Groups:
    """Groups of `labels`, given most important first, beside the groups that stand already.

    A label joins a group only if it means the same as its canonical label, not only as a neighbour of
    it, and if other labels do not outvote that (see `support`); of several such groups the one that most
    speaks for. What joins none is canonical itself. Standing groups only grow; none grows beyond
    `largest`.
    """
    groups = {canonical: list(members) for canonical, members in standing.items()}
    rank = {canonical: position for position, canonical in enumerate(groups)}
    for label in labels:
        fitting = [
            (support(label, groups[canonical], opinions), -rank[canonical], canonical)
            for canonical in opinions.same_as(label)
            if canonical in groups and len(groups[canonical]) < largest
        ]
        votes, _, canonical = max(fitting, default=(-1, 0, ""))
        if votes >= 0:
            groups[canonical].append(label)
        else:
            rank[label] = len(rank)
            groups[label] = [label]
    return groups


def support(label: str, members: Sequence[str], opinions: Opinions) -> int:
    """What speaks for `label` in a group, its canonical label first, less what speaks against it.

    Members that mean the same count for it, those that do not against it; against it count also the
    labels outside that mean the same as `label` and not the same as the canonical one.
    """
    canonical, inside = members[0], set(members)
    votes = {"same": 1, "different": -1}
    verdicts = [opinions.verdict(label, member) for member in members if member != label]
    abroad = [
        other
        for other in opinions.same_as(label)
        if other not in inside and opinions.verdict(other, canonical) == "different"
    ]
    return sum(votes.get(verdict or "", 0) for verdict in verdicts) - len(abroad)
