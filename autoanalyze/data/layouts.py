"""What the rows of a file say once its layout is known: sessions, messages, or why they say nothing."""

from __future__ import annotations

import reprlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypeVar

from autoanalyze.data import values as read
from autoanalyze.data.lines import RawRow
from autoanalyze.data.paths import Mapped, opened, present, reach
from autoanalyze.data.shapes import TEXT, Shape
from autoanalyze.data.times import Dates
from autoanalyze.records import ContainmentType, Role

# Upstream facts about a truth, not the truth of a label field.
_NOT_TRUTH = ("true_topic", "true_intents")
_TRUTH = "true_"
_TRUTH_FIELDS = {"intent": "general_intent"}
_NO_ID = (
    "session_id: the id is missing; export the sessions with their ids. If another column holds them, say so "
    "with --map its_name=session_id"
)
# What rows said of their sessions lately: most rows of a session say the same.
_REMEMBERED = 4096
_Value = TypeVar("_Value")


Said = tuple[Role, str, datetime | None]
"""A message as it is staged: what `records.Message` is made of."""


class About(NamedTuple):
    """What a row says of its session."""

    user_id: str | None
    start_time: datetime | None
    end_time: datetime | None
    containment_type: ContainmentType
    truth: tuple[tuple[str, str], ...]


_ABOUT = About._fields[:4]


class Entry(NamedTuple):
    """One message of a session, something said about it, or a `problem` with a part of it.

    `part` tells pieces apart that are sessions of their own accord: file and, if rows are whole
    sessions, row. `made` tells that the id was made from file and line.
    """

    session_id: str
    part: tuple[int, int]
    line: int
    message: Said | None = None
    speaker: str | None = None
    about: About | None = None
    problem: str | None = None
    made: bool = False


def _listed(value: object) -> list[object]:
    """The messages at a place: a list, JSON text of one, or a single one."""
    value = opened(value)
    if isinstance(value, list):
        return value
    if read.missing(value):
        return []
    if isinstance(value, dict):
        return [value]
    raise ValueError(
        f"messages {reprlib.repr(value)}: not JSON, or not a list of messages such as "
        "{role, text, timestamp}"
    )


