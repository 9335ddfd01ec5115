"""Which pairs of labels are worth another look: places in groups, and groups that lie near each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import combinations

from autoanalyze.phases.duplicates.opinions import Groups, Opinions, Pair, pair_of


def doubts(
    groups: Groups,
    standing: Mapping[str, Sequence[str]],
    candidates: Collection[Pair],
    opinions: Opinions,
    *,
    nearest: int,
) -> list[Pair]:
    """The pairs that are worth another look, each once.

    Doubtful are labels that joined a group on a single look that no other member supports, and groups
    that lie near each other: their canonical labels were never compared, or a single look kept them apart
    although each is nearest to the other, or although two other members were held to be the same; and both
    where several looks leave it open. Of each group the `nearest` others are looked at, so that questions
    grow with the groups, not with their square. `candidates` come nearest first.
    """
    found: dict[Pair, None] = {}
    for canonical, members in groups.items():
        stood = len(standing.get(canonical, (canonical,)))
        for label in members[stood:]:
            if not confirmed(label, canonical, members, opinions):
                found[pair_of(label, canonical)] = None
    links, closest = between(groups, standing, candidates), nearest_both_ways(candidates)
    for pair in nearest_groups(links, candidates, nearest):
        if apart_in_doubt(pair, links[pair], pair in closest, opinions):
            found[pair] = None
    return [pair for pair in found if opinions.open(*pair)]


def confirmed(label: str, canonical: str, members: Iterable[str], opinions: Opinions) -> bool:
    """Whether a label's place in a group needs no other look: several leave no doubt, or there was one, and
    another member of the group speaks for it and none against."""
    if opinions.looks(label, canonical) != 1:
        return opinions.clear(label, canonical)
    verdicts = [opinions.verdict(label, member) for member in members if member not in (label, canonical)]
    return "same" in verdicts and "different" not in verdicts


def between(
    groups: Groups, standing: Mapping[str, Sequence[str]], candidates: Iterable[Pair]
) -> dict[Pair, list[Pair]]:
    """The candidates between two groups, by the canonical labels of these groups. Groups that both stood
    before were compared then."""
    home = {label: canonical for canonical, members in groups.items() for label in members}
    links: dict[Pair, list[Pair]] = defaultdict(list)
    for pair in candidates:
        one, other = (home[label] for label in pair)
        if one != other and not (one in standing and other in standing):
            links[pair_of(one, other)].append(pair)
    return links


def nearest_both_ways(candidates: Iterable[Pair]) -> set[Pair]:
    """The candidates, given nearest first, of which each label is the nearest of the other."""
    ordered, nearest = list(candidates), dict[str, Pair]()
    for pair in reversed(ordered):
        nearest |= dict.fromkeys(pair, pair)
    return {pair for pair in ordered if nearest[pair[0]] == nearest[pair[1]]}


def nearest_groups(
    links: Mapping[Pair, Sequence[Pair]], candidates: Iterable[Pair], nearest: int
) -> list[Pair]:
    """Of each group the pairs with its `nearest` others, by the nearest of their members."""
    place = {pair: position for position, pair in enumerate(candidates)}
    taken: dict[str, int] = defaultdict(int)
    chosen = []
    for pair in sorted(links, key=lambda pair: min(place[link] for link in links[pair])):
        if min(taken[canonical] for canonical in pair) < nearest:
            chosen.append(pair)
            for canonical in pair:
                taken[canonical] += 1
    return chosen


def apart_in_doubt(canonicals: Pair, links: Iterable[Pair], alike: bool, opinions: Opinions) -> bool:
    """Whether it is doubtful that two groups with candidates between them are apart."""
    if opinions.verdict(*canonicals) != "different" or not opinions.clear(*canonicals):
        return True
    if opinions.looks(*canonicals) != 1:
        return False
    return alike or any(opinions.verdict(*link) == "same" for link in links)


def torn(groups: Groups, fresh: Iterable[str], opinions: Opinions) -> list[Pair]:
    """The pairs of which looks at all labels together leave open whether a label of `fresh` belongs to its
    group, or whether two groups are one."""
    new = set(fresh)
    places = [
        pair_of(label, members[0]) for members in groups.values() for label in members[1:] if label in new
    ]
    apart = [pair_of(*two) for two in combinations(groups, 2) if new & set(two)]
    return [
        pair
        for pair in (*places, *apart)
        if opinions.verdict(*pair) is not None and not opinions.clear(*pair) and opinions.open(*pair)
    ]
