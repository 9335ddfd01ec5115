"""Synthetic sessions: invented contact-centre chats whose right labels are known.

Every chat follows the flow of its intent (`synthetic_content/intents.yaml`): greeting, opening,
the bot's steps with the user's answers, then one of three ends. The bot solves the matter
(selfService), the user goes away (dropOff), or something happens that hands the chat to a
person (agent); only then there are a transfer reason and a drop-off location, and both can be
read from the text. Intents and reasons are Zipf-distributed, lengths have a long tail.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import accumulate, product
from pathlib import Path
from typing import Any, Literal

import yaml

from autoanalyze.records import Conversation, Message

CONTENT = Path(__file__).resolve().parent / "synthetic_content"
END = datetime(2026, 6, 1)
"""All sessions start in the 30 days before; a fixed date, so that data do not age."""
DAYS = 30

CONTAINMENT: tuple[tuple[Literal["agent", "selfService", "dropOff"], ...], tuple[int, ...]]
CONTAINMENT = ("agent", "selfService", "dropOff"), (45, 40, 15)

ZIPF_EXPONENT = 0.8
"""Of ranks of intents and reasons: the first of 33 intents then has about 17 % of the sessions."""

NEW_USER_SHARE = 0.75
"""Sessions of somebody new; the others belong to the user of an earlier session, so that those who
came often come more often."""

CONTEXTS = (
    *("", "business", "student", "family", "corporate", "online", "international", "annual"),
    *("travel", "emergency", "premium", "household", "seasonal"),
)
"""What an intent can be about, where there are more concepts than intents; "" for the plain one."""

INTENT, SECOND = "general_intent", "second_intent"
"""The fields of the truth that say what a session was about, and what else. Nobody is asked for what else."""

MENU_SHARE = 0.15
CLARIFY_SHARE = 0.3
SMALL_TALK_SHARE = 0.2
TALKATIVE_SHARE = 0.1


@cache
def content(name: str) -> Any:
    """One of the content files, read once."""
    return yaml.safe_load((CONTENT / f"{name}.yaml").read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Variety:
    """How much there is in a population: so many intents (1 to 429), and the share of sessions (0 to 1)
    that bring a second one, where there are two."""

    intents: int = 33
    several: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be. Raises ValueError."""
        if self.several and self.intents < 2:
            raise ValueError("one intent alone cannot have sessions with a second one")


@cache
def matters(count: int) -> tuple[tuple[Mapping[str, Any], str], ...]:
    """The first `count` matters that users come for, likeliest first: each an intent and its context.

    A context is as much less likely than the plain intent as the intents' own ranks have it, so that a long
    tail of rare matters lies behind a few frequent ones. Raises ValueError for none or more than there are.
    """
    intents = content("intents")
    if not 1 <= count <= len(intents) * len(CONTEXTS):
        raise ValueError(f"there are 1 to {len(intents) * len(CONTEXTS)} intents to invent, not {count}")
    if count <= len(intents):
        return tuple((intent, "") for intent in intents[:count])
    cells = product(range(len(CONTEXTS)), range(len(intents)))
    ranked = sorted(cells, key=lambda cell: ((cell[0] + 1) * (cell[1] + 1), cell))
    return tuple((intents[intent], CONTEXTS[context]) for context, intent in ranked[:count])


def name_of(intent: Mapping[str, Any], context: str) -> str:
    """The concept of an intent in its context."""
    return f"{context.capitalize()} {intent['name']}" if context else str(intent["name"])


def concepts(variety: Variety = Variety()) -> dict[str, tuple[str, ...]]:
    """All concepts that synthetic sessions can have, per label field."""
    return {
        INTENT: tuple(name_of(*matter) for matter in matters(variety.intents)),
        "transfer_reason": tuple(content("reasons")),
        "drop_off_location": tuple(content("locations")),
    }


def generate(count: int, *, seed: int, variety: Variety = Variety()) -> list[Conversation]:
    """`count` sessions with planted truth. Session i depends on `seed`, `variety` and i alone, so that more
    sessions only add to fewer."""
    return list(generated(count, seed=seed, variety=variety))


