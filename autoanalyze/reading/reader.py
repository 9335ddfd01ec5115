"""The labeller that reads: no truth, no model, only the words of the run's own transcripts.

What it answers depends on these transcripts and on the request, and on nothing that was asked before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock

import numpy as np
from cachetools import LRUCache, cached
from numpy.typing import NDArray

from autoanalyze.errors import ReplyError
from autoanalyze.llm.prompts import AnalysisPrompt
from autoanalyze.reading.choices import chosen
from autoanalyze.reading.excerpts import Turn, excerpt, outcome_of, turns_of
from autoanalyze.reading.names import Names
from autoanalyze.reading.topics import NOWHERE, Topics
from autoanalyze.reading.vectors import Matrix, unit
from autoanalyze.records import ContainmentType, LabelField, LabelSchema, Outcome
from autoanalyze.serving.requests import BatchRequest, JudgeRequest, NamesRequest, PairsRequest, numbered

NOTED = 3
"""Key phrases in a note."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a label stands for: the centre of its texts, and the community in which most of them lie."""

    centre: Matrix
    community: int


class FieldReader:
    """Reads one field. `texts` are its excerpts, each once."""

    def __init__(self, texts: Sequence[str], vectors: str = "words") -> None:
        self.read = len(texts)
        self._topics = Topics(texts, vectors)
        self.names = Names(self._topics.texts, self._topics.community)
        self._fitted = {text: number for number, text in enumerate(self._topics.texts)}
        self._owners: dict[str, list[int]] = {}
        for number, name in enumerate(self.names.of_texts):
            if name is not None:
                self._owners.setdefault(name, []).append(number)
        self.meaning = lru_cache(maxsize=None)(self._meaning)

    def answers(self, texts: Sequence[str], known: Sequence[str]) -> list[str | None]:
        """A label for each text; empty texts get none.

        Of the `known` labels, and those given to earlier texts of the same request, the one whose centre is
        nearest among those of the text's own community, if it is as near as texts in these data are to
        their fifth nearest. Else the text is named by its own key phrases.
        """
        vectors, communities, names = self._placed(texts)
        at_hand: dict[int, dict[str, None]] = {}
        for label in known:
            at_hand.setdefault(self.meaning(label).community, {})[label] = None
        answers: list[str | None] = []
        for vector, community, name in zip(vectors, communities, names, strict=True):
            labels = at_hand.setdefault(community, {}) if community != NOWHERE else {}
            answer = self._nearest(vector, list(labels)) or name
            if answer is not None and community != NOWHERE:
                labels[answer] = None
            answers.append(answer)
        return answers

    def _nearest(self, vector: Matrix, labels: Sequence[str]) -> str | None:
        if not labels:
            return None
        likeness = [round(float(vector @ self.meaning(label).centre), 5) for label in labels]
        best = max(likeness)
        return labels[likeness.index(best)] if best >= self._topics.threshold else None

    def _placed(self, texts: Sequence[str]) -> tuple[Matrix, list[int], list[str | None]]:
        """Vector, community and own name of each text."""
        topics, found = self._topics, [self._fitted.get(text) for text in texts]
        vectors = np.zeros((len(texts), topics.fitted.shape[1]), dtype=np.float32)
        communities, names = [NOWHERE] * len(texts), [None] * len(texts)  # type: list[int], list[str | None]
        for position, number in enumerate(found):
            if number is not None:
                vectors[position] = topics.fitted[number]
                communities[position] = int(topics.community[number])
                names[position] = self.names.of_texts[number]
        new = [position for position, number in enumerate(found) if number is None and texts[position]]
        if new:
            some = [texts[position] for position in new]
            placed, belong = topics.place(some)
            for position, vector, community, name in zip(
                new, placed, belong.tolist(), self.names.of(some, belong), strict=True
            ):
                vectors[position], communities[position], names[position] = vector, community, name
        return vectors, communities, names

    def key_phrases(self, text: str) -> list[str]:
        """What says most of its matter in a text."""
        return self.names.key_phrases(self._fitted.get(text, text), NOTED)

    def knows(self, label: str) -> bool:
        """Whether a text of its own is called so."""
        return label in self._owners

    def _meaning(self, label: str) -> Meaning:
        """What a label stands for; one that no text here is called by, for its own words."""
        topics, owners = self._topics, self._owners.get(label)
        if owners is None:
            vectors, belong = topics.place([label])
            return Meaning(vectors[0], int(belong[0]))
        community = int(np.bincount(topics.community[owners]).argmax())
        return Meaning(unit(topics.fitted[owners].mean(axis=0)), community)

    def vector(self, label: str) -> Matrix:
        """A label as a point: half what it stands for itself, half its community, since labels are merged by
        communities and what may be merged has to lie near."""
        meaning = self.meaning(label)
        community = self._topics.centres[meaning.community] if meaning.community != NOWHERE else 0.0
        mixed: Matrix = unit(meaning.centre + community)
        return mixed


KEPT = 20_000
"""Texts of the field readers that are kept: an experiment runs on the same few samples many times."""


@cached(LRUCache[tuple[object, ...], FieldReader](KEPT, lambda reader: reader.read), lock=Lock())
def field_reader(texts: tuple[str, ...], vectors: str) -> FieldReader:
    """The reader of these excerpts. It answers as one that is made anew: nothing but them is in it."""
    return FieldReader(texts, vectors)


