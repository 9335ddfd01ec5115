"""How well duplicate detection did on a label set whose duplicates are planted. Pure functions.

A pair of labels is a duplicate if both name one concept. All pairs that end up under one canonical label
count as merged, whether anybody looked at them or not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class PairScores:
    """Precision and recall over pairs of labels, 0 to 1 (1 where there is nothing to find or none was
    found), and the share of hard negatives, pairs of labels of twin concepts, that were merged."""

    precision: float
    recall: float
    hard_merged: float
    hard_merged_by_class: Mapping[str, float]


def pair_scores(
    final: Mapping[str, str], concepts: Mapping[str, str], twins: Mapping[frozenset[str], str]
) -> PairScores:
    """Scores of a merging. `final`: canonical label of each label; `concepts`: the concept of each; `twins`:
    pairs of concepts that are hard negatives, with their class."""
    cells = Counter((final[label], concepts[label]) for label in final)
    merged = pairs_within(Counter(final.values()))
    planted = pairs_within(Counter(concepts[label] for label in final))
    right = pairs_within(cells)
    sizes = Counter(concepts[label] for label in final)
    hard: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for twin, kind in twins.items():
        one, other = sorted(twin)
        hard[kind] += sizes[one] * sizes[other]
    groups: dict[str, dict[str, int]] = {}
    for (canonical, concept), size in cells.items():
        groups.setdefault(canonical, {})[concept] = size
    for inside in groups.values():
        for one, other in combinations(inside, 2):
            twin = frozenset((one, other))
            if twin in twins:
                wrong[twins[twin]] += inside[one] * inside[other]
    return PairScores(
        right / merged if merged else 1.0,
        right / planted if planted else 1.0,
        wrong.total() / hard.total() if hard else 0.0,
        {kind: wrong[kind] / total for kind, total in sorted(hard.items())},
    )


@dataclass(frozen=True, slots=True)
class ConceptPairs:
    """Pairs of labels by one concept: those that mean it, how many of them were merged, and its half of the
    pairs that were merged with a label of another concept."""

    planted: int
    found: int
    wrong: float


def pairs_by_concept(final: Mapping[str, str], concepts: Mapping[str, str]) -> dict[str, ConceptPairs]:
    """What became of the labels of each concept, so that concepts can be drawn anew for an interval."""
    cells = Counter((final[label], concepts[label]) for label in final)
    groups, sizes = Counter(final.values()), Counter(concepts[label] for label in final)
    found: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for (canonical, concept), size in cells.items():
        found[concept] += size * (size - 1) // 2
        wrong[concept] += size * (groups[canonical] - size)
    return {
        concept: ConceptPairs(size * (size - 1) // 2, found[concept], wrong[concept] / 2)
        for concept, size in sizes.items()
    }


def candidate_recall(
    proposed: Iterable[Pair], spelling: Mapping[str, str], concepts: Mapping[str, str]
) -> float:
    """The share of planted duplicate pairs that were proposed, 0 to 1.

    `spelling` redirects labels that are another spelling of one that was looked at; two of one spelling
    count as proposed.
    """
    near = {frozenset(pair) for pair in proposed}
    by_concept: dict[str, list[str]] = {}
    for label, concept in concepts.items():
        by_concept.setdefault(concept, []).append(spelling.get(label, label))
    duplicates = [pair for names in by_concept.values() for pair in combinations(names, 2)]
    found = sum(one == other or frozenset((one, other)) in near for one, other in duplicates)
    return found / len(duplicates) if duplicates else 1.0


def kinds_of_pairs(
    similarity: Mapping[Pair, float], concepts: Mapping[str, str], twins: Mapping[frozenset[str], str]
) -> dict[str, list[float]]:
    """How alike pairs of labels are, by what they are: duplicates, hard negatives, or neither."""
    kinds: dict[str, list[float]] = {"duplicates": [], "hard negatives": [], "all others": []}
    for (one, other), alike in similarity.items():
        pair = frozenset((concepts[one], concepts[other]))
        kind = "duplicates" if len(pair) == 1 else "hard negatives" if pair in twins else "all others"
        kinds[kind].append(alike)
    return kinds


def false_merges(final: Mapping[str, str], concepts: Mapping[str, str]) -> list[Pair]:
    """Aliases whose canonical label names another concept, with it, in order of the labels."""
    return [(alias, name) for alias, name in final.items() if concepts[alias] != concepts[name]]


def missed_duplicates(final: Mapping[str, str], concepts: Mapping[str, str]) -> list[tuple[str, ...]]:
    """The canonical labels of each concept that was left with several, the concepts in order."""
    left: dict[str, dict[str, None]] = {}
    for label, canonical in final.items():
        if concepts[canonical] == concepts[label]:
            left.setdefault(concepts[label], {})[canonical] = None
    return [tuple(names) for _, names in sorted(left.items()) if len(names) > 1]


def pairs_within(sizes: Counter[str] | Counter[tuple[str, str]]) -> int:
    """Pairs inside groups of these sizes."""
    return sum(size * (size - 1) // 2 for size in sizes.values())
