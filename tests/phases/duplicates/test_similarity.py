"""Which labels lie near each other, however and whenever they are embedded."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from fakes import SCHEMA
from hypothesis import given, settings
from hypothesis import strategies as st

from autoanalyze.config import EmbeddingsConfig, ResolutionConfig
from autoanalyze.errors import TransientEndpointError
from autoanalyze.phases.duplicates.judge import Took
from autoanalyze.phases.duplicates.ledger import Carried, FieldLedger
from autoanalyze.phases.duplicates.opinions import pair_of
from autoanalyze.phases.duplicates.similarity import NEIGHBOURS, BySimilarity, LabelSpace
from autoanalyze.phases.vocabulary import LabelUse
from autoanalyze.protocols import Embedded, Vectors
from autoanalyze.records import CallContext, Usage
from autoanalyze.serving.clock import VirtualClockLoop

Virtually = Callable[[Any], Any]
FIELD = SCHEMA.fields[0]
CONTEXT = CallContext("resolution")
THRESHOLD, LIKELY = 0.4, 0.8
CLOSE = 2e-4
"""Similarities are rounded to four digits, and computed in single precision."""


def vector(text: str, seed: int) -> Vectors:
    """A direction that depends on the text alone."""
    draw = random.Random(f"{seed} {text}")
    direction = np.array([draw.gauss(0, 1) for _ in range(3)])
    scaled: Vectors = (direction / np.linalg.norm(direction)).astype(np.float32)
    return scaled


class Directions:
    """Embeds each text as a direction of its own; fails or changes its space when told."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self.space = "first"
        self.broken = False
        self.warning: str | None = None
        self.asked: list[list[str]] = []

    async def embed(self, texts: Sequence[str], _context: CallContext) -> Embedded:
        """A vector per text."""
        self.asked.append(list(texts))
        if self.broken:
            raise TransientEndpointError("gone")
        vectors = np.vstack([vector(f"{self.space} {text}", self._seed) for text in texts])
        return Embedded(vectors, self.space, THRESHOLD, LIKELY, Usage(embedded=len(texts)), self.warning)


def space_of(embedder: Directions, **config: Any) -> LabelSpace:
    return LabelSpace(embedder, EmbeddingsConfig(**config), FIELD)


def alike(first: str, second: str, seed: int, space: str = "first") -> float:
    """The similarity of two labels, straight from its definition."""
    return float(vector(f"{space} {first}", seed) @ vector(f"{space} {second}", seed))


labels = st.lists(st.sampled_from([f"L{i}" for i in range(NEIGHBOURS)]), unique=True, min_size=1)


@settings(deadline=None, max_examples=30)
@given(labels, st.integers(0, 999), st.none() | st.floats(-1, 1), st.integers(0, 3))
def test_candidates_are_those_above_the_threshold_and_the_nearest(
    names: list[str], seed: int, threshold: float | None, nearest: int
) -> None:
    """Every pair above the threshold, and of each label its nearest ones wherever they lie, most alike
    first, and no other."""
    space = space_of(Directions(seed))
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        near = runner.run(space.neighbours(names, {}, CONTEXT, threshold=threshold, nearest=nearest))
    least = THRESHOLD if threshold is None else threshold
    truth = {pair_of(*pair): alike(*pair, seed) for pair in combinations(names, 2)}
    ranked: Mapping[str, list[str]] = {
        name: sorted((n for n in names if n != name), key=lambda other: -truth[pair_of(name, other)])
        for name in names
    }
    for pair, similarity in truth.items():
        rank = min(ranked[one].index(other) for one, other in (pair, pair[::-1]))
        if similarity >= least + CLOSE or rank < nearest:
            assert near.candidates[pair] == pytest.approx(similarity, abs=CLOSE)
        elif similarity < least - CLOSE:
            assert pair not in near.candidates
    values = list(near.candidates.values())
    assert values == sorted(values, reverse=True)
    assert (near.likely, near.usage) == (LIKELY, Usage(embedded=len(names)))


@settings(deadline=None, max_examples=30)
@given(labels, st.integers(0, 999), st.lists(st.integers(0, 30), max_size=3), st.booleans())
def test_steps_find_what_one_step_finds(names: list[str], seed: int, cuts: list[int], moved: bool) -> None:
    """Labels that arrive in steps are embedded once each and meet all others, also when vectors come from
    elsewhere on the way: then all are embedded anew, and none is compared with one of another space."""
    embedder = Directions(seed)
    space = space_of(embedder)
    found: dict[tuple[str, str], float] = {}
    bounds = [0, *sorted(cut for cut in cuts if cut < len(names)), len(names)]
    parts = [names[one:other] for one, other in pairwise(bounds) if one < other]
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        for number, part in enumerate(parts):
            if moved and number == len(parts) - 1:
                embedder.space = "second"
            near = runner.run(space.neighbours(part, {}, CONTEXT, threshold=-1.0))
            found |= near.candidates
            if number == len(parts) - 1:
                last = near
    for pair in combinations(names, 2):
        assert pair_of(*pair) in found
    for pair, similarity in last.candidates.items():
        assert similarity == pytest.approx(alike(*pair, seed, embedder.space), abs=CLOSE)
    again = moved and len(parts) > 1
    embedded = [text for texts in embedder.asked for text in texts]
    assert len(embedded) == len(names) + (len(names) - len(parts[-1]) if again else 0)
    assert all(name in space for name in names)


