"""The nouns that all rooms of the house share.

Records are frozen: a record that was handed on never changes behind its owner's
back, so streams can share them freely.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Literal

ContainmentType = Literal["agent", "selfService", "dropOff", "unknown"]
Outcome = Literal["Transfer", "Contained"]
Role = Literal["user", "bot", "agent"]
"""Who says a message; an agent is a human of the company, so that a transfer shows."""

#: Outcome suggested by the channel's own record, for sessions that the model could not label.
FALLBACK_OUTCOMES: Mapping[str, Outcome | None] = {
    "agent": "Transfer",
    "selfService": "Contained",
    "dropOff": "Contained",
    "unknown": None,
}


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation; `timestamp` is naive UTC."""

    role: Role
    text: str
    timestamp: datetime | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """What is known of a conversation without reading it. `session_id` is its identity."""

    session_id: str
    user_id: str
    bot_id: str
    start_time: datetime | None
    end_time: datetime | None
    containment_type: ContainmentType
    message_count: int
    token_count: int
    """Tokens of the transcript as it stands in a prompt."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A whole session on its way into the store, from a file or from the generator.

    `truth` maps a label field to the concept that is known to be right; most data have none.
    `partial` tells that some of its messages could not be read and that a person let it in all the
    same, `made_id` that its file had no ids and this one was made from file and line, and
    `source` names the file.
    """

    session_id: str
    user_id: str
    messages: tuple[Message, ...]
    containment_type: ContainmentType = "unknown"
    start_time: datetime | None = None
    end_time: datetime | None = None
    truth: Mapping[str, str] = field(default_factory=dict)
    partial: bool = False
    made_id: bool = False
    source: str = ""


def transcript(messages: Sequence[Message]) -> str:
    """A conversation as text, a line per turn: what the model reads and what tokens are counted of."""
    return "\n".join(f"{message.role}: {message.text}" for message in messages)


@dataclass(frozen=True, slots=True)
class SessionText:
    """A session as the model sees it; `shortened` tells that its middle was cut out."""

    session_id: str
    text: str
    tokens: int
    shortened: bool = False


@dataclass(frozen=True, slots=True)
class LabelField:
    """A fact that is asked for. `applies_to` lists the outcomes it exists for; empty means all.

    `labels` closes its vocabulary: a session has one of these or none. Empty: names are coined as they come.
    """

    name: str
    description: str
    applies_to: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    def applies(self, outcome: str | None) -> bool:
        """Whether a session that ended with `outcome` has this fact."""
        return not self.applies_to or outcome in self.applies_to


