"""Reviewing what a run merged: undoing merges, and carrying out a reviewed list, without any call.

Final facts are written anew from the labels first given and from what is left of the ledger. Nothing that
the model said is lost, so an undone merge can be accepted again, and the files are then what they were.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from autoanalyze.analysis.configuration import restored
from autoanalyze.analysis.folder import RunFolder
from autoanalyze.analysis.scoring import label_measures
from autoanalyze.analysis.tables import MERGES_SCHEMA, merges_recorded
from autoanalyze.config import Config
from autoanalyze.errors import InputError
from autoanalyze.llm.journal import Journal
from autoanalyze.study.exports import guarded, unguarded
from autoanalyze.study.runs import Run, load_run

Redirects = dict[str, dict[str, str]]


def undo(folder: Path, numbers: Collection[int]) -> Run:
    """Take merges back, by their number in the ledger. Raises InputError for a number that is no merge."""

    def undone(merges: pl.DataFrame) -> pl.DataFrame:
        known = set(merges.filter("merged")["merge"])
        unknown = sorted(set(numbers) - known)
        if unknown:
            raise InputError(
                f"{folder} has no merge {unknown[0]}: `autoanalyze merges {folder}` lists them by number"
            )
        chosen = pl.col("merge").is_in(list(numbers))
        return decided(merges, pl.when(chosen).then(False).otherwise(pl.col("merged")))

    return rewritten(folder, undone, f"undo {', '.join(map(str, sorted(numbers)))}")


def accept(folder: Path, reviewed: Path | pl.DataFrame) -> Run:
    """Carry out a reviewed list: a CSV or frame with field, alias, canonical and merged (true or false).

    Pairs that it does not name stay as they are; pairs that the ledger does not know are added. Raises
    InputError that names the row for labels that the run does not have, an alias with two canonical
    labels, redirects in a circle, and a fixed label that would be merged away.
    """
    rows = read_review(reviewed) if isinstance(reviewed, Path) else reviewed.to_dicts()

    def accepted(merges: pl.DataFrame) -> pl.DataFrame:
        # A file has a heading, so that its first row stands in line 2.
        wanted = {
            (row["field"], row["alias"], row["canonical"]): is_yes(row["merged"], line)
            for line, row in enumerate(rows, start=2)
        }
        pair = pl.struct("field", "alias", "canonical")
        present = {tuple(row.values()) for row in merges.select(pair.alias("p"))["p"]}
        first_new = max(merges["merge"], default=0) + 1
        added = [
            {
                **dict.fromkeys(MERGES_SCHEMA),
                "merge": number,
                "field": field,
                "alias": alias,
                "canonical": canonical,
                "verdict": "same",
                "merged": False,
                "proposed_by": "review",
                "judge": "review",
                "reason": "added by a reviewer",
                "chosen": "",
                "opinions": 0,
                "round": 0,
            }
            for number, (field, alias, canonical) in enumerate(
                (key for key, merged in wanted.items() if merged and key not in present), start=first_new
            )
        ]
        longer = pl.concat([merges, pl.DataFrame(added, schema=MERGES_SCHEMA)])
        merged = [
            wanted.get((field, alias, canonical), before)
            for field, alias, canonical, before in longer.select(
                "field", "alias", "canonical", "merged"
            ).iter_rows()
        ]
        return decided(longer, pl.Series("merged", merged, dtype=pl.Boolean))

    return rewritten(folder, accepted, "accept")


def rewritten(folder: Path, change: Callable[[pl.DataFrame], pl.DataFrame], by: str) -> Run:
    """A finished run with its ledger changed and its final facts written anew."""
    run, home = load_run(folder), RunFolder(folder)
    with home.locked():
        config = restored(run.record["config"])
        merges = with_sessions(change(run.merges), run.labels)
        redirects = checked_redirects(merges, run.labels, config)
        tables = {"sessions": run.sessions, "probes": run.probes}
        final = {
            name: None if frame is None else under_canonical(frame, redirects, config)
            for name, frame in tables.items()
        }
        sessions = final["sessions"]
        assert sessions is not None
        labels = recounted(run.labels, sessions, redirects)
        record = {**run.record, **updated(run, config, sessions, final["probes"], merges)}
        for name, frame in {**final, "labels": labels, "merges": merges}.items():
            if frame is not None:
                home.write_table(name, frame)
        with Journal(home.journal) as journal:
            journal.ledger(merges_recorded(merges), by)
        home.write_json("run.json", record)
    return load_run(folder)


def decided(merges: pl.DataFrame, merged: pl.Expr | pl.Series) -> pl.DataFrame:
    """The ledger with other merges. `review` says where it differs from what the run decided; entries of
    a reviewer that are not merged are gone."""
    before = (pl.col("merged") & (pl.col("review") != "accepted").fill_null(True)) | (
        pl.col("review") == "undone"
    ).fill_null(False)
    changed = merges.with_columns(by_run=before).with_columns(merged=merged)
    review = (
        pl.when(pl.col("merged") & ~pl.col("by_run"))
        .then(pl.lit("accepted"))
        .when(~pl.col("merged") & pl.col("by_run"))
        .then(pl.lit("undone"))
        .otherwise(None)
    )
    kept = pl.col("merged") | (pl.col("judge") != "review")
    return changed.with_columns(review=review).filter(kept).select(*MERGES_SCHEMA)


def with_sessions(merges: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """The ledger with the sessions that carry each alias, also of entries that a reviewer added."""
    counts = labels.select("field", alias="label", counted="sessions_first")
    joined = merges.join(counts, on=["field", "alias"], how="left", maintain_order="left")
    sessions = pl.coalesce("sessions", "counted", pl.lit(0))
    return joined.with_columns(sessions=sessions).select(*MERGES_SCHEMA)


def checked_redirects(merges: pl.DataFrame, labels: pl.DataFrame, config: Config) -> Redirects:
    """Per field, alias to the canonical label at the end of its redirects. Raises InputError."""
    known = set(labels.select("field", "label").iter_rows())
    direct: Redirects = {name: {} for name in config.schema.records().names}
    columns = ("merge", "field", "alias", "canonical", "review")
    for number, field, alias, canonical, review in merges.filter("merged").select(columns).iter_rows():
        where = f"merge {number} ({field}: {alias!r} into {canonical!r})"
        foreign = [label for label in (alias, canonical) if (field, label) not in known]
        if foreign and review is not None:
            raise InputError(f"{where}: the run has no label {foreign[0]!r} in that field")
        if alias in config.vocabulary.fixed.get(field, ()):
            raise InputError(f"{where}: {alias!r} is fixed and is never merged away")
        if direct[field].setdefault(alias, canonical) != canonical:
            raise InputError(f"{where}: {alias!r} is merged into {direct[field][alias]!r} already")
    return {
        field: {alias: followed(field, alias, redirects) for alias in redirects}
        for field, redirects in direct.items()
    }


def followed(field: str, alias: str, redirects: Mapping[str, str]) -> str:
    """Where redirects of `alias` end. Raises InputError if they lead in a circle."""
    passed, label = {alias}, redirects[alias]
    while label in redirects:
        if label in passed:
            raise InputError(f"{field}: {alias!r} is merged in a circle, by way of {label!r}")
        passed.add(label)
        label = redirects[label]
    return label


def under_canonical(frame: pl.DataFrame, redirects: Redirects, config: Config) -> pl.DataFrame:
    """Rows with the labels first given under their canonical names."""
    return frame.with_columns(
        pl.col(f"{name}_first").replace(redirects[name]).alias(name) for name in config.schema.records().names
    )


def recounted(labels: pl.DataFrame, sessions: pl.DataFrame, redirects: Redirects) -> pl.DataFrame:
    """The vocabulary with its canonical labels and the sessions that they have now."""
    counts = {name: dict(sessions[name].value_counts().iter_rows()) for name in redirects}
    rows = labels.select("field", "label").iter_rows()
    pairs = [(field, label, redirects[field].get(label, label)) for field, label in rows]
    return labels.with_columns(
        pl.Series("canonical", [canonical for _, _, canonical in pairs], dtype=pl.String),
        pl.Series("sessions", [counts[field].get(label, 0) for field, label, _ in pairs], dtype=pl.Int64),
    )


def updated(
    run: Run, config: Config, sessions: pl.DataFrame, probes: pl.DataFrame | None, merges: pl.DataFrame
) -> dict[str, Any]:
    """What of run.json depends on final labels."""
    truth = run.truth if run.truth is not None else pl.DataFrame()
    measures = label_measures(config, sessions, probes, truth)
    final = {name: sessions[name].drop_nulls().n_unique() for name in run.record["labels"]}
    merged = merges.filter("merged")
    return {
        "labels": {name: {**counts, "final": final[name]} for name, counts in run.record["labels"].items()},
        "metrics": measures["metrics"],
        "agreement": {**run.record["agreement"], **measures["agreement"]},
        "resolution": {
            **run.record["resolution"],
            "resolved": merged.select("field", "canonical").n_unique(),
            "canonical_mappings": len(merged),
        },
    }


REVIEWED = ("merge", "field", "alias", "canonical", "merged", "sessions", "similarity", "judge", "reason")
YES, NO = frozenset({"true", "yes", "1"}), frozenset({"false", "no", "0", ""})


def write_review(run: Run, path: Path) -> int:
    """Write a run's ledger as CSV to be reviewed: set `merged` to true or false, and `accept` it.

    Returns the number of entries.
    """
    table = guarded(run.merges.select(REVIEWED))
    table.write_csv(path)
    return len(table)


def read_review(path: Path) -> list[dict[str, Any]]:
    """The rows of a reviewed CSV. Raises InputError for a file that is none."""
    try:
        frame = pl.read_csv(path, infer_schema=False, truncate_ragged_lines=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"{path} cannot be read as CSV: {error}") from None
    missing = [name for name in ("field", "alias", "canonical", "merged") if name not in frame.columns]
    if missing:
        raise InputError(
            f"{path} has no column {missing[0]!r}: `autoanalyze merges RUN --csv FILE` writes a list to "
            "review"
        )
    return [{name: unguarded(value) for name, value in row.items()} for row in frame.fill_null("").to_dicts()]


def is_yes(said: object, line: int) -> bool:
    """What a reviewer says of a merge. Raises InputError for anything but yes and no."""
    word = str(said).strip().lower()
    if word not in YES | NO:
        raise InputError(f"line {line}: merged is {said!r}; write true or false")
    return word in YES
