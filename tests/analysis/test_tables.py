"""The tables of a run folder: a row for everything, and the same columns for a run without anything."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, fields, replace
from pathlib import Path

import polars as pl
import pytest
from fakes import SCHEMA, make_phases
from hypothesis import given, settings
from hypothesis import strategies as st

from autoanalyze.analysis.folder import RunFolder
from autoanalyze.analysis.tables import (
    labels_table,
    merges_recorded,
    merges_table,
    probes_table,
    rounds_table,
    sessions_table,
    tables,
    write_tables,
)
from autoanalyze.phases.duplicates.ledger import Carried, LedgerEntry
from autoanalyze.phases.probes import ProbeResult
from autoanalyze.phases.rounds import RoundRecord
from autoanalyze.records import FALLBACK_OUTCOMES, ContainmentType, Facts, Usage, VocabularySnapshot

FIELD, OTHER = SCHEMA.names
MERGED = {"Claims": "Claim", "Refunds": "Refund"}
intents = st.lists(st.sampled_from(["Claim", "Claims", "Refund", "Refunds", "Card", None]), max_size=15)


@settings(deadline=None, max_examples=30)
@given(intents)
def test_tables_add_up(labels: list[str | None]) -> None:
    """A row per session in its order; labels count their sessions before and after merging; an alias has
    none left, and merges count those that it had."""
    phases = make_phases(labels, MERGED)
    sessions, known = sessions_table(phases), labels_table(phases)
    assert sessions["session_id"].to_list() == [session.session_id for session in phases.sessions]
    assert sessions[f"{FIELD}_first"].to_list() == labels
    assert sessions[FIELD].to_list() == [MERGED.get(label or "", label) for label in labels]
    first = Counter(label for label in labels if label)
    final = Counter(MERGED.get(label, label) for label in labels if label)
    assert dict(known.select("label", "sessions_first").iter_rows()) == first
    assert {label: n for label, n in known.select("label", "sessions").iter_rows() if n} == {
        label: n for label, n in final.items() if label in first
    }
    assert known["canonical"].to_list() == [MERGED.get(label, label) for label in known["label"]]
    assert known["arrival"].to_list() == list(range(len(known)))
    assert known["label"].to_list() == list(dict.fromkeys(label for label in labels if label))
    assert dict(merges_table(phases).select("alias", "sessions").iter_rows()) == {
        alias: first[alias] for alias in MERGED
    }


@settings(deadline=None, max_examples=15)
@given(intents)
def test_a_run_without_anything_has_the_same_columns(labels: list[str | None]) -> None:
    """Who reads a folder need not ask whether a run got anywhere."""
    full = tables(make_phases(labels, MERGED))
    empty = tables(replace(make_phases([]), resolution=None))
    assert set(full) == set(empty) == {"sessions", "labels", "merges", "rounds"}
    for name, frame in full.items():
        assert frame.schema == empty[name].schema
    assert all(frame.is_empty() for frame in empty.values())


@pytest.mark.parametrize("kind", list(FALLBACK_OUTCOMES))
def test_unresolved_session_has_the_channels_outcome(kind: ContainmentType) -> None:
    """Only a session without facts has a fallback, and then no label and no outcome of the model's."""
    phases = make_phases(["Claim", None])
    phases = replace(phases, sessions=tuple(replace(s, containment_type=kind) for s in phases.sessions))
    labelled, lost = sessions_table(phases).rows(named=True)
    assert (labelled["status"], labelled["session_outcome"], labelled["fallback_outcome"]) == (
        "labelled",
        "Contained",
        None,
    )
    assert (lost["status"], lost["session_outcome"], lost["fallback_outcome"], lost["error"]) == (
        "unresolved",
        None,
        FALLBACK_OUTCOMES[kind],
        "lost",
    )
    assert [lost[name] for name in (FIELD, f"{FIELD}_first", OTHER, "notes")] == [None] * 4


def test_labels_tell_where_they_come_from() -> None:
    """Fixed, known from an earlier run (also as its alias), or new; with the version that brought them."""
    entry = LedgerEntry(FIELD, "Claims", "Claim", "same", True, "earlier run", "m", "because")
    carried = Carried({FIELD: ("Card",)}, {FIELD: ("Claim",)}, (entry,))
    phases = make_phases(["Refund", "Claims", "Claim"], {"Claims": "Claim"}, carried=carried)
    known = labels_table(phases).select("label", "origin", "version", "sessions_first").rows()
    assert known == [
        ("Card", "fixed", 1, 0),
        ("Claim", "earlier run", 1, 1),
        ("Refund", "new", 2, 1),
        ("Claims", "earlier run", 2, 1),
    ]


def test_withdrawn_labels_stay_in_the_table() -> None:
    """What prompts show no more was given all the same."""
    phases = make_phases(["Claim", "Claims"], {"Claims": "Claim"})
    vocabulary: VocabularySnapshot = replace(phases.vocabulary, withdrawn=frozenset({(FIELD, "Claims")}))
    assert labels_table(replace(phases, vocabulary=vocabulary))["label"].to_list() == ["Claim", "Claims"]


def test_ledger_is_numbered_and_merges_are_recorded_by_number() -> None:
    """Every decided pair has a number from 1; the journal gets those that were merged, with theirs."""
    phases = make_phases(["A", "B", "C"], {"B": "A"})
    assert phases.resolution is not None
    apart = LedgerEntry(FIELD, "C", "A", "different", False, "embeddings", "test-model", "not the same")
    ledger = (apart, *phases.resolution.ledger)
    table = merges_table(replace(phases, resolution=replace(phases.resolution, ledger=ledger)))
    assert table["merge"].to_list() == [1, 2]
    assert table["review"].to_list() == [None, None]
    assert {field.name for field in fields(LedgerEntry)} <= set(table.columns)
    assert merges_recorded(table) == [
        {
            "merge": 2,
            "field": FIELD,
            "alias": "B",
            "canonical": "A",
            "judge": "test-model",
            "reason": "same meaning",
        }
    ]


def test_probes_stand_under_canonical_labels_and_as_given(tmp_path: Path) -> None:
    """A row per probed session by identity; the table is written only when there were probes."""
    facts = {
        name: Facts("Contained", {FIELD: label, OTHER: None})
        for name, label in (("a001", "Claims"), ("a000", None))
    }
    phases = make_phases(["Claim", "Claims"], MERGED)
    probed = replace(phases, probes=ProbeResult(facts, 2, Usage(), 1, 1.0))
    rows = probes_table(probed).select("session_id", FIELD, f"{FIELD}_first").rows()
    assert rows == [("a000", None, None), ("a001", "Claim", "Claims")]
    assert probes_table(phases).schema == probes_table(probed).schema
    for name, some in (("plain", phases), ("probed", probed)):
        folder = RunFolder.create(tmp_path / name)
        write_tables(folder, some)
        written = {path.stem for path in folder.path.glob("*.parquet")}
        assert written == {"sessions", "labels", "merges", "rounds"} | ({"probes"} if some.probes else set())
        assert pl.read_parquet(folder.path / "sessions.parquet").equals(sessions_table(some))


def test_rounds_are_as_recorded() -> None:
    """A row per round, with whole numbers and seconds told apart, also where seconds are whole."""
    record = RoundRecord(1, 4, 12, 3, 1, 0, 2, 7, 1)
    table = rounds_table([record, replace(record, round=2, start=2.5)])
    assert table.row(0, named=True) == asdict(record)
    assert table.schema == rounds_table([]).schema
    assert [table.schema[name] for name in ("start", "round")] == [pl.Float64(), pl.Int64()]
