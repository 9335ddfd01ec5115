"""An endpoint in this process: one ASGI app that speaks the OpenAI wire format, whoever answers behind it.

The real openai client talks to it, in process through `transport` (in virtual time) or over a
socket (`autoanalyze serve`). Latency is spent in `asyncio.sleep`, so the loop decides whose
time passes.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import httpx2
import numpy as np
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from autoanalyze.config import FaultsConfig, ModelConfig, NoiseConfig, RateLimit
from autoanalyze.errors import ReplyError
from autoanalyze.llm.limits import TokenBucket
from autoanalyze.llm.tokens import schema_text
from autoanalyze.serving.chance import draws, fingerprint
from autoanalyze.serving.faults import FaultInjector, refused
from autoanalyze.serving.requests import BatchRequest, JudgeRequest, NamesRequest, PairsRequest, parse_request

MOST_TEXTS, EMBEDDING_DIMENSIONS = 2048, 1536
"""Texts per request, and dimensions unless fewer are asked for, as of text-embedding-3-small."""

TAIL_EXPONENT = 1.5
"""Of the Pareto distribution of how much longer calls in the tail take: 3 times on average, some more."""

CACHE_MINIMUM = 1024
CACHE_STEP = 128
"""Tokens: OpenAI caches prefixes of at least 1,024 tokens in steps of 128 (prompt caching guide)."""
CACHE_BLOCK = 4 * CACHE_STEP
"""Characters taken for a step, whatever the counter says, so that equal prefixes have equal blocks."""


class Counter(Protocol):
    """What the endpoint needs of a token counter."""

    def count(self, text: str) -> int:
        """Tokens of a text."""
        ...


class Labeller(Protocol):
    """Who answers: the simulated model, or the reader. What it says depends on the request alone, and on what
    `identity` stands for: another one gives other answers to the same request."""

    identity: str

    def label(self, request: BatchRequest, seed: int) -> str:
        """The reply to a labelling request, as JSON text."""
        ...

    def judge(self, request: JudgeRequest, seed: int) -> str:
        """The reply to a judging request that shows all labels at once."""
        ...

    def judge_pairs(self, request: PairsRequest, seed: int) -> str:
        """The reply to questions about pairs of labels."""
        ...

    def names(self, request: NamesRequest, seed: int) -> str:
        """The reply to a request for a codebook or for themes."""
        ...

    def embedding(self, text: str, dimensions: int) -> NDArray[np.float32]:
        """The vector of a text, of length 1."""
        ...


class PrefixCache:
    """Which prompt prefixes the provider has seen. A prefix of whole blocks is either known or not."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def cached_tokens(self, prompt: str, tokens: int) -> int:
        """Tokens of `prompt` that were cached before, and remember all of it."""
        digest = hashlib.sha256()
        cached, unbroken = 0, True
        for start in range(0, len(prompt) - CACHE_BLOCK + 1, CACHE_BLOCK):
            digest.update(prompt[start : start + CACHE_BLOCK].encode("utf-8", "replace"))
            key = digest.digest()
            unbroken = unbroken and key in self._seen
            cached += CACHE_STEP if unbroken else 0
            self._seen.add(key)
        return min(cached, tokens) if cached >= CACHE_MINIMUM else 0


class ProviderLimits:
    """What the provider allows per minute: buckets that refill continuously."""

    def __init__(self, tier: RateLimit) -> None:
        self._buckets = {
            "requests": TokenBucket(tier.requests_per_minute),
            "tokens": TokenBucket(tier.tokens_per_minute),
        }

    def seconds_until(self, tokens: int) -> float:
        """How long until a call of so many tokens is allowed; 0 if it is."""
        return max(self._buckets["requests"].seconds_until(1), self._buckets["tokens"].seconds_until(tokens))

    def take(self, tokens: int) -> None:
        """Count an allowed call."""
        self._buckets["requests"].take(1)
        self._buckets["tokens"].take(tokens)

    def headers(self) -> dict[str, str]:
        """OpenAI's rate limit headers, for limits that there are."""
        headers = {}
        for what, bucket in self._buckets.items():
            if bucket.per_minute is not None:
                headers[f"x-ratelimit-limit-{what}"] = str(int(bucket.per_minute))
                headers[f"x-ratelimit-remaining-{what}"] = str(max(0, int(bucket.level())))
        return headers


