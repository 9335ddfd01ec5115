"""What is planted: which session is about what, and what follows from it for a model that errs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from autoanalyze.data.synthetic import INTENT, SECOND
from autoanalyze.records import Truth
from autoanalyze.serving.chance import draws
from autoanalyze.simulation.levels import AND, FOR, OTHER, both, broader, other_levels, plain
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
        """All concepts per field, sorted: what sessions are about in the first place."""
        found: dict[str, set[str]] = defaultdict(set)
        for known in self._known.values():
            for field, concept in known.concepts.items():
                found[field].add(concept)
        found.pop(SECOND, None)
        return {field: tuple(sorted(concepts)) for field, concepts in sorted(found.items())}

    @cached_property
    def _named(self) -> dict[str, tuple[str, ...]]:
        """The same, with what sessions are about in the second place."""
        second = {known.concepts[SECOND] for known in self._known.values() if SECOND in known.concepts}
        return {
            field: tuple(sorted({*concepts, *second})) if field == INTENT else concepts
            for field, concepts in self.concepts.items()
        }

    @cached_property
    def concept_of(self) -> dict[str, dict[str, str]]:
        """Per field, the concept behind each label that this model may coin, in lower case."""
        return {
            field: {
                **{name.lower(): concept for concept in concepts for name in paraphrases(concept, field)},
                # A name that is a concept's own means that concept, whatever another might be called.
                **{paraphrases(concept, field, 1)[0].lower(): concept for concept in concepts},
            }
            for field, concepts in self._named.items()
        }

    @cached_property
    def _levels(self) -> dict[str, dict[str, str]]:
        """Per field, the concept above or below that a name means, in lower case."""
        return {field: other_levels(concepts, field) for field, concepts in self._named.items()}

    def meaning(self, field: str, label: str) -> str | None:
        """The concept that a label means, be it planted, above or below one, two at once, or "Other".

        A planted concept goes before the others. Null for a label that this model would never have coined.
        """
        name = label.lower()
        found = self._matter(field, name)
        if found is None and name == OTHER.lower() and field in self.concept_of:
            return OTHER
        without_details = (self._matter(field, start) for start, _ in cut(name, FOR.lower()))
        return found or next(filter(None, without_details), None)

    def _matter(self, field: str, name: str) -> str | None:
        """The same of a name in lower case that carries no details of a session."""
        own = self.concept_of.get(field, {})
        found = own.get(name) or self._levels.get(field, {}).get(name)
        parts = ((own.get(first), own.get(second)) for first, second in cut(name, AND.lower()))
        pairs = (both(one, other) for one, other in parts if one and other and one != other)
        return found or next(pairs, None)

    def above(self, field: str, concept: str) -> str | None:
        """The concept above another, as labels mean it: a planted one where there is one of that name."""
        level = broader(concept, field)
        return level and (self.meaning(field, plain(level)) or level)

    @cached_property
    def neighbours(self) -> dict[str, dict[str, str]]:
        """Per field, the concept that each is most easily mistaken for."""
        return {
            field: {concept: others[0] for concept, others in nearest.items()}
            for field, nearest in self.nearest.items()
        }

    @cached_property
    def nearest(self) -> dict[str, dict[str, tuple[str, ...]]]:
        """Per field, the other concepts by how easily each is mistaken for them: by TF-IDF centroids."""
        from sklearn.feature_extraction.text import TfidfVectorizer  # seconds to import
        from sklearn.metrics.pairwise import cosine_similarity

        texts = list(self._known)
        if not self.concepts:
            return {}
        matrix = TfidfVectorizer(sublinear_tf=True, min_df=2 if len(texts) > 50 else 1).fit_transform(texts)
        nearest: dict[str, dict[str, tuple[str, ...]]] = {}
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
            np.fill_diagonal(likeness, -1.0)  # each comes last for itself
            ranked = np.argsort(-likeness, axis=1, kind="stable")[:, :-1].tolist()
            nearest[field] = {
                concept: tuple(concepts[other] for other in others)
                for concept, others in zip(concepts, ranked, strict=True)
            }
        return nearest

    def look_alike(self, field: str, first: str, second: str) -> bool:
        """Whether two concepts are hard to tell apart: neighbours, or names that share half their words."""
        neighbours = self.neighbours.get(field, {})
        if neighbours.get(first) == second or neighbours.get(second) == first:
            return True
        words, others = set(first.lower().split()), set(second.lower().split())
        return bool(2 * len(words & others) >= len(words | others))


def cut(name: str, between: str) -> Iterator[tuple[str, str]]:
    """What stands before and after each occurrence of a text in a name, the last one first."""
    at = name.rfind(between)
    while at >= 0:
        yield name[:at], name[at + len(between) :]
        at = name.rfind(between, 0, at + len(between) - 1)


def majority(truths: Sequence[Truth]) -> KnownSession:
    """What most of several truths say; ties go to the first in alphabetical order."""
    outcomes = Counter(truth.outcome or "Contained" for truth in truths)
    fields = sorted({field for truth in truths for field in truth.concepts})
    concepts = {}
    for field in fields:
        votes = Counter(truth.concepts[field] for truth in truths if field in truth.concepts)
        concepts[field] = min(votes, key=lambda concept: (-votes[concept], concept))
    return KnownSession(min(outcomes, key=lambda outcome: (-outcomes[outcome], outcome)), concepts)
