"""Excerpts: what is read of a transcript for which field, and how the session ended."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from autoanalyze.records import FALLBACK_OUTCOMES, ContainmentType, LabelField, Outcome, Role

LONGEST_EXCERPT = 2_000
"""Characters: what somebody wants is said early, and no session may cost more than others for its length."""

LAST_TURNS = 2
"""Turns before a hand-over that are read for what led to it."""

TURN = re.compile(r"^(user|bot|agent): ?", re.MULTILINE)

HUMAN = (
    r"\b(?:agents?|humans?|representatives?|specialists?|colleagues?|advis[eo]rs?|associates?|operators?|"
    r"persons?|someone|somebody|team)\b"
)
HANDS_OVER = re.compile(
    r"\b(?:transfer|connect|hand|pass|put|forward|escalat|redirect)\w*\b[^.?!\n]{0,60}"
    rf"{HUMAN}|{HUMAN}[^.?!\n]{{0,30}}\b(?:tak\w+ over|joins?|be with you)\b",
    re.IGNORECASE,
)
"""A bot that announces a hand-over, in English: elsewhere the human's turns and the channel's record tell."""

PLACE = re.compile(r"\b(?:location|place|where|step|stage|point)\b", re.IGNORECASE)
"""What is called so is read from the bot's side: the bot leads, and a place is what it asked for last."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side said at a time."""

    role: Role
    text: str


def turns_of(transcript: str) -> list[Turn]:
    """The turns of a transcript as a prompt shows it (see `records.transcript`)."""
    roles: dict[str, Role] = {"user": "user", "bot": "bot", "agent": "agent"}
    pieces = TURN.split(transcript)
    return [Turn(roles[role], text.strip()) for role, text in zip(pieces[1::2], pieces[2::2], strict=True)]


def outcome_of(turns: Sequence[Turn], containment: ContainmentType = "unknown") -> Outcome:
    """How a session ended: a human who speaks was given it, else the channel's record tells, else a bot that
    announces a hand-over in its last turns."""
    if any(turn.role == "agent" for turn in turns):
        return "Transfer"
    recorded = FALLBACK_OUTCOMES[containment]
    if recorded is not None:
        return recorded
    last = [turn.text for turn in turns if turn.role == "bot"][-LAST_TURNS:]
    return "Transfer" if any(HANDS_OVER.search(text) for text in last) else "Contained"


def excerpt(turns: Sequence[Turn], label_field: LabelField) -> str:
    """What is read for a field; empty if there is nothing to be read.

    A field that exists for transfers only is read from the last turns before the hand-over: the bot's if it
    asks for a place, else the user's. Any other from all that the user wrote.
    """
    before = before_hand_over(turns)
    said: dict[Role, list[str]] = {
        role: [turn.text for turn in before if turn.role == role] for role in ("user", "bot")
    }
    everything = [turn.text for turn in turns if turn.role == "user"]
    if label_field.applies_to != ("Transfer",):
        return joined(everything)
    if PLACE.search(f"{label_field.name} {label_field.description}".replace("_", " ")):
        return joined(said["bot"][-1:]) or joined(said["user"][-1:])
    return joined(said["user"][-LAST_TURNS:]) or joined(everything)


def before_hand_over(turns: Sequence[Turn]) -> list[Turn]:
    """The turns before a human spoke, or before the bot announced one; all of them if nobody did."""
    before = list(takewhile(lambda turn: turn.role != "agent", turns))
    for position in range(len(before) - 1, max(0, len(before) - 2 * LAST_TURNS) - 1, -1):
        if before[position].role == "bot" and HANDS_OVER.search(before[position].text):
            return before[:position]
    return before


def joined(texts: Sequence[str]) -> str:
    """Texts as one, cut to a length that is worth reading."""
    return "\n".join(text for text in texts if text)[:LONGEST_EXCERPT]
