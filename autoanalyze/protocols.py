"""What the rooms of the house expect of each other: phases are given these and know nothing behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from autoanalyze.records import (
    CallContext,
    LabelField,
    Message,
    Reply,
    SessionText,
    Usage,
    VocabularySnapshot,
)

Vectors = NDArray[np.float32]
"""A row per text, each of length 1."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors of some texts. Those of one `space` can be compared: their scalar product is how alike the
    texts are, -1 to 1; how much that says differs from space to space."""

    vectors: Vectors
    space: str
    usage: Usage
    warning: str | None = None
    """What the user should know of where they come from."""


class TranscriptReader(Protocol):
    """Reads conversations when they are needed, so that a run never holds them all."""

    def read(self, session_ids: Sequence[str]) -> Mapping[str, Sequence[Message]]:
        """Messages of each session, in order."""
        ...


class CompletionOrder(Protocol):
    """Remembers in which order pieces of work finished, so that a run can be taken up again as it was."""

    def next_finished(self) -> int | None:
        """What finished next when this run was made before; null where nothing is recorded."""
        ...

    def finished(self, work: int) -> None:
        """Record that a piece of work finished."""
        ...


class Model(Protocol):
    """Whatever labels sessions and judges labels."""

    @property
    def name(self) -> str:
        """What it is called, for the ledger."""
        ...

    async def analyze_batch(
        self, sessions: Sequence[SessionText], vocabulary: VocabularySnapshot, context: CallContext
    ) -> Reply:
        """Label `sessions`; row keys are `s1`, `s2`, ... in the order given.

        Raises TransientEndpointError when the endpoint failed in spite of all retries,
        RequestTooLongError and RequestRefusedError when fewer or shorter sessions may pass,
        FatalEndpointError when nothing can help, StoppedRunError when the run has to end.
        """
        ...

    async def judge_duplicates(
        self, label_field: LabelField, labels: Sequence[str], context: CallContext
    ) -> Judgement:
        """Group the labels of one field that mean the same; errors as in `analyze_batch`."""
        ...

    async def judge_pairs(
        self,
        label_field: LabelField,
        questions: Sequence[Question],
        notes: Mapping[str, Sequence[str]],
        context: CallContext,
    ) -> Answers:
        """Say which candidates mean the same as the label of each question. `notes` are those of some
        sessions of each label. Errors as in `analyze_batch`."""
        ...

    async def write_codebook(
        self, label_field: LabelField, counts: Mapping[str, int], context: CallContext
    ) -> Written:
        """Put the names of one field on one level; `counts` are the sessions of each. Errors as in
        `analyze_batch`."""
        ...

    async def group_themes(
        self, label_field: LabelField, counts: Mapping[str, int], known: Sequence[str], context: CallContext
    ) -> Themed:
        """Group the names of one field into themes; `counts` are the sessions of each, `known` the themes in
        use already. Errors as in `analyze_batch`."""
        ...


class Embedder(Protocol):
    """Turns texts into vectors that lie near each other when the texts are alike."""

    async def embed(self, texts: Sequence[str], context: CallContext) -> Embedded:
        """A vector per text, in order.

        Raises EndpointError when the endpoint failed in spite of all retries, ReplyError when it
        answered with something that cannot be used, StoppedRunError when the run has to end.
        """
        ...


@dataclass(frozen=True, slots=True)
class Judgement:
    """The judge's answer: groups of labels that mean the same, canonical first."""

    groups: tuple[tuple[str, ...], ...]
    usage: Usage
    seconds: float
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A question to the judge: which of `candidates` mean the same as `label`."""

    label: str
    candidates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """The judge's answer to a question: those candidates that mean the same, and why."""

    same: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Answers:
    """What came back from one call to the judge: an answer per question, in order, or an error."""

    answers: tuple[Answer, ...]
    usage: Usage
    seconds: float
    error: str | None = None


@dataclass(frozen=True, slots=True)
class FieldCodebook:
    """How the names of one field stand to each other. `lines` say of names that stay what belongs there;
    `narrower` maps names below that level to the one they belong to; `unfit` are too broad for it, mean no
    more than "other", or join several matters. A name of none of these stays, without a line."""

    lines: Mapping[str, str] = field(default_factory=dict)
    narrower: Mapping[str, str] = field(default_factory=dict)
    unfit: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """What came back when a codebook was asked for, or an error."""

    codebook: FieldCodebook
    usage: Usage
    seconds: float
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Themed:
    """The theme of each name, or an error."""

    themes: Mapping[str, str]
    usage: Usage
    seconds: float
    error: str | None = None
