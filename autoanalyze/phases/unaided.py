"""Unaided: what sessions are called where no labels are known, and which of the run's labels that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from autoanalyze.phases.conflicts import ConflictResolution
from autoanalyze.phases.duplicates.ledger import Carried
from autoanalyze.phases.probes import ProbeResult
from autoanalyze.phases.vocabulary import label_use
from autoanalyze.phases.votes import Attractors, used
from autoanalyze.records import Facts, LabelSchema, SessionResult, VocabularySnapshot
from autoanalyze.study.attractors import attraction


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


def settled(conflicts: ConflictResolution, results: Sequence[SessionResult], names: Sequence[str]) -> Carried:
    """The labels in use and what was settled about them, for whoever judges further names."""
    redirects = conflicts.redirects()
    labels = {name: tuple(own) for name, own in used(names, results, redirects).items()}
    # What was merged into a name that a codebook links stands for the one above it.
    ledger = tuple(
        replace(entry, canonical=redirects[entry.field][entry.alias]) if entry.merged else entry
        for entry in conflicts.entries()
    )
    return Carried({}, labels, ledger)


def attracting(unaided: Unaided, final: Mapping[str, Facts], names: Sequence[str]) -> Attractors:
    """The labels that swallow what they do not fit, as far as sessions named without known labels show it."""
    found = {name: attraction(stands_for(unaided, final, name)) for name in names}
    return {name: rows.filter("attractor")["label"].to_list() for name, rows in found.items()}
