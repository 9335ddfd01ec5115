"""Sender: makes calls, tries again, prices and journals them. The only importer of openai."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import httpx2
import openai

from autoanalyze.config import RequestConfig, RetryConfig
from autoanalyze.errors import AutoAnalyzeError, JournalError, TransientEndpointError
from autoanalyze.llm.calls import Call, Completion, Endpoint, patient
from autoanalyze.llm.dialect import DOUBTS, AskOtherwiseError, Dialect, DoubtfulFormError
from autoanalyze.llm.journal import Journal, RecordedAnswer
from autoanalyze.llm.limits import Budget, RateLimiter
from autoanalyze.llm.refusals import LONGEST_WORDS, refusal_of, translated
from autoanalyze.llm.replies import RefusedError, answer_in, count_in, counted, vectors_in
from autoanalyze.llm.tokens import TokenManagement
from autoanalyze.records import Usage

RESERVE_FACTOR, RESERVE_TOKENS = 1.25, 300
"""A call reserves for more prompt tokens than we count: message frames and the reply schema are billed
too, and the estimate may fall short of a real encoding."""

KEY = "{key}"
"""What stands for the key in a header of the configuration."""


class Sender:
    """Sends calls to an endpoint, and journals every one.

    A call whose answer is in the journal is not made again; in a replay no other is made at
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
        timeout_seconds: float = 600.0,
        request: RequestConfig | None = None,
    ) -> None:
        http = None if endpoint.transport is None else httpx2.AsyncClient(transport=endpoint.transport)
        request = request or RequestConfig()
        self._client = openai.AsyncOpenAI(
            api_key=endpoint.api_key,
            base_url=endpoint.base_url,
            max_retries=0,
            timeout=timeout_seconds,
            http_client=http,
            # The key is put in here, so that no configuration and no record of a run has to hold it.
            default_headers={n: v.replace(KEY, endpoint.api_key) for n, v in request.headers.items()},
            default_query=dict(request.query),
        )
        self._dialects = {"embed": Dialect()}
        self.dialect = Dialect()
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

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def send(self, call: Call) -> Completion:
        """The answer to a call.

        One that is known is not asked for; else the call is made, and made again as long as that may help,
        in other ways where the endpoint refuses how it was asked.
        """
        recorded = self._journal.recorded(call.digest)
        if recorded is not None:
            return await self._reuse(call, recorded)
        if self._journal.replayed:
            context = call.context
            where = f"{call.kind}, {context.phase} round {context.round}, stream {context.stream}"
            raise JournalError(
                f"a replay needs a call that no journal holds ({where}): use the configuration and data of "
                "the recorded run"
            )
        last, form, doubts = len(call.forms) - 1, 0, 0
        while True:
            form = min(max(form, self._dialect_of(call).form), last)
            try:
                async for attempt in patient(self._retry, call.digest):
                    with attempt:
                        try:
                            return await self._attempt(call, form)
                        except DoubtfulFormError:
                            doubts += 1
                            form = min(form + (doubts % DOUBTS == 0), last)
                            raise
            except AskOtherwiseError as other:
                form = other.form

    @property
    def notices(self) -> list[str]:
        """What the user should know of how the endpoint was asked and what it does not tell."""
        return [*self.dialect.notices, *self._dialects["embed"].notices]

    def _dialect_of(self, call: Call) -> Dialect:
        return self._dialects.get(call.kind, self.dialect)

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

    async def _attempt(self, call: Call, form: int) -> Completion:
        """One request, from the wait for its turn to its line in the journal."""
        clock = asyncio.get_running_loop()
        reserved = self._upper_bound_usd(call)
        dialect = self._dialect_of(call)
        sent = {**dialect.worded(call.request), **call.forms[form]}
        async with self._limiter_of(call).slot(call.planned_tokens):
            self._budget.reserve(reserved)
            started = clock.time()
            entry = self._journal.sent(call, reserved_usd=reserved, start=started)
            try:
                async with asyncio.timeout(self._timeout):
                    raw = await self._raw(call, sent)
                text, usage, finish_reason = self._read(call, raw)
            except asyncio.CancelledError:
                self._fail(entry, "cancelled", reserved, reserved, busy=False)
                raise
            except (openai.OpenAIError, RefusedError, TimeoutError, ValueError) as raised:
                problem = failure(raised)
                # What was refused costs nothing; of a time-out nobody knows whether it will be billed.
                free = isinstance(problem, RefusedError) and not problem.billed
                uncertain = 0.0 if free else reserved
                busy = isinstance(problem, RefusedError) and problem.refusal.status == 429
                self._fail(entry, described(problem), reserved, uncertain, busy=busy)
                if busy:
                    self._limiter_of(call).refused(call.planned_tokens, started)
                doubtful = isinstance(problem, RefusedError) and dialect.refused(
                    problem.refusal, sent, form, len(call.forms)
                )
                error = self._translated(problem, call)
                raise (DoubtfulFormError(str(error)) if doubtful else error) from None
            cost = self._tokens.calculate_cost_estimate(usage)
            self._journal.answered(
                entry, end=clock.time(), usage=usage, cost_usd=cost, finish_reason=finish_reason, reply=text
            )
            dialect.worked(form)
            self._budget.settle(reserved, cost)
            used = usage.prompt + usage.completion + usage.embedded
            self._limiter_of(call).answered(call.planned_tokens, used, raw.headers)
        return Completion(text, usage, finish_reason, clock.time() - call.began)

    async def _raw(self, call: Call, sent: Mapping[str, Any]) -> httpx2.Response:
        """What the server says. The client's own reading would trust it to have a shape."""
        # `extra_body` takes precedence and is sent as it is; given as arguments, the client would compare
        # every message with every form a message can have.
        body = dict(sorted(sent.items()))
        raw: Any
        if call.kind == "embed":
            raw = await self._client.embeddings.with_raw_response.create(
                model=call.model, input=[], encoding_format="base64", extra_body=body
            )
        else:
            raw = await self._client.chat.completions.with_raw_response.create(
                model=call.model, messages=[], extra_body=body
            )
        response: httpx2.Response = raw.http_response
        return response

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

    def _read(self, call: Call, raw: httpx2.Response) -> tuple[str, Usage, str]:
        """Text, usage and finish reason. Raises UnreadableError for what is no answer, RefusedError for an
        error that comes as one."""
        if call.kind == "embed":
            vectors, counts = vectors_in(raw.text, raw.headers)
            billed = count_in(counts, "prompt_tokens", "total_tokens")
            usage = Usage(embedded=call.prompt_tokens if billed is None else billed)
            return json.dumps(vectors, separators=(",", ":")), usage, "stop"
        said = answer_in(raw.text, raw.headers)
        usage, told = counted(said, call.prompt_tokens, self._tokens.counter.count(said.text))
        if not told:
            self.dialect.say("the endpoint does not tell all tokens it used: they are counted here, roughly")
        return said.text, usage, said.finish_reason

    def _translated(self, problem: Exception, call: Call) -> AutoAnalyzeError:
        """A failure as the phases know it, with its remedy."""
        where = self.endpoint.identity
        if isinstance(problem, RefusedError):
            return translated(problem.refusal, where, call.model)
        if isinstance(problem, TimeoutError):
            remedy = "no answer in time; see limits.timeout_seconds"
        elif isinstance(problem, ConnectionError):
            remedy = "is the endpoint running and reachable?"
        else:
            remedy = "the answer could not be read"
        return TransientEndpointError(f"{where}: {described(problem)} ({remedy})")


def failure(error: Exception) -> Exception:
    """The client's error as this package or the standard library calls it."""
    if isinstance(error, openai.APIStatusError):
        response = error.response
        try:
            body: object = json.loads(response.text)
        except (ValueError, RecursionError):
            body = response.text
        return RefusedError(refusal_of(response.status_code, body, response.headers))
    if isinstance(error, openai.APITimeoutError):
        return TimeoutError(str(error))
    if isinstance(error, openai.APIConnectionError):
        return ConnectionError(f"{error} {error.__cause__ or ''}".strip())
    return ValueError(str(error)) if isinstance(error, openai.OpenAIError) else error


def described(problem: Exception) -> str:
    """A failure in one line, for the journal."""
    name = "" if isinstance(problem, RefusedError) else f"{type(problem).__name__}: "
    return f"{name}{problem}"[: LONGEST_WORDS + 100]
