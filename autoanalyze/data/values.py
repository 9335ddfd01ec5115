"""What a cell of somebody else's file means: ids, texts, roles, containment; and what is missing in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from html.parser import HTMLParser
from typing import Final, Literal

from autoanalyze.records import ContainmentType, Role

# How databases, pandas and JavaScript write that there is nothing.
_NOTHING = frozenset(
    ("", "null", "none", "nan", "\\n", "<na>", "nat", "n/a", "#n/a", "nil", "undefined", "(null)")
)
_FIRST = frozenset("nNuU\\<#( \t\r\n\v\f\xa0")
# In a text only as machines spell it: "none" and "N/A" may be what somebody answered.
_NO_TEXT = frozenset(("", "NULL", "null", "None", "NaN", "nan", "\\N", "<NA>", "NaT"))

_ROLES: Mapping[Role | Literal["skip"], str] = {
    "user": "user customer human client visitor enduser incoming inbound caller guest lead contact requester "
    "consumer shopper member patient passenger subscriber prospect participantuser",
    "bot": "bot assistant gpt chatgpt ai llm model chatbot voicebot ivr automatedagent automated custombot "
    "virtualagent virtualassistant botagent aiagent outgoing outbound trigger machine",
    "agent": "agent operator admin humanagent liveagent supportagent representative rep advisor adviser "
    "staff employee teammate supervisor support csr moderator",
    # What no person reads: instructions, tools and what a platform notes for itself.
    "skip": "system developer tool function functioncall functionresponse toolcall toolresult "
    "observation event",
}
_ROLE_OF: Mapping[str, Role | Literal["skip"]] = {
    word: meaning for meaning, words in _ROLES.items() for word in words.split()
}
_CONTAINMENT: Mapping[str, ContainmentType] = {
    "": "unknown",
    "unknown": "unknown",
    "agent": "agent",
    "selfservice": "selfService",
    "dropoff": "dropOff",
}
_EXACT: Final = 2**53
_REPLACED = re.compile("[\x00\ud800-\udfff]")
_CONTROL = re.compile("[\x01-\x08\x0b-\x1f\x7f-\x9f]")
_FORMULA = re.compile(r'="([^"]*)"')
_POINT_ZERO = re.compile(r"([+-]?\d+)\.0+")
_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_DAMAGED = re.compile(
    r"[+-]?\d+(?:[.,]\d*[eE][+-]?|[eE][+-])\d+"  # 1.23457E+17
    r"|#+|#[A-Z/0]+[?!]"  # a column too narrow, #REF!
    rf"|\d{{1,2}}-(?:{_MONTHS})|(?:{_MONTHS})-\d\d"  # 3-24 became 24-Mar
    r"|[1-9]\d{0,14}0{6,}(?<=\d{16})"  # 123457000000000000: digits rounded away
)
_HTML = re.compile(
    r"^\s*<(?:!doctype|html|body|p|div|span|br|h\d|ul|ol|table|b|strong|em|i|a)\b[^<>]*>"
    r"|</(?:p|div|html|body|ul|ol|table|h\d|blockquote)>|<br\s*/?>",
    re.IGNORECASE,
)


@lru_cache(maxsize=8192)
def letters(word: str) -> str:
    """A name without case and punctuation: `Session ID`, `sessionId` and `session_id` are one."""
    return "".join(character for character in word.casefold() if character.isalnum())


def clean_text(value: str) -> str:
    """`value` as it can be stored and sent everywhere.

    NUL and lone surrogates become the replacement character, carriage returns newlines, and all
    other control characters but newline and tab spaces.
    """
    if value.isprintable():
        return value
    value = value.replace("\r\n", "\n").replace("\r", "\n").replace("\v", "\n")
    return _CONTROL.sub(" ", _REPLACED.sub("\ufffd", value))


def missing(value: object) -> bool:
    """Whether a cell says, in whatever words, that it holds nothing."""
    if isinstance(value, str):
        return not value or (value[0] in _FIRST and value.strip().casefold() in _NOTHING)
    return value is None or value != value  # NaN is not itself


def _unwrapped(value: object) -> object:
    """The value inside of MongoDB's {"$oid": ...}; bytes as text."""
    if isinstance(value, dict) and len(value) == 1 and next(iter(value)).startswith("$"):
        return next(iter(value.values()))
    return value.decode("utf-8") if isinstance(value, bytes) else value


