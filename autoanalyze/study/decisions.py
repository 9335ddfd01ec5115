"""From measurements to a decision: how many sessions per call, for each model. Pure functions."""

from __future__ import annotations

import polars as pl

from autoanalyze.study.paired import estimate

__all__ = ["batch_size_per_model"]


def batch_size_per_model(
    results: pl.DataFrame, *, target: float = 0.95, most_lost: float = 0.02
) -> pl.DataFrame:
    """The size to choose for each model, with what it brings and why not a larger one.

    `results`: a row per run with model, batch_size, seed and measures. Chosen is the cheapest size whose
    consistency and guard hold `target` at the lower end of their 95 % intervals, that leaves nothing
    unresolved, and of whose sessions at most `most_lost` (share) have to be asked about again; of sizes
    that cost the same to a thousandth, the fastest. A model without such a size has a null.
    """
    rows = []
    for (model,), own in results.group_by(["model"], maintain_order=True):
        sizes = sized(own.sort("batch_size"), target, most_lost)
        chosen = sizes.filter("holds").sort(pl.col("cost_per_1000").round(3), "model_seconds").head(1)
        if chosen.is_empty():
            rows.append({"model": model, "batch_size": None, "why": f"no size holds {target}"})
            continue
        best, single = chosen.row(0, named=True), sizes.row(0, named=True)
        rows.append(
            {
                "model": model,
                "batch_size": best["batch_size"],
                "cost_per_1000": best["cost_per_1000"],
                "cost_saved": 1 - best["cost_per_1000"] / single["cost_per_1000"],
                "model_seconds": best["model_seconds"],
                "consistency_low": best["consistency_low"],
                "guard_low": best["precision_low"],
                "asked_again": best["asked_again"],
                "why": reason(sizes, best["batch_size"], most_lost),
            }
        )
    return pl.DataFrame(rows, infer_schema_length=None)


def sized(own: pl.DataFrame, target: float, most_lost: float) -> pl.DataFrame:
    """What each size of one model brings, and whether it may be chosen."""
    rows = []
    for (size,), runs in own.group_by(["batch_size"], maintain_order=True):
        row = {"batch_size": size}
        for measure in ("consistency", "precision"):
            found = estimate(runs, measure)
            row[f"{measure}_low"] = found.value if found.low is None else found.low
        means = ("cost_per_1000", "model_seconds", "asked_again", "unresolved")
        rows.append({**row, **{name: estimate(runs, name).value for name in means}})
    holds = (
        (pl.col("consistency_low") >= target)
        & (pl.col("precision_low") >= target)
        & (pl.col("unresolved") == 0)
        & (pl.col("asked_again") <= most_lost)
    )
    return pl.DataFrame(rows).with_columns(holds.alias("holds"))


def reason(sizes: pl.DataFrame, chosen: int, most_lost: float) -> str:
    """Why the next larger size is not chosen."""
    larger = sizes.filter(pl.col("batch_size") > chosen)
    if larger.is_empty():
        return "the largest that was measured still holds"
    size = larger.row(0, named=True)
    if size["holds"]:
        why = "it costs as much or more"
    elif size["asked_again"] > most_lost:
        why = f"{size['asked_again']:.1%} of the sessions are lost and asked about again"
    elif size["unresolved"] > 0:
        why = f"{size['unresolved']:.2%} of the sessions stay unresolved"
    else:
        measure = "consistency" if size["consistency_low"] < size["precision_low"] else "guard"
        why = f"{measure} may be as low as {min(size['consistency_low'], size['precision_low']):.3f}"
    return f"at {size['batch_size']}, {why}"
