"""SessionValidation: which parts of a reply can be trusted, and which sessions must be asked for again."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoanalyze.llm.prompts import LONGEST_LABEL
from autoanalyze.records import Facts, LabelSchema, Reply, ReplyRow, VocabularySnapshot

LONGEST_NOTES = 2_000

LEFT_OUT = "missing from the reply"
"""How the error begins of a session that a reply says nothing of."""


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """What of a reply is good. `errors` says, per session that is not, what was wrong with it."""

    processed: Mapping[str, Facts]
    errors: Mapping[str, str]
    foreign_keys: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """Sessions without valid facts, in the order in which they were asked for."""
        return tuple(self.errors)

    @property
    def all_processed(self) -> bool:
        """Whether every session got valid facts."""
        return not self.errors


class SessionValidation:
    """Checks replies against the label schema, by key and never by position."""

    def __init__(self, schema: LabelSchema) -> None:
        self._schema = schema

    def validate_batch_response(
        self,
        session_ids: Sequence[str],
        reply: Reply,
        texts: Mapping[str, str] | None = None,
        known: VocabularySnapshot | None = None,
    ) -> ValidationResult:
        """Check the reply to a call that asked for `session_ids` under the keys `s1`, `s2`, ...

        A key that comes twice counts for neither row, since nobody knows which is right. `texts` are the
        transcripts, of which no label is a copy; labels that are `known` need no further check.
        """
        known = known or VocabularySnapshot()
        by_key = {f"s{number}": session_id for number, session_id in enumerate(session_ids, start=1)}
        occurrences = Counter(row.key for row in reply.rows)
        rows = {row.key: row for row in reply.rows}
        processed: dict[str, Facts] = {}
        errors: dict[str, str] = {}
        for key, session_id in by_key.items():
            if occurrences[key] == 0:
                errors[session_id] = reply.error or f"{LEFT_OUT} ({reply.finish_reason})"
            elif occurrences[key] > 1:
                errors[session_id] = f"{occurrences[key]} rows for one session"
            else:
                facts = self._facts(rows[key], (texts or {}).get(session_id, ""), known)
                if isinstance(facts, str):
                    errors[session_id] = facts
                else:
                    processed[session_id] = facts
        foreign = tuple(key for key in occurrences if key not in by_key)
        return ValidationResult(processed, errors, foreign)

    def identify_missing_sessions(
        self, session_ids: Sequence[str], processed: Mapping[str, Facts]
    ) -> list[str]:
        """The sessions that have no facts yet, in order."""
        return [session_id for session_id in session_ids if session_id not in processed]

    def merge_retry_results(self, earlier: ValidationResult, retry: ValidationResult) -> ValidationResult:
        """The state after a retry: facts that were good stay, what the retry brought is added."""
        processed = {**retry.processed, **earlier.processed}
        errors = {
            session_id: retry.errors.get(session_id, error)
            for session_id, error in earlier.errors.items()
            if session_id not in processed
        }
        return ValidationResult(processed, errors, earlier.foreign_keys + retry.foreign_keys)

    def _facts(self, row: ReplyRow, text: str, known: VocabularySnapshot) -> Facts | str:
        """The facts of one row, or what is wrong with it."""
        outcome = row.values.get("session_outcome")
        if outcome != "Transfer" and outcome != "Contained":
            return f"unknown session_outcome {outcome!r}"[:200]
        labels: dict[str, str | None] = {}
        for label_field in self._schema.fields:
            name, value = label_field.name, row.values.get(label_field.name)
            applies, known_labels = label_field.applies(outcome), known.labels(name)
            if value not in (*known_labels, *label_field.labels) and (
                is_null(value) or (not applies and value in ("", [], {}))
            ):
                labels[name] = None
                continue
            label = clean_label(value)
            if label is None:
                return f"{name} is not a label: {value!r}"[:200]
            if label_field.labels:
                label = same_but_for_case(label, label_field.labels)
                if label is None:
                    return f"{name} must be one of its labels or null, not {value!r}"[:200]
            if not applies:
                return f"{name} given although the outcome is {outcome}"
            problem = None if label in known_labels or label_field.labels else self._problem(label, text)
            if problem:
                return f"{name} is not a label but {problem}: {label!r}"[:200]
            labels[name] = label
        notes = row.values.get("notes") if self._schema.notes else None
        return Facts(
            "Transfer" if outcome == "Transfer" else "Contained",
            labels,
            notes[:LONGEST_NOTES] if isinstance(notes, str) and not is_null(notes) else None,
        )

    def _problem(self, label: str, text: str) -> str | None:
        """Why a new label cannot be the name of a matter, or null if it can."""
        if len(label) > LONGEST_LABEL or len(label.split()) > MOST_WORDS:
            return f"longer than {MOST_WORDS} words or {LONGEST_LABEL} characters"
        if not any(character.isalpha() for character in label):
            return "a number or signs"
        if KEY.fullmatch(label) or label.casefold() in (*self._schema.names, "session_outcome", "notes"):
            return "a key"
        return "a line of the transcript" if is_copied(label, text) else None


MOST_WORDS = 8
"""Two to four are asked for."""

KEY = re.compile(r"[sf]\d{1,6}|[ksfntc]", re.IGNORECASE)
"""What keys and fields are called in requests and replies."""

NULLS = frozenset(
    [
        "null",
        "none",
        "nil",
        "na",
        "n/a",
        "nan",
        "unknown",
        "undefined",
        "not applicable",
        "not available",
        "no label",
        "not known",
        "unclear",
        "not specified",
        "not stated",
        "not mentioned",
        "-",
        "--",
        "?",
        "",
    ]
)
"""What models write for null."""


def is_null(value: object) -> bool:
    """Whether a value says null, in words too. Nothing at all where a label is due is not null."""
    if not isinstance(value, str):
        return value is None
    bare = " ".join(value.casefold().replace("_", " ").split()).strip("\"'()[]<>{}. ")
    return bool(value.strip()) and bare.replace("n.a", "na") in NULLS


def is_copied(label: str, text: str) -> bool:
    """Whether a label is a line of a transcript, or the beginning of one.

    Names that people pick from menus are lines too: few words, each with a capital, may be such a name.
    """
    words = label.split()
    spoken = label.casefold()
    if re.match(r"(user|bot)\s*:", spoken):
        return True
    if len(words) < 3 or (len(words) <= 4 and all(not word[0].islower() for word in words)):
        return False
    lines = (" ".join(line.partition(":")[2].casefold().split()) for line in text.split("\n"))
    bare = spoken.rstrip(".!?… ")
    return any(line.startswith(bare) if len(words) > 4 else line.rstrip(".!?… ") == bare for line in lines)


def same_but_for_case(label: str, labels: Sequence[str]) -> str | None:
    """The one of some labels that a label is but for its capitals; null if it is none of them."""
    return next((one for one in labels if one.casefold() == label.casefold()), None)


def clean_label(value: object) -> str | None:
    """A label on one line with single spaces, or null if the value is none.

    Lone surrogates, which JSON can spell but no file can hold, make it no label.
    """
    if not isinstance(value, str):
        return None
    label = " ".join(value.split())
    return label if label and label.isprintable() else None
