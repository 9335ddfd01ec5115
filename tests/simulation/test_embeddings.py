"""Simulated vectors: made of the text alone, and as hard to tell apart as published ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoanalyze.simulation.embeddings import simulated_embedding
from autoanalyze.simulation.paraphrase import thesaurus

DIMENSIONS = 256
WORDS = ["refund", "money", "claim", "passport", "of", "zebra", "quark", "42", "inquiry"]


def alike(first: str, second: str, dimensions: int = DIMENSIONS) -> float:
    """The cosine of two texts."""
    return float(simulated_embedding(first, dimensions) @ simulated_embedding(second, dimensions))


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8")), st.integers(2, 64))
def test_every_text_has_a_unit_vector_of_the_asked_dimensions(text: str, dimensions: int) -> None:
    """Texts without words, and words of no alphabet that we know, have vectors like all others."""
    vector = simulated_embedding(text, dimensions)
    assert vector.shape == (dimensions,)
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.sampled_from(WORDS), max_size=4), st.permutations(WORDS))
def test_vectors_do_not_depend_on_what_was_asked_before(words: list[str], earlier: list[str]) -> None:
    """The same text has the same vector to the bit, whatever order texts come in."""
    text = " ".join(words)
    first = simulated_embedding(text, 32)
    for other in earlier:
        simulated_embedding(other, 32)
    assert (simulated_embedding(text, 32) == first).all()


def test_words_of_one_matter_are_alike_whether_same_or_opposite() -> None:
    """Vectors know what a text is about and not what it says of it."""
    assert alike("refund", "surcharge") == pytest.approx(alike("refund", "discount"), abs=0.15)
    assert alike("refund", "surcharge") > 0.4 > alike("refund", "passport")


def test_matters_are_nearer_to_themselves_than_to_others() -> None:
    """Over the whole thesaurus, words of one line are nearer than words of different lines."""
    lines = [[term for meaning in matter for term in meaning] for matter in thesaurus()["matters"]]
    vectors = [np.vstack([simulated_embedding(term, DIMENSIONS) for term in line]) for line in lines]
    centres = np.vstack([rows.mean(axis=0) for rows in vectors])
    likeness = centres @ centres.T
    assert (likeness.argmax(axis=1) == np.arange(len(lines))).mean() > 0.9
    inside = np.mean([(rows @ rows.T)[np.triu_indices(len(rows), 1)].mean() for rows in vectors])
    across = likeness[np.triu_indices(len(lines), 1)].mean()
    assert inside > 0.5 > 0.35 > across > 0.05


@pytest.mark.parametrize(
    ("text", "near", "far"),
    [
        ("claim status", "status of claim", "claim denial"),  # words count, and not their order
        ("claim status", "claim status inquiry", "claim status refund"),  # some words say little
        ("claims", "claim", "train"),  # a plural is of the matter of its word
        ("Claim Status", "claim status", "passport"),  # so does its case
    ],
)
def test_what_reads_alike_lies_near(text: str, near: str, far: str) -> None:
    """What changes little of a text's meaning moves its vector less than what changes it."""
    assert alike(text, near) > alike(text, far) + 0.05
    assert alike(text, near) > 0.6


def test_words_that_nobody_knows_are_known_by_their_spelling() -> None:
    """A word of no matter is alike to those that are spelt nearly as it is."""
    assert alike("zebrafish", "zebrafishes") > alike("zebrafish", "quark") + 0.1


def test_no_two_texts_are_the_same_or_have_nothing_in_common() -> None:
    """Another case leaves a rest that nothing explains, and even strangers agree a bit."""
    assert alike("Claim Status", "claim status") < 0.95
    strangers = [alike(one, other, 1536) for one, other in [("zebra", "quark"), ("zebra", "gravel")]]
    assert all(0.03 < likeness < 0.35 for likeness in strangers)


def test_dimensions_are_spaces_of_their_own() -> None:
    """A shorter vector is no beginning of a longer one, but tells the same texts apart."""
    assert not np.allclose(simulated_embedding("refund", 64), simulated_embedding("refund", 128)[:64])
    for dimensions in (128, 512, 1536):
        assert alike("refund", "surcharge", dimensions) > alike("refund", "passport", dimensions) + 0.2
