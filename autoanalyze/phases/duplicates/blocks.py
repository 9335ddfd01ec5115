"""Blocks of labels that are shown to the judge together, where there are too many for one look."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import combinations

FARTHEST = 12
"""How many half blocks apart in their order two of them are at most to be shown together: what is seen grows
with the labels then, not with their square. Up to 13 half blocks, all meet."""


def parts(labels: Sequence[str], size: int) -> list[list[str]]:
    """Labels in as few parts of at most `size` as there can be, about equally large, in order."""
    count = -(-len(labels) // size)
    return [list(labels[len(labels) * n // count : len(labels) * (n + 1) // count]) for n in range(count)]


def meetings(ordered: Sequence[str], new: Collection[str], size: int) -> list[list[str]]:
    """Blocks of at most `size` (2 or more) in which labels of `new` meet each other and all others.

    In the given order what is alike stands together. Half blocks, each of new labels or of others, meet in
    pairs, so that a pair of labels is in some block unless it lies too far apart in a long order.
    """
    if len(ordered) <= size:
        return [list(ordered)]
    half = size // 2
    ours, others = (parts([x for x in ordered if (x in new) == own], half) for own in (True, False))
    place = {label: position / half for position, label in enumerate(ordered)}
    middle = [sum(place[label] for label in part) / len(part) for part in (*ours, *others)]
    return [
        [*one, *other]
        for (m, one), (n, other) in combinations(zip(middle, (*ours, *others), strict=True), 2)
        if abs(m - n) <= FARTHEST and (one in ours or other in ours)
    ]
