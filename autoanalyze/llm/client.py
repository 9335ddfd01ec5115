"""OpenAIAnalysis: the model behind any OpenAI-compatible endpoint. The only importer of openai."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx2
import openai

from autoanalyze.config import ModelConfig
from autoanalyze.errors import ConfigurationError, FatalEndpointError, ReplyError, TransientEndpointError
from autoanalyze.llm import prompts
from autoanalyze.llm.journal import Journal, request_hash
from autoanalyze.llm.tokens import TokenManagement
from autoanalyze.records import (
    CallContext,
    Judgement,
    LabelField,
    LabelSchema,
    Reply,
    SessionText,
    Usage,
    VocabularySnapshot,
)

__all__ = ["Endpoint", "OpenAIAnalysis"]

RETRYABLE_STATUS = frozenset({408, 409, 429})
JUDGE_COMPLETION_TOKENS_PER_LABEL = 40
REPLY_FORMATS = ("json_schema", "json_object", "text")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go. `identity` names it in records and request hashes and holds no secret.

    `transport` is null for the network, or takes the requests inside this process.
    """

    identity: str
    base_url: str | None
    api_key: str
    transport: httpx2.AsyncBaseTransport | None = None

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


class OpenAIAnalysis:
    """Asks an endpoint for facts and judgements, and journals every call.

    The openai client's own retries are off: an attempt that the journal does not know of
    would escape the record and the budget.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        model: ModelConfig,
        schema: LabelSchema,
        tokens: TokenManagement,
        journal: Journal,
        context: str = "",
        timeout_seconds: float = 120.0,
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
        self._schema = schema
        self._tokens = tokens
        self._journal = journal
        self._context = context
        self._reply_format = model.reply_format

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def analyze_batch(
        self, sessions: Sequence[SessionText], vocabulary: VocabularySnapshot, context: CallContext
    ) -> Reply:
        """Label `sessions`; see `records.Model`."""
        completion = await self._complete(
            prompts.batch_messages(self._schema, sessions, vocabulary, self._context),
            kind="analyze",
            reply_schema=prompts.batch_reply_schema(self._schema),
            completion_limit=self._tokens.completion_limit(len(sessions)),
            context=context,
            session_ids=[session.session_id for session in sessions],
            vocabulary_version=vocabulary.version,
        )
        try:
            rows, error = prompts.parse_batch_reply(completion.text), None
        except ReplyError as reply_error:
            rows, error = (), str(reply_error)
        return Reply(rows, completion.usage, completion.finish_reason, completion.seconds, error)

    async def judge_duplicates(
        self, label_field: LabelField, labels: Sequence[str], context: CallContext
    ) -> Judgement:
        """Group `labels` that mean the same; see `records.Model`."""
        limit = JUDGE_COMPLETION_TOKENS_PER_LABEL * len(labels)
        completion = await self._complete(
            prompts.judge_messages(label_field, labels),
            kind="judge",
            reply_schema=prompts.judge_reply_schema(),
            completion_limit=min(self._model.output_limit, max(limit, 200)),
            context=context,
            session_ids=(),
            vocabulary_version=0,
        )
        try:
            groups, error = prompts.parse_judge_reply(completion.text), None
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
        context: CallContext,
        session_ids: Sequence[str],
        vocabulary_version: int,
    ) -> Completion:
        """One journalled call."""
        request = self._request(messages, kind, reply_schema, completion_limit, context.seed)
        prompt_tokens = sum(self._tokens.counter.count(message["content"]) for message in messages)
        clock = asyncio.get_running_loop()
        entry = self._journal.sent(
            request=request_hash(request, self._endpoint.identity),
            kind=kind,
            model=self._model.name,
            context=context,
            session_ids=session_ids,
            vocabulary_version=vocabulary_version,
            reserved_usd=self._tokens.calculate_cost_estimate(Usage(prompt_tokens, 0, completion_limit)),
            start=clock.time(),
        )
        try:
            answer = await self._client.chat.completions.create(**request)
        except openai.OpenAIError as error:
            self._journal.failed(entry, end=clock.time(), error=describe(error))
            self._fall_back(error)
            raise translated(error, self._endpoint, self._model.name) from None
        except asyncio.CancelledError:
            self._journal.failed(entry, end=clock.time(), error="cancelled")
            raise
        choice = answer.choices[0] if answer.choices else None
        text = (choice.message.content if choice else None) or ""
        finish_reason = choice.finish_reason if choice else "empty"
        usage = counted(answer.usage)
        self._journal.answered(entry, end=clock.time(), usage=usage, finish_reason=finish_reason, reply=text)
        return Completion(text, usage, finish_reason, clock.time() - entry["start"])

    def _request(
        self,
        messages: list[dict[str, str]],
        kind: str,
        reply_schema: dict[str, Any],
        completion_limit: int,
        seed: int,
    ) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": self._model.name,
            "messages": messages,
            "seed": seed,
            self._model.output_parameter: completion_limit,
        }
        if self._model.temperature is not None:
            request["temperature"] = self._model.temperature
        if self._reply_format == "json_schema":
            form = {"name": f"{kind}_reply", "strict": True, "schema": reply_schema}
            request["response_format"] = {"type": "json_schema", "json_schema": form}
        elif self._reply_format == "json_object":
            request["response_format"] = {"type": "json_object"}
        return request

    def _fall_back(self, error: openai.OpenAIError) -> None:
        """Ask for a looser reply format from now on if the endpoint does not know the strict one."""
        if isinstance(error, openai.BadRequestError) and "response_format" in str(error):
            position = REPLY_FORMATS.index(self._reply_format) + 1
            self._reply_format = REPLY_FORMATS[min(position, len(REPLY_FORMATS) - 1)]


def counted(usage: Any) -> Usage:
    """The usage of an answer; endpoints that report none are taken at their word."""
    if usage is None:
        return Usage()
    details = usage.prompt_tokens_details
    cached = (details.cached_tokens if details else 0) or 0
    return Usage(usage.prompt_tokens, cached, usage.completion_tokens)


def describe(error: openai.OpenAIError) -> str:
    """An error in one line, for the journal."""
    status = f" {error.status_code}" if isinstance(error, openai.APIStatusError) else ""
    message = error.message if isinstance(error, openai.APIError) else str(error)
    return f"{type(error).__name__}{status}: {message}"[:500]


def translated(
    error: openai.OpenAIError, endpoint: Endpoint, model: str
) -> TransientEndpointError | FatalEndpointError:
    """The error as the phases know it, with its remedy."""
    summary = f"{endpoint.identity}: {describe(error)}"
    if isinstance(error, openai.APIConnectionError):
        return TransientEndpointError(f"{summary} (is the endpoint running and reachable?)")
    if isinstance(error, openai.APIStatusError):
        if getattr(error, "code", None) == "insufficient_quota":
            return FatalEndpointError(f"{summary} (the account has no credit left)")
        if error.status_code in RETRYABLE_STATUS or error.status_code >= 500:
            return TransientEndpointError(summary)
        if isinstance(error, openai.BadRequestError) and "response_format" in str(error):
            return TransientEndpointError(f"{summary} (trying a looser reply format)")
        if error.status_code in (401, 403):
            return FatalEndpointError(f"{summary} (check OPENAI_API_KEY)")
        if error.status_code == 404:
            return FatalEndpointError(f"{summary} (does the endpoint serve the model {model}?)")
    return FatalEndpointError(summary)
