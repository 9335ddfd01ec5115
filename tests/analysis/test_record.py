"""What run.json says of a run: its totals add up, and it holds no secret."""

from __future__ import annotations

import json
from contextlib import chdir
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes import MODEL, SCHEMA, make_phases
from hypothesis import given, settings
from hypothesis import strategies as st

from autoanalyze.analysis import record as records
from autoanalyze.analysis.configuration import located
from autoanalyze.analysis.record import (
    PACKAGES,
    Completed,
    mean_staleness,
    packages,
    probe_totals,
    provenance,
    totals,
    wall,
)
from autoanalyze.config import Config, DataConfig, JournalConfig, VocabularyConfig
from autoanalyze.llm.journal import Account
from autoanalyze.phases.probes import ProbeResult
from autoanalyze.phases.results import PhaseResults
from autoanalyze.phases.rounds import Degradation, ParallelResult, RoundRecord
from autoanalyze.records import Facts, Usage

FIELD = SCHEMA.names[0]
MERGED = {"Claims": "Claim"}


ACCOUNT = Account(
    calls=9,
    usage=Usage(900, 100, 90, 5),
    paid_calls=4,
    paid_usage=Usage(400, 0, 40, 5),
    failures=2,
    spent_usd=0.25,
    uncertain_usd=0.01,
)


def completed(phases: PhaseResults) -> Completed:
    return Completed(phases, ACCOUNT, 0.5, 12.3456789)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from(["Claim", "Claims", "Refund", None]), max_size=12))
def test_totals_count_every_session_and_label_once(labels: list[str | None]) -> None:
    """Labelled and unresolved make the sample; labels are counted before and after merging; known ones
    that nobody used do not count."""
    figures = totals(completed(make_phases(labels, MERGED)))
    given_labels = {label for label in labels if label}
    assert figures["sessions"] == {
        "sampled": len(labels),
        "labelled": len(labels) - labels.count(None),
        "unresolved": labels.count(None),
        "shortened": 0,
    }
    final = {MERGED.get(label, label) for label in given_labels}
    assert figures["labels"][FIELD] == {"first_given": len(given_labels), "final": len(final)}
    assert figures["labels"][SCHEMA.names[1]] == {"first_given": 0, "final": 0}
    assert figures["resolution"]["canonical_mappings"] == 1
    assert json.loads(json.dumps(figures)) == figures
    assert (figures["model_seconds"], figures["cost_usd"]) == (12.346, 0.5)


def test_what_was_paid_stands_apart_from_what_the_run_takes() -> None:
    """Answers that were there already count as calls, tokens and cost of the run, and not as paid."""
    figures = totals(completed(make_phases(["Claim"])))
    assert (figures["calls"], figures["failed_calls"]) == (9, 2)
    assert figures["tokens"] == {"prompt": 900, "cached": 100, "completion": 90, "embedded": 5}
    assert figures["paid"] == {
        "calls": 4,
        "tokens": {"prompt": 400, "cached": 0, "completion": 40, "embedded": 5},
        "cost_usd": 0.25,
        "uncertain_usd": 0.01,
    }


def test_a_phase_that_was_not_reached_is_null() -> None:
    """A run that stopped early says so, instead of zeros that look like results."""
    figures = totals(completed(replace(make_phases(["Claim"]), resolution=None)))
    assert [figures[name] for name in ("discovery", "parallel", "resolution", "probes")] == [None] * 4


def record(staleness: float, missed: float) -> RoundRecord:
    return RoundRecord(1, 1, 1, 0, 1, 0.0, 1.0, 1.0, 0.0, staleness, missed)


