"""What is said to the model, and how hostile text and broken answers are met."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import pytest
from fakes import SCHEMA
from hypothesis import given, settings
from hypothesis import strategies as st

from autoanalyze.errors import ConfigurationError, ReplyError
from autoanalyze.llm import prompts as framing
from autoanalyze.llm.prompts import AnalysisPrompt
from autoanalyze.records import SessionText, VocabularySnapshot

PROMPT = AnalysisPrompt(SCHEMA)
KNOWN = VocabularySnapshot(({"general_intent": ("Claim Status",)}, {"transfer_reason": ("Invalid ID",)}))


def messages(*texts: str, vocabulary: VocabularySnapshot = KNOWN) -> list[dict[str, str]]:
    sessions = [SessionText(f"id-{i}", text, 10) for i, text in enumerate(texts)]
    return PROMPT.messages(sessions, vocabulary)


def test_direction_marks_and_control_characters_are_escaped() -> None:
    """Nothing invisible stands in a prompt as itself."""
    content = messages("user: a\u202eb\u200bc\x07d\ufeff")[1]["content"]
    assert not set("\u202e\u200b\x07\ufeff") & set(content)


def test_older_prompts_are_prefixes_of_newer_ones() -> None:
    """A label more changes nothing before it, so the provider's cache keeps hitting."""
    newer = KNOWN.extended({"general_intent": ["Refund"]})
    old, new = messages("user: x"), messages("user: x", vocabulary=newer)
    assert old[0] == new[0]
    assert new[1]["content"].startswith(old[1]["content"].split(framing.SESSIONS)[0].rstrip())


def test_no_label_is_suggested_by_the_instructions() -> None:
    """The instructions name no example label, which would seed an open vocabulary."""
    assert "Claim" not in PROMPT.instructions


def test_too_long_context_is_refused() -> None:
    """More than 1,500 characters of context are a configuration error."""
    AnalysisPrompt(SCHEMA, "x" * 1500)
    with pytest.raises(ConfigurationError, match="1,500"):
        AnalysisPrompt(SCHEMA, "x" * 1501)


def test_reply_rows_keep_their_keys_and_order() -> None:
    """Rows are read as they stand; a row without a key belongs to nobody; a code fence is forgiven."""
    text = '```json\n{"sessions": [{"T": "s2", "f1": "A"}, {"general_intent": "B"}, 7]}\n```'
    rows = PROMPT.parse_reply(text, KNOWN)
    assert [row.key for row in rows] == ["s2", ""]
    assert [row.values["general_intent"] for row in rows] == ["A", "B"]  # full names are understood too


#: Every way in which a reply is read.
READERS: list[Callable[[str], object]] = [
    partial(AnalysisPrompt(SCHEMA, "", reply).parse_reply, vocabulary=KNOWN)
    for reply in ("labels", "numbers")
]

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.text() | JSON.map(json.dumps) | JSON.map(lambda value: json.dumps({"sessions": value})))
def test_any_text_gives_rows_or_a_reply_error(text: str) -> None:
    """No reply, however broken, raises anything but the parser's own error."""
    for parse in READERS:
        with suppress(ReplyError):
            parse(text)


@pytest.mark.parametrize("text", ["", "[" * 100_000, '{"sessions": {}}', "null", '{"sessions": [1'])
def test_hopeless_replies_are_reply_errors(text: str) -> None:
    """Empty, bottomless, misshapen and cut-off replies are named as such."""
    with pytest.raises(ReplyError):
        PROMPT.parse_reply(text, KNOWN)


#: What replies are made of, and what breaks them.
PIECES = st.sampled_from(
    [
        '{"sessions":',
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        '"k":"s1"',
        '"k":7',
        '"f1":1',
        '"s":"T"',
        "1",
        "99999999999999999999",
        '"A"',
        '"',
        "\\",
        "\\ud800",
        "null",
        "NaN",
        "1e999",
        "-",
        "```json",
        "\n",
        "\x00",
        "\u202e",
        "é",
        "Sure! ",
    ]
)
BATCH = 50


@settings(max_examples=int(os.environ.get("FUZZED_REPLIES", "10000")) // BATCH, deadline=None)
@given(st.lists(st.lists(PIECES, max_size=14).map("".join), min_size=BATCH, max_size=BATCH))
def test_almost_replies_give_rows_or_a_reply_error(replies: list[str]) -> None:
    """Broken replies raise the parser's own error or none; the long form: FUZZED_REPLIES=100000."""
    for reply in replies:
        for parse in READERS:
            with suppress(ReplyError):
                parse(reply)
