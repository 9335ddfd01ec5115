"""Synthetic sessions: varied, believable, and right about themselves."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from autoanalyze.data.synthetic import (
    CONTEXTS,
    END,
    SECOND,
    Variety,
    concepts,
    content,
    cumulative_zipf,
    generate,
    matters,
)
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
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), RidgeClassifier(solver="sparse_cg")
        )
        truth = [sessions[i].truth[field] for i in rows]
        assert cross_val_score(model, [texts[i] for i in rows], truth, cv=3).mean() > least
    named = sum(
        s.truth["general_intent"].lower() in text.lower() for s, text in zip(sessions, texts, strict=True)
    )
    assert named < 50


# More variety


def test_default_variety_gives_the_sessions_of_all_figures() -> None:
    """To the letter, as of git commit 32a6b1c."""
    told = json.dumps([asdict(session) for session in generate(300, seed=7)], default=str)
    assert hashlib.sha256(told.encode()).hexdigest()[:16] == "594cc96b2324eeb1"
    assert generate(20, seed=7, variety=Variety()) == generate(20, seed=7)


@pytest.mark.parametrize("variety", [Variety(300), Variety(5), Variety(33, 0.5), Variety(429, 1.0)])
def test_sessions_depend_on_seed_variety_and_number(variety: Variety) -> None:
    """More only add to fewer, and another variety is another population."""
    sessions = generate(40, seed=3, variety=variety)
    assert sessions == generate(90, seed=3, variety=variety)[:40]
    assert sessions != generate(40, seed=4, variety=variety)
    assert sessions != generate(40, seed=3)
    known = set(concepts(variety)["general_intent"])
    assert {session.truth["general_intent"] for session in sessions} <= known


def test_matters_are_as_many_as_asked_for() -> None:
    """Distinct, the plain ones the likeliest; there are 429."""
    for count in (1, 33, 34, 300, 429):
        names = concepts(Variety(count))["general_intent"]
        assert len(set(names)) == len(names) == count
    assert set(concepts()["general_intent"]) <= set(concepts(Variety(429))["general_intent"])
    assert concepts(Variety(300))["general_intent"][0] == "Claim Status"
    assert 33 * len(CONTEXTS) == 429
    for count in (0, 430):
        with pytest.raises(ValueError, match="1 to 429"):
            matters(count)
    with pytest.raises(ValueError, match="one intent alone"):
        Variety(1, 0.1)


def test_tail_of_many_matters_is_long() -> None:
    """Most of 300 occur in 30,000 draws, and frequencies fall with the rank; most are rare."""
    names, weights = concepts(Variety(300))["general_intent"], cumulative_zipf(300)
    drawn = Random(1).choices(names, cum_weights=weights, k=30_000)
    counts = Counter(drawn)
    assert len(counts) >= 280
    tenths = [sum(counts[name] for name in names[start : start + 30]) for start in range(0, 300, 30)]
    assert tenths == sorted(tenths, reverse=True)
    shares = [counts[name] / 30_000 for name in names]
    assert shares[0] == pytest.approx(0.09, abs=0.01)
    assert sum(share < 0.002 for share in shares) > 150
    sessions = generate(2_000, seed=1, variety=Variety(300))
    assert Counter(s.truth["general_intent"] for s in sessions).most_common(1)[0][0] == names[0]


def test_context_of_a_matter_stands_in_its_text() -> None:
    """And no other context is put there."""
    phrases = [phrase.split("{")[0] for phrase in content("chatter")["context"]]
    for session in generate(150, seed=5, variety=Variety(429)):
        first = session.truth["general_intent"].split()[0].lower()
        said = " ".join(message.text.lower() for message in session.messages if message.role == "user")
        if first in CONTEXTS and session.truth["general_intent"] not in concepts()["general_intent"]:
            assert near(first, said)
        else:
            assert not any(phrase in said for phrase in phrases)


def near(word: str, text: str) -> bool:
    """Whether a word stands in a text, also with a slip of the fingers."""
    return any(
        len(set(word) ^ set(other.strip(",.?!"))) <= 1 and abs(len(word) - len(other.strip(",.?!"))) <= 1
        for other in text.split()
    )


@pytest.mark.parametrize("intents", [2, 33, 300])
def test_second_matter_is_another_and_is_told(intents: int) -> None:
    """Both openings stand in the text, the second with its context, before the bot goes back to the first."""
    known = dict(zip(concepts(Variety(intents))["general_intent"], matters(intents), strict=True))
    for session in generate(80, seed=2, variety=Variety(intents, 1.0)):
        first, second = session.truth["general_intent"], session.truth[SECOND]
        assert first != second
        said = [message.text for message in session.messages]
        (place,) = [i for i, text in enumerate(said) if text in content("chatter")["also_answer"]]
        assert likeness(said[1], known[first][0]["opening"]) > 0.5
        assert likeness(said[place - 1], known[second][0]["opening"]) > 0.5
        assert not known[second][1] or near(known[second][1], said[place - 1].lower())
    some = generate(1_000, seed=2, variety=Variety(intents, 0.206))
    assert sum(SECOND in session.truth for session in some) / 1_000 == pytest.approx(0.206, abs=0.05)


def likeness(text: str, openings: list[str]) -> float:
    """The share of the words of one of some openings that stand in a text, at most; values left aside."""
    words = [[word for word in opening.lower().split() if "{" not in word] for opening in openings]
    wanted = [set(each) - {"i"} for each in words]
    return max(len(words & set(text.lower().split())) / len(words) for words in wanted)
