"""What is read of a transcript, and how a session ended."""

from __future__ import annotations

import pytest

from autoanalyze.reading.excerpts import LONGEST_EXCERPT, excerpt, outcome_of, turns_of
from autoanalyze.records import ContainmentType, LabelField

INTENT = LabelField("general_intent", "what the user came for.")
REASON = LabelField("transfer_reason", "why a human had to take over.", ("Transfer",))
PLACE = LabelField("drop_off_location", "the step at which it left the bot.", ("Transfer",))
CHAT = """\
user: I lost my card
bot: Which card is it?
user: the blue one
and it is urgent
bot: Let me transfer you to one of our agents.
agent: Hello, this is Paula
user: hi Paula"""


def test_turns_are_read_back_with_their_lines() -> None:
    """A line without a role belongs to the turn before it."""
    assert [turn.role for turn in turns_of(CHAT)] == ["user", "bot", "user", "bot", "agent", "user"]
    assert turns_of(CHAT)[2].text == "the blue one\nand it is urgent"
    assert turns_of("") == turns_of("no role at all") == []


def test_each_field_has_its_part_of_the_session() -> None:
    """The intent is all that the user wrote; what led to a hand-over is said before it, by the user, and
    where it happened by the bot, whose announcement is no place."""
    turns = turns_of(CHAT)
    assert excerpt(turns, INTENT) == "I lost my card\nthe blue one\nand it is urgent\nhi Paula"
    assert excerpt(turns, REASON) == "I lost my card\nthe blue one\nand it is urgent"
    assert excerpt(turns, PLACE) == "Which card is it?"


def test_long_sessions_are_read_from_their_beginning() -> None:
    """A million characters cost what two thousand do."""
    assert len(excerpt(turns_of("user: " + "word " * 200_000), INTENT)) == LONGEST_EXCERPT


@pytest.mark.parametrize(
    ("text", "recorded", "outcome"),
    [
        ("user: a\nagent: hello", "selfService", "Transfer"),
        ("user: a", "agent", "Transfer"),
        ("user: a\nbot: I will connect you with an agent now.", "dropOff", "Contained"),
        ("user: a\nbot: I will connect you with an agent now.", "unknown", "Transfer"),
        ("user: a\nbot: Somebody will join you shortly.", "unknown", "Transfer"),
        ("user: a\nbot: your connection was reset", "unknown", "Contained"),
        ("", "unknown", "Contained"),
    ],
)
def test_outcome_is_read_from_humans_then_records_then_announcements(
    text: str, recorded: ContainmentType, outcome: str
) -> None:
    """A human who speaks was given the session, whatever the record says."""
    assert outcome_of(turns_of(text), recorded) == outcome
