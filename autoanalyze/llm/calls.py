"""A call to an endpoint: where it goes, what is asked, what comes back."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx2
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from autoanalyze.config import RetryConfig
from autoanalyze.errors import (
    AutoAnalyzeError,
    FatalEndpointError,
    QuotaExceededError,
    RequestRefusedError,
    RequestTooLongError,
    TransientEndpointError,
)
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
    digest: str
    context: CallContext
    session_ids: tuple[str, ...]
    vocabulary_version: int
    prompt_tokens: int
    completion_limit: int
    expected_completion: int
    began: float
    """When the call was first wanted, before waiting for limits and earlier attempts."""

    @property
    def planned_tokens(self) -> int:
        """What the call will probably take from the tokens per minute."""
        return self.prompt_tokens + self.expected_completion


REFUSED = "content_filter"
RETRYABLE_STATUS = frozenset({408, 409, 429})
FILTER_CODES = frozenset({"content_filter", "content_policy_violation"})
LONGEST_DESCRIPTION = 500


class FormatRefusedError(FatalEndpointError):
    """The endpoint does not know the reply format that was asked for; a looser one may do."""


def describe(error: Exception) -> str:
    """An error in one line, for the journal."""
    status = getattr(error, "status_code", "")
    return f"{type(error).__name__} {status}: {getattr(error, 'message', error)}"[:LONGEST_DESCRIPTION]


def translated(error: Exception, endpoint: str, model: str) -> AutoAnalyzeError:
    """The error as the phases know it, with its remedy.

    Takes what the standard library calls TimeoutError, ConnectionError and ValueError (an answer that
    cannot be read), and errors with a `status_code`.
    """
    summary = f"{endpoint}: {describe(error)}"
    if hasattr(error, "status_code"):
        return from_status(error, summary, model)
    if isinstance(error, TimeoutError):
        return TransientEndpointError(f"{summary} (no answer in time; see limits.timeout_seconds)")
    if isinstance(error, ConnectionError):
        return TransientEndpointError(f"{summary} (is the endpoint running and reachable?)")
    if isinstance(error, ValueError):
        return TransientEndpointError(f"{summary} (the answer could not be read)")
    return FatalEndpointError(summary)


def from_status(error: Any, summary: str, model: str) -> AutoAnalyzeError:
    """What an answer with an error status means."""
    status, code, text = error.status_code, getattr(error, "code", None), str(error)
    if code == "insufficient_quota":
        return QuotaExceededError(
            f"{summary} (the account has no credit left; add some, then resume the run)"
        )
    if status in RETRYABLE_STATUS or status >= 500:
        return TransientEndpointError(summary, retry_after(error.response.headers))
    if code == "context_length_exceeded" or "maximum context length" in text:
        return RequestTooLongError(summary)
    if code in FILTER_CODES:
        return RequestRefusedError(summary)
    if status == 400 and "response_format" in text:
        return FormatRefusedError(f"{summary} (set model.reply_format=text)")
    if status in (401, 403):
        return FatalEndpointError(f"{summary} (check OPENAI_API_KEY)")
    if status == 404:
        return FatalEndpointError(f"{summary} (does the endpoint serve the model {model}?)")
    return FatalEndpointError(summary)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the endpoint asks to wait: Retry-After-ms, or Retry-After in seconds."""
    for name, divisor in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        text = headers.get(name, "")
        if re.fullmatch(r"\d+(\.\d+)?", text.strip()):
            return float(text) / divisor
    return None


FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 30.0

JITTER_AFTER_ASKED = 0.1
"""Share of a wait that the endpoint asked for which is added at random, so that streams come back apart."""


def backoff(attempt: int, generator: random.Random) -> float:
    """Seconds to wait after so many attempts: doubling from 1 to 30, with a jitter of a half."""
    return min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** (attempt - 1)) * generator.uniform(0.5, 1.0)


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
        return backoff(state.attempt_number, generator)

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
