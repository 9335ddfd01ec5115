"""Vectors: where they come from, and what happens when they are no good."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoanalyze.analysis.configuration import compose
from autoanalyze.config import EmbeddingsConfig
from autoanalyze.errors import EndpointGoneError, ReplyError
from autoanalyze.laboratory.detection import detect_duplicates
from autoanalyze.llm.calls import Call, Completion, Endpoint
from autoanalyze.llm.embeddings import EndpointEmbedder, OfflineEmbedder, parsed
from autoanalyze.llm.tokens import Estimate
from autoanalyze.records import CallContext, Usage

Virtually = Callable[[Any], Any]
CONTEXT = CallContext("resolution")


def answer(*vectors: list[float]) -> str:
    return json.dumps([base64.b64encode(np.array(v, dtype=np.float32).tobytes()).decode() for v in vectors])


def test_vectors_are_read_and_scaled() -> None:
    """Base64 or plain numbers, each vector of length 1."""
    for text in (answer([3, 4], [0, 2]), "[[3, 4], [0, 2]]"):
        assert parsed(text, 2).tolist() == [pytest.approx([0.6, 0.8]), pytest.approx([0, 1])]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (answer([1, 2]), "1 embeddings came back for 2 texts"),
        (answer([1, 2], [1, 2], [1, 2]), "3 embeddings came back"),
        (answer([1, 2], [1, 2, 3]), "dimensions"),
        (answer([1, float("nan")], [1, 2]), "no number"),
        (answer([1, float("inf")], [1, 2]), "no number"),
        (answer([0, 0], [1, 2]), "null"),
        ('["!", "!"]', "cannot be read"),
        ('[{"a": 1}, [1, 2]]', "cannot be read"),
        ('[["x", 1], [1, 2]]', "cannot be read"),
    ],
)
def test_bad_vectors_are_refused(text: str, complaint: str) -> None:
    """Too few, other dimensions, no numbers, no length: each is said."""
    with pytest.raises(ReplyError, match=complaint):
        parsed(text, 2)


def test_dimensions_stay_those_of_the_first_answer(virtually: Virtually) -> None:
    """What comes back counts, whatever was asked for, but it may not change between two calls."""
    answers = iter([answer([1, 2]), answer([1, 2, 3])])

    class Changing:
        endpoint = Endpoint("changing", None, "x")

        async def send(self, call: Call) -> Completion:
            return Completion(next(answers), Usage(embedded=1), "stop", 0.1)

    sender: Any = Changing()
    embedder = EndpointEmbedder(EmbeddingsConfig(dimensions=512), sender, Estimate())
    assert virtually(embedder.embed(["a"], CONTEXT)).vectors.shape == (1, 2)
    with pytest.raises(ReplyError, match="dimensions"):
        virtually(embedder.embed(["b"], CONTEXT))


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(json_values, max_size=4), st.integers(1, 4))
def test_any_answer_is_vectors_or_refused(vectors: list[Any], count: int) -> None:
    """Whatever an endpoint sends: finite unit vectors, or ReplyError."""
    try:
        found = parsed(json.dumps(vectors), count)
    except ReplyError:
        return
    assert found.shape[0] == count
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-3)


def test_offline_vectors_know_spelling(virtually: Virtually) -> None:
    """The same text is the same vector; shared words make texts alike; nothing is asked or paid."""
    texts = ["Claim Status", "Status of Claim", "Weather Report", "Claim Status"]
    embedded = virtually(OfflineEmbedder(EmbeddingsConfig(source="offline")).embed(texts, CONTEXT))
    likeness = embedded.vectors @ embedded.vectors.T
    assert likeness[0, 3] == pytest.approx(1)
    assert likeness[0, 1] > 0.5 > likeness[0, 2]
    assert embedded.usage.embedded == 0


BAD = ("embedding_not_a_number", "embedding_missing", "server_error")


@pytest.mark.parametrize("kind", BAD)
def test_bad_endpoints_fall_back_or_stop(kind: str) -> None:
    """An endpoint whose embeddings fail or are no good: offline ones and a warning."""
    config = compose(["faults.rate=1", "faults.kinds=[embedding_missing]"])
    config = replace(config, retry=replace(config.retry, call_attempts=1))
    assert set(config.faults.kinds) == {"embedding_missing"}
    failing = kind == "server_error"
    config = replace(config, faults=replace(config.faults, kinds=[kind], rate=1.0))
    if failing:  # an endpoint that only fails has no judge either
        with pytest.raises(EndpointGoneError, match="judge"):
            detect_duplicates(config, 80, seed=1)
        return
    found = detect_duplicates(config, 80, seed=1)
    assert "offline ones stand in" in found.errors[0]
    assert found.scores.recall > 0.3
    offline = compose(["embeddings=offline"])
    assert found.final == detect_duplicates(offline, 80, seed=1).final
