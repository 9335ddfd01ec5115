"""Where vectors come from: the endpoint, or scikit-learn offline."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from autoanalyze.config import EmbeddingsConfig
from autoanalyze.errors import EndpointError, ReplyError
from autoanalyze.llm.calls import Call, together
from autoanalyze.llm.journal import request_hash
from autoanalyze.llm.sending import Sender
from autoanalyze.llm.tokens import TokenCounter
from autoanalyze.protocols import Embedded, Embedder, Vectors
from autoanalyze.records import CallContext, Usage

LOG = logging.getLogger(__name__)

TEXTS_PER_CALL = 256
OFFLINE_DIMENSIONS = 4096


def load_embedder(config: EmbeddingsConfig, sender: Sender, counter: TokenCounter) -> Embedder:
    """The configured embedder; one that asks an endpoint falls back to the offline one."""
    if config.source == "offline":
        return OfflineEmbedder(config)
    return FallbackEmbedder(EndpointEmbedder(config, sender, counter), OfflineEmbedder(config))


class EndpointEmbedder:
    """Asks the endpoint, some texts at a time; every call is journalled and priced."""

    def __init__(self, config: EmbeddingsConfig, sender: Sender, counter: TokenCounter) -> None:
        self._config = config
        self._sender = sender
        self._counter = counter
        self._dimensions: int | None = None

    async def embed(self, texts: Sequence[str], context: CallContext) -> Embedded:
        """Vectors of `texts`; see `protocols.Embedder`."""
        starts = range(0, len(texts), TEXTS_PER_CALL)
        batches = [texts[start : start + TEXTS_PER_CALL] for start in starts]
        answers = await together(self._batch(batch, context) for batch in batches)
        dimensions = {vectors.shape[1] for vectors, _ in answers} | {self._dimensions} - {None}
        if len(dimensions) != 1:
            raise ReplyError(f"embeddings of one run have {sorted(map(str, dimensions))} dimensions")
        # Later ones must be as the first.
        (self._dimensions,) = dimensions
        usage = sum((used for _, used in answers), Usage())
        vectors = np.vstack([vectors for vectors, _ in answers])
        return Embedded(vectors, self._config.model, usage)

    async def _batch(self, texts: Sequence[str], context: CallContext) -> tuple[Vectors, Usage]:
        config = self._config
        # Base64 is what the wire needs least of, and the journal too.
        request: dict[str, Any] = {
            "model": config.model,
            "input": list(texts),
            "encoding_format": "base64",
        }
        if config.dimensions is not None:
            request["dimensions"] = config.dimensions
        call = Call(
            kind="embed",
            model=config.model,
            request=request,
            forms=({},),
            digest=request_hash(request, self._sender.endpoint.identity),
            context=context,
            session_ids=(),
            vocabulary_version=0,
            prompt_tokens=sum(self._counter.count(text) for text in texts),
            completion_limit=0,
            expected_completion=0,
            began=asyncio.get_running_loop().time(),
        )
        completion = await self._sender.send(call)
        return parsed(completion.text, len(texts)), completion.usage


def parsed(text: str, count: int) -> Vectors:
    """The vectors of an answer, each of length 1.

    Raises ReplyError for fewer or more than `count`, for vectors of several lengths, and for numbers that
    are none. How many dimensions they have is the endpoint's to say.
    """
    rows = [decoded(vector) for vector in json.loads(text)]
    if len(rows) != count:
        raise ReplyError(f"{len(rows)} embeddings came back for {count} texts")
    found = {len(row) for row in rows}
    if len(found) != 1 or not max(found):
        raise ReplyError(f"embeddings of {sorted(found)} dimensions came back, not one number of dimensions")
    vectors = np.vstack(rows)
    if not np.isfinite(vectors).all():
        raise ReplyError("an embedding holds something that is no number")
    lengths = np.linalg.norm(vectors, axis=1)
    if not (lengths > 0).all():
        raise ReplyError("an embedding is null")
    scaled: Vectors = (vectors / lengths[:, None]).astype(np.float32)
    return scaled


def decoded(vector: object) -> Any:
    """One vector: base64 as asked for, or the list of numbers that some endpoints send all the same."""
    try:
        if isinstance(vector, str):
            return np.frombuffer(base64.b64decode(vector, validate=True), dtype=np.float32)
        if isinstance(vector, list) and all(isinstance(part, (int, float)) for part in vector):
            with np.errstate(over="ignore"):  # what is too large is no number, which is looked for later
                return np.asarray(vector, dtype=np.float64).astype(np.float32)
    except (ValueError, OverflowError) as error:
        raise ReplyError(f"an embedding cannot be read: {error}") from None
    raise ReplyError(
        f"an embedding cannot be read: it is neither base64 nor a list of numbers, but {vector!r:.50}"
    )


class OfflineEmbedder:
    """Character and word n-grams, hashed: needs nothing and knows spelling, not meaning."""

    def __init__(self, config: EmbeddingsConfig) -> None:
        self._config = config

    async def embed(self, texts: Sequence[str], _context: CallContext) -> Embedded:
        """Vectors of `texts`; see `protocols.Embedder`."""
        # Seconds to import, and most runs never come here.
        from sklearn.feature_extraction.text import HashingVectorizer
        from sklearn.preprocessing import normalize

        common = {"norm": None, "alternate_sign": False, "n_features": OFFLINE_DIMENSIONS}
        characters = HashingVectorizer(analyzer="char_wb", ngram_range=(3, 4), **common)
        words = HashingVectorizer(analyzer="word", token_pattern=r"\w+", **common)
        parts = normalize(characters.transform(texts)) + normalize(words.transform(texts))
        vectors = normalize(parts).toarray().astype(np.float32)
        return Embedded(vectors, "offline", Usage())


class FallbackEmbedder:
    """Uses `first` until it fails, from then on `second`: vectors of two kinds cannot be compared."""

    def __init__(self, first: Embedder, second: Embedder) -> None:
        self._first = first
        self._second = second
        self.warning: str | None = None

    async def embed(self, texts: Sequence[str], context: CallContext) -> Embedded:
        """Vectors of `texts`; see `protocols.Embedder`."""
        if self.warning is None:
            try:
                return await self._first.embed(texts, context)
            except (EndpointError, ReplyError) as error:
                self.warning = (
                    f"the endpoint's embeddings cannot be used, offline ones stand in for them: {error}; "
                    "embeddings=offline asks for them outright"
                )
                LOG.warning(self.warning)
        return replace(await self._second.embed(texts, context), warning=self.warning)
