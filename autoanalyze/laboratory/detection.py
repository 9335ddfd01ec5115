"""Duplicate detection measured on planted label sets, with the same parts that a run is made of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
import polars as pl

from autoanalyze.analysis.configuration import digest
from autoanalyze.analysis.endpoints import in_process
from autoanalyze.analysis.folder import RunFolder
from autoanalyze.analysis.record import provenance, wall
from autoanalyze.analysis.tables import ledger_table
from autoanalyze.config import Config
from autoanalyze.errors import ConfigurationError
from autoanalyze.llm.connection import Connection, connected, rate_limits
from autoanalyze.llm.tokens import Estimate
from autoanalyze.phases.conflicts import ConflictResolution
from autoanalyze.phases.duplicates.opinions import Pair, pair_of
from autoanalyze.phases.duplicates.spelling import normal_form
from autoanalyze.phases.vocabulary import LabelUse
from autoanalyze.protocols import Embedder, Vectors
from autoanalyze.records import CallContext, LabelSchema, Usage
from autoanalyze.serving.app import ServedEndpoint
from autoanalyze.serving.clock import VirtualClockLoop
from autoanalyze.simulation.label_sets import PlantedLabels, PlantedNames, planted_labels
from autoanalyze.simulation.model import SimulatedModel
from autoanalyze.study.duplicates import (
    PairScores,
    candidate_recall,
    false_merges,
    missed_duplicates,
    pair_scores,
)

Result = TypeVar("Result")


@dataclass(frozen=True)
class Detection:
    """What duplicate detection made of a planted label set, and what it took.

    `candidates` are the pairs that embeddings proposed, with their similarity; `candidate_recall` is the
    share of duplicate pairs that were proposed (null where all labels are shown together); `pairs_judged`
    is how many pairs the judge was shown to compare. `cost_usd` and `model_seconds` are simulated,
    `processor_seconds` are this machine's, simulation included.
    """

    planted: PlantedLabels
    final: dict[str, str]
    ledger: pl.DataFrame
    candidates: dict[Pair, float]
    scores: PairScores
    candidate_recall: float | None
    pairs_judged: int
    calls: int
    usage: Usage
    cost_usd: float
    model_seconds: float
    processor_seconds: float
    errors: tuple[str, ...]

    @property
    def judged_share(self) -> float:
        """The share of all pairs of labels that the judge was asked about."""
        count = len(self.final)
        return self.pairs_judged / (count * (count - 1) / 2)

    @property
    def figures(self) -> dict[str, float | None]:
        """Quality and cost by name: a row of a table."""
        scores = self.scores
        return {
            "precision": scores.precision,
            "recall": scores.recall,
            "hard_merged": scores.hard_merged,
            **{f"hard_{kind}": share for kind, share in scores.hard_merged_by_class.items()},
            "candidate_recall": self.candidate_recall,
            "pairs_judged": self.pairs_judged,
            "judged_share": self.judged_share,
            "calls": self.calls,
            "prompt_tokens": self.usage.prompt,
            "completion_tokens": self.usage.completion,
            "embedded_tokens": self.usage.embedded,
            "cost_usd": self.cost_usd,
            "model_seconds": self.model_seconds,
            "processor_seconds": self.processor_seconds,
        }

    @property
    def false_merges(self) -> list[tuple[str, str]]:
        """Aliases whose canonical label means something else, with it."""
        return false_merges(self.final, self.planted.concepts)

    @property
    def missed(self) -> list[tuple[str, ...]]:
        """Canonical labels that should have been one."""
        return missed_duplicates(self.final, self.planted.concepts)


def detect_duplicates(config: Config, count: int, *, seed: int, folder: Path | None = None) -> Detection:
    """Run phase 3 of a configuration on `count` planted labels, simulated; see `detect_among`."""
    return detect_among(config, planted_labels(count, seed=seed), seed=seed, folder=folder)


def detect_among(
    config: Config,
    planted: PlantedLabels,
    *,
    seed: int,
    folder: Path | None = None,
    embedder: Embedder | None = None,
) -> Detection:
    """Run phase 3 of a configuration on labels whose meaning is known, under a simulated judge.

    Vectors come from `embedder`, or as configured. The journal is kept in `folder`, or thrown away. Raises
    ConfigurationError for a live endpoint: nobody is billed for planted labels.
    """
    if config.endpoint != "simulated":
        raise ConfigurationError("duplicate detection is measured on the simulated endpoint only")
    with TemporaryDirectory() as scratch:
        path = (folder or Path(scratch)) / "calls.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        started = time.process_time()
        return virtually(detected(config, planted, path, seed, started, embedder))


def run_detection(config: Config, folder: Path) -> None:
    """Detect the duplicates of one planted label set (`data=labels`), and leave a run folder.

    run.json has the figures under `detection`; labels.parquet has a row per label with its concept and
    canonical label, merges.parquet the ledger. Raises RunFolderError if a finished run is there.
    """
    run_folder = RunFolder.create(folder)
    with run_folder.locked():
        started = datetime.now(UTC)
        run_folder.journal.unlink(missing_ok=True)  # of a run that was killed
        run_folder.write_json("progress.json", {"status": "running"})
        found = detect_duplicates(config, config.data.count, seed=config.seed, folder=folder)
        planted = found.planted
        rows = [(p.label, p.concept, found.final[p.label], p.sessions) for p in planted.labels]
        columns = ["label", "concept", "canonical", "sessions"]
        run_folder.write_table("labels", pl.DataFrame(rows, schema=columns, orient="row"))
        run_folder.write_table("merges", found.ledger)
        figures = found.figures
        processor_seconds = figures.pop("processor_seconds")
        record = {
            "id": digest([str(folder), started.isoformat()])[:12],
            "kind": "detection",
            "status": "done",
            **provenance(
                config,
                endpoint="simulated",
                dataset_fingerprint=digest(rows),
                instructions="",
                token_counter="estimate",
            ),
            "detection": {"labels": len(rows), **figures},
            "wall": {**wall(started), "processor_seconds": processor_seconds},
        }
        run_folder.write_json("run.json", record)
        run_folder.write_json("progress.json", {"status": "done"})


def virtually(work: Coroutine[Any, Any, Result]) -> Result:
    """The result of work in virtual time, in a thread of its own: Jupyter has a loop running in this one."""

    def run() -> Result:
        with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
            return runner.run(work)

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(run).result()


def to_judge(
    config: Config, planted: PlantedLabels, journal_path: Path
) -> AbstractAsyncContextManager[Connection]:
    """A connection to a simulated endpoint that knows what is planted in a label set."""
    labeller = SimulatedModel(PlantedNames(planted), config.noise, LabelSchema((planted.field,)))
    served = ServedEndpoint(
        labeller, config.model, config.noise, Estimate(), faults=config.faults, judge=config.resolution.model
    )
    limit = rate_limits(config).tokens_per_minute
    endpoint = in_process(served)
    return connected(config, endpoint, Estimate(), journal_path, planned_tokens_per_minute=limit)


async def detected(
    config: Config,
    planted: PlantedLabels,
    journal_path: Path,
    seed: int,
    started: float,
    embedder: Embedder | None,
) -> Detection:
    """Phase 3 on the running loop."""
    schema = LabelSchema((planted.field,))
    use = {planted.field.name: LabelUse(planted.counts, planted.notes)}
    async with to_judge(config, planted, journal_path) as connection:
        phase = ConflictResolution(
            connection.judge,
            embedder or connection.embedder,
            schema,
            config.resolution,
            config.embeddings,
            retry=config.retry,
            seed=seed,
        )
        clock = asyncio.get_running_loop()
        began = clock.time()
        result = await phase.resolve_conflicts(use)
        seconds = clock.time() - began
    took, journal = time.process_time() - started, connection.journal
    redirects = result.redirects().get(planted.field.name, {})
    final = {label: redirects.get(label, label) for label in planted.counts}
    candidates = phase.candidates(planted.field.name)
    return Detection(
        planted,
        final,
        ledger_table(result.ledger, use),
        dict(candidates),
        pair_scores(final, planted.concepts, planted.twins),
        candidate_recall(candidates, spelled(planted), planted.concepts) if candidates else None,
        result.pairs_judged,
        journal.calls,
        journal.usage,
        connection.tokens.calculate_cost_estimate(journal.usage, journal.calls),
        seconds,
        took,
        result.errors,
    )


def similarities(
    config: Config, planted: PlantedLabels, embedder: Embedder | None = None
) -> dict[Pair, float]:
    """How alike all pairs of a small label set are, by `embedder` or the configured embeddings, simulated
    ones included.

    Of other spellings of one name only the most used counts.
    """
    labels = list(dict.fromkeys(spelled(planted).values()))
    with TemporaryDirectory() as scratch:
        vectors = virtually(embedded(config, planted, labels, Path(scratch) / "calls.jsonl", embedder))
    alike = np.triu(vectors @ vectors.T, 1)
    pairs = zip(*np.triu_indices(len(labels), 1), strict=True)
    return {pair_of(labels[one], labels[other]): float(alike[one, other]) for one, other in pairs}


async def embedded(
    config: Config,
    planted: PlantedLabels,
    labels: Sequence[str],
    journal_path: Path,
    embedder: Embedder | None,
) -> Vectors:
    """Vectors of some labels, on the running loop."""
    async with to_judge(config, planted, journal_path) as connection:
        return (await (embedder or connection.embedder).embed(labels, CallContext("resolution"))).vectors


def spelled(planted: PlantedLabels) -> dict[str, str]:
    """Of each label the most used one that has the same normal form."""
    by_form: dict[tuple[str, ...], str] = {}
    for label in sorted(planted.counts, key=lambda label: -planted.counts[label]):
        by_form.setdefault(normal_form(label), label)
    return {label: by_form[normal_form(label)] for label in planted.counts}
