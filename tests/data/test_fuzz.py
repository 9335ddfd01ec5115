"""Mutated export files: only our own errors, no session joined or halved, nothing lost."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoanalyze.data.importers import import_files
from autoanalyze.data.reports import ImportOptions, ImportReport
from autoanalyze.data.store import Store
from autoanalyze.errors import AutoAnalyzeError

FILES = int(os.environ.get("AUTOANALYZE_FUZZ_FILES", "40"))
"""Mutated files of each kind; some seconds for the suite, thousands before a release."""

WORDS = ["card", "lost", "block", "refund", "parcel", "hello", "thanks", "fee", "order", "where"]


def sessions(draw: random.Random) -> dict[str, list[tuple[str, str]]]:
    """A few sessions whose texts name their session, so that a stray message shows."""
    return {
        f"chat-{number}-{draw.randrange(10**6)}": [
            (("user", "bot")[turn % 2], f"<{number}.{turn}> {' '.join(draw.choices(WORDS, k=3))}")
            for turn in range(draw.randint(1, 5))
        ]
        for number in range(draw.randint(2, 4))
    }


def as_rows(draw: random.Random, data: dict[str, list[tuple[str, str]]]) -> list[tuple[str, str, str]]:
    """A row per message, interleaved, in the order within each session."""
    left = {session_id: list(turns) for session_id, turns in data.items()}
    rows = []
    while left:
        session_id = draw.choice(sorted(left))
        rows.append((session_id, *left[session_id].pop(0)))
        if not left[session_id]:
            del left[session_id]
    return rows


def as_csv(draw: random.Random, data: dict[str, list[tuple[str, str]]]) -> bytes:
    """A CSV as a program writes it."""
    out = io.StringIO()
    ends = draw.choice(["\n", "\r\n"])
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator=ends)
    if draw.random() < 0.5:
        writer = csv.writer(out, lineterminator=ends)
    writer.writerow(["session_id", "role", "text"])
    writer.writerows(as_rows(draw, data))
    return out.getvalue().encode()


def as_lines(draw: random.Random, data: dict[str, list[tuple[str, str]]]) -> bytes:
    """JSONL with a row per message."""
    rows = as_rows(draw, data)
    return "".join(
        json.dumps({"session_id": session_id, "role": role, "text": text}) + "\n"
        for session_id, role, text in rows
    ).encode()


def as_sessions(draw: random.Random, data: dict[str, list[tuple[str, str]]]) -> bytes:
    """JSON with a row per session, by lines or as an indented array."""
    rows = [
        {"session_id": session_id, "messages": [{"role": role, "content": text} for role, text in turns]}
        for session_id, turns in data.items()
    ]
    if draw.random() < 0.5:
        return json.dumps(rows, indent=draw.choice([None, 2])).encode()
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def mutated(draw: random.Random, content: bytes) -> bytes:
    """The file with something broken in it: bytes, quotes, separators, ids, order."""
    at = draw.randrange(len(content))
    kind = draw.randrange(7)
    if kind == 0:  # a quote, a separator or a bracket too many
        return (
            content[:at] + draw.choice([b'"', b",", b"\\", b"\n", b"{", b"]", b'\\"', b"\r"]) + content[at:]
        )
    if kind == 1:  # a character gone
        return content[:at] + content[at + 1 :]
    if kind == 2:  # cut off
        return content[:at]
    if kind == 3:  # bytes that are no text
        return content[:at] + bytes(draw.randrange(256) for _ in range(3)) + content[at:]
    if kind == 4:  # quotes escaped in another way
        return content.replace(b"<", b'\\"', draw.randint(1, 3))
    if kind == 5:  # ids lost in a spreadsheet, in one place
        end = content.find(b"chat", at)
        return (
            content
            if end < 0
            else content[:end] + draw.choice([b"NaN", b"1.2E+17", b""]) + content[end + 6 :]
        )
    lines = content.splitlines(keepends=True)
    draw.shuffle(lines)  # rows out of order
    return b"".join(lines)


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    """One store, in which every file is a bot's of its own."""
    with Store.in_memory() as store:
        yield store


def imported(store: Store, path: Path, bot: str) -> ImportReport | None:
    """What the import reports, or null if it refuses the file with an error of ours."""
    try:
        return import_files(
            [path],
            store,
            ImportOptions(bot_id=bot),
            count_tokens=lambda texts: [1] * len(texts),
            token_encoding="none",
        )
    except AutoAnalyzeError:
        return None


@pytest.mark.parametrize(
    ("name", "kind"),
    [("m.csv", as_csv), ("m.jsonl", as_lines), ("s.json", as_sessions), ("s.jsonl", as_sessions)],
)
def test_mutated_files_join_and_halve_nothing(store: Store, tmp_path: Path, name: str, kind: object) -> None:
    """Whatever is broken in a file, a session goes in whole under its id, or is told of, or the file is."""
    assert callable(kind)
    for seed in range(FILES):
        draw = random.Random(f"{name} {seed}")
        data = sessions(draw)
        original = kind(draw, data)
        content = mutated(draw, original)
        path = tmp_path / name
        path.write_bytes(content)
        bot = f"{name}-{seed}"
        report = imported(store, path, bot)
        if report is None or not content:
            continue
        ids = store.sessions(bot)["session_id"].to_list()
        found = store.read(bot, ids)
        for session_id, messages in found.items():
            numbers = {mark for m in messages for mark in re.findall(r"(\d)\.\d> ", m.text)}
            assert len(numbers) <= 1, (seed, session_id, messages)
        told = bool(report.rejected or report.refused or report.left_out)
        # Nobody can tell that an id that was changed into another id was ever another.
        renamed = set(ids) - set(data)
        for session_id, turns in data.items():
            if session_id in found:
                key = session_id.encode()
                cut_away = content.count(key) < original.count(key)
                whole = len(found[session_id]) >= len(turns)
                assert whole or told or renamed or cut_away, (seed, session_id, "halved")
            elif session_id.encode() in content:
                assert told or renamed, (seed, session_id, "lost")
