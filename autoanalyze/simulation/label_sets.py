"""Label sets with planted duplicates and hard negatives: what duplicate detection is measured on.

A concept is an object and a matter, such as "debit card" and "declined", often within a context. Its
names reword one or both, turn them round, add words that say nothing, or are spelled otherwise. Its twin
differs in one word's meaning: another cause, another object, another number, the opposite. Twins are the
hard negatives; four of their classes are known to guards (number, negation, opposite, direction), two are
not (object, matter).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import combinations, product

from autoanalyze.records import LabelField
from autoanalyze.simulation.paraphrase import thesaurus
from autoanalyze.simulation.truth import PlantedTruth

GUARDED = frozenset({"number", "negation", "opposite", "direction"})
"""Classes of hard negatives that guards are meant to know."""

GROUP_SIZES = (1, 2, 3, 4, 5, 6, 7)
"""Names per concept, each as likely as the others: 4 on average."""

TWIN_SHARE = 0.35
"""Concepts that are given a twin."""
CONTRARY_SHARE = 0.15
"""Concepts of the classes that guards know; their twin always comes with them."""
CONTEXT_SHARE = 0.6


@dataclass(frozen=True, slots=True)
class Concept:
    """Something that can be meant: each part is a meaning, as the words that can stand for it."""

    object_words: tuple[str, ...]
    matter_words: tuple[str, ...]
    context: str
    twin_class: str

    @property
    def name(self) -> str:
        """The concept by its first words."""
        return " ".join(filter(None, (self.context, self.object_words[0], self.matter_words[0])))


@dataclass(frozen=True, slots=True)
class PlantedLabel:
    """One label with what is planted: its concept, the sessions that carry it, and notes of some of them."""

    label: str
    concept: str
    sessions: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlantedLabels:
    """A label set of one field. `twins` pairs concepts that are easily taken for each other, by class."""

    field: LabelField
    labels: tuple[PlantedLabel, ...]
    twins: Mapping[frozenset[str], str]

    @property
    def counts(self) -> dict[str, int]:
        """Sessions per label, in order of arrival."""
        return {planted.label: planted.sessions for planted in self.labels}

    @property
    def concepts(self) -> dict[str, str]:
        """The concept of each label."""
        return {planted.label: planted.concept for planted in self.labels}

    @property
    def notes(self) -> dict[str, tuple[str, ...]]:
        """Notes of some sessions of each label."""
        return {planted.label: planted.notes for planted in self.labels}


def planted_labels(count: int, *, seed: int) -> PlantedLabels:
    """A set of exactly `count` labels; the same arguments always give the same set.

    Raises ValueError for more labels than the thesaurus has names for.
    """
    draw = random.Random(f"planted labels {count} {seed}")
    labels: list[PlantedLabel] = []
    twins: dict[frozenset[str], str] = {}
    taken: set[str] = set()
    for family in families(draw):
        for concept in family:
            names = [name for name in worded(concept, draw) if name.lower() not in taken]
            taken |= {name.lower() for name in names}
            labels += [planted(name, concept, draw) for name in names]
        for one, other in combinations(family, 2):
            twins[frozenset((one.name, other.name))] = one.twin_class
        if len(labels) >= count:
            break
    else:
        raise ValueError(
            f"{count:,} labels are more than the thesaurus has names for: at most {len(labels):,}"
        )
    labels = labels[:count]
    # As they would arrive: names of one concept are scattered.
    draw.shuffle(labels)
    known = {label.concept for label in labels}
    return PlantedLabels(
        LabelField("general_intent", "what the user came for."),
        tuple(labels),
        {pair: kind for pair, kind in twins.items() if pair <= known},
    )


def written_labels(
    groups: Mapping[str, Sequence[str]],
    twins: Mapping[frozenset[str], str],
    label_field: LabelField,
    *,
    seed: int,
) -> PlantedLabels:
    """A set of labels that somebody wrote: `groups` are the labels of each matter, `twins` pairs of matters
    that are easily taken for each other, by class.

    The seed draws how many sessions carry each label and in which order labels arrive; notes there are none.
    Raises ValueError if a label stands twice, in whatever case, or twins name a matter that has no labels.
    """
    names = [(label, matter) for matter, labels in groups.items() for label in labels]
    twice = [label for label, times in Counter(label.lower() for label, _ in names).items() if times > 1]
    if twice:
        raise ValueError(f"labels that stand twice: {', '.join(twice)}")
    unknown = sorted({matter for pair in twins for matter in pair} - set(groups))
    if unknown:
        raise ValueError(f"twins without labels: {', '.join(unknown)}")
    draw = random.Random(f"written labels {seed}")
    labels = [PlantedLabel(label, matter, sessions_drawn(draw), ()) for label, matter in names]
    draw.shuffle(labels)
    return PlantedLabels(label_field, tuple(labels), dict(twins))


def families(draw: random.Random) -> Iterator[tuple[Concept, ...]]:
    """Concepts, alone or with their twin, none twice and none like that of another family."""
    content = thesaurus()
    plain = list(product(content["objects"], content["matters"], [""]))
    within = list(product(content["objects"], content["matters"], content["contexts"]))
    contraries = [
        (objects, pair, kind)
        for kind, pairs in content["contraries"].items()
        for objects, pair in product(content["objects"], pairs)
    ]
    for cells in (plain, within, contraries):
        draw.shuffle(cells)
    while within:
        if contraries and draw.random() < CONTRARY_SHARE:
            objects, pair, kind = contraries.pop()
            words = tuple(draw.choice(objects))
            yield tuple(Concept(words, (matter,), "", kind) for matter in pair)
            continue
        cells = within if not plain or draw.random() < CONTEXT_SHARE else plain
        objects, matters, context = cells.pop()
        object_words, matter_words = (tuple(draw.choice(meanings)) for meanings in (objects, matters))
        concept = Concept(object_words, matter_words, context, "none")
        if draw.random() >= TWIN_SHARE:
            yield (concept,)
        elif draw.random() < 0.5:
            other = draw.choice([tuple(words) for words in objects if tuple(words) != object_words])
            yield tuple(Concept(words, matter_words, context, "object") for words in (object_words, other))
        else:
            other = draw.choice([tuple(words) for words in matters if tuple(words) != matter_words])
            yield tuple(Concept(object_words, words, context, "matter") for words in (matter_words, other))


def worded(concept: Concept, draw: random.Random) -> list[str]:
    """Some of the names that a concept can have, the plain one always among them."""
    names = list(dict.fromkeys(all_names(concept)))
    size = min(draw.choice(GROUP_SIZES), len(names))
    return [names[0], *draw.sample(names[1:], size - 1)]


@cache
def all_names(concept: Concept) -> tuple[str, ...]:
    """The names that a concept can have, the plain one first."""
    generic = thesaurus()["generic"]
    names = []
    for thing, matter in product(concept.object_words, concept.matter_words):
        plain = titled(" ".join(filter(None, (concept.context, thing, matter))))
        names += [plain, titled(f"{matter} of {concept.context} {thing}")]
        names += [f"{plain} {titled(ending)}" for ending in generic["endings"]]
        names += [f"{titled(beginning)} {plain}" for beginning in generic["beginnings"]]
        names += [plain.replace(titled(thing), titled(f"{thing}s")), plain.lower().replace(" ", "-")]
    return tuple(names)


def planted(name: str, concept: Concept, draw: random.Random) -> PlantedLabel:
    """A label with sessions (few have many) and notes that tell of the concept in words of their own."""
    sessions = sessions_drawn(draw)
    told = titled(
        f"{concept.context} {draw.choice(concept.object_words)} {draw.choice(concept.matter_words)}"
    )
    templates = draw.sample(thesaurus()["notes"], k=min(2, sessions))
    return PlantedLabel(
        name, concept.name, sessions, tuple(template.format(name=told.lower()) for template in templates)
    )


def sessions_drawn(draw: random.Random) -> int:
    """How many sessions carry a label: few labels have many."""
    return min(500, int(draw.paretovariate(0.9)))


def titled(text: str) -> str:
    """Words in Title Case with single spaces; small words stay small."""
    words: Sequence[str] = text.split()
    return " ".join(word if word in ("of", "to", "from") else word[:1].upper() + word[1:] for word in words)


class PlantedNames(PlantedTruth):
    """What the simulated judge knows of a label set: which concept each label names."""

    def __init__(self, planted: PlantedLabels) -> None:
        super().__init__([])
        self._planted = planted

    @cached_property
    def concept_of(self) -> dict[str, dict[str, str]]:
        """Per field, the concept behind each label, in lower case."""
        concepts = {label.lower(): concept for label, concept in self._planted.concepts.items()}
        return {self._planted.field.name: concepts}

    def look_alike(self, field: str, first: str, second: str) -> bool:
        """Whether two concepts are twins, or their names share half their words."""
        return frozenset((first, second)) in self._planted.twins or super().look_alike(field, first, second)