class ServedEndpoint:
    """Serves one model of the catalogue, and embeddings under any name. Known routes: chat completions,
    embeddings and models.

    `judge` is a second model, if there is one: the same labeller under another name, with limits of its own.
    `noise` says how long an answer takes, `tier` sets the account's limits, `faults` what goes wrong on
    purpose.
    """

    def __init__(
        self,
        labeller: Labeller,
        model: ModelConfig,
        noise: NoiseConfig,
        counter: Counter,
        *,
        tier: RateLimit | None = None,
        faults: FaultsConfig | None = None,
        judge: ModelConfig | None = None,
    ) -> None:
        self._labeller = labeller
        self._served = {each.name: each for each in (model, judge or model)}
        self._noise = noise
        self._counter = counter
        self._cache = PrefixCache()
        self._limits = {name: ProviderLimits(tier or RateLimit()) for name in self._served}
        self._under_way = 0
        self.faults = FaultInjector(faults or FaultsConfig())
        self.app = Starlette(
            routes=[
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/v1/embeddings", self._embeddings, methods=["POST"]),
                Route("/v1/models", self._models, methods=["GET"]),
            ]
        )

    @property
    def identity(self) -> str:
        """Who answers, as the journal knows it."""
        return self._labeller.identity

    def transport(self) -> httpx2.AsyncBaseTransport:
        """A way into the app for an HTTP client in this process; honours time-outs."""
        return TimedTransport(httpx2.ASGITransport(app=self.app))

    async def _models(self, _request: Request) -> JSONResponse:
        told = {"object": "model", "created": 0, "owned_by": "autoanalyze"}
        return JSONResponse({"object": "list", "data": [{"id": name, **told} for name in self._served]})

    async def _chat(self, request: Request) -> Response:
        body = await request.body()
        identity = hashlib.sha256(body).hexdigest()
        return await self.faults.answer(identity, lambda: self._honest(request))

    async def _embeddings(self, request: Request) -> Response:
        body = await request.body()
        identity = hashlib.sha256(b"embeddings" + body).hexdigest()
        return await self.faults.answer(identity, lambda: self._vectors(request), embeddings=True)

    async def _vectors(self, request: Request) -> Response:
        """Embeddings of an endpoint that works. They are made of the text alone."""
        try:
            body = await request.json()
            given = body["input"]
            texts = [given] if isinstance(given, str) else list(given)
            if not texts or len(texts) > MOST_TEXTS or not all(isinstance(text, str) for text in texts):
                raise ValueError
            dimensions = int(body.get("dimensions") or EMBEDDING_DIMENSIONS)
        except (ValueError, KeyError, TypeError):
            expected = f"the body must be JSON with an input of 1 to {MOST_TEXTS:,} texts"
            return refused(400, expected, "invalid_request")
        tokens = sum(self._counter.count(text) for text in texts)
        encoded = body.get("encoding_format") == "base64"
        data = []
        for index, text in enumerate(texts):
            vector = self._labeller.embedding(text, dimensions)
            shown = base64.b64encode(vector.tobytes()).decode() if encoded else vector.tolist()
            data.append({"object": "embedding", "index": index, "embedding": shown})
        # Nothing is generated: there is only the way there and back, a third of a first token's time.
        await asyncio.sleep(self.latency(fingerprint(["embeddings", texts]), tokens, 0) / 3)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return JSONResponse({"object": "list", "data": data, "model": body.get("model"), "usage": usage})

    async def _honest(self, request: Request) -> Response:
        """The answer of an endpoint that works."""
        try:
            body = await request.json()
            messages = body["messages"]
            text = "\n".join(message["content"] for message in messages)
        except (ValueError, KeyError, TypeError):
            return refused(
                400, "the body must be JSON with messages whose content is text", "invalid_request"
            )
        if request.headers.get("authorization", "Bearer ") == "Bearer ":
            return refused(401, "no API key was given: any text will do here", "invalid_api_key")
        model = self._served.get(str(body.get("model")))
        if model is None:
            known = f"this simulated endpoint serves {' and '.join(self._served)} only"
            return refused(404, f"unknown model {body.get('model')!r}: {known}", "model_not_found")
        schema = schema_text(body.get("response_format"))
        prompt_tokens = self._counter.count(text) + (self._counter.count(schema) if schema else 0)
        if prompt_tokens > model.context_window:
            limit = f"the maximum context length is {model.context_window} tokens"
            return refused(400, f"{limit}, the prompt has {prompt_tokens}", "context_length_exceeded")
        try:
            answer = self._answer(messages, int(body.get("seed") or 0))
        except ReplyError as error:
            return refused(400, str(error), "invalid_request")
        return await self._completion(body, model, schema + text, prompt_tokens, answer)

    def _answer(self, messages: Sequence[Mapping[str, str]], seed: int) -> str:
        request = parse_request(messages)
        if isinstance(request, BatchRequest):
            return self._labeller.label(request, seed)
        if isinstance(request, JudgeRequest):
            return self._labeller.judge(request, seed)
        if isinstance(request, NamesRequest):
            return self._labeller.names(request, seed)
        return self._labeller.judge_pairs(request, seed)

    async def _completion(
        self, body: Mapping[str, Any], model: ModelConfig, text: str, prompt_tokens: int, answer: str
    ) -> Response:
        """`text` is all that the model reads, what a cache may know of it first."""
        limit = body.get("max_completion_tokens") or body.get("max_tokens") or model.output_limit
        completion_tokens, finish_reason = self._counter.count(answer), "stop"
        if completion_tokens > limit:
            answer = answer[: len(answer) * limit // completion_tokens]
            completion_tokens, finish_reason = limit, "length"
        limits = self._limits[model.name]
        wait = limits.seconds_until(prompt_tokens + completion_tokens)
        if wait > 0:
            message = f"Rate limit reached for {model.name}. Please try again in {wait:.3f}s."
            headers = {"retry-after-ms": str(math.ceil(wait * 1000)), **limits.headers()}
            return refused(429, message, "rate_limit_exceeded", headers)
        limits.take(prompt_tokens + completion_tokens)
        cached = self._cache.cached_tokens(text, prompt_tokens)
        identity = hashlib.sha256(json.dumps([text, body.get("seed")]).encode()).hexdigest()
        self._under_way += 1
        try:
            others = self._under_way - 1
            await asyncio.sleep(self.latency(identity, prompt_tokens, completion_tokens, others))
        finally:
            self._under_way -= 1
        return JSONResponse(
            {
                "id": f"chatcmpl-{identity[:24]}",
                "object": "chat.completion",
                "created": 0,
                "model": model.name,
                "choices": [
                    {
                        "index": 0,
                        "message": {"role": "assistant", "content": answer, "refusal": None},
                        "finish_reason": finish_reason,
                        "logprobs": None,
                    }
                ],
                "usage": {
                    "prompt_tokens": prompt_tokens,
                    "completion_tokens": completion_tokens,
                    "total_tokens": prompt_tokens + completion_tokens,
                    "prompt_tokens_details": {"cached_tokens": cached},
                },
            },
            headers=limits.headers(),
        )

    def latency(self, identity: str, prompt_tokens: int, completion_tokens: int, others: int = 0) -> float:
        """Seconds that a call takes beside `others`; log-normal around the configured medians, with a tail if
        there is one, seeded by the request."""
        noise, draw = self._noise, draws("latency", identity)
        spread = draw.normal(0.0, noise.latency_sigma, 2)
        first_token = noise.first_token_seconds * math.exp(spread[0])
        speed = noise.tokens_per_second * math.exp(spread[1])
        seconds = first_token + prompt_tokens / noise.prompt_tokens_per_second + completion_tokens / speed
        if noise.latency_tail and draw.random() < noise.latency_tail:
            seconds *= 1 + float(draw.pareto(TAIL_EXPONENT))
        return seconds * (1 + noise.latency_crowding * others)


class TimedTransport(httpx2.AsyncBaseTransport):
    """Raises ReadTimeout when the app takes longer than the request allows, as a network would."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Pass a request on, within its time-out."""
        allowed = request.extensions.get("timeout", {}).get("read")
        try:
            return await asyncio.wait_for(self._inner.handle_async_request(request), allowed)
        except TimeoutError:
            raise httpx2.ReadTimeout(f"no answer within {allowed} s", request=request) from None
