"""Requests as an endpoint sees them: what a labeller in this process reads back from the messages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from autoanalyze.errors import ReplyError
from autoanalyze.llm.prompts import (
    ASKED_AGAIN,
    CODEBOOK_NAMES,
    EXPLAINED_LABELS,
    JUDGE_FIELD,
    JUDGE_LABELS,
    JUDGE_QUESTIONS,
    KNOWN_LABELS,
    KNOWN_THEMES,
    REUSE,
    SESSION_NAMES,
    SESSIONS,
    THEME_NAMES,
)
from autoanalyze.protocols import Question
from autoanalyze.records import VocabularySnapshot


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """A labelling request as an endpoint sees it: transcripts by key, the known labels, and how it is
    to be answered (see `AnalysisPrompt`)."""

    transcripts: Mapping[str, str]
    vocabulary: VocabularySnapshot
    reply: str = "labels"

    def known_labels(self, names: Mapping[str, str]) -> VocabularySnapshot:
        """The known labels under the full names of their fields; `names` says how each is called here."""
        return renamed(self.vocabulary.content, tuple(names.items()))


@dataclass(frozen=True, slots=True)
class JudgeRequest:
    """A request to judge duplicates as an endpoint sees it."""

    field: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PairsRequest:
    """Questions to the judge of duplicates as an endpoint sees them; `numbers` is each label's number."""

    field: str
    questions: tuple[Question, ...]
    numbers: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class NamesRequest:
    """A request to put the names of a field on one level (`kind` is `codebook`) or into themes (`themes`):
    each with its sessions, in the order of their numbers."""

    kind: str
    field: str
    counts: Mapping[str, int]


HEADINGS = frozenset(
    [
        *(KNOWN_LABELS, EXPLAINED_LABELS, SESSIONS, JUDGE_FIELD, JUDGE_LABELS, JUDGE_QUESTIONS),
        *(CODEBOOK_NAMES, THEME_NAMES, KNOWN_THEMES, ASKED_AGAIN),
    ]
)

Request = BatchRequest | JudgeRequest | PairsRequest | NamesRequest

Additions = tuple[tuple[tuple[str, tuple[str, ...]], ...], ...]
"""The `content` of a vocabulary."""


def snapshot(additions: Additions) -> VocabularySnapshot:
    """The vocabulary of this content."""
    return VocabularySnapshot(tuple(map(dict, additions)))


@lru_cache(maxsize=64)
def numbered(additions: Additions, names: tuple[str, ...]) -> dict[tuple[str, object], int]:
    """The number of each known label, per field."""
    vocabulary = snapshot(additions)
    return {
        (name, label): number
        for name in names
        for number, label in enumerate(vocabulary.labels(name), start=1)
    }


# Many requests show one vocabulary: it is read once. Snapshots never change, so all may share it.
@lru_cache(maxsize=64)
def vocabulary_read(lines: str, numbered: bool) -> VocabularySnapshot:
    """The known labels of a request, a JSON line per version."""
    additions = [json.loads(line) for line in lines.split("\n") if line]
    return VocabularySnapshot(
        tuple(
            {
                name: tuple(map(bare, labels.values() if numbered else labels))
                for name, labels in addition.items()
            }
            for addition in additions
        )
    )


def bare(shown: str | list[str]) -> str:
    """A known label as it is called, with or without a line of a codebook."""
    return shown if isinstance(shown, str) else shown[0]


@lru_cache(maxsize=64)
def renamed(
    additions: tuple[tuple[tuple[str, tuple[str, ...]], ...], ...], names: tuple[tuple[str, str], ...]
) -> VocabularySnapshot:
    """The labels of a vocabulary (its `content`) under the full names of their fields."""
    full = {name: meaning for meaning, name in names}
    return VocabularySnapshot(
        tuple({full[name]: labels for name, labels in addition if name in full} for addition in additions)
    )


def parse_request(messages: Sequence[Mapping[str, str]]) -> Request:
    """Read a request back, as an endpoint in this process does. Raises ReplyError for any other text."""
    parts: dict[str, list[str]] = {}
    for line in messages[-1]["content"].split("\n"):
        if line in HEADINGS:
            parts[line] = []
        elif line and parts:
            parts[next(reversed(parts))].append(line)
    if SESSIONS in parts:
        rows = [json.loads(line) for line in parts[SESSIONS]]
        numbered = REUSE["numbers"] in messages[0]["content"]
        known = parts.get(KNOWN_LABELS) or parts.get(EXPLAINED_LABELS, [])
        vocabulary = vocabulary_read("\n".join(known), numbered)
        key, text = SESSION_NAMES
        return BatchRequest(
            {row[key]: row[text] for row in rows}, vocabulary, "numbers" if numbered else "labels"
        )
    if JUDGE_QUESTIONS in parts:
        shown = [json.loads(line) for line in parts[JUDGE_LABELS]]
        named = {int(number): label for row in shown for number, label in row.items() if number != "notes"}
        questions = [json.loads(line) for line in parts[JUDGE_QUESTIONS]]
        return PairsRequest(
            json.loads(parts[JUDGE_FIELD][0])["name"],
            tuple(Question(named[q["label"]], tuple(named[n] for n in q["candidates"])) for q in questions),
            {label: number for number, label in named.items()},
        )
    for kind, heading in (("codebook", CODEBOOK_NAMES), ("themes", THEME_NAMES)):
        if heading in parts:
            rows = [json.loads(line) for line in parts[heading]]
            counts = {next(iter(row.values())): row["sessions"] for row in rows}
            return NamesRequest(kind, json.loads(parts[JUDGE_FIELD][0])["name"], counts)
    if JUDGE_LABELS in parts:
        labels = tuple(label for line in parts[JUDGE_LABELS] for label in json.loads(line).values())
        return JudgeRequest(json.loads(parts[JUDGE_FIELD][0])["name"], labels)
    raise ReplyError("the request is neither a labelling nor a judging request of autoanalyze")
