"""From what a judge says to which label becomes which. Pure functions over redirects, alias to canonical."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

__all__ = ["agreed", "checked_redirects", "grouping", "shuffled"]


def checked_redirects(
    labels: Sequence[str], groups: Sequence[Sequence[str]]
) -> tuple[dict[str, str], list[str]]:
    """What of a judge's answer can be carried out, and why the rest cannot.

    `groups` are canonical-first. Only labels that were shown count; an alias that stands
    in two groups is redirected by neither, since nobody knows which is right; redirects in
    a circle are dropped; chains are followed to their end, so that every canonical in the
    result is redirected nowhere.
    """
    shown = set(labels)
    problems: list[str] = []
    proposed: dict[str, str] = {}
    disputed: set[str] = set()
    for canonical, *aliases in groups:
        for alias in dict.fromkeys(aliases):
            if alias == canonical:
                continue
            if canonical not in shown or alias not in shown:
                problems.append(f"{alias!r} -> {canonical!r} names a label that nobody gave")
            elif proposed.setdefault(alias, canonical) != canonical:
                disputed.add(alias)
    for alias in sorted(disputed):
        problems.append(f"{alias!r} stands in two groups")
        del proposed[alias]
    circular = {alias for alias in proposed if in_circle(alias, proposed)}
    problems += [f"{alias!r} redirects in a circle" for alias in sorted(circular)]
    kept = {alias: target for alias, target in proposed.items() if alias not in circular}
    return {alias: followed(alias, kept) for alias in kept}, problems


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


def in_circle(label: str, redirects: Mapping[str, str]) -> bool:
    """Whether following the redirects of `label` comes back to it."""
    visited: set[str] = set()
    target = redirects.get(label)
    while target is not None and target != label and target not in visited:
        visited.add(target)
        target = redirects.get(target)
    return target == label


def followed(label: str, redirects: Mapping[str, str]) -> str:
    """Where a label ends up. `redirects` must hold no circle."""
    while label in redirects:
        label = redirects[label]
    return label
