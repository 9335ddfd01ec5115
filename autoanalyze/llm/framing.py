"""How requests are framed and answers unframed, whatever is asked.

A request is made of sections, each a heading and JSON lines. What users or models wrote stands
inside JSON strings on one line, so nothing it contains can end its frame: line breaks, quotes and
control characters arrive escaped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from autoanalyze.errors import ReplyError

__all__ = [
    "JUDGE_FIELD",
    "JUDGE_LABELS",
    "JUDGE_QUESTIONS",
    "KNOWN_LABELS",
    "SESSIONS",
    "encode",
    "listed",
    "strict_object",
]

KNOWN_LABELS = "KNOWN LABELS (JSON, in order of arrival)"
SESSIONS = "SESSIONS (JSON, one per line)"
JUDGE_FIELD = "FIELD (JSON)"
JUDGE_LABELS = "LABELS (JSON, one per line)"
JUDGE_QUESTIONS = "QUESTIONS (JSON, one per line)"

#: Format and private-use characters (direction marks, zero-width joiners ...) can make text
#: look like something it is not; inside JSON they are as well said by their escapes.
INVISIBLE = re.compile(
    "[\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)


def encode(value: object) -> str:
    """JSON on one line, readable, with invisible characters escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return INVISIBLE.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def strict_object(properties: Mapping[str, Any]) -> dict[str, Any]:
    """An object schema in which all properties are required and no others are allowed."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def listed(text: str, name: str) -> list[Any]:
    """The list called `name` in a JSON answer; a code fence around it is forgiven."""
    bare = re.sub(r"^\s*```(?:json)?\s*|\s*```\s*$", "", text)
    try:
        value = json.loads(bare)
    except (ValueError, RecursionError) as error:
        raise ReplyError(f"the reply is not JSON: {error}") from None
    if isinstance(value, dict):
        value = value.get(name)
    if not isinstance(value, list):
        raise ReplyError(f"the reply holds no list of {name}")
    return value
