"""calibrate finds the habits of the model that made a run."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
import yaml

from autoanalyze.analysis.build import build_analysis
from autoanalyze.analysis.configuration import compose
from autoanalyze.config import NoiseConfig
from autoanalyze.errors import RunFolderError
from autoanalyze.laboratory.calibration import calibrate

HABITS = {
    "reuse": 0.88,
    "first_token_seconds": 1.6,
    "tokens_per_second": 120.0,
    "latency_sigma": 0.2,
    "omission_at_10": 0.02,
    "omission_at_20": 0.06,
}


@pytest.mark.slow
@pytest.mark.parametrize("reply", ["labels", "numbers"])
def test_habits_are_recovered(tmp_path: Path, reply: str) -> None:
    """From a run of a model with other habits, drift, omission and latency come out near the real ones."""
    settings = [f"noise.{name}={value}" for name, value in HABITS.items()]
    run = build_analysis(
        compose(["data.count=1500", "baseline=none", "resamples=2", f"reply={reply}", *settings])
    ).run_sync(tmp_path / "run")
    noise = calibrate(run).noise
    assert noise.reuse == pytest.approx(0.88, abs=0.03)
    assert noise.first_token_seconds == pytest.approx(1.6, rel=0.3)
    assert noise.tokens_per_second == pytest.approx(120, rel=0.2)
    assert noise.latency_sigma == pytest.approx(0.2, abs=0.07)
    assert noise.omission_at_20 == pytest.approx(0.06, rel=0.5)
    assert noise.omission_at_20 / noise.omission_at_10 == pytest.approx(3), "the shape stays"
    assert noise.confusion == NoiseConfig().confusion, "what cannot be seen stays"


def test_result_is_a_noise_configuration(tmp_path: Path) -> None:
    """The YAML holds every parameter that is not off, and nothing else, and composes again."""
    run = build_analysis(
        compose(["data.count=120", "baseline=none", "resamples=2", "parallel.sessions_per_stream=4"])
    ).run_sync(tmp_path / "run")
    values = yaml.safe_load(calibrate(run).as_yaml())
    assert set(values) == {each.name for each in fields(NoiseConfig) if each.default}
    config = compose([f"noise.{name}={value}" for name, value in values.items()])
    unkind = replace(calibrate(run), noise=replace(config.noise, copying=0.02, omission_at_1=0.001))
    assert {"copying", "omission_at_1"} == set(yaml.safe_load(unkind.as_yaml())) - set(values)
    assert config.noise.first_token_seconds == pytest.approx(values["first_token_seconds"])


def test_too_short_a_run_is_refused(tmp_path: Path) -> None:
    """A handful of calls says nothing, and so does the error."""
    run = build_analysis(compose(["data.count=10", "baseline=none", "resamples=2"])).run_sync(
        tmp_path / "run"
    )
    with pytest.raises(RunFolderError, match="at least 20"):
        calibrate(run)