@dataclass(frozen=True, slots=True)
class LabelSchema:
    """The label fields of an analysis, in the order in which they are asked for."""

    fields: tuple[LabelField, ...]
    notes: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """Field names in order."""
        return tuple(label_field.name for label_field in self.fields)

    @property
    def open_names(self) -> tuple[str, ...]:
        """Names of the fields whose labels are coined as they come."""
        return tuple(label_field.name for label_field in self.fields if not label_field.labels)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the model said of one session: a label or null per field of the schema."""

    session_outcome: Outcome
    labels: Mapping[str, str | None]
    notes: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or more calls. `cached` is the part of `prompt` that the provider had cached;
    `embedded` are those of embedded texts, which have a price of their own."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0
    embedded: int = 0

    def __add__(self, other: Usage) -> Usage:
        """Sum of two usages."""
        return Usage(
            self.prompt + other.prompt,
            self.cached + other.cached,
            self.completion + other.completion,
            self.embedded + other.embedded,
        )


@dataclass(frozen=True)
class VocabularySnapshot:
    """The labels known at one moment. Never changes.

    `additions` holds what each version brought, per field in order of arrival: the
    prompt shows them a line per version, so that an older prompt is always a prefix
    of a newer one and the provider's prefix cache keeps hitting. Labels in `withdrawn`
    (field, label) are known, but prompts show them no more: each is an alias of another, or on no level of
    the codebook. `lines` (field, label, line) are what a codebook says of labels.
    """

    additions: tuple[Mapping[str, tuple[str, ...]], ...] = ()
    withdrawn: frozenset[tuple[str, str]] = frozenset()
    lines: tuple[tuple[str, str, str], ...] = ()

    @property
    def version(self) -> int:
        """How many times something new was added."""
        return len(self.additions)

    # What follows is asked for by every call, and a snapshot serves many: each is worked out once.
    @cached_property
    def content(self) -> tuple[tuple[tuple[str, tuple[str, ...]], ...], ...]:
        """The additions as something that can be hashed; equal only if fields come in the same order too."""
        return tuple(tuple(addition.items()) for addition in self.additions)

    @cached_property
    def _labels(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {}
        for addition in self.additions:
            for field_name, labels in addition.items():
                found.setdefault(field_name, []).extend(labels)
        return {field_name: tuple(labels) for field_name, labels in found.items()}

    @cached_property
    def _shown(self) -> VocabularySnapshot:
        return self.only(lambda field_name, label: (field_name, label) not in self.withdrawn)

    def labels(self, field_name: str) -> tuple[str, ...]:
        """The known labels of one field, in order of arrival."""
        return self._labels.get(field_name, ())

    def extended(self, new: Mapping[str, Sequence[str]]) -> VocabularySnapshot:
        """A snapshot with one more version, or this one if `new` holds nothing unknown."""
        addition = {}
        for field_name, labels in new.items():
            known = set(self.labels(field_name))
            fresh = tuple(label for label in dict.fromkeys(labels) if label not in known)
            if fresh:
                addition[field_name] = fresh
        return replace(self, additions=(*self.additions, addition)) if addition else self

    def shown(self) -> VocabularySnapshot:
        """What a prompt shows of it: everything but what was withdrawn, in as many versions."""
        return self._shown

    def only(self, keep: Callable[[str, str], bool]) -> VocabularySnapshot:
        """The labels for which `keep` holds, given field and label, in as many versions."""
        kept = (
            {name: tuple(label for label in labels if keep(name, label)) for name, labels in addition.items()}
            for addition in self.additions
        )
        return VocabularySnapshot(
            tuple({name: labels for name, labels in addition.items() if labels} for addition in kept),
            lines=self.lines,
        )


@dataclass(frozen=True, slots=True)
class CallContext:
    """Where in the run a call belongs. Only `seed` and `problem` can change the answer, the rest tells."""

    phase: str
    round: int = 0
    stream: int = 0
    attempt: int = 0
    seed: int = 0
    probe: int = 0
    """0 for a session's own labelling, 1, 2, ... for those that only measure agreement."""
    problem: str = ""
    """What was wrong with an earlier answer to this question; the model is told."""


@dataclass(frozen=True, slots=True)
class ReplyRow:
    """One session's part of a reply, not yet checked. `key` is the short key of the prompt."""

    key: str
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Reply:
    """The parsed answer to one labelling call; `error` tells why there are no rows."""

    rows: tuple[ReplyRow, ...]
    usage: Usage
    finish_reason: str
    seconds: float
    error: str | None = None


@dataclass(frozen=True, slots=True)
class SessionResult:
    """One sampled session after labelling: either facts, or the error that left it unresolved."""

    session_id: str
    facts: Facts | None
    phase: str
    round: int
    stream: int
    attempts: int
    shortened: bool = False
    error: str | None = None
    vocabulary_version: int = 0
    """The version of the vocabulary that its call was shown."""
    endpoint_failed: bool = False
    """Whether the endpoint is to blame, and not what it answered: such a session is worth another round."""

    @property
    def status(self) -> Literal["labelled", "unresolved"]:
        """`labelled` when there are facts."""
        return "unresolved" if self.facts is None else "labelled"


@dataclass(frozen=True, slots=True)
class Truth:
    """Planted truth of one session: the outcome and a concept per field where it is known.

    Only `simulation` and `study` look inside.
    """

    session_id: str
    outcome: Outcome | None
    concepts: Mapping[str, str] = field(default_factory=dict)


def derived_seed(*parts: object) -> int:
    """A seed of 31 bits that depends on `parts` and on nothing else."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
