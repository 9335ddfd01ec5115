"""The simulated endpoint, seen through the real openai client."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx2
import numpy as np
import openai
import pytest
from fakes import MODEL, SCHEMA

from autoanalyze.config import ModelConfig, NoiseConfig
from autoanalyze.llm.prompts import AnalysisPrompt
from autoanalyze.llm.tokens import Estimate, schema_text
from autoanalyze.records import SessionText, Truth, VocabularySnapshot
from autoanalyze.serving.app import ServedEndpoint
from autoanalyze.simulation.model import SimulatedModel
from autoanalyze.simulation.truth import PlantedTruth

Virtually = Callable[[Any], Any]
TEXT = "user: where is my claim\nbot: on its way"
TRUTH = PlantedTruth(
    [(TEXT, Truth("a", "Contained", {"general_intent": "Claim Status"})), ("user: b", Truth("b", None, {}))]
)


def endpoint(model: ModelConfig = MODEL) -> ServedEndpoint:
    return ServedEndpoint(SimulatedModel(TRUTH, NoiseConfig(), SCHEMA), model, NoiseConfig(), Estimate())


@asynccontextmanager
async def client(served: ServedEndpoint, **changes: Any) -> AsyncIterator[openai.AsyncOpenAI]:
    http = httpx2.AsyncClient(transport=served.transport())
    settings: dict[str, Any] = {
        "api_key": "x",
        "base_url": "http://simulated/v1",
        "max_retries": 0,
        **changes,
    }
    async with openai.AsyncOpenAI(http_client=http, **settings) as opened:
        yield opened


def messages(text: str = TEXT, labels: int = 0) -> Any:
    vocabulary = VocabularySnapshot().extended(
        {"general_intent": [f"Label Number {i}" for i in range(labels)]}
    )
    return AnalysisPrompt(SCHEMA).messages([SessionText("a", text, 10)], vocabulary)


def ask(served: ServedEndpoint, content: Any = None, settings: Any = None, **request: Any) -> Any:
    async def go() -> tuple[Any, float]:
        async with client(served, **(settings or {})) as opened:
            answer = await opened.chat.completions.create(
                **{"model": "test-model", "messages": content or messages(), "seed": 1, **request}
            )
            return answer, asyncio.get_running_loop().time()

    return go()


def test_answer_is_a_chat_completion(virtually: Virtually) -> None:
    """The client gets content, usage and finish reason as from OpenAI, after virtual seconds."""
    answer, seconds = virtually(ask(endpoint()))
    assert answer.choices[0].finish_reason == "stop"
    assert '"C":"s1"' in answer.choices[0].message.content
    assert answer.usage.prompt_tokens > 100
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert 0.3 < seconds < 10


def test_same_request_same_answer_and_latency(virtually: Virtually) -> None:
    """Answer and time depend on the request alone."""
    (first, seconds), (again, same) = virtually(ask(endpoint())), virtually(ask(endpoint()))
    assert (first, seconds) == (again, same)
    assert virtually(ask(endpoint(), seed=2))[1] != seconds


def test_limit_cuts_the_reply_off(virtually: Virtually) -> None:
    """A reply longer than allowed ends where the limit is, and says so."""
    answer, _ = virtually(ask(endpoint(), max_completion_tokens=10))
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 10


def test_repeated_prefix_is_cached(virtually: Virtually) -> None:
    """A prompt whose beginning was seen counts as cached from 1,024 tokens on, in steps of 128."""
    served = endpoint()
    first, _ = virtually(ask(served, messages(labels=400)))
    second, _ = virtually(ask(served, messages("user: another one", labels=400)))
    short, _ = virtually(ask(served))
    again, _ = virtually(ask(served))
    assert first.usage.prompt_tokens_details.cached_tokens == 0
    cached = second.usage.prompt_tokens_details.cached_tokens
    assert 1024 <= cached <= second.usage.prompt_tokens
    assert cached % 128 == 0
    assert again.usage.prompt_tokens_details.cached_tokens == 0
    assert short.usage.prompt_tokens < 1024


def test_schema_is_billed_and_stands_before_everything(virtually: Virtually) -> None:
    """The reply's schema counts as part of the prompt, and another one is another prefix to the cache."""
    prompt, served = AnalysisPrompt(SCHEMA), endpoint()

    def form(sessions: int) -> Any:
        schema = prompt.reply_schema(sessions)
        return {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}

    plain, _ = virtually(ask(endpoint(), messages(labels=400)))
    first, same, other = (
        virtually(ask(served, messages(labels=400), response_format=form(sessions)))[0].usage
        for sessions in (1, 1, 2)
    )
    more = first.prompt_tokens - plain.usage.prompt_tokens
    assert more == Estimate().count(schema_text(form(1)))
    assert same.prompt_tokens_details.cached_tokens >= 1024
    assert other.prompt_tokens_details.cached_tokens == 0
    free, _ = virtually(ask(endpoint(), messages(labels=400), response_format={"type": "json_object"}))
    assert free.usage == plain.usage


