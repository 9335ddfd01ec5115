"""The labeller behind the simulated endpoint: it knows the planted truth, and errs as models err.

It never sees session ids, streams or rounds, only the request: transcripts, known labels and
the request's seed. Every draw is seeded by the request's content, so it depends neither on the
order in which requests arrive nor on anything else the endpoint did before.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from functools import lru_cache, partial
from itertools import islice, repeat

import numpy as np
from numpy.typing import NDArray

from autoanalyze.config import NoiseConfig
from autoanalyze.data.synthetic import INTENT, SECOND
from autoanalyze.llm.prompts import AnalysisPrompt
from autoanalyze.records import LabelSchema
from autoanalyze.serving.chance import draws, sha256
from autoanalyze.serving.requests import (
    Additions,
    BatchRequest,
    JudgeRequest,
    NamesRequest,
    PairsRequest,
    numbered,
    snapshot,
)
from autoanalyze.simulation.codebook import Coding
from autoanalyze.simulation.embeddings import simulated_embedding
from autoanalyze.simulation.judging import FIRST, Judging
from autoanalyze.simulation.naming import Known, Naming, Seen
from autoanalyze.simulation.truth import PlantedTruth

UNKIND_DRAWS = 8
"""Draws per field for what the friendly world does not do."""

MOST = 0.5
"""The omission at 50 sessions above which a model is one that loses most. Others stay as they were before
there were such models, also in calls of 70 and more, which lose more than that."""

CONFUSION_FROM = 20
"""Sessions per call from which confusion grows with the batch, as omission does."""


class SimulatedModel:
    """Answers requests as a language model would; `noise` says how well, `person` which of all the judges
    that err as often it is."""

    def __init__(
        self, truth: PlantedTruth, noise: NoiseConfig, schema: LabelSchema, *, person: int = FIRST
    ) -> None:
        self._truth = truth
        self._noise = noise
        self._schema = schema
        self._naming = Naming(truth, noise)
        self._judging = Judging(truth, noise, person)
        self._coding = Coding(truth, self._judging)
        # What came later and is switched off leaves the identity as it was before.
        off = {each.name for each in fields(noise) if not each.default and not getattr(noise, each.name)}
        told = {name: value for name, value in asdict(noise).items() if name not in off}
        told |= {"person": person} if person != FIRST else {}
        behaviour = json.dumps(told, sort_keys=True, separators=(",", ":"))
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
        facts: dict[str, object] = {}
        for position, (key, text) in enumerate(request.transcripts.items()):
            draw = draws("session", seed, content, position)
            if draw.random() >= self.omission(sessions, position):
                more = self._more(seed, content, position)
                facts = self._facts(text, known, sessions, draw, more, facts)
                answers = {name: numbers.get((name, value), value) for name, value in facts.items()}
                outcome = str(facts["session_outcome"])
                said = {**answers, "key": key, "session_outcome": prompt.outcome_names[outcome]}
                rows.append({name: said[part] for part, name in prompt.asked(outcome).items()})
        return json.dumps({"sessions": rows}, ensure_ascii=False, separators=(",", ":"))

    def judge(self, request: JudgeRequest, seed: int) -> str:
        """The reply to a judging request: a label joins the first group whose canonical it seems to equal."""
        return self._judging.groups(request, seed)

    def judge_pairs(self, request: PairsRequest, seed: int) -> str:
        """The reply to questions about pairs of labels."""
        return self._judging.pairs(request, seed)

    def names(self, request: NamesRequest, seed: int) -> str:
        """The reply to a request for a codebook or for themes."""
        coding = self._coding
        return (coding.codebook if request.kind == "codebook" else coding.themes)(request, seed)

    def embedding(self, text: str, dimensions: int) -> NDArray[np.float32]:
        """The vector of a text, made of the text alone."""
        return simulated_embedding(text, dimensions)

    def omission(self, sessions: int, position: int) -> float:
        """Chance that a session is left out: grows with the batch, and towards its end.

        Log-linear between the configured points; the mean over the positions of a batch is the configured
        rate. Below 10 it falls to that of single sessions, if there is one of its own, and else it is flat.
        """
        rate = omission_rate(self._noise, sessions)
        rising = 2 * (position + 1) / (sessions + 1)  # 1 in the mean
        if self._noise.omission_at_50 > MOST and rate * 2 * sessions / (sessions + 1) > 1:
            return 1 - (1 - rate) * (2 - rising)  # as what is lost cannot rise beyond 1, what is left falls
        return min(1.0, rate * rising)

    def confusion(self, sessions: int) -> float:
        """Chance of a neighbouring concept; from 20 sessions per call on it grows as omission does."""
        noise = self._noise
        if sessions <= CONFUSION_FROM or noise.omission_at_20 == 0:
            return noise.confusion
        rate = interpolated(sessions, (20, 50), (noise.omission_at_20, noise.omission_at_50))
        return min(1.0, noise.confusion * rate / noise.omission_at_20)

    def _more(self, seed: int, content: str, position: int) -> Iterator[float]:
        """Draws for what the friendly world does not do."""
        if not self._naming.unkind:
            return repeat(1.0)
        draw = draws("unkind", seed, content, position)
        return iter(draw.random(UNKIND_DRAWS * len(self._schema.fields)).tolist())

    def _facts(
        self,
        text: str,
        known: Mapping[str, Known],
        sessions: int,
        draw: np.random.Generator,
        more: Iterator[float],
        before: Mapping[str, object],
    ) -> dict[str, object]:
        """The facts of one session; `before` are those of the session before it in the call."""
        planted = self._truth.find(text)
        outcome = planted.outcome if planted else "Contained"
        facts: dict[str, object] = {"session_outcome": outcome}
        for label_field in self._schema.fields:
            field = label_field.name
            # Drawn even where nothing is planted, so that one field's truth never moves another's draws.
            chances = draw.random(4).tolist()
            own = iter(list(islice(more, UNKIND_DRAWS)))
            concept = planted.concepts.get(field) if planted else None
            if planted is None or concept is None or not label_field.applies(outcome):
                facts[field] = None
            else:
                concept = self._perceived(field, concept, text, sessions, chances[0])
                if label_field.labels:
                    facts[field] = self._listed(field, concept, label_field.labels)
                    continue
                second = planted.concepts.get(SECOND) if field == INTENT else None
                seen, last = Seen(field, text, concept, second), before.get(field)
                facts[field] = self._naming.name(
                    seen, known[field], chances[1:], own, str(last) if last else None
                )
        facts["notes"] = notes(text, outcome, draw)
        return facts

    def _listed(self, field: str, concept: str, labels: Sequence[str]) -> str | None:
        """The label of a closed list for a concept, null if none of them is."""
        return next((label for label in labels if self._truth.meaning(field, label) == concept), None)

    def _perceived(self, field: str, concept: str, text: str, sessions: int, chance: float) -> str:
        """The concept that the model sees: the true one, or its neighbour.

        Part of the errors belong to the session and come back every time it is asked about.
        """
        rate = self.confusion(sessions)
        fixed = rate * self._noise.confusion_fixed_share
        if self._truth.ambiguity(field, text) < fixed or chance < rate - fixed:
            return self._truth.neighbours[field].get(concept, concept)
        return concept


def labels_by_concept(truth: PlantedTruth, additions: Additions) -> dict[str, Known]:
    """Per field the known labels, and which of them mean which concept, in order of arrival."""
    vocabulary = snapshot(additions)
    known: dict[str, Known] = {}
    for field in truth.concept_of:
        by_concept: dict[str, list[str]] = defaultdict(list)
        labels = vocabulary.labels(field)
        for label in labels:
            concept = truth.meaning(field, label)
            if concept is not None:
                by_concept[concept].append(label)
        known[field] = Known(by_concept, labels)
    return known


@lru_cache(maxsize=64)
def as_json(additions: Additions) -> str:
    """The additions of a vocabulary as JSON."""
    return json.dumps(list(map(dict, additions)))


def omission_rate(noise: NoiseConfig, sessions: int) -> float:
    """The mean omission in calls of so many sessions."""
    rates = {10: noise.omission_at_10, 20: noise.omission_at_20, 50: noise.omission_at_50}
    if noise.omission_at_1:
        rates = {1: noise.omission_at_1, **rates}
    return interpolated(sessions, tuple(rates), tuple(rates.values()))


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
