"""From what a judge says of all labels at once to which label becomes which. Pure functions."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence

__all__ = ["agreed", "flaw", "grouping", "redirects_of", "shuffled"]


def flaw(labels: Sequence[str], groups: Sequence[Sequence[str]]) -> str | None:
    """What makes an answer unusable: a label that nobody gave, or one in several groups, be it that
    groups overlap or that they lead in a circle. Nobody knows what else is wrong with such an answer."""
    named = Counter(label for group in groups for label in dict.fromkeys(group))
    for label, times in named.items():
        if label not in labels:
            return f"{label!r} is a label that nobody gave"
        if times > 1:
            return f"{label!r} stands in {times} groups"
    return None


def redirects_of(groups: Sequence[Sequence[str]]) -> dict[str, str]:
    """Alias to canonical, for groups that give their canonical label first."""
    return {alias: canonical for canonical, *aliases in groups for alias in aliases if alias != canonical}


def agreed(
    labels: Sequence[str],
    opinions: Sequence[Mapping[str, str]],
    needed: int,
    standing: Sequence[str] = (),
) -> dict[str, str]:
    """Redirects on which at least `needed` opinions agree.

    Labels are taken in the given order; each joins the first canonical with which enough
    opinions put it in one group, and becomes a canonical itself if there is none. So an
    alias always agrees with its canonical, never only with a neighbour of it. Labels in `standing`
    are canonicals already and stay so.
    """
    redirects: dict[str, str] = {}
    canonicals = list(standing)
    for label in labels[len(canonicals) :]:
        for canonical in canonicals:
            if sum(o.get(label, label) == o.get(canonical, canonical) for o in opinions) >= needed:
                redirects[label] = canonical
                break
        else:
            canonicals.append(label)
    return redirects


def grouping(labels: Sequence[str], redirects: Mapping[str, str]) -> frozenset[frozenset[str]]:
    """Which labels one look puts together, whatever it calls canonical."""
    groups: dict[str, set[str]] = {}
    for label in labels:
        groups.setdefault(redirects.get(label, label), set()).add(label)
    return frozenset(frozenset(group) for group in groups.values())


def shuffled(labels: Sequence[str], seed: int, look: int) -> list[str]:
    """The order in which a look is shown the labels: as they are at first, then otherwise."""
    order = list(labels)
    if look:
        random.Random(f"opinion {seed} {look}").shuffle(order)
    return order