class Reader:
    """Answers requests from the transcripts of one run: each as a prompt shows it, with the way its channel
    says it ended. `vectors` are `words`, or `sentences` where the extra for these is installed."""

    def __init__(
        self,
        transcripts: Iterable[tuple[str, ContainmentType]],
        schema: LabelSchema,
        vectors: str = "words",
    ) -> None:
        self._schema = schema
        self._outcomes: dict[bytes, Outcome] = {}
        excerpts: dict[str, set[str]] = {name: set() for name in schema.names}
        for text, containment in transcripts:
            turns = turns_of(text)
            outcome = outcome_of(turns, containment)
            # Of one text with several records the last in alphabetical order counts: Transfer, that is.
            seen = self._outcomes.get(digest(text), outcome)
            self._outcomes[digest(text)] = max(outcome, seen)
            for label_field in schema.fields:
                if label_field.applies(outcome):
                    excerpts[label_field.name].add(excerpt(turns, label_field))
        # Sorted, so that the order of the sessions is none of its concern.
        read = {name: sorted(filter(has_words, texts)) for name, texts in excerpts.items()}
        self._fields = {
            name: field_reader(tuple(texts), vectors) if texts else None for name, texts in read.items()
        }
        outcomes = sorted((key.hex(), ended) for key, ended in self._outcomes.items())
        told = json.dumps([read, outcomes, *([vectors] if vectors != "words" else [])])
        self.identity = f"offline-{hashlib.sha256(told.encode('utf-8', 'replace')).hexdigest()[:8]}"

    def label(self, request: BatchRequest, _seed: int) -> str:
        """The reply to a labelling request, as JSON text."""
        prompt = AnalysisPrompt(self._schema, reply=request.reply)
        vocabulary = request.known_labels(prompt.reply_names)
        numbers = numbered(vocabulary.content, self._schema.names) if request.reply == "numbers" else {}
        turns = [turns_of(text) for text in request.transcripts.values()]
        outcomes = [
            self._outcomes.get(digest(text)) or outcome_of(said)
            for text, said in zip(request.transcripts.values(), turns, strict=True)
        ]
        columns: dict[str, Sequence[object]] = {"key": list(request.transcripts)}
        columns["session_outcome"] = [prompt.outcome_names[outcome] for outcome in outcomes]
        for field in self._schema.fields:
            texts = [
                excerpt(said, field) if field.applies(outcome) else ""
                for said, outcome in zip(turns, outcomes, strict=True)
            ]
            labels = self._read(field, texts, vocabulary.labels(field.name))
            columns[field.name] = [numbers.get((field.name, label), label) for label in labels]
        columns["notes"] = [self._note(said, outcome) for said, outcome in zip(turns, outcomes, strict=True)]
        rows = [
            {name: columns[part][row] for part, name in prompt.asked(outcome).items()}
            for row, outcome in enumerate(outcomes)
        ]
        return json.dumps({"sessions": rows}, ensure_ascii=False, separators=(",", ":"))

    def judge(self, request: JudgeRequest, _seed: int) -> str:
        """The reply to a judging request: labels of one community are one."""
        groups: dict[int, list[int]] = {}
        for number, label in enumerate(request.labels, start=1):
            groups.setdefault(self._community(request.field, label), []).append(number)
        groups.pop(NOWHERE, None)
        answer = [group for group in groups.values() if len(group) > 1]
        return json.dumps({"groups": answer}, separators=(",", ":"))

    def judge_pairs(self, request: PairsRequest, _seed: int) -> str:
        """The reply to questions about pairs of labels: those of one community are the same."""
        answers = []
        for position, question in enumerate(request.questions, start=1):
            home = self._community(request.field, question.label)
            same = [
                candidate
                for candidate in question.candidates
                if home != NOWHERE and self._community(request.field, candidate) == home
            ]
            reason = "most of their sessions belong together" if same else "their sessions lie apart"
            answers.append({"q": position, "same": [request.numbers[c] for c in same], "reason": reason})
        return json.dumps({"answers": answers}, separators=(",", ":"))

    def names(self, request: NamesRequest, _seed: int) -> str:
        """Words tell nothing of levels. Raises ReplyError."""
        raise ReplyError(f"the reader answers no request for {request.kind}")

    def embedding(self, text: str, dimensions: int) -> NDArray[np.float32]:
        """A label as a point among the run's own texts, under the first field that has a text called so."""
        reading = [reader for reader in self._fields.values() if reader is not None]
        reader = next((reader for reader in reading if reader.knows(text)), next(iter(reading), None))
        vector = np.zeros(dimensions, dtype=np.float32)
        if reader is not None:
            known = reader.vector(text)[:dimensions]
            vector[: len(known)] = known
        if not vector.any():
            vector[-1] = 1.0  # of what nothing is known lies apart from all else
        scaled: NDArray[np.float32] = unit(vector)
        return scaled

    def _read(self, field: LabelField, texts: Sequence[str], known: Sequence[str]) -> list[str | None]:
        if field.labels:
            return [chosen(text, field.labels) for text in texts]
        reader = self._fields[field.name]
        if reader is None:
            return [None] * len(texts)
        return reader.answers([text if has_words(text) else "" for text in texts], known)

    def _community(self, field: str, label: str) -> int:
        reader = self._fields.get(field)
        return reader.meaning(label).community if reader else NOWHERE

    def _note(self, turns: Sequence[Turn], outcome: Outcome) -> str:
        always = next((field for field in self._schema.fields if not field.applies_to), None)
        reader = self._fields[always.name] if always else None
        told = ", ".join(reader.key_phrases(excerpt(turns, always))) if reader and always else ""
        ending = "handed over to a human" if outcome == "Transfer" else "ended inside the bot"
        return f"Draft by words: {told or 'no words to go by'}; {ending}."


def digest(text: str) -> bytes:
    """A short stand-in for a transcript."""
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()[:12]


def has_words(text: str) -> bool:
    """Whether there is anything to read."""
    return any(character.isalnum() for character in text)
