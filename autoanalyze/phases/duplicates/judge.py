"""Judge: the model as judge of duplicates, asked again when an answer cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from autoanalyze.config import RetryConfig
from autoanalyze.errors import (
    EndpointGoneError,
    RequestRefusedError,
    RequestTooLongError,
    TransientEndpointError,
)
from autoanalyze.llm.calls import together
from autoanalyze.phases.duplicates.looks import ORDERS, Look, Looks, flaw, opinions_on, shuffled, sound
from autoanalyze.protocols import (
    Answer,
    Answers,
    FieldCodebook,
    Judgement,
    Model,
    Question,
    Themed,
    Written,
)
from autoanalyze.records import CallContext, LabelField, Usage, derived_seed

QUESTIONS_PER_CALL = 10
"""Fewer are faster and dearer."""

FURTHER_LOOKS, SPARE_LOOKS = 10, 100
"""Numbers from which on looks are further ones, where the first leave doubts, or stand in for lost ones."""

Reply = TypeVar("Reply", Answers, Judgement, Written, Themed)


@dataclass(frozen=True, slots=True)
class Answered:
    """Answers to questions; null where none could be used, with the reason among `errors`."""

    answers: tuple[tuple[Question, Answer | None], ...]
    usage: Usage
    errors: tuple[str, ...]


@dataclass
class Took:
    """What settling labels took, what could not be used and why, and how many pairs were asked about."""

    usage: Usage = field(default_factory=Usage)
    errors: list[str] = field(default_factory=list)
    pairs: int = 0


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of one look: null if nothing in its answers could be used. `hopeless` tells that asking
    otherwise would not help: the labels do not fit into one call, or a filter refuses them."""

    look: Look | None
    usage: Usage
    error: str | None = None
    hopeless: bool = False


