"""The reader: what it answers follows from the run's transcripts and the request alone."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reading_texts import MATTERS, chats

from autoanalyze.analysis.configuration import compose
from autoanalyze.llm.judging import judge_messages, pairs_messages
from autoanalyze.llm.prompts import AnalysisPrompt
from autoanalyze.protocols import Question
from autoanalyze.reading.reader import Reader
from autoanalyze.records import LabelField, LabelSchema, SessionText, VocabularySnapshot, transcript
from autoanalyze.serving.requests import BatchRequest, JudgeRequest, PairsRequest, parse_request

TEXTS = [(transcript(chat.messages), chat.containment_type) for chat in chats()]
INTENT = LabelField("general_intent", "what the user came for.")


@pytest.fixture(scope="module")
def schema() -> LabelSchema:
    """The default fields."""
    return compose(["data.count=20"]).schema.records()


@pytest.fixture(scope="module")
def reader(schema: LabelSchema) -> Reader:
    """A reader of our own chats."""
    return Reader(TEXTS, schema)


def label(
    reader: Reader, schema: LabelSchema, texts: list[str], known: tuple[str, ...] = (), reply: str = "labels"
) -> list[dict[str, Any]]:
    """What the reader says of some transcripts, as rows with full names."""
    prompt = AnalysisPrompt(schema, reply=reply)
    vocabulary = VocabularySnapshot().extended({"general_intent": known})
    sessions = [SessionText(str(number), text, 1) for number, text in enumerate(texts)]
    request = parse_request(prompt.messages(sessions, vocabulary))
    assert isinstance(request, BatchRequest)
    rows = prompt.parse_reply(reader.label(request, 1), vocabulary)
    return [{"key": row.key, **row.values} for row in rows]


def test_names_are_phrases_of_the_texts(reader: Reader, schema: LabelSchema) -> None:
    """Two or three words in Title Case that a session of this matter really has, and no person's name."""
    for text, _ in TEXTS:
        (row,) = label(reader, schema, [text])
        name = row["general_intent"]
        assert 2 <= len(name.split()) <= 4
        assert all(word[0].isupper() for word in name.split())
        assert "Paula" not in name
        own = next(m for m, said in MATTERS.items() if any(one in text for one in said))
        assert all(any(word.lower() in said for said in MATTERS[own]) for word in name.split())


def test_transfers_have_a_reason_and_a_place(reader: Reader, schema: LabelSchema) -> None:
    """And sessions that stayed inside have neither."""
    for text, ended in TEXTS:
        (row,) = label(reader, schema, [text])
        assert row["session_outcome"] == ("Transfer" if ended == "agent" else "Contained")
        named = [row["transfer_reason"], row["drop_off_location"]]
        assert all(named) if ended == "agent" else named == [None, None]


def test_known_labels_are_reused_by_name_or_number(reader: Reader, schema: LabelSchema) -> None:
    """Once every session has been named, none needs a new name."""
    known = tuple(dict.fromkeys(label(reader, schema, [text])[0]["general_intent"] for text, _ in TEXTS))
    for reply in ("labels", "numbers"):
        rows = label(reader, schema, [text for text, _ in TEXTS[:20]], known, reply)
        assert {row["general_intent"] for row in rows} <= set(known)


def test_sessions_of_one_call_share_names(reader: Reader, schema: LabelSchema) -> None:
    """The second of two sessions that are near each other gets the name of the first."""
    rows = label(reader, schema, [TEXTS[0][0], TEXTS[0][0]])
    assert rows[0]["general_intent"] == rows[1]["general_intent"]


