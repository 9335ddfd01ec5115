"""What is planted, and what follows from it."""

from __future__ import annotations

from random import Random
from typing import Literal

import pytest
from fakes import make_tokens
from hypothesis import given, settings
from hypothesis import strategies as st

from autoanalyze.data.synthetic import Variety, concepts
from autoanalyze.records import Truth
from autoanalyze.simulation.paraphrase import paraphrases
from autoanalyze.simulation.truth import CUT, KnownSession, PlantedTruth, cut

FIELD, OTHER = "general_intent", "transfer_reason"
CONCEPTS = ("Claim Status", "Claim Denial", "Card Loss", "Weather")


def text_of(number: int) -> str:
    return f"user: question {number} about my {CONCEPTS[number % 4].lower()} please\nbot: let me see"


PLANTED = PlantedTruth(
    (
        text_of(i),
        Truth(str(i), "Contained", {FIELD: CONCEPTS[i % 4], **({OTHER: "Bot Loop"} if i == 3 else {})}),
    )
    for i in range(40)
)


# Which session it is


def test_transcripts_are_known_by_their_text() -> None:
    """A transcript has its own outcome and concepts, and one that nobody planted has none."""
    assert PLANTED.find(text_of(3)) == KnownSession("Contained", {FIELD: "Weather", OTHER: "Bot Loop"})
    assert PLANTED.find(text_of(3) + " ") is None
    assert PLANTED.find(f"user: what\n[... 9 {CUT} ...]\nbot: ever") is None


OUTCOMES: list[Literal["Transfer", "Contained"] | None] = ["Transfer", "Contained", None]
TRUTHS = st.lists(
    st.builds(
        Truth,
        st.just("a"),
        st.sampled_from(OUTCOMES),
        st.dictionaries(st.sampled_from([FIELD, OTHER]), st.sampled_from("ABC"), max_size=2),
    ),
    min_size=1,
    max_size=6,
)


@given(TRUTHS, st.randoms(use_true_random=False))
def test_same_transcripts_take_the_majority(truths: list[Truth], shuffler: Random) -> None:
    """Of several truths the most frequent holds, ties go to the first name, in whatever order they come."""
    known = PlantedTruth(("user: hi", truth) for truth in truths).find("user: hi")
    shuffled = list(truths)
    shuffler.shuffle(shuffled)
    assert PlantedTruth(("user: hi", truth) for truth in shuffled).find("user: hi") == known
    assert known is not None
    for field in (FIELD, OTHER):
        votes = [truth.concepts[field] for truth in truths if field in truth.concepts]
        assert known.concepts.get(field) == min(votes, key=lambda c: (-votes.count(c), c), default=None)
    outcomes = [truth.outcome or "Contained" for truth in truths]
    assert known.outcome == ("Transfer" if outcomes.count("Transfer") * 2 > len(outcomes) else "Contained")


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.sampled_from(["claim", "\u4e2d\u6587", "status", "\U0001f600", "\n"]), min_size=1, max_size=5
    ),
    st.integers(64, 200),
)
def test_shortened_transcripts_are_still_known(words: list[str], allowance: int) -> None:
    """What a prompt had to cut out of the middle, however much, is found by its ends."""
    text = "user: 7 " + " ".join(words * 400) + " thanks"
    planted = PlantedTruth(
        [(text_of(1), Truth("1", None)), (text, Truth("2", "Transfer")), (text_of(2), Truth("3", None))]
    )
    cut = make_tokens().shorten_to("a", text, allowance)
    assert cut.shortened
    assert planted.find(cut.text) == KnownSession("Transfer", {})


# What is ambiguous


