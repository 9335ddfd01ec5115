"""The vocabulary: which labels are known, when each arrived, and what redirects to what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from autoanalyze.records import Facts, LabelSchema, SessionResult, VocabularySnapshot


def labels_found(schema: LabelSchema, facts: Iterable[Facts]) -> dict[str, list[str]]:
    """The labels that facts use, per field, each once, in order of first use."""
    found: dict[str, dict[str, None]] = {name: {} for name in schema.names}
    for fact in facts:
        for name in schema.names:
            label = fact.labels.get(name)
            if label is not None:
                found[name][label] = None
    return {name: list(labels) for name, labels in found.items()}


def count_labels(vocabulary: VocabularySnapshot) -> int:
    """Labels of all fields together."""
    return sum(len(labels) for addition in vocabulary.additions for labels in addition.values())


@dataclass(frozen=True, slots=True)
class LabelUse:
    """How the labels of one field are used: sessions per label, in order of arrival, and notes of a few
    of these sessions."""

    counts: Mapping[str, int] = field(default_factory=dict)
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)


MOST_NOTES = 3
"""Of one label."""


def label_use(
    schema: LabelSchema, vocabulary: VocabularySnapshot, results: Sequence[SessionResult]
) -> dict[str, LabelUse]:
    """Per field, how labels are used as first given."""
    counts = {name: dict.fromkeys(vocabulary.labels(name), 0) for name in schema.names}
    notes: dict[str, dict[str, list[str]]] = {name: {} for name in schema.names}
    for result in results:
        for name, label in (result.facts.labels if result.facts else {}).items():
            if label is not None:
                counts[name][label] = counts[name].get(label, 0) + 1
                told = notes[name].setdefault(label, [])
                if result.facts and result.facts.notes and len(told) < MOST_NOTES:
                    told.append(result.facts.notes)
    return {name: LabelUse(counts[name], notes[name]) for name in schema.names}


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

    def withdraw(self, redirects: Mapping[str, Mapping[str, str]]) -> None:
        """Show aliases in no prompt any more; prompts then begin otherwise than before, once."""
        aliases = frozenset((name, alias) for name, merged in redirects.items() for alias in merged)
        self._snapshot = replace(self._snapshot, withdrawn=aliases)

    def explain(self, hidden: Mapping[str, Sequence[str]], lines: tuple[tuple[str, str, str], ...]) -> None:
        """Show what a codebook says of labels, and what it puts on no level no more, from now on."""
        more = {(name, label) for name, labels in hidden.items() for label in labels}
        self._snapshot = replace(self._snapshot, withdrawn=self._snapshot.withdrawn | more, lines=lines)

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


class Shortlist:
    """Keeps the known labels of a prompt within `allowance_tokens` (null: whatever they take).

    Labels are ranked by their likeness to the nearest transcript of the call: cosine of TF-IDF over
    runs of 3 to 5 characters inside words, so that "cancelled" finds "Cancellation". They stay in
    order of arrival. A prompt with a shortlist is hardly ever the prefix of another, so that the
    provider's cache helps less from there on; and likeness misses what is said in other words: on
    synthetic chats a third of all labels holds the right one for two single sessions in three.
    """

    def __init__(
        self, allowance_tokens: int | None, count_tokens: Callable[[VocabularySnapshot], int]
    ) -> None:
        self.allowance_tokens = allowance_tokens
        self._count = count_tokens

    def choose(self, vocabulary: VocabularySnapshot, transcripts: Sequence[str]) -> VocabularySnapshot:
        """The vocabulary itself if it fits, else its labels nearest to `transcripts`."""
        if self.allowance_tokens is None or self._count(vocabulary) <= self.allowance_tokens:
            return vocabulary
        ranking = ranked(vocabulary, transcripts)
        kept = len(ranking)
        while kept and self._count(chosen(vocabulary, ranking[:kept])) > self.allowance_tokens:
            kept = kept * 9 // 10
        return chosen(vocabulary, ranking[:kept])


def ranked(vocabulary: VocabularySnapshot, transcripts: Sequence[str]) -> list[tuple[str, str]]:
    """All labels as (field, label), nearest to any transcript first; ties in order of arrival."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # seconds to import, and seldom used

    labels = [
        (name, label)
        for addition in vocabulary.additions
        for name, arrived in addition.items()
        for label in arrived
    ]
    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)
    texts = vectors.fit_transform([*transcripts, *(label for _, label in labels)])
    likeness = (texts[len(transcripts) :] @ texts[: len(transcripts)].T).max(axis=1).toarray().ravel()
    return [labels[i] for i in sorted(range(len(labels)), key=lambda i: (-round(likeness[i], 9), i))]


def chosen(vocabulary: VocabularySnapshot, kept: Sequence[tuple[str, str]]) -> VocabularySnapshot:
    """A vocabulary that holds only the labels in `kept`, given as (field, label)."""
    wanted = set(kept)
    return vocabulary.only(lambda field_name, label: (field_name, label) in wanted)
