"""Probe sessions measure agreement and change nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from fakes import SCHEMA, EchoReader, ScriptedModel, make_sessions, make_tokens, row

from autoanalyze.analysis.build import build_analysis
from autoanalyze.analysis.configuration import compose
from autoanalyze.config import RetryConfig
from autoanalyze.llm.prompts import AnalysisPrompt
from autoanalyze.phases.probes import ProbeSessions
from autoanalyze.phases.streams import StreamProcessing
from autoanalyze.records import Facts, SessionResult, VocabularySnapshot

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
