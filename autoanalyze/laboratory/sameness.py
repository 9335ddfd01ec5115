"""Points of a sweep whose settings came to the same: said below its table, instead of as equal rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from autoanalyze.config import DiscoveryConfig
from autoanalyze.errors import RunFolderError
from autoanalyze.laboratory.points import EndedPoint
from autoanalyze.phases.discovery import size_of_discovery
from autoanalyze.study.runs import load_run

OF_THE_MACHINE = "processor_seconds"
"""The one measure that differs between two runs of the same."""


def came_to_the_same(ended: Sequence[EndedPoint]) -> list[str]:
    """A sentence for each set of settings whose runs agree in every measure, for all of their seeds.

    Settings that the runs of a set share are not told.
    """
    seeds: dict[str, list[EndedPoint]] = defaultdict(list)
    for outcome in ended:
        if outcome.rows:
            seeds[repr(told(outcome))].append(outcome)
    alike: dict[str, list[EndedPoint]] = defaultdict(list)
    for outcomes in seeds.values():
        runs = {(str(each.settings.get("seed")), measured(each)) for each in outcomes}
        alike[repr(sorted(runs))].append(outcomes[0])
    return [sentence(same) for same in alike.values() if len(same) > 1]


def told(outcome: EndedPoint) -> dict[str, Any]:
    """What tells a point from others but for its seed."""
    return {key: value for key, value in outcome.settings.items() if key != "seed"}


def measured(outcome: EndedPoint) -> str:
    """All that was measured of a point, but for what depends on the machine."""
    return repr([{k: v for k, v in row.items() if k != OF_THE_MACHINE} for row in outcome.rows])


def sentence(same: Sequence[EndedPoint]) -> str:
    """Which settings came to the same."""
    keys = [key for key in told(same[0]) if len({repr(told(each).get(key)) for each in same}) > 1]
    names = [" ".join(f"{key}={told(each).get(key)}" for key in keys) for each in same]
    return f"{', '.join(names[:-1])} and {names[-1]} came to the same runs{reason(same)}"


def reason(same: Sequence[EndedPoint]) -> str:
    """Why they did, if it was the bounds of discovery."""
    try:
        records = [load_run(each.folder).record for each in same]
    except RunFolderError:
        return ""
    sizes = {discovered(record) for record in records}
    configs = [record["config"].get("discovery") for record in records]
    if len(sizes) > 1 or None in sizes or all(config == configs[0] for config in configs):
        return ""
    (size,), bounds = sizes, configs[0]
    bound = "max_sessions" if bounds["max_sessions"] == size else None
    bound = "min_sessions" if bounds["min_sessions"] >= size else bound
    return f": discovery takes {size} sessions in each" + (f", by discovery.{bound}" if bound else "")


def discovered(record: Mapping[str, Any]) -> int | None:
    """Of how many sessions discovery is, or would be if it were a phase of its own."""
    config = record["config"].get("discovery")
    if config is None:
        return None
    known = {field.name for field in fields(DiscoveryConfig)}
    bounds = DiscoveryConfig(**{key: value for key, value in config.items() if key in known})
    return size_of_discovery(replace(bounds, mode="fixed"), record["sessions"]["sampled"])
