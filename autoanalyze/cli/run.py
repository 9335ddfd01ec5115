"""What the command line does through Hydra: one run, or the points of a sweep."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import wraps
from pathlib import Path
from typing import cast

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from autoanalyze.analysis.planning import ask_before_spending
from autoanalyze.config import Config
from autoanalyze.errors import (
    AutoAnalyzeError,
    ConfigurationError,
    EndpointGoneError,
    RunFolderError,
    UnreachableEndpointError,
)
from autoanalyze.study.runs import Run

OPTIONS = frozenset(
    [
        *("--yes", "-m", "--multirun", "--run", "-r", "--cfg", "-c", "--resolve", "--package", "-p"),
        *("--info", "-i", "--hydra-help", "--config-path", "-cp", "--config-name", "-cn", "--config-dir"),
        *("-cd", "--version", "--experimental-rerun", "--shell-completion", "-sc"),
    ]
)
"""Ours, and Hydra's."""


def through_hydra(given: Sequence[str]) -> None:
    """Let Hydra compose a configuration, or many, and call `job` with each."""
    from autoanalyze.analysis.complaints import explained
    from autoanalyze.analysis.configuration import offered
    from autoanalyze.analysis.given import repeated
    from autoanalyze.analysis.keys import configuration_folder

    check_options(given)
    for warning in repeated(given):
        Console(stderr=True, soft_wrap=True).print(f"warning: {warning}", markup=False, highlight=False)
    arguments = offered([argument for argument in given if argument != "--yes"])
    if len(arguments) < len(given):
        arguments.append("confirm_above_usd=inf")

    # Hydra then raises its errors instead of printing tracebacks, so that each becomes one line here.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv = ["autoanalyze run", *arguments]
    folder, failures = str(configuration_folder()), list[AutoAnalyzeError]()

    @wraps(job)
    def reported(composed: DictConfig) -> object:
        try:
            return job(composed)
        except AutoAnalyzeError as error:  # kept from Hydra, which would print a line of its own
            failures.append(error)
            return None

    try:
        hydra.main(config_path=folder, config_name="config", version_base="1.3")(reported)()
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigurationError(explained(error)) from None
    except OSError as error:
        raise RunFolderError(
            f"the run folder cannot be written ({error}): choose another with hydra.run.dir=..., or "
            "hydra.sweep.dir=... for a sweep"
        ) from None
    if failures:
        raise failures[0]


def check_options(given: Sequence[str]) -> None:
    """Raise ConfigurationError for an option that neither we nor Hydra know."""
    for argument in given:
        if argument.startswith("-") and argument.partition("=")[0] not in OPTIONS:
            raise ConfigurationError(f"there is no option {argument}: see `autoanalyze run --help`")


def job(composed: DictConfig) -> object:
    """What Hydra calls: one run, or one point of a sweep, wherever its launcher works on it."""
    from autoanalyze.analysis.configuration import from_hydra
    from autoanalyze.analysis.given import check_used

    hydra_config = cast("DictConfig", HydraConfig.get())
    folder = Path(hydra_config.runtime.output_dir)
    if hydra_config.mode == RunMode.MULTIRUN:
        from autoanalyze.laboratory.points import end_points

        return end_points(composed, hydra_config, folder)
    config = from_hydra(composed)
    check_used([*hydra_config.overrides.task, *hydra_config.overrides.hydra], [config])
    if config.endpoint != "simulated":
        confirm(config)
    if config.data.source == "labels":
        from autoanalyze.cli.tables import detection_table
        from autoanalyze.laboratory.detection import run_detection
        from autoanalyze.study.runs import load_run

        run_detection(config, folder)
        Console().print(detection_table(load_run(folder)), soft_wrap=True)
    else:
        work(config, folder, resume=False)
    return None


def work(config: Config, folder: Path, *, resume: bool) -> Run:
    """Run, with a bar per phase or, off a terminal, a line now and then, and show what came out."""
    from autoanalyze.analysis.build import build_analysis
    from autoanalyze.analysis.displays import ProgressBars, ProgressLines
    from autoanalyze.cli.answers import places, summary

    console = Console()
    display = ProgressBars if console.is_terminal else ProgressLines
    with display.shown(console) as listener:
        try:
            analysis = build_analysis(config, listener=listener)
        except UnreachableEndpointError as error:
            if resume:  # the run is as resumable as it was
                raise EndpointGoneError(str(error)) from None
            raise
        for warning in analysis.warnings:
            Console(stderr=True, soft_wrap=True).print(f"warning: {warning}", markup=False, highlight=False)
        analysis.on_interrupt = listener.stopping
        finished = analysis.run_sync(folder, resume=resume)
    console.print(summary(finished))
    console.print(places(finished), soft_wrap=True, markup=False, highlight=False)
    return finished


def confirm(config: Config) -> None:
    """Ask before a run that may cost more than `confirm_above_usd`; a script must say --yes."""
    from autoanalyze.analysis.build import build_plan

    plan = build_plan(config)
    most = min(plan.cost_upper_usd, config.budget_usd or plan.cost_upper_usd)
    ask_before_spending(most, config.confirm_above_usd, f"This run of {plan.sessions:,} sessions")
