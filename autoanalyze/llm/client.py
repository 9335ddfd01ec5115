"""OpenAIAnalysis: the model behind any OpenAI-compatible endpoint. The only importer of openai."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import httpx2
import openai
from openai.types.chat import ChatCompletion

from autoanalyze.config import ModelConfig, RetryConfig
from autoanalyze.errors import ConfigurationError, JournalError, ReplyError
from autoanalyze.llm.calls import Call, Completion, Endpoint
from autoanalyze.llm.journal import Journal, RecordedAnswer, request_hash
from autoanalyze.llm.judging import judge_messages, judge_reply_schema, parse_judge_reply
from autoanalyze.llm.limits import Budget, RateLimiter
from autoanalyze.llm.prompts import AnalysisPrompt
from autoanalyze.llm.refusals import REFUSED, FormatRefusedError, describe, translated
from autoanalyze.llm.retries import patient
from autoanalyze.llm.tokens import TokenManagement
from autoanalyze.records import (
    CallContext,
    Judgement,
    LabelField,
    Reply,
    SessionText,
    Usage,
    VocabularySnapshot,
)

__all__ = ["OpenAIAnalysis"]

JUDGE_COMPLETION_TOKENS_PER_LABEL = 10
REPLY_FORMATS = ("json_schema", "json_object", "text")

RESERVE_FACTOR, RESERVE_TOKENS = 1.25, 300
"""A call reserves for more prompt tokens than we count: message frames and the reply schema are billed
too, and the estimate may fall short of a real encoding."""


class OpenAIAnalysis:
    """Asks an endpoint for facts and judgements, and journals every call.

    A call whose answer is in the journal is not made again; with `replay` no other is made at
    all. The openai client's own retries are off: an attempt that the journal does not know of
    would escape the record and the budget. With `relive`, a reused answer takes as long on the
    run's clock as it took when it was made.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        model: ModelConfig,
        prompt: AnalysisPrompt,
        tokens: TokenManagement,
        journal: Journal,
        limiter: RateLimiter,
        budget: Budget,
        retry: RetryConfig,
        timeout_seconds: float = 120.0,
        replay: bool = False,
        relive: bool = False,
    ) -> None:
        if model.reply_format not in REPLY_FORMATS:
            raise ConfigurationError(
                f"model.reply_format={model.reply_format} is unknown: use {', '.join(REPLY_FORMATS)}"
            )
        self._http = None if endpoint.transport is None else httpx2.AsyncClient(transport=endpoint.transport)
        self._client = openai.AsyncOpenAI(
            api_key=endpoint.api_key,
            base_url=endpoint.base_url,
            max_retries=0,
            timeout=timeout_seconds,
            http_client=self._http,
        )
        self._endpoint = endpoint
        self._model = model
        self._prompt = prompt
        self._tokens = tokens
        self._journal = journal
        self._limiter = limiter
        self._budget = budget
        self._retry = retry
        self._timeout = timeout_seconds
        self._replay = replay
        self._relive = relive
        self._reply_format = model.reply_format

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def analyze_batch(
        self, sessions: Sequence[SessionText], vocabulary: VocabularySnapshot, context: CallContext
    ) -> Reply:
        """Label `sessions`; see `records.Model`."""
        session_ids = tuple(session.session_id for session in sessions)
        completion = await self._complete(
            self._prompt.messages(sessions, vocabulary),
            kind="analyze",
            reply_schema=self._prompt.reply_schema(),
            completion_limit=self._tokens.completion_limit(len(sessions)),
            expected_completion=self._tokens.expected_completion(len(sessions)),
            context=context,
            session_ids=session_ids,
            vocabulary_version=vocabulary.version,
        )
        try:
            rows, error = self._prompt.parse_reply(completion.text, session_ids, vocabulary), None
        except ReplyError as reply_error:
            rows, error = (), str(reply_error)
        return Reply(rows, completion.usage, completion.finish_reason, completion.seconds, error)

    async def judge_duplicates(
        self, label_field: LabelField, labels: Sequence[str], context: CallContext
    ) -> Judgement:
        """Group `labels` that mean the same; see `records.Model`."""
        limit = max(200, JUDGE_COMPLETION_TOKENS_PER_LABEL * len(labels))
        completion = await self._complete(
            judge_messages(label_field, labels),
            kind="judge",
            reply_schema=judge_reply_schema(),
            completion_limit=min(self._model.output_limit, limit),
            expected_completion=limit // 4,
            context=context,
            session_ids=(),
            vocabulary_version=0,
        )
        try:
            groups, error = parse_judge_reply(completion.text, labels), None
        except ReplyError as reply_error:
            groups, error = (), str(reply_error)
        return Judgement(groups, completion.usage, completion.seconds, error)

    async def _complete(
        self,
        messages: list[dict[str, str]],
        *,
        kind: str,
        reply_schema: dict[str, Any],
        completion_limit: int,
        expected_completion: int,
        context: CallContext,
        session_ids: tuple[str, ...],
        vocabulary_version: int,
    ) -> Completion:
        """One call: from the journal if it is there, else made, and tried again as long as that may help."""
        clock = asyncio.get_running_loop()
        prompt_tokens = sum(self._tokens.counter.count(message["content"]) for message in messages)
        formats = REPLY_FORMATS[REPLY_FORMATS.index(self._reply_format) :]
        calls = []
        for reply_format in formats:
            request = self._request(
                messages, kind, reply_schema, completion_limit, context.seed, reply_format
            )
            digest = request_hash(request, self._endpoint.identity)
            call = Call(
                kind, request, digest, context, session_ids, vocabulary_version,
                prompt_tokens, completion_limit, expected_completion, clock.time(),
            )  # fmt: skip
            recorded = self._journal.recorded(digest)
            if recorded is not None:
                self._reply_format = reply_format
                return await self._reuse(call, recorded)
            calls.append(call)
        if self._replay:
            where = f"{kind}, {context.phase} round {context.round}, stream {context.stream}"
            raise JournalError(
                f"a replay needs a call that no journal holds ({where}): use the configuration and data of "
                "the recorded run"
            )
        return await self._make(dict(zip(formats, calls, strict=True)))

    async def _make(self, calls: Mapping[str, Call]) -> Completion:
        """Make a call, in the strictest reply format that the endpoint knows."""
        for reply_format, call in calls.items():
            try:
                async for attempt in patient(self._retry, call.digest):
                    with attempt:
                        return await self._attempt(call)
            except FormatRefusedError:
                if reply_format == REPLY_FORMATS[-1]:
                    raise
                self._reply_format = REPLY_FORMATS[REPLY_FORMATS.index(reply_format) + 1]
        raise AssertionError("the last format returns or raises")

    async def _reuse(self, call: Call, recorded: RecordedAnswer) -> Completion:
        clock = asyncio.get_running_loop()
        if self._relive:
            await self._live_again(call, recorded)
        self._journal.reused(
            {
                "request": call.digest,
                "kind": call.kind,
                "phase": call.context.phase,
                "round": call.context.round,
                "stream": call.context.stream,
                "attempt": call.context.attempt,
                "model": self._model.name,
                "session_ids": list(call.session_ids),
                "vocabulary_version": call.vocabulary_version,
                "began": call.began,
                "start": call.began,
            },
            recorded,
            end=clock.time(),
        )
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
            with self._limiter.seat(call.planned_tokens):
                await asyncio.sleep(max(0.0, tried.end - clock.time()))
            if tried.busy:
                self._limiter.refused(call.planned_tokens, tried.start)
        used = recorded.usage.prompt + recorded.usage.completion
        self._limiter.answered(call.planned_tokens, used, {})

    async def _attempt(self, call: Call) -> Completion:
        """One request, from the wait for its turn to its line in the journal."""
        clock = asyncio.get_running_loop()
        reserved = self.upper_bound_usd(call.prompt_tokens, call.completion_limit)
        async with self._limiter.slot(call.planned_tokens):
            self._budget.reserve(reserved)
            started = clock.time()
            entry = self._journal.sent(
                request=call.digest,
                kind=call.kind,
                model=self._model.name,
                context=call.context,
                session_ids=call.session_ids,
                vocabulary_version=call.vocabulary_version,
                reserved_usd=reserved,
                began=call.began,
                start=started,
            )
            try:
                async with asyncio.timeout(self._timeout):
                    raw = await self._client.chat.completions.with_raw_response.create(**call.request)
                answer = completed(raw.parse())
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
                    self._limiter.refused(call.planned_tokens, started)
                raise translated(error, self._endpoint.identity, self._model.name) from None
            usage = self._counted(answer, call)
            cost = self._tokens.calculate_cost_estimate(usage)
            text, finish_reason = said(answer)
            self._journal.answered(
                entry, end=clock.time(), usage=usage, cost_usd=cost, finish_reason=finish_reason, reply=text
            )
            self._budget.settle(reserved, cost)
            self._limiter.answered(call.planned_tokens, usage.prompt + usage.completion, raw.headers)
        return Completion(text, usage, finish_reason, clock.time() - call.began)

    def upper_bound_usd(self, prompt_tokens: int, completion_limit: int) -> float:
        """The most that a call may cost."""
        prompt = round(prompt_tokens * RESERVE_FACTOR) + RESERVE_TOKENS
        return self._tokens.calculate_cost_estimate(Usage(prompt, 0, completion_limit))

    def _fail(
        self, entry: dict[str, Any], error: str, reserved: float, uncertain: float, *, busy: bool
    ) -> None:
        now = asyncio.get_running_loop().time()
        self._journal.failed(entry, end=now, error=error, uncertain_usd=uncertain, busy=busy)
        self._budget.settle(reserved, uncertain)

    def _counted(self, answer: ChatCompletion, call: Call) -> Usage:
        """The usage of an answer; for an endpoint that reports none, what we count ourselves."""
        usage = answer.usage
        if usage is None:
            return Usage(call.prompt_tokens, 0, self._tokens.counter.count(said(answer)[0]))
        details = usage.prompt_tokens_details
        cached = (details.cached_tokens if details else 0) or 0
        return Usage(usage.prompt_tokens, min(cached, usage.prompt_tokens), usage.completion_tokens)

    def _request(
        self,
        messages: list[dict[str, str]],
        kind: str,
        reply_schema: dict[str, Any],
        completion_limit: int,
        seed: int,
        reply_format: str,
    ) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": self._model.name,
            "messages": messages,
            "seed": seed,
            self._model.output_parameter: completion_limit,
        }
        if self._model.temperature is not None:
            request["temperature"] = self._model.temperature
        if reply_format == "json_schema":
            form = {"name": f"{kind}_reply", "strict": True, "schema": reply_schema}
            request["response_format"] = {"type": "json_schema", "json_schema": form}
        elif reply_format == "json_object":
            request["response_format"] = {"type": "json_object"}
        return request


def plain(error: Exception) -> Exception:
    """The client's error as the standard library calls it, unless it is an answer with an error status."""
    if isinstance(error, openai.APITimeoutError):
        return TimeoutError(str(error))
    if isinstance(error, openai.APIConnectionError):
        return ConnectionError(f"{error} {error.__cause__ or ''}".strip())
    if isinstance(error, openai.APIResponseValidationError):
        return ValueError(str(error))
    return error


def completed(answer: object) -> ChatCompletion:
    """The answer, if it is a chat completion. Raises ValueError for a proxy's page or half an answer."""
    if not isinstance(answer, ChatCompletion) or not isinstance(answer.choices, list):
        raise ValueError(f"this is no chat completion: {json.dumps(str(answer)[:80])}")
    return answer


def said(answer: ChatCompletion) -> tuple[str, str]:
    """Text and finish reason of an answer; `content_filter` also for a refusal, `empty` for no choice."""
    if not answer.choices:
        return "", "empty"
    choice = answer.choices[0]
    if choice.finish_reason == REFUSED or choice.message.refusal:
        return "", REFUSED
    return choice.message.content or "", choice.finish_reason or "stop"
