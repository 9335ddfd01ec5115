"""What is planted: which session is about what, and what follows from it for a model that errs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from autoanalyze.records import Truth
from autoanalyze.serving.chance import draws
from autoanalyze.simulation.levels import AND, FOR, OTHER, other_levels, plain, related
from autoanalyze.simulation.paraphrase import paraphrases

CUT = "characters left out"


@dataclass(frozen=True, slots=True)
class KnownSession:
    """What is planted for one transcript."""

    outcome: str
    concepts: Mapping[str, str]


class PlantedTruth:
    """A map from transcripts to what is planted for them, and what follows from it.

    `conversations` pairs each transcript, as a prompt shows it, with its truth. Transcripts
    that occur several times with different truths take the most frequent one.
    """

    def __init__(self, conversations: Iterable[tuple[str, Truth]]) -> None:
        grouped: dict[str, list[Truth]] = defaultdict(list)
        for text, truth in conversations:
            grouped[text].append(truth)
        self._known = {text: majority(truths) for text, truths in grouped.items()}
        self._ambiguity: dict[tuple[str, str], float] = {}

    def find(self, text: str) -> KnownSession | None:
        """What is planted for a transcript, also for one whose middle was cut out."""
        known = self._known.get(text)
        if known is None and CUT in text:
            head, tail = text[: len(text) // 4], text[-len(text) // 4 :]
            matches = (t for t in self._known if t.startswith(head) and t.endswith(tail))
            known = self._known.get(next(matches, ""))
        return known

    def ambiguity(self, field: str, text: str) -> float:
        """A session's own draw, 0 to 1: below the share of ambiguous sessions, it is ambiguous for good."""
        drawn = self._ambiguity.get((field, text))
        if drawn is None:
            drawn = draws("ambiguous", field, text).random()
            # Kept for what is planted only, so that it does not grow with what is asked.
            if text in self._known:
                self._ambiguity[field, text] = drawn
        return drawn

    @cached_property
    def concepts(self) -> dict[str, tuple[str, ...]]:
        """All concepts per field, sorted."""
        found: dict[str, set[str]] = defaultdict(set)
        for known in self._known.values():
            for field, concept in known.concepts.items():
                found[field].add(concept)
        return {field: tuple(sorted(concepts)) for field, concepts in sorted(found.items())}

    @cached_property
    def concept_of(self) -> dict[str, dict[str, str]]:
        """Per field, the concept behind each label that this model may coin, in lower case."""
        return {
            field: {
                **{name.lower(): concept for concept in concepts for name in paraphrases(concept, field)},
                # A name that is a concept's own means that concept, whatever another might be called.
                **{paraphrases(concept, field, 1)[0].lower(): concept for concept in concepts},
            }
            for field, concepts in self.concepts.items()
        }

    @cached_property
    def _levels(self) -> dict[str, dict[str, str]]:
        """Per field, the concept above or below that a name means, in lower case."""
        return {field: other_levels(concepts, field) for field, concepts in self.concepts.items()}

    def meaning(self, field: str, label: str) -> str | None:
        """The concept that a label means, be it planted, above or below one, two at once, or "Other".

        Null for a label that this model would never have coined.
        """
        own, levels = self.concept_of.get(field, {}), self._levels.get(field, {})
        name = label.lower()
        found = own.get(name) or levels.get(name)
        if found is not None or not own:
            return found
        if name == OTHER.lower():
            return OTHER
        both = [own.get(part) for part in name.split(AND.lower())]
        if len(both) == 2 and None not in both:
            return AND.join(sorted(plain(str(part)) for part in both))
        name = name.rpartition(FOR.lower())[0]
        return own.get(name) or levels.get(name)

    @cached_property
    def neighbours(self) -> dict[str, dict[str, str]]:
        """Per field, the concept that each is most easily mistaken for: the nearest TF-IDF centroid."""
        from sklearn.feature_extraction.text import TfidfVectorizer  # seconds to import
        from sklearn.metrics.pairwise import cosine_similarity

        texts = list(self._known)
        if not self.concepts:
            return {}
        matrix = TfidfVectorizer(sublinear_tf=True, min_df=2 if len(texts) > 50 else 1).fit_transform(texts)
        nearest: dict[str, dict[str, str]] = {}
        for field, concepts in self.concepts.items():
            if len(concepts) < 2:
                nearest[field] = {}
                continue
            members: dict[str, list[int]] = defaultdict(list)
            for row, text in enumerate(texts):
                concept = self._known[text].concepts.get(field)
                if concept is not None:
                    members[concept].append(row)
            centroids = np.vstack([np.asarray(matrix[members[concept]].mean(axis=0)) for concept in concepts])
            likeness = cosine_similarity(centroids)
            np.fill_diagonal(likeness, -1.0)
            best = likeness.argmax(axis=1)
            nearest[field] = {concept: concepts[best[i]] for i, concept in enumerate(concepts)}
        return nearest

    def look_alike(self, field: str, first: str, second: str) -> bool:
        """Whether two concepts are hard to tell apart: neighbours, or names that share half their words."""
        neighbours = self.neighbours.get(field, {})
        if neighbours.get(first) == second or neighbours.get(second) == first:
            return True
        if first != second and related(first, second, field):
            return True
        words, others = set(first.lower().split()), set(second.lower().split())
        return bool(2 * len(words & others) >= len(words | others))


def majority(truths: Sequence[Truth]) -> KnownSession:
    """What most of several truths say; ties go to the first in alphabetical order."""
    outcomes = Counter(truth.outcome or "Contained" for truth in truths)
    fields = sorted({field for truth in truths for field in truth.concepts})
    concepts = {}
    for field in fields:
        votes = Counter(truth.concepts[field] for truth in truths if field in truth.concepts)
        concepts[field] = min(votes, key=lambda concept: (-votes[concept], concept))
    return KnownSession(min(outcomes, key=lambda outcome: (-outcomes[outcome], outcome)), concepts)
