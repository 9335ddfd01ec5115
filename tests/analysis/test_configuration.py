"""From overrides, environment and older records to one checked configuration."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoanalyze.analysis.complaints import suggestion
from autoanalyze.analysis.configuration import (
    LONGEST_NAME,
    code_digest,
    compose,
    configuration_digest,
    digest,
    known_of,
    point_folder,
    restored,
    sequential,
    spelled,
)
from autoanalyze.analysis.keys import configuration_folder, dotted, known_keys
from autoanalyze.config import AROUND, ENVIRONMENT, Config
from autoanalyze.errors import ConfigurationError

KEYS = known_keys()


@pytest.fixture(scope="module")
def config() -> Config:
    """A configuration with something set in every corner."""
    return compose(
        ["sync=rounds", "limits=tier1", "faults.rate=0.1", "probe_share=0.2", "repeat=3", "budget_usd=2"]
    )


@pytest.fixture(scope="module")
def record(config: Config) -> dict[str, Any]:
    """The same as run.json holds it."""
    found: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return found


@pytest.mark.parametrize(
    ("overrides", "complaint"),
    [
        (["parallel.stream=3"], "no setting 'parallel.stream'; did you mean parallel.streams"),
        (["strems=3"], "did you mean parallel.streams"),
        (["+seeed=3"], "no setting 'seeed'; did you mean seed"),
        (["model=gpt-4o-mni"], "no catalogue knows the model 'gpt-4o-mni'; did you mean gpt-4o-mini"),
        (
            ["parallel.streams=many"],
            r"parallel.streams=many \(environment: PARALLEL_STREAM_COUNT\): must be a whole number",
        ),
        (["model=generic"], "model.name is not set: give model.name=..."),
        (["context=it's"], "cannot be read: put a value with signs in it in quotes"),
        (["parallel.streams=0"], "1 to 256"),
    ],
)
def test_mistakes_are_told_with_their_remedy(overrides: list[str], complaint: str) -> None:
    """A misspelt key or group, a bad or missing value, and what Hydra cannot read: one line each."""
    with pytest.raises(ConfigurationError, match=complaint) as refused:
        compose(overrides)
    assert len(str(refused.value).splitlines()) <= 2


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(KEYS), st.data())
def test_slip_of_a_finger_is_recognised(key: str, data: st.DataObject) -> None:
    """A known key with one letter left out, doubled or exchanged is among those suggested."""
    leaf = key.rpartition(".")[2]
    if len(leaf) < 5:
        return
    place = len(key) - len(leaf) + data.draw(st.integers(1, len(leaf) - 2))
    slip = data.draw(
        st.sampled_from(
            [
                key[:place] + key[place + 1 :],
                key[:place] + key[place] + key[place:],
                key[:place] + key[place + 1] + key[place] + key[place + 2 :],
            ]
        )
    )
    if slip not in KEYS:
        assert key in re.split(r"[ ?]", suggestion(slip, KEYS))


def test_nonsense_is_told_where_to_look() -> None:
    """Without anything near, the message names the command that lists all settings."""
    assert "run --help" in suggestion("qqqqqqqq", KEYS)


def test_environment_sets_defaults_and_overrides_win(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each variable sets its key, an override goes before it, and a bad value names the variable."""
    values = {
        "discovery.max_sessions": "77",
        "discovery.min_sessions": "7",
        "discovery.percentage": "44.5",
        "parallel.debug": "true",
        "parallel.sessions_per_stream": "4",
        "parallel.streams": "9",
    }
    assert set(values) == set(ENVIRONMENT)
    for key, value in values.items():
        monkeypatch.setenv(ENVIRONMENT[key], value)
    config = compose(["parallel.streams=5", "discovery=fixed"])
    assert (config.parallel.streams, config.parallel.sessions_per_stream, config.parallel.debug) == (
        5,
        4,
        True,
    )
    found = config.discovery
    assert (found.percentage, found.min_sessions, found.max_sessions) == (44.5, 7, 77)
    monkeypatch.setenv("PARALLEL_STREAM_COUNT", "999")
    with pytest.raises(ConfigurationError, match="PARALLEL_STREAM_COUNT"):
        compose()


def test_names_that_python_cannot_say_are_spelled_for_hydra() -> None:
    """`vocabulary.from` and labels of a field that nobody fixed before; everything else stays."""
    assert spelled("vocabulary.from=outputs/a") == "vocabulary.from_run=outputs/a"
    assert spelled("vocabulary.fixed.intent=[A]") == "++vocabulary.fixed.intent=[A]"
    assert spelled("+vocabulary.fixed.intent=[A]") == "++vocabulary.fixed.intent=[A]"
    for other in ("vocabulary.from_run=a", "context=vocabulary.from=x", "seed=1"):
        assert spelled(other) == other


def test_a_record_gives_the_configuration_back(config: Config, record: dict[str, Any]) -> None:
    """What run.json holds is the configuration, to the last key, also after another round."""
    assert restored(record) == config
    assert asdict(restored(asdict(restored(record)))) == record


gone = st.dictionaries(st.sampled_from(["gone", "old_name", "sequel"]), st.none() | st.integers() | st.text())