def test_judge_groups_what_belongs_together(reader: Reader) -> None:
    """However it is asked: two names of one matter are the same, names of two are not, and a label that no
    word of the run stands in is like no other."""
    cards = ["Lost Card", "Stolen Card Blocked"]
    shown = [*cards, "Parcel Delivery", "Zzyzx Qwrt"]
    together = parse_request(judge_messages(INTENT, shown))
    assert isinstance(together, JudgeRequest)
    assert json.loads(reader.judge(together, 1)) == {"groups": [[1, 2]]}
    asked = parse_request(pairs_messages(INTENT, [Question(shown[0], tuple(shown[1:]))], {}))
    assert isinstance(asked, PairsRequest)
    (answer,) = json.loads(reader.judge_pairs(asked, 1))["answers"]
    assert (answer["q"], answer["same"]) == (1, [2])


def test_labels_of_one_matter_lie_near_each_other(reader: Reader) -> None:
    """Or the judge would never be asked about them; every text has a vector of length 1."""
    card, stolen, parcel, unknown = (
        reader.embedding(text, 512)
        for text in ("Lost Card", "Stolen Card Blocked", "Parcel Delivery", "Qwrt")
    )
    assert card @ stolen > 0.5 > card @ parcel
    assert np.isclose(np.linalg.norm(unknown), 1)
    assert len(reader.embedding("Lost Card", 16)) == 16


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_answers_do_not_depend_on_what_was_asked_before(
    reader: Reader, schema: LabelSchema, data: st.DataObject
) -> None:
    """A reader that was asked this and that says what a fresh one says, seed or not."""
    texts = data.draw(
        st.lists(st.sampled_from([text for text, _ in TEXTS]) | st.text(max_size=40), max_size=4)
    )
    known = tuple(
        data.draw(st.lists(st.sampled_from(["Lost Card", "Parcel", "Something Else"]), unique=True))
    )
    said = label(reader, schema, texts, known)
    label(reader, schema, [TEXTS[data.draw(st.integers(0, 95))][0]], ("Parcel Delivery",))
    assert label(reader, schema, texts, known) == said


def test_order_of_the_transcripts_is_none_of_its_concern(reader: Reader, schema: LabelSchema) -> None:
    """The same sessions make the same reader; others make another endpoint."""
    turned = Reader(reversed(TEXTS), schema)
    assert turned.identity == reader.identity
    assert Reader(TEXTS[1:], schema).identity != reader.identity
    some = [text for text, _ in TEXTS[::5]]
    assert label(turned, schema, some) == label(reader, schema, some)


MILLION = "user: " + "claim status of the parcel 12345 " * 30_000


@pytest.mark.parametrize(
    "texts",
    [
        ["user: where is my claim"],
        ["user: where is my claim"] * 30,
        ["user: refund"],
        [""],
        ["", "user: ", "bot: hello", "user: ???", "user: 12 34", "user: the of and"],
        ["user: wo ist mein Paket", "user: 我的包裹在哪里", "user: où est mon colis", "user: أين طردي"] * 3,
        [MILLION, "user: hello"],
        ["user: " + "x" * 1_000_000],
        ["user: \ud800 broken"],
    ],
    ids=["one", "identical", "word", "empty", "wordless", "languages", "million", "unbroken", "surrogate"],
)
def test_bad_input_gets_an_answer(schema: LabelSchema, texts: list[str]) -> None:
    """A label or none for each session, never a traceback."""
    reader = Reader([(text, "unknown") for text in texts], schema)
    rows = label(reader, schema, texts)
    assert len(rows) == len(texts)
    for row, text in zip(rows, texts, strict=True):
        assert row["general_intent"] is None or len(row["general_intent"]) <= 60
        assert text or row["general_intent"] is None
    assert np.isfinite(reader.embedding("Claim Status", 32)).all()


def test_more_sessions_than_are_fitted_are_placed(
    schema: LabelSchema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those beside the graph get the names of those in it."""
    monkeypatch.setattr("autoanalyze.reading.topics.MOST_FITTED", 60)
    few = Reader(TEXTS, schema)
    rows = label(few, schema, [text for text, _ in TEXTS])
    assert all(row["general_intent"] for row in rows)
    assert len({row["general_intent"] for row in rows}) < len(TEXTS) / 2
