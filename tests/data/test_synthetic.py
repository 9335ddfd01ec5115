"""Synthetic sessions: varied, believable, and right about themselves."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from autoanalyze.data.synthetic import END, concepts, generate
from autoanalyze.records import Conversation, transcript


@pytest.fixture(scope="module")
def sessions() -> list[Conversation]:
    """A thousand sessions, as the main job samples them."""
    return generate(1000, seed=7)


def test_same_seed_same_sessions_and_more_only_add() -> None:
    """A session depends on the seed and its number alone."""
    assert generate(60, seed=3) == generate(200, seed=3)[:60]
    assert generate(60, seed=3) != generate(60, seed=4)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10_000))
def test_no_two_transcripts_are_the_same(seed: int) -> None:
    """At any seed, a thousand sessions are a thousand transcripts and ids."""
    sessions = generate(1000, seed=seed)
    assert len({transcript(session.messages) for session in sessions}) == 1000
    assert len({session.session_id for session in sessions}) == 1000


def test_concepts_are_many_and_look_alike() -> None:
    """At least 25 intents, 12 reasons and 12 locations, with look-alikes in each field."""
    known = concepts()
    assert len(known["general_intent"]) >= 25
    assert len(known["transfer_reason"]) >= 12
    assert len(known["drop_off_location"]) >= 12
    for field, pair in {
        "general_intent": {"Refund Status", "Refund Request"},
        "transfer_reason": {"Invalid Member ID", "Missing Member ID"},
        "drop_off_location": {"Member ID Entry", "Member ID Confirmation"},
    }.items():
        assert pair <= set(known[field])


def test_every_concept_occurs_and_the_first_are_frequent(sessions: list[Conversation]) -> None:
    """Frequencies fall like Zipf's, with a long tail in which every concept still occurs."""
    for field, names in concepts().items():
        counts = Counter(session.truth[field] for session in sessions if field in session.truth)
        assert set(counts) == set(names)
        ranked = [number for _, number in counts.most_common()]
        assert ranked[0] >= 3 * ranked[len(ranked) // 2]


def test_truth_is_there_exactly_where_it_applies(sessions: list[Conversation]) -> None:
    """Every session has an intent; only those handed to an agent have a reason and a location."""
    for session in sessions:
        handed_over = (
            {"transfer_reason", "drop_off_location"} if session.containment_type == "agent" else set()
        )
        assert set(session.truth) == {"general_intent"} | handed_over
    kinds = Counter(session.containment_type for session in sessions)
    assert set(kinds) == {"agent", "selfService", "dropOff"}
    assert min(kinds.values()) > 100


def test_times_run_forward_before_a_fixed_date(sessions: list[Conversation]) -> None:
    """Messages follow one another, sessions start within the 30 days before the fixed end."""
    for session in sessions:
        times = [message.timestamp for message in session.messages]
        assert None not in times
        assert times == sorted(times)  # type: ignore[type-var]  # none of them is null, as asserted above
        assert session.start_time is not None
        assert END - timedelta(days=30) <= session.start_time < END + timedelta(days=1)
        assert session.end_time == times[-1]


def test_lengths_go_from_short_to_long(sessions: list[Conversation]) -> None:
    """From a few messages to dozens, with a tail of long transcripts."""
    messages = sorted(len(session.messages) for session in sessions)
    characters = sorted(len(transcript(session.messages)) for session in sessions)
    assert messages[0] <= 4
    assert 8 <= messages[500] <= 20
    assert messages[-1] >= 30
    assert characters[-10] > 4 * characters[500]


def test_some_users_come_often(sessions: list[Conversation]) -> None:
    """Most users have one session, some have several."""
    visits = Counter(Counter(session.user_id for session in sessions).values())
    assert visits[1] > 400
    assert sum(number for times, number in visits.items() if times >= 3) > 20
    assert max(visits) < 60


@pytest.mark.slow
def test_text_tells_what_is_planted_but_does_not_name_it(sessions: list[Conversation]) -> None:
    """A linear model learns intents and reasons from the text, though hardly a chat names its intent."""
    sessions = sessions[:700]
    texts = [transcript(session.messages) for session in sessions]
    for field, least in (("general_intent", 0.8), ("transfer_reason", 0.6)):
        rows = [i for i, session in enumerate(sessions) if field in session.truth]
        frequent = Counter(sessions[i].truth[field] for i in rows)
        rows = [i for i in rows if frequent[sessions[i].truth[field]] >= 10]
        model = make_pipeline(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=50)
        )
        truth = [sessions[i].truth[field] for i in rows]
        assert cross_val_score(model, [texts[i] for i in rows], truth, cv=3).mean() > least
    named = sum(
        s.truth["general_intent"].lower() in text.lower() for s, text in zip(sessions, texts, strict=True)
    )
    assert named < 50
