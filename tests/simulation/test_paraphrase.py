"""Names that a model might coin."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoanalyze.data.synthetic import concepts
from autoanalyze.simulation.paraphrase import SYNONYMS, paraphrases

#: The intents of STAR and tau-bench, as their data spell them.
STAR = [
    "apartment_schedule",
    "apartment_search",
    "bank_balance",
    "bank_fraud_report",
    "doctor_followup",
    "doctor_schedule",
    "hotel_book",
    "hotel_search",
    "hotel_service_request",
    "meeting_schedule",
    "party_plan",
    "party_rsvp",
    "plane_book",
    "plane_search",
    "restaurant_book",
    "restaurant_search",
    "ride_book",
    "ride_change",
    "ride_status",
    "spaceship_access_codes",
    "spaceship_life_support",
    "trip_directions",
    "trivia",
    "weather",
]
TAU = [
    "cancel flight",
    "change flight",
    "change passenger",
    "flight delay complaint",
    "book flight",
    "change cabin",
    "travel insurance",
    "baggage allowance",
]

SETS = [*concepts().items(), ("general_intent", tuple(STAR)), ("general_intent", tuple(TAU))]


@pytest.mark.parametrize(("field", "names"), SETS)
def test_names_of_different_concepts_never_collide(field: str, names: tuple[str, ...]) -> None:
    """Every concept has six names of its own, whatever the case they are written in."""
    owners: dict[str, str] = {}
    for concept in names:
        for name in paraphrases(concept, field):
            assert owners.setdefault(name.lower(), concept) == concept, name
    assert len(owners) == 6 * len(names)


words = st.lists(
    st.sampled_from(["claim", "status", "Refund", "x", "weather", "Ünïcode", "7"]), min_size=1, max_size=4
)


@given(words, st.sampled_from(["general_intent", "transfer_reason", "anything"]), st.integers(1, 6))
def test_any_concept_has_as_many_names_as_asked_for(parts: list[str], field: str, count: int) -> None:
    """Names are distinct, the first is the concept itself in title case, fewer are the first of more."""
    concept = "_".join(parts)
    names = paraphrases(concept, field, count)
    assert len({name.lower() for name in names}) == len(names) == count
    assert names[0].lower() == " ".join(parts).lower()
    assert names == paraphrases(concept, field)[:count]


def test_stand_ins_are_unique() -> None:
    """No two words share a stand-in, and no stand-in is a word that has one itself."""
    assert len(set(SYNONYMS.values())) == len(SYNONYMS)
    assert not {name.lower() for name in SYNONYMS.values()} & set(SYNONYMS)


def test_impossible_count_is_refused() -> None:
    """A concept has at most six names."""
    with pytest.raises(ValueError, match="1 to 6"):
        paraphrases("Claim Status", "general_intent", 7)
