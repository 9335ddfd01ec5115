"""Duplicate detection on labels that two authors wrote, with real vectors beside the simulated ones.

    python experiments/duplicates_by_hand/measure.py [--labels FOLDER] [--shared FILE] [--quick]
    python experiments/duplicates_by_hand/measure.py --tell      the chapter's tables and figure anew

The authors' labels lie in `labels`; --labels takes another folder of such files. The set that was there
before is read from --shared (default ../shared/labels/by_hand.json) and left out where it is not. `--quick`
takes three sets and seconds, and leaves the lab book as it is. experiments/PREREGISTERED.md says what was
settled before. What was measured already is kept (under outputs, by a digest), so that a killed run goes on.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import polars as pl
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))

import sets  # noqa: E402
import telling  # noqa: E402
from counting import guards, likeness, row, told  # noqa: E402
from vectors import REAL, VECTORS, with_vectors  # noqa: E402

import autoanalyze  # noqa: E402
from autoanalyze.analysis.configuration import code_digest, digest  # noqa: E402
from autoanalyze.analysis.record import PACKAGES, git_state  # noqa: E402
from autoanalyze.config import Config  # noqa: E402
from autoanalyze.laboratory.detection import detect_among  # noqa: E402

SEEDS, FEWER = 2, 1
"""Seeds; the fewer are for sets put together, and for vectors that no hypothesis under a judge is about."""
JUDGES = {"2 %": (0.02, 0.25), "10 %, per pair": (0.10, 1.0)}
"""Chance to miss a duplicate and to take look-alikes for one, and the part that no further look repairs."""
PAIRS, BLOCKS, ALONE = "questions on pairs", "blocks", "likeness alone"
PARTS = ROOT / "outputs" / "experiments" / "duplicates_by_hand"
FEW = 60
"""Labels that the default shows the judge together, without vectors where there are no more."""
THRESHOLDS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.65, 0.8)


def composed() -> Config:
    """The package's defaults, with questions on pairs at every size."""
    return autoanalyze.compose(["resolution.shown_together=0"])


def judged_by(config: Config, judge: str) -> Config:
    """A configuration whose simulated judge errs as told."""
    rate, fixed = JUDGES[judge]
    noise = replace(config.noise, judge_missed=rate, judge_false_merge=rate, judge_fixed_share=fixed)
    return replace(config, noise=noise)


def judged(one: sets.LabelSet, seed: int, config: Config, *, quick: bool) -> list[dict[str, Any]]:
    """A row per kind of vectors and judge, of one set and seed, with its matters."""
    rows = []
    planted = one.planted(seed)
    ways = [(PAIRS, vectors) for vectors in (VECTORS if seed <= FEWER else REAL)]
    ways += [(BLOCKS, vectors) for vectors in (REAL if one.count > FEW else ("none",))]
    for (way, vectors), judge in product(ways, list(JUDGES)[:1] if quick else JUDGES):
        chosen, embedder = with_vectors(judged_by(config, judge), vectors)
        if way == BLOCKS:
            chosen = replace(chosen, resolution=replace(chosen.resolution, shown_together=FEW))
        found = detect_among(replace(chosen, seed=seed), planted, seed=seed, embedder=embedder)
        rows.append({**told(one), "vectors": vectors, "way": way, "judge": judge, **row(found, seed)})
    return rows


def alone(one: sets.LabelSet, seed: int, config: Config, *, quick: bool) -> list[dict[str, Any]]:
    """A row per kind of vectors and threshold, without a judge."""
    rows = []
    planted = one.planted(seed)
    for vectors, threshold in product(VECTORS, THRESHOLDS[::3] if quick else THRESHOLDS):
        resolution = replace(config.resolution, mode="embeddings", merge_above=threshold)
        chosen, embedder = with_vectors(replace(config, resolution=resolution), vectors)
        found = detect_among(chosen, planted, seed=seed, embedder=embedder)
        rows.append(
            {
                **told(one),
                "vectors": vectors,
                "way": ALONE,
                "threshold": threshold,
                **row(found, seed),
                "by_matter": None,
            }
        )
    return rows


