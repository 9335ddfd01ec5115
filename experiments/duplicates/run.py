"""How well duplicates are told from look-alikes, by method and size of the label set.

    .venv/bin/python experiments/duplicates/run.py [--seeds 20] [--quick] [--into FOLDER]
    .venv/bin/python experiments/duplicates/run.py --calibrate

Writes results.csv (a row per size, method, threshold and seed), table.md, curves-*.png and growth.png. With
--calibrate, prints at which similarity which share of duplicates is still found, on sets of other seeds.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import polars as pl
from matplotlib.figure import Figure
from rich.progress import track

from autoanalyze.composition import compose
from autoanalyze.evaluation import detect_duplicates, detect_fuzzily, similarities
from autoanalyze.simulation.label_sets import planted_labels
from autoanalyze.study.detection_plots import pairs_judged, precision_and_recall
from autoanalyze.study.duplicates import pair_scores
from autoanalyze.study.intervals import Estimate, paired_interval, shown

HERE = Path(__file__).resolve().parent
SIZES = (50, 200, 1_000, 5_000)
CURVED = (200, 1_000)
"""Sizes for which curves are drawn."""
CALIBRATION_SEEDS = range(1_001, 1_011)

QUESTIONS = "resolution.shown_together=0"
METHODS: dict[str, tuple[str, ...]] = {
    "embeddings + judge": (QUESTIONS,),
    "embeddings + judge, no guards": (QUESTIONS, "resolution.guards=false"),
    "offline embeddings + judge": (QUESTIONS, "embeddings=offline"),
    "default": (),
    "LLM only": ("resolution=llm",),
    "LLM only, one look (design)": ("resolution=llm", "resolution.opinions=1"),
    "exact": ("resolution=embeddings", "resolution.merge_above=1.0", "embeddings=offline"),
}
CURVES: dict[str, tuple[str, ...]] = {
    "endpoint embeddings alone": ("resolution=embeddings",),
    "offline embeddings alone": ("resolution=embeddings", "embeddings=offline"),
}
THRESHOLDS = tuple(round(0.3 + 0.05 * step, 2) for step in range(14))
VARIANTS: dict[str, tuple[str, ...]] = {
    "field embedded too": (QUESTIONS, "embeddings.field=true"),
    "two notes embedded too": (QUESTIONS, "embeddings.notes=2"),
    "field and two notes embedded too": (QUESTIONS, "embeddings.field=true", "embeddings.notes=2"),
    "half the candidates at first": (QUESTIONS, "resolution.first_candidates=2"),
    "half the groups compared": (QUESTIONS, "resolution.nearest_groups=3"),
    "poor judge": (QUESTIONS, "noise.judge_false_merge=0.2"),
    "poor judge, no guards": (QUESTIONS, "noise.judge_false_merge=0.2", "resolution.guards=false"),
}
VARIED = 200
"""The size on which the defaults are varied."""
FUZZY = "fuzzy spelling (rapidfuzz)"
COMPARED = ("exact", "LLM only", "offline embeddings + judge", "embeddings + judge")
"""Methods without a threshold that stand beside the curves."""

LARGEST_FOR_LLM = 1_000
"""Labels up to which all are shown to the judge: beyond it that takes hours of a real model."""


@dataclass(frozen=True)
class Trial:
    """One method on one label set."""

    labels: int
    method: str
    threshold: float | None
    overrides: tuple[str, ...]
    seed: int


def trials(
    seeds: int, sizes: Sequence[int], curved: Sequence[int], thresholds: Sequence[float]
) -> list[Trial]:
    """All trials, the longest first."""
    chosen = []
    for size in sorted(sizes, reverse=True):
        for method, overrides in METHODS.items():
            together = overrides == () and size > 60  # the default then is the first method
            if not together and not (method.startswith("LLM") and size > LARGEST_FOR_LLM):
                chosen.append((size, method, None, overrides))
        if size == VARIED:
            chosen += [(size, variant, None, overrides) for variant, overrides in VARIANTS.items()]
        if size in curved:
            for method, overrides in CURVES.items():
                chosen += [(size, method, t, (*overrides, f"resolution.merge_above={t}")) for t in thresholds]
            chosen += [(size, FUZZY, t, ()) for t in thresholds]
    return [Trial(*parts, seed) for parts in chosen for seed in range(1, seeds + 1)]


def measured(trial: Trial) -> dict[str, Any]:
    """What one trial gives."""
    row: dict[str, Any] = {
        "labels": trial.labels,
        "method": trial.method,
        "threshold": trial.threshold,
        "seed": trial.seed,
    }
    if trial.method == FUZZY:
        planted, began = planted_labels(trial.labels, seed=trial.seed), time.process_time()
        assert trial.threshold is not None
        final = detect_fuzzily(planted, 100 * trial.threshold)
        scores = pair_scores(final, planted.concepts, planted.twins)
        quality = {"precision": scores.precision, "recall": scores.recall, "hard_merged": scores.hard_merged}
        figures: dict[str, Any] = {**quality, "processor_seconds": time.process_time() - began}
    else:
        figures = detect_duplicates(compose(list(trial.overrides)), trial.labels, seed=trial.seed).figures
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {**row, **figures, "peak_memory_gb": memory}


def measure(chosen: Sequence[Trial]) -> pl.DataFrame:
    """A row per trial, in order; large sets get processes of their own, so that their memory is theirs."""
    large = [trial for trial in chosen if trial.labels >= SIZES[-1]]
    rest = [trial for trial in chosen if trial.labels < SIZES[-1]]
    rows: list[dict[str, Any]] = []
    # Spawned, not forked: Polars' threads do not survive a fork.
    context = get_context("spawn")
    for some, tasks in ((large, 1), (rest, None)):
        with ProcessPoolExecutor(mp_context=context, max_tasks_per_child=tasks) as pool:
            title = f"{len(some):,} label sets"
            rows += track(pool.map(measured, some), title, total=len(some))
    return pl.DataFrame(rows, infer_schema_length=None)


def estimates(frame: pl.DataFrame, labels: int, method: str, column: str) -> list[Estimate]:
    """Means over seeds with 95 % intervals, one per threshold in their order."""
    here = frame.filter((pl.col("labels") == labels) & (pl.col("method") == method)).sort("threshold", "seed")
    return [
        paired_interval(own[column].drop_nulls().to_list())
        for _, own in here.group_by("threshold", maintain_order=True)
    ]


def best_threshold(frame: pl.DataFrame, labels: int, method: str) -> float:
    """Of a method with a threshold the one with the highest F1, as if somebody knew it."""
    here = frame.filter((pl.col("labels") == labels) & (pl.col("method") == method))
    both = pl.col("precision") + pl.col("recall")
    f1 = pl.when(both > 0).then(2 * pl.col("precision") * pl.col("recall") / both).otherwise(0.0)
    means = here.group_by("threshold").agg(f1.mean().alias("f1"))
    return float(means.sort("f1", "threshold", descending=[True, False])["threshold"][0])


COLUMNS = ("precision", "recall", "hard_merged", "candidate_recall", "judged_share")
COSTS = ("calls", "prompt_tokens", "completion_tokens", "embedded_tokens", "cost_usd", "processor_seconds")


def table(frame: pl.DataFrame) -> str:
    """All methods at all sizes, as Markdown: quality and cost, then hard negatives by class."""
    headings = [
        *("labels", "method", "precision", "recall", "hard negatives merged", "candidate recall"),
        *("pairs judged / all", "pairs judged per label", "calls"),
        *("tokens prompt / completion / embedded", "cost USD", "processor s", "GB"),
    ]
    lines = [f"| {' | '.join(headings)} |", f"|{' --- |' * len(headings)}"]
    for labels in sorted(set(frame["labels"])):
        for method in (*METHODS, *VARIANTS, *CURVES, FUZZY):
            own = frame.filter((pl.col("labels") == labels) & (pl.col("method") == method))
            if own.is_empty():
                continue
            name = method
            if method in CURVES or method == FUZZY:
                best = best_threshold(frame, labels, method)
                own, name = own.filter(pl.col("threshold") == best), f"{method} at its best threshold, {best}"
            quality = [shown(paired_interval(own[c].drop_nulls().to_list()), 4) for c in COLUMNS]
            means = {name: own[name].mean() for name in (*COSTS, "pairs_judged", "peak_memory_gb")}
            tokens = " / ".join(
                whole(means[f"{kind}_tokens"]) for kind in ("prompt", "completion", "embedded")
            )
            costs = [whole(means["calls"]), tokens, fixed(means["cost_usd"], 4)]
            pairs = fixed(means["pairs_judged"], 2, labels)
            # Only large sets have a process, and so a peak, of their own.
            memory = means["peak_memory_gb"] if labels >= SIZES[-1] else None
            used = [fixed(means["processor_seconds"], 1), fixed(memory, 2)]
            cells = [f"{labels:,}", name, *quality, pairs, *costs, *used]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", *by_class(frame)]) + "\n"


def whole(value: Any) -> str:
    """A mean count."""
    return "-" if value is None else f"{value:,.0f}"


def fixed(value: Any, digits: int, divisor: int = 1) -> str:
    """A mean with so many digits."""
    return "-" if value is None else f"{value / divisor:.{digits}f}"


def by_class(frame: pl.DataFrame) -> list[str]:
    """Hard negatives merged, by class, with guards and without."""
    classes = sorted(name for name in frame.columns if name.startswith("hard_") and name != "hard_merged")
    lines = [f"| labels | method | {' | '.join(name.removeprefix('hard_') for name in classes)} |"]
    lines.append(f"| --- | --- |{' --- |' * len(classes)}")
    for labels in sorted(set(frame["labels"])):
        for method in (*list(METHODS)[:2], *(name for name in VARIANTS if name.startswith("poor"))):
            own = frame.filter((pl.col("labels") == labels) & (pl.col("method") == method))
            if own.is_empty():
                continue
            cells = [shown(paired_interval(own[name].drop_nulls().to_list()), 4) for name in classes]
            lines.append(f"| {labels:,} | {method} | {' | '.join(cells)} |")
    return lines


def draw(frame: pl.DataFrame, curved: Sequence[int], into: Path) -> None:
    """Curves for the sizes that have them, and the growth of the pairs judged."""
    for labels in curved:
        methods = {
            method: list(
                zip(
                    estimates(frame, labels, method, "recall"),
                    estimates(frame, labels, method, "precision"),
                    strict=True,
                )
            )
            for method in (
                *CURVES,
                FUZZY,
                "exact",
                "LLM only",
                "offline embeddings + judge",
                "embeddings + judge",
            )
        }
        seeds = frame["seed"].n_unique()
        ax = precision_and_recall(methods, title=f"{labels:,} planted labels, {seeds} sets, simulated judge")
        save(ax.figure, into / f"curves-{labels}.png")
    asked = {
        method: [
            (labels, float(mean_pairs(frame, labels, method))) for labels in sorted(set(frame["labels"]))
        ]
        for method in list(METHODS)[:3]
    }
    save(pairs_judged(asked, title="pairs that the simulated judge compares").figure, into / "growth.png")


def mean_pairs(frame: pl.DataFrame, labels: int, method: str) -> float:
    """Pairs judged, as a mean over the seeds."""
    own = frame.filter((pl.col("labels") == labels) & (pl.col("method") == method))
    return float(sum(own["pairs_judged"]) / len(own))


def save(figure: Any, path: Path) -> None:
    """Write a figure."""
    assert isinstance(figure, Figure)
    figure.savefig(path)


def calibrate() -> None:
    """At which similarity how many duplicates are found, and how many pairs would be looked at."""
    for source in ("endpoint", "offline"):
        alike, same = [], []
        for seed in CALIBRATION_SEEDS:
            planted = planted_labels(300, seed=seed)
            for pair, similarity in similarities(compose([f"embeddings={source}"]), planted).items():
                alike.append(similarity)
                same.append(len({planted.concepts[label] for label in pair}) == 1)
        frame = pl.DataFrame({"alike": alike, "same": same})
        print(
            f"\n{source}: similarity | duplicates at or above | of all pairs | of those just there, the same"
        )
        for threshold in [round(0.2 + 0.05 * step, 2) for step in range(15)]:
            above = frame.filter(pl.col("alike") >= threshold)
            near = above.filter(pl.col("alike") < threshold + 0.05)["same"].mean()
            found = above["same"].sum() / frame["same"].sum()
            print(f"{threshold:.2f} | {found:.4f} | {len(above) / len(frame):.4f} | {fixed(near, 3)}")


def main() -> None:
    """Run everything and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="two sets of 50 and 200 labels, in seconds")
    parser.add_argument("--into", type=Path, default=HERE, help="where the results go")
    parser.add_argument("--calibrate", action="store_true", help="print how the thresholds were chosen")
    arguments = parser.parse_args()
    if arguments.calibrate:
        calibrate()
        return
    arguments.into.mkdir(parents=True, exist_ok=True)
    quick = arguments.quick
    curved = CURVED[:1] if quick else CURVED
    sizes, thresholds = (SIZES[:2], THRESHOLDS[::5]) if quick else (SIZES, THRESHOLDS)
    frame = measure(trials(2 if quick else arguments.seeds, sizes, curved, thresholds))
    frame.write_csv(arguments.into / "results.csv", float_precision=6)
    (arguments.into / "table.md").write_text(table(frame), encoding="utf-8")
    print(table(frame))
    draw(frame, curved, arguments.into)


if __name__ == "__main__":
    main()
