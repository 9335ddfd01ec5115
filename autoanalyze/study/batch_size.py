"""From measurements to a decision: how many sessions per call, for each model. Pure functions."""

from __future__ import annotations

import polars as pl

from autoanalyze.study.intervals import Estimate, difference, estimate


def batch_size_per_model(
    results: pl.DataFrame, *, most_worse: float = 0.02, most_lost: float = 0.02
) -> pl.DataFrame:
    """The size to choose for each model, with what it brings and why not a larger one.

    `results`: a row per run with model, batch_size, seed, field and measures. Chosen is the cheapest size
    whose consistency and precision are at most `most_worse` below those of the smallest size (lower end of
    the 95 % interval of the difference, paired by seed), that leaves nothing unresolved, and of whose
    sessions at most `most_lost` (share) have to be asked about again; of sizes that cost the same to a
    thousandth, the fastest.
    """
    rows = []
    for (model,), own in results.group_by(["model"], maintain_order=True):
        sizes = sized(own.sort("batch_size"), most_worse, most_lost)
        chosen = sizes.filter("good").sort(pl.col("cost_per_1000").round(3), "model_seconds")
        best, smallest = chosen.row(0, named=True), sizes.row(0, named=True)
        rows.append(
            {
                "model": model,
                "batch_size": best["batch_size"],
                "cost_per_1000": best["cost_per_1000"],
                "cost_saved": saved(best["cost_per_1000"], smallest["cost_per_1000"]),
                "model_seconds": best["model_seconds"],
                "consistency": best["consistency"],
                "precision": best["precision"],
                "asked_again": best["asked_again"],
                "why_not_more": reason(sizes, best["batch_size"], most_lost),
            }
        )
    return pl.DataFrame(rows)


def saved(cost: float, before: float) -> float:
    """The share of a cost that is saved; none of what costs nothing, where time decides."""
    return 1 - cost / before if before else 0.0


def sized(own: pl.DataFrame, most_worse: float, most_lost: float) -> pl.DataFrame:
    """What each size of one model brings, and whether it is good enough to be chosen."""
    groups = {size: runs for (size,), runs in own.group_by(["batch_size"], maintain_order=True)}
    smallest = next(iter(groups.values()))
    means = ("consistency", "precision", "cost_per_1000", "model_seconds", "asked_again", "unresolved")
    rows = []
    for size, runs in groups.items():
        worst = min(
            lower_end(difference(runs, smallest, measure)) for measure in ("consistency", "precision")
        )
        row = {"batch_size": size, **{name: estimate(runs, name).value for name in means}, "worst": worst}
        rows.append(row)
    good = (
        (pl.col("worst") >= -most_worse) & (pl.col("unresolved") == 0) & (pl.col("asked_again") <= most_lost)
    )
    # The smallest size is what others are compared with: it is always there to be chosen.
    first = pl.col("batch_size") == pl.col("batch_size").first()
    return pl.DataFrame(rows).with_columns((good | first).alias("good"))


def lower_end(found: Estimate) -> float:
    """The least that a difference may be; with a single pair, the difference itself."""
    end = found.value if found.low is None else found.low
    return 0.0 if end is None else end


def reason(sizes: pl.DataFrame, chosen: int, most_lost: float) -> str:
    """Why the next larger size is not chosen."""
    larger = sizes.filter(pl.col("batch_size") > chosen)
    if larger.is_empty():
        return "it is the largest that was measured"
    size = larger.row(0, named=True)
    if size["good"]:
        why = "it costs as much or more"
    elif size["asked_again"] > most_lost:
        why = f"{size['asked_again']:.1%} of the sessions are lost and asked about again"
    elif size["unresolved"] > 0:
        why = f"{size['unresolved']:.2%} of the sessions stay unresolved"
    else:
        why = f"consistency or precision may be {-100 * size['worst']:.1f} points lower"
    return f"at {size['batch_size']}, {why}"
