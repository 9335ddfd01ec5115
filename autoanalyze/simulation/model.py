"""The labeller behind the simulated endpoint: it knows the planted truth, and errs as models err.

It never sees session ids, streams or rounds, only the request: transcripts, known labels and
the request's seed. Every draw is seeded by the request's content, so it depends neither on the
order in which requests arrive nor on anything else the endpoint did before.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from autoanalyze.config import NoiseConfig
from autoanalyze.llm.prompts import AnalysisPrompt
from autoanalyze.records import LabelSchema
from autoanalyze.serving.chance import draws, fingerprint, sha256
from autoanalyze.serving.requests import (
    Additions,
    BatchRequest,
    JudgeRequest,
    PairsRequest,
    numbered,
    snapshot,
)
from autoanalyze.simulation.embeddings import simulated_embedding
from autoanalyze.simulation.paraphrase import paraphrases
from autoanalyze.simulation.truth import PlantedTruth

CONFUSION_FROM = 20
"""Sessions per call from which confusion grows with the batch, as omission does."""


class SimulatedModel:
    """Answers requests as a language model would; `noise` says how well."""

    def __init__(self, truth: PlantedTruth, noise: NoiseConfig, schema: LabelSchema) -> None:
        self._truth = truth
        self._noise = noise
        self._schema = schema
        behaviour = json.dumps(asdict(noise), sort_keys=True, separators=(",", ":"))
        self.identity = f"simulated-{sha256(behaviour)[:8]}"
        # Calls of several streams show the same labels; those of one run are not kept for the next.
        self._known_labels = lru_cache(maxsize=64)(partial(labels_by_concept, truth))

    def label(self, request: BatchRequest, seed: int) -> str:
        """The reply to a labelling request, as JSON text."""
        sessions = len(request.transcripts)
        additions = as_json(request.vocabulary.content)
        content = sha256(f"[{additions}, {json.dumps(list(request.transcripts.values()))}]")
        prompt = AnalysisPrompt(self._schema, reply=request.reply)
        vocabulary = request.known_labels(prompt.reply_names)
        known = self._known_labels(vocabulary.content)
        numbers = numbered(vocabulary.content, self._schema.names) if request.reply == "numbers" else {}
        rows = []
        for position, (key, text) in enumerate(request.transcripts.items()):
            draw = draws("session", seed, content, position)
            if draw.random() >= self.omission(sessions, position):
                facts = self._facts(text, known, sessions, draw)
                answers = {name: numbers.get((name, value), value) for name, value in facts.items()}
                outcome = str(facts["session_outcome"])
                said = {**answers, "key": key, "session_outcome": prompt.outcome_names[outcome]}
                rows.append({name: said[part] for part, name in prompt.asked(outcome).items()})
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

    def embedding(self, text: str, dimensions: int) -> NDArray[np.float32]:
        """The vector of a text, made of the text alone."""
        return simulated_embedding(text, dimensions)

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
        if self._truth.ambiguity(field, text) < fixed or chance < rate - fixed:
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


def labels_by_concept(truth: PlantedTruth, additions: Additions) -> dict[str, dict[str, list[str]]]:
    """Per field and concept, the known labels that mean it, in order of arrival."""
    vocabulary = snapshot(additions)
    known: dict[str, dict[str, list[str]]] = {}
    for field, concept_of in truth.concept_of.items():
        by_concept: dict[str, list[str]] = defaultdict(list)
        for label in vocabulary.labels(field):
            concept = concept_of.get(label.lower())
            if concept is not None:
                by_concept[concept].append(label)
        known[field] = by_concept
    return known


@lru_cache(maxsize=64)
def as_json(additions: Additions) -> str:
    """The additions of a vocabulary as JSON."""
    return json.dumps(list(map(dict, additions)))


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
