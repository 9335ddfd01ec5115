"""OpenAIAnalysis: the model behind any OpenAI-compatible endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from autoanalyze.config import ModelConfig
from autoanalyze.errors import ConfigurationError, ReplyError
from autoanalyze.llm.calls import Call, Completion
from autoanalyze.llm.journal import request_hash
from autoanalyze.llm.judging import (
    judge_messages,
    judge_reply_schema,
    pairs_messages,
    pairs_reply_schema,
    parse_judge_reply,
    parse_pairs_reply,
)
from autoanalyze.llm.prompts import AnalysisPrompt
from autoanalyze.llm.sending import Sender
from autoanalyze.llm.tokens import TokenManagement
from autoanalyze.protocols import Answers, Judgement, Question
from autoanalyze.records import CallContext, LabelField, Reply, SessionText, VocabularySnapshot

JUDGE_COMPLETION_TOKENS_PER_LABEL = 10
ANSWER_TOKENS, ANSWER_TOKENS_AT_MOST = 30, 120
"""Completion tokens that the judge's answer to one question takes, and the most that it may."""
REPLY_FORMATS = ("json_schema", "json_object", "text")


class OpenAIAnalysis:
    """Asks an endpoint for facts and judgements: words every request and reads every answer."""

    def __init__(
        self, sender: Sender, *, model: ModelConfig, prompt: AnalysisPrompt, tokens: TokenManagement
    ) -> None:
        if model.reply_format not in REPLY_FORMATS:
            raise ConfigurationError(
                f"model.reply_format={model.reply_format} is unknown: use {', '.join(REPLY_FORMATS)}"
            )
        self._sender = sender
        self._model = model
        self._prompt = prompt
        self._tokens = tokens
        self._reply_format = model.reply_format

    @property
    def name(self) -> str:
        """The model's name at the endpoint."""
        return self._model.name

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
            rows, error = self._prompt.parse_reply(completion.text, vocabulary), None
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

    async def judge_pairs(
        self,
        label_field: LabelField,
        questions: Sequence[Question],
        notes: Mapping[str, Sequence[str]],
        context: CallContext,
    ) -> Answers:
        """Say which candidates mean the same as the label of each question; see `protocols.Model`."""
        completion = await self._complete(
            pairs_messages(label_field, questions, notes),
            kind="judge",
            reply_schema=pairs_reply_schema(),
            completion_limit=min(self._model.output_limit, 200 + ANSWER_TOKENS_AT_MOST * len(questions)),
            expected_completion=ANSWER_TOKENS * len(questions),
            context=context,
            session_ids=(),
            vocabulary_version=0,
        )
        try:
            answers, error = parse_pairs_reply(completion.text, questions), None
        except ReplyError as reply_error:
            answers, error = (), str(reply_error)
        return Answers(answers, completion.usage, completion.seconds, error)

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
        """One call, in the strictest reply format that the endpoint is known to take."""
        began = asyncio.get_running_loop().time()
        prompt_tokens = sum(self._tokens.counter.count(message["content"]) for message in messages)
        calls = {}
        for reply_format in REPLY_FORMATS[REPLY_FORMATS.index(self._reply_format) :]:
            request = self._request(
                messages, kind, reply_schema, completion_limit, context.seed, reply_format
            )
            calls[reply_format] = Call(
                kind, self._model.name, request, request_hash(request, self._sender.endpoint.identity),
                context, session_ids, vocabulary_version, prompt_tokens, completion_limit,
                expected_completion, began,
            )  # fmt: skip
        self._reply_format, completion = await self._sender.send(calls)
        return completion

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