def test_ambiguity_belongs_to_a_session_and_a_field_for_good() -> None:
    """The draw is the same in any order and in any set of sessions, and other for each field and text."""
    fresh = PlantedTruth([(text_of(1), Truth("1", None))])
    known = [PLANTED.ambiguity(FIELD, text_of(number)) for number in range(40)]
    assert known == [fresh.ambiguity(FIELD, text_of(number)) for number in range(40)]
    assert known[::-1] == [PLANTED.ambiguity(FIELD, text_of(number)) for number in reversed(range(40))]
    assert len({*known, PLANTED.ambiguity(OTHER, text_of(1))}) == 41
    assert 0 <= min(known) < 0.2
    assert 0.8 < max(known) < 1


# What concepts are called and what they are taken for


def test_concepts_are_sorted_by_field() -> None:
    """Every concept once, under its field."""
    assert list(PLANTED.concepts.items()) == [(FIELD, tuple(sorted(CONCEPTS))), (OTHER, ("Bot Loop",))]
    assert PlantedTruth([("user: hi", Truth("a", None))]).concepts == {}


def test_every_name_that_may_be_coined_means_its_concept() -> None:
    """Names are known in lower case, and by their own field only."""
    meaning = PLANTED.concept_of
    for concept in CONCEPTS:
        for name in paraphrases(concept, FIELD):
            assert meaning[FIELD][name.lower()] == concept
    assert "card loss" not in meaning[OTHER]


@pytest.mark.parametrize(("field", "other"), [(FIELD, "Claim Inquiry"), ("topic", "About Claim")])
def test_names_of_concepts_mean_themselves(field: str, other: str) -> None:
    """Where a paraphrase of one concept is the name of another, it means the other."""
    assert other in paraphrases("Claim", field)
    planted = PlantedTruth((f"user: {c}", Truth(c, None, {field: c})) for c in ("Claim", other))
    assert planted.concept_of[field][other.lower()] == other
    assert planted.concept_of[field]["claim"] == "Claim"


def test_neighbours_are_what_sessions_sound_like() -> None:
    """A concept is mistaken for the one whose sessions share its words, and never for itself."""
    neighbours = PLANTED.neighbours
    assert neighbours[FIELD]["Claim Status"] == "Claim Denial"
    assert neighbours[FIELD]["Claim Denial"] == "Claim Status"
    assert set(neighbours[FIELD]) == set(CONCEPTS)
    assert all(concept != other for concept, other in neighbours[FIELD].items())
    assert neighbours[OTHER] == {}, "a concept alone has nothing that it could be taken for"
    assert PlantedTruth([("user: hi", Truth("a", None))]).neighbours == {}


@settings(deadline=None, max_examples=15)
@given(st.permutations(range(12)))
def test_neighbours_do_not_depend_on_the_order_of_sessions(order: list[int]) -> None:
    """The same sessions give the same neighbours."""
    pairs = [(text_of(i), Truth(str(i), None, {FIELD: CONCEPTS[i % 4]})) for i in range(12)]
    found = PlantedTruth(pairs[i] for i in order).neighbours[FIELD]
    assert {name: found[name] for name in CONCEPTS[:2]} == dict(
        zip(CONCEPTS[:2], CONCEPTS[1::-1], strict=True)
    )


@given(st.sampled_from(CONCEPTS), st.sampled_from(CONCEPTS))
def test_looking_alike_is_mutual(first: str, second: str) -> None:
    """Whoever looks like another is looked like, and everything looks like itself."""
    assert PLANTED.look_alike(FIELD, first, second) == PLANTED.look_alike(FIELD, second, first)
    assert PLANTED.look_alike(FIELD, first, first)


@pytest.mark.parametrize(
    ("first", "second", "alike"),
    [
        ("Bank Card Loss", "card loss", True),  # two of three words
        ("Card Loss", "Card Fee", False),  # one of three
        ("Card", "Card Fee", True),  # one of two
        ("Card Loss", "Train Delay", False),
    ],
)
def test_names_that_share_half_their_words_look_alike(first: str, second: str, alike: bool) -> None:
    """Without neighbours, which an unknown field has none of, the words decide, whatever their case."""
    assert PLANTED.look_alike("unknown field", first, second) is alike


