"""StreamProcessing: one sequence of calls, with whatever must be asked again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from autoanalyze.config import RetryConfig
from autoanalyze.errors import RequestRefusedError, RequestTooLongError, TransientEndpointError
from autoanalyze.llm.calls import backoff
from autoanalyze.llm.prompts import LONGEST_PROBLEM, AnalysisPrompt
from autoanalyze.llm.replies import CUT_OFF, REFUSED
from autoanalyze.llm.tokens import TokenManagement
from autoanalyze.phases.validation import LEFT_OUT, SessionValidation, ValidationResult
from autoanalyze.phases.vocabulary import Shortlist, labels_found
from autoanalyze.protocols import Model, TranscriptReader
from autoanalyze.records import (
    CallContext,
    Facts,
    Session,
    SessionResult,
    SessionText,
    Usage,
    VocabularySnapshot,
    derived_seed,
    transcript,
)

TOO_LONG = "long"
"""Why calls get smaller, besides the finish reasons of replies."""
FEWEST_SESSIONS = 5
"""What a call holds at least while more are waiting: it pays for its instructions whatever it holds, and
those of a call of two sessions are a third of its prompt."""
MOST_SIZES = 10
"""Sizes that are tried of what is too long."""


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """One batch of sessions after its last attempt. `left_over` are sessions without a result, for a later
    call."""

    results: tuple[SessionResult, ...]
    usage: Usage
    calls: int
    seconds: float
    left_over: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StreamResult:
    """What one stream did: sessions in the order given, and the vocabulary as the stream left it.

    `busy_seconds` is the time in which a call was under way, on the run's clock. `left_over` are sessions
    without a result, for a later call.
    """

    stream: int
    sessions: tuple[SessionResult, ...]
    new_labels: dict[str, list[str]]
    vocabulary: VocabularySnapshot
    usage: Usage
    calls: int
    retries: int
    busy_seconds: float
    seconds: float
    left_over: tuple[str, ...] = ()


class StreamProcessing:
    """Labels sessions batch after batch; each batch knows the labels that the ones before it found.

    `on_batch` is told of every finished batch, for progress displays.
    """

    def __init__(
        self,
        model: Model,
        reader: TranscriptReader,
        prompt: AnalysisPrompt,
        tokens: TokenManagement,
        *,
        retry: RetryConfig,
        seed: int,
        vocabulary_allowance: int | None = None,
        on_batch: Callable[[BatchOutcome, CallContext], None] = lambda _outcome, _context: None,
    ) -> None:
        self._model = model
        self._reader = reader
        self._prompt = prompt
        self.schema = prompt.schema
        self.tokens = tokens
        self._retry = retry
        self._seed = seed
        self._counted: tuple[VocabularySnapshot, int] | None = None
        self._shortlist = Shortlist(vocabulary_allowance, self.vocabulary_tokens)
        self._on_batch = on_batch
        self._validation = SessionValidation(prompt.schema)

    async def process_stream(
        self,
        sessions: Sequence[Session],
        vocabulary: VocabularySnapshot,
        *,
        phase: str,
        stream: int,
        round_number: int = 0,
        share: int | None = None,
        leave: bool = False,
    ) -> StreamResult:
        """Label `sessions` in order, at most `share` of them in a call. With `leave`, the few that a reply
        leaves out are left to a later call, which asks for others as well."""
        clock = asyncio.get_running_loop()
        start = clock.time()
        outcomes: list[BatchOutcome] = []
        known = vocabulary
        context = CallContext(phase, round_number, stream)
        batches = self.tokens.split_sessions_into_batches(
            sessions, vocabulary_tokens=self.prompt_vocabulary_tokens(known), share=share
        )
        for batch in batches:
            outcome = await self.process_batch(batch, known, context, leave=leave)
            outcomes.append(outcome)
            known = known.extended(labels_found(self.schema, labelled(outcome.results)))
        results = tuple(result for outcome in outcomes for result in outcome.results)
        calls = sum(outcome.calls for outcome in outcomes)
        return StreamResult(
            stream,
            results,
            labels_found(self.schema, labelled(results)),
            known,
            sum((outcome.usage for outcome in outcomes), Usage()),
            calls,
            calls - len(batches),
            sum(outcome.seconds for outcome in outcomes),
            clock.time() - start,
            tuple(session_id for outcome in outcomes for session_id in outcome.left_over),
        )

    def vocabulary_tokens(self, vocabulary: VocabularySnapshot) -> int:
        """Tokens that the known labels would take in a prompt, all that are not withdrawn."""
        shown = vocabulary.shown()
        # Asked for twice per call, and the vocabulary of a call is hardly ever new.
        if self._counted is None or self._counted[0] is not shown:
            lines = self._prompt.vocabulary_lines(shown)
            self._counted = shown, sum(map(self.tokens.counter.count, lines))
        return self._counted[1]

    def prompt_vocabulary_tokens(self, vocabulary: VocabularySnapshot) -> int:
        """Tokens that the known labels take in a prompt, at most their allowance."""
        taken, allowance = self.vocabulary_tokens(vocabulary), self._shortlist.allowance_tokens
        return taken if allowance is None else min(taken, allowance)

    async def process_batch(
        self,
        batch: Sequence[Session],
        vocabulary: VocabularySnapshot,
        context: CallContext,
        *,
        leave: bool = False,
    ) -> BatchOutcome:
        """One batch to its end: the first call, and the retries of what it did not bring."""
        known = vocabulary
        texts = self._texts(batch, vocabulary)
        vocabulary = self._shortlist.choose(vocabulary.shown(), [text.text for text in texts])
        run = BatchRun()
        state = await self._attempt(texts, context, vocabulary, run)
        left_over = only_left_out(state, run) if leave else ()
        if not left_over:
            state = await self.retry_missing_sessions(texts, vocabulary, context, state, run)
        results = []
        for text in (text for text in texts if text.session_id not in left_over):
            facts = state.processed.get(text.session_id)
            results.append(
                SessionResult(
                    text.session_id,
                    facts,
                    context.phase,
                    context.round,
                    context.stream,
                    attempts=run.attempts[text.session_id],
                    vocabulary_version=known.version,
                    shortened=text.session_id in run.shortened or text.shortened,
                    error=None if facts else state.errors[text.session_id],
                    endpoint_failed=facts is None and text.session_id in run.endpoint_failed,
                )
            )
        outcome = BatchOutcome(tuple(results), run.usage, run.calls, run.seconds, left_over)
        self._on_batch(outcome, context)
        return outcome

    async def retry_missing_sessions(
        self,
        texts: Sequence[SessionText],
        vocabulary: VocabularySnapshot,
        context: CallContext,
        state: ValidationResult,
        run: BatchRun,
    ) -> ValidationResult:
        """Ask again for what is not valid yet, and only for that, until it is or the attempts are used up.

        What was too long is asked for again in halves, and a single session shortened; a reply that was cut
        off, in halves and with more room; what a filter refused, one by one, so that it harms nobody else.
        Sessions that the endpoint failed in spite of the client's retries are left to a later round.
        """
        attempt, left = 0, self._retry.attempts
        while left > 0:
            attempt += 1
            missing = [
                run.shortened.get(text.session_id, text)
                for text in texts
                if text.session_id in state.errors and text.session_id not in run.endpoint_failed
            ]
            if not missing:
                break
            await asyncio.sleep(self._backoff(attempt, missing))
            parts, run.smaller = self._parts(missing, run), ""
            for part in parts:
                again = self._again(part, state, replace(context, attempt=attempt), run)
                retried = await self._attempt(*again, vocabulary, run)
                state = self._validation.merge_retry_results(state, retried)
            # What is only too long was never answered: it gets smaller until it fits.
            left -= run.smaller != TOO_LONG or attempt >= MOST_SIZES
        return state

    def _again(
        self, texts: Sequence[SessionText], state: ValidationResult, context: CallContext, run: BatchRun
    ) -> tuple[Sequence[SessionText], CallContext]:
        """A question that is asked again, so that it is another than before: what was wrong is told, and
        its sessions come in another order. What was only left out is asked with fewer sessions as it is."""
        ids = frozenset(text.session_id for text in texts)
        errors = [state.errors[text.session_id] for text in texts]
        if ids not in run.asked and all(error.startswith(LEFT_OUT) for error in errors):
            return texts, context
        order = list(texts)
        random.Random(derived_seed(self._seed, "order", context.attempt, sorted(ids))).shuffle(order)
        if len(order) > 1 and order == list(texts):
            order.reverse()
        problem = "; ".join(dict.fromkeys(errors))[:LONGEST_PROBLEM]
        return order, replace(context, problem=problem)

    def _parts(self, missing: Sequence[SessionText], run: BatchRun) -> list[Sequence[SessionText]]:
        """The calls that ask again for what is missing, by what went wrong last."""
        if run.smaller == REFUSED:
            return [[text] for text in missing]
        if run.smaller == TOO_LONG and len(missing) == 1:
            text = missing[0]
            shorter = self.tokens.shorten_to(text.session_id, text.text, text.tokens // 2)
            run.shortened[text.session_id] = shorter
            return [[shorter]]
        return halved(missing) if run.smaller else [missing]

    async def _attempt(
        self,
        texts: Sequence[SessionText],
        context: CallContext,
        vocabulary: VocabularySnapshot,
        run: BatchRun,
    ) -> ValidationResult:
        session_ids = [text.session_id for text in texts]
        run.calls += 1
        run.asked.add(frozenset(session_ids))
        for session_id in session_ids:
            run.attempts[session_id] = context.attempt + 1
        seed = derived_seed(self._seed, context.attempt, *([context.probe] if context.probe else []))
        seeded = replace(context, seed=seed)
        start = asyncio.get_running_loop().time()
        try:
            reply = await self._model.analyze_batch(texts, vocabulary, seeded)
        except (TransientEndpointError, RequestTooLongError, RequestRefusedError) as error:
            if isinstance(error, TransientEndpointError):
                run.endpoint_failed.update(session_ids)
            else:
                run.smaller = TOO_LONG if isinstance(error, RequestTooLongError) else REFUSED
            return ValidationResult({}, dict.fromkeys(session_ids, str(error)))
        finally:
            run.seconds += asyncio.get_running_loop().time() - start
        run.usage += reply.usage
        result = self._validation.validate_batch_response(
            session_ids, reply, {text.session_id: text.text for text in texts}, vocabulary
        )
        if not result.all_processed and reply.finish_reason in (CUT_OFF, REFUSED):
            run.smaller = reply.finish_reason
        return result

    def _texts(self, batch: Sequence[Session], vocabulary: VocabularySnapshot) -> list[SessionText]:
        messages = self._reader.read([session.session_id for session in batch])
        taken = self.prompt_vocabulary_tokens(vocabulary)
        return [
            self.tokens.shorten(session.session_id, transcript(messages[session.session_id]), taken)
            for session in batch
        ]

    def _backoff(self, attempt: int, missing: Sequence[SessionText]) -> float:
        """Seconds to wait before an attempt; the jitter depends on what is retried."""
        seed = derived_seed(self._seed, attempt, [text.session_id for text in missing])
        return backoff(self._retry, attempt, random.Random(seed))


class BatchRun:
    """What adds up over the calls of one batch."""

    def __init__(self) -> None:
        self.usage = Usage()
        self.calls = 0
        self.seconds = 0.0
        self.attempts: dict[str, int] = {}
        self.shortened: dict[str, SessionText] = {}
        self.endpoint_failed: set[str] = set()
        self.smaller = ""
        """Why the next calls must be smaller: too long, cut off, refused by a filter; or not at all."""
        self.asked: set[frozenset[str]] = set()


def only_left_out(state: ValidationResult, run: BatchRun) -> tuple[str, ...]:
    """What is missing, if it is little and nothing was wrong with the reply but that it left it out."""
    little = 0 < len(state.errors) < FEWEST_SESSIONS and bool(state.processed) and not run.smaller
    told = all(error.startswith(LEFT_OUT) for error in state.errors.values())
    return tuple(state.errors) if little and told else ()


def labelled(results: Sequence[SessionResult]) -> list[Facts]:
    """The facts of the sessions that have some."""
    return [result.facts for result in results if result.facts is not None]


def halved(texts: Sequence[SessionText]) -> list[Sequence[SessionText]]:
    """Two halves, or the one text that cannot be divided."""
    middle = (len(texts) + 1) // 2
    return [half for half in (texts[:middle], texts[middle:]) if half]
