"""OpenAIAnalysis: the model behind any OpenAI-compatible endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autoanalyze.config import ModelConfig, RequestConfig
from autoanalyze.errors import ConfigurationError, ReplyError
from autoanalyze.llm.calls import Call, Completion
from autoanalyze.llm.codebook import (
    codebook_messages,
    codebook_reply_schema,
    parse_codebook_reply,
    parse_themes_reply,
    themes_messages,
    themes_reply_schema,
)
from autoanalyze.llm.journal import request_hash
from autoanalyze.llm.judging import (
    judge_messages,
    judge_reply_schema,
    pairs_messages,
    pairs_reply_schema,
    parse_judge_reply,
    parse_pairs_reply,
)
from autoanalyze.llm.prompts import AnalysisPrompt, asked_again
from autoanalyze.llm.replies import CUT_OFF, REFUSED
from autoanalyze.llm.sending import Sender
from autoanalyze.llm.tokens import TokenManagement, schema_text
from autoanalyze.protocols import Answers, FieldCodebook, Judgement, Question, Themed, Written
from autoanalyze.records import CallContext, LabelField, Reply, SessionText, VocabularySnapshot

JUDGE_COMPLETION_TOKENS_PER_LABEL = 10
ANSWER_TOKENS, ANSWER_TOKENS_AT_MOST = 30, 120
"""Completion tokens that the judge's answer to one question takes, and the most that it may."""
LINE_TOKENS, LINE_TOKENS_AT_MOST = 20, 60
"""Completion tokens that a name takes in a codebook, and the most that it may."""
REPLY_FORMATS = ("json_schema", "json_object", "text")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A question to the model: its words, and what the answer is to look like.

    `bounded` is `schema` with bounds that this question sets. `limit` is the output limit that is planned.
    """

    kind: str
    messages: list[dict[str, str]]
    schema: dict[str, Any]
    bounded: dict[str, Any]
    limit: int
    expected: int
    session_ids: tuple[str, ...] = ()
    vocabulary_version: int = 0


class OpenAIAnalysis:
    """Asks an endpoint for facts and judgements: words every request and reads every answer."""

    def __init__(
        self,
        sender: Sender,
        *,
        model: ModelConfig,
        prompt: AnalysisPrompt,
        tokens: TokenManagement,
        request: RequestConfig | None = None,
    ) -> None:
        if model.reply_format not in REPLY_FORMATS:
            raise ConfigurationError(
                f"model.reply_format={model.reply_format} is unknown: use {', '.join(REPLY_FORMATS)}"
            )
        self._sender = sender
        self._model = model
        self._prompt = prompt
        self._tokens = tokens
        self._settings = request or RequestConfig()

    @property
    def name(self) -> str:
        """The model's name at the endpoint."""
        return self._model.name

    async def analyze_batch(
        self, sessions: Sequence[SessionText], vocabulary: VocabularySnapshot, context: CallContext
    ) -> Reply:
        """Label `sessions`; see `records.Model`."""
        wanted = Wanted(
            "analyze",
            self._prompt.messages(sessions, vocabulary),
            self._prompt.reply_schema(),
            self._bounded(len(sessions)),
            self._tokens.completion_limit(len(sessions)),
            self._tokens.expected_completion(len(sessions)),
            tuple(session.session_id for session in sessions),
            vocabulary.version,
        )
        completion = await self._complete(wanted, context)
        try:
            rows, error = self._prompt.parse_reply(completion.text, vocabulary), None
        except ReplyError as reply_error:
            rows, error = (), explained(reply_error, completion)
        return Reply(rows, completion.usage, completion.finish_reason, completion.seconds, error)

    async def judge_duplicates(
        self, label_field: LabelField, labels: Sequence[str], context: CallContext
    ) -> Judgement:
        """Group `labels` that mean the same; see `records.Model`."""
        limit = max(200, JUDGE_COMPLETION_TOKENS_PER_LABEL * len(labels))
        schema = judge_reply_schema()
        wanted = Wanted(
            "judge",
            judge_messages(label_field, labels),
            schema,
            schema,
            min(self._model.output_limit, limit),
            limit // 4,
        )
        completion = await self._complete(wanted, context)
        try:
            groups, error = parse_judge_reply(completion.text, labels), None
        except ReplyError as reply_error:
            groups, error = (), explained(reply_error, completion)
        return Judgement(groups, completion.usage, completion.seconds, error)

    async def judge_pairs(
        self,
        label_field: LabelField,
        questions: Sequence[Question],
        notes: Mapping[str, Sequence[str]],
        context: CallContext,
    ) -> Answers:
        """Say which candidates mean the same as the label of each question; see `protocols.Model`."""
        wanted = Wanted(
            "judge",
            pairs_messages(label_field, questions, notes),
            pairs_reply_schema(),
            pairs_reply_schema(questions),
            min(self._model.output_limit, 200 + ANSWER_TOKENS_AT_MOST * len(questions)),
            ANSWER_TOKENS * len(questions),
        )
        completion = await self._complete(wanted, context)
        try:
            answers, error = parse_pairs_reply(completion.text, questions), None
        except ReplyError as reply_error:
            answers, error = (), explained(reply_error, completion)
        return Answers(answers, completion.usage, completion.seconds, error)

    async def write_codebook(
        self, label_field: LabelField, counts: Mapping[str, int], context: CallContext
    ) -> Written:
        """Put the names of one field on one level; see `protocols.Model`."""
        question = codebook_messages(label_field, counts)
        completion = await self._listed("codebook", question, codebook_reply_schema(), len(counts), context)
        try:
            codebook, error = parse_codebook_reply(completion.text, list(counts)), None
        except ReplyError as reply_error:
            codebook, error = FieldCodebook(), explained(reply_error, completion)
        return Written(codebook, completion.usage, completion.seconds, error)

    async def group_themes(
        self, label_field: LabelField, counts: Mapping[str, int], known: Sequence[str], context: CallContext
    ) -> Themed:
        """Group the names of one field into themes; see `protocols.Model`."""
        question = themes_messages(label_field, counts, known)
        completion = await self._listed("themes", question, themes_reply_schema(), len(counts), context)
        try:
            themes, error = parse_themes_reply(completion.text, list(counts), known), None
        except ReplyError as reply_error:
            themes, error = {}, explained(reply_error, completion)
        return Themed(themes, completion.usage, completion.seconds, error)

    async def _listed(
        self,
        kind: str,
        question: list[dict[str, str]],
        schema: dict[str, Any],
        names: int,
        context: CallContext,
    ) -> Completion:
        """The answer to a question about so many names."""
        limit = min(self._model.output_limit, 200 + LINE_TOKENS_AT_MOST * names)
        return await self._complete(
            Wanted(kind, question, schema, schema, limit, LINE_TOKENS * names), context
        )

    async def _complete(self, wanted: Wanted, context: CallContext) -> Completion:
        """One call, and what its length teaches."""
        began = asyncio.get_running_loop().time()
        messages = asked_again(wanted.messages, context.problem)
        # What an answer is known by is the question itself: bounds, a learnt output limit, a looser form or
        # a parameter that an endpoint does not take leave it the same, in journals of earlier versions too.
        question = self._request(messages, context, wanted.limit)
        forms = self._forms(wanted.kind, wanted.schema)
        asked = {"query": dict(self._settings.query)} if self._settings.query else {}
        room = self._tokens.room(wanted.limit)
        sent = {**question, self._model.output_parameter: room}
        if not self._settings.seed:
            del sent["seed"]
        if self._settings.service_tier is not None:
            sent["service_tier"] = self._settings.service_tier
        asked_for = (*self._forms(wanted.kind, wanted.bounded)[:-2], *forms)
        call = Call(
            kind=wanted.kind,
            model=self._model.name,
            request=sent,
            forms=asked_for,
            digest=request_hash({**question, **forms[0], **asked}, self._sender.endpoint.identity),
            context=context,
            session_ids=wanted.session_ids,
            vocabulary_version=wanted.vocabulary_version,
            prompt_tokens=self._prompt_tokens(messages, asked_for[0]),
            completion_limit=room,
            expected_completion=wanted.expected,
            began=began,
        )
        completion = await self._sender.send(call)
        cut_off = completion.finish_reason == CUT_OFF
        self._tokens.learn(wanted.limit, room, completion.usage.completion, cut_off=cut_off)
        return completion

    def _bounded(self, sessions: int) -> dict[str, Any]:
        """The reply's schema with bounds. Where prompts are paid for, all calls of a run have the same one,
        since it stands before the instructions: another one would be a new prefix to the provider's cache.
        Elsewhere it says how many rows there are, which small models need."""
        if not self._model.price_prompt:
            return self._prompt.reply_schema(sessions)
        return self._prompt.reply_schema(max(sessions, self._tokens.item_cap()), exact=False)

    def _prompt_tokens(self, messages: Sequence[Mapping[str, str]], form: Mapping[str, Any]) -> int:
        """Tokens of all that the model reads: the schema of the reply is billed as well."""
        texts = [schema_text(form.get("response_format")), *(message["content"] for message in messages)]
        return sum(self._tokens.counter.count(text) for text in texts if text)

    def _request(
        self, messages: list[dict[str, str]], context: CallContext, completion_limit: int
    ) -> dict[str, Any]:
        """What can change the answer, but for the form that is asked for."""
        settings, temperature = self._settings, self._model.temperature
        request: dict[str, Any] = {
            **settings.body,
            "model": self._model.name,
            "messages": messages,
            "seed": context.seed,
            self._model.output_parameter: completion_limit,
        }
        if temperature is not None and context.problem and settings.repeat_temperature is not None:
            temperature = max(temperature, settings.repeat_temperature)
        if temperature is not None:
            request["temperature"] = temperature
        if settings.effort is not None:
            request["reasoning_effort"] = settings.effort
        return request

    def _forms(self, kind: str, schema: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The ways to ask for the form of the reply, the strictest of the configured ones first."""
        form = {"name": f"{kind}_reply", "strict": True, "schema": schema}
        forms: list[dict[str, Any]] = [
            {"response_format": {"type": "json_schema", "json_schema": form}},
            {"response_format": {"type": "json_object"}},
            {},
        ]
        return forms[REPLY_FORMATS.index(self._model.reply_format) :]


def explained(error: ReplyError, completion: Completion) -> str:
    """What was wrong with an answer, and what to do about it."""
    if completion.finish_reason == CUT_OFF:
        began = "was cut off" if completion.text else "was cut off before it began, by reasoning it seems,"
        return (
            f"the reply {began} at the output limit, after {completion.usage.completion:,} tokens: give more "
            "by model.output_limit or request.output_per_session, or less reasoning by request.effort=none"
        )
    if completion.finish_reason == REFUSED:
        return f"a content filter refused the answer ({REFUSED})"
    return f"{error} (finish_reason {completion.finish_reason})"