def test_neighbours_look_alike_whatever_they_are_called() -> None:
    """Sessions that sound alike are hard to tell apart although their names share no word."""
    texts = {"Refund": "user: money back for my order", "Surcharge": "user: money taken for my order"}
    texts["Weather"] = "user: rain or sun tomorrow"
    planted = PlantedTruth((text, Truth(c, None, {FIELD: c})) for c, text in texts.items())
    assert planted.look_alike(FIELD, "Refund", "Surcharge")
    assert (
        not planted.look_alike(FIELD, "Refund", "Weather") or planted.neighbours[FIELD]["Weather"] == "Refund"
    )


# What labels mean


@pytest.mark.parametrize(
    ("label", "meaning"),
    [
        ("Claim Status", "Claim Status"),
        ("help with claim STATUS", "Claim Status"),
        ("Claims", "Claims"),
        ("Special Case of Claim Status", None),
        ("Claim Status Special Case", "Claim Status Special Case"),
        ("Claim Status For 12 May", "Claim Status"),
        ("Claim Status For Waiting For", "Claim Status"),
        ("Claim Status For For My", "Claim Status"),
        ("Claims For Me", "Claims"),
        ("Weather And Card Loss", "Card Loss And Weather"),
        ("Card Loss And Weather For Me", "Card Loss And Weather"),
        ("Weather And Weather", None),
        ("Other", "Other"),
        ("Card Losses", None),
        ("Nonsense For Claim Status", None),
        ("", None),
    ],
)
def test_labels_mean_what_they_were_coined_for(label: str, meaning: str | None) -> None:
    """On any level, with or without details, whatever their case; what is never coined means nothing."""
    for written in (label, label.lower(), label.upper()):
        assert PLANTED.meaning(FIELD, written) == meaning
        assert PLANTED.meaning("unheard of", written) is None


@settings(deadline=None, max_examples=20)
@given(st.permutations(CONCEPTS))
def test_meanings_do_not_depend_on_the_order_of_sessions(order: list[str]) -> None:
    """The same sessions give the same meanings."""
    planted = PlantedTruth((f"user: {c}", Truth(c, None, {FIELD: c})) for c in order)
    for concept in CONCEPTS:
        for name in paraphrases(concept, FIELD):
            assert planted.meaning(FIELD, name) == concept
    assert planted.meaning(FIELD, "Claims") == PLANTED.meaning(FIELD, "Claims")


@pytest.mark.parametrize("count", [33, 300, 429])
def test_names_of_invented_concepts_mean_them(count: int) -> None:
    """All names of all concepts, in every field."""
    for field, names in concepts(Variety(count)).items():
        planted = PlantedTruth((f"user: {c}", Truth(c, None, {field: c})) for c in names)
        for concept in names:
            assert {planted.meaning(field, name) for name in paraphrases(concept, field)} == {concept}


def test_planted_concepts_go_before_others() -> None:
    """A concept that is planted is meant by its names, also where they are those of a broader one."""
    planted = PlantedTruth((f"user: {c}", Truth(c, None, {FIELD: c})) for c in ("pto_balance", "balance"))
    assert planted.meaning(FIELD, "Balance") == "balance"
    assert planted.above(FIELD, "pto_balance") == "balance"
    assert planted.above(FIELD, "balance") is None
    assert PLANTED.above(FIELD, "Claim Status") == "Claims"


def test_names_of_several_words_are_cut_everywhere() -> None:
    """At each occurrence, the last one first."""
    assert list(cut("a for for b", " for ")) == [("a for", "b"), ("a", "for b")]
    assert list(cut("a b", " for ")) == []


def test_nearest_concepts_come_first() -> None:
    """All others, the neighbour before them."""
    for concept, others in PLANTED.nearest[FIELD].items():
        assert others[0] == PLANTED.neighbours[FIELD][concept]
        assert sorted((concept, *others)) == sorted(CONCEPTS)