def measured(found: Sequence[sets.LabelSet], into: Path, *, seeds: int, processes: int, quick: bool) -> None:
    """Measure all, into files of `into`. What a killed run had done already is taken from its parts."""
    config = composed()
    parts = into / "parts" if quick else PARTS / meant(found)
    parts.mkdir(parents=True, exist_ok=True)
    single = [one for one in found if one.kind in (sets.ONE, sets.SHARED)]
    jobs = [
        (judged, one, seed)
        for one in found
        for seed in range(1, (seeds if one in single else min(seeds, FEWER)) + 1)
    ]
    jobs += [(alone, one, 1) for one in single]
    made = Parallel(processes, batch_size=1)(
        delayed(kept)(parts, work, one, seed, config, quick) for work, one, seed in jobs
    )
    results = pl.concat([pl.read_parquet(part) for part in made], how="diagonal_relaxed")
    results.write_parquet(into / "results.parquet")
    alike = [near for one in found for near in likeness(one, config)]
    pl.DataFrame(alike, infer_schema_length=None).write_parquet(into / "likeness.parquet")
    # Of the set that was there before only what guards object to is told: it is not ours to copy.
    objected = [
        pair
        for one in single
        for pair in guards(one)
        if one.kind == sets.ONE or pair["objection"] is not None
    ]
    pl.DataFrame(objected, infer_schema_length=None).write_parquet(into / "guards.parquet")


def meant(found: Sequence[sets.LabelSet]) -> str:
    """A digest of the code that measures and of all labels: parts of other ones are not taken."""
    code = [(HERE / f"{name}.py").read_text(encoding="utf-8") for name in ("measure", "counting", "vectors")]
    written = [
        [one.name, one.groups, sorted([*sorted(pair), kind] for pair, kind in one.twins.items())]
        for one in found
    ]
    return digest([code_digest(), code, written])[:12]


def kept(
    parts: Path,
    work: Callable[..., list[dict[str, Any]]],
    one: sets.LabelSet,
    seed: int,
    config: Config,
    quick: bool,
) -> Path:
    """A job on one core, into a file of its own. WordLlama turns logging on, of every call too."""
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    part = parts / f"{work.__name__}-{one.name.replace('/', '-').replace(' ', '-')}-{seed}.parquet"
    if not part.exists():
        with threadpool_limits(1):
            rows = work(one, seed, config, quick=quick)
        pl.DataFrame(rows, infer_schema_length=None).write_parquet(part.with_suffix(".draft"))
        part.with_suffix(".draft").replace(part)
    return part


def provenance(seconds: float, found: Sequence[sets.LabelSet], seeds: int) -> dict[str, Any]:
    """Where the results come from."""
    return {
        "question": telling.QUESTION,
        "command": " ".join(["python experiments/duplicates_by_hand/measure.py", *sys.argv[1:]]),
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "git": git_state(),
        "code": code_digest(),
        "sets": {one.name: one.count for one in found},
        "seeds": seeds,
        "seconds": round(seconds, 1),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in (*PACKAGES, "wordllama")},
    }


def main() -> None:
    """Measure, and write results, tables, figure and provenance."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared" / "labels" / "by_hand.json")
    parser.add_argument("--labels", type=Path, default=sets.LABELS, help="folder of the authors' files")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--into", type=Path, default=None, help="folder of results; the lab book by default")
    parser.add_argument("--quick", action="store_true", help="seconds, on three sets")
    parser.add_argument("--tell", action="store_true", help="tables and figure of the results that are there")
    given = parser.parse_args()
    into = given.into or (PARTS / "quick" if given.quick else HERE)
    into.mkdir(parents=True, exist_ok=True)
    if not given.tell:
        began = time.monotonic()
        git_state(), code_digest()  # asked now, and remembered: what is edited later is not what runs
        found = sets.label_sets(given.labels, None if given.quick else given.shared)
        found = found[:3] if given.quick else found
        seeds, processes = (2, 1) if given.quick else (given.seeds, given.processes)
        measured(found, into, seeds=seeds, processes=processes, quick=given.quick)
        where = provenance(time.monotonic() - began, found, seeds)
        (into / "provenance.json").write_text(json.dumps(where, indent=2) + "\n", encoding="utf-8")
    telling.tell(into)


if __name__ == "__main__":
    main()