@pytest.mark.parametrize(
    ("request_", "error", "code"),
    [
        ({"model": "gpt-none"}, openai.NotFoundError, "model_not_found"),
        ({"messages": [{"role": "user", "content": "hi"}]}, openai.BadRequestError, "invalid_request"),
        ({"messages": [{"role": "user", "content": None}]}, openai.BadRequestError, "invalid_request"),
        (
            {"messages": [{"role": "user", "content": "x" * 600_000}]},
            openai.BadRequestError,
            "context_length_exceeded",
        ),
    ],
)
def test_bad_requests_get_openai_errors(
    virtually: Virtually, request_: dict[str, Any], error: type[openai.APIStatusError], code: str
) -> None:
    """What OpenAI refuses is refused with its status and code."""
    with pytest.raises(error) as caught:
        virtually(ask(endpoint(), **request_))
    assert caught.value.code == code


def test_slow_answer_is_a_time_out(virtually: Virtually) -> None:
    """A time-out strikes in process as it would on a network, in virtual time."""
    slow = ServedEndpoint(
        SimulatedModel(TRUTH, NoiseConfig(), SCHEMA),
        MODEL,
        replace(NoiseConfig(), first_token_seconds=1000.0),
        Estimate(),
    )
    with pytest.raises(openai.APITimeoutError):
        virtually(ask(slow, settings={"timeout": 30.0}))


def test_models_are_listed(virtually: Virtually) -> None:
    """A client that asks what there is learns the model's name."""

    async def names() -> list[str]:
        async with client(endpoint()) as opened:
            return [model.id async for model in opened.models.list()]

    assert virtually(names()) == ["test-model"]


def embed(served: ServedEndpoint, **request: Any) -> Any:
    async def go() -> tuple[Any, float]:
        async with client(served) as opened:
            answer = await opened.embeddings.create(**{"model": "text-embedding-3-small", **request})
            return answer, asyncio.get_running_loop().time()

    return go()


def test_embeddings_are_those_of_openai(virtually: Virtually) -> None:
    """A vector per text, in order, of the asked dimensions, as numbers or packed; usage and time pass."""
    texts = ["Claim Status", "Refund", "Claim Status"]
    answer, seconds = virtually(embed(endpoint(), input=texts, dimensions=64))
    vectors = [part.embedding for part in answer.data]
    assert [part.index for part in answer.data] == [0, 1, 2]
    assert [len(vector) for vector in vectors] == [64] * 3
    assert vectors[0] == vectors[2] != vectors[1]
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 3
    assert 0.05 < seconds < 5
    whole, _ = virtually(embed(endpoint(), input="Refund"))
    assert len(whole.data[0].embedding) == 1536
    packed, _ = virtually(embed(endpoint(), input=texts, dimensions=64, encoding_format="base64"))
    assert np.frombuffer(b64decode(packed.data[1].embedding), np.float32) == pytest.approx(vectors[1])


@pytest.mark.parametrize("texts", [[], ["x"] * 2049, [1, 2]])
def test_bad_embedding_requests_are_refused(virtually: Virtually, texts: Any) -> None:
    """No text, too many, and what is no text get a 400 that says so."""
    with pytest.raises(openai.BadRequestError, match="1 to 2,048 texts"):
        virtually(embed(endpoint(), input=texts))