def test_a_label_has_few_neighbours() -> None:
    """Of each label its nearest thirty count at most, so that pairs grow with labels."""
    names = [f"L{i}" for i in range(200)]
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        near = runner.run(space_of(Directions()).neighbours(names, {}, CONTEXT, threshold=-1.0))
    assert len(near.candidates) <= NEIGHBOURS * len(names)


def test_a_failure_embeds_nothing_and_the_next_step_does(virtually: Virtually) -> None:
    """When the embedder fails, also while it embeds all anew, the space is as it was, and the same labels
    are embedded when it works again."""
    embedder = Directions()
    space = space_of(embedder)
    virtually(space.neighbours(["A", "B"], {}, CONTEXT))
    embedder.broken = True
    with pytest.raises(TransientEndpointError):
        virtually(space.neighbours(["C"], {}, CONTEXT))
    assert "C" not in space
    embedder.broken = False
    near = virtually(space.neighbours(["C"], {}, CONTEXT, threshold=-1.0))
    assert set(near.candidates) == {("A", "C"), ("B", "C")}


def test_texts_hold_what_is_configured(virtually: Virtually) -> None:
    """The label alone, or with its field and so many notes of its sessions."""
    notes = {"A": ["one", "two", "three"]}
    texts = []
    for config in ({}, {"field": True}, {"field": True, "notes": 2}, {"notes": 1}):
        embedder = Directions()
        virtually(space_of(embedder, **config).neighbours(["A", "B"], notes, CONTEXT))
        texts.append(embedder.asked[0])
    assert texts == [
        ["A", "B"],
        ["general intent: A", "general intent: B"],
        ["general intent: A one two", "general intent: B"],
        ["A one", "B"],
    ]


def test_warnings_of_the_embedder_are_passed_on(virtually: Virtually) -> None:
    """Who decides by vectors that are not those asked for says so."""
    embedder = Directions()
    embedder.warning = "offline ones stand in"
    by_similarity = BySimilarity(embedder, FIELD, ResolutionConfig("embeddings"), EmbeddingsConfig())
    took = virtually(by_similarity.settle(FieldLedger(FIELD.name, Carried()), LabelUse({"A": 1, "B": 1}), 0))
    assert took.errors == ["offline ones stand in"]


@settings(deadline=None, max_examples=30)
@given(
    st.lists(labels, min_size=1, max_size=3),
    st.integers(0, 999),
    st.none() | st.floats(0.2, 0.95),
    st.booleans(),
)
def test_only_what_is_alike_is_merged(
    arrivals: list[list[str]], seed: int, above: float | None, guards: bool
) -> None:
    """In steps, each alias is as alike to its canonical as is needed, and no guard objects to the two;
    without guards numbers are no obstacle. A merge is never undone, and nothing is embedded twice."""
    embedder = Directions(seed)
    config = ResolutionConfig("embeddings", guards=guards, merge_above=above)
    by_similarity = BySimilarity(embedder, FIELD, config, EmbeddingsConfig())
    ledger = FieldLedger(FIELD.name, Carried({FIELD.name: ("Fixed",)}))
    counts = {"Fixed": 0}
    before: dict[str, str] = {}
    for step, names in enumerate(arrivals, start=1):
        counts |= {named(name): 1 for name in names}
        with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
            took = runner.run(by_similarity.settle(ledger, LabelUse(counts), step))
        assert isinstance(took, Took)
        redirects = {entry.alias: entry.canonical for entry in ledger.entries() if entry.merged}
        assert before.items() <= redirects.items()
        assert not set(redirects) & {*redirects.values(), "Fixed"}
        before = redirects
    needed = LIKELY if above is None else above
    for alias, canonical in before.items():
        assert alike(alias, canonical, seed) >= needed - CLOSE
    numbered = [(a, c) for a, c in before.items() if a[-1].isdigit() and c[-1].isdigit()]
    assert not (guards and numbered)
    embedded = [text for texts in embedder.asked for text in texts]
    assert sorted(embedded) == sorted(counts)


def named(name: str) -> str:
    """Half of the labels as words without a number, which no guard minds."""
    number = int(name[1:])
    return name if number % 2 else f"L{chr(ord('a') + number // 2)}x"


def test_without_guards_numbers_may_be_merged(virtually: Virtually) -> None:
    """The property above is not empty: these two are merged without guards, and kept apart with them."""
    outcome = []
    for guards in (True, False):
        config = ResolutionConfig("embeddings", guards=guards, merge_above=-1.0)
        ledger = FieldLedger(FIELD.name, Carried())
        by_similarity = BySimilarity(Directions(), FIELD, config, EmbeddingsConfig())
        virtually(by_similarity.settle(ledger, LabelUse({"Over 50": 2, "Over 500": 1}), 0))
        outcome.append([(entry.merged, entry.judge) for entry in ledger.entries()])
    assert outcome == [[(False, "guard")], [(True, "similarity")]]


def test_spellings_ask_no_embedder(virtually: Virtually) -> None:
    """When only other spellings of what stands arrive, nothing is embedded, and they are merged."""
    embedder = Directions()
    by_similarity = BySimilarity(embedder, FIELD, ResolutionConfig("embeddings"), EmbeddingsConfig())
    ledger = FieldLedger(FIELD.name, Carried({FIELD.name: ("Claim Status",)}))
    took = virtually(by_similarity.settle(ledger, LabelUse({"status of claims": 3}), 1))
    assert embedder.asked == []
    assert took == Took()
    assert [(e.alias, e.canonical) for e in ledger.entries()] == [("status of claims", "Claim Status")]
