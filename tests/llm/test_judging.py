"""How the judge is asked, and which of its answers count."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from fakes import SCHEMA
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from autoanalyze.errors import ReplyError
from autoanalyze.llm.judging import (
    LONGEST_REASON,
    judge_messages,
    judge_reply_schema,
    pairs_messages,
    pairs_reply_schema,
    parse_judge_reply,
    parse_pairs_reply,
)
from autoanalyze.protocols import Answer, Question

LABELS = ("Refund", "Money Back", "Claim Status", "Weather")
#: Shown as 1 Refund, 2 Money Back, 3 Weather, 4 Claim Status.
QUESTIONS = (
    Question("Refund", ("Money Back", "Weather")),
    Question("Claim Status", ("Weather", "Refund")),
)


# All labels at once


@given(st.permutations(range(1, 9)), st.lists(st.integers(0, 8), max_size=3))
def test_groups_are_the_labels_of_their_numbers(numbers: list[int], cuts: list[int]) -> None:
    """Groups come in the order and with the best name that the judge gave them; empty ones are none."""
    edges = [0, *sorted(cuts), 8]
    groups = [numbers[start:end] for start, end in pairwise(edges)]
    labels = [f"label {number}" for number in range(1, 9)]
    found = parse_judge_reply(json.dumps({"groups": groups}), labels)
    assert found == tuple(tuple(f"label {number}" for number in group) for group in groups if group)


@pytest.mark.parametrize("number", [0, 5, -1, True, False, 1.0, "1", None, [1]])
@pytest.mark.parametrize("place", [0, 1])
def test_numbers_of_no_label_are_left_out_of_their_group(number: object, place: int) -> None:
    """The rest of the reply counts, unless no two labels are left in any group."""
    groups: list[list[object]] = [[1, 2], [3, 4]]
    groups[place].append(number)
    found = parse_judge_reply(json.dumps({"groups": groups}), LABELS)
    assert found == (("Refund", "Money Back"), ("Claim Status", "Weather"))
    with pytest.raises(ReplyError, match="no label's number"):
        parse_judge_reply(json.dumps({"groups": [[1, number]]}), LABELS)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.lists(st.integers(1, 4), max_size=3), max_size=4),
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0, 9, None, "2", 1.5])), max_size=3),
)
def test_a_flawed_reply_says_what_it_says_without_its_flaws(
    groups: list[list[int]], flaws: list[tuple[int, object]]
) -> None:
    """Whatever is mixed in: the groups are those of the reply without it, or nothing was left of them."""
    mixed: list[list[object]] = [list(group) for group in groups]
    for place, flaw in flaws:
        if mixed:
            mixed[place % len(mixed)].append(flaw)
    clean = parse_judge_reply(json.dumps({"groups": groups}), LABELS)
    if not flaws or not groups or any(len(set(group)) > 1 for group in groups):
        assert parse_judge_reply(json.dumps({"groups": mixed}), LABELS) == clean
    else:
        with pytest.raises(ReplyError):
            parse_judge_reply(json.dumps({"groups": mixed}), LABELS)


@pytest.mark.parametrize(
    "reply", ["", "{}", '{"groups": {}}', '{"groups": [1, 2]}', '{"groups": [{"1": 2}]}']
)
def test_replies_without_groups_are_refused(reply: str) -> None:
    """What holds no list of lists is no judgement, and not one that all labels differ."""
    with pytest.raises(ReplyError):
        parse_judge_reply(reply, LABELS)
    assert parse_judge_reply('{"groups": []}', LABELS) == ()


def test_code_fences_around_judgements_are_forgiven() -> None:
    """Models like to wrap JSON, or leave its outer object away."""
    assert parse_judge_reply('```json\n{"groups": [[2, 1]]}\n```', LABELS) == (("Money Back", "Refund"),)
    assert parse_judge_reply("[[2, 1]]", LABELS) == (("Money Back", "Refund"),)


# Small questions


def replied(*answers: object) -> str:
    """A reply with these answers."""
    return json.dumps({"answers": answers})


def answer(question: object = 1, same: object = (), reason: object = "because") -> dict[str, object]:
    """One answer of a reply."""
    return {"q": question, "same": same, "reason": reason}


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_answers_come_in_the_order_of_the_questions(data: st.DataObject) -> None:
    """Whatever order the judge answers in, each answer holds the labels of its own numbers."""
    names = st.lists(st.sampled_from([f"label {n}" for n in range(12)]), min_size=2, max_size=6, unique=True)
    asked = [
        Question(label, tuple(rest)) for label, *rest in data.draw(st.lists(names, min_size=1, max_size=5))
    ]
    mentioned = [label for question in asked for label in (question.label, *question.candidates)]
    numbers = {label: number for number, label in enumerate(dict.fromkeys(mentioned), start=1)}
    meant = [data.draw(st.lists(st.sampled_from(question.candidates), unique=True)) for question in asked]
    rows = [
        answer(position, [numbers[label] for label in same], f"reason {position}")
        for position, same in enumerate(meant, start=1)
    ]
    found = parse_pairs_reply(replied(*data.draw(st.permutations(rows))), asked)
    assert found == tuple(Answer(tuple(same), f"reason {n}") for n, same in enumerate(meant, start=1))


def test_candidates_said_twice_count_once() -> None:
    """A number that an answer repeats is one opinion."""
    found = parse_pairs_reply(replied(answer(1, [3, 2, 3]), answer(2, [1])), QUESTIONS)
    assert [answered.same for answered in found] == [("Weather", "Money Back"), ("Refund",)]


@pytest.mark.parametrize(
    ("reason", "kept"),
    [(" two\nlines \t here ", "two lines here"), ("x" * 999, "x" * LONGEST_REASON), (None, ""), (7, "")],
)
def test_reasons_are_one_short_line_or_none(reason: object, kept: str) -> None:
    """A reason is for people to read: without one, the answer counts all the same."""
    (found, _) = parse_pairs_reply(replied(answer(1, [2], reason), answer(2)), QUESTIONS)
    assert found == Answer(("Money Back",), kept)


@pytest.mark.parametrize(
    ("answers", "complaint"),
    [
        ([answer(1)], "answered 1 of 2 questions"),
        ([], "answered 0 of 2"),
        ([answer(1), answer(1)], "question 1, which is not open"),
        ([answer(1), answer(2), answer(2)], "question 2, which is not open"),
        ([answer(1), answer(3)], "question 3"),
        ([answer(0), answer(1)], "question 0"),
        ([answer(True), answer(2)], "question True"),
        ([answer("1"), answer(2)], "question '1'"),
        ([answer(None), answer(2)], "question None"),
        ([answer(1, [4]), answer(2)], "question 1 holds something that is no candidate"),
        ([answer(1, [1]), answer(2)], "no candidate"),
        ([answer(1), answer(2, [2])], "question 2 holds something that is no candidate"),
        ([answer(1, [99]), answer(2)], "no candidate"),
        ([answer(1), answer(2, [True])], "no candidate"),
        ([answer(1, [2.0]), answer(2)], "no candidate"),
        ([answer(1, ["2"]), answer(2)], "no candidate"),
        ([answer(1, [[2]]), answer(2)], "no candidate"),
        ([answer(1, "2"), answer(2)], "no object with a list"),
        ([answer(1, None), answer(2)], "no object with a list"),
        ([{"q": 1}, answer(2)], "no object with a list"),
        ([1, 2], "no object with a list"),
    ],
)
def test_whoever_mixes_up_one_question_is_not_believed(answers: list[object], complaint: str) -> None:
    """Each question is answered once, and with its own candidates, or the whole reply is refused."""
    with pytest.raises(ReplyError, match=complaint):
        parse_pairs_reply(replied(*answers), QUESTIONS)


JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 6) | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["q", "same", "reason", "x"]), inner, max_size=3)
    ),
    max_leaves=10,
)
READERS: list[Callable[[str], object]] = [
    partial(parse_judge_reply, labels=LABELS),
    partial(parse_pairs_reply, questions=QUESTIONS),
]


@settings(deadline=None, max_examples=60)
@given(JSON_VALUES | st.lists(JSON_VALUES), st.text(max_size=4))
def test_any_text_is_a_judgement_or_a_reply_error(value: Any, noise: str) -> None:
    """No reply, however broken, raises anything but the parser's own error."""
    whole = json.dumps({"groups": value, "answers": value})
    for text in (whole, json.dumps(value), whole[: len(whole) // 2], noise, whole + noise):
        for read in READERS:
            with suppress(ReplyError):
                read(text)


# How it is asked


def lines_of(messages: list[dict[str, str]]) -> list[Any]:
    """The JSON lines of what the user says."""
    return [json.loads(line) for line in messages[1]["content"].split("\n") if line.startswith("{")]


def test_labels_are_shown_under_their_numbers() -> None:
    """The field is named and described, and labels are counted from one in the order given."""
    field, *labels = lines_of(judge_messages(SCHEMA.fields[0], ["B", "A"]))
    assert field == {"name": "general_intent", "description": "what the user came for."}
    assert labels == [{"1": "B"}, {"2": "A"}]


def test_each_label_of_the_questions_is_shown_once_with_its_notes() -> None:
    """Labels are numbered by first mention; only those that have notes show some."""
    notes = {"Weather": ["asked about rain", "and snow"], "Refund": [], "Nobody": ["x"]}
    _, *shown = lines_of(pairs_messages(SCHEMA.fields[0], QUESTIONS, notes))
    assert shown == [
        {"1": "Refund"},
        {"2": "Money Back"},
        {"3": "Weather", "notes": ["asked about rain", "and snow"]},
        {"4": "Claim Status"},
        {"q": 1, "label": 1, "candidates": [2, 3]},
        {"q": 2, "label": 4, "candidates": [3, 1]},
    ]


def test_instructions_are_the_same_for_all_questions() -> None:
    """What differs between requests stands at their end, so that the provider's cache keeps hitting."""
    one = pairs_messages(SCHEMA.fields[0], QUESTIONS, {})
    other = pairs_messages(SCHEMA.fields[1], QUESTIONS[:1], {"Refund": ["x"]})
    assert one[0] == other[0]
    assert judge_messages(SCHEMA.fields[0], LABELS)[0] == judge_messages(SCHEMA.fields[1], ["A"])[0]
    assert [message["role"] for message in one] == ["system", "user"]


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (judge_reply_schema(), {"groups": [[1, 2], []]}, {"groups": [["1"]]}),
        (judge_reply_schema(), {"groups": []}, {"groups": [], "because": "x"}),
        (pairs_reply_schema(), {"answers": [answer(1, [2])]}, {"answers": [{"q": 1, "same": []}]}),
        (pairs_reply_schema(), {"answers": []}, {}),
    ],
)
def test_schemas_take_what_is_asked_for_and_nothing_else(schema: Any, good: Any, bad: Any) -> None:
    """A strict endpoint can say all that the parser reads, with no part missing or added."""
    Draft202012Validator.check_schema(schema)
    judge = Draft202012Validator(schema)
    assert judge.is_valid(json.loads(json.dumps(good)))
    assert not judge.is_valid(bad)
