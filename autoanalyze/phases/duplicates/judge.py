"""Judge: the model as judge of duplicates, asked again when an answer cannot be used."""

from __future__ import annotations

import random
from collections import Counter
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
from autoanalyze.protocols import Answer, Answers, Judgement, Model, Question
from autoanalyze.records import CallContext, LabelField, Usage, derived_seed

QUESTIONS_PER_CALL = 10
"""Fewer are faster and dearer."""

Reply = TypeVar("Reply", Answers, Judgement)


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
class Looks:
    """What several looks at the same labels said, each as redirects."""

    redirects: tuple[Mapping[str, str], ...]
    usage: Usage
    errors: tuple[str, ...]

    def __add__(self, other: Looks) -> Looks:
        """All looks together."""
        return Looks(self.redirects + other.redirects, self.usage + other.usage, self.errors + other.errors)


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
        """What some looks at all these labels say, side by side and each in an order of its own."""
        orders = [shuffled(labels, self._seed, look) for look in looks]
        judgements = await together(self._group(order, step) for order in orders)
        return Looks(
            tuple(redirects_of(judgement.groups) for judgement in judgements if judgement.error is None),
            sum((judgement.usage for judgement in judgements), Usage()),
            tuple(judgement.error for judgement in judgements if judgement.error is not None),
        )

    async def _group(self, labels: Sequence[str], step: int) -> Judgement:
        """Which of all these labels mean the same, asked in one go."""

        async def asked(context: CallContext) -> Judgement:
            order = shuffled(labels, self._seed, context.attempt) if context.problem else labels
            judgement = await self._model.judge_duplicates(self._field, order, context)
            if judgement.error is not None:
                return judgement
            return replace(judgement, error=flaw(labels, judgement.groups))

        try:
            return await self._until_usable(asked, Judgement((), Usage(), 0.0), step)
        except (RequestTooLongError, RequestRefusedError) as problem:
            return Judgement((), Usage(), 0.0, self._unmerged(str(problem)))

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

        try:
            return [(questions, await self._until_usable(asked, Answers((), Usage(), 0.0), step, look))]
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
    ) -> Reply:
        """An answer, asked for again if it cannot be used; `nothing` with an error if it never can be."""
        usage, error = Usage(), ""
        for attempt in range(self._retry.attempts + 1):
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


def flaw(labels: Sequence[str], groups: Sequence[Sequence[str]]) -> str | None:
    """What makes an answer unusable: a label that nobody gave, or one in several groups, be it that
    groups overlap or that they lead in a circle. Nobody knows what else is wrong with such an answer."""
    named = Counter(label for group in groups for label in dict.fromkeys(group))
    for label, times in named.items():
        if label not in labels:
            return f"{label!r} is a label that nobody gave"
        if times > 1:
            return f"{label!r} stands in {times} groups"
    return None


def redirects_of(groups: Sequence[Sequence[str]]) -> dict[str, str]:
    """Alias to canonical, for groups that give their canonical label first."""
    return {alias: canonical for canonical, *aliases in groups for alias in aliases if alias != canonical}


def shuffled(labels: Sequence[str], seed: int, look: int) -> list[str]:
    """The order in which a look is shown the labels: as they are at first, then otherwise."""
    order = list(labels)
    if look:
        random.Random(f"opinion {seed} {look}").shuffle(order)
    return order