def test_figures_of_the_streams() -> None:
    """Rounds, utilisation, staleness as means over calls, and when there became fewer streams."""
    rounds = (record(1, 4), record(2, 0))
    degradation = Degradation(1, 4, 2, "busy")
    phases = make_phases(["Claim"])
    parallel = ParallelResult(phases.results, phases.vocabulary, rounds, (degradation,), Usage(), 0.123456)
    assert totals(completed(replace(phases, parallel=parallel)))["parallel"] == {
        "rounds": 2,
        "sync_points": 2,
        "utilisation": 0.1235,
        "staleness": 1.5,
        "missed_labels": 2.0,
        "degradations": [{"round": 1, "streams_before": 4, "streams_after": 2, "reason": "busy"}],
    }
    assert mean_staleness([]) == {"staleness": None, "missed_labels": None}


def test_probes_tell_how_many_answered() -> None:
    """Asked, answered, and what that took."""
    facts = {"a000": Facts("Contained", {})}
    told = probe_totals(ProbeResult(facts, 3, Usage(10, 2, 3), 2, 1.23456), 0.123456789)
    assert told == {
        "asked": 3,
        "answered": 1,
        "calls": 2,
        "tokens": {"prompt": 10, "cached": 2, "completion": 3, "embedded": 0},
        "cost_usd": 0.123457,
        "seconds": 1.235,
    }


def provenance_of(config: Config) -> dict[str, Any]:
    return provenance(
        config, endpoint="simulated", dataset_fingerprint="f", instructions="label", token_counter="estimate"
    )


def test_provenance_is_repeatable_and_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the same; the whole configuration is in it, the key of the environment is not; what stands
    around a run changes no hash, and what it does, does."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    config = Config(model=MODEL)
    found = provenance_of(config)
    assert found == provenance_of(config)
    text = json.dumps(found)
    assert "sk-secret" not in text
    assert found["config"]["model"]["name"] == found["model"] == "test-model"
    assert provenance_of(replace(config, case="named"))["config_hash"] == found["config_hash"]
    assert provenance_of(replace(config, seed=8))["config_hash"] != found["config_hash"]
    other = provenance(
        config, endpoint="e", dataset_fingerprint="f", instructions="other", token_counter="estimate"
    )
    assert other["prompt_hash"] != found["prompt_hash"]


def test_packages_have_versions() -> None:
    """Of each package that matters, the version that is installed."""
    assert list(packages()) == list(PACKAGES)
    assert all(version[0].isdigit() for version in packages().values())


def test_git_is_null_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without git, or a package that is in no repository, is no failure."""

    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError("git")

    monkeypatch.setattr("autoanalyze.analysis.record.subprocess.run", missing)
    state = records.git_state.__wrapped__()
    assert state is None or dict(state) == {"commit": None, "dirty": None}


def test_wall_clock_is_told_in_utc() -> None:
    """When a run began, when it ended, and how long it took, never less than nothing."""
    told = wall(datetime.now(UTC) - timedelta(seconds=5))
    assert told["seconds"] >= 5
    assert told["started"] < told["ended"]
    assert told["ended"].endswith("+00:00")


def test_no_hash_depends_on_the_folder(tmp_path: Path) -> None:
    """Paths are recorded in full; who works elsewhere with the same files has the same hash, and another
    earlier run makes another one."""
    config = Config(
        model=MODEL,
        data=DataConfig(source="store", path="sessions.duckdb"),
        vocabulary=VocabularyConfig(from_run="week"),
        journal=JournalConfig(reuse=["week"]),
    )
    found = []
    for place, run_id in (("here", "one"), ("there", "one"), ("third", "other")):
        week = tmp_path / place / "week"
        week.mkdir(parents=True)
        (week / "run.json").write_text(json.dumps({"id": run_id}))
        with chdir(tmp_path / place):
            found.append(provenance_of(config))
            assert provenance_of(located(config)) == found[-1]
    recorded = found[0]["config"]
    here = tmp_path / "here"
    assert recorded["data"]["path"] == str(here / "sessions.duckdb")
    assert recorded["journal"]["reuse"] == [recorded["vocabulary"]["from_run"]] == [str(here / "week")]
    hashes = [each["config_hash"] for each in found]
    assert hashes[0] == hashes[1] != hashes[2]
