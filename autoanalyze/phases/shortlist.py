"""Which of many known labels a call is shown, when all of them would not fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sklearn.feature_extraction.text import TfidfVectorizer

from autoanalyze.records import VocabularySnapshot

__all__ = ["Shortlist"]


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
