"""Planted label sets, and how alike embeddings that know no truth find their labels."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from autoanalyze.phases.duplicates.spelling import objection
from autoanalyze.records import LabelField
from autoanalyze.simulation.embeddings import simulated_embedding
from autoanalyze.simulation.label_sets import GUARDED, PlantedLabels, planted_labels, written_labels


@pytest.fixture(scope="module")
def planted() -> PlantedLabels:
    """A set of 1,000 labels."""
    return planted_labels(1000, seed=5)


def test_sets_have_as_many_labels_as_asked_for_and_no_two_alike(planted: PlantedLabels) -> None:
    """Each label once, whatever its case; a smaller set is another set; the same seed gives the same."""
    assert len({label.lower() for label in planted.counts}) == len(planted.labels) == 1000
    assert planted == planted_labels(1000, seed=5) != planted_labels(1000, seed=6)
    with pytest.raises(ValueError, match="thesaurus"):
        planted_labels(1_000_000, seed=1)


def test_groups_have_four_names_on_average(planted: PlantedLabels) -> None:
    """Over several sets, between 3.7 and 4.6 labels for one concept; some concepts have one."""
    sizes = [
        size
        for seed in range(5)
        for size in Counter(planted_labels(1000, seed=seed).concepts.values()).values()
    ]
    assert 3.7 < sum(sizes) / len(sizes) < 4.6
    assert min(sizes) == 1


def test_guards_know_their_classes_of_hard_negatives_and_no_others(planted: PlantedLabels) -> None:
    """Between twins of a guarded class a guard objects, between others hardly, between duplicates never."""
    by_concept: dict[str, list[str]] = {}
    for label, concept in planted.concepts.items():
        by_concept.setdefault(concept, []).append(label)
    assert {*GUARDED, "object", "matter"} == set(planted.twins.values())
    objected: dict[bool, list[bool]] = {True: [], False: []}
    for twins, kind in planted.twins.items():
        one, other = sorted(twins)
        objected[kind in GUARDED] += [
            objection(a, b) is not None for a in by_concept[one] for b in by_concept[other]
        ]
    assert np.mean(objected[True]) > 0.9
    assert np.mean(objected[False]) < 0.1
    duplicates = [pair for names in by_concept.values() for pair in combinations(names, 2)]
    assert not [pair for pair in duplicates if objection(*pair)]


def test_duplicates_and_hard_negatives_overlap(planted: PlantedLabels) -> None:
    """No threshold tells them apart: many hard negatives are more alike than many duplicates."""
    vectors = {label: simulated_embedding(label, 256) for label in planted.counts}
    same, hard = [], []
    for one, other in combinations(planted.labels, 2):
        alike = float(vectors[one.label] @ vectors[other.label])
        if one.concept == other.concept:
            same.append(alike)
        elif frozenset((one.concept, other.concept)) in planted.twins:
            hard.append(alike)
    assert np.median(hard) > np.percentile(same, 25)
    assert np.percentile(hard, 90) > np.median(same)
    assert np.median(same) > 0.6


FIELD = LabelField("general_intent", "what the user came for.")
GROUPS = {"refund": ["Refund Status", "Where Is My Refund"], "return": ["Return Label"]}
TWINS = {frozenset(("refund", "return")): "look-alike"}


def test_written_labels_are_taken_as_they_are() -> None:
    """Every label once with its matter and at least one session; the seed draws sessions and order only."""
    sets = [written_labels(GROUPS, TWINS, FIELD, seed=seed) for seed in range(20)]
    for found in sets:
        assert found.concepts == {label: matter for matter, labels in GROUPS.items() for label in labels}
        assert min(found.counts.values()) >= 1
        assert found.twins == TWINS
        assert not any(found.notes.values())
    assert sets[0] == written_labels(GROUPS, TWINS, FIELD, seed=0)
    assert len({tuple(found.counts.items()) for found in sets}) > 1


def test_written_labels_that_contradict_themselves_are_refused() -> None:
    """A label cannot mean two things, and look-alikes need labels."""
    with pytest.raises(ValueError, match="return label"):
        written_labels({**GROUPS, "other": ["RETURN Label"]}, {}, FIELD, seed=1)
    with pytest.raises(ValueError, match="nothing"):
        written_labels(GROUPS, {frozenset(("refund", "nothing")): "broader"}, FIELD, seed=1)
