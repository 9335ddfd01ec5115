"""How the simulated model names what it sees in a session: by a known label, or by a new one.

With every unkind behaviour at 0, as in the friendly world, a label that fits is reused most of the time, and
else one of the concept's names is coined. What each behaviour means stands in `configs/noise/default.yaml`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from autoanalyze.config import UNKIND, NoiseConfig
from autoanalyze.llm.prompts import LONGEST_LABEL
from autoanalyze.phases.validation import MOST_WORDS
from autoanalyze.serving.chance import draws
from autoanalyze.simulation.levels import AND, FOR, OTHER, both, narrower, plain
from autoanalyze.simulation.paraphrase import paraphrases
from autoanalyze.simulation.truth import PlantedTruth

ATTRACTING = 0.1
"""The share of labels that attract, each always."""


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
        # Its draws are made apart, so that they move no others.
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
            reused = self._reused(seen.concept, known, chances)
            return reused or self._coined(seen.concept, seen.field, chances)
        swallowed = self._swallowed(known, more, before)
        if swallowed is not None:
            return swallowed
        concept = self._matter(seen, more)
        found = self._fitted(concept, seen.field, known, more) or self._reused(concept, known, chances)
        if found is not None:
            return found
        if concept not in (seen.concept, seen.second):  # both at once, in one of two orders
            matters = (plain(seen.concept), plain(str(seen.second)))
            return AND.join(sorted(matters, reverse=chances[2] < 0.5))
        level = self._level(concept, seen, more)
        found = self._reused(level, known, chances) if level != concept else None
        name = found or self._coined(level, seen.field, chances)
        return specific(name, seen.text) if found is None and next(more) < self._noise.specific else name

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
        chance, noise = next(more), self._noise
        if seen.second is None or seen.second == seen.concept:
            return seen.concept
        if chance < noise.combined:
            pair = both(seen.concept, seen.second)
            return pair if fits(pair) else seen.concept
        return seen.second if chance < noise.combined + noise.second_taken else seen.concept

    def _fitted(self, concept: str, field: str, known: Known, more: Iterator[float]) -> str | None:
        """Of a concept without a label that of another, where the model makes do with it: of the nearest one
        that has a label, or of the one above."""
        forced, upwards = next(more) < self._noise.forced_fit, next(more) < self._noise.broader_taken
        if concept in known.of or not (forced or upwards):
            return None
        others = self._truth.nearest[field].get(concept, ()) if forced else ()
        above = self._truth.above(field, concept) if upwards else None
        taken = (*others, above) if above else others
        return next((known.of[other][0] for other in taken if other in known.of), None)

    def _level(self, concept: str, seen: Seen, more: Iterator[float]) -> str:
        """The concept that a new name is for: that one, or half the time of `granularity` each one above or
        below."""
        chance, above = next(more), self._truth.above(seen.field, concept)
        if chance >= self._noise.granularity:
            return concept
        if chance < self._noise.granularity / 2 and above is not None:
            return above
        return narrower(concept, seen.field, seen.text)

    def _reused(self, concept: str, known: Known, chances: Sequence[float]) -> str | None:
        """A known label of a concept, most of the time; the less often, the more labels there are."""
        own, halves_at = known.of.get(concept), self._noise.reuse_halves_at
        crowded = len(known.labels) / halves_at if halves_at else 0.0
        if not own or chances[0] >= self._noise.reuse / (1 + crowded):
            return None
        if len(own) == 1 or chances[1] < self._noise.earliest:
            return own[0]
        return own[1 + int(chances[2] * (len(own) - 1))]

    def _coined(self, concept: str, field: str, chances: Sequence[float]) -> str:
        """A name of a concept, the most natural the likeliest."""
        names = paraphrases(concept, field, self._noise.paraphrases)
        weights = np.array([1 / rank for rank in range(1, len(names) + 1)])
        position = np.searchsorted(np.cumsum(weights) / weights.sum(), chances[2])
        return str(names[int(position)])


@lru_cache(maxsize=20_000)
def attracts(label: str) -> bool:
    """Whether a label swallows what it does not fit."""
    return bool(draws("attracts", label).random() < ATTRACTING)


def specific(name: str, text: str) -> str:
    """A name with two words of its session, or one, as far as a label may be long."""
    words = details(text)
    longer = (f"{name}{FOR}{' '.join(words[:count])}" for count in (2, 1) if words)
    return next(filter(fits, longer), name)


def fits(name: str) -> bool:
    """Whether a label may be as long as that."""
    return len(name) <= LONGEST_LABEL and len(name.split()) <= MOST_WORDS


def details(text: str) -> list[str]:
    """Two words of the session that say nothing of its matter, as over-specific names have them."""
    words = re.findall(r"\w+(?:[-'.:]\w+)*", re.sub(r"^\w+: ", "", text, flags=re.MULTILINE))
    start = int(draws("details", text).integers(max(1, len(words) - 1)))
    return [word[:1].upper() + word[1:] for word in words[start : start + 2]]
