"""Looks at many labels at once: what is sound in a judge's answer, and what several answers say together."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoanalyze.records import Usage

Look = Mapping[str, str | None]
"""What one look said: alias to canonical, null for a label on which it contradicts itself. A label that is
no key stands alone or is canonical."""

ORDERS = 1000
"""Looks that have orders of their own before the first of them is asked again."""


@dataclass(frozen=True, slots=True)
class Looks:
    """What several looks at the same labels said. `errors` tells why looks are missing."""

    looks: tuple[Look, ...]
    usage: Usage
    errors: tuple[str, ...]

    def __add__(self, other: Looks) -> Looks:
        """All looks together."""
        return Looks(self.looks + other.looks, self.usage + other.usage, self.errors + other.errors)


def flaw(labels: Sequence[str], groups: Sequence[Sequence[str]]) -> str | None:
    """What is wrong with an answer: a label that nobody gave, or one in several groups, be it that groups
    overlap or that they lead in a circle. Null for an answer without a flaw."""
    named = Counter(label for group in groups for label in dict.fromkeys(group))
    for label, times in named.items():
        if label not in labels:
            return f"{label!r} is a label that nobody gave"
        if times > 1:
            return f"{label!r} stands in {times} groups"
    return None


def sound(labels: Sequence[str], groups: Sequence[Sequence[str]]) -> Look | None:
    """What holds of an answer in spite of its flaws; null if nothing is left of it.

    A label that nobody gave is left out of its group, and nothing is known of a label in several groups. A
    group that is said twice is one group. An answer without a flaw always holds, also one without groups.
    """
    known = set(labels)
    distinct = {
        frozenset(group): dict.fromkeys(label for label in group if label in known) for group in groups
    }
    named = Counter(label for group in distinct.values() for label in group)
    look: dict[str, str | None] = {label: None for label, times in named.items() if times > 1}
    for group in distinct.values():
        canonical, *aliases = [label for label in group if named[label] == 1] or [""]
        look |= dict.fromkeys(aliases, canonical)
    if any(look.values()) or flaw(labels, groups) is None:
        return look
    return None


def said(look: Look, first: str, second: str) -> bool | None:
    """Whether a look puts two labels in one group; null if it contradicts itself on one of them."""
    one, other = look.get(first, first), look.get(second, second)
    return None if one is None or other is None else one == other


def opinions_on(label: str, looks: Sequence[Look]) -> int:
    """How many looks say where a label belongs."""
    return sum(look.get(label, label) is not None for look in looks)


def looks_for(label: str, other: str, looks: Sequence[Look]) -> int:
    """How many looks put two labels in one group."""
    return sum(said(look, label, other) is True for look in looks)


def grouping(labels: Sequence[str], look: Look) -> frozenset[frozenset[str]]:
    """Which labels one look puts together, whatever it calls canonical; a label on which it contradicts
    itself stands in none."""
    groups: dict[str, set[str]] = {}
    for label in labels:
        canonical = look.get(label, label)
        if canonical is not None:
            groups.setdefault(canonical, set()).add(label)
    return frozenset(frozenset(group) for group in groups.values())


def shuffled(labels: Sequence[str], seed: int, look: int) -> list[str]:
    """The order in which a look is shown the labels: as they are at first, then otherwise."""
    order = list(labels)
    if look:
        random.Random(f"opinion {seed} {look}").shuffle(order)
    return order