def identity(value: object) -> str | None:
    """An id as text, null if it is missing.

    A whole float below 2^53 is restored, since it is exact. Raises ValueError, with the remedy, for
    what a spreadsheet or a column of floats has damaged: two ids may have become one.
    """
    value = value if isinstance(value, str) else _unwrapped(value)
    if isinstance(value, str):
        return _undamaged(value)
    if missing(value):
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return str(int(value))
    if isinstance(value, float | Decimal):
        if float(value).is_integer() and abs(float(value)) < _EXACT:
            return str(int(value))
        raise _damage()
    raise ValueError("an id is a text or a whole number")


@lru_cache(maxsize=8192)
def _undamaged(value: str) -> str | None:
    if missing(value):
        return None
    value = clean_text(value).strip()
    if formula := _FORMULA.fullmatch(value):
        return identity(formula[1])
    if whole := _POINT_ZERO.fullmatch(value):
        if abs(int(whole[1])) < _EXACT:
            return str(int(whole[1]))
        raise _damage()
    if _DAMAGED.fullmatch(value):
        raise _damage()
    return value


def _damage() -> ValueError:
    return ValueError(
        "a spreadsheet or a column of floats has damaged this id, and others may have become the same; "
        "export again with ids as text, and do not save the file in a spreadsheet"
    )


def name(value: object) -> str | None:
    """A short text such as a concept, null if it is missing; ValueError for lists and the like."""
    value = _unwrapped(value)
    if missing(value):
        return None
    if isinstance(value, list | dict | bool):
        raise ValueError("this is not a text")
    return clean_text(str(value)).strip()


def text(value: object) -> str:
    """What a message says; empty if it says nothing. HTML becomes text, and content parts are joined.

    Raises ValueError for what holds no text in any known way.
    """
    value = value if isinstance(value, str) else _unwrapped(value)
    if isinstance(value, str):
        if value.strip() in _NO_TEXT:
            return ""
        return clean_text(_without_tags(value) if "<" in value and _HTML.search(value) else value)
    if isinstance(value, list):
        return "\n".join(filter(None, (text(part) for part in value)))
    if isinstance(value, dict):
        # Parts of a message: {"type": "text", "text": ...}; pictures and tool calls have no text.
        return text(next((value[key] for key in ("text", "value", "content") if key in value), None))
    if missing(value):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


class _Text(HTMLParser):
    """Gathers what a reader of the page would see."""

    _LINES = frozenset(
        ("p", "div", "br", "li", "tr", "ul", "ol", "table", "blockquote", "h1", "h2", "h3", "h4")
    )
    _UNSEEN = frozenset(("script", "style", "head", "title"))

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._unseen = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
        """Blocks begin a line."""
        self._unseen += tag in self._UNSEEN
        if tag in self._LINES:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        """Blocks end their line."""
        self._unseen -= tag in self._UNSEEN and self._unseen > 0
        if tag in self._LINES:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        """Text as it stands, its white space as a browser shows it."""
        if not self._unseen:
            self.parts.append(re.sub(r"\s+", " ", data))


def _without_tags(value: str) -> str:
    page = _Text()
    page.feed(value)
    page.close()
    lines = (line.strip() for line in "".join(page.parts).replace("\xa0", " ").split("\n"))
    return "\n".join(filter(None, lines))


def role(value: object, own: Mapping[str, str]) -> Role | Literal["skip"]:
    """Who speaks, by the user's `own` names (without case and punctuation) or the built-in ones.

    `skip` is for turns that nobody says. Raises ValueError, with the remedy, for unknown names.
    """
    spelling = "" if missing(value) else letters(str(value))
    meaning = own.get(spelling) or _ROLE_OF.get(spelling)
    if meaning is None:
        raise ValueError(
            f"this role is unknown; say who it is with --role '{value}=user' (or bot, agent: a human of the "
            "company, skip: leave it out)"
            if spelling
            else "the role is missing"
        )
    return meaning  # type: ignore[return-value]  # options are checked where they are made


def containment(value: object) -> ContainmentType:
    """How the channel itself saw the end of a session; ValueError for other words than its own."""
    spelling = "" if missing(value) else letters(str(value))
    if spelling not in _CONTAINMENT:
        raise ValueError(
            "this containment type is unknown; the types are agent, selfService, dropOff, unknown. If the "
            "column means something else, leave it out with --map its_name="
        )
    return _CONTAINMENT[spelling]
