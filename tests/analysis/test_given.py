"""Nothing that a person gives is ignored: it has an effect, or is an error that names the remedy."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest

from autoanalyze.analysis.configuration import compose
from autoanalyze.analysis.given import USES, check_used, concerns
from autoanalyze.analysis.keys import configuration_folder, known_keys
from autoanalyze.cli.commands import main
from autoanalyze.errors import ConfigurationError

pytestmark = pytest.mark.slow  # whole runs and commands

URL = "endpoint=http://127.0.0.1:9/v1"
IDLE = [
    (["data.path=mine.duckdb"], "add data=store"),
    (["data=store", "data.path=a.duckdb", "data.population=9"], "data=synthetic"),
    (["discovery.percentage=5", "discovery=none"], "discovery=fixed"),
    (["discovery.collisions=20", "discovery=fixed"], "discovery=adaptive"),
    (["discovery.sessions_per_call=2"], "discovery=fixed"),
    (["parallel.sessions_per_stream=4", "batch_size=5"], "batch_size"),
    (["parallel.taper=0.5", "sync=rounds"], "sync=continuous"),
    (["parallel.streams=4", "sync=sequential"], "sync=sequential"),
    (["resolution.merge_above=0.9"], "resolution=embeddings"),
    (["resolution.opinions=1"], "resolution=llm"),
    (["resolution=llm", "resolution.guards=false"], "resolution=judged"),
    (["resolution=llm", "embeddings=offline"], "resolution=judged"),
    (["resolution.every_labels=null", "vocabulary.withdraw_aliases=false"], "resolution.every_labels"),
    (["faults.kinds=[hang]"], "faults.rate"),
    ([URL, "noise=mild"], "simulated model"),
    (["request.headers.x=y"], "endpoint=openai"),
    (["data=store", "data.path=a.duckdb", "data.intents=300"], "data=synthetic"),
    (["data=labels", "data.several=0.2"], "data=synthetic"),
    (["data=labels", "data.population_seed=3"], "data=synthetic"),
    (["data=store", "data.path=a.duckdb", "world=wide"], "data=synthetic"),
    (["data=labels", "world=granular"], "endpoint=simulated"),
    ([URL, "world=granular"], "endpoint=simulated"),
    (["endpoint=offline", "world=attracting"], "endpoint=simulated"),
    (["endpoint=offline", "noise.granularity=0.1"], "endpoint=simulated"),
    (["data=labels", "noise.copying=0.1"], "endpoint=simulated"),
    (["endpoint=offline", "second_look.try_merges=true"], "endpoint=offline names sessions by their topics"),
    (["noise.combined=0.1"], "data.several"),
    ([URL, "latency=tailed"], "simulated model"),
    ([URL, "judge=fixed"], "endpoint=simulated"),
    (["endpoint=offline", "judge=fixed"], "endpoint=simulated"),
    (["resolution=none", "judge=fixed"], "resolution=judged"),
    (["resolution=embeddings", "resolution.merge_above=0.7", "noise.judge_missed=0.1"], "resolution=judged"),
    (["vocabulary.fixed.intent=[A]"], "general_intent"),
    (["hydra.sweep.dir=x"], "add -m"),
    (["quick=true"], "experiment="),
]


@pytest.mark.parametrize(("given", "remedy"), IDLE, ids=[" ".join(given) for given, _ in IDLE])
def test_what_would_have_no_effect_is_refused(given: Sequence[str], remedy: str) -> None:
    """With the setting that would give it one."""
    settings = [override for override in given if not override.startswith("hydra")]
    with pytest.raises(ConfigurationError, match="would have no effect") as refused:
        check_used(given, [compose(settings)])
    assert remedy in str(refused.value)


@pytest.mark.parametrize(
    "given",
    [
        ["discovery.min_sessions=10", "parallel.streams=4", "data.where='message_count > 3'"],
        ["data=store", "data.path=a.duckdb"],
        ["preset=design", "resolution.opinions=3"],
        ["sync=sequential", "discovery=none", "budget_usd=1"],
        ["faults=some", "faults.kinds=[hang]"],
        [URL, "confirm_above_usd=5", "baseline=none"],
        ["vocabulary.fixed.general_intent=[A]", "hydra.run.dir=x"],
        ["world=granular", "judge=fixed", "latency=tailed", "noise=harsh"],
        ["world=friendly", "data.intents=300", "data.several=0.2"],
        ["world=mixed", "noise.second_taken=0.5"],
        ["endpoint=offline", "latency=tailed", "world=mixed"],
        [URL, "world=wide"],
        ["data=store", "data.path=a.duckdb", "world=mixed", "data.population_seed=3"],
        ["data=labels", "judge=asymmetric", "latency=wild"],
        ["resolution=llm", "judge=meanings"],
    ],
    ids=" ".join,
)
def test_what_has_an_effect_is_taken(given: Sequence[str]) -> None:
    """Whoever sets it: the person, a preset, or both together."""
    check_used(given, [compose([each for each in given if not each.startswith("hydra")])])


def test_in_a_sweep_one_run_is_enough() -> None:
    """So that the mode can be swept; a setting that none of the runs uses is still an error."""
    adaptive, fixed = compose([]), compose(["discovery=fixed"])
    check_used(["discovery=adaptive,fixed", "discovery.collisions=20"], [adaptive, fixed], many=True)
    check_used(["hydra.sweep.dir=x", "quick=true"], [fixed], many=True)
    for given in (["discovery.collisions=20"], ["hydra.run.dir=x"]):
        with pytest.raises(ConfigurationError, match="would have no effect"):
            check_used(given, [fixed], many=True)
    check_used(["noise=mild", "latency=crowded"], [compose([URL])], planned=True)


def test_rules_speak_of_settings_that_there_are() -> None:
    """A key that is renamed is renamed here too."""
    groups = {path.name for path in configuration_folder().iterdir() if path.is_dir()}
    for use in USES:
        for name in use.keys:
            known = any(concerns(use, key) and key.startswith(name) for key in known_keys())
            assert known or name in groups, name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["preset=desgin"], "did you mean preset=design?"),
        (["experiment=stream"], "did you mean experiment=streams?"),
        (["run", "seed=1", "seed=2", "data.path=x"], "seed is given 2 times: seed=2 holds"),
        (["run", "~seed"], "no setting can be taken away"),
        (["run", "--dry"], "no option --dry"),
        (["plan", "data.path=x.duckdb"], "add data=store"),
        (["run", "-m", "seed=1,2", "resolution.merge_above=0.5"], "resolution=embeddings"),
        (["schema=complaints"], "invented sessions have a known general_intent"),
    ],
)
def test_the_command_line_says_so(
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 2, and nothing was run."""
    monkeypatch.setattr(sys, "argv", ["autoanalyze", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    errors = capsys.readouterr().err
    assert ended.value.code == 2, errors
    assert message in errors
