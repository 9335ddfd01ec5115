"""How the simulated model names what it sees in a session: by a known label, or by a new one.

With every unkind behaviour at 0, as in the friendly world, a label that fits is reused most of the time, and
else one of the concept's names is coined. What each behaviour means stands in `configs/noise/default.yaml`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from autoanalyze.config import NoiseConfig
from autoanalyze.serving.chance import draws
from autoanalyze.simulation.levels import AND, FOR, OTHER, broader, narrower, plain
from autoanalyze.simulation.paraphrase import paraphrases
from autoanalyze.simulation.truth import PlantedTruth

ATTRACTING = 0.1
"""The share of labels that attract, each always."""

UNKIND = (
    *("granularity", "broader_taken", "specific", "other", "second_taken", "combined"),
    *("forced_fit", "attraction", "copying", "reuse_halves_at"),
)
"""What is 0 in the friendly world. Its draws are made apart, so that they move no others."""


@dataclass(frozen=True, slots=True)
class Known:
    """The known labels of a field: those of each concept, and all of them, in order of arrival."""

    of: Mapping[str, Sequence[str]]
    labels: Sequence[str]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the model sees in a session, of one field: the concept, and a second one if it brings another."""

    field: str
    text: str
    concept: str
    second: str | None = None


class Naming:
    """Names for what is seen. `chances` are three draws from 0 to 1, `more` any number of further ones."""

    def __init__(self, truth: PlantedTruth, noise: NoiseConfig) -> None:
        self._truth = truth
        self._noise = noise
        self.unkind = any(getattr(noise, name) for name in UNKIND)

    def name(
        self,
        seen: Seen,
        known: Known,
        chances: Sequence[float],
        more: Iterator[float],
        before: str | None = None,
    ) -> str:
        """A label; `before` is that of the session before it in the same call."""
        if not self.unkind:
            return self._friendly(seen.field, seen.concept, known, chances)
        noise = self._noise
        swallowed = self._swallowed(known, more, before)
        if swallowed is not None:
            return swallowed
        concept = self._matter(seen, more)
        own = known.of.get(concept, ())
        if not own and next(more) < noise.forced_fit:
            nearest = known.of.get(self._truth.neighbours[seen.field].get(concept, ""), ())
            if nearest:
                return nearest[0]
        above = broader(concept, seen.field)
        if not own and above is not None and next(more) < noise.broader_taken and known.of.get(above):
            return known.of[above][0]
        if own and chances[0] < self._reuse(len(known.labels)):
            return self._one_of(own, chances)
        level = self._level(concept, seen, more)
        if level != concept and known.of.get(level) and chances[0] < self._reuse(len(known.labels)):
            return self._one_of(known.of[level], chances)
        name = self._coined(level, seen.field, chances)
        return f"{name}{FOR}{details(seen.text)}" if next(more) < noise.specific else name

    def _friendly(self, field: str, concept: str, known: Known, chances: Sequence[float]) -> str:
        """A known label of the concept most of the time, else one coined among its paraphrases."""
        own = known.of.get(concept, ())
        if own and chances[0] < self._noise.reuse:
            return self._one_of(own, chances)
        return self._coined(concept, field, chances)

    def _swallowed(self, known: Known, more: Iterator[float], before: str | None) -> str | None:
        """A label that has nothing to do with the session; mostly none."""
        noise = self._noise
        if next(more) < noise.other:
            return OTHER
        if next(more) < noise.copying and before is not None:
            return before
        attracted = next(more) < noise.attraction
        return next((label for label in known.labels if attracts(label)), None) if attracted else None

    def _matter(self, seen: Seen, more: Iterator[float]) -> str:
        """What a session is taken to be about: its first matter, its second, or both at once."""
        either, both = next(more), next(more)
        if seen.second is None or seen.second == seen.concept:
            return seen.concept
        if both < self._noise.combined:
            return AND.join(sorted((plain(seen.concept), plain(seen.second))))
        return seen.second if either < self._noise.second_taken else seen.concept

    def _level(self, concept: str, seen: Seen, more: Iterator[float]) -> str:
        """The concept that a new name is for: that one, or half the time of `granularity` each one above or
        below."""
        chance, above = next(more), broader(concept, seen.field)
        if AND in concept or chance >= self._noise.granularity:
            return concept
        if chance < self._noise.granularity / 2 and above is not None:
            return above
        return narrower(concept, seen.field, seen.text)

    def _reuse(self, labels: int) -> float:
        """The chance that a label that fits is reused from a list of so many."""
        halves_at = self._noise.reuse_halves_at
        return self._noise.reuse / (1 + labels / halves_at) if halves_at else self._noise.reuse

    def _one_of(self, own: Sequence[str], chances: Sequence[float]) -> str:
        if len(own) == 1 or chances[1] < self._noise.earliest:
            return own[0]
        return own[1 + int(chances[2] * (len(own) - 1))]

    def _coined(self, concept: str, field: str, chances: Sequence[float]) -> str:
        if AND in concept:  # the names of both, in one of two orders
            one, other = concept.split(AND)
            return concept if chances[2] < 0.5 else f"{other}{AND}{one}"
        names = paraphrases(concept, field, self._noise.paraphrases)
        weights = np.array([1 / rank for rank in range(1, len(names) + 1)])
        position = np.searchsorted(np.cumsum(weights) / weights.sum(), chances[2])
        return str(names[int(position)])


@lru_cache(maxsize=20_000)
def attracts(label: str) -> bool:
    """Whether a label swallows what it does not fit."""
    return bool(draws("attracts", label).random() < ATTRACTING)


def details(text: str) -> str:
    """Words of the session that say nothing of its matter, as over-specific names have them."""
    words = text.split()
    start = int(draws("details", text).integers(max(1, len(words) - 2)))
    return " ".join(word.strip(".,!?:;()[]\"'").title() for word in words[start : start + 2])