@dataclass(slots=True)
class Layout:
    """Reads the rows of one file. `made` tells that it has no ids, so that they are made of `name` and line.

    `left_out` counts what is no message, `roles` how often their words for who speaks were met.
    """

    shape: Shape
    mapped: Mapped
    dates: Dates
    own_roles: Mapping[str, str]
    name: str
    number: int
    made: bool
    left_out: Counter[str]
    roles: Counter[tuple[str, str]]
    _met: dict[str, Role | Literal["skip"]] = field(default_factory=dict)
    _told: dict[tuple[Any, ...], About] = field(default_factory=dict)

    def entries(self, raw: RawRow) -> Iterable[Entry]:
        """What a row says; ValueError if it cannot be told of which session."""
        row = self.mapped.row(raw.values)
        if self.made:
            session_id: str | None = f"{self.name}:{raw.line}"
        else:
            session_id = _field("session_id", row, self.shape.session["session_id"], read.identity)
        if session_id is None:
            raise ValueError(_NO_ID)
        if self.shape.row_per_message:
            return self._rows(session_id, raw.line, row)
        return self._session(Entry(session_id, (self.number, raw.line), raw.line, made=self.made), row)

    def _rows(self, session_id: str, line: int, row: dict[str, Any]) -> Sequence[Entry]:
        """A row that is a message, or a question and its answer."""
        part = (self.number, 0)
        try:
            about = self._about(row)
            if self.shape.said:
                return [Entry(session_id, part, line, message, None, about) for message in self._said(row)]
            message = self._message(row, row)
        except ValueError as error:
            return (Entry(session_id, part, line, problem=str(error)),)
        speaker = about.user_id if message is not None and message[0] == "user" else None
        return (Entry(session_id, part, line, message, speaker, about),)

    def _session(self, entry: Entry, row: dict[str, Any]) -> Iterator[Entry]:
        """A row that is a whole session."""
        try:
            yield entry._replace(about=self._about(row))
            for message in self._said(row):
                yield entry._replace(message=message)
            if self.shape.messages and not any(present(row, path) for path in self.shape.messages):
                raise ValueError(f"{' or '.join(self.shape.messages)} is missing")
        except ValueError as error:
            yield entry._replace(problem=str(error))
        for path in self.shape.messages:
            yield from self._listed(entry, row, path)

    def _listed(self, entry: Entry, row: Mapping[str, Any], path: str) -> Iterator[Entry]:
        try:
            messages = _listed(reach(row, path))
        except ValueError as error:
            yield entry._replace(problem=str(error))
            return
        for number, message in enumerate(messages):
            try:
                if not isinstance(message, dict):
                    raise ValueError("not a message such as {role, text, timestamp}")
                message = self.mapped.message(message)
                found = self._message(message, row)
                if found is not None:
                    speaker = _field("user_id", message, self.shape.message.get("user_id", ()), read.identity)
                    yield entry._replace(message=found, speaker=speaker if found[0] == "user" else None)
            except ValueError as error:
                yield entry._replace(problem=f"messages.{number} {error}")

    def _said(self, row: Mapping[str, Any]) -> Iterator[Said]:
        """Texts whose column tells who speaks."""
        time = _field("timestamp", row, self.shape.message.get("timestamp", ()), self.dates.moment)
        for role, places in self.shape.said:
            parts = [_field("text", row, (place,), read.text) for place in places]
            if text := "\n\n".join(filter(None, parts)):
                yield role, text, time
            else:
                self.left_out["without text"] += 1

    def _message(self, message: Mapping[str, Any], row: Mapping[str, Any]) -> Said | None:
        """A message, or null if nobody says anything in it."""
        shape = self.shape
        if shape.private and any(reach(message, path) == value for path, value in shape.private):
            self.left_out["internal notes"] += 1
            return None
        places = shape.message.get("text", ())
        said = [text for place in places if (text := _text(message, place))]
        if len(said) > 1 and places == TEXT:
            raise ValueError("text: two columns could be the text; say which with --map its_name=text")
        theirs = self._who(message, row)
        if not said or said[0].isspace():
            if (
                message is row
                and read.missing(theirs)
                and sum(map(read.missing, row.values())) >= len(row) - 1
            ):
                raise ValueError("role and text are missing: all but one cell of this row are empty")
            self.left_out["without text"] += 1
            return None
        role = self._role(theirs)
        if role == "skip":
            self.left_out[f"of {theirs}"] += 1
            return None
        time = _field("timestamp", message, shape.message.get("timestamp", ()), self.dates.moment)
        return role, said[0], time

    def _role(self, theirs: object) -> Role | Literal["skip"]:
        name = str(theirs)
        role = self._met.get(name)
        if role is None:
            role = self._met[name] = _read("role", theirs, lambda value: read.role(value, self.own_roles))
        self.roles[name, role] += 1
        return role

    def _who(self, message: Mapping[str, Any], row: Mapping[str, Any]) -> object:
        if self.shape.asker is not None and "role" not in self.mapped.fields:
            author, asker = (
                read.identity(reach(*place)) for place in zip((message, row), self.shape.asker, strict=True)
            )
            return None if author is None else "user" if author == asker else "agent"
        return _first(message, self.shape.message.get("role", ()))

    def _about(self, row: Mapping[str, Any]) -> About:
        session = self.shape.session
        given = tuple([_first(row, session[name]) if name in session else None for name in _ABOUT])
        truth = tuple(_truth(row)) if _has_truth(tuple(row)) else ()
        try:
            about = self._told[given]
        except (KeyError, TypeError):  # not met lately, or a list, which is no id
            user, start, end, containment = given
            about = About(
                None if user is None else _read("user_id", user, read.identity),
                None if start is None else _read("start_time", start, self.dates.moment),
                None if end is None else _read("end_time", end, self.dates.moment),
                _read("containment_type", containment, read.containment),
                (),
            )
            if all(isinstance(value, str | datetime | None) for value in given):
                if len(self._told) >= _REMEMBERED:
                    self._told.clear()
                self._told[given] = about
        return about._replace(truth=truth) if truth else about


@lru_cache
def _has_truth(names: tuple[str, ...]) -> bool:
    return any(name.startswith(_TRUTH) for name in names)


def _truth(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in row:
        label_field = name.removeprefix(_TRUTH)
        if label_field and label_field != name and name not in _NOT_TRUTH:
            concept = _read(name, row[name], read.name)
            if concept is not None:
                yield _TRUTH_FIELDS.get(label_field, label_field), concept


def _text(row: Mapping[str, Any], place: str) -> str:
    """What a message says; a text may be "nil" where an id may not."""
    value = row[place] if place in row else reach(row, place)
    return "" if value is None else _read("text", value, read.text)


def _first(row: Mapping[str, Any], places: Sequence[str]) -> Any:
    """The first value at these places that is there."""
    for place in places:
        value = row[place] if place in row else reach(row, place)
        if value is not None and not read.missing(value):
            return value
    return None


def _field(
    name: str, row: Mapping[str, Any], places: Sequence[str], kind: Callable[[object], _Value]
) -> _Value | None:
    """The first value at these places that is there, read as its kind."""
    value = _first(row, places)
    return None if value is None else _read(name, value, kind)


def _read(name: str, value: object, kind: Callable[[object], _Value]) -> _Value:
    try:
        return kind(value)
    except ValueError as error:
        raise ValueError(f"{name} {reprlib.repr(value)}: {error}") from error
