"""Sentence vectors: of another package, beside words, and nobody needs them."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from autoanalyze.errors import ConfigurationError
from autoanalyze.reading import sentences
from autoanalyze.reading.sentences import SentenceVectors, embedded

TEXTS = [
    "where is my parcel",
    "my package has not arrived",
    "I want to close my account",
    "cancel my account",
]


def test_other_words_for_a_matter_lie_nearer_than_words_alone_put_them() -> None:
    """A parcel that is not there is a package that has not arrived, and no account to be closed."""
    pytest.importorskip("wordllama")
    likeness = embedded(TEXTS) @ embedded(TEXTS).T
    assert likeness[0, 1] > likeness[0, 2]
    assert likeness[2, 3] > likeness[2, 1]


def test_vectors_are_of_length_one_and_the_same_again() -> None:
    """Of texts that were fitted and of others."""
    pytest.importorskip("wordllama")
    one, other = SentenceVectors(TEXTS), SentenceVectors(TEXTS)
    assert np.allclose(np.linalg.norm(one.fitted, axis=1), 1, atol=1e-5)
    assert np.array_equal(one.fitted, other.fitted)
    assert np.allclose(one.of(TEXTS), one.fitted, atol=1e-4)


def test_without_the_extra_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting and the extra are named."""
    sentences.model.cache_clear()
    monkeypatch.setitem(sys.modules, "wordllama", None)
    with pytest.raises(ConfigurationError, match=r"autoanalyze\[sentences\].*reader\.vectors=words"):
        SentenceVectors(TEXTS)
    sentences.model.cache_clear()
