"""Every parameter that a configuration accepts changes something."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from autoanalyze.analysis import endpoints as workshop
from autoanalyze.analysis.build import build_analysis, build_plan
from autoanalyze.analysis.configuration import compose
from autoanalyze.analysis.keys import configuration_folder, known_keys
from autoanalyze.cli import run as hydra_runs
from autoanalyze.errors import AutoAnalyzeError, ConfigurationError
from autoanalyze.llm.tokens import TokenCounter, load_counter

pytestmark = pytest.mark.slow  # whole runs and commands

BASE = (
    "data.count=40",
    "data.population=80",
    "baseline=none",
    "resamples=20",
    "parallel.streams=4",
    "page=false",
)
FAULTY = ("faults.rate=0.5", "faults.kinds=[busy,server_error,missing_key]")
FIXED = ("discovery=fixed", "discovery.min_sessions=5")
PAIRS = ("resolution.shown_together=0", "noise.reuse=0.3")
MANY_NAMES = ("noise.reuse=0.3", "resolution.every_labels=5")

#: Per parameter, another value, and what must be so for it to matter.
CHANGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "model.name": ("other", ()),
    "model.context_window": ("3000", ()),
    "model.output_limit": ("400", ()),
    "model.item_cap": ("1", ()),
    "model.price_prompt": ("7.0", ()),
    "model.price_cached": ("7.0", ("data.count=300", "data.population=300", f"context={'long ' * 280}end")),
    "model.price_completion": ("7.0", ()),
    "model.price_tiers": ("[{above:10,prompt:7.0,cached:7.0,completion:7.0}]", ()),
    "model.tiers": ("{tier1:{requests_per_minute:5}}", ("limits.tier=tier1",)),
    "model.reply_format": ("text", ()),
    "model.temperature": ("0.7", ()),
    "model.output_parameter": ("max_tokens", ()),
    "model.encoding": ("unheard_of", ("token_counter=tiktoken",)),
    "data.source": ("store", ()),
    "data.path": ("nowhere.duckdb", ("data.source=store",)),
    "data.bot_id": ("other", ()),
    "data.count": ("30", ()),
    "data.start": ("2026-05-20T00:00", ()),
    "data.where": ("containment_type='agent'", ()),
    "data.minimum_messages": ("8", ()),
    "data.population": ("120", ()),
    "data.population_seed": ("8", ()),
    "data.intents": ("5", ()),
    "data.several": ("0.5", ()),
    "discovery.mode": ("none", FIXED),
    "discovery.percentage": ("60", FIXED),
    "discovery.min_sessions": ("20", FIXED),
    "discovery.max_sessions": ("2", FIXED),
    "discovery.sessions_per_call": ("2", FIXED),
    "discovery.collisions": ("0.01", ()),
    "parallel.streams": ("2", ()),
    "parallel.sessions_per_stream": ("2", ()),
    "parallel.taper": ("4.0", ()),
    "parallel.smallest_call": ("5", ()),
    "resolution.mode": ("none", ()),
    "resolution.model": ("gpt-4.1", ()),
    "resolution.shown_together": ("0", ()),
    "resolution.first_candidates": ("1", PAIRS),
    "resolution.nearest_groups": ("1", PAIRS),
    "resolution.merge_above": ("0.3", ("resolution=embeddings", "resolution.merge_above=0.9")),
    "resolution.opinions": ("5", ("resolution=llm",)),
    "embeddings.source": ("offline", PAIRS),
    "embeddings.model": ("other", PAIRS),
    "embeddings.dimensions": ("64", PAIRS),
    "embeddings.price": ("900.0", PAIRS),
    "embeddings.field": ("true", PAIRS),
    "embeddings.notes": ("2", PAIRS),
    "vocabulary.from_run": ("nowhere", ()),
    "resolution.every_rounds": ("1", ()),
    "resolution.every_labels": ("5", ()),
    "vocabulary.codebook": ("true", ()),
    "vocabulary.themes": ("true", MANY_NAMES),
    "vocabulary.closed": ("true", ("vocabulary.fixed.general_intent=[Refund]",)),
    "vocabulary.allowance_tokens": ("5", ()),
    "vocabulary.withdraw_aliases": ("false", (*MANY_NAMES, "data.count=120")),
    "retry.attempts": ("0", FAULTY),
    "retry.unresolved": ("1", ("faults.rate=1", "faults.kinds=[missing_key]", "retry.attempts=0")),
    "retry.call_attempts": ("1", FAULTY),
    "retry.call_seconds": ("0.0", FAULTY),
    "limits.tier": ("tier1", ("model.tiers.tier1.requests_per_minute=5",)),
    "limits.requests_per_minute": ("5", ()),
    "limits.tokens_per_minute": ("6000", ()),
    "limits.timeout_seconds": ("3.0", ()),
    "schema.fields": ("[{name:topic,description:what}]", ()),
    "schema.notes": ("false", ()),
    "noise.reuse": ("0.3", ()),
    "noise.earliest": ("0.0", (*MANY_NAMES, "vocabulary.withdraw_aliases=false")),
    "noise.paraphrases": ("1", ()),
    "noise.confusion": ("0.5", ()),
    "noise.confusion_fixed_share": ("0.0", ("noise.confusion=0.5",)),
    "noise.granularity": ("0.5", ()),
    "noise.broader_taken": ("1.0", ("noise.granularity=0.5",)),
    "noise.specific": ("0.5", ()),
    "noise.other": ("0.1", ()),
    "noise.second_taken": ("0.5", ("data.several=0.5",)),
    "noise.combined": ("0.5", ("data.several=0.5",)),
    "noise.forced_fit": ("0.9", ()),
    "noise.attraction": ("0.5", ()),
    "noise.copying": ("0.5", ()),
    "noise.reuse_halves_at": ("10", ()),
    "noise.omission_at_1": ("0.5", ()),
    "noise.omission_at_10": ("0.5", ()),
    "noise.omission_at_20": ("0.9", ("batch_size=20", "parallel.taper=null", "parallel.smallest_call=20")),
    "noise.omission_at_50": ("1.0", ("batch_size=40", "parallel.taper=null", "parallel.smallest_call=40")),
    "noise.judge_false_merge": ("1.0", ()),
    "noise.judge_missed": ("1.0", MANY_NAMES),
    "noise.judge_fixed_share": ("0.0", (*MANY_NAMES, "noise.judge_missed=0.5")),
    "noise.judge_meaning_share": ("1.0", (*MANY_NAMES, "noise.judge_missed=0.5")),
    "noise.judge_crowding": ("1.0", (*MANY_NAMES, "noise.judge_missed=0.5")),
    "noise.first_token_seconds": ("3.0", ()),
    "noise.tokens_per_second": ("20.0", ()),
    "noise.latency_sigma": ("0.0", ()),
    "noise.latency_tail": ("0.5", ()),
    "noise.latency_crowding": ("0.1", ()),
    "noise.prompt_tokens_per_second": ("100.0", ()),
    "faults.rate": ("0.2", FAULTY),
    "faults.kinds": ("[cut_off]", ("faults.rate=0.5",)),
    "faults.quota_after": ("3", ()),
    "faults.gone_after": ("3", ()),
    "journal.mode": ("replay", ()),
    "journal.reuse": ("[nowhere]", ()),
    "endpoint": ("openai", ()),
    "sync": ("rounds", ()),
    "reply": ("labels", ()),
    "batch_size": ("1", ()),
    "budget_usd": ("0.001", ()),
    "baseline": ("run", ()),
    "context": ("A bank.", ()),
    "resamples": ("30", ("noise.confusion=0.3",)),
    "probe_share": ("0.2", ()),
    "unaided_share": ("0.2", ()),
    "passes": ("1", ("world=granular", "second_look.rare_share=0.1")),
    "second_look.rare_share": ("0.1", ("world=granular",)),
    "second_look.most": ("0.0", ("world=granular", "second_look.rare_share=0.1")),
    "second_look.try_merges": ("false", (*MANY_NAMES, "passes=2")),
    "repeat": ("2", ()),
    "repetition": ("2", ()),
    "seed": ("8", ()),
}

#: What stands around a run and changes nothing of it (config.AROUND) has its tests in laboratory/.
#: Parameters that no run folder shows, with the tests below that do.
ELSEWHERE = {
    "case",
    "seeds",
    "quick",
    "confirm_above_usd",
    "page",
    "reader.vectors",
    "token_counter",
    "parallel.debug",
    "model.source",
    "model.shutdown",
}
#: Those that these small runs give no occasion to matter, with the tests that do in test_earlier_run and
#: phases/duplicates/test_pairwise.
ELSEWHERE |= {"vocabulary.fixed", "resolution.guards"}
#: With the test in test_reasons.
ELSEWHERE |= {"retry.unjudged"}
#: How a live endpoint is asked, with the tests in llm/ (test_dialect, test_calls, test_embeddings).
ELSEWHERE |= {
    *("request.seed", "request.effort", "request.service_tier", "request.repeat_temperature"),
    *("request.output_per_session", "request.headers", "request.query", "request.body"),
    *("embeddings.endpoint", "retry.first_wait_seconds", "retry.longest_wait_seconds"),
}


@cache
def effect(*overrides: str) -> str:
    """All that a run leaves behind, but for its configuration and the hour; or how it failed."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        try:
            record = build_analysis(compose([*BASE, *overrides])).run_sync(folder).record
        except AutoAnalyzeError as error:
            return f"{type(error).__name__}: {error}".replace(scratch, "")
        for own in ("id", "config", "config_hash", "wall"):
            record.pop(own)
        files = sorted(path for path in folder.rglob("*.parquet"))
        contents = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
        journal = (folder / "calls.jsonl").read_text(encoding="utf-8")
        return hashlib.sha256(json.dumps([record, contents, journal]).encode()).hexdigest()


