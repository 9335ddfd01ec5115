"""The label sets: who wrote them, which labels mean one matter, and which matters are easily confused."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoanalyze.phases.duplicates.spelling import normal_form
from autoanalyze.records import LabelField
from autoanalyze.simulation.label_sets import PlantedLabels, written_labels

LABELS = Path(__file__).resolve().parent / "labels"
AUTHORS = ("author_a", "author_b")
ALIKE, BROADER = "look-alike", "broader"
ONE, WHOLE, BOTH, SHARED = "one domain", "one author", "both authors", "shared"
"""What a set is: a domain by one author, all domains of one, a domain by both, or the set that was there."""


@dataclass(frozen=True, slots=True)
class LabelSet:
    """Labels by matter, and pairs of matters that are no duplicates though they look it, by class.

    `guarded` are those of them that differ by a number, a negation, an opposite or a direction, with which.
    """

    name: str
    kind: str
    author: str
    domain: str
    groups: Mapping[str, tuple[str, ...]]
    twins: Mapping[frozenset[str], str]
    guarded: Mapping[frozenset[str], str]

    @property
    def count(self) -> int:
        """How many labels there are."""
        return sum(map(len, self.groups.values()))

    def planted(self, seed: int) -> PlantedLabels:
        """The set for a seed, in a field of its own: errors that belong to a pair are drawn anew with it."""
        label_field = LabelField(f"intent_{seed}", "what the user came for.")
        return written_labels(self.groups, self.twins, label_field, seed=seed)


def label_sets(folder: Path = LABELS, shared: Path | None = None) -> list[LabelSet]:
    """All sets of the authors' files in `folder`, and the shared one where it is."""
    authors = [a for a in AUTHORS if (folder / f"{a}.json").exists()]
    read = read_by_a_third(folder)
    single = [one for author in authors for one in domains_of(folder / f"{author}.json", author, read)]
    wholes = [
        together([one for one in single if one.author == author], author, WHOLE, read) for author in authors
    ]
    domains = dict.fromkeys(one.domain for one in single)
    both = [
        together(parts, domain, BOTH, read)
        for domain in domains
        for parts in [[one for one in single if one.domain == domain]]
        if len(parts) > 1
    ]
    return [*single, *wholes, *both, *(shared_set(shared, read) if shared and shared.exists() else ())]


def read_by_a_third(folder: Path) -> dict[str, Any]:
    """What the experimenter decided on reading the labels, before anything ran: `same_matters` across
    domains and authors, `look_alikes` across authors, and the kind of `guarded` look-alikes."""
    path = folder / "read_by_a_third.json"
    if not path.exists():
        return {"same_matters": [], "look_alikes": [], "guarded": {}}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def domains_of(path: Path, author: str, read: Mapping[str, Any]) -> Iterable[LabelSet]:
    """A set per domain of an author's file."""
    for domain, content in json.loads(path.read_text(encoding="utf-8"))["domains"].items():
        yield written(content, f"{author}/{domain}", (ONE, author, domain), read)


def shared_set(path: Path, read: Mapping[str, Any]) -> Iterable[LabelSet]:
    """The set that was there before, read where it lies."""
    yield written(json.loads(path.read_text(encoding="utf-8")), SHARED, (SHARED, SHARED, "several"), read)


def written(
    content: Mapping[str, Any], name: str, place: tuple[str, str, str], read: Mapping[str, Any]
) -> LabelSet:
    """A set as its author wrote it; a pair of matters that is given in both classes counts as broader."""
    twins = {frozenset(map(spaced, pair)): ALIKE for pair in content["look_alikes"]}
    twins |= {frozenset(map(spaced, pair)): BROADER for pair in content.get("broader", ())}
    groups = {spaced(matter): tuple(labels) for matter, labels in content["groups"].items()}
    told = read["guarded"].get(name, ())
    guarded = {frozenset((spaced(one), spaced(other))): kind for one, other, kind in told}
    return LabelSet(name, *place, groups, twins, guarded)


def spaced(matter: str) -> str:
    """A matter's name as words: matters that share half of them are look-alikes to the simulated judge."""
    return matter.replace("_", " ")


def together(parts: Sequence[LabelSet], name: str, kind: str, read: Mapping[str, Any]) -> LabelSet:
    """Several sets as one. Matters are one where the third reader says so, or where they have a label of
    one spelling in common; of such a spelling the first label is kept."""
    home = homes(parts, read["same_matters"])
    groups: dict[str, list[str]] = {}
    seen: set[tuple[str, ...]] = set()
    for part in parts:
        for matter, labels in part.groups.items():
            fresh = [label for label in labels if normal_form(label) not in seen]
            groups.setdefault(home[part.name, matter], []).extend(fresh)
        seen |= {normal_form(label) for labels in part.groups.values() for label in labels}
    twins: dict[frozenset[str], str] = {}
    guarded: dict[frozenset[str], str] = {}
    for part in parts:
        for pair, twin_class in part.twins.items():
            moved = frozenset(home[part.name, matter] for matter in pair)
            if len(moved) == 2:
                twins.setdefault(moved, twin_class)
                if pair in part.guarded:
                    guarded.setdefault(moved, part.guarded[pair])
    for told in read["look_alikes"]:
        across = {home[matter] for matter in map(split, told) if matter in home}
        if len(across) == 2:
            twins.setdefault(frozenset(across), ALIKE)
    author = parts[0].author if kind == WHOLE else "both"
    domain = parts[0].domain if kind == BOTH else "all"
    kept = {matter: tuple(labels) for matter, labels in groups.items() if labels}
    return LabelSet(f"{kind}/{name}", kind, author, domain, kept, twins, guarded)


def homes(parts: Sequence[LabelSet], same: Sequence[Sequence[str]]) -> dict[tuple[str, str], str]:
    """The name in a joint set of each matter: that of the first matter which is the same."""
    root: dict[tuple[str, str], tuple[str, str]] = {
        (part.name, matter): (part.name, matter) for part in parts for matter in part.groups
    }

    def find(one: tuple[str, str]) -> tuple[str, str]:
        return one if root[one] == one else find(root[one])

    linked = [[split(matter) for matter in matters] for matters in same]
    by_form: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for part in parts:
        for matter, labels in part.groups.items():
            for label in labels:
                by_form.setdefault(normal_form(label), []).append((part.name, matter))
    for matters in (*linked, *by_form.values()):
        known = [find(matter) for matter in matters if matter in root]
        for other in known[1:]:
            root[find(other)] = find(known[0])
    names: dict[tuple[str, str], str] = {}
    for one in root:
        if find(one) == one:
            taken = one[1] in names.values()
            names[one] = f"{one[1]}@{one[0].replace(' ', '-')}" if taken else one[1]
    return {one: names[find(one)] for one in root}


def split(matter: str) -> tuple[str, str]:
    """Set and matter of `author/domain/matter`."""
    name, _, key = matter.rpartition("/")
    return name, spaced(key)
