"""The tables of a run under other names: written anew from the labels first given and from what stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from autoanalyze.analysis.folder import RunFolder, as_typed
from autoanalyze.analysis.paging import PAGE, leave_page
from autoanalyze.analysis.scoring import label_measures
from autoanalyze.analysis.tables import LABELS_SCHEMA, MERGES_SCHEMA, RENAMED, merges_recorded
from autoanalyze.editing.edits import MERGED, NO_LABEL, REVIEW, Draft
from autoanalyze.editing.names import Names
from autoanalyze.errors import RunFolderError
from autoanalyze.llm.journal import Journal
from autoanalyze.study.runs import Run, load_run


def rewritten(folder: Path, decide: Callable[[Draft], str]) -> Run:
    """A finished run with its labels edited as `decide` does, which says in a few words what it did.

    Tables, scores and record are written anew without any call, and the journal keeps what was changed.
    Nothing is written if `decide` raises, or if what it decided contradicts itself (InputError). Raises
    RunFolderError for a run that has not finished: it would lose its edits when it is resumed.
    """
    check_finished(folder)
    home = RunFolder(folder)
    with home.locked():
        draft = Draft(load_run(folder))
        by = decide(draft)
        names, edits = draft.names(), draft.logged(by)
        tables = final_tables(draft, names)
        record = {**draft.run.record, **updated(draft, tables)}
        for name, frame in tables.items():
            home.write_table(name, frame)
        if edits.is_empty():
            (folder / "edits.parquet").unlink(missing_ok=True)
        else:
            home.write_table("edits", edits)
        with Journal(home.journal) as journal:
            changes = [asdict(change) for change in draft.changes.values()]
            journal.ledger(merges_recorded(tables["merges"]), by, changes)
        home.write_json("run.json", record)
        if (folder / PAGE).exists():  # it would tell of the labels before
            leave_page(folder)
    return load_run(folder)


def check_finished(folder: Path) -> None:
    """Raise RunFolderError for a run that has not finished, or for a folder of something else."""
    if load_run(folder, partial=True).record["status"] != "done":
        where = as_typed(folder)
        raise RunFolderError(
            f"the run in {where} has not finished, and going on with it would undo what is edited now: "
            f"finish it with `autoanalyze resume {where}` first"
        )


def final_tables(draft: Draft, names: Names) -> dict[str, pl.DataFrame]:
    """All tables that depend on final labels."""
    run = draft.run
    sessions = corrected(under_names(run.sessions, names), draft, names)
    found = {
        "sessions": sessions,
        "labels": vocabulary(draft, names, sessions),
        "merges": ledger(draft, names),
    }
    if run.probes is not None:
        found["probes"] = under_names(run.probes, names)
    if run.unaided is not None:
        found["unaided"] = under_names(run.unaided, names)
    return {name: frame.rechunk() for name, frame in found.items()}


def under_names(frame: pl.DataFrame, names: Names) -> pl.DataFrame:
    """Rows with the labels first given under their final names."""
    return frame.with_columns(
        pl.col(f"{field}_first").replace(names.all_final(field)).alias(field) for field in names.labels
    )


def corrected(sessions: pl.DataFrame, draft: Draft, names: Names) -> pl.DataFrame:
    """Sessions with the labels that a person gave single ones.

    A session that had none is labelled with the first that it is given; how it ended is what its metadata
    say, as long as no model has said anything.
    """
    given: dict[str, dict[str, str | None]] = {field: {} for field in draft.fields}
    for (_, field, session, _), label in draft.added("session"):
        given[field][session] = None if label == NO_LABEL else names.final(field, label)
    for field, labels in given.items():
        mine = pl.col("session_id").replace_strict(labels, default=None, return_dtype=pl.String)
        chosen = pl.col("session_id").is_in(list(labels))
        sessions = sessions.with_columns(pl.when(chosen).then(mine).otherwise(pl.col(field)).alias(field))
    labelled = {
        session for labels in given.values() for session, label in labels.items() if label is not None
    }
    # Who has a fallback had nothing from the model.
    unanswered = pl.col("fallback_outcome").is_not_null()
    by_hand = unanswered & pl.col("session_id").is_in(sorted(labelled))
    return sessions.with_columns(
        status=pl.when(by_hand)
        .then(pl.lit("labelled"))
        .when(unanswered)
        .then(pl.lit("unresolved"))
        .otherwise(pl.col("status")),
        session_outcome=pl.when(by_hand)
        .then(pl.col("fallback_outcome"))
        .when(~unanswered)
        .then(pl.col("session_outcome")),
    )


def vocabulary(draft: Draft, names: Names, sessions: pl.DataFrame) -> pl.DataFrame:
    """The vocabulary with its final names and the sessions that carry them now, and behind it the labels that
    only a person gave."""
    present = set(draft.vocabulary.select("field", "label").iter_rows())
    given = [(key[1], name, key[2]) for key, name in draft.added("name")]
    given += [(key[1], label, label) for key, label in draft.added("session") if label != NO_LABEL]
    new = {(field, name): label for field, name, label in given if (field, name) not in present}
    version = draft.vocabulary["version"].max()
    rows = [
        {
            "arrival": arrival,
            "field": field,
            "label": name,
            "canonical": name if names.group(field, name) is not None else names.final(field, label),
            "sessions_first": 0,
            "sessions": 0,
            "version": version,
            "origin": REVIEW,
        }
        for arrival, ((field, name), label) in enumerate(new.items(), start=len(draft.vocabulary))
    ]
    own = draft.vocabulary.with_columns(
        canonical=pl.Series(
            [names.final(*row) for row in draft.vocabulary.select("field", "label").iter_rows()],
            dtype=pl.String,
        )
    )
    whole = pl.concat([own, pl.DataFrame(rows, schema=LABELS_SCHEMA)])
    counts = {field: dict(sessions[field].value_counts().iter_rows()) for field in names.labels}
    counted = [counts[field].get(label, 0) for field, label in whole.select("field", "label").iter_rows()]
    return whole.with_columns(sessions=pl.Series(counted, dtype=pl.Int64))


def ledger(draft: Draft, names: Names) -> pl.DataFrame:
    """The ledger as it stands: the run's own entries, with `review` where a person decided otherwise, and
    behind them the merges and the names that a person added."""
    columns = ("field", "alias", "canonical", "merged")
    said = [
        (merged, draft.standing.get(("merge", field, alias, canonical)))
        for field, alias, canonical, merged in draft.own.select(columns).iter_rows()
    ]
    own = draft.own.with_columns(
        merged=pl.Series([m if s is None else s == MERGED for m, s in said], dtype=pl.Boolean),
        review=pl.Series(
            [None if s is None else "accepted" if s == MERGED else "undone" for _, s in said], dtype=pl.String
        ),
    )
    first: dict[str, Any] = dict.fromkeys(MERGES_SCHEMA) | {
        "verdict": "same",
        "judge": REVIEW,
        "chosen": "",
        "opinions": 0,
        "round": 0,
        "review": "accepted",
    }
    rows: list[dict[str, Any]] = [
        {
            **first,
            "merge": draft.number(key),
            "field": key[1],
            "alias": key[2],
            "canonical": name if key[0] == "name" else key[3],
            # A name rests while the label that has it is an alias of another.
            "merged": key[0] == "merge" or names.root(key[1], key[2]) == key[2],
            "proposed_by": RENAMED if key[0] == "name" else REVIEW,
            "reason": "renamed by a reviewer" if key[0] == "name" else "added by a reviewer",
        }
        for key, name in (*draft.added("merge"), *draft.added("name"))
    ]
    rows.sort(key=lambda row: row["merge"])
    counts = draft.run.labels.select("field", alias="label", counted="sessions_first")
    joined = pl.concat([own, pl.DataFrame(rows, schema=MERGES_SCHEMA)]).join(
        counts, on=["field", "alias"], how="left", maintain_order="left"
    )
    sessions = pl.coalesce("sessions", "counted", pl.lit(0))
    return joined.with_columns(sessions=sessions).select(*MERGES_SCHEMA)


def updated(draft: Draft, tables: dict[str, pl.DataFrame]) -> dict[str, Any]:
    """What of run.json depends on final labels."""
    run, sessions = draft.run, tables["sessions"]
    truth = run.truth if run.truth is not None else pl.DataFrame()
    measures = label_measures(draft.config, sessions, tables.get("probes"), truth, tables.get("unaided"))
    final = {name: sessions[name].drop_nulls().n_unique() for name in run.record["labels"]}
    merged = tables["merges"].filter(pl.col("merged"), pl.col("proposed_by") != RENAMED)
    labelled = len(sessions.filter(status="labelled"))
    resolution = run.record["resolution"]
    return {
        "sessions": {
            **run.record["sessions"],
            "labelled": labelled,
            "unresolved": len(sessions) - labelled,
        },
        "labels": {name: {**counts, "final": final[name]} for name, counts in run.record["labels"].items()},
        "metrics": measures["metrics"],
        **({"attractors": measures["attractors"]} if "attractors" in measures else {}),
        "agreement": {**run.record["agreement"], **measures["agreement"]},
        "resolution": resolution
        and {
            **resolution,
            "resolved": merged.select("field", "canonical").n_unique(),
            "canonical_mappings": len(merged),
        },
    }
