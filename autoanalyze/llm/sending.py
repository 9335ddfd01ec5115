"""Sender: makes calls, tries again, prices and journals them. The only importer of openai."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import httpx2
import openai
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion

from autoanalyze.config import RetryConfig
from autoanalyze.errors import JournalError
from autoanalyze.llm.calls import (
    REFUSED,
    Call,
    Completion,
    Endpoint,
    FormatRefusedError,
    describe,
    patient,
    translated,
)
from autoanalyze.llm.journal import Journal, RecordedAnswer
from autoanalyze.llm.limits import Budget, RateLimiter
from autoanalyze.llm.tokens import TokenManagement
from autoanalyze.records import Usage

RESERVE_FACTOR, RESERVE_TOKENS = 1.25, 300
"""A call reserves for more prompt tokens than we count: message frames and the reply schema are billed
too, and the estimate may fall short of a real encoding."""


class Sender:
    """Sends calls to an endpoint, and journals every one.

    A call whose answer is in the journal is not made again; with `replay` no other is made at
    all. The openai client's own retries are off: an attempt that the journal does not know of
    would escape the record and the budget. Embeddings are not counted against the limits of the
    labelling model, since providers have limits per model.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        tokens: TokenManagement,
        journal: Journal,
        limiter: RateLimiter,
        budget: Budget,
        retry: RetryConfig,
        timeout_seconds: float = 120.0,
        replay: bool = False,
    ) -> None:
        http = None if endpoint.transport is None else httpx2.AsyncClient(transport=endpoint.transport)
        self._client = openai.AsyncOpenAI(
            api_key=endpoint.api_key,
            base_url=endpoint.base_url,
            max_retries=0,
            timeout=timeout_seconds,
            http_client=http,
        )
        self.endpoint = endpoint
        self._tokens = tokens
        self._journal = journal
        self._limiters = {
            "embed": RateLimiter(requests_per_minute=None, tokens_per_minute=None, concurrency=8)
        }
        self._limiter = limiter
        self._budget = budget
        self._retry = retry
        self._timeout = timeout_seconds
        self._replay = replay

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def send(self, calls: Mapping[str, Call]) -> tuple[str, Completion]:
        """The answer to a call, and the form in which it was asked for.

        `calls` are the same call in all forms that are acceptable, by name and the strictest first.
        One whose answer is known is not made; else it is made, and tried again as long as that may help.
        """
        for form, call in calls.items():
            recorded = self._journal.recorded(call.digest)
            if recorded is not None:
                return form, await self._reuse(call, recorded)
        if self._replay:
            call = next(iter(calls.values()))
            context = call.context
            where = f"{call.kind}, {context.phase} round {context.round}, stream {context.stream}"
            raise JournalError(
                f"a replay needs a call that no journal holds ({where}): use the configuration and data of "
                "the recorded run"
            )
        for form, call in calls.items():
            try:
                async for attempt in patient(self._retry, call.digest):
                    with attempt:
                        return form, await self._attempt(call)
            except FormatRefusedError:
                if form == list(calls)[-1]:
                    raise
        raise AssertionError("the last form returns or raises")

    def _limiter_of(self, call: Call) -> RateLimiter:
        return self._limiters.get(call.kind, self._limiter)

    async def _reuse(self, call: Call, recorded: RecordedAnswer) -> Completion:
        clock = asyncio.get_running_loop()
        if self.endpoint.virtual_time:
            await self._live_again(call, recorded)
        self._journal.reused(call, recorded, end=clock.time())
        return Completion(recorded.text, recorded.usage, recorded.finish_reason, clock.time() - call.began)

    async def _live_again(self, call: Call, recorded: RecordedAnswer) -> None:
        """Let the time of a recorded call pass. One of this run also takes its part of the limits again,
        so that calls after it leave when they would have left."""
        clock = asyncio.get_running_loop()
        if not recorded.own:
            await asyncio.sleep(recorded.seconds)
            return
        for tried in recorded.tries:
            await asyncio.sleep(max(0.0, tried.start - clock.time()))
            with self._limiter_of(call).seat(call.planned_tokens):
                await asyncio.sleep(max(0.0, tried.end - clock.time()))
            if tried.busy:
                self._limiter_of(call).refused(call.planned_tokens, tried.start)
        usage = recorded.usage
        used = usage.prompt + usage.completion + usage.embedded
        self._limiter_of(call).answered(call.planned_tokens, used, {})

    async def _attempt(self, call: Call) -> Completion:
        """One request, from the wait for its turn to its line in the journal."""
        clock = asyncio.get_running_loop()
        reserved = self._upper_bound_usd(call)
        async with self._limiter_of(call).slot(call.planned_tokens):
            self._budget.reserve(reserved)
            started = clock.time()
            entry = self._journal.sent(call, reserved_usd=reserved, start=started)
            try:
                raw: Any
                async with asyncio.timeout(self._timeout):
                    if call.kind == "embed":
                        raw = await self._client.embeddings.with_raw_response.create(**call.request)
                    else:
                        # `extra_body` takes precedence and is sent as it is; given as arguments, the client
                        # would compare every message with every form a message can have.
                        raw = await self._client.chat.completions.with_raw_response.create(
                            model=call.model, messages=[], extra_body=dict(sorted(call.request.items()))
                        )
                text, usage, finish_reason = self._read(call, raw.parse())
            except asyncio.CancelledError:
                self._fail(entry, "cancelled", reserved, reserved, busy=False)
                raise
            except (openai.OpenAIError, TimeoutError, ValueError) as raised:
                error = plain(raised)
                # What was refused costs nothing; of a time-out nobody knows whether it will be billed.
                uncertain = 0.0 if isinstance(error, openai.APIStatusError) else reserved
                busy = getattr(error, "status_code", None) == 429
                self._fail(entry, describe(error), reserved, uncertain, busy=busy)
                if busy:
                    self._limiter_of(call).refused(call.planned_tokens, started)
                raise translated(error, self.endpoint.identity, call.model) from None
            cost = self._tokens.calculate_cost_estimate(usage)
            self._journal.answered(
                entry, end=clock.time(), usage=usage, cost_usd=cost, finish_reason=finish_reason, reply=text
            )
            self._budget.settle(reserved, cost)
            used = usage.prompt + usage.completion + usage.embedded
            self._limiter_of(call).answered(call.planned_tokens, used, raw.headers)
        return Completion(text, usage, finish_reason, clock.time() - call.began)

    def _upper_bound_usd(self, call: Call) -> float:
        """The most that a call may cost."""
        prompt = round(call.prompt_tokens * RESERVE_FACTOR) + RESERVE_TOKENS
        usage = Usage(embedded=prompt) if call.kind == "embed" else Usage(prompt, 0, call.completion_limit)
        return self._tokens.calculate_cost_estimate(usage)

    def _fail(
        self, entry: dict[str, Any], error: str, reserved: float, uncertain: float, *, busy: bool
    ) -> None:
        now = asyncio.get_running_loop().time()
        self._journal.failed(entry, end=now, error=error, uncertain_usd=uncertain, busy=busy)
        self._budget.settle(reserved, uncertain)

    def _read(self, call: Call, answer: object) -> tuple[str, Usage, str]:
        """Text, usage, finish reason. Raises ValueError for a proxy's page or half an answer."""
        if call.kind == "embed":
            if not isinstance(answer, CreateEmbeddingResponse) or not isinstance(answer.data, list):
                raise ValueError(f"these are no embeddings: {json.dumps(str(answer)[:80])}")
            vectors = [part.embedding for part in sorted(answer.data, key=lambda part: part.index)]
            billed = answer.usage.prompt_tokens if answer.usage else call.prompt_tokens
            return json.dumps(vectors, separators=(",", ":")), Usage(embedded=billed), "stop"
        if not isinstance(answer, ChatCompletion) or not isinstance(answer.choices, list):
            raise ValueError(f"this is no chat completion: {json.dumps(str(answer)[:80])}")
        text, finish_reason = said(answer)
        return text, self._counted(answer, call, text), finish_reason

    def _counted(self, answer: ChatCompletion, call: Call, text: str) -> Usage:
        """The usage of an answer; for an endpoint that reports none, what we count ourselves."""
        usage = answer.usage
        if usage is None:
            return Usage(call.prompt_tokens, 0, self._tokens.counter.count(text))
        details = usage.prompt_tokens_details
        cached = (details.cached_tokens if details else 0) or 0
        return Usage(usage.prompt_tokens, min(cached, usage.prompt_tokens), usage.completion_tokens)


def plain(error: Exception) -> Exception:
    """The client's error as the standard library calls it, unless it is an answer with an error status."""
    if isinstance(error, openai.APITimeoutError):
        return TimeoutError(str(error))
    if isinstance(error, openai.APIConnectionError):
        return ConnectionError(f"{error} {error.__cause__ or ''}".strip())
    if isinstance(error, openai.APIResponseValidationError):
        return ValueError(str(error))
    return error


def said(answer: ChatCompletion) -> tuple[str, str]:
    """Text and finish reason of an answer; `content_filter` also for a refusal, `empty` for no choice."""
    if not answer.choices:
        return "", "empty"
    choice = answer.choices[0]
    if choice.finish_reason == REFUSED or choice.message.refusal:
        return "", REFUSED
    return choice.message.content or "", choice.finish_reason or "stop"
