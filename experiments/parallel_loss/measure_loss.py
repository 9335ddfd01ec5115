"""What labelling in parallel costs a labeller that reads, and which phase gives how much of it back.

    python experiments/parallel_loss/measure_loss.py [FOLDER] [--minutes N] [--samples N] [--quick]
    python experiments/parallel_loss/measure_loss.py --tell      the chapter's tables and figure anew

FOLDER holds the five data sets (default ../shared/data); nothing of it is copied into the repository. What
is there already is kept (under outputs, by the code's digest), so that the same command goes on where it was.
`--quick` takes chats of our own making and seconds, and leaves the lab book as it is.
experiments/PREREGISTERED.md says what was settled before, and in which order samples are worked through.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl
from joblib import Parallel, delayed

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE), str(HERE.parent / "reading"), str(ROOT / "tests")]

import measure  # noqa: E402  # experiments/reading: which sessions of the data sets are taken
import telling  # noqa: E402

import autoanalyze  # noqa: E402
from autoanalyze.analysis.configuration import code_digest  # noqa: E402
from autoanalyze.analysis.record import PACKAGES, git_state  # noqa: E402
from autoanalyze.config import Config  # noqa: E402
from autoanalyze.data.reports import ImportOptions  # noqa: E402
from autoanalyze.data.store import Store  # noqa: E402
from autoanalyze.llm.tokens import Estimate, count_with  # noqa: E402
from autoanalyze.study.metrics import score_field  # noqa: E402
from autoanalyze.study.runs import Run, load_run  # noqa: E402

DATA_SETS = {"STAR": 200, "CLINC150 test": 200, "Banking77": 200, "DSTC11 development": 200, "tau-bench": 150}
"""Sessions of a sample, by data set."""
OWN, OWN_SESSIONS = "our own chats", 60
FIELD, CALL, SAMPLES = "general_intent", 5, 20
FIRST, SOME = 8, 3
"""Samples of the settings that hypotheses name, and of the rest of the grid, that come before all others."""
PARTS = ROOT / "outputs" / "experiments" / "parallel_loss"
EVERYWHERE = (
    *("endpoint=offline", "data=store", "data.minimum_messages=1", "resamples=0", "page=false"),
    *("resolution.every_labels=null", f"parallel.sessions_per_stream={CALL}", "parallel.taper=null"),
)
MERGING = {
    "judge": (),
    "names alone": ("resolution=embeddings", "embeddings=offline", "resolution.merge_above=0.5"),
}


@dataclass(frozen=True, slots=True)
class Setting:
    """How a sample is labelled."""

    streams: int
    sync: str
    discovery: str
    merging: str = "judge"

    def config(self) -> Config:
        """The configuration of a run, but for its data and seed."""
        chosen = (f"parallel.streams={self.streams}", f"sync={self.sync}", f"discovery={self.discovery}")
        return autoanalyze.compose([*EVERYWHERE, *chosen, *MERGING[self.merging]])


def settings(*, quick: bool) -> tuple[list[Setting], list[Setting]]:
    """The settings that the hypotheses name, and the rest of the grid, which the quick form leaves out.

    With one stream the ways to synchronise are one; a ramp lives on what is shared.
    """
    streams = (1, 8) if quick else (1, 2, 4, 8, 16, 32)
    found = ("none", "adaptive") if quick else ("none", "fixed", "adaptive")
    grid = [
        Setting(n, sync, discovery)
        for n in streams
        for sync in (("none", "rounds", "continuous") if n > 1 else ("continuous",))
        for discovery in found
        if (sync, discovery) != ("none", "adaptive")
    ]
    alone = [
        Setting(n, "none" if n > 1 else "continuous", "none", "names alone")
        for n in streams
        if n in (1, 8, 32)
    ]
    named = [setting for setting in grid if is_named(setting)]
    default = [Setting(n, "continuous", "adaptive", "names alone") for n in streams if n in (8, 32)]
    rest = [] if quick else [*(setting for setting in grid if setting not in named), *default]
    return [*named, *alone], rest


def is_named(setting: Setting) -> bool:
    """Whether a hypothesis about first names is about this setting."""
    way = (setting.sync, setting.discovery)
    if setting.streams == 1:
        return way == ("continuous", "none")
    if way in {("none", "none"), ("continuous", "none"), ("continuous", "adaptive")}:
        return True
    return setting.streams in (8, 32) and way in {("none", "fixed"), ("rounds", "none")}


def stores(folder: Path | None, into: Path) -> dict[str, Path]:
    """A session store of each data set; without a folder, of our own chats."""
    if folder is None:
        return {OWN: own_store(into / "own.duckdb")}
    made = {}
    for name in DATA_SETS:
        made[name] = into / f"{measure.SETS[name][0]}.duckdb"
        sessions = measure.sessions_of(folder, name, None).rename({"true_intent": f"true_{FIELD}"})
        sessions.write_parquet(into / "sessions.parquet")
        autoanalyze.import_sessions(into / "sessions.parquet", made[name], ImportOptions())
    return made


def own_store(path: Path) -> Path:
    """The chats of tests/reading_texts.py, whose matters are known."""
    from reading_texts import chats

    count = count_with(Estimate())
    known = [replace(chat, truth={FIELD: next(iter(chat.truth.values()))}) for chat in chats(truth=True)]
    with Store.open(path) as store:
        store.add(known, bot_id="default", count_tokens=count, token_encoding="estimate", source="own")
    return path


def rows_of(run: Run) -> Iterator[dict[str, Any]]:
    """What is measured of a run: of the names first given, and of those after merging."""
    truth = pl.read_parquet(run.path / "truth.parquet").filter(pl.col("field") == FIELD)
    told = run.sessions.select("session_id", "user_id", "stream", f"{FIELD}_first", FIELD)
    told = told.join(truth.select("session_id", "concept"), on="session_id")
    for names, column in (("first", f"{FIELD}_first"), ("merged", FIELD)):
        scores = score_field(told.with_columns(label=pl.col(column)), seed=0, resamples=0)
        consistency, precision = scores.consistency.value or 0.0, scores.precision.value or 0.0
        both = consistency + precision
        yield {
            "names": names,
            "sessions": len(told),
            "consistency": consistency,
            "precision": precision,
            "f1": 2 * consistency * precision / both if both else 0.0,
            "ami": scores.ami.value,
            "labels": int(scores.label_count.value or 0),
            "concepts": int(scores.concept_count.value or 0),
            "coverage": scores.coverage.value,
            "calls": run.record["calls"],
            "model_seconds": run.record["model_seconds"],
        }


def sample(
    name: str, store: Path, count: int, seed: int, configs: Mapping[Setting, Config], part: Path, until: float
) -> bool:
    """One sample of a data set under all settings, into a file of its own; whether there was time for it."""
    if part.exists():
        return True
    rows = []
    for setting, config in configs.items():
        if time.time() > until:
            return False
        data = replace(config.data, path=str(store), count=count)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "run"
            analysis = autoanalyze.build_analysis(replace(config, data=data, seed=seed), progress=False)
            analysis.run_sync(folder)
            told = {
                "data_set": name,
                "seed": seed,
                "field": FIELD,
                **{key: getattr(setting, key) for key in ("streams", "sync", "discovery", "merging")},
            }
            rows += [{**told, **row} for row in rows_of(load_run(folder))]
    draft = part.with_suffix(".draft")
    pl.DataFrame(rows).write_parquet(draft)
    draft.replace(part)
    return True


def measured(
    folder: Path | None, parts: Path, *, samples: int, minutes: float, processes: int
) -> pl.DataFrame:
    """The rows of all samples that are whole, in order."""
    parts.mkdir(parents=True, exist_ok=True)
    until = time.time() + 60 * minutes
    named, rest = settings(quick=folder is None)
    composed = {setting: setting.config() for setting in (*named, *rest)}
    with tempfile.TemporaryDirectory() as scratch:
        made = stores(folder, Path(scratch))
        parts_of: dict[tuple[int, bool], list[Path]] = {}
        jobs = []
        for seed, is_rest in order(samples):
            if is_rest and not rest:
                continue
            configs = {setting: composed[setting] for setting in (rest if is_rest else named)}
            parts_of[seed, is_rest] = []
            for name, store in made.items():
                part = parts / f"{seed}-{store.stem}-{'rest' if is_rest else 'named'}.parquet"
                parts_of[seed, is_rest].append(part)
                count = DATA_SETS.get(name, OWN_SESSIONS)
                jobs.append(delayed(sample)(name, store, count, seed, configs, part, until))
        Parallel(processes, batch_size=1, pre_dispatch="n_jobs")(jobs)
    whole = []
    # Of each part of the grid, the samples up to the first one that is not whole.
    for is_rest in (False, True):
        for seed in range(1, samples + 1):
            files = parts_of.get((seed, is_rest), [])
            if not all(file.exists() for file in files):
                break
            whole += [pl.read_parquet(file) for file in files]
    return pl.concat(whole)


def order(samples: int) -> list[tuple[int, bool]]:
    """Which sample is labelled when: by the settings that hypotheses name (False) or the rest (True)."""
    first, some = range(1, min(FIRST, samples) + 1), range(1, min(SOME, samples) + 1)
    more, others = range(FIRST + 1, samples + 1), range(SOME + 1, samples + 1)
    parts = ((first, False), (some, True), (more, False), (others, True))
    return [(seed, is_rest) for seeds, is_rest in parts for seed in seeds]


def provenance(seconds: float, results: pl.DataFrame, command: Sequence[str]) -> dict[str, Any]:
    """Where the results come from."""
    return {
        "question": telling.QUESTION,
        "command": " ".join(["python experiments/parallel_loss/measure_loss.py", *command]),
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "git": git_state(),
        "code": code_digest(),
        "samples": results["seed"].n_unique(),
        "runs": len(results) // 2,
        "seconds": round(seconds, 1),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def main() -> None:
    """Measure, and write results, tables, figure and provenance."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--minutes", type=float, default=24, help="after which no further sample counts")
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--into", type=Path, default=None, help="folder of results; the lab book by default")
    parser.add_argument("--quick", action="store_true", help="seconds, on chats of our own making")
    parser.add_argument("--tell", action="store_true", help="tables and figure of the results that are there")
    given = parser.parse_args()
    into = given.into or (PARTS / "quick" if given.quick else HERE)
    if not given.tell:
        began = time.monotonic()
        git_state(), code_digest()  # asked now, and remembered: what is edited later is not what runs
        folder = None if given.quick else given.folder
        parts = into / "parts" if given.quick else PARTS / code_digest()[:12]
        results = measured(
            folder,
            parts,
            samples=2 if given.quick else given.samples,
            minutes=given.minutes,
            processes=1 if given.quick else given.processes,
        )
        results.write_parquet(into / "results.parquet")
        told = provenance(time.monotonic() - began, results, sys.argv[1:])
        (into / "provenance.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    telling.tell(pl.read_parquet(into / "results.parquet"), into)


if __name__ == "__main__":
    main()
