"""The labeller behind the simulated endpoint: it knows the planted truth, and errs as models err.

It never sees session ids, streams or rounds, only the request: transcripts, known labels and
the request's seed. Every draw is seeded by the request's content, so it depends neither on the
order in which requests arrive nor on anything else the endpoint did before.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics.pairwise import cosine_similarity

from autoanalyze.config import NoiseConfig
from autoanalyze.llm.prompts import OUTCOMES, AnalysisPrompt
from autoanalyze.llm.requests import BatchRequest, JudgeRequest, PairsRequest
from autoanalyze.records import LabelSchema, Truth, VocabularySnapshot
from autoanalyze.simulation.paraphrase import paraphrases

__all__ = ["PlantedTruth", "SimulatedModel"]

CUT = "characters left out"
CONFUSION_FROM = 20
"""Sessions per call from which confusion grows with the batch, as omission does."""


def draws(*parts: object) -> np.random.Generator:
    """A generator that depends on `parts` and on nothing else."""
    return np.random.Generator(np.random.PCG64(int(fingerprint(parts)[:32], 16)))


def fingerprint(content: object) -> str:
    """The SHA-256 of anything that JSON can say."""
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


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

    def find(self, text: str) -> KnownSession | None:
        """What is planted for a transcript, also for one whose middle was cut out."""
        known = self._known.get(text)
        if known is None and CUT in text:
            head, tail = text[: len(text) // 4], text[-len(text) // 4 :]
            matches = (t for t in self._known if t.startswith(head) and t.endswith(tail))
            known = self._known.get(next(matches, ""))
        return known

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
    def neighbours(self) -> dict[str, dict[str, str]]:
        """Per field, the concept that each is most easily mistaken for: the nearest TF-IDF centroid."""
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


class SimulatedModel:
    """Answers requests as a language model would; `noise` says how well."""

    def __init__(self, truth: PlantedTruth, noise: NoiseConfig, schema: LabelSchema) -> None:
        self._truth = truth
        self._noise = noise
        self._schema = schema

    def label(self, request: BatchRequest, seed: int) -> str:
        """The reply to a labelling request, as JSON text."""
        sessions = len(request.transcripts)
        content = fingerprint([request.vocabulary.additions, list(request.transcripts.values())])
        prompt = AnalysisPrompt(self._schema, reply=request.reply, layout=request.layout)
        vocabulary = request.known_labels(prompt.reply_names)
        known = self._known_labels(vocabulary)
        numbers = numbered(vocabulary, self._schema) if request.reply == "numbers" else {}
        rows = []
        for position, (key, text) in enumerate(request.transcripts.items()):
            draw = draws("session", seed, content, position)
            if draw.random() >= self.omission(sessions, position):
                facts = self._facts(text, known, sessions, draw)
                answers = {name: numbers.get((name, value), value) for name, value in facts.items()}
                outcome = str(facts["session_outcome"])
                said = {**answers, "key": key, "session_outcome": prompt.outcome_names[outcome]}
                asked = prompt.asked(*(OUTCOMES if request.layout == "original" else (outcome,)))
                rows.append({name: said[part] for part, name in asked.items()})
        return json.dumps({"sessions": rows}, ensure_ascii=False, separators=(",", ":"))

    def judge(self, request: JudgeRequest, seed: int) -> str:
        """The reply to a judging request: a label joins the first group whose canonical it seems to equal."""
        content = fingerprint([seed, request.labels])
        groups: dict[str, list[int]] = {}
        for number, label in enumerate(request.labels, start=1):
            same = (canonical for canonical in groups if self._same(request.field, canonical, label, content))
            groups.setdefault(next(same, label), []).append(number)
        answer = [group for group in groups.values() if len(group) > 1]
        return json.dumps({"groups": answer}, separators=(",", ":"))

    def judge_pairs(self, request: PairsRequest, seed: int) -> str:
        """The reply to questions about pairs of labels."""
        asked = [[question.label, *question.candidates] for question in request.questions]
        content = fingerprint(["pairs", seed, asked])
        answers = []
        for position, question in enumerate(request.questions, start=1):
            same = [c for c in question.candidates if self._same(request.field, question.label, c, content)]
            reason = "other words for one matter" if same else "they differ in substance"
            answers.append({"q": position, "same": [request.numbers[c] for c in same], "reason": reason})
        return json.dumps({"answers": answers}, separators=(",", ":"))

    def omission(self, sessions: int, position: int) -> float:
        """Chance that a session is left out: grows with the batch, and towards its end.

        Log-linear between the configured points, flat below 10 sessions; the mean over the
        positions of a batch is the configured rate.
        """
        noise = self._noise
        rate = interpolated(
            sessions, (10, 20, 50), (noise.omission_at_10, noise.omission_at_20, noise.omission_at_50)
        )
        return min(1.0, rate * 2 * (position + 1) / (sessions + 1))

    def confusion(self, sessions: int) -> float:
        """Chance of a neighbouring concept; from 20 sessions per call on it grows as omission does."""
        noise = self._noise
        if sessions <= CONFUSION_FROM or noise.omission_at_20 == 0:
            return noise.confusion
        rate = interpolated(sessions, (20, 50), (noise.omission_at_20, noise.omission_at_50))
        return min(1.0, noise.confusion * rate / noise.omission_at_20)

    def _known_labels(self, vocabulary: VocabularySnapshot) -> dict[str, dict[str, list[str]]]:
        """Per field and concept, the known labels that mean it, in order of arrival."""
        known: dict[str, dict[str, list[str]]] = {}
        for field, concept_of in self._truth.concept_of.items():
            by_concept: dict[str, list[str]] = defaultdict(list)
            for label in vocabulary.labels(field):
                concept = concept_of.get(label.lower())
                if concept is not None:
                    by_concept[concept].append(label)
            known[field] = by_concept
        return known

    def _facts(
        self,
        text: str,
        known: Mapping[str, Mapping[str, list[str]]],
        sessions: int,
        draw: np.random.Generator,
    ) -> dict[str, object]:
        planted = self._truth.find(text)
        outcome = planted.outcome if planted else "Contained"
        facts: dict[str, object] = {"session_outcome": outcome}
        for label_field in self._schema.fields:
            field = label_field.name
            # Drawn even where nothing is planted, so that one field's truth never moves another's draws.
            chances = draw.random(4).tolist()
            concept = planted.concepts.get(field) if planted else None
            if concept is None or not label_field.applies(outcome):
                facts[field] = None
            else:
                concept = self._perceived(field, concept, text, sessions, chances[0])
                facts[field] = self._name(field, concept, known[field].get(concept, []), chances[1:])
        facts["notes"] = notes(text, outcome, draw)
        return facts

    def _perceived(self, field: str, concept: str, text: str, sessions: int, chance: float) -> str:
        """The concept that the model sees: the true one, or its neighbour.

        Part of the errors belong to the session and come back every time it is asked about.
        """
        rate = self.confusion(sessions)
        fixed = rate * self._noise.confusion_fixed_share
        ambiguous = draws("ambiguous", field, text).random() < fixed
        if ambiguous or chance < rate - fixed:
            return self._truth.neighbours[field].get(concept, concept)
        return concept

    def _name(self, field: str, concept: str, known: Sequence[str], chances: Sequence[float]) -> str:
        """A label for a concept: a known one most of the time, else one coined among its paraphrases."""
        if known and chances[0] < self._noise.reuse:
            if len(known) == 1 or chances[1] < self._noise.earliest:
                return known[0]
            return known[1 + int(chances[2] * (len(known) - 1))]
        names = paraphrases(concept, field, self._noise.paraphrases)
        weights = np.array([1 / rank for rank in range(1, len(names) + 1)])
        position = np.searchsorted(np.cumsum(weights) / weights.sum(), chances[2])
        return str(names[int(position)])

    def _same(self, field: str, first: str, second: str, content: str) -> bool:
        """Whether the judge takes two labels for one thing; some errors belong to the pair for good."""
        concept_of = self._truth.concept_of.get(field, {})
        one, other = concept_of.get(first.lower(), first), concept_of.get(second.lower(), second)
        same = one == other
        if not same and not self._truth.look_alike(field, one, other):
            return False
        rate = self._noise.judge_missed if same else self._noise.judge_false_merge
        fixed = rate * self._noise.judge_fixed_share
        pair = sorted((first, second))
        wrong = draws("pair", field, pair).random() < fixed
        wrong = wrong or draws("pair", field, pair, content).random() < rate - fixed
        return same != wrong


def numbered(vocabulary: VocabularySnapshot, schema: LabelSchema) -> dict[tuple[str, object], int]:
    """The number of each known label, per field."""
    return {
        (name, label): number
        for name in schema.names
        for number, label in enumerate(vocabulary.labels(name), start=1)
    }


def interpolated(sessions: int, sizes: Sequence[int], rates: Sequence[float]) -> float:
    """A rate at a batch size, log-linear between the given points, flat before the first,
    carried on beyond the last; 0 if any given rate is 0."""
    if min(rates) <= 0:
        return float(np.interp(sessions, sizes, rates))
    if sessions > sizes[-1]:
        slope = (math.log(rates[-1]) - math.log(rates[-2])) / (sizes[-1] - sizes[-2])
        return min(1.0, rates[-1] * math.exp(slope * (sessions - sizes[-1])))
    return math.exp(float(np.interp(sessions, sizes, np.log(rates))))


def notes(text: str, outcome: str, draw: np.random.Generator) -> str:
    """A sentence about the session made of its own words: what the user wrote first, and how it ended."""
    user = next((line[6:] for line in text.split("\n") if line.startswith("user: ")), "nothing")
    opening = " ".join(user.split()[: int(draw.integers(8, 16))]).rstrip(".,!?")
    ending = "was handed over to a human agent" if outcome == "Transfer" else "ended inside the bot"
    turns = text.count("\n") + 1
    return f'The user wrote "{opening}"; after {turns} messages the session {ending}.'