def test_no_parameter_is_forgotten() -> None:
    """Whoever adds a parameter says here what it changes."""
    report = {key for key in known_keys() if key.startswith("report.")}
    assert set(known_keys()) - report == set(CHANGES) | ELSEWHERE


@pytest.mark.slow
@pytest.mark.parametrize("key", sorted(CHANGES))
def test_parameter_changes_something(key: str) -> None:
    """A run with another value is another run, in what it does and not only in what it is told."""
    value, needed = CHANGES[key]
    assert effect(*needed, f"{key}={value}") != effect(*needed)


def test_same_configuration_is_the_same_run() -> None:
    """What is compared above is the same when nothing was changed: a difference is the parameter's."""
    first = effect()
    effect.cache_clear()
    assert effect() == first


def test_confirmation_depends_on_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A live run that may cost more than `confirm_above_usd` asks first."""
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    hydra_runs.confirm(compose([*BASE, "endpoint=openai", "confirm_above_usd=1000"]))
    with pytest.raises(ConfigurationError, match="may cost"):
        hydra_runs.confirm(compose([*BASE, "endpoint=openai", "confirm_above_usd=0"]))


def test_token_counter_is_the_one_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` estimates when simulated; the others do as they say."""
    asked: list[str] = []

    def remember(encoding: str, mode: str) -> TokenCounter:
        asked.append(mode)
        return load_counter(encoding, "estimate")

    monkeypatch.setattr(workshop, "load_counter", remember)
    for mode in ("auto", "estimate", "tiktoken"):
        build_plan(compose([*BASE, f"token_counter={mode}"]))
    assert asked == ["estimate", "estimate", "tiktoken"]


