"""What is counted: pairs of labels by what they are and what became of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import networkx as nx
import numpy as np
import sets
from vectors import RARE, VECTORS, with_vectors

from autoanalyze.config import Config
from autoanalyze.laboratory.detection import Detection, similarities, spelled
from autoanalyze.phases.duplicates.opinions import Pair
from autoanalyze.phases.duplicates.spelling import objection
from autoanalyze.study.duplicates import candidate_recall, pairs_by_concept

NEAREST = 15
"""Neighbours of a label of which it is counted how many duplicates they hold."""


def told(one: sets.LabelSet) -> dict[str, Any]:
    """Which set a row is of."""
    return {
        "set": one.name,
        "kind": one.kind,
        "author": one.author,
        "domain": one.domain,
        "labels": one.count,
    }


def row(found: Detection, seed: int) -> dict[str, Any]:
    """What is measured of one detection: counts of pairs, of the whole set and by matter."""
    concepts, twins = found.planted.concepts, found.planted.twins
    matters: list[dict[str, Any]] = [
        {"matter": matter, "planted": pairs.planted, "found": pairs.found, "wrong": pairs.wrong}
        for matter, pairs in pairs_by_concept(found.final, concepts).items()
    ]
    offered = offered_by_matter(found) if found.candidates else {}
    merged = merged_twins(found)
    all_twins = twin_pairs(concepts, twins)
    return {
        "seed": seed,
        "planted": sum(part["planted"] for part in matters),
        "offered": sum(offered.values()) if found.candidates else None,
        "found": sum(part["found"] for part in matters),
        "wrong": int(sum(part["wrong"] for part in matters)),
        "look_alikes": all_twins[sets.ALIKE],
        "look_alikes_merged": merged[sets.ALIKE],
        "broader": all_twins[sets.BROADER],
        "broader_merged": merged[sets.BROADER],
        "candidates": len(found.candidates),
        "pairs_judged": found.pairs_judged,
        "cost": found.cost_usd * 1e6,
        "calls": found.calls,
        "by_matter": [{**part, "offered": offered.get(str(part["matter"]))} for part in matters],
    }


def offered_by_matter(found: Detection) -> dict[str, int]:
    """How many duplicate pairs of each matter vectors proposed; spellings of one name count as proposed."""
    spelling, concepts = spelled(found.planted), found.planted.concepts
    sizes = {matter: pairs.planted for matter, pairs in pairs_by_concept(found.final, concepts).items()}
    offered = {}
    for matter, size in sizes.items():
        own = {label: name for label, name in concepts.items() if name == matter}
        offered[matter] = round(size * candidate_recall(found.candidates, spelling, own))
    return offered


def twin_pairs(concepts: Mapping[str, str], twins: Mapping[frozenset[str], str]) -> dict[str, int]:
    """How many pairs of labels are look-alikes, and how many broader and narrower."""
    found = {sets.ALIKE: 0, sets.BROADER: 0}
    for one, other in combinations(concepts, 2):
        twin_class = twins.get(frozenset((concepts[one], concepts[other])))
        if twin_class:
            found[twin_class] += 1
    return found


def merged_twins(found: Detection) -> dict[str, int]:
    """How many of these were merged."""
    groups: dict[str, dict[str, str]] = {}
    for label, canonical in found.final.items():
        groups.setdefault(canonical, {})[label] = found.planted.concepts[label]
    counts = [twin_pairs(inside, found.planted.twins) for inside in groups.values()]
    return {kind: sum(count[kind] for count in counts) for kind in (sets.ALIKE, sets.BROADER)}


def likeness(one: sets.LabelSet, config: Config) -> Iterator[dict[str, Any]]:
    """A row per kind of vectors and class of pairs: how alike they are, and how many are among the 1, 2, ...
    nearest neighbours of one of their labels; of duplicates also how many these connect, over others."""
    planted = one.planted(1)
    concepts = planted.concepts
    for vectors in (*VECTORS, RARE):
        chosen, embedder = with_vectors(config, vectors)
        alike = similarities(chosen, planted, embedder)
        ranks = ranked(centred(alike))
        by_class: dict[str, list[Pair]] = {}
        for pair in alike:
            meant = frozenset(concepts[label] for label in pair)
            pair_class = "duplicate" if len(meant) == 1 else planted.twins.get(meant, "other")
            by_class.setdefault(pair_class, []).append(pair)
        for pair_class, pairs in by_class.items():
            low, median, high = np.quantile([alike[pair] for pair in pairs], [0.1, 0.5, 0.9]).tolist()
            near = np.bincount([min(ranks[pair], NEAREST + 1) for pair in pairs], minlength=NEAREST + 2)
            joined = [connected(pairs, ranks, k) for k in range(1, NEAREST + 1)]
            yield {
                **{**told(one), "vectors": vectors, "class": pair_class, "pairs": len(pairs)},
                **{"low": low, "median": median, "high": high},
                "within": np.cumsum(near)[1 : NEAREST + 1].tolist(),
                "joined": joined if pair_class == "duplicate" else None,
            }


def centred(alike: Mapping[Pair, float]) -> dict[Pair, float]:
    """Likeness after the mean of all labels is taken away from each, as the package ranks them."""
    names = sorted({label for pair in alike for label in pair})
    place = {label: n for n, label in enumerate(names)}
    whole = np.eye(len(names))
    for (first, second), likeness_ in alike.items():
        whole[place[first], place[second]] = whole[place[second], place[first]] = likeness_
    moved = whole - whole.mean(0) - whole.mean(1)[:, None] + whole.mean()
    lengths = np.sqrt(np.maximum(np.diag(moved), 1e-12))
    scaled = moved / np.outer(lengths, lengths)
    return {pair: round(float(scaled[place[pair[0]], place[pair[1]]]), 4) for pair in alike}


def connected(pairs: Sequence[Pair], ranks: Mapping[Pair, int], k: int) -> int:
    """How many duplicates hang together by duplicates among the k nearest."""
    parts = nx.connected_components(nx.Graph(pair for pair in pairs if ranks[pair] <= k))
    home = {label: number for number, part in enumerate(parts) for label in part}
    return sum(first in home and home[first] == home.get(second) for first, second in pairs)


def ranked(alike: Mapping[Pair, float]) -> dict[Pair, int]:
    """Of each pair the better of its two ranks: the most alike neighbour of a label has rank 1."""
    near: dict[str, list[tuple[float, Pair]]] = {}
    for pair, similarity in alike.items():
        for label in pair:
            near.setdefault(label, []).append((-similarity, pair))
    best: dict[Pair, int] = {}
    for neighbours in near.values():
        for rank, (_, pair) in enumerate(sorted(neighbours), start=1):
            best[pair] = min(rank, best.get(pair, rank))
    return best


def guards(one: sets.LabelSet) -> Iterator[dict[str, Any]]:
    """A row per pair of labels that guards are about: duplicates and look-alikes of guarded kinds, and
    any other pair that is no duplicate and to which they object."""
    home = {label: matter for matter, labels in one.groups.items() for label in labels}
    for first, second in combinations(home, 2):
        pair = frozenset((home[first], home[second]))
        reason, kind = objection(first, second), one.guarded.get(pair)
        pair_class = "duplicate" if len(pair) == 1 else one.twins.get(pair, "other")
        if pair_class == "duplicate" or kind or reason:
            ends = {"first": first, "second": second, "class": pair_class}
            yield {**told(one), **ends, "guarded": kind, "objection": reason}
