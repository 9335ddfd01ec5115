"""The vocabulary: which labels are known, when each arrived, and what redirects to what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from autoanalyze.records import Facts, LabelSchema, VocabularySnapshot

__all__ = ["Vocabulary", "labels_found"]


def labels_found(schema: LabelSchema, facts: Iterable[Facts]) -> dict[str, list[str]]:
    """The labels that facts use, per field, each once, in order of first use."""
    found: dict[str, dict[str, None]] = {name: {} for name in schema.names}
    for fact in facts:
        for name in schema.names:
            label = fact.labels.get(name)
            if label is not None:
                found[name][label] = None
    return {name: list(labels) for name, labels in found.items()}


class Vocabulary:
    """The labels of one run as they arrive. Streams get snapshots; only the phase in charge adds."""

    def __init__(self, schema: LabelSchema, start: VocabularySnapshot | None = None) -> None:
        self._schema = schema
        self._snapshot = start or VocabularySnapshot()

    def snapshot(self) -> VocabularySnapshot:
        """The labels known now."""
        return self._snapshot

    def add(self, found: Mapping[str, Sequence[str]]) -> int:
        """Take in new labels as one version, in the order given; how many were new."""
        before = self._snapshot
        self._snapshot = before.extended(found)
        if self._snapshot.version == before.version:
            return 0
        return sum(len(labels) for labels in self._snapshot.additions[-1].values())

    def synchronize(self, streams: Iterable[Mapping[str, Sequence[str]]]) -> int:
        """Take in what several streams found during one round, as one version; how many were new.

        The order of arrival is that of the streams, not of their answers, so it does not
        matter which stream was faster.
        """
        merged: dict[str, list[str]] = {name: [] for name in self._schema.names}
        for found in streams:
            for name, labels in found.items():
                merged[name].extend(labels)
        return self.add(merged)
