"""What a server's answer says: text, usage and end, wherever in its body they stand, and never trusted.

A body that is no answer raises UnreadableError, one that holds an error instead raises RefusedError: both are
failures of that attempt, with the server's own words.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autoanalyze.llm.answers import json_in
from autoanalyze.llm.refusals import Refusal, refusal_of, spelled
from autoanalyze.records import Usage

REFUSED = "content_filter"
"""The finish reason of an answer that a filter took back."""
CUT_OFF = "length"
"""The finish reason of an answer that hit the output limit."""

ENDINGS = {
    "content filter": REFUSED, "safety": REFUSED, "refusal": REFUSED, "prohibited content": REFUSED,
    "recitation": REFUSED, "blocklist": REFUSED, "sensitive": REFUSED,
    "max tokens": CUT_OFF, "model length": CUT_OFF, "max output tokens": CUT_OFF, "length": CUT_OFF,
}  # fmt: skip
"""What dialects call these two endings, spelled alike."""

REASONING = ("reasoning_content", "reasoning", "thinking")
"""Keys under which servers tell what a model thought, and some its answer."""

MOST_TOKENS = 10**8
"""A count of more is no count."""


class UnreadableError(ValueError):
    """The body is not an answer."""


class RefusedError(Exception):
    """The body is an error. `billed` tells that it may have cost something all the same."""

    def __init__(self, refusal: Refusal, *, billed: bool = False) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal
        self.billed = billed


@dataclass(frozen=True, slots=True)
class Said:
    """What an answer says. `counts` is its usage as the server tells it, unchecked."""

    text: str
    finish_reason: str
    counts: Mapping[str, Any]


def answer_in(body_text: str, headers: Mapping[str, str]) -> Said:
    """The answer in a body of status 200. Raises UnreadableError and RefusedError."""
    body = body_of(body_text)
    choice = first_choice(body)
    problem = error_in(body, choice)
    if problem is not None:
        raise RefusedError(refusal_of(200, problem, headers), billed=bool(as_map(body.get("usage"))))
    message = choice.get("message", choice.get("delta", choice.get("text")))
    if isinstance(message, str):
        message = {"content": message}
    if not isinstance(message, Mapping):
        raise UnreadableError(f"this answer has no message: {shown(body_text)}")
    reason = choice.get("finish_reason") or choice.get("done_reason") or body.get("stop_reason")
    finish_reason = ENDINGS.get(spelled(reason), reason) if isinstance(reason, str) else "stop"
    if finish_reason == REFUSED or message.get("refusal"):
        return Said("", REFUSED, as_map(body.get("usage")))
    return Said(text_of(message), finish_reason, as_map(body.get("usage")))


def vectors_in(body_text: str, headers: Mapping[str, str]) -> tuple[list[Any], Mapping[str, Any]]:
    """The vectors of an answer, in order, and its usage. Raises UnreadableError and RefusedError."""
    body = body_of(body_text)
    problem = error_in(body, {})
    if problem is not None:
        raise RefusedError(refusal_of(200, problem, headers))
    parts = body.get("data")
    if not isinstance(parts, list) or not all(isinstance(part, Mapping) for part in parts):
        raise UnreadableError(f"these are no embeddings: {shown(body_text)}")
    places = [part.get("index") for part in parts]
    if sorted(place for place in places if isinstance(place, int)) == list(range(len(parts))):
        parts = sorted(parts, key=lambda part: int(part["index"]))
    return [part.get("embedding") for part in parts], as_map(body.get("usage"))


def body_of(text: str) -> Mapping[str, Any]:
    """The object that a body holds; the pieces of a stream that nobody asked for are put together."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        pieces = list(streamed(text))
        if not pieces:
            raise UnreadableError(f"this is no JSON: {shown(text)}") from None
        return joined(pieces, whole="[DONE]" in text)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, Mapping):
        raise UnreadableError(f"this is no chat completion: {shown(text)}")
    return value


def streamed(text: str) -> Iterator[Mapping[str, Any]]:
    """The objects of a stream: lines of JSON, or events that carry them."""
    for line in text.splitlines():
        bare = line.removeprefix("data:").strip()
        if bare.startswith("{"):
            try:
                value = json.loads(bare)
            except (ValueError, RecursionError):
                return
            if isinstance(value, Mapping):
                yield value


