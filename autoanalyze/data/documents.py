"""JSON files, a value a line or a whole document, and transcripts of calls, as raw rows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from autoanalyze.data.lines import Lines, RawRow
from autoanalyze.data.values import letters
from autoanalyze.errors import ImportDataError

_CHUNK = 1 << 20
_STRINGS = re.compile(r'"((?:[^"\\]|\\.)*)"|:\s*(-?[\d.]+)')
_ENVELOPES = (
    *("sessions", "conversations", "tickets", "chats", "messages", "data"),
    *("results", "items", "records", "rows", "hits"),
)
_SESSION = ("sessionid", "conversationid", "chatid", "threadid", "contactid")
_CUE = re.compile(
    r"(?:<v(?:\.[\w.]+)?\s+(?P<voice>[^>]+)>|(?P<name>[^\W\d_][^:<>\n]{0,40}):\s+)(?P<text>.*)", re.DOTALL
)
_TAG = re.compile(r"<[^>]*>")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"not JSON that can be trusted: one of {', '.join(found)} stands twice in an object")
    return found


# A number such as 1.23457E+17 is kept as it is written: a spreadsheet may have rounded it.
_DECODER = json.JSONDecoder(
    parse_float=lambda word: word if "e" in word.lower() else float(word), object_pairs_hook=_object
)


def parsed(text: str) -> Any:
    """The JSON value of a text; ValueError, in words, if it is none."""
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at column {error.colno}") from error
    except RecursionError as error:
        raise ValueError("not JSON that can be read: it is nested too deeply") from error


def json_rows(lines: Lines) -> Iterator[RawRow]:
    """Rows of a JSON file: a value per line, values one after another, or an array of them."""
    parts = lines.parts()
    first = next((part for part in parts if not isinstance(part, str) or part.strip()), None)
    if first is None:
        return
    start = first.strip() if isinstance(first, str) else ""
    if start.startswith("[") or (start.startswith("{") and not start.endswith("}")):
        yield from _document(lines)
        return
    for part in chain([first], parts):
        if isinstance(part, ValueError):
            yield RawRow(lines.number, {}, str(part))
        elif part.strip():
            try:
                yield from _unpacked(lines.number, parsed(part))
            except ValueError as error:
                yield RawRow(lines.number, {}, str(error), _words(part))


def _words(text: str) -> tuple[str, ...]:
    return tuple({string or number for string, number in _STRINGS.findall(text)})


def _unpacked(line: int, value: object) -> Iterator[RawRow]:
    """A row, or those in the envelope of an API's answer such as {"sessions": [...], "total": 2}."""
    if not isinstance(value, dict):
        raise ValueError("not a JSON object; each value must be a message or a session as {...}")
    names = {letters(name) for name in value}
    if names.isdisjoint((*_SESSION, "id")):
        for name in _ENVELOPES:
            inside = value.get(name)
            if isinstance(inside, list) and inside and all(_has_id(name, item) for item in inside):
                yield from (RawRow(line, item) for item in inside)
                return
    yield RawRow(line, value)


def _has_id(envelope: str, item: object) -> bool:
    if not isinstance(item, Mapping):
        return False
    ids = _SESSION if envelope == "messages" else (*_SESSION, "id")
    return not {letters(name) for name in item}.isdisjoint(ids)


class _Text:
    """The text of a document as far as it was read; `line` is where the place `at` lies."""

    def __init__(self, lines: Lines) -> None:
        self._lines = iter(lines)
        self._path = lines.path
        self.text = ""
        self.at = 0
        self.line = 1

    def more(self) -> bool:
        """Forget what was used and read on; twice as much each time, so that long values take few tries."""
        self.advance(self.at)
        self.text, self.at = self.text[self.at :], 0
        read, size = [], 0
        for line in self._lines:
            read.append(line)
            size += len(line)
            if size > max(_CHUNK, len(self.text)):
                break
        self.text += "".join(read)
        return bool(read)

    def advance(self, to: int) -> None:
        """Go to a place further on."""
        self.line += self.text.count("\n", self.at, to)
        self.at = to

    def skip(self, characters: str) -> str:
        """Skip these characters; the one that follows, empty at the end."""
        while True:
            end = self.at
            while end < len(self.text) and self.text[end] in characters:
                end += 1
            self.advance(end)
            if end < len(self.text):
                return self.text[end]
            if not self.more():
                return ""

    def value(self) -> object:
        """The value that begins here; ImportDataError if none does."""
        while True:
            try:
                value, end = _DECODER.raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                if self.more():
                    continue
                line = self.line + self.text.count("\n", self.at, error.pos)
                raise ImportDataError(
                    f"{self._path}: not JSON: {error.msg} in line {line}, in the value that begins in line "
                    f"{self.line}. Nothing of the file can be trusted; export it again."
                ) from error
            except (ValueError, RecursionError) as error:
                raise ImportDataError(
                    f"{self._path}: the JSON that begins in line {self.line} cannot be read: {error}"
                ) from error
            # Numbers go on as long as there are digits; everything else ends by itself.
            self.advance(end)
            return value


def _document(lines: Lines) -> Iterator[RawRow]:
    text = _Text(lines)
    blank = " \t\r\n\v"
    array = text.skip(blank) == "["
    if array:
        text.advance(text.at + 1)
    while (character := text.skip(blank + ",")) and not (array and character == "]"):
        line = text.line
        value = text.value()
        try:
            yield from _unpacked(line, value)
        except ValueError as error:
            yield RawRow(line, {}, str(error))
    if array and not character:
        raise ImportDataError(
            f"{lines.path}: the JSON array does not end; the file is cut off. Export it again."
        )
    text.advance(text.at + bool(array))
    if array and text.skip(blank):
        raise ImportDataError(
            f"{lines.path}: the JSON array ends in line {text.line}, but the file goes on; export it again"
        )


def transcript_rows(lines: Lines) -> Iterator[RawRow]:
    """The one session of a WebVTT file: speakers are the roles, and what one says in a row is one message.

    Raises ImportDataError if it is no WebVTT, or if no cue says who speaks.
    """
    blocks = re.split(r"\n\s*\n", "".join(lines).strip())
    if not blocks[0].startswith("WEBVTT"):
        raise ImportDataError(f"{lines.path}: a WebVTT transcript begins with WEBVTT; this file does not")
    messages: list[dict[str, str]] = []
    for block in blocks:
        _, arrow, rest = block.partition("-->")
        for part in (
            re.split(r"(?=<v[\s.])|\n(?=[^\W\d_][^:<>\n]{0,40}: )", rest.partition("\n")[2]) if arrow else ()
        ):
            if not part.strip():
                continue
            found = _CUE.match(part.strip())
            said = " ".join(_TAG.sub("", found["text"] if found else part).split())
            speaker = (found["voice"] or found["name"]).strip() if found else ""
            if messages and speaker in ("", messages[-1]["role"]):
                messages[-1]["text"] += f" {said}"
            else:
                messages.append({"role": speaker, "text": said})
    if not any(message["role"] for message in messages):
        raise ImportDataError(
            f"{lines.path}: no cue says who speaks, as in <v Agent>Hello</v>; export with speakers"
        )
    yield RawRow(1, {"messages": messages})
