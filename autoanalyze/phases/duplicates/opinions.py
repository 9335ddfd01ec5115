"""What has been said so far of pairs of labels of one field, and the groups that follow from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Verdict = Literal["same", "different", "undecided"]


LARGEST_GROUP = 25
"""Labels that may become one at most."""

MOST_OPINIONS = 3
"""Looks at one pair: the second may differ from the first, the third decides."""

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
    `settled` tells that nobody is asked any more."""

    source: Source
    proposed_by: str
    looks: list[bool] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    settled: Verdict | None = None

    @property
    def verdict(self) -> Verdict:
        """What most looks say; undecided where as many say one as the other."""
        if self.settled is not None:
            return self.settled
        same = sum(self.looks)
        if 2 * same == len(self.looks):
            return "undecided"
        return "same" if 2 * same > len(self.looks) else "different"

    @property
    def reason(self) -> str:
        """The last reason that was given for the verdict."""
        wanted = [
            r for look, r in zip(self.looks, self.reasons, strict=False) if look == (self.verdict == "same")
        ]
        return (wanted or self.reasons or [""])[-1]


class Opinions:
    """The memory of a judge. Verdicts hold for both orders of a pair."""

    def __init__(self) -> None:
        self._known: dict[Pair, Known] = {}
        self._same: dict[str, set[str]] = defaultdict(set)

    def look(self, pair: Pair, same: bool, reason: str, source: Source) -> None:
        """Add what the judge said of a pair."""
        known = self._heard_of(pair, source)
        known.looks.append(same)
        known.reasons.append(reason)
        self._index(pair)

    def settle(self, pair: Pair, verdict: Verdict, reason: str, source: Source) -> None:
        """Decide a pair for good: a guard objects, nobody could be understood, or it was decided before."""
        known = self._heard_of(pair, source)
        known.settled, known.reasons = verdict, [reason]
        self._index(pair)

    def verdict(self, first: str, second: str) -> Verdict | None:
        """What is known of two labels; null if they were never looked at."""
        known = self._known.get(pair_of(first, second))
        return known.verdict if known else None

    def looks(self, first: str, second: str) -> int:
        """How often the judge was asked about two labels."""
        known = self._known.get(pair_of(first, second))
        return len(known.looks) if known else 0

    def open(self, first: str, second: str) -> bool:
        """Whether another look may still change anything."""
        known = self._known.get(pair_of(first, second))
        return known is None or (known.settled is None and len(known.looks) < MOST_OPINIONS)

    def same_as(self, label: str) -> set[str]:
        """The labels that mean the same as `label` by what is known now."""
        return self._same[label]

    def known(self, first: str, second: str) -> Known:
        """All that is known of two labels. Raises KeyError if they were never looked at."""
        return self._known[pair_of(first, second)]

    def pairs(self) -> list[Pair]:
        """All pairs that anything is known of, in the order in which it became known."""
        return list(self._known)

    def _heard_of(self, pair: Pair, source: Source) -> Known:
        known = self._known.setdefault(pair, Known(source, source.proposed_by))
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
