"""Plans: near what a run takes, never below what it may cost, and made without contacting anything."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import typer
from fakes import make_sessions, make_tokens
from hypothesis import given, settings
from hypothesis import strategies as st

from autoanalyze.analysis.build import build_analysis, build_plan
from autoanalyze.analysis.configuration import compose
from autoanalyze.analysis.planning import (
    JUDGE_SECONDS,
    Plan,
    ask_before_spending,
    batches,
    dealt,
    looks,
    working_seconds,
)
from autoanalyze.config import Config, DiscoveryConfig, ParallelConfig, SecondLookConfig
from autoanalyze.errors import ConfigurationError


@pytest.fixture(scope="module")
def config() -> Config:
    """A small run without anything around it."""
    settings = ["data.count=80", "data.population=160", "baseline=none", "resamples=0", "parallel.streams=4"]
    return compose(settings)


ADAPTIVE = DiscoveryConfig("adaptive")
FIXED = DiscoveryConfig("fixed", min_sessions=10, max_sessions=20)
NONE = DiscoveryConfig("none")
CASES = {
    "as it comes": {"discovery": ADAPTIVE},
    "rounds": {"sync": "rounds", "discovery": FIXED},
    "nothing shared": {"sync": "none", "discovery": NONE},
    "sequential": {"sync": "sequential"},
    "probed": {"discovery": FIXED, "probe_share": 0.5},
}


@pytest.mark.parametrize("case", CASES)
def test_plan_is_near_what_a_run_takes_and_bounds_its_cost(config: Config, case: str, tmp_path: Path) -> None:
    """Labelling calls within a quarter, tokens and cost within two thirds, time within a half to two
    and a half times what the simulated run takes; its cost is below the upper bound."""
    settings = replace(config, **CASES[case])  # type: ignore[arg-type]  # keywords of Config
    plan, run = build_plan(settings), build_analysis(settings).run_sync(tmp_path / "run")
    record = run.record
    calls = len(run.calls.filter(run.calls["kind"] == "analyze"))
    assert plan.sessions == record["sessions"]["sampled"] == 80
    assert plan.discovery_calls + plan.parallel_calls == pytest.approx(calls, rel=0.25)
    assert plan.prompt_tokens == pytest.approx(record["tokens"]["prompt"], rel=0.67)
    assert plan.completion_tokens >= record["tokens"]["completion"]
    assert plan.cost_usd == pytest.approx(record["cost_usd"], rel=0.67)
    assert plan.cost_usd < plan.cost_upper_usd
    assert record["cost_usd"] < plan.cost_upper_usd
    assert 0.5 < plan.seconds / record["model_seconds"] < 2.5


def test_further_looks_are_planned(config: Config, tmp_path: Path) -> None:
    """They cost more calls and more money, never more than a look at everybody."""
    config = replace(config, second_look=SecondLookConfig(rare_share=0.05, most=1.0))
    once, twice, thrice = (build_plan(replace(config, passes=passes)) for passes in (1, 2, 3))
    assert once.calls < twice.calls <= thrice.calls
    assert once.prompt_tokens < twice.prompt_tokens < thrice.prompt_tokens
    assert once.cost_usd < twice.cost_usd < thrice.cost_usd < 3 * once.cost_usd
    run = build_analysis(replace(config, passes=3)).run_sync(tmp_path / "run")
    assert run.record["cost_usd"] < thrice.cost_upper_usd


def test_plans_are_repeatable_and_repetitions_multiply_them(config: Config) -> None:
    """The same twice; three repetitions take three times as much of everything."""
    once, thrice = build_plan(config), build_plan(replace(config, repeat=3))
    assert once == build_plan(config)
    for name in ("calls", "prompt_tokens", "completion_tokens"):
        assert getattr(thrice, name) == 3 * getattr(once, name)
    for name in ("cost_usd", "cost_upper_usd", "working_seconds"):
        assert getattr(thrice, name) == pytest.approx(3 * getattr(once, name))
    assert thrice.sessions == once.sessions


def test_limits_make_a_run_longer(config: Config) -> None:
    """A plan takes as long as its limits make it, if that is longer than the work."""
    free = build_plan(config)
    limits = replace(config.limits, tokens_per_minute=5_000)
    slow = build_plan(replace(config, limits=limits))
    assert free.limit_seconds is None
    assert free.seconds == free.working_seconds
    assert slow.limit_seconds is not None
    assert slow.seconds == slow.limit_seconds > free.seconds


def test_fewer_sessions_than_wanted_are_planned_as_they_are(config: Config) -> None:
    """Only sessions that there are, and none at all if none fits."""
    assert build_plan(replace(config, data=replace(config.data, count=1000))).sessions == 160
    few = build_plan(replace(config, data=replace(config.data, count=1)))
    assert (few.sessions, few.discovery_calls + few.parallel_calls) == (1, 1)


@settings(deadline=None, max_examples=30)
@given(
    st.integers(0, 300),
    st.integers(1, 32),
    st.sampled_from(["rounds", "continuous", "none", "sequential"]),
    st.sampled_from([ADAPTIVE, FIXED, NONE]),
    st.none() | st.integers(1, 20),
    st.none() | st.floats(0.1, 5),
)
def test_every_session_is_planned_once(
    count: int, streams: int, sync: str, discovery: DiscoveryConfig, share: int | None, taper: float | None
) -> None:
    """However sessions are dealt: all of them, in order, in calls of one to as many as the limits allow;
    more streams never work longer on them where nobody waits."""
    parallel = ParallelConfig(streams, share, taper=taper)
    settings_ = Config(sync=sync, discovery=discovery, parallel=parallel)
    sessions, tokens = make_sessions(count), make_tokens(streams=streams)
    calls = [call for part in dealt(settings_, sessions, tokens) for call in batches(tokens, part, share)]
    assert [session for call in calls for session in call] == sessions
    assert all(1 <= len(call) <= tokens.item_cap(share) for call in calls)
    seconds = working_seconds(settings_, [], calls)
    assert seconds >= JUDGE_SECONDS
    if sync in ("continuous", "none"):
        more = replace(settings_, parallel=replace(parallel, streams=2 * streams))
        assert working_seconds(more, [], calls) <= seconds
    assert working_seconds(settings_, [sessions], calls) > seconds


def test_judges_look_as_often_as_they_are_told(config: Config) -> None:
    """All labels at once as often as configured, else three times, and nobody otherwise; twice as often with
    merges on the way, of which the last comes before the end."""
    modes = {"llm": 5, "judged": 3, "embeddings": 0, "none": 0}
    for every, times in ((None, 1), (150, 2)):
        resolution = replace(config.resolution, opinions=5, every_labels=every)
        found = {mode: looks(replace(config, resolution=replace(resolution, mode=mode))) for mode in modes}
        assert found == {mode: times * number for mode, number in modes.items()}


def asked(monkeypatch: pytest.MonkeyPatch, *, terminal: bool, answer: bool = True) -> list[str]:
    """Who sits there, and what they are asked."""
    questions: list[str] = []

    def confirm(question: str) -> bool:
        questions.append(question)
        return answer

    monkeypatch.setattr("sys.stdin.isatty", lambda: terminal, raising=False)
    monkeypatch.setattr(typer, "confirm", confirm)
    return questions


def test_people_are_asked_before_much_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to the limit nobody is asked; above it a yes goes on and a no ends the command without an error."""
    questions = asked(monkeypatch, terminal=True)
    ask_before_spending(1.0, 1.0, "the run")
    assert questions == []
    ask_before_spending(1.01, 1.0, "the run")
    assert questions == ["the run may cost up to 1.01 USD. Go on?"]
    asked(monkeypatch, terminal=True, answer=False)
    with pytest.raises(typer.Exit) as ended:
        ask_before_spending(2.0, 1.0, "the run")
    assert ended.value.exit_code == 0


def test_scripts_must_say_yes_beforehand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody can be asked nothing is spent, and the message says how to allow it."""
    questions = asked(monkeypatch, terminal=False)
    with pytest.raises(ConfigurationError, match=r"2\.00 USD.*--yes.*budget_usd"):
        ask_before_spending(2.0, 1.0, "the run")
    assert questions == []


def test_plan_adds_up() -> None:
    """Calls of all phases, and the longer of two times."""
    plan = Plan("m", 10, 1, 2, 3, 100, 10, 0.1, 0.2, 5.0, 7.0, "list", "published medians", None)
    assert (plan.calls, plan.seconds) == (6, 7.0)
    assert replace(plan, limit_seconds=None).seconds == 5.0
