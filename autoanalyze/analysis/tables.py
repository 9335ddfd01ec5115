"""The tables of a run folder, made from what the phases brought."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import polars as pl

from autoanalyze.analysis.folder import RunFolder
from autoanalyze.phases.duplicates.ledger import LedgerEntry
from autoanalyze.phases.results import PhaseResults
from autoanalyze.phases.rounds import RoundRecord
from autoanalyze.phases.vocabulary import LabelUse, label_use
from autoanalyze.records import FALLBACK_OUTCOMES
from autoanalyze.study.runs import CODEBOOK_SCHEMA


def write_tables(folder: RunFolder, phases: PhaseResults) -> None:
    """Write the tables of a run into its folder."""
    for name, frame in tables(phases).items():
        folder.write_table(name, frame)
    if phases.probes is not None:
        folder.write_table("probes", probes_table(phases))
    if phases.unaided is not None:
        folder.write_table("unaided", unaided_table(phases))
    if phases.codebook or phases.themes:
        folder.write_table("codebook", codebook_table(phases))


def tables(phases: PhaseResults) -> dict[str, pl.DataFrame]:
    """The tables of the run folder: sessions, labels, merges, rounds."""
    return {
        "sessions": sessions_table(phases),
        "labels": labels_table(phases),
        "merges": merges_table(phases),
        "rounds": rounds_table(phases.parallel.rounds if phases.parallel else ()),
    }


def sessions_table(phases: PhaseResults) -> pl.DataFrame:
    """A row per sampled session, in the order of the sample."""
    rows = []
    for session, result in zip(phases.sessions, phases.results, strict=True):
        final = phases.final.get(session.session_id)
        labels: dict[str, str | None] = {}
        for name in phases.schema.names:
            labels[name] = final.labels[name] if final else None
            labels[f"{name}_first"] = result.facts.labels[name] if result.facts else None
        rows.append(
            {
                "session_id": session.session_id,
                "user_id": session.user_id,
                "start_time": session.start_time,
                "containment_type": session.containment_type,
                "message_count": session.message_count,
                "token_count": session.token_count,
                "status": result.status,
                "session_outcome": final.session_outcome if final else None,
                "fallback_outcome": None if final else FALLBACK_OUTCOMES[session.containment_type],
                **labels,
                "notes": final.notes if final else None,
                "phase": result.phase,
                "round": result.round,
                "stream": result.stream,
                "attempts": result.attempts,
                "vocabulary_version": result.vocabulary_version,
                "shortened": result.shortened,
                "error": result.error,
            }
        )
    text = pl.String()
    schema: dict[str, Any] = {
        "session_id": text,
        "user_id": text,
        "start_time": pl.Datetime("us"),
        "containment_type": text,
        "message_count": pl.Int64(),
        "token_count": pl.Int64(),
        "status": text,
        "session_outcome": text,
        "fallback_outcome": text,
        **{column: text for name in phases.schema.names for column in (name, f"{name}_first")},
        "notes": text,
        "phase": text,
        "round": pl.Int64(),
        "stream": pl.Int64(),
        "attempts": pl.Int64(),
        "vocabulary_version": pl.Int64(),
        "shortened": pl.Boolean(),
        "error": text,
    }
    return pl.DataFrame(rows, schema=schema)


LABELS_SCHEMA: dict[str, Any] = {
    "arrival": pl.UInt32(),
    "field": pl.String(),
    "label": pl.String(),
    "canonical": pl.String(),
    "sessions_first": pl.Int64(),
    "sessions": pl.Int64(),
    "version": pl.Int64(),
    "origin": pl.String(),
}


def labels_table(phases: PhaseResults) -> pl.DataFrame:
    """The vocabulary: a row per label with its arrival, its version, and its sessions before and after.

    `origin` is `new` unless the label was fixed by the user or known from an earlier run; `review` is that of
    names that a person gave after the run.
    """
    redirects, carried = phases.redirects(), phases.carried
    use = label_use(phases.schema, phases.vocabulary, phases.results)
    final: dict[str, dict[str, int]] = {name: {} for name in phases.schema.names}
    for facts in phases.final.values():
        for name, label in facts.labels.items():
            if label is not None:
                final[name][label] = final[name].get(label, 0) + 1
    known = {(entry.field, entry.alias) for entry in carried.ledger if entry.merged}

    def origin(name: str, label: str) -> str:
        if label in carried.fixed.get(name, ()):
            return "fixed"
        return "earlier run" if label in carried.labels.get(name, ()) or (name, label) in known else "new"

    arrivals = [
        (name, label, version)
        for version, addition in enumerate(phases.vocabulary.additions, start=1)
        for name, labels in addition.items()
        for label in labels
    ]
    rows = [
        {
            "arrival": arrival,
            "field": name,
            "label": label,
            "canonical": redirects.get(name, {}).get(label, label),
            "sessions_first": use[name].counts[label],
            "sessions": final[name].get(label, 0),
            "version": version,
            "origin": origin(name, label),
        }
        for arrival, (name, label, version) in enumerate(arrivals)
    ]
    return pl.DataFrame(rows, schema=LABELS_SCHEMA)


MERGES_SCHEMA: dict[str, Any] = {
    "merge": pl.Int64(),
    "field": pl.String(),
    "alias": pl.String(),
    "canonical": pl.String(),
    "verdict": pl.String(),
    "merged": pl.Boolean(),
    "sessions": pl.Int64(),
    "proposed_by": pl.String(),
    "judge": pl.String(),
    "reason": pl.String(),
    "chosen": pl.String(),
    "similarity": pl.Float64(),
    "opinions": pl.Int64(),
    "round": pl.Int64(),
    "review": pl.String(),
}
"""The columns of merges.parquet. `review` is null, `undone` or `accepted` (by a person, after the run). Where
`proposed_by` is `rename`, `canonical` is the name that a person gave the label, and those merged into it."""


RENAMED = "rename"
"""What brought an entry of the ledger about that gives a name instead of merging."""


def merges_table(phases: PhaseResults) -> pl.DataFrame:
    """The ledger of a run: a row per pair of labels that was decided on."""
    ledger = phases.resolution.ledger if phases.resolution else ()
    return ledger_table(ledger, label_use(phases.schema, phases.vocabulary, phases.results))


def ledger_table(ledger: Sequence[LedgerEntry], use: Mapping[str, LabelUse]) -> pl.DataFrame:
    """Ledger entries by number, with the sessions that carry the alias."""
    rows = [
        {
            "merge": number,
            "sessions": use[entry.field].counts.get(entry.alias, 0),
            "review": None,
            **asdict(entry),
        }
        for number, entry in enumerate(ledger, start=1)
    ]
    return pl.DataFrame(rows, schema=MERGES_SCHEMA)


def merges_recorded(merges: pl.DataFrame) -> list[dict[str, Any]]:
    """The merges among the entries of a ledger, as the journal records them."""
    columns = ("merge", "field", "alias", "canonical", "judge", "reason")
    return merges.filter("merged").select(columns).to_dicts()


def codebook_table(phases: PhaseResults) -> pl.DataFrame:
    """What a codebook says of names, and the themes of final labels; see CODEBOOK_SCHEMA."""
    ledger = phases.resolution.ledger if phases.resolution else ()
    direct = {(entry.field, entry.alias): entry for entry in ledger if entry.merged}
    rows = []
    for name in phases.schema.names:
        book, themes = phases.codebook.get(name), phases.themes.get(name, {})
        for label in phases.vocabulary.labels(name) if book or themes else ():
            entry = direct.get((name, label))
            if entry is not None and entry.verdict != "narrower":
                continue
            place = "narrower" if entry else "unfit" if book and label in book.unfit else "stays"
            under = entry.canonical if entry else None
            line = book.lines.get(label) if book and place == "stays" else None
            rows.append((name, label, place if book else None, under, line or None, themes.get(label)))
    return pl.DataFrame(rows, schema=CODEBOOK_SCHEMA, orient="row")


def probes_table(phases: PhaseResults) -> pl.DataFrame:
    """A row per session that was labelled twice: the second answer, under canonical labels and as given."""
    redirects, names = phases.redirects(), phases.schema.names
    facts = phases.probes.facts if phases.probes else {}
    rows = [
        {
            "session_id": session_id,
            **{
                name: None if label is None else redirects.get(name, {}).get(label, label)
                for name, label in fact.labels.items()
            },
            **{f"{name}_first": label for name, label in fact.labels.items()},
        }
        for session_id, fact in sorted(facts.items())
    ]
    columns = ("session_id", *names, *(f"{name}_first" for name in names))
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String))


def unaided_table(phases: PhaseResults) -> pl.DataFrame:
    """A row per session that was labelled without known labels.

    Per field the final label that its name stands for, that label as it was first given, and the name itself.
    A name that stands for none of the run's labels is a label of its own.
    """
    redirects, names, unaided = phases.redirects(), phases.schema.names, phases.unaided
    rows = []
    for session_id, fact in sorted(unaided.probes.facts.items()) if unaided else ():
        row: dict[str, str | None] = {"session_id": session_id}
        for name in names:
            label = unaided.called(name, fact.labels.get(name)) if unaided else None
            final = None if label is None else redirects.get(name, {}).get(label, label)
            row |= {name: final, f"{name}_first": label, f"{name}_name": fact.labels.get(name)}
        rows.append(row)
    columns = ("session_id", *(f"{name}{part}" for name in names for part in ("", "_first", "_name")))
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String))


def rounds_table(rounds: Sequence[RoundRecord]) -> pl.DataFrame:
    """A row per round, or per call where there are no rounds; times in seconds on the run's clock."""
    schema: dict[str, Any] = {
        column.name: pl.Float64() if column.type == "float" else pl.Int64() for column in fields(RoundRecord)
    }
    return pl.DataFrame([asdict(record) for record in rounds], schema=schema)
