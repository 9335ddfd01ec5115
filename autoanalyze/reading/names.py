"""Names: what a topic's texts are called, in words that really stand in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autoanalyze.phases.duplicates.spelling import normal_form
from autoanalyze.reading.phrases import Clauses, clauses, common_little_words, people, phrases, title

BY_WORDS = {1: 0.05, 2: 1.0, 3: 1.15}
"""What a name's length is worth: two to four words are asked for, and a single word is the last resort."""

FREQUENT, SHARE = 2, 0.03
"""In so many texts of its community, and in such a share of them, a name must stand to be one."""


class Names:
    """Names the texts of one field. `community` tells where each of `texts` belongs.

    All spellings of a phrase (see `phases.duplicates.spelling`) are one name, and a name belongs to the
    community in which most of its texts lie, so that it does not mean two things. What it says of that
    community is the number of those texts, as a logarithm, times their share of all its texts and what its
    words say by themselves. A text is
    called by the name in it that says most of its community; without any, as its community is.
    """

    def __init__(self, texts: Sequence[str], community: Any) -> None:
        from sklearn.feature_extraction.text import CountVectorizer

        spoken = [clauses(text) for text in texts]
        self._never = people(texts, spoken) | common_little_words(spoken)
        self._phrases = CountVectorizer(analyzer=self._found, binary=True, dtype=np.float32)
        try:
            counts = self._phrases.fit_transform(spoken)
        except ValueError:  # scikit-learn's way to say that no text has any phrase
            self.names: list[str] = []
            self.of_texts: list[str | None] = [None] * len(texts)
            return
        surfaces = self._phrases.get_feature_names_out()
        self.names, self._name_of = spellings(surfaces, np.asarray(counts.sum(axis=0)).ravel())
        self._named = self._named_in(counts)
        self._weigh(self._named, community)
        self.best = [self._best_of(number) for number in range(community.max() + 1)]
        self.of_texts = self._called(self._named, community)

    def of(self, texts: Sequence[str], community: Any) -> list[str | None]:
        """What each text is called, given its community."""
        if not self.names:
            return [None] * len(texts)
        return self._called(self._named_in(self._phrases.transform(map(clauses, texts))), community)

    def key_phrases(self, text: int | str, most: int) -> list[str]:
        """What says most of its matter in a text, or in the text of that number, in small letters."""
        if not self.names:
            return []
        row, named = (text, self._named) if isinstance(text, int) else (0, None)
        if named is None:
            named = self._named_in(self._phrases.transform([clauses(str(text))]))
        found = named.indices[named.indptr[row] : named.indptr[row + 1]].tolist()
        return [self.names[name].lower() for name in sorted(found, key=self._rank)[:most]]

    def _found(self, said: Clauses) -> list[str]:
        return list(phrases(said, self._never))

    def _named_in(self, counts: Any) -> Any:
        """Which names stand in which text, given its phrases."""
        from scipy.sparse import csr_matrix

        columns = counts.indices
        names = csr_matrix(
            (np.ones(len(columns)), self._name_of[columns], counts.indptr.copy()),
            shape=(counts.shape[0], len(self.names)),
        )
        names.sum_duplicates()
        names.data[:] = 1
        return names

    def _weigh(self, named: Any, community: Any) -> None:
        from scipy.sparse import csr_matrix

        texts = np.arange(len(community))
        members = csr_matrix((np.ones(len(texts)), (community, texts)))
        self._inside = (members @ named).tocsr()
        sizes = np.asarray(members.sum(axis=1)).ravel()
        self._home = np.asarray(self._inside.argmax(axis=0)).ravel()
        most = np.asarray(self._inside.max(axis=0).todense()).ravel()
        everywhere = np.asarray(self._inside.sum(axis=0)).ravel()
        self._says = np.log2(1 + most) * most / everywhere * self._told_by_words(everywhere)
        self._frequent = most >= np.maximum(FREQUENT, SHARE * sizes[self._home])

    def _told_by_words(self, everywhere: Any) -> Any:
        """What a name's words add: how many there are, and what share of their texts lies where the name is
        at home, as a mean. "Claim April" says less than "Claim Denied", in however many texts it stands."""
        number = {name: position for position, name in enumerate(self.names)}
        parts = [[number[word] for word in name.split() if word in number] for name in self.names]
        names = np.repeat(np.arange(len(parts)), [len(words) for words in parts])
        words = np.array([word for found in parts for word in found], dtype=int)
        at_home = np.asarray(self._inside[self._home[names], words]).ravel() / everywhere[words]
        shares = np.bincount(names, at_home, len(parts)) / np.maximum(
            np.bincount(names, minlength=len(parts)), 1
        )
        return shares * np.array([BY_WORDS[len(name.split())] for name in self.names])

    def _rank(self, name: int) -> tuple[float, str]:
        """Sorts names by what they say, best first."""
        return -float(self._says[name]), self.names[name]

    def _best_of(self, number: int) -> str | None:
        """What a community is called: by a name that is at home there, if there is any."""
        present = self._inside[number].indices
        at_home = present[self._home[present] == number]
        best = min((at_home if len(at_home) else present).tolist(), key=self._rank, default=None)
        return None if best is None else self.names[best]

    def _called(self, named: Any, community: Any) -> list[str | None]:
        called: list[str | None] = []
        for row, home in enumerate(community.tolist()):
            present = named.indices[named.indptr[row] : named.indptr[row + 1]]
            own = present[(self._home[present] == home) & self._frequent[present]]
            best = min(own.tolist(), key=self._rank, default=None)
            if best is not None and " " in self.names[best]:
                called.append(self.names[best])
            else:
                called.append(self.best[home] if home >= 0 else None)
        return called


def spellings(phrases_found: Sequence[str], frequency: Any) -> tuple[list[str], Any]:
    """The names that some phrases spell, each as it is spelled most often, and each phrase's name."""
    numbers: dict[tuple[str, ...], int] = {}
    name_of = np.array([numbers.setdefault(normal_form(phrase), len(numbers)) for phrase in phrases_found])
    spelled = [(0.0, "")] * len(numbers)
    for phrase, name, times in zip(phrases_found, name_of.tolist(), frequency.tolist(), strict=True):
        spelled[name] = min(spelled[name], (-times, phrase))
    return [title(phrase) for _, phrase in spelled], name_of
