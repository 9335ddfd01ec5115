"""Dotted paths into rows, and what a user's mapping makes of a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from autoanalyze.data.documents import parsed
from autoanalyze.data.shapes import MESSAGE_FIELDS, SESSION_FIELDS
from autoanalyze.data.values import letters
from autoanalyze.errors import ConfigurationError

_SAME = {"message_type": "role", "message": "text"}


@lru_cache(maxsize=4096)
def spellings(names: tuple[str, ...]) -> dict[str, str]:
    """Names by what they are without case and punctuation; of equal ones, the first."""
    return {letters(name): name for name in reversed(names)}


def opened(value: object) -> object:
    """The value that a JSON text holds; anything else as it is."""
    if isinstance(value, str) and value[:1] in ("[", "{"):
        try:
            return parsed(value)
        except ValueError:
            return value
    return value


def reach(value: object, path: str) -> Any:
    """What lies at a dotted path, null if nothing does; after a `*`, the list of what lies there."""
    if isinstance(value, dict) and path in value:
        return value[path]
    step, _, rest = path.partition(".")
    value = opened(value)
    inner: Any = None
    if isinstance(value, list):
        if step == "*":
            found = [reach(item, rest) if rest else item for item in value]
            return [item for item in found if item is not None] or None
        inner = value[int(step)] if step.isdigit() and int(step) < len(value) else None
    elif isinstance(value, dict):
        inner = value.get(step if step in value else spellings(tuple(value)).get(letters(step), ""))
    return reach(inner, rest) if rest and inner is not None else inner


def present(row: Mapping[str, object], path: str) -> bool:
    """Whether a row has this path: a column also if it is empty, what lies deeper only if it is filled."""
    return (
        reach(row, path) is not None if "." in path else path in row or letters(path) in spellings(tuple(row))
    )


def anywhere(value: object, path: str) -> bool:
    """Whether a row, or anything in it, has this path."""
    value = opened(value)
    if isinstance(value, dict):
        return (
            path in value or reach(value, path) is not None or any(anywhere(v, path) for v in value.values())
        )
    return isinstance(value, list) and any(anywhere(item, path) for item in value)


class Mapped:
    """Renames by a mapping of theirs to ours. A renamed column takes the place of one that had the name
    before, and one that is mapped to nothing is left out.

    Raises ConfigurationError if the mapping names a field that does not exist, or one twice.
    """

    def __init__(self, mapping: Mapping[str, str]) -> None:
        self.mapping = {theirs: _SAME.get(ours, ours) for theirs, ours in mapping.items()}
        self.fields = frozenset(ours for ours in self.mapping.values() if ours)
        known = (*SESSION_FIELDS, *MESSAGE_FIELDS)
        unknown = [ours for ours in self.fields if ours not in known and not ours.startswith("true_")]
        if unknown:
            raise ConfigurationError(
                f"--map: there is no field {', '.join(sorted(unknown))}. A mapping is theirs=ours, and "
                f"ours is one of {', '.join(known)} or true_<field>; theirs= alone leaves the column out."
            )
        named = [ours for ours in self.mapping.values() if ours]
        if twice := sorted({ours for ours in named if named.count(ours) > 1}):
            raise ConfigurationError(f"--map: two columns are mapped to {', '.join(twice)}; leave one out")
        self._in_messages = {t: o for t, o in self.mapping.items() if o in MESSAGE_FIELDS or not o}

    def row(self, values: dict[str, object]) -> dict[str, object]:
        """A row under our names."""
        return self._renamed(dict(values), self.mapping) if self.mapping else values

    def message(self, values: dict[str, object]) -> dict[str, object]:
        """A message under our names; the mapping of a row's own columns does not reach into it."""
        return self._renamed(dict(values), self._in_messages) if self._in_messages else values

    def _renamed(self, values: dict[str, object], mapping: Mapping[str, str]) -> dict[str, object]:
        found = {
            theirs: value
            for theirs in mapping
            if (value := reach(values, theirs)) is not None or theirs in values
        }
        for theirs in found:
            values.pop(theirs, None)
        return values | {mapping[theirs]: value for theirs, value in found.items() if mapping[theirs]}


def texts_in(value: object) -> Iterator[str]:
    """All texts of a row, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        inside: Sequence[object] = list(value.values()) if isinstance(value, Mapping) else value
        for item in inside:
            yield from texts_in(item)
