"""Scores of duplicate detection, by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoanalyze.study.duplicates import (
    ConceptPairs,
    candidate_recall,
    false_merges,
    missed_duplicates,
    pair_scores,
    pairs_by_concept,
)

CONCEPTS = {"a1": "A", "a2": "A", "a3": "A", "b1": "B", "b2": "B", "c1": "C"}
TWINS = {frozenset(("A", "B")): "object", frozenset(("B", "C")): "number"}


def test_scores_by_hand() -> None:
    """Planted are 3 + 1 pairs. Merged: a1 a2 b1 (3 pairs, one right); 2 of 8 hard negatives."""
    final = {"a1": "a1", "a2": "a1", "a3": "a3", "b1": "a1", "b2": "b2", "c1": "c1"}
    scores = pair_scores(final, CONCEPTS, TWINS)
    assert scores.precision == pytest.approx(1 / 3)
    assert scores.recall == pytest.approx(1 / 4)
    assert scores.hard_merged == pytest.approx(2 / 8)
    assert scores.hard_merged_by_class == {"number": 0, "object": pytest.approx(2 / 6)}
    assert false_merges(final, CONCEPTS) == [("b1", "a1")]
    assert missed_duplicates(final, CONCEPTS) == [("a1", "a3")]


def test_extremes() -> None:
    """Merging nothing is precise and finds nothing; merging everything the other way round."""
    nothing = pair_scores({label: label for label in CONCEPTS}, CONCEPTS, TWINS)
    assert (nothing.precision, nothing.recall, nothing.hard_merged) == (1, 0, 0)
    everything = pair_scores(dict.fromkeys(CONCEPTS, "a1"), CONCEPTS, TWINS)
    assert everything.precision == pytest.approx(4 / 15)
    assert (everything.recall, everything.hard_merged) == (1, 1)


def test_pairs_by_concept_add_up() -> None:
    """a1 a2 b1 are one: of two wrong pairs each concept has half, and together they give the scores."""
    final = {"a1": "a1", "a2": "a1", "a3": "a3", "b1": "a1", "b2": "b2", "c1": "c1"}
    found = pairs_by_concept(final, CONCEPTS)
    assert found == {"A": ConceptPairs(3, 1, 1), "B": ConceptPairs(1, 0, 1), "C": ConceptPairs(0, 0, 0)}


def test_candidates_by_hand() -> None:
    """Two of four duplicate pairs were proposed: one by itself, one as a spelling."""
    assert candidate_recall([("a1", "a2")], {"b2": "b1"}, CONCEPTS) == pytest.approx(2 / 4)
    assert candidate_recall([("b1", "a1")], {}, CONCEPTS) == 0


@given(st.dictionaries(st.sampled_from(sorted(CONCEPTS)), st.sampled_from(sorted(CONCEPTS)), min_size=1))
def test_scores_are_shares(redirects: dict[str, str]) -> None:
    """Whatever is merged, all scores lie between 0 and 1."""
    scores = pair_scores({label: redirects.get(label, label) for label in CONCEPTS}, CONCEPTS, TWINS)
    for share in (scores.precision, scores.recall, scores.hard_merged, *scores.hard_merged_by_class.values()):
        assert 0 <= share <= 1
    final = {label: redirects.get(label, label) for label in CONCEPTS}
    parts = pairs_by_concept(final, CONCEPTS).values()
    found, wrong = sum(part.found for part in parts), sum(part.wrong for part in parts)
    assert scores.precision == pytest.approx(found / (found + wrong) if found + wrong else 1)
    assert scores.recall == pytest.approx(found / sum(part.planted for part in parts))
