"""Runs of the reader: the same phases, journal and folder as of any endpoint."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from reading_texts import MATTERS, chats
from sklearn.metrics import adjusted_mutual_info_score

from autoanalyze.analysis.build import build_analysis
from autoanalyze.analysis.configuration import compose
from autoanalyze.config import Config, FaultsConfig
from autoanalyze.data.store import Store
from autoanalyze.errors import ConfigurationError, QuotaExceededError
from autoanalyze.llm.tokens import Estimate, count_with
from autoanalyze.records import Conversation
from autoanalyze.study.runs import Run

pytestmark = pytest.mark.slow  # whole runs and commands

TABLES = ("sessions", "labels", "merges", "rounds")


def store_at(path: Path, conversations: list[Conversation]) -> Path:
    """A session store in a file."""
    with Store.open(path) as store:
        store.add(
            conversations,
            bot_id="default",
            count_tokens=count_with(Estimate()),
            token_encoding="estimate",
            source="test",
        )
    return path


def config_of(path: Path, *overrides: str) -> Config:
    """Reading the sessions of a store."""
    settings = ["endpoint=offline", "data=store", f"data.path={path}", "resamples=0", "page=false"]
    return compose([*settings, "data.minimum_messages=1", "discovery=none", "batch_size=5", *overrides])


def bytes_of(run: Run) -> dict[str, str]:
    """The content of all that a run says of sessions and labels, and of its journal."""
    tables = {name: getattr(run, name).write_ndjson() for name in TABLES}
    return {**tables, "calls": (run.path / "calls.jsonl").read_text(encoding="utf-8")}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our own chats, without truth."""
    return store_at(tmp_path_factory.mktemp("store") / "sessions.duckdb", chats())


@pytest.fixture(scope="module")
def run(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run on them."""
    return build_analysis(config_of(store)).run_sync(tmp_path_factory.mktemp("runs") / "run")


def test_matters_are_found_without_being_told(run: Run) -> None:
    """Eight streams, merging at the end: what came out follows the eight matters, which nobody gave."""
    found = dict(run.sessions.select("session_id", "general_intent").iter_rows())
    matters = [next(m for m in MATTERS if name.startswith(m.lower().replace(" ", "-"))) for name in found]
    assert adjusted_mutual_info_score(matters, list(found.values())) > 0.8
    transfers = run.sessions.filter(session_outcome="Transfer")
    assert len(transfers) == len(MATTERS) * 4
    assert transfers["drop_off_location"].null_count() == 0


def test_merges_are_not_tried_on_a_reader(store: Path, tmp_path: Path) -> None:
    """It calls a session by its topic whatever names are in sight, so that it would keep apart all that its
    judge, who read every session, put together."""
    run = build_analysis(config_of(store, "parallel.streams=16", "sync=none")).run_sync(tmp_path / "run")
    assert run.merges["merged"].sum() > 0
    assert "second look" not in run.merges["judge"]


def test_all_of_it_is_marked_a_draft_that_costs_nothing(run: Run) -> None:
    """By its endpoint, its model's name and its caveats; nothing claims truth, speedup or a baseline."""
    assert run.record["endpoint"].startswith("offline-")
    assert run.record["model"] == "reader"
    assert run.record["cost_usd"] == 0
    assert "topics by words, no model" in run.caveats["draft"]
    assert "simulated" not in run.caveats
    assert run.truth is None
    assert run.record["speedup"] is run.record["baseline"] is None
    assert not run.record["metrics"]
    assert all(note.startswith("Draft by words") for note in run.sessions["notes"])


def test_truth_in_the_store_changes_nothing(run: Run, tmp_path: Path) -> None:
    """The reader cannot see it: the same sessions with truth beside them are labelled the same to the byte;
    only the scores are added."""
    known = store_at(tmp_path / "known.duckdb", chats(truth=True))
    scored = build_analysis(config_of(known)).run_sync(tmp_path / "scored")
    assert scored.record["metrics"]
    assert bytes_of(scored) == bytes_of(run)


def test_two_runs_give_the_same_bytes_and_a_replay_too(run: Run, store: Path, tmp_path: Path) -> None:
    """Offline from the texts, or from the journal of the first."""
    again = build_analysis(config_of(store)).run_sync(tmp_path / "again")
    assert bytes_of(again) == bytes_of(run)
    replay = config_of(store, "journal.mode=replay", f"journal.reuse=['{run.path}']")
    replayed = build_analysis(replay).run_sync(tmp_path / "replayed")
    assert replayed.sessions.equals(run.sessions)
    assert replayed.record["calls"] == run.record["calls"]


def test_other_sessions_are_another_endpoint(run: Run, tmp_path: Path) -> None:
    """What it answers rests on all of a run's sessions, so no answer is taken over from other ones."""
    fewer = store_at(tmp_path / "fewer.duckdb", chats()[:-6])
    other = build_analysis(config_of(fewer, f"journal.reuse=['{run.path}']")).run_sync(tmp_path / "other")
    assert other.record["endpoint"] != run.record["endpoint"]
    assert not other.calls["reused"].any()


def test_a_run_that_stopped_goes_on_where_it_was(run: Run, store: Path, tmp_path: Path) -> None:
    """And ends with the labels of one that was never disturbed."""
    stopped = replace(config_of(store), faults=FaultsConfig(quota_after=6))
    with pytest.raises(QuotaExceededError):
        build_analysis(stopped).run_sync(tmp_path / "stopped")
    resumed = build_analysis(config_of(store)).run_sync(tmp_path / "stopped", resume=True)
    assert resumed.sessions.drop("attempts").equals(run.sessions.drop("attempts"))
    lines = (resumed.path / "calls.jsonl").read_text(encoding="utf-8").splitlines()
    answered = [call["request"] for call in map(json.loads, lines) if call["event"] == "answered"]
    assert len(answered) == len(set(answered))


@pytest.mark.parametrize("resolution", [["llm"], ["embeddings", "resolution.merge_above=0.7"], ["none"]])
def test_any_way_of_merging_works(store: Path, tmp_path: Path, resolution: list[str]) -> None:
    """Also where the judge is shown all labels at once, or likeness alone decides."""
    config = config_of(store, *(key if "=" in key else f"resolution={key}" for key in resolution))
    merged = build_analysis(config).run_sync(tmp_path / "run")
    assert merged.record["sessions"]["labelled"] == len(chats())


def test_faults_are_survived(store: Path, tmp_path: Path) -> None:
    """Trouble on the wire is the wire's, whoever stands behind it."""
    troubled = replace(config_of(store), faults=FaultsConfig(rate=0.1))
    assert build_analysis(troubled).run_sync(tmp_path / "run").record["sessions"]["unresolved"] == 0


def test_one_session_is_a_run(tmp_path: Path) -> None:
    """As little as there can be."""
    alone = store_at(tmp_path / "alone.duckdb", chats()[:1])
    found = build_analysis(config_of(alone)).run_sync(tmp_path / "run")
    assert found.record["sessions"]["labelled"] == 1


def test_limits_of_a_tier_are_no_setting_of_the_reader(store: Path) -> None:
    """It has no account anywhere."""
    with pytest.raises(ConfigurationError, match="reader has no tiers"):
        config_of(store, "limits=tier1")
