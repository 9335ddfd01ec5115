"""Where servers put an answer, and what they count of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from autoanalyze.errors import ReplyError
from autoanalyze.llm.answers import listed
from autoanalyze.llm.replies import RefusedError, Said, UnreadableError, answer_in, counted
from autoanalyze.records import Usage

ANSWER = '{"sessions": [{"k": "s1"}]}'


def body(message: object, **choice: Any) -> str:
    return json.dumps({"choices": [{"message": message, "finish_reason": "stop", **choice}]})


def events(*deltas: dict[str, Any], end: str = "data: [DONE]") -> str:
    lines = [f"data: {json.dumps({'choices': [{'delta': delta}]})}" for delta in deltas]
    return "\n\n".join([*lines, end])


@pytest.mark.parametrize(
    "text",
    [
        body({"content": ANSWER}),
        body({"content": [{"type": "thinking", "text": "hm {"}, {"type": "text", "text": ANSWER}]}),
        body({"content": json.loads(ANSWER)}),
        body(ANSWER),
        json.dumps({"choices": [{"text": ANSWER}]}),
        body({"content": None, "tool_calls": [{"function": {"name": "f", "arguments": ANSWER}}]}),
        body({"content": "", "tool_calls": [{"function": {"arguments": json.loads(ANSWER)}}]}),
        body({"content": None, "function_call": {"arguments": ANSWER}}),
        body({"content": "", "reasoning_content": f"so: {ANSWER}"}),
        body({"content": None, "reasoning": ANSWER}),
        events({"role": "assistant"}, {"content": ANSWER[:9]}, {"content": ANSWER[9:]}),
        events({"tool_calls": [{"function": {"arguments": ANSWER}}]}),
        json.dumps({"message": {"content": ANSWER}, "done": True}),
        f"[{body({'content': ANSWER})}]",
    ],
)
def test_an_answer_is_found_wherever_it_stands(text: str) -> None:
    """In parts, calls of tools, reasoning, pieces of a stream: it is the same answer."""
    assert listed(answer_in(text, {}).text, "sessions") == [{"k": "s1"}]


@pytest.mark.parametrize(
    "text",
    [
        f"<think>\nmaybe {{'a': 1}}\n</think>\n\n{ANSWER}",
        f'first draft {{"sessions": []}}</think>{ANSWER}',
        f"Sure:\n```json\n{ANSWER}\n```\nAnything else [or {{not}}]?",
        f'My draft: {{"sessions": []}}. Now the answer: {ANSWER}',
        json.dumps(ANSWER),
        f"<|channel|>final<|message|>{ANSWER}",
        f"<reasoning>{ANSWER}x</reasoning>{ANSWER}",
    ],
)
def test_the_answer_is_found_among_other_words(text: str) -> None:
    """Behind thoughts, in fences, after drafts, encoded twice."""
    assert listed(text, "sessions") == [{"k": "s1"}]


@pytest.mark.parametrize("text", [f"<think>{ANSWER}", ANSWER[:-4], "I cannot do that.", '{"rows": []}'])
def test_half_an_answer_is_none(text: str) -> None:
    """Thoughts that never ended, and JSON that was cut off, are asked again."""
    with pytest.raises(ReplyError):
        listed(text, "sessions")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"error": {"message": "no worker", "code": 429}}', "429: no worker"),
        ('{"choices": [], "error": "no worker"}', "no worker"),
        (body({"content": ""}, error={"code": 502, "message": "silent"}), "502: silent"),
        (body({"content": ""}, finish_reason="error"), "finish_reason error"),
        ('{"object": "error", "message": "no worker", "code": 503}', "503: no worker"),
        ('{"detail": "no worker"}', "no worker"),
        ('data: {"error": {"message": "no worker"}}\n\n', "no worker"),
    ],
)
def test_errors_that_come_as_answers_are_errors(text: str, words: str) -> None:
    """With status 200, at the top, in a choice or in a stream: the server's words are kept."""
    with pytest.raises(RefusedError, match=words):
        answer_in(text, {})


NO_ANSWERS = ["", "<html>", "7", '"x"', "[]", body(None), '{"choices": [null]}', '{"choices": []}']


@pytest.mark.parametrize("text", [*NO_ANSWERS, events({"content": "a"}, end=""), "[" * 100_000])
def test_what_is_no_answer_is_a_failed_attempt(text: str) -> None:
    """Pages, empty choices and streams that broke off are never an answer."""
    with pytest.raises((UnreadableError, RefusedError)):
        answer_in(text, {})


@pytest.mark.parametrize(
    ("counts", "usage", "told"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 3}, Usage(9, 0, 3), True),
        ({}, Usage(50, 0, 7), False),
        ({"prompt_tokens": 9}, Usage(9, 0, 7), False),
        ({"prompt_tokens": None, "completion_tokens": "3"}, Usage(50, 0, 7), False),
        ({"prompt_tokens": 0, "completion_tokens": 0}, Usage(50, 0, 7), False),
        ({"prompt_tokens": -1, "completion_tokens": 1e300}, Usage(50, 0, 7), False),
        ({"prompt_tokens": True, "completion_tokens": []}, Usage(50, 0, 7), False),
        ({"input_tokens": 9, "output_tokens": 3}, Usage(9, 0, 3), True),
        ({"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": 1}, Usage(9, 0, 3), True),
    ],
)
def test_counts_that_make_no_sense_are_our_own(counts: dict[str, Any], usage: Usage, told: bool) -> None:
    """Missing, partial or absurd usage is counted here, and said to be."""
    assert counted(Said("text", "stop", counts), 50, 7) == (usage, told)
