"""Many runs in one go, in processes of their own: what experiments are made of."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import polars as pl
from rich.progress import track

from autoanalyze.build import build_analysis
from autoanalyze.composition import compose
from autoanalyze.study.efficiency import limit_use
from autoanalyze.study.runs import Run

__all__ = ["Point", "measure"]

MEASURES = ("consistency", "precision", "coverage")


@dataclass(frozen=True, slots=True)
class Point:
    """One configuration at one seed; `names` tell it from others in the results."""

    names: tuple[tuple[str, Any], ...]
    overrides: tuple[str, ...]
    seed: int


def measure(points: Sequence[Point], title: str, *, keep: Path | None = None) -> pl.DataFrame:
    """Run all points, on all cores; a row per run and label field, in the order of `points`.

    Run folders go to `keep` (by number), or are thrown away. No point runs its baseline unless its
    overrides say so.
    """
    rows: dict[int, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = keep or Path(scratch)
        # Spawned, not forked: Polars' threads do not survive a fork.
        with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
            jobs = {
                pool.submit(run_point, point, folder / str(number)): number
                for number, point in enumerate(points)
            }
            for job in track(as_completed(jobs), title, total=len(jobs)):
                rows[jobs[job]] = job.result()
    return pl.DataFrame([row for number in sorted(rows) for row in rows[number]], infer_schema_length=None)


def run_point(point: Point, folder: Path) -> list[dict[str, Any]]:
    """One run; a row per field."""
    overrides = ["baseline=none", *point.overrides, f"seed={point.seed}"]
    run = build_analysis(compose(overrides)).run_sync(folder)
    record = run.record
    assert run.sessions["session_id"].n_unique() == len(run.sessions) == record["sessions"]["sampled"]
    return list(rows_of(run, {**dict(point.names), "seed": point.seed}))


def rows_of(run: Run, names: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """What experiments look at, per field."""
    record = run.record
    limit = record["config"]["limits"]["tokens_per_minute"]
    tier = record["config"]["limits"]["tier"]
    if limit is None and tier is not None:
        limit = record["config"]["model"]["tiers"][tier]["tokens_per_minute"]
    parallel = record["parallel"]
    for field, metrics in record["metrics"].items():
        yield {
            **names,
            "field": field,
            **{measure: metrics[measure]["value"] for measure in MEASURES},
            "merged_concepts": metrics["merged_concepts"]["value"],
            "labels_first": record["labels"][field]["first_given"],
            "labels": record["labels"][field]["final"],
            "concepts": int(metrics["concept_count"]["value"]),
            "collisions": record["collisions"][field],
            "staleness": parallel["staleness"],
            "missed_labels": parallel["missed_labels"],
            "utilisation": parallel["utilisation"],
            "efficiency": record["efficiency"],
            "limit_use": limit_use(run.calls, limit) if limit else None,
            "speedup": record["speedup"],
            "model_seconds": record["model_seconds"],
            "calls": record["calls"],
            "prompt_tokens": record["tokens"]["prompt"],
            "cached_share": record["tokens"]["cached"] / record["tokens"]["prompt"],
            "completion_tokens": record["tokens"]["completion"],
            "cost_usd": record["cost_usd"],
            "unresolved": record["sessions"]["unresolved"],
        }
