"""Unaided: what sessions are called where no labels are known, and which of the run's labels that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from autoanalyze.phases.conflicts import ConflictResolution
from autoanalyze.phases.probes import ProbeResult
from autoanalyze.phases.vocabulary import label_use
from autoanalyze.records import Facts, LabelSchema, SessionResult, VocabularySnapshot


@dataclass(frozen=True, slots=True)
class Unaided:
    """Answers given without known labels. `names`: per field, which label of the run a name stands for; one
    that is not there is a label itself or stands for none."""

    probes: ProbeResult
    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def called(self, name: str, label: str | None) -> str | None:
        """What an answer in a field stands for."""
        return label if label is None else self.names.get(name, {}).get(label, label)


async def named(
    unaided: Unaided, conflicts: ConflictResolution, schema: LabelSchema, known: VocabularySnapshot, step: int
) -> Unaided:
    """The same with its names understood.

    `conflicts`, to which the labels in use (`known`) are settled, judges the new names alone: the run's own
    labels and merges stay as they are.
    """
    answers = [
        SessionResult(session_id, facts, "unaided", 0, 0, 1)
        for session_id, facts in unaided.probes.facts.items()
    ]
    resolution = await conflicts.resolve_conflicts(label_use(schema, known, answers), step=step)
    return replace(unaided, names=resolution.redirects())


def stands_for(unaided: Unaided, final: Mapping[str, Facts], name: str) -> list[tuple[str, str]]:
    """In a field, the label of each session that was asked about, and what its unaided name stands for.

    Sessions for which one of the two answers left the field empty tell nothing.
    """
    pairs = []
    for session_id, facts in sorted(unaided.probes.facts.items()):
        label = final[session_id].labels.get(name) if session_id in final else None
        called = unaided.called(name, facts.labels.get(name))
        if label is not None and called is not None:
            pairs.append((label, called))
    return pairs
