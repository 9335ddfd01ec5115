"""Which labels are one, and what each group of labels is called."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence

from autoanalyze.errors import InputError
from autoanalyze.llm.prompts import LONGEST_LABEL

Redirect = tuple[int | None, str, str, bool]
"""A merge: its number in the ledger, alias, canonical label, and whether a person decided it."""


class Names:
    """The labels of every field in groups, each with the label it stands for (its root) and its name.

    `labels` are those of the vocabulary, `named` maps roots to names that a person gave; without one a group
    is called what its root is. Raises InputError for redirects that contradict each other or lead in a
    circle, for labels that there are not, for fixed labels merged away or renamed, and for two groups of one
    name.
    """

    def __init__(
        self,
        labels: Mapping[str, Sequence[str]],
        redirects: Mapping[str, Iterable[Redirect]],
        named: Mapping[str, Mapping[str, str]],
        fixed: Mapping[str, Sequence[str]],
    ) -> None:
        self.labels = {field: list(dict.fromkeys(known)) for field, known in labels.items()}
        self.fixed = fixed
        self._roots: dict[str, dict[str, str]] = {}
        self._named = named
        self._groups: dict[str, dict[str, str]] = {}
        for field in labels:
            direct = self._direct(field, redirects[field])
            self._roots[field] = {alias: followed(field, alias, direct) for alias in direct}
            self._groups[field] = self._by_name(field)

    def root(self, field: str, label: str) -> str:
        """The label that a label's group stands for."""
        return self._roots[field].get(label, label)

    def final(self, field: str, label: str) -> str:
        """What sessions are labelled with in the end that first had this label."""
        root = self.root(field, label)
        return self._named[field].get(root, root)

    def all_final(self, field: str) -> dict[str, str]:
        """Every label that ends under another name, with that name."""
        known = dict.fromkeys((*self.labels[field], *self._roots[field]))
        return {label: final for label in known if (final := self.final(field, label)) != label}

    def group(self, field: str, name: str) -> str | None:
        """The root of the group that is called so now; null if none is."""
        return self._groups[field].get(name)

    def earlier(self, field: str, name: str) -> str | None:
        """The root of the group that a name means which is not in use any more; null if there never was
        such a name."""
        given = [root for root, called in self._named[field].items() if called == name]
        known = name in self.labels[field] or name in self._roots[field]
        return self.root(field, name) if known else self.root(field, given[0]) if given else None

    def find(self, name: str, field: str | None) -> str:
        """The field in which a group is called so. Raises InputError if none is, or if several are."""
        self.check_field(field)
        fields = [field] if field is not None else list(self.labels)
        found = [one for one in fields if name in self._groups[one]]
        if len(found) > 1:
            raise InputError(f"{name!r} is a label of {' and of '.join(found)}: say which with --field")
        if found:
            return found[0]
        for one in fields:
            if (root := self.earlier(one, name)) is not None:
                raise InputError(
                    f"{one}: {name!r} is part of {self.final(one, root)!r} now: name that instead"
                )
        known = [called for one in fields for called in self._groups[one]]
        close = difflib.get_close_matches(name, known, n=3)
        meant = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
        raise InputError(f"there is no label {name!r}{f' in {field}' if field else ''}{meant}")

    def check_field(self, field: str | None) -> None:
        """Raise InputError for a field that there is not."""
        if field is not None and field not in self.labels:
            raise InputError(f"there is no label field {field!r}: the fields are {', '.join(self.labels)}")

    def check_changeable(self, field: str, label: str) -> None:
        """Raise InputError for a fixed label: it is never merged away or renamed."""
        if label in self.fixed.get(field, ()):
            raise InputError(
                f"{field}: {label!r} is fixed (vocabulary.fixed.{field}) and is never merged away or "
                "renamed: merge others into it, or take it out of that list in the next run"
            )

    def _direct(self, field: str, redirects: Iterable[Redirect]) -> dict[str, str]:
        """Alias to canonical label, as the ledger says."""
        known, direct = set(self.labels[field]), dict[str, str]()
        for number, alias, canonical, reviewed in redirects:
            where = f"merge {number} ({field}: {alias!r} into {canonical!r})"
            foreign = [label for label in (alias, canonical) if label not in known]
            # What is carried over from an earlier run may tell of labels that this one never met.
            if foreign and reviewed:
                raise InputError(f"{where}: the run has no label {foreign[0]!r} in that field")
            self.check_changeable(field, alias)
            if direct.setdefault(alias, canonical) != canonical:
                raise InputError(f"{where}: {alias!r} is merged into {direct[alias]!r} already")
        return direct

    def _by_name(self, field: str) -> dict[str, str]:
        """The roots of a field by the names of their groups."""
        for label in self._named[field]:
            if label not in self.labels[field]:
                raise InputError(f"{field}: the run has no label {label!r} that could be renamed")
            self.check_changeable(field, label)
        found: dict[str, str] = {}
        for label in self.labels[field]:
            if self.root(field, label) == label:
                name = self.final(field, label)
                if name in found:
                    raise InputError(
                        f"{field}: two labels would be called {name!r}, {found[name]!r} and {label!r} as "
                        "first given: rename or merge one of them first"
                    )
                found[name] = label
        return found


def followed(field: str, alias: str, redirects: Mapping[str, str]) -> str:
    """Where redirects of `alias` end. Raises InputError if they lead in a circle."""
    passed, label = {alias}, redirects[alias]
    while label in redirects:
        if label in passed:
            raise InputError(f"{field}: {alias!r} is merged in a circle, by way of {label!r}")
        passed.add(label)
        label = redirects[label]
    return label


def new_name(given: str) -> str:
    """A name that a person gives, on one line with single spaces. Raises InputError if it is none."""
    name = " ".join(given.split())
    if not name.isprintable() or not any(character.isalnum() for character in name):
        raise InputError(f"{given!r} is no name for a label: write a word or more")
    if len(name) > LONGEST_LABEL:
        raise InputError(f"{name!r} is longer than {LONGEST_LABEL} characters: find a shorter name")
    return name