class Judge:
    """Judges the labels of one field."""

    def __init__(
        self,
        model: Model,
        label_field: LabelField,
        *,
        retry: RetryConfig,
        seed: int,
    ) -> None:
        self.name = model.name
        self._model = model
        self._field = label_field
        self._retry = retry
        self._seed = seed
        # What a resumed run asks anew comes after the attempts that its journal holds.
        self._attempts = (retry.attempts + 1) * (retry.unjudged + 1)

    def context(self, step: int, *parts: object, attempt: int = 0) -> CallContext:
        """Where a call belongs: to the merge `step` of phase 3."""
        seed = derived_seed(self._seed, attempt, *parts)
        return CallContext("resolution", round=step, stream=0, attempt=attempt, seed=seed)

    async def ask(
        self,
        questions: Sequence[tuple[int, Question]],
        notes: Mapping[str, Sequence[str]],
        step: int,
    ) -> Answered:
        """The answers to questions, in order; each comes with which look at its pairs it is."""
        calls = []
        for look in sorted({look for look, _ in questions}):
            same_look = [question for other, question in questions if other == look]
            calls += [
                (look, same_look[start : start + QUESTIONS_PER_CALL])
                for start in range(0, len(same_look), QUESTIONS_PER_CALL)
            ]
        # Notes are dear, and a first look at plain pairs does well without.
        asked = await together(self._answers(some, look, notes if look else {}, step) for look, some in calls)
        replies = [part for parts in asked for part in parts]
        return Answered(
            tuple(
                (question, answer)
                for some, reply in replies
                for question, answer in zip(some, reply.answers or (None,) * len(some), strict=True)
            ),
            sum((reply.usage for _, reply in replies), Usage()),
            tuple(reply.error for _, reply in replies if reply.error is not None),
        )

    async def looks(self, labels: Sequence[str], looks: Sequence[int], step: int) -> Looks:
        """What some looks at all these labels say, side by side and each in an order of its own.

        One that is lost is replaced by another, and another is added for labels on which less than half of
        the looks have an opinion, at most `retry.attempts` times. Where all are lost, none is replaced.
        """
        tried = list(await together(self._look(labels, look, step, self._attempts) for look in looks))
        for spare in range(looks[0], looks[0] + self._retry.attempts):
            found = [one.look for one in tried if one.look is not None]
            unsure = [label for label in labels if 2 * opinions_on(label, found) <= len(looks)]
            complete = len(found) >= len(looks) and not unsure
            if complete or not found or any(one.hopeless for one in tried):
                break
            tried.append(await self._look(labels, SPARE_LOOKS + spare, step, 1))
        found = [one.look for one in tried if one.look is not None]
        errors = [one.error for one in tried if one.error is not None]
        return Looks(
            tuple(found),
            sum((one.usage for one in tried), Usage()),
            tuple(errors) if len(found) < len(looks) else (),
        )

    async def codebook(self, counts: Mapping[str, int], step: int) -> Written:
        """The names of the field on one level; one with an error if no answer could be used."""

        async def asked(context: CallContext) -> Written:
            return await self._model.write_codebook(self._field, counts, context)

        return await self._about_names(asked, Written(FieldCodebook(), Usage(), 0.0), step, "codebook")

    async def themes(self, counts: Mapping[str, int], known: Sequence[str]) -> Themed:
        """The names of the field in themes, `known` ones where they fit; with an error if no answer could be
        used."""

        async def asked(context: CallContext) -> Themed:
            return await self._model.group_themes(self._field, counts, known, context)

        return await self._about_names(asked, Themed({}, Usage(), 0.0), 0, "themes")

    async def _about_names(
        self,
        asked: Callable[[CallContext], Coroutine[Any, Any, Reply]],
        nothing: Reply,
        step: int,
        kind: str,
    ) -> Reply:
        """An answer about all names at once, or `nothing` with an error."""
        try:
            return await self._until_usable(asked, nothing, step, kind, attempts=self._attempts)
        except (RequestTooLongError, RequestRefusedError) as problem:
            return replace(nothing, error=f"{self._field.name}: no {kind}: {problem}")

    async def _look(self, labels: Sequence[str], look: int, step: int, attempts: int) -> Tried:
        """One look at all these labels. What is asked again is asked in another order, or an endpoint may
        only repeat itself."""

        async def asked(context: CallContext) -> Judgement:
            order = shuffled(labels, self._seed, look + ORDERS * context.attempt)
            judgement = await self._model.judge_duplicates(self._field, order, context)
            if judgement.error is None and sound(labels, judgement.groups) is None:
                return replace(judgement, error=flaw(labels, judgement.groups))
            return judgement

        nothing = Judgement((), Usage(), 0.0)
        # The first looks differ by their order alone, if they can: few labels have few orders.
        orders = [shuffled(labels, self._seed, earlier) for earlier in range(min(look, FURTHER_LOOKS) + 1)]
        parts = (look,) if look >= FURTHER_LOOKS or orders[-1] in orders[:-1] else ()
        try:
            judgement = await self._until_usable(asked, nothing, step, *parts, attempts=attempts)
        except (RequestTooLongError, RequestRefusedError) as problem:
            return Tried(None, Usage(), self._unmerged(str(problem)), hopeless=True)
        if judgement.error is not None:
            return Tried(None, judgement.usage, judgement.error)
        return Tried(sound(labels, judgement.groups), judgement.usage)

    async def _answers(
        self, questions: Sequence[Question], look: int, notes: Mapping[str, Sequence[str]], step: int
    ) -> list[tuple[Sequence[Question], Answers]]:
        """The answers to questions that are asked together, if they can be."""

        async def asked(context: CallContext) -> Answers:
            # Asked again, the questions come the other way round, or an endpoint may only repeat itself.
            turn = -1 if context.problem and context.attempt % 2 else 1
            answers = await self._model.judge_pairs(self._field, questions[::turn], notes, context)
            answers = replace(answers, answers=answers.answers[::turn])
            foreign = [
                name
                for question, answer in zip(questions, answers.answers, strict=False)
                for name in answer.same
                if name not in question.candidates
            ]
            if foreign:
                return replace(answers, error=f"{foreign[0]!r} is a label that nobody gave")
            return answers

        nothing = Answers((), Usage(), 0.0)
        try:
            return [
                (questions, await self._until_usable(asked, nothing, step, look, attempts=self._attempts))
            ]
        except (RequestTooLongError, RequestRefusedError) as problem:
            if len(questions) == 1:
                return [(questions, Answers((), Usage(), 0.0, self._unmerged(str(problem))))]
        # Too long together, or a filter minds one of them: in halves, until that one is alone.
        middle = (len(questions) + 1) // 2
        first = await self._answers(questions[:middle], look, notes, step)
        return first + await self._answers(questions[middle:], look, notes, step)

    async def _until_usable(
        self,
        asked: Callable[[CallContext], Coroutine[Any, Any, Reply]],
        nothing: Reply,
        step: int,
        *parts: object,
        attempts: int,
    ) -> Reply:
        """An answer, asked for again if it cannot be used; `nothing` with an error if it never can be."""
        usage, error = Usage(), ""
        for attempt in range(attempts):
            try:
                context = self.context(step, *parts, attempt=attempt)
                reply = await asked(replace(context, problem=error))
            except TransientEndpointError as problem:
                raise EndpointGoneError(
                    f"the judge of duplicates could not be reached, in spite of all retries: {problem}; "
                    "resume the run when the endpoint is back"
                ) from None
            usage += reply.usage
            if reply.error is None:
                return replace(reply, usage=usage)
            error = reply.error
        return replace(nothing, usage=usage, error=self._unmerged(error))

    def _unmerged(self, error: str) -> str:
        return f"{self._field.name}: left unmerged: {error}"
