"""Probe sessions measure agreement and change nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from fakes import SCHEMA, EchoReader, ScriptedModel, make_sessions, make_tokens, row
from typer.testing import CliRunner

from autoanalyze.analysis.build import build_analysis
from autoanalyze.analysis.configuration import compose
from autoanalyze.cli.commands import app
from autoanalyze.config import RetryConfig
from autoanalyze.editing.labels import labels
from autoanalyze.llm.prompts import AnalysisPrompt
from autoanalyze.phases.probes import UNAIDED, ProbeSessions
from autoanalyze.phases.streams import StreamProcessing
from autoanalyze.records import Facts, SessionResult, VocabularySnapshot
from autoanalyze.study.runs import load_run

Virtually = Callable[[Any], Any]
VOCABULARY = VocabularySnapshot(({"general_intent": ("A",)}, {"general_intent": ("B",)}))


def probes(model: ScriptedModel) -> ProbeSessions:
    streams = StreamProcessing(
        model, EchoReader(), AnalysisPrompt(SCHEMA), make_tokens(), retry=RetryConfig(), seed=1
    )
    return ProbeSessions(streams, 4, seed=1)


def labelled(count: int, version: int) -> list[SessionResult]:
    facts = Facts("Contained", {"general_intent": "A", "transfer_reason": None})
    return [
        SessionResult(f"a{i:03}", facts, "parallel", 1, 1, 1, vocabulary_version=version)
        for i in range(count)
    ]


def test_probes_see_no_more_than_the_session_did(virtually: Virtually) -> None:
    """A probe of a session that was labelled at version 1 is shown version 1, with another seed."""
    model = ScriptedModel(lambda _n, ids, _v, _c: [row(f"s{i}", "B") for i in range(1, len(ids) + 1)])
    chosen = probes(model).select(labelled(40, version=1), 0.25)
    result = virtually(probes(model).run(make_sessions(40), chosen, VOCABULARY))
    assert len(chosen) == len(result.facts) == result.asked == 10
    assert {vocabulary.labels("general_intent") for _, vocabulary, _ in model.calls} == {("A",)}
    assert all(context.probe == 1 for _, _, context in model.calls)
    own_seed = probes(model)._streams  # the seed of an ordinary call of the same stream processing
    virtually(own_seed.process_stream(make_sessions(1), VOCABULARY, phase="parallel", stream=1))
    assert model.calls[-1][2].seed not in {context.seed for _, _, context in model.calls[:-1]}


def test_unresolved_sessions_are_not_probed() -> None:
    """There is nothing to agree with."""
    lost = [SessionResult("a", None, "parallel", 1, 1, 4, error="lost")]
    assert probes(ScriptedModel()).select(lost, 1.0) == []


@pytest.mark.slow
def test_probes_are_counted_once_and_change_no_label(tmp_path: Path) -> None:
    """With probes, sessions keep the labels first given; cost grows by what the probes took, and is shown."""
    settings = ["data.count=80", "baseline=none", "resamples=20"]
    plain = build_analysis(compose(settings)).run_sync(tmp_path / "plain")
    probed = build_analysis(compose([*settings, "probe_share=0.5"])).run_sync(tmp_path / "probed")
    first = [column for column in plain.sessions.columns if column.endswith("_first")]
    assert plain.sessions.select("session_id", *first).equals(probed.sessions.select("session_id", *first))
    taken = probed.record["probes"]
    assert taken["asked"] == 40
    assert taken["answered"] <= 40
    assert probed.record["cost_usd"] > plain.record["cost_usd"]
    calls = probed.calls.filter(pl.col("phase") == "probe")
    assert calls["prompt"].sum() == taken["tokens"]["prompt"]
    assert 0 < taken["cost_usd"] < probed.record["cost_usd"]
    agreement = probed.record["agreement"]["probes"]["general_intent"]
    assert 0.7 < agreement["value"] <= 1
    assert agreement["low"] <= agreement["value"] <= agreement["high"]


@pytest.mark.slow
def test_repetitions_show_the_ceiling(tmp_path: Path) -> None:
    """Runs repeated on the same sessions agree on most and not on all of them; the first is the result."""
    settings = ["data.count=80", "baseline=none", "resamples=20"]
    single = build_analysis(compose(settings)).run_sync(tmp_path / "single")
    repeated = build_analysis(compose([*settings, "repeat=3"])).run_sync(tmp_path / "repeated")
    assert repeated.sessions.equals(single.sessions)
    ceiling = repeated.record["agreement"]["repeats"]
    assert ceiling["runs"] == 3
    assert ceiling["cost_usd"] > single.record["cost_usd"]
    assert 0.8 < ceiling["fields"]["general_intent"]["value"] < 1


def test_unaided_probes_are_shown_no_label(virtually: Virtually) -> None:
    """And draw by a seed of their own, on another sample than the other probes."""
    model = ScriptedModel(lambda _n, ids, _v, _c: [row(f"s{i}", "B") for i in range(1, len(ids) + 1)])
    asking = probes(model)
    results = labelled(40, version=2)
    chosen = asking.select(results, 0.25, UNAIDED)
    assert {r.session_id for r in chosen} != {r.session_id for r in asking.select(results, 0.25)}
    found = virtually(asking.run_unaided(make_sessions(40), chosen))
    assert len(found.facts) == found.asked == 10
    assert all(vocabulary == VocabularySnapshot() for _, vocabulary, _ in model.calls)
    assert {(context.phase, context.probe) for _, _, context in model.calls} == {(UNAIDED, 2)}


@pytest.mark.slow
def test_attractors_are_told_and_their_sessions_looked_at_again(tmp_path: Path) -> None:
    """Unaided probes change no label of a run of one pass; their figures stand in run.json, page and list,
    also after a person renamed labels; with two passes, its sessions are asked about without an attractor."""
    settings = ["world=attracting", "noise.attraction=0.15", "data.count=240", "seed=4", "baseline=none"]
    shown, once = [*settings, "resamples=0"], "passes=1"
    small = [*shown, "page=false"]
    plain = build_analysis(compose([*small, once])).run_sync(tmp_path / "plain")
    probed = build_analysis(compose([*shown, "unaided_share=0.5", once])).run_sync(tmp_path / "probed")
    assert probed.sessions.equals(plain.sessions)
    assert probed.labels.equals(plain.labels)
    assert probed.record["unaided"]["asked"] == 120
    assert (
        0 < probed.record["unaided"]["cost_usd"] < probed.record["cost_usd"] - plain.record["cost_usd"] + 1e-9
    )
    accused = {
        (field, row["label"])
        for field, rows in probed.record["attractors"].items()
        for row in rows
        if row["attractor"]
    }
    assert accused
    field, label = sorted(accused)[0]
    assert "Labels that may swallow others" in (probed.path / "report.html").read_text()
    listed = CliRunner().invoke(app, ["labels", str(probed.path)])
    assert f"{label} may swallow sessions" in " ".join(listed.output.split())
    labels(probed.path).rename(label, "Anything At All", field=field)
    renamed = load_run(probed.path).record["attractors"][field]
    assert "Anything At All" in [row["label"] for row in renamed if row["attractor"]]
    twice = build_analysis(compose([*small, "unaided_share=0.5", "passes=2"])).run_sync(tmp_path / "twice")
    before, after = (run.record["metrics"][field]["precision"]["value"] for run in (plain, twice))
    assert after > before
    again = [*small, "unaided_share=0.5", "passes=2", "journal.mode=replay", f"journal.reuse=[{twice.path}]"]
    assert build_analysis(compose(again)).run_sync(tmp_path / "again").sessions.equals(twice.sessions)
