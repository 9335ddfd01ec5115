"""What a row of somebody else's file means: the fields, their spellings, and clean values."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from autoanalyze.records import ContainmentType, Message

__all__ = [
    "MESSAGE_FIELDS",
    "SESSION_FIELDS",
    "MessageRow",
    "SessionRow",
    "TurnRow",
    "clean_text",
    "validated",
]

#: Columns that tell of a message; of each pair of spellings one is enough.
MESSAGE_FIELDS = ("role", "message_type", "text", "message", "timestamp")
#: Columns that tell of a session. Beside them, `true_<field>` holds what is known to be right.
SESSION_FIELDS = ("session_id", "user_id", "start_time", "end_time", "containment_type", "messages")

_ROLES: Mapping[str, Literal["user", "bot"]] = {
    "user": "user",
    "customer": "user",
    "human": "user",
    "client": "user",
    "bot": "bot",
    "assistant": "bot",
    "agent": "bot",
    "system": "bot",
}
_CONTAINMENT: Mapping[str, ContainmentType] = {
    "": "unknown",
    "unknown": "unknown",
    "agent": "agent",
    "selfservice": "selfService",
    "dropoff": "dropOff",
}
_REPLACED = re.compile("[\x00\ud800-\udfff]")
_CONTROL = re.compile("[\x01-\x08\x0b-\x1f\x7f-\x9f]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")


def clean_text(text: str) -> str:
    """`text` as it can be stored and sent everywhere.

    NUL and lone surrogates become the replacement character, Windows line ends become
    newlines, and all other control characters but newline and tab become spaces.
    """
    return _CONTROL.sub(" ", _REPLACED.sub("\ufffd", text.replace("\r\n", "\n")))


def _clean(value: object) -> object:
    if isinstance(value, bytes):
        value = value.decode("utf-8")
    return clean_text(value) if isinstance(value, str) else value


def _clean_or_none(value: object) -> object:
    value = _clean(value)
    return (value.strip() or None) if isinstance(value, str) else value


def _required(value: object) -> object:
    value = _clean_or_none(value)
    if value is None:
        raise ValueError("the value is empty")
    return value


def _text(value: object) -> object:
    # A message of a picture or a button often has no text; it still is a turn.
    return "" if value is None else _clean(value)


def _role(value: object) -> str:
    role = _ROLES.get(value.strip().lower()) if isinstance(value, str) else None
    if role is None:
        raise ValueError(f"this role is unknown; the roles are {', '.join(_ROLES)}")
    return role


def _containment(value: object) -> str:
    spelling = "" if value is None else re.sub(r"[\s_-]", "", str(value)).lower()
    if spelling not in _CONTAINMENT:
        raise ValueError(
            "this containment type is unknown; the types are agent, selfService, dropOff, unknown"
        )
    return _CONTAINMENT[spelling]


def _time(value: object) -> object:
    """ISO 8601 as a datetime; an epoch in seconds or milliseconds is left to pydantic."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text.endswith(" UTC"):
        text = text.removesuffix(" UTC") + "Z"
    # Digits alone are an epoch, but Python would read 13 of them as a date and a time. Only 8
    # of them are a date: as an epoch they would lie in 1970.
    if _NUMBER.fullmatch(text) and len(text) != 8:
        return text
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return text


def _naive_utc(value: datetime | None) -> datetime | None:
    if value is None or value.tzinfo is None:
        return value
    try:
        return value.astimezone(UTC).replace(tzinfo=None)
    except OverflowError as error:
        raise ValueError("this time is out of range") from error


_Time = Annotated[datetime | None, BeforeValidator(_time), AfterValidator(_naive_utc)]
_Name = Annotated[str | None, BeforeValidator(_clean_or_none)]


class _Row(BaseModel):
    # Ids are often numbers. Other people's further columns are none of our business.
    model_config = ConfigDict(coerce_numbers_to_str=True, extra="ignore", frozen=True)


class MessageRow(_Row):
    """One message."""

    role: Annotated[Literal["user", "bot"], BeforeValidator(_role)] = Field(
        validation_alias=AliasChoices("role", "message_type")
    )
    text: Annotated[str, BeforeValidator(_text)] = Field(validation_alias=AliasChoices("text", "message"))
    timestamp: _Time = None

    def message(self) -> Message:
        """The message as a record."""
        return Message(self.role, self.text, self.timestamp)


class _AboutSession(_Row):
    session_id: Annotated[str, BeforeValidator(_required)]
    user_id: _Name = None
    start_time: _Time = None
    end_time: _Time = None
    containment_type: Annotated[ContainmentType, BeforeValidator(_containment)] = "unknown"
    truth: dict[str, _Name] = Field(default_factory=dict)

    def known_truth(self) -> dict[str, str]:
        """Concepts of the fields whose truth is known."""
        return {label_field: concept for label_field, concept in self.truth.items() if concept is not None}


class SessionRow(_AboutSession):
    """A row that is a whole session."""

    messages: tuple[MessageRow, ...]


class TurnRow(MessageRow, _AboutSession):
    """A row that is one message of a session."""


_AnyRow = TypeVar("_AnyRow", SessionRow, TurnRow)


def validated(kind: type[_AnyRow], values: Mapping[str, object]) -> _AnyRow:
    """`values` as a row of this kind; ValueError with a reason in words if it is a bad one."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False)
        reasons = [
            f"{'.'.join(str(part) for part in problem['loc'])} {_shown(problem['input'], problem['type'])}: "
            f"{problem['msg'].removeprefix('Value error, ')}"
            for problem in problems[:3]
        ]
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ValueError("; ".join(reasons) + more) from error


def _shown(value: object, problem: str) -> str:
    return "is missing" if problem == "missing" else reprlib.repr(value)
