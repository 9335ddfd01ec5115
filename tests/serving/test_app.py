"""The simulated endpoint, seen through the real openai client."""

from __future__ import annotations

import asyncio
import math
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
from autoanalyze.llm.tokens import Estimate
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


# Latency


def latencies(count: int = 4_000, others: int = 0, **noise: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Seconds of many calls of 500 and 80 tokens."""
    changed = NoiseConfig(**noise)  # type: ignore[arg-type]  # times and shares alone
    served = ServedEndpoint(SimulatedModel(TRUTH, NoiseConfig(), SCHEMA), MODEL, changed, Estimate())
    return np.array([served.latency(str(number), 500, 80, others) for number in range(count)])


def test_calm_latency_is_the_one_of_all_figures() -> None:
    """To the digit, as of git commit 32a6b1c; who else is under way does not matter."""
    calm = latencies(3)
    assert calm.tolist() == [2.6725514554554795, 2.734236346746795, 2.619131640958914]
    assert latencies(3, others=31).tolist() == calm.tolist()


def test_some_calls_are_in_the_tail() -> None:
    """As many as configured, three times as long on average and at times far longer; the others as before."""
    calm, tailed = latencies(), latencies(latency_tail=0.05)
    longer = tailed / calm
    assert longer.min() == 1
    assert (longer > 1).mean() == pytest.approx(0.05, abs=0.015)
    drawn = latencies(latency_tail=1.0) / calm
    assert np.median(drawn) == pytest.approx(2 ** (1 / 1.5), rel=0.05)
    assert drawn.mean() == pytest.approx(3, rel=0.25)
    assert drawn.max() > 30
    assert tailed.tolist() == latencies(latency_tail=0.05).tolist()


@pytest.mark.parametrize("spread", [0.35, 0.7, 1.0])
def test_spread_is_that_of_a_log_normal(spread: float) -> None:
    """Around the same median."""
    first = latencies(latency_sigma=spread, tokens_per_second=1e12, prompt_tokens_per_second=1e12)
    assert np.log(first).std() == pytest.approx(spread, rel=0.05)
    assert np.median(first) == pytest.approx(0.85, rel=0.05)


def test_crowded_calls_take_longer() -> None:
    """By a share for each other one; with 32 streams at 3 % about twice as long."""
    alone, crowded = (latencies(50, others=others, latency_crowding=0.03) for others in (0, 31))
    assert alone.tolist() == latencies(50).tolist()
    assert crowded / alone == pytest.approx(1.93)


def test_calls_that_are_under_way_are_counted(virtually: Virtually) -> None:
    """Each call is as slow as those before it make it, and none when they are done."""
    noise = replace(NoiseConfig(), latency_crowding=1.0, latency_sigma=0.0)
    served = ServedEndpoint(SimulatedModel(TRUTH, NoiseConfig(), SCHEMA), MODEL, noise, Estimate())

    async def together() -> list[float]:
        async with client(served) as opened:
            loop = asyncio.get_running_loop()

            async def one(start: float) -> float:
                await asyncio.sleep(start)
                await opened.chat.completions.create(model="test-model", messages=messages(), seed=1)
                return loop.time() - start

            return list(await asyncio.gather(*map(one, (0.0, 0.1, 0.2, 900.0))))

    first, second, third, last = virtually(together())
    assert math.isclose(first, last, rel_tol=1e-6)
    assert (second / first, third / first) == pytest.approx((2, 3), rel=1e-6)
