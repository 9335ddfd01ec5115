"""From verdicts on pairs to groups of labels that become one. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autoanalyze.phases.opinions import Opinions

__all__ = ["Groups", "grouped", "support"]

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