def joined(pieces: Sequence[Mapping[str, Any]], *, whole: bool) -> Mapping[str, Any]:
    """The pieces of a stream as one answer. Raises UnreadableError for a stream that broke off."""
    problem = next((piece for piece in pieces if piece.get("error")), None)
    if problem is not None:
        return problem
    texts: dict[str, str] = {}
    arguments, reason = "", None
    usage: Mapping[str, Any] = {}
    for piece in pieces:
        choice = first_choice(piece)
        part = as_map(choice.get("delta") or choice.get("message"))
        for key in ("content", *REASONING):
            texts[key] = texts.get(key, "") + plain(part.get(key))
        arguments += called(part)
        reason = choice.get("finish_reason") or reason
        usage = as_map(piece.get("usage")) or usage
    if not whole and reason is None:
        raise UnreadableError(f"the stream broke off after {len(pieces)} pieces")
    call = {"tool_calls": [{"function": {"arguments": arguments}}]} if arguments else {}
    return {"choices": [{"message": {**texts, **call}, "finish_reason": reason}], "usage": usage}


def first_choice(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The first choice of an answer; the body itself where a server knows no choices."""
    choices = body.get("choices")
    if isinstance(choices, list) and choices:
        return as_map(choices[0])
    return body if "message" in body and not isinstance(body["message"], str) else {}


def error_in(body: Mapping[str, Any], choice: Mapping[str, Any]) -> object | None:
    """What an answer tells of an error, at its top or in its choice; null where it tells of none."""
    problem = body.get("error") or body.get("errors") or choice.get("error")
    if problem:
        return {"error": problem, "code": body.get("code")} if isinstance(problem, str) else problem
    if body.get("object") == "error" or not {"choices", "data", "message"} & body.keys():
        told = {key: body[key] for key in ("message", "detail", "msg", "code", "type") if body.get(key)}
        return told or None
    if isinstance(body.get("message"), str) and "choices" not in body and "data" not in body:
        return body
    return {"message": "finish_reason error"} if choice.get("finish_reason") == "error" else None


def text_of(message: Mapping[str, Any]) -> str:
    """What a message says: its content, else the call of a tool, else an answer in its reasoning."""
    content = plain(message.get("content"))
    if content.strip():
        return content
    arguments = called(message)
    if arguments.strip():
        return arguments
    thoughts = (plain(message.get(key)) for key in REASONING)
    return next((thought for thought in thoughts if json_in(thought) is not None), "")


def plain(content: object) -> str:
    """Content as text: a text, a list of parts, or JSON that a server has read already."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(
            plain(part.get("text")) if isinstance(part, Mapping) else plain(part)
            for part in content
            if not isinstance(part, Mapping) or part.get("type") not in ("thinking", "reasoning")
        )
    return json.dumps(content) if isinstance(content, Mapping) else ""


def called(message: Mapping[str, Any]) -> str:
    """The arguments of the tool that a message calls."""
    calls = message.get("tool_calls")
    first = as_map(calls[0]) if isinstance(calls, list) and calls else message
    return plain(as_map(first.get("function") or first.get("function_call")).get("arguments"))


def counted(said: Said, prompt: int, completion: int) -> tuple[Usage, bool]:
    """The usage of an answer, and whether all of it is the server's: what it does not tell, or cannot mean,
    is what we counted ourselves."""
    told_prompt = count_in(said.counts, "prompt_tokens", "input_tokens")
    told_completion = count_in(said.counts, "completion_tokens", "output_tokens")
    if not told_prompt or (not told_completion and said.text):
        told_completion = told_completion or None
        told_prompt = told_prompt or None
    tokens = prompt if told_prompt is None else told_prompt
    details = as_map(said.counts.get("prompt_tokens_details"))
    cached = count_in(details, "cached_tokens") or count_in(said.counts, "prompt_cache_hit_tokens") or 0
    spoken = completion if told_completion is None else told_completion
    return Usage(tokens, min(cached, tokens), spoken), None not in (told_prompt, told_completion)


def count_in(counts: Mapping[str, Any], *names: str) -> int | None:
    """A count of tokens under one of its names, or null if there is none that makes sense."""
    for name in names:
        value = counts.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS:
            return int(value)
    return None


def as_map(value: object) -> Mapping[str, Any]:
    """An object as it is, and anything else as an empty one."""
    return value if isinstance(value, Mapping) else {}


def shown(text: str) -> str:
    """The beginning of a body, for an error."""
    return json.dumps(" ".join(text[:200].split())[:120])