def test_plan_says_where_prices_come_from() -> None:
    """`model.source` is shown beside what it vouches for."""
    assert build_plan(compose([*BASE, "model.source=a price list"])).source == "a price list"


@pytest.mark.parametrize(("day", "verb"), [("2020-01-31", "was"), ("2999-01-31", "will be")])
def test_plan_warns_of_the_end_of_a_model(day: str, verb: str) -> None:
    """`model.shutdown` is told with the name, whether the day is past or to come."""
    warning = build_plan(compose([*BASE, f"model.shutdown='{day}'"])).warning
    assert warning is not None
    assert f"gpt-4o-mini {verb} shut down by its maker on {day}" in warning


def test_debug_logs_every_batch(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With `parallel.debug` each batch is a line of the log; without it none is."""
    with caplog.at_level("INFO", logger="autoanalyze"):
        build_analysis(compose([*BASE])).run_sync(tmp_path / "quiet")
        assert not [line for line in caplog.records if line.name == "autoanalyze.phases.pipeline"]
        run = build_analysis(compose([*BASE, "parallel.debug=true"])).run_sync(tmp_path / "loud")
    lines = [line for line in caplog.records if line.name == "autoanalyze.phases.pipeline"]
    assert len(lines) == run.record["parallel"]["rounds"]


SHARES = (
    *("data.several", "noise.granularity", "noise.broader_taken", "noise.specific", "noise.other"),
    *("noise.second_taken", "noise.combined", "noise.forced_fit", "noise.attraction", "noise.copying"),
    *("noise.omission_at_1", "noise.judge_meaning_share", "noise.latency_tail"),
)


@pytest.mark.parametrize("key", SHARES)
def test_shares_lie_between_none_and_all(key: str) -> None:
    """The error names the key and the range."""
    compose([f"{key}=0"])
    compose([f"{key}=1"])
    for value in ("-0.1", "1.1"):
        with pytest.raises(ConfigurationError, match=f"{key}={value}: must be 0 to 1"):
            compose([f"{key}={value}"])


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("data.intents=0", "data.intents=0: must be 1 to 429"),
        ("data.intents=430", "data.intents=430: must be 1 to 429"),
        ("noise.judge_crowding=-1", "noise.judge_crowding=-1.0: must be at least 0"),
        ("noise.latency_crowding=-0.1", "noise.latency_crowding=-0.1: must be at least 0"),
        ("noise.reuse_halves_at=-5", "noise.reuse_halves_at=-5.0: must be at least 0 labels"),
        ("data.intents=1 data.several=0.1", "no second matter where data.intents=1"),
        ("noise.second_taken=0.7 noise.combined=0.6", "more than 1 together"),
    ],
)
def test_worlds_that_cannot_be_are_refused(given: str, complaint: str) -> None:
    """With what is allowed."""
    with pytest.raises(ConfigurationError, match=complaint):
        compose(given.split())


@pytest.mark.parametrize("group", ["world", "judge", "latency", "noise"])
def test_every_file_of_a_world_composes(group: str) -> None:
    """Whatever stands in it makes sense, and but for the friendly ones changes something."""
    named = {path.stem for path in (configuration_folder() / group).glob("*.yaml")}
    same = {name for name in named if compose([f"{group}={name}"]) == compose([])}
    assert same == named & {"flat", "friendly", "calm", "default"}
