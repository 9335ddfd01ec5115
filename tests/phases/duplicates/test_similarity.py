"""Which labels lie near each other, however and whenever they are embedded."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
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
        return Embedded(vectors, self.space, Usage(embedded=len(texts)), self.warning)


def space_of(embedder: Directions, **config: Any) -> LabelSpace:
    return LabelSpace(embedder, EmbeddingsConfig(**config), FIELD)


def alike(first: str, second: str, seed: int, space: str = "first") -> float:
    """The similarity of two labels, straight from its definition."""
    return float(vector(f"{space} {first}", seed) @ vector(f"{space} {second}", seed))


def placed(space: LabelSpace, *steps: Sequence[str]) -> LabelSpace:
    """The space after labels were added in steps."""

    async def go() -> None:
        for step in steps:
            await space.add(step, {}, CONTEXT)

    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        runner.run(go())
    return space


labels = st.lists(st.sampled_from([f"L{i}" for i in range(2 * NEIGHBOURS)]), unique=True, min_size=1)


@settings(deadline=None, max_examples=30)
@given(labels, st.integers(0, 999))
def test_neighbours_are_told_by_what_labels_do_not_share(names: list[str], seed: int) -> None:
    """Of each label the nearest after the mean is taken away, nearest first, with their plain
    likeness."""
    space = placed(space_of(Directions(seed)), names)
    found = space.neighbours(names)
    vectors = np.vstack([vector(f"first {name}", seed) for name in names])
    centred = vectors - vectors.mean(axis=0)
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6)
    near = {
        pair_of(names[i], names[j]): float(centred[i] @ centred[j])
        for i, j in combinations(range(len(names)), 2)
    }
    for pair in near:
        better = [
            sum(near[pair_of(one, other)] > near[pair] + CLOSE for other in names if other not in pair)
            for one in pair
        ]
        surely = [
            sum(near[pair_of(one, other)] > near[pair] - CLOSE for other in names if other not in pair)
            for one in pair
        ]
        assert pair in found or min(surely) >= NEIGHBOURS
        assert pair not in found or min(better) < NEIGHBOURS
    order = [near[pair] for pair in found]
    assert order == pytest.approx(sorted(order, reverse=True), abs=CLOSE)
    assert all(alike(*pair, seed) == pytest.approx(found[pair], abs=CLOSE) for pair in found)


@settings(deadline=None, max_examples=30)
@given(labels, st.integers(0, 999), st.floats(-1, 1))
def test_those_above_a_likeness_are_told_by_plain_likeness(names: list[str], seed: int, least: float) -> None:
    """Every pair at least so alike, of each label the nearest at most, most alike first, and no other."""
    space = placed(space_of(Directions(seed)), names)
    found = space.above(names, least)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    for pair in combinations(names, 2):
        similarity = alike(*pair, seed)
        if pair_of(*pair) in found:
            assert found[pair_of(*pair)] == pytest.approx(similarity, abs=CLOSE)
            assert similarity >= least - CLOSE
        elif similarity >= least + CLOSE:
            assert len(names) > NEIGHBOURS + 1


@settings(deadline=None, max_examples=30)
@given(labels, st.integers(0, 999), st.lists(st.integers(0, 30), max_size=3), st.booleans())
def test_steps_find_what_one_step_finds(names: list[str], seed: int, cuts: list[int], moved: bool) -> None:
    """Labels that arrive in steps are embedded once each and meet all others, also when vectors come from
    elsewhere on the way: then all are embedded anew, and none is compared with one of another space."""
    embedder = Directions(seed)
    bounds = [0, *sorted(cut for cut in cuts if cut < len(names)), len(names)]
    parts = [names[one:other] for one, other in pairwise(bounds) if one < other]
    space = placed(space_of(embedder), *parts[:-1])
    embedder.space = "second" if moved else "first"
    placed(space, parts[-1])
    at_once = Directions(seed)
    at_once.space = embedder.space
    assert space.neighbours(names) == placed(space_of(at_once), names).neighbours(names)
    again = moved and len(parts) > 1
    embedded = [text for texts in embedder.asked for text in texts]
    assert len(embedded) == len(names) + (len(names) - len(parts[-1]) if again else 0)
    assert all(name in space for name in names)


@settings(deadline=None, max_examples=30)
@given(labels, st.integers(0, 999))
def test_an_order_holds_every_label_once(names: list[str], seed: int) -> None:
    """Whatever lies where, also where all vectors are the same."""
    space = placed(space_of(Directions(seed)), names)
    assert sorted(space.arranged(names)) == sorted(names)


def test_labels_that_are_alike_stand_together() -> None:
    """Two clusters, given in turns, come one after the other."""

    class Clusters(Directions):
        async def embed(self, texts: Sequence[str], context: CallContext) -> Embedded:
            found = await super().embed(texts, context)
            middle = [[1.0, 0, 0] if text.startswith("A") else [0, 1.0, 0] for text in texts]
            return replace(found, vectors=(found.vectors / 10 + np.array(middle)).astype(np.float32))

    names = [f"{letter}{number}" for number in range(6) for letter in "AB"]
    found = placed(space_of(Clusters()), names).arranged(names)
    assert {name[0] for name in found[:6]} in ({"A"}, {"B"})


def test_a_label_has_few_neighbours() -> None:
    """Of each label few count, so that pairs grow with labels."""
    names = [f"L{i}" for i in range(200)]
    space = placed(space_of(Directions()), names)
    assert len(space.neighbours(names)) <= NEIGHBOURS * len(names)


def test_a_failure_embeds_nothing_and_the_next_step_does(virtually: Virtually) -> None:
    """When the embedder fails, also while it embeds all anew, the space is as it was, and the same labels
    are embedded when it works again."""
    embedder = Directions()
    space = placed(space_of(embedder), ["A", "B"])
    embedder.broken = True
    with pytest.raises(TransientEndpointError):
        virtually(space.add(["C"], {}, CONTEXT))
    assert "C" not in space
    embedder.broken = False
    placed(space, ["C"])
    assert set(space.neighbours(["C"])) == {("A", "C"), ("B", "C")}


def test_texts_hold_what_is_configured(virtually: Virtually) -> None:
    """The label alone, or with its field and so many notes of its sessions."""
    notes = {"A": ["one", "two", "three"]}
    texts = []
    for config in ({}, {"field": True}, {"field": True, "notes": 2}, {"notes": 1}):
        embedder = Directions()
        virtually(space_of(embedder, **config).add(["A", "B"], notes, CONTEXT))
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
    by_similarity = BySimilarity(
        embedder, FIELD, ResolutionConfig("embeddings", merge_above=0.5), EmbeddingsConfig()
    )
    took = virtually(by_similarity.settle(FieldLedger(FIELD.name, Carried()), LabelUse({"A": 1, "B": 1}), 0))
    assert took.errors == ["offline ones stand in"]


@settings(deadline=None, max_examples=30)
@given(
    st.lists(labels, min_size=1, max_size=3),
    st.integers(0, 999),
    st.floats(0.2, 0.95),
    st.booleans(),
)
def test_only_what_is_alike_is_merged(
    arrivals: list[list[str]], seed: int, above: float, guards: bool
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
    for alias, canonical in before.items():
        assert alike(alias, canonical, seed) >= above - CLOSE
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
    by_similarity = BySimilarity(
        embedder, FIELD, ResolutionConfig("embeddings", merge_above=0.5), EmbeddingsConfig()
    )
    ledger = FieldLedger(FIELD.name, Carried({FIELD.name: ("Claim Status",)}))
    took = virtually(by_similarity.settle(ledger, LabelUse({"status of claims": 3}), 1))
    assert embedder.asked == []
    assert took == Took()
    assert [(e.alias, e.canonical) for e in ledger.entries()] == [("status of claims", "Claim Status")]
