"""The size of a call for each model, decided by what was measured."""

from __future__ import annotations

import polars as pl

from autoanalyze.study.batch_size import batch_size_per_model


def runs(
    model: str,
    size: int,
    *,
    consistency: float = 0.97,
    asked_again: float = 0.0,
    unresolved: float = 0.0,
    cost: float = 1.0,
    seconds: float = 10.0,
) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "model": model,
                "batch_size": size,
                "seed": seed,
                "field": "general_intent",
                "consistency": consistency + 0.001 * seed,
                "precision": 0.98,
                "asked_again": asked_again,
                "unresolved": unresolved,
                "model_seconds": float(seconds),
                "cost_per_1000": float(cost),
            }
            for seed in range(1, 6)
        ]
    )


def decided(*frames: pl.DataFrame) -> dict[str, object]:
    (row,) = batch_size_per_model(pl.concat(frames)).to_dicts()
    return row


def test_the_cheapest_size_that_holds_is_chosen() -> None:
    """With what it saves over one by one, and why not a larger one."""
    row = decided(
        runs("a", 1, cost=4),
        runs("a", 10, cost=2),
        runs("a", 20, cost=1),
        runs("a", 50, cost=0.5, asked_again=0.1),
    )
    assert (row["batch_size"], row["cost_saved"]) == (20, 0.75)
    assert row["why_not_more"] == "at 50, 10.0% of the sessions are lost and asked about again"


def test_reasons_name_what_fails_first() -> None:
    """Unresolved sessions, weak names, or no gain."""
    small = runs("a", 1, cost=2)
    assert decided(small, runs("a", 2, cost=1, unresolved=0.01))["why_not_more"] == (
        "at 2, 1.00% of the sessions stay unresolved"
    )
    weak = decided(small, runs("a", 2, cost=1, consistency=0.9))
    assert weak["why_not_more"] == "at 2, consistency or precision may be 7.0 points lower"
    assert decided(small, runs("a", 2, cost=3))["why_not_more"] == "at 2, it costs as much or more"
    assert decided(small)["why_not_more"] == "it is the largest that was measured"


def test_of_equal_costs_the_faster_size_is_chosen() -> None:
    """A thousandth of a dollar is no reason to wait."""
    row = decided(runs("a", 5, cost=1.0001, seconds=5), runs("a", 10, cost=1.0, seconds=20))
    assert row["batch_size"] == 5


def test_each_model_is_decided_for_itself() -> None:
    """Against its own smallest size, which is there to be chosen however bad it is."""
    table = batch_size_per_model(
        pl.concat([runs("bad", 1, consistency=0.5), runs("bad", 5, consistency=0.3), runs("good", 1)])
    )
    assert table.select("model", "batch_size").rows() == [("bad", 1), ("good", 1)]


def test_what_costs_nothing_is_decided_by_time() -> None:
    """A model on one's own machine saves no money."""
    row = decided(runs("a", 1, cost=0, seconds=20), runs("a", 5, cost=0, seconds=10))
    assert (row["batch_size"], row["cost_saved"]) == (5, 0.0)
