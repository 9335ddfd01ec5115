"""What a person changed of a run's labels: edits that stand, each of which can be taken back.

An edit is what one command or call did. It consists of changes, and each says what was there before: that
two labels are one (`merge`), what a group of labels is called (`name`), which label one session has
(`session`). `edits.parquet` keeps them; the tables of a run follow from the labels first given, from what the
run itself merged, and from the edits that stand. Without an edit they are, to the byte, what the run wrote.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import polars as pl

from autoanalyze.analysis.configuration import restored
from autoanalyze.analysis.tables import RENAMED
from autoanalyze.editing.names import Names
from autoanalyze.errors import InputError
from autoanalyze.study.runs import EDITS_SCHEMA, Run

Kind = Literal["merge", "name", "session"]
Key = tuple[Kind, str, str, str]
"""What is decided on: kind, field, subject, target. The subject is the alias of a merge, the label whose
group has the name, or a session; only a merge has a target, its canonical label."""

MERGED, APART = "merged", "apart"
NO_LABEL = "-"
"""How a reviewer says that a session has no label."""
REVIEW = "review"
"""Who decided where a person did, and where a label comes from that only a person gave."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `before` and `after` are `merged` or `apart`, a name, or a label as it was first given
    (`-` is none); null is what the run left. `merge` is the number of its entry in the ledger."""

    kind: Kind
    field: str
    subject: str
    target: str
    before: str | None
    after: str | None
    merge: int | None

    @property
    def key(self) -> Key:
        """What is decided on."""
        return self.kind, self.field, self.subject, self.target


class Draft:
    """The labels of a run while they are edited: `own` is the ledger as the run left it, `standing` what a
    person decided otherwise, `changes` what is new among that."""

    def __init__(self, run: Run) -> None:
        self.run, self.log = run, run.edits
        self.config = restored(run.record["config"])
        self.fields = self.config.schema.records().names
        self.own = own_ledger(run.merges)
        self.vocabulary = run.labels.filter(pl.col("origin") != REVIEW)
        columns = ("field", "alias", "canonical")
        merged = zip(self.own.select(columns).iter_rows(), self.own["merged"], strict=True)
        self._own_merged: dict[Key, bool] = {("merge", *pair): said for pair, said in merged}
        self.numbers: dict[Key, int] = {}
        self.standing: dict[Key, str] = {}
        self.changes: dict[Key, Change] = {}
        self._take_over()

    def _take_over(self) -> None:
        """What stands by now: merges and names as the ledger has them, sessions as the edits left them."""
        logged = [Change(**{name: row[name] for name in CHANGE}) for row in self.log.iter_rows(named=True)]
        self.numbers = {change.key: change.merge for change in reversed(logged) if change.merge is not None}
        for row in self.run.merges.filter(pl.col("review").is_not_null()).iter_rows(named=True):
            kind: Kind = "name" if row["proposed_by"] == RENAMED else "merge"
            target = "" if kind == "name" else row["canonical"]
            key: Key = (kind, row["field"], row["alias"], target)
            value = row["canonical"] if kind == "name" else MERGED if row["merged"] else APART
            self.standing[key] = value
            self.numbers.setdefault(key, row["merge"])
        for change in logged:
            if change.kind == "session":
                self._stand(change.key, change.after)

    def set(self, kind: Kind, field: str, subject: str, after: str | None, *, target: str = "") -> None:
        """Decide on something; `after` is null for as the run left it."""
        key: Key = (kind, field, subject, target)
        if kind == "merge":
            as_left = MERGED if self._own_merged.get(key) else APART
            after = None if after == as_left else after
        elif kind == "name" and after == subject:
            after = None
        earlier = self.changes.get(key)
        before = earlier.before if earlier else self.standing.get(key)
        self._stand(key, after)
        if before == after:
            self.changes.pop(key, None)
            return
        number = None if kind == "session" or key in self._own_merged else self.number(key)
        self.changes[key] = Change(*key, before, after, number)

    def number(self, key: Key) -> int:
        """The number in the ledger of what a person decided; the same whenever it comes back."""
        taken = (*self.own["merge"], *self.numbers.values())
        return self.numbers.setdefault(key, max(taken, default=0) + 1)

    def undo(self, number: int | None) -> tuple[int, str]:
        """Take an edit back, by default the last one; its number, and what it was.

        Raises InputError if there is none, or if a later one changed the same.
        """
        edits = self.log.select("edit", "by").unique(maintain_order=True)
        chosen = edits.tail(1) if number is None else edits.filter(edit=number)
        if chosen.is_empty():
            there = ", ".join(map(str, edits["edit"])) or "none"
            wanted = "no edit" if number is None else f"no edit {number}"
            raise InputError(f"{self.run.path} has {wanted} to take back; its edits: {there}")
        found, by = chosen.row(0)
        for row in self.log.filter(edit=found).iter_rows(named=True):
            change = Change(**{name: row[name] for name in CHANGE})
            if self.standing.get(change.key) != change.after:
                raise InputError(
                    f"edit {found} ({by}) was followed by another that changed the same: take "
                    "that one back first"
                )
            self._stand(change.key, change.before)
            if change.merge is not None:
                self.numbers[change.key] = change.merge
        self.log = self.log.filter(pl.col("edit") != found)
        return found, by

    def names(self) -> Names:
        """What every label is called now. Raises InputError for decisions that contradict each other."""
        redirects: dict[str, list[tuple[int | None, str, str, bool]]] = {name: [] for name in self.fields}
        rows = self.own.select("merge", "field", "alias", "canonical").iter_rows()
        for (number, field, alias, canonical), own in zip(rows, self.own["merged"], strict=True):
            said = self.standing.get(("merge", field, alias, canonical))
            if said == MERGED or (own and said is None):
                redirects[field].append((number, alias, canonical, said is not None))
        for key, _ in self.added("merge"):
            redirects[key[1]].append((self.number(key), key[2], key[3], True))
        named: dict[str, dict[str, str]] = {name: {} for name in self.fields}
        for key, name in self.added("name"):
            named[key[1]][key[2]] = name
        return Names(
            {
                field: [
                    *self.vocabulary.filter(field=field)["label"],
                    *(
                        label
                        for (_, f, *_), label in self.added("session")
                        if f == field and label != NO_LABEL
                    ),
                ]
                for field in self.fields
            },
            redirects,
            named,
            self.config.vocabulary.fixed,
        )

    def added(self, kind: Kind) -> Iterator[tuple[Key, str]]:
        """What stands of one kind beyond what the run's own ledger has an entry for; by number, if it has
        one."""
        found = [(k, v) for k, v in self.standing.items() if k[0] == kind and k not in self._own_merged]
        return iter(sorted(found, key=lambda item: self.numbers.get(item[0], 0)))

    def logged(self, by: str) -> pl.DataFrame:
        """The edits that stand, the new one among them."""
        number = (self.log["edit"].max() or 0) + 1  # type: ignore[operator]
        rows: list[dict[str, Any]] = [
            {"edit": number, "by": by, **asdict(change)} for change in self.changes.values()
        ]
        return pl.concat([self.log, pl.DataFrame(rows, schema=EDITS_SCHEMA)]) if rows else self.log

    def _stand(self, key: Key, value: str | None) -> None:
        if value is None:
            self.standing.pop(key, None)
        else:
            self.standing[key] = value


CHANGE = tuple(column for column in EDITS_SCHEMA if column not in ("edit", "by"))


def own_ledger(merges: pl.DataFrame) -> pl.DataFrame:
    """A ledger as the run left it, whatever was reviewed since."""
    own = merges.filter(
        ~(pl.col("proposed_by").is_in([REVIEW, RENAMED]) & (pl.col("review") == "accepted").fill_null(False))
    )
    before = (pl.col("merged") & (pl.col("review") != "accepted").fill_null(True)) | (
        pl.col("review") == "undone"
    ).fill_null(False)
    return own.with_columns(merged=before, review=pl.lit(None, pl.String))
