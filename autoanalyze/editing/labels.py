"""The labels of a finished run, to be read and edited: renamed, merged, corrected in single sessions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from autoanalyze.editing import corrections
from autoanalyze.editing.edits import MERGED, Draft
from autoanalyze.editing.names import new_name
from autoanalyze.editing.relabelling import rewritten
from autoanalyze.errors import InputError
from autoanalyze.study.answer import answer
from autoanalyze.study.runs import Run, WholeTable, html_table, load_run


class Labels:
    """The final labels of a run. Edits are written into its folder at once, and each can be undone.

    `frame` has a row per label: field, label, sessions, share (of the sessions that have a label in that
    field, 0 to 1), merged (the other names that became it), origin (`new`, `fixed`, `earlier run`, or
    `review` for names that a person gave). `run` is the run as it is now. Edits raise InputError for what
    cannot be done, and RunFolderError for a run that has not finished.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.done = ""
        """What the last edit did, in a sentence."""

    @property
    def frame(self) -> pl.DataFrame:
        """A row per final label, the most frequent of each field first."""
        return label_frame(self.run)

    @property
    def edits(self) -> pl.DataFrame:
        """A row per edit that stands: its number, what it was, and how many things it changed."""
        edits = self.run.edits.group_by("edit", "by", maintain_order=True)
        return edits.agg(pl.len().alias("changes")).rename({"by": "what"})

    def rename(self, old: str, new: str, *, field: str | None = None) -> Labels:
        """Call a label otherwise; if another is called so already, the two become one."""

        def decide(draft: Draft) -> str:
            names, name = draft.names(), new_name(new)
            place = names.find(old, field)
            root = names.group(place, old)
            assert root is not None
            there = call(draft, place, root, name)
            self.done = (
                f"{place}: {old!r} and {name!r}, which was there already, are one label now"
                if there
                else f"{place}: {old!r} is called {name!r} now"
            )
            return f"rename {old!r} to {name!r} ({place})"

        return self._rewrite(decide)

    def merge(self, labels: Sequence[str], *, into: str, field: str | None = None) -> Labels:
        """Make several labels one that is called `into`: one of them, another label, or a new name."""

        def decide(draft: Draft) -> str:
            names, name = draft.names(), new_name(into)
            places = {names.find(label, field) for label in labels}
            if len(places) != 1:
                raise InputError(f"labels of different fields cannot be one: {', '.join(sorted(places))}")
            (place,) = places
            roots = list(dict.fromkeys(filter(None, (names.group(place, label) for label in labels))))
            target = names.group(place, name) or next(
                (root for root in roots if root not in names.fixed.get(place, ())), roots[0]
            )
            if {*roots} <= {target} and names.final(place, target) == name:
                raise InputError(f"name two labels or more that are to become {name!r}, or rename one")
            for root in roots:
                if root != target:
                    merge_groups(draft, place, root, target)
            call(draft, place, target, name)
            self.done = (
                f"{place}: {', '.join(map(repr, labels))} {'is' if len(labels) == 1 else 'are'} {name!r} now"
            )
            return f"merge {', '.join(map(repr, labels))} into {name!r} ({place})"

        return self._rewrite(decide)

    def accept(self, reviewed: Path | str | pl.DataFrame) -> Labels:
        """Give single sessions the labels that a reviewed list says: a CSV as `write` makes it, or a frame.

        It has session_id and a column for any number of label fields. An empty cell leaves a label as it is,
        `-` takes it away; a name that was merged or renamed since means what it is now, and one that nobody
        knows becomes a label of its own. Raises InputError that names the line of an unknown session, a
        session that comes twice, or a name that is none.
        """
        rows = corrections.read(reviewed)

        def decide(draft: Draft) -> str:
            corrections.carry_out(draft, rows)
            sessions = len({key[2] for key in draft.changes})
            self.done = f"{sessions:,} sessions have other labels now"
            return f"accept the labels of {sessions:,} sessions"

        return self._rewrite(decide)

    def undo(self, number: int | None = None) -> Labels:
        """Take an edit back: the last one, or one by its number in `edits`."""

        def decide(draft: Draft) -> str:
            found, by = draft.undo(number)
            self.done = f"edit {found} is taken back: {by}"
            return f"undo edit {found}: {by}"

        return self._rewrite(decide)

    def write(self, path: Path | str, *, force: bool = False) -> int:
        """Write the sessions and their labels as a CSV to be reviewed, and say how many they are.

        Raises InputError for a file that exists, unless `force` is set.
        """
        return corrections.write(self.run, str(path), force=force)

    def _rewrite(self, decide: corrections.Decide) -> Labels:
        self.run = rewritten(self.run.path, decide)
        return self

    def __repr__(self) -> str:
        """The labels with the whole of their names."""
        return repr(WholeTable(self.frame))

    def _repr_html_(self) -> str:
        caveats = [(word, why) for word, why in self.run.caveats.items()]
        shown = self.frame.with_columns(
            pl.col("share").map_elements("{:.1%}".format, return_dtype=pl.String),
            pl.col("merged").list.join(", "),
        )
        edits = html_table([(str(n), what) for n, what, _ in self.edits.iter_rows()], ("edit", "what"))
        return (
            (html_table(caveats) if caveats else "")
            + WholeTable(shown)._repr_html_()
            + (edits if len(self.edits) else "")
        )


def labels(run: Run | Path | str) -> Labels:
    """The final labels of a finished run, or of the run in a folder; see Labels for what can be done to them.

    Raises RunFolderError for a folder that holds no run, or one that stopped before it labelled anything.
    """
    return Labels(run if isinstance(run, Run) else load_run(run, partial=True))


def call(draft: Draft, field: str, root: str, name: str) -> bool:
    """Call a group of labels so, or merge it into the one that is called so already, and say whether there
    was one. Raises InputError for a fixed label."""
    names = draft.names()
    there = names.group(field, name)
    if there is None:
        names.check_changeable(field, root)
        draft.set("name", field, root, name)
    elif there != root:
        merge_groups(draft, field, root, there)
    return there not in (None, root)


def merge_groups(draft: Draft, field: str, root: str, target: str) -> None:
    """Make a group of labels part of another."""
    draft.names().check_changeable(field, root)
    draft.set("merge", field, root, MERGED, target=target)


def label_frame(run: Run) -> pl.DataFrame:
    """A row per final label of a run, also of those that no session carries: see Labels."""
    vocabulary = run.labels
    gone = pl.col("label") != pl.col("canonical")
    parts = []
    for field in answer(run).fields:
        own = vocabulary.filter(pl.col("field") == field.name)
        others = own.filter(gone).group_by(label="canonical", maintain_order=True).agg(merged="label")
        standing = own.filter(pl.col("label").is_in(own["canonical"].implode()))
        parts.append(
            standing.select("field", "label", "sessions", "origin")
            .join(field.labels.select("label", "share", "theme"), on="label", how="left")
            .join(others.select("label", pl.col("merged")), on="label", how="left")
            .with_columns(pl.col("share").fill_null(0.0), pl.col("merged").fill_null([]))
            .sort(["sessions", "label"], descending=[True, False])
        )
    return pl.concat(parts).select("field", "label", "sessions", "share", "merged", "origin", "theme")
