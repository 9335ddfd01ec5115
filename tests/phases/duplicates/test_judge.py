"""Judge: answers that cannot be used are asked for again, and never used."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from fakes import SCHEMA, ScriptedModel, make_conflicts, used
from hypothesis import given, settings
from hypothesis import strategies as st

from autoanalyze.config import RetryConfig
from autoanalyze.errors import (
    EndpointError,
    EndpointGoneError,
    FatalEndpointError,
    RequestRefusedError,
    RequestTooLongError,
    TransientEndpointError,
)
from autoanalyze.phases.conflicts import ConflictResolution
from autoanalyze.phases.duplicates.judge import QUESTIONS_PER_CALL, Judge
from autoanalyze.phases.duplicates.looks import flaw, said, shuffled, sound
from autoanalyze.protocols import Answers, Judgement, Question
from autoanalyze.records import CallContext, LabelField, Usage
from autoanalyze.serving.clock import VirtualClockLoop

Virtually = Callable[[Any], Any]
names = st.sampled_from(list("ABCDEFXY"))


def resolver(model: ScriptedModel, **changes: Any) -> ConflictResolution:
    return make_conflicts(model, **{"mode": "llm", "opinions": 1, **changes})


@pytest.mark.parametrize(
    ("groups", "problem"),
    [
        ([("A", "B", "C")], None),
        ([("A", "A", "B")], None),
        ([("A",)], None),
        ([("A", "B"), ("C", "B")], "'B' stands in 2 groups"),
        ([("A", "B"), ("B", "C")], "'B' stands in 2 groups"),
        ([("A", "B"), ("B", "A")], "'A' stands in 2 groups"),
        ([("Nobody", "B")], "nobody gave"),
    ],
)
def test_answers_are_checked(groups: Sequence[Sequence[str]], problem: str | None) -> None:
    """Overlapping groups, circles, and labels that were not shown are flaws of an answer."""
    found = flaw(["A", "B", "C"], groups)
    assert (found is None) == (problem is None)
    assert problem is None or problem in str(found)


@settings(deadline=None, max_examples=80)
@given(st.lists(st.lists(names, max_size=4), max_size=6))
def test_what_is_sound_in_an_answer_is_kept(groups: list[list[str]]) -> None:
    """Whatever the judge says: no alias leads to an alias or itself, two labels that stand together in their
    only group stay together, labels in several groups are left open, and nobody else is."""
    shown = list("ABCDEF")
    look = sound(shown, groups)
    distinct = {frozenset(group) for group in groups}
    homes = {label: [group for group in distinct if label in group] for label in shown}
    pairs = [(a, b) for a in shown for b in shown if a < b]
    together = [(a, b) for a, b in pairs if len(homes[a]) == 1 and homes[a] == homes[b]]
    if look is None:
        assert flaw(shown, groups) is not None
        assert not together, "an answer with something sound in it was thrown away"
        return
    canonical = {name for name in look.values() if name is not None}
    assert set(look) | canonical <= set(shown)
    assert not canonical & set(look)
    for a, b in pairs:
        unsure = len(homes[a]) > 1 or len(homes[b]) > 1
        assert said(look, a, b) == (None if unsure else (a, b) in together)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from("ABCDEF"), unique=True, max_size=6), st.lists(st.integers(0, 6), max_size=3))
def test_answers_without_a_flaw_are_taken_as_they_are(labels: list[str], cuts: list[int]) -> None:
    """Each label is redirected to the first of its group, and all others stand for themselves."""
    edges = [0, *sorted(cuts), 6]
    groups = [labels[start:end] for start, end in pairwise(edges)]
    expected = {alias: group[0] for group in groups for alias in group[1:]}
    assert sound(list("ABCDEF"), groups) == expected


def test_one_flaw_does_not_spoil_a_look(virtually: Virtually) -> None:
    """Of an answer with a label in two groups and one that nobody gave the other groups are kept, and only
    looks that say where the label belongs decide on it."""
    flawed = [("Aa", "Ab", "C"), ("Ba", "Bb", "Nobody"), ("C", "D")]
    answers: Iterator[list[tuple[str, ...]]] = iter(
        [flawed, flawed, flawed, [("Aa", "Ab", "C")], [("Aa", "Ab", "C")]]
    )
    model = ScriptedModel(groups=lambda _labels: next(answers))
    looks = virtually(judge_of(model).looks(["Aa", "Ab", "Ba", "Bb", "C", "D"], range(3), 1))
    assert [look.get("C", "C") for look in looks.looks] == [None] * 3 + ["Aa"] * 2
    assert all(look["Ab"] == "Aa" for look in looks.looks)
    assert all(look["Bb"] == "Ba" for look in looks.looks[:3])
    assert (looks.errors, len(model.judged)) == ((), 5)


def test_lost_looks_are_replaced_and_asked_in_other_orders(virtually: Virtually) -> None:
    """A look with four answers that say nothing sound is replaced; each was asked in an order of its own."""
    labels = [f"L{number}" for number in range(12)]
    model = Stubborn(["no JSON"] * 6)
    looks = virtually(judge_of(model, attempts=1).looks(labels, range(3), 1))
    assert (looks.looks, len(looks.errors)) == ((), 3), "who never can be understood is not asked on"
    model = Stubborn(["no JSON", "no JSON", "no JSON", "no JSON"])
    looks = virtually(judge_of(model, attempts=1).looks(labels, range(3), 1))
    assert (len(looks.looks), looks.errors) == (3, ()) or len(model.orders) > 6
    assert len({tuple(order) for order in model.orders}) == len(model.orders)


def test_unusable_answers_are_asked_again_and_reported(virtually: Virtually) -> None:
    """A judge whose groups overlap is asked again; then the labels stay unmerged, and the result says so."""
    model = ScriptedModel(groups=lambda _labels: [("A", "C"), ("B", "C")])
    result = virtually(resolver(model).resolve_conflicts(used(general_intent={"A": 1, "B": 1, "C": 1})))
    assert len(model.judged) == 1 + RetryConfig().attempts
    assert result.merges == ()
    assert result.errors == ("general_intent: left unmerged: 'C' stands in 2 groups",)
    answers = iter([[("A", "Nobody")], [("A", "C")]])
    recovering = ScriptedModel(groups=lambda _labels: next(answers))
    result = virtually(resolver(recovering).resolve_conflicts(used(general_intent={"A": 1, "C": 1})))
    assert result.redirects() == {"general_intent": {"C": "A"}}
    assert result.errors == ()


@settings(deadline=None, max_examples=40)
@given(st.lists(names, unique=True), st.integers(0, 99), st.integers(1, 9))
def test_looks_have_orders_of_their_own(labels: list[str], seed: int, look: int) -> None:
    """The first look sees the labels as they are; each other one in an order that only seed and look
    decide, in which none is missing."""
    assert shuffled(labels, seed, 0) == labels
    assert shuffled(labels, seed, look) == shuffled(labels, seed, look)
    assert sorted(shuffled(labels, seed, look)) == sorted(labels)
    many = [f"L{i}" for i in range(30)]
    assert len({tuple(shuffled(many, seed, n)) for n in range(look + 1)}) == look + 1
    assert shuffled(many, seed, look) != shuffled(many, seed + 1, look)


def judge_of(model: ScriptedModel, *, attempts: int = 3, seed: int = 1) -> Judge:
    return Judge(model, SCHEMA.fields[0], retry=RetryConfig(attempts=attempts), seed=seed)


def by_letter(labels: Sequence[str]) -> list[tuple[str, ...]]:
    """A judge to whom labels with one first letter are the same."""
    return [tuple(label for label in labels if label[0] == first) for first in sorted({n[0] for n in labels})]


letters = st.text("AB", min_size=1, max_size=2)
questions = st.builds(
    lambda label, others: Question(label, tuple(o for o in others if o != label)),
    letters,
    st.lists(letters, unique=True, min_size=1, max_size=3),
)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 2), questions), max_size=45), st.integers(0, 99))
def test_every_question_is_asked_once_and_answered(asked: list[tuple[int, Question]], seed: int) -> None:
    """Whichever call ends first: each question has its own answer, in the order given within its look;
    a call holds ten questions of one look at most, and only further looks are shown notes."""
    draw = random.Random(seed)
    model = ScriptedModel(groups=by_letter, delay=lambda _c: draw.uniform(0.1, 9))
    notes = {"A": ["a note"]}
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        answered = runner.run(judge_of(model).ask(asked, notes, 2))
    expected = [question for _, question in sorted(asked, key=lambda one: one[0])]
    assert [question for question, _ in answered.answers] == expected
    for question, answer in answered.answers:
        assert answer is not None
        assert answer.same == tuple(c for c in question.candidates if c[0] == question.label[0])
    sizes = [sum(look == n for look, _ in asked) for n in range(3)]
    calls = [-(-size // QUESTIONS_PER_CALL) for size in sizes]
    assert len(model.notes) == sum(calls)
    assert model.notes.count(notes) == sum(calls[1:])
    assert answered.usage == Usage(50 * sum(calls), 0, 5 * sum(calls))
    assert answered.errors == ()
    assert {context.round for _, context in model.questions} <= {2}


class Stubborn(ScriptedModel):
    """Answers with an error, or raises one, so many times before it does as it should."""

    def __init__(self, failures: Sequence[str | EndpointError]) -> None:
        super().__init__(groups=by_letter)
        self._failures = list(failures)
        self.seeds: list[int] = []
        self.orders: list[list[str]] = []

    async def judge_pairs(
        self,
        label_field: LabelField,
        questions: Sequence[Question],
        notes: Mapping[str, Sequence[str]],
        context: CallContext,
    ) -> Answers:
        """An answer, or what comes before it."""
        self.seeds.append(context.seed)
        failure = self._failures.pop(0) if self._failures else None
        if isinstance(failure, EndpointError):
            raise failure
        answers = await super().judge_pairs(label_field, questions, notes, context)
        return answers if failure is None else replace(answers, answers=(), error=failure)

    async def judge_duplicates(
        self, label_field: LabelField, labels: Sequence[str], context: CallContext
    ) -> Judgement:
        """Likewise."""
        self.seeds.append(context.seed)
        self.orders.append(list(labels))
        failure = self._failures.pop(0) if self._failures else None
        if isinstance(failure, EndpointError):
            raise failure
        judgement = await super().judge_duplicates(label_field, labels, context)
        return judgement if failure is None else replace(judgement, groups=(), error=failure)


ONE = Question("Aa", ("A", "B"))


@pytest.mark.parametrize(("failures", "attempts"), [(0, 3), (2, 3), (3, 3), (4, 3), (1, 0)])
def test_attempts_are_bounded_differ_and_are_paid_for(
    virtually: Virtually, failures: int, attempts: int
) -> None:
    """An answer that cannot be used is asked for again under another seed, as often as configured; what all
    attempts took adds up, and in the end the question is left open with the reason."""
    model = Stubborn(["no JSON"] * failures)
    answered = virtually(judge_of(model, attempts=attempts).ask([(0, ONE)], {}, 1))
    calls = min(failures, attempts) + 1
    assert len(set(model.seeds)) == len(model.seeds) == calls
    assert answered.usage == Usage(50 * calls, 0, 5 * calls)
    ((question, answer),) = answered.answers
    assert question == ONE
    assert (answer is None) == (failures > attempts)
    given_up = ("general_intent: left unmerged: no JSON",)
    assert answered.errors == (given_up if failures > attempts else ())


@pytest.mark.parametrize("error", [RequestTooLongError("too long"), RequestRefusedError("filtered")])
def test_what_cannot_pass_is_not_asked_again(virtually: Virtually, error: EndpointError) -> None:
    """A request that is too long or refused stays so: its questions are left open at once, those of another
    call are answered."""
    model = Stubborn([error])
    answered = virtually(judge_of(model).ask([(0, ONE), (1, ONE)], {}, 1))
    assert [answer is None for _, answer in answered.answers] == [True, False]
    assert answered.errors == (f"general_intent: left unmerged: {error}",)
    assert len(model.seeds) == 2


def test_unreachable_judge_ends_the_run_resumably(virtually: Virtually) -> None:
    """The client has retried already: the run stops and says how to go on; a bad key is not hidden."""
    with pytest.raises(EndpointGoneError, match=r"503.*resume the run"):
        virtually(judge_of(Stubborn([TransientEndpointError("503")])).ask([(0, ONE)], {}, 1))
    with pytest.raises(EndpointGoneError, match=r"503.*resume the run"):
        virtually(judge_of(Stubborn([TransientEndpointError("503")])).looks(["A", "B"], range(3), 1))
    with pytest.raises(FatalEndpointError):
        virtually(judge_of(Stubborn([FatalEndpointError("bad key")])).looks(["A", "B"], range(1), 1))


def test_a_look_that_failed_is_missing_among_the_looks(virtually: Virtually) -> None:
    """Of three looks one cannot be used: two are left, its error is told, and all are paid for."""
    model = Stubborn(["no JSON"])
    looks = virtually(judge_of(model, attempts=0).looks(["A", "Ab", "B"], range(3), 1))
    assert len(looks.looks) == 2
    assert {frozenset(look.items()) for look in looks.looks} <= {
        frozenset({("Ab", "A")}),
        frozenset({("A", "Ab")}),
    }
    assert looks.errors == ("general_intent: left unmerged: no JSON",)
    assert looks.usage == Usage(150, 0, 15)


@settings(deadline=None, max_examples=40)
@given(count=st.integers(2, 4), seed=st.integers(0, 99))
def test_no_look_is_asked_in_the_same_words_as_another(count: int, seed: int) -> None:
    """Few labels have few orders: looks that share one have seeds of their own, or it would be one answer."""

    class Asked(Stubborn):
        async def judge_duplicates(
            self, label_field: LabelField, labels: Sequence[str], context: CallContext
        ) -> Judgement:
            told.append((tuple(labels), context.seed))
            return await super().judge_duplicates(label_field, labels, context)

    told: list[tuple[tuple[str, ...], int]] = []
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        runner.run(judge_of(Asked([]), seed=seed).looks(list("ABCD")[:count], range(3), 1))
    assert len(told) == len(set(told)) == 3


def test_same_seed_asks_the_same(virtually: Virtually) -> None:
    """Two judges of one seed make the same calls; one of another seed makes others."""

    def seeds(seed: int) -> list[int]:
        model = Stubborn(["no JSON", "no JSON"])
        virtually(judge_of(model, seed=seed).ask([(0, ONE), (1, ONE)], {}, 1))
        return sorted(model.seeds)

    assert seeds(1) == seeds(1)
    assert not set(seeds(1)) & set(seeds(2))
