"""A call to an endpoint: where it goes, what is asked, what comes back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx2
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from autoanalyze.config import RetryConfig
from autoanalyze.errors import TransientEndpointError
from autoanalyze.records import CallContext, Usage


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go. `identity` names it in records and request hashes and holds no secret.

    `transport` is null for the network, or takes the requests inside this process. In `virtual_time` an hour
    of latency is nobody's wait, and an answer from a journal takes as long as it took when it was made.
    """

    identity: str
    base_url: str | None
    api_key: str
    transport: httpx2.AsyncBaseTransport | None = None
    virtual_time: bool = False

    def __repr__(self) -> str:
        """The endpoint without its key."""
        return f"Endpoint({self.identity!r})"


@dataclass(frozen=True, slots=True)
class Completion:
    """What came back from one call."""

    text: str
    usage: Usage
    finish_reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it is wanted: the request, and what the journal should know of it."""

    kind: str
    """`analyze`, `judge` or `embed`."""
    model: str
    request: dict[str, Any]
    """What is sent, but for the form of the reply."""
    digest: str
    context: CallContext
    session_ids: tuple[str, ...]
    vocabulary_version: int
    prompt_tokens: int
    completion_limit: int
    expected_completion: int
    began: float
    """When the call was first wanted, before waiting for limits and earlier attempts."""
    forms: tuple[Mapping[str, Any], ...] = ({},)
    """What is added to say how the answer is to look, the strictest form first."""

    @property
    def planned_tokens(self) -> int:
        """What the call will probably take from the tokens per minute."""
        return self.prompt_tokens + self.expected_completion


JITTER_AFTER_ASKED = 0.1
"""Share of a wait that the endpoint asked for which is added at random, so that streams come back apart."""


def backoff(config: RetryConfig, attempt: int, generator: random.Random) -> float:
    """Seconds to wait after so many attempts: doubling from the first to the longest wait, with a jitter of a
    half."""
    wait = config.first_wait_seconds * 2.0 ** min(attempt - 1, 60)
    return min(config.longest_wait_seconds, wait) * generator.uniform(0.5, 1.0)


def patient(config: RetryConfig, seed: str) -> AsyncRetrying:
    """Attempts at one call; `seed` decides the jitter. After the last, its error is raised."""
    clock = asyncio.get_running_loop()
    began = clock.time()
    generator = random.Random(seed)

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, TransientEndpointError) else None
        if asked is not None:
            return asked * (1 + JITTER_AFTER_ASKED * generator.random())
        return backoff(config, state.attempt_number, generator)

    def stop(state: RetryCallState) -> bool:
        passed = clock.time() - began + state.upcoming_sleep
        return state.attempt_number >= config.call_attempts or passed > config.call_seconds

    return AsyncRetrying(
        sleep=asyncio.sleep,
        retry=retry_if_exception_type(TransientEndpointError),
        wait=wait,
        stop=stop,
        reraise=True,
    )


Result = TypeVar("Result")


async def together(work: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """Results in the order of `work`, whatever ends first.

    If some of it fails, the rest is still brought to its end, because calls in flight are paid for
    and their answers worth keeping; then the first error, in order, is raised. Cancelling cancels all.
    """
    results = await asyncio.gather(*work, return_exceptions=True)
    finished: list[Result] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        finished.append(result)
    return finished
