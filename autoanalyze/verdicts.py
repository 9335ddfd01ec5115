"""Which labels mean the same: what a judge is asked and answers, and what a ledger keeps of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from autoanalyze.records import Usage, VocabularySnapshot

__all__ = ["Answer", "Answers", "Carried", "Judgement", "LedgerEntry", "Question", "Verdict"]


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


Verdict = Literal["same", "different", "undecided"]


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """What was decided on two labels of one field. `merged` tells that `alias` is redirected to
    `canonical`; two labels that mean the same stay unmerged when both are aliases of a third."""

    field: str
    alias: str
    canonical: str
    verdict: Verdict
    merged: bool
    proposed_by: str
    """What brought the two together: `normal form`, `embeddings`, `groups` (likeness of other labels of
    their groups), `judge` (who saw all labels), `earlier run` or `review`."""
    judge: str
    """Who decided: a model, `normal form`, `guard`, `similarity`, `earlier run` or `review`."""
    reason: str
    chosen: str = ""
    """Why the canonical label is the canonical one."""
    similarity: float | None = None
    opinions: int = 0
    """How often the judge was asked about the two."""
    round: int = 0
    """The merge on the way in which it was decided; 0 is the one at the end."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What is settled before a run begins, per field: labels that the user fixed, the canonical labels of
    an earlier run, and what its ledger says."""

    fixed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ledger: tuple[LedgerEntry, ...] = ()

    def vocabulary(self) -> VocabularySnapshot:
        """The labels that are known from the beginning: fixed ones first."""
        names = dict.fromkeys((*self.fixed, *self.labels))
        return VocabularySnapshot().extended(
            {name: (*self.fixed.get(name, ()), *self.labels.get(name, ())) for name in names}
        )