def generated(
    count: int,
    *,
    seed: int,
    variety: Variety = Variety(),
) -> Iterator[Conversation]:
    """The same, one after the other."""
    return (Chat(seed, number, variety).conversation() for number in range(count))


@cache
def cumulative_zipf(count: int) -> list[float]:
    """Cumulative weights of ranks 1 to `count`."""
    return list(accumulate(rank**-ZIPF_EXPONENT for rank in range(1, count + 1)))


def first_session_of_user(seed: int, number: int) -> int:
    """The number of the first session of whoever has session `number`: the identity of a user."""
    while number:
        draw = random.Random(f"user {seed} {number}")
        if draw.random() < NEW_USER_SHARE:
            break
        number = draw.randrange(number)
    return number


class Chat:
    """One chat as it comes about, message by message."""

    def __init__(self, seed: int, number: int, variety: Variety) -> None:
        self._variety = variety
        self._random = random.Random(f"synthetic {seed} {number}")
        self._id = f"synthetic-{seed}-{number:06}"
        self._user = f"user-{first_session_of_user(seed, number):06}"
        self._start = self._draw_start()
        self._slots = self._draw_slots()
        self._now = self._start
        self._messages: list[Message] = []

    def conversation(self) -> Conversation:
        """The whole chat with its truth."""
        draw = self._random
        intent, context = self._zipf(matters(self._variety.intents))
        containment = draw.choices(*CONTAINMENT)[0]
        truth = {INTENT: name_of(intent, context)}
        self._slots["brand"] = content("chatter")["brands"][intent["industry"]]
        self._slots["context"] = context
        self._open(intent, context)
        if self._variety.several and draw.random() < self._variety.several:
            truth[SECOND] = self._come_to_another(intent, context)
        steps = self._steps(intent, containment)
        for step in steps[:-1]:
            self._step(step)
        if containment == "agent":
            truth["drop_off_location"] = steps[-1]
            truth["transfer_reason"] = self._hand_over(steps[-1])
        elif containment == "dropOff":
            self._say("bot", self._pick(content("locations")[steps[-1]]["ask"]))
        else:
            self._step(steps[-1])
            self._say("bot", self._pick(intent["solution"]))
            self._exchange(self._pick(content("chatter")["closing"]))
        return Conversation(
            self._id, self._user, tuple(self._messages), containment, self._start, self._now, truth
        )

    def _open(self, intent: Mapping[str, Any], context: str) -> None:
        chatter = content("chatter")
        self._say("bot", self._pick(chatter["greeting"]))
        opening = self._pick(intent["opening"])
        if context:
            opening += self._pick(chatter["context"])
        self._say("user", f"{self._pick(chatter['before'])}{opening}{self._pick(chatter['after'])}")
        if self._random.random() < 0.6:
            self._say("bot", self._pick(chatter["acknowledge"]))
        if self._random.random() < TALKATIVE_SHARE:
            self._tell_at_length()

    def _come_to_another(self, intent: Mapping[str, Any], context: str) -> str:
        """A second matter, which the bot does not get to; returns its concept. There must be two at least."""
        chatter, others = content("chatter"), matters(self._variety.intents)
        second = (intent, context)
        while second == (intent, context):
            second = self._zipf(others)
        opening = self._pick(second[0]["opening"])
        if second[1]:
            opening += self._pick(chatter["context"]).replace("{context}", second[1])
        self._say("user", self._pick(chatter["also"]).replace("{opening}", opening))
        self._say("bot", self._pick(chatter["also_answer"]))
        return name_of(*second)

    def _tell_at_length(self) -> None:
        """A user who explains everything: the long tail of lengths."""
        chatter = content("chatter")
        for _ in range(self._random.randint(1, 12)):
            self._say("user", self._pick(chatter["details"]))
            self._say("bot", self._pick(chatter["acknowledge_details"]))
            # Each story has names, days and numbers of its own.
            self._slots |= self._draw_slots()

    def _steps(self, intent: Mapping[str, Any], containment: str) -> list[str]:
        """The steps of the flow that this chat gets to; sometimes by way of the menu."""
        steps = list(intent["steps"])
        if self._random.random() < MENU_SHARE:
            steps.insert(0, "Main Menu")
        if containment != "selfService":
            steps = steps[: self._random.randint(1, len(steps))]
        return steps

    def _step(self, name: str) -> None:
        location = content("locations")[name]
        self._say("bot", self._pick(location["ask"]))
        if self._random.random() < CLARIFY_SHARE:
            self._exchange(self._pick(content("chatter")["clarify"]))
        if self._random.random() < SMALL_TALK_SHARE:
            self._exchange(self._pick(content("chatter")["small_talk"]))
            self._say("bot", self._pick(location["ask"]))
        self._say("user", self._pick(location["answer"]))

    def _hand_over(self, step: str) -> str:
        """What goes wrong at `step`, and the hand-over; returns the transfer reason."""
        location = content("locations")[step]
        reason: str = self._zipf(location["reasons"])
        self._say("bot", self._pick(location["ask"]))
        for exchange in self._random.sample(content("reasons")[reason], k=1 + (self._random.random() < 0.15)):
            self._exchange(exchange)
        self._say("bot", self._pick(content("chatter")["handover"]))
        return reason

    def _exchange(self, lines: Sequence[str]) -> None:
        for line in lines:
            self._say("user" if line.startswith("u: ") else "bot", line[3:])

    def _say(self, role: Literal["user", "bot"], template: str) -> None:
        text = template.format_map(self._slots)
        if role == "user":
            text = self._typed(text)
        self._now += timedelta(
            seconds=self._random.randint(1, 4) if role == "bot" else self._random.randint(4, 90)
        )
        self._messages.append(Message(role, text, self._now))

    def _typed(self, text: str) -> str:
        """As people type: without capitals, with a letter swapped or doubled now and then."""
        if self._random.random() < 0.3:
            text = text.lower()
        if self._random.random() < 0.12 and len(text) > 12:
            at = self._random.randrange(1, len(text) - 2)
            pair = text[at : at + 2]
            if pair.isalpha():
                text = (
                    text[:at]
                    + (pair[::-1] if self._random.random() < 0.6 else pair[0] + pair)
                    + text[at + 2 :]
                )
        return text

    def _draw_start(self) -> datetime:
        """A moment in the 30 days before END, most likely in the afternoon."""
        day = self._random.randrange(DAYS)
        hour = min(23.99, max(0.0, self._random.gauss(14, 4)))
        return END - timedelta(days=DAYS - day) + timedelta(seconds=round(hour * 3600))

    def _draw_slots(self) -> dict[str, object]:
        draw, chatter = self._random, content("chatter")
        before = self._start - timedelta(days=draw.randint(1, 60))
        after = self._start + timedelta(days=draw.randint(3, 40))
        names = draw.sample(chatter["names"], 2)
        return {
            "name": names[0],
            "name2": names[1],
            "city": draw.choice(chatter["cities"]),
            "street": draw.choice(chatter["streets"]),
            "house": draw.randint(1, 240),
            "product": draw.choice(chatter["products"]),
            "care": draw.choice(chatter["care"]),
            "shop": draw.choice(chatter["shops"]),
            "date": f"{before:%B} {before.day}",
            "date2": f"{after.day} {after:%B}",
            "time": f"{draw.randint(0, 23)}:{draw.randint(0, 59):02}",
            "amount": f"${5 * 200 ** draw.random():.0f}.{draw.choice(('00', '50', '99', '95'))}",
            "number": f"{draw.choice('ABCDKLRT')}{draw.choice('XYZ')}{draw.randint(10_000, 999_999)}",
            "member": draw.randint(100_000_000, 999_999_999),
            "short": f"{draw.randint(0, 9999):04}",
            "code": draw.randint(100_000, 999_999),
            "code2": draw.randint(100_000, 999_999),
            "year": draw.randint(1940, 2006),
            "years": draw.randint(2, 25),
            "minutes": draw.randint(10, 90),
            "gb": draw.choice((2, 5, 10, 20, 50)),
        }

    def _pick(self, options: Sequence[Any]) -> Any:
        return self._random.choice(options)

    def _zipf(self, ranked: Sequence[Any]) -> Any:
        """One of several, the first the likeliest."""
        return self._random.choices(ranked, cum_weights=cumulative_zipf(len(ranked)))[0]
