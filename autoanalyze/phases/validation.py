"""SessionValidation: which parts of a reply can be trusted, and which sessions must be asked for again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoanalyze.records import Facts, LabelSchema, Reply, ReplyRow

LONGEST_LABEL = 100
"""Characters of a label; a longer one is a sentence, not a name."""

LONGEST_NOTES = 2_000


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

    def validate_batch_response(self, session_ids: Sequence[str], reply: Reply) -> ValidationResult:
        """Check the reply to a call that asked for `session_ids` under the keys `s1`, `s2`, ...

        A key that comes twice counts for neither row, since nobody knows which is right.
        """
        by_key = {f"s{number}": session_id for number, session_id in enumerate(session_ids, start=1)}
        occurrences = Counter(row.key for row in reply.rows)
        rows = {row.key: row for row in reply.rows}
        processed: dict[str, Facts] = {}
        errors: dict[str, str] = {}
        for key, session_id in by_key.items():
            if occurrences[key] == 0:
                errors[session_id] = reply.error or f"missing from the reply ({reply.finish_reason})"
            elif occurrences[key] > 1:
                errors[session_id] = f"{occurrences[key]} rows for one session"
            else:
                facts = self._facts(rows[key])
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

    def _facts(self, row: ReplyRow) -> Facts | str:
        """The facts of one row, or what is wrong with it."""
        outcome = row.values.get("session_outcome")
        if outcome != "Transfer" and outcome != "Contained":
            return f"unknown session_outcome {outcome!r}"[:200]
        labels: dict[str, str | None] = {}
        for label_field in self._schema.fields:
            value = row.values.get(label_field.name)
            label = None if value is None else clean_label(value)
            if value is not None and label is None:
                return f"{label_field.name} is not a label: {value!r}"[:200]
            if label is not None and not label_field.applies(outcome):
                return f"{label_field.name} given although the outcome is {outcome}"
            labels[label_field.name] = label
        notes = row.values.get("notes") if self._schema.notes else None
        return Facts(
            "Transfer" if outcome == "Transfer" else "Contained",
            labels,
            notes[:LONGEST_NOTES] if isinstance(notes, str) else None,
        )


def clean_label(value: object) -> str | None:
    """A label on one line with single spaces, or null if the value is none.

    Lone surrogates, which JSON can spell but no file can hold, make it no label.
    """
    if not isinstance(value, str):
        return None
    label = " ".join(value.split())
    if not label or len(label) > LONGEST_LABEL or not label.isprintable():
        return None
    return label
