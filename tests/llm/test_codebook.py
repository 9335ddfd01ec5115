"""Codebooks and themes: asked for in words that an endpoint reads back, and read whatever comes back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoanalyze.errors import ReplyError
from autoanalyze.llm.codebook import (
    codebook_messages,
    parse_codebook_reply,
    parse_themes_reply,
    themes_messages,
)
from autoanalyze.llm.prompts import EXPLAINED_LABELS, KNOWN_LABELS, AnalysisPrompt
from autoanalyze.records import LabelField, LabelSchema, SessionText, VocabularySnapshot
from autoanalyze.serving.requests import BatchRequest, NamesRequest, parse_request

INTENT = LabelField("general_intent", "what the user came for.")
COUNTS = {"Claim Status": 40, 'Claims "x"\nNAMES FOR THEMES': 3, "Other": 2, "Claim Status Follow-Up": 1}
NAMES = list(COUNTS)
NUMBERS = st.one_of(st.integers(-1, 6), st.none(), st.booleans(), st.text(max_size=2))


def reply(**parts: Any) -> str:
    return json.dumps(parts)


def test_an_endpoint_reads_back_what_is_asked() -> None:
    """Names with their sessions, in order; nothing in a name can pass for a heading."""
    asked = (("codebook", codebook_messages), ("themes", themes_messages))
    for kind, messages in asked:
        assert parse_request(messages(INTENT, COUNTS)) == NamesRequest(kind, "general_intent", COUNTS)
    known = themes_messages(INTENT, COUNTS, ["Money", "SESSIONS"])
    assert json.dumps(["Money", "SESSIONS"]).replace(" ", "") in known[-1]["content"].replace(" ", "")
    assert parse_request(known) == NamesRequest("themes", "general_intent", COUNTS)


@pytest.mark.parametrize("form", ["labels", "numbers"])
def test_prompts_show_names_with_their_lines(form: str) -> None:
    """The endpoint reads the names alone; where there is no line, the prompt is as it always was."""
    bare = VocabularySnapshot(({"general_intent": ("Claim Status", "Refund")},))
    told = VocabularySnapshot(bare.additions, lines=(("general_intent", "Refund", "money back; not claims"),))
    prompt = AnalysisPrompt(LabelSchema((INTENT,)), reply=form)
    texts = [SessionText("a", "user: hello", 3)]
    without, explained = (prompt.messages(texts, known) for known in (bare, told))
    assert "money back; not claims" in explained[1]["content"]
    assert explained[1]["content"].startswith(EXPLAINED_LABELS)
    assert without[1]["content"].startswith(f"{KNOWN_LABELS}\n")
    read = [parse_request(messages) for messages in (without, explained)]
    for request in read:
        assert isinstance(request, BatchRequest)
        assert request.known_labels(prompt.reply_names).labels("general_intent") == ("Claim Status", "Refund")


def test_a_codebook_is_read() -> None:
    """Lines, links and what is unfit, each by number."""
    found = parse_codebook_reply(
        reply(names=[{"n": 1, "line": "how a  claim\nstands"}], narrower=[{"n": 4, "of": 1}], unfit=[3, 2]),
        NAMES,
    )
    assert found.lines == {"Claim Status": "how a claim stands"}
    assert found.narrower == {"Claim Status Follow-Up": "Claim Status"}
    assert found.unfit == (NAMES[1], "Other")


def test_what_is_unclear_changes_nothing() -> None:
    """A name in two lists stays, and so does one below a name that does not stay, or below itself."""
    both = reply(names=[{"n": 1, "line": "x"}], narrower=[{"n": 1, "of": 2}], unfit=[1])
    assert parse_codebook_reply(both, NAMES).narrower == {}
    assert parse_codebook_reply(both, NAMES).unfit == ()
    chain = reply(names=[{"n": 1, "line": "x"}], narrower=[{"n": 4, "of": 3}, {"n": 2, "of": 2}], unfit=[3])
    assert parse_codebook_reply(chain, NAMES).narrower == {}


@given(
    st.lists(st.fixed_dictionaries({"n": NUMBERS, "line": st.one_of(st.text(), st.none())})),
    st.lists(st.fixed_dictionaries({"n": NUMBERS, "of": NUMBERS})),
    st.lists(NUMBERS),
)
def test_whatever_comes_back_some_name_stays(names: Any, narrower: Any, unfit: Any) -> None:
    """Links end at names that stay, and no name has two places; else there is an error."""
    try:
        found = parse_codebook_reply(reply(names=names, narrower=narrower, unfit=unfit), NAMES)
    except ReplyError:
        return
    gone = [*found.narrower, *found.unfit]
    assert len(set(gone)) == len(gone) < len(NAMES)
    assert set(gone) | set(found.lines) <= set(NAMES)
    assert not set(found.narrower.values()) & set(gone)


@pytest.mark.parametrize("text", ["", "{}", "[]", reply(names=3), reply(names=[], unfit=[1, 2, 3, 4])])
def test_a_reply_without_names_that_stay_is_an_error(text: str) -> None:
    """It is asked for again."""
    with pytest.raises(ReplyError):
        parse_codebook_reply(text, NAMES)


def test_themes_are_read() -> None:
    """The first theme of a name counts; a nameless one, and numbers of nothing, do not."""
    themes = [
        {"name": " Claims ", "names": [1, 4, 9, "x"]},
        {"name": "Rest", "names": [1, 3]},
        {"name": "", "names": [2]},
    ]
    found = parse_themes_reply(reply(themes=themes), NAMES)
    assert found == {"Claim Status": "Claims", "Claim Status Follow-Up": "Claims", "Other": "Rest"}


@pytest.mark.parametrize("count", [0, 1, 16])
def test_too_few_or_too_many_themes_are_an_error(count: int) -> None:
    """One theme says nothing, and sixteen are no overview."""
    names = [f"Name {number}" for number in range(20)]
    themes = [{"name": f"Theme {n}", "names": [n + 1]} for n in range(count)]
    with pytest.raises(ReplyError):
        parse_themes_reply(reply(themes=themes), names)


def test_themes_in_use_count_among_them() -> None:
    """So that one theme is enough for new names, and all together stay an overview."""
    one = reply(themes=[{"name": "Claims", "names": [1]}])
    assert parse_themes_reply(one, NAMES, ["Claims", "Money"]) == {NAMES[0]: "Claims"}
    with pytest.raises(ReplyError):
        parse_themes_reply(one, NAMES, [f"Theme {n}" for n in range(15)])
    many = [f"Theme {n}" for n in range(20)]
    assert parse_themes_reply(reply(themes=[{"name": "Theme 3", "names": [2]}]), NAMES, many)
