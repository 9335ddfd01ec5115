"""JSON in what a model said: behind its thoughts, in fences, among prose."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from autoanalyze.errors import ReplyError

TAGS = r"think\w*|reason\w*|reflect\w*|thought\w*|analysis|scratchpad"
THOUGHTS = re.compile(rf"<({TAGS})>.*?(</\1>|\Z)", re.DOTALL | re.IGNORECASE)
END_OF_THOUGHTS = re.compile(rf"^.*</({TAGS})>", re.DOTALL | re.IGNORECASE)
"""Some servers cut the opening tag off, since it belongs to the prompt."""

MOST_TRIED = 200
"""Places of a text at which JSON is looked for, so that hostile ones end."""

DECODER = json.JSONDecoder()
OPENING = re.compile(r"[{\[]")
LISTS = ("sessions", "groups", "answers", "names", "themes")
"""What the answers to our questions hold, one of them each."""


def json_in(text: str, name: str = "") -> Any:
    """The JSON that a text holds, or null: the last object with the key `name`, else the last object or list.

    A model that thinks aloud drafts its answer first, so the last counts; what stands in thoughts that never
    ended is no answer.
    """
    bare = END_OF_THOUGHTS.sub("", THOUGHTS.sub("", text))
    found = list(values_in(bare))
    named = [value for value in found if isinstance(value, dict) and name in value]
    return (named or found or [None])[-1]


def values_in(text: str) -> Iterator[Any]:
    """The objects and lists in a text, from left to right; one that stands in another is part of it."""
    try:
        value = json.loads(text)
        if isinstance(value, str):  # encoded twice
            value = json.loads(value)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict | list):
        yield value
        return
    place, tried = OPENING.search(text), 0
    while place is not None and tried < MOST_TRIED:
        end, tried = place.start() + 1, tried + 1
        try:
            value, end = DECODER.raw_decode(text, place.start())
        except (ValueError, RecursionError):
            value = None
        if value:
            yield value
        place = OPENING.search(text, end)


def listed(text: str, name: str) -> list[Any]:
    """The list called `name` in what a model said. Raises ReplyError where there is none."""
    value = json_in(text, name)
    if value is None:
        raise ReplyError(f"the reply is not JSON: {json.dumps(text[:80])}" if text else "the reply is empty")
    if isinstance(value, dict):
        value = value.get(name)
    if not isinstance(value, list):
        raise ReplyError(f"the reply holds no list of {name}")
    return value


def is_usable(kind: str, text: str) -> bool:
    """Whether an answer to a call of this kind may stand: an empty one, an error or prose is asked again."""
    value = json_in(text)
    if kind == "embed":
        return isinstance(value, list) and bool(value)
    return isinstance(value, list) or (isinstance(value, dict) and any(name in value for name in LISTS))
