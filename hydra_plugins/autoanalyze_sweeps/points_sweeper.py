"""Sweeps over every combination of some settings, for each of several named cases."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, flag_override

from autoanalyze.analysis.complaints import suggestion
from autoanalyze.analysis.configuration import from_hydra
from autoanalyze.analysis.given import check_used
from autoanalyze.config import Config, ReportConfig
from autoanalyze.errors import CancelledRunError, ConfigurationError

if TYPE_CHECKING:
    from autoanalyze.laboratory.chapter import Report
    from autoanalyze.laboratory.sweep import Sweep

Point = tuple[str, ...]
"""The overrides of one point."""


class PointsSweeper(Sweeper):
    """All combinations of `params`, for each of `cases`.

    `params` maps settings to Hydra's lists (`1,2,4`, `range(1,21)`); `cases` maps names to overrides, which
    stand before those of `params` and may be lists themselves; `quick` stands before both when `quick=true`.
    Up to `bundle` points that differ in their seed alone go to one job. What the command line
    says of a setting stands before all of them, and `case=...` there chooses among the cases.
    """

    config: DictConfig
    hydra_context: HydraContext
    launcher: Launcher

    def __init__(
        self,
        params: Mapping[str, str] | None = None,
        cases: Mapping[str, Sequence[str]] | None = None,
        quick: Mapping[str, str] | None = None,
        bundle: int = 1,
    ) -> None:
        self.bundle = bundle
        self.params = dict(params or {})
        self.cases = {str(name): list(overrides) for name, overrides in (cases or {}).items()}
        self.quick = dict(quick or {})
        self.jobs = 0
        self.points_of_jobs: dict[int, Point] = {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hydra's call before the sweep."""
        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Work on all points, report what came out, and raise SweepError if any of them failed."""
        # Imported here: Hydra looks into this module at every start, and a single run needs no laboratory.
        from autoanalyze.laboratory.sweep import Sweep, confirmed

        points = self.points(arguments)
        distinct = self.composed(points)
        check_used([*arguments, *self.config.hydra.overrides.hydra], distinct, many=True)
        confirmed(distinct, self.most_runs(points))
        folder = Path(str(self.config.hydra.sweep.dir))
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        report = cast("ReportConfig", OmegaConf.to_object(self.config.report))
        with Sweep(folder, report) as sweep:
            return sweep.conclude(self.run(points, sweep))

    def most_runs(self, points: Sequence[Point]) -> int:
        """How many runs the points may be in the end."""
        return len(points)

    def run(self, points: Sequence[Point], sweep: Sweep) -> Report:
        """Have all points worked on, and say what came out."""
        from autoanalyze.laboratory.chapter import Report

        self.work(points, sweep)
        return Report(sweep.config, sweep.outcomes)

    def work(self, points: Sequence[Point], sweep: Sweep) -> None:
        """Have the launcher work on points, after those that it has worked on before.

        Raises CancelledRunError when a person interrupts it.
        """
        sweep.expect(len(points))
        jobs = bundled(points, self.bundle)
        self.points_of_jobs |= {self.jobs + number: without_seed(job) for number, job in enumerate(jobs)}
        first, self.jobs = self.jobs, self.jobs + len(jobs)
        # Workers side by side: threads of their own would only get in each other's way.
        os.environ.setdefault("POLARS_MAX_THREADS", "1")
        try:
            ended = self.launcher.launch(jobs, initial_job_idx=first)
        except KeyboardInterrupt:
            raise CancelledRunError(
                f"the sweep was interrupted after {len(sweep.outcomes):,} of {sweep.expected:,} points; "
                "start it again to go on"
            ) from None
        except BrokenProcessPool as error:
            # joblib gives up with the first worker that dies: what is there is reported, the rest has failed.
            for number, job in enumerate(jobs, start=first):
                sweep.lost(number, job, error)
            return
        for number, (job, result) in enumerate(zip(jobs, ended, strict=True), start=first):
            if result.status != JobStatus.COMPLETED:
                sweep.lost(number, job, result._return_value)

    def points(self, arguments: Sequence[str]) -> list[Point]:
        """The points, case by case, in the order of the settings' values."""
        quick = self.quick if self.config.quick else {}
        given = {**self.parsed(f"{key}={value}" for key, value in quick.items()), **self.parsed(arguments)}
        chosen = self.chosen_cases(given.pop("case", None))
        points: list[Point] = []
        for name, overrides in chosen.items():
            case = {} if name is None else {"case": [f"case={quoted(name)}"]}
            swept = self.parsed(f"{key}={value}" for key, value in self.params.items())
            everything = {**case, **swept, **self.parsed(overrides), **given}
            points += itertools.product(*everything.values())
        return points

    def parsed(self, overrides: Any) -> dict[str, list[str]]:
        """Per setting, the overrides that give it each of its values."""
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        return {
            override.get_key_element(): values_of(override)
            for override in parser.parse_overrides(list(overrides))
        }

    def chosen_cases(self, given: Sequence[str] | None) -> dict[str | None, list[str]]:
        """The cases that the command line asks for, or all of them. Raises ConfigurationError."""
        if not self.cases:
            return {None: []}
        if given is None:
            return {name: self.cases[name] for name in self.cases}
        names = [unquoted(override.partition("=")[2]) for override in given]
        for name in names:
            if name not in self.cases:
                raise ConfigurationError(
                    f"there is no case {name!r}{suggestion(name, list(self.cases))} "
                    f"(cases: {', '.join(self.cases)})"
                )
        return {name: self.cases[name] for name in names}

    def composed(self, points: Sequence[Point]) -> list[Config]:
        """The configurations of the points, each once for all its seeds: mistakes are said at once."""
        distinct = {without_seed(point): point for point in points}
        loader = self.hydra_context.config_loader
        found = []
        for point in distinct.values():
            composed = loader.load_sweep_config(self.config, list(point))
            with flag_override(composed, ["struct", "readonly"], False):
                del composed["hydra"]
            found.append(from_hydra(composed))
        return found


def bundled(points: Sequence[Point], largest: int) -> list[Point]:
    """Jobs: points that differ in their seed alone become one, with up to `largest` seeds."""
    seeds: dict[Point, list[str]] = {}
    for point in points:
        seeds.setdefault(without_seed(point), []).extend(
            o.partition("=")[2] for o in point if o.startswith("seed=")
        )
    jobs: list[Point] = []
    for setting, own in seeds.items():
        for start in range(0, len(own), largest):
            some = own[start : start + largest]
            jobs.append(
                (*setting, f"seed={some[0]}", *([f"seeds=[{','.join(some)}]"] if len(some) > 1 else []))
            )
        if not own:
            jobs.append(setting)
    return jobs


def without_seed(point: Point) -> Point:
    """The overrides of a point that all its seeds share."""
    return tuple(override for override in point if not override.startswith(("seed=", "seeds=")))


def values_of(override: Override) -> list[str]:
    """An override for each value of a list, or the override itself."""
    key = override.get_key_element()
    if not override.is_sweep_override():
        return [f"{key}={override.get_value_element_as_str()}"]
    if not override.is_discrete_sweep():
        raise ConfigurationError(
            f"{override.input_line}: give a list of values (a,b,c or range(1,21)), not an interval"
        )
    return [f"{key}={value}" for value in override.sweep_string_iterator()]


def unquoted(value: str) -> str:
    """A name that was given as a value of an override, without quotes and escapes."""
    return re.sub(r"\\(.)", r"\1", value.strip("'\""))


def quoted(name: str) -> str:
    """A name as a value of an override."""
    escaped = name.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
