"""A judge of its own: another model judges, at the same endpoint and of the same budget."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import polars as pl
import pytest

from autoanalyze.analysis.build import build_analysis, build_plan, check
from autoanalyze.analysis.configuration import compose, restored
from autoanalyze.analysis.given import check_used
from autoanalyze.errors import BudgetExceededError, ConfigurationError

pytestmark = pytest.mark.slow  # whole runs and commands

SMALL = ("data.count=60", "baseline=none", "resamples=0", "page=false", "token_counter=estimate")


def test_the_judge_is_any_model_with_its_own_settings() -> None:
    """Files and catalogues, completed as the main model is; kept in what a run records of itself."""
    filed = compose(["resolution.model=gpt-4.1"])
    assert filed.resolution.model is not None
    assert (filed.resolution.model.name, filed.resolution.model.price_prompt) == ("gpt-4.1", 2.0)
    assert filed.resolution.model.output_limit > 4_096
    assert filed.model.name == "gpt-4o-mini"
    assert restored(asdict(filed)) == filed
    known = compose(["resolution=llm", "resolution.model=gpt-5-nano", "resolution.model.price_prompt=9"])
    assert known.resolution.model is not None
    assert (known.resolution.model.temperature, known.resolution.model.price_prompt) == (None, 9.0)
    assert compose([]).resolution.model is None


def test_a_judge_whose_price_nobody_knows_is_refused() -> None:
    """By the key to give; a name that no catalogue has is no model, and one that nobody asks is idle."""
    unpriced = ["endpoint=https://example.org/v1", "resolution.model=generic", "resolution.model.name=abc"]
    with pytest.raises(ConfigurationError, match=r"resolution.model.price_prompt is not set for abc"):
        check(replace(compose(unpriced), embeddings=replace(compose([]).embeddings, source="offline")))
    with pytest.raises(ConfigurationError, match=r"no catalogue knows the model .gpt-4\.11"):
        compose(["resolution.model=gpt-4.11"])
    tier = ["limits=tier1", "resolution.model=generic", "resolution.model.name=abc"]
    with pytest.raises(ConfigurationError, match="the model abc has no tiers"):
        compose(tier)
    idle = ["resolution=none", "model@resolution.model=gpt-4.1"]
    with pytest.raises(ConfigurationError, match="no model judges"):
        check_used(idle, [compose(idle)])


@pytest.mark.slow
def test_each_call_is_priced_by_its_own_model(tmp_path: Path) -> None:
    """Labels are those of one model for both, since the simulated one errs alike under every name; a plan
    foresees the split, and a run that is stopped and resumed, or replayed, comes to the same."""
    single = build_analysis(compose(SMALL)).run_sync(tmp_path / "single")
    settings = [*SMALL, "resolution.model=gpt-4.1"]
    run = build_analysis(compose(settings)).run_sync(tmp_path / "two")
    assert run.sessions.equals(single.sessions)
    asked = {kind: set(part["model"]) for (kind,), part in run.calls.group_by("kind")}
    assert asked["analyze"] == {"gpt-4o-mini"}
    assert asked["judge"] == {"gpt-4.1"}
    record, before = run.record, single.record
    assert (record["model"], record["judge"], before["judge"]) == ("gpt-4o-mini", "gpt-4.1", "gpt-4o-mini")
    by_kind = dict(run.calls.group_by("kind").agg(pl.col("cost_usd").sum()).iter_rows())
    assert record["cost_by"]["judging"] == pytest.approx(by_kind["judge"], abs=1e-6)
    assert record["cost_usd"] == pytest.approx(sum(record["cost_by"].values()), abs=2e-6)
    assert record["cost_by"]["labelling"] == before["cost_by"]["labelling"]
    # USD 2 and 8 for a million tokens, instead of 0.15 and 0.60; of cached ones 0.5 instead of 0.075.
    assert 6 < record["cost_by"]["judging"] / before["cost_by"]["judging"] < 14
    plans = [build_plan(compose(some)) for some in (SMALL, settings)]
    assert plans[1].cost_usd > plans[0].cost_usd
    assert (plans[0].judge, plans[1].judge) == (None, "gpt-4.1")
    replay = [*settings, "journal.mode=replay", f"journal.reuse=[{run.path}]"]
    assert build_analysis(compose(replay)).run_sync(tmp_path / "again").sessions.equals(run.sessions)
    most = record["cost_by"]["labelling"] + record["cost_by"]["judging"] / 4
    with pytest.raises(BudgetExceededError):
        build_analysis(compose([*settings, f"budget_usd={most}"])).run_sync(tmp_path / "stopped")
    raised = replace(compose(settings), budget_usd=1.0)
    resumed = build_analysis(raised).run_sync(tmp_path / "stopped", resume=True)
    assert resumed.sessions.equals(run.sessions)
    assert resumed.record["paid"]["cost_usd"] == pytest.approx(record["paid"]["cost_usd"], abs=1e-6)