@settings(deadline=None, max_examples=8)
@given(gone, gone, st.sets(st.sampled_from(["parallel", "noise", "retry", "seed", "probe_share"])))
def test_older_records_are_read_with_what_there_still_is(
    config: Config, record: dict[str, Any], above: dict[str, Any], within: dict[str, Any], missing: set[str]
) -> None:
    """Settings that are gone, at any depth, are forgotten; those that the record lacks have their default."""
    older = {key: value for key, value in record.items() if key not in missing}
    for group in ("parallel", "discovery", "limits", "model"):
        if group in older:
            older[group] = {**within, **older[group]}
    expected = replace(config, **{key: getattr(Config(), key) for key in missing})
    assert restored({**above, **older}) == expected


def test_names_that_users_give_are_kept_when_an_older_record_is_read(record: dict[str, Any]) -> None:
    """Keys of a mapping that the schema leaves open, as account tiers and fixed labels, are no settings."""
    fixed = {"fixed": {"general_intent": ["Claim Status"]}, "gone": 1}
    found = restored({**record, "vocabulary": {**record["vocabulary"], **fixed}})
    assert found.vocabulary.fixed == {"general_intent": ["Claim Status"]}
    assert set(found.model.tiers) == set(record["model"]["tiers"]) != set()
    assert known_of({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 0}}) == {"a": {"b": 1}}


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("seed=8", "only budget_usd"),
        ("limits", "only budget_usd"),
        ("budget_usd_of_mine=3", "only budget_usd"),
        ("budget_usd=much", "budget_usd"),
        ("budget_usd=-1", "more than 0"),
        ("limits.tier=gold", "tier5"),
        ("limits.requests=3", "there is no setting"),
    ],
)
def test_resuming_refuses_what_would_change_calls(
    record: dict[str, Any], override: str, complaint: str
) -> None:
    """Only budget and limits may change, and only to something that makes sense."""
    with pytest.raises(ConfigurationError, match=complaint):
        restored(record, [override])


def test_resuming_takes_a_budget_and_limits(config: Config, record: dict[str, Any]) -> None:
    """They are as given, null included; nothing else is another."""
    changed = restored(record, ["budget_usd=null", "limits.tokens_per_minute=5000"])
    assert (changed.budget_usd, changed.limits.tokens_per_minute) == (None, 5000)
    assert replace(changed, budget_usd=config.budget_usd, limits=config.limits) == config


def leaves(value: Any, prefix: str = "") -> dict[str, Any]:
    """The leaves of nested mappings by dotted name."""
    if isinstance(value, dict) and value:
        return {k: v for name, inner in value.items() for k, v in leaves(inner, f"{prefix}.{name}").items()}
    return {prefix.lstrip("."): value}


def test_sequential_baseline_differs_in_how_and_not_in_what(config: Config) -> None:
    """One stream, five sessions a call, no discovery, no faults, nothing on the way, nothing measured
    twice; data, model, schema, noise and judge are the run's. Once more changes nothing."""
    base = sequential(replace(config, batch_size=9, vocabulary=replace(config.vocabulary, from_run="x")))
    before, after = leaves(asdict(config)), leaves(asdict(base))
    changed = {key for key in {*before, *after} if before.get(key) != after.get(key)}
    assert changed == {
        "sync",
        "baseline",
        "budget_usd",
        "faults.rate",
        "probe_share",
        "passes",
        "repeat",
        "resolution.every_labels",
        "discovery.mode",
        "parallel.streams",
        "parallel.sessions_per_stream",
        "vocabulary.from_run",
    }
    assert (base.parallel.streams, base.parallel.sessions_per_stream, base.sync) == (1, 5, "sequential")
    assert sequential(base) == base


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.dictionaries(st.text(max_size=3), inner, max_size=3) | st.lists(inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, max_examples=40)
@given(st.dictionaries(st.text(max_size=4), values, max_size=5))
def test_digest_knows_content_and_not_order(content: dict[str, Any]) -> None:
    """The same whatever order keys stand in; what stands around a run does not count, all else does."""
    turned = dict(reversed(list(content.items())))
    assert digest(turned) == digest(content)
    around = dict.fromkeys(AROUND, "other")
    assert configuration_digest({**content, **around}) == configuration_digest(
        {key: value for key, value in content.items() if key not in AROUND}
    )
    assert configuration_digest({**content, "one more": 1}) != configuration_digest(content)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.text(max_size=60), max_size=6), st.integers())
def test_names_of_points_are_names_of_folders(overrides: list[str], seed: int) -> None:
    """Whatever was set, in any language: one part of a path, short enough, and another for what differs."""
    name = point_folder({"seed": seed}, overrides)
    assert "/" not in name
    assert "\0" not in name
    assert not name.startswith(".")
    assert len(name.encode()) <= LONGEST_NAME + len("-0123456789")
    assert name == point_folder({"seed": seed, "case": "named"}, overrides)
    assert name != point_folder({"seed": seed + 1}, overrides)
    assert point_folder({"seed": 1}, ["seed=1", "quick=true"]).startswith("seed=1-")


def test_all_settings_are_leaves_of_the_schema() -> None:
    """Known keys are dotted names without doubles, and the files that set them are found."""
    assert len(set(KEYS)) == len(KEYS)
    assert list(dotted({"a": {"b": 1, "c": {}}, "d": [1]})) == ["a.b", "a.c", "d"]
    assert (configuration_folder() / "config.yaml").is_file()
    assert re.fullmatch(r"[0-9a-f]{64}", code_digest())
