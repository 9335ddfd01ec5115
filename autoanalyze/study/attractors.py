"""Labels that swallow sessions they do not fit, told from what these are called where no label is known.

No truth is needed: only where a model is offered labels can it force one on a session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from autoanalyze.study.intervals import wilson
from autoanalyze.study.verdicts import holm

FEWEST = 5
"""Sessions with a label that must have been asked about for anything to be said of it. Assumption."""

LEVEL = 0.05
"""The chance of any false alarm among the labels of a field, if all were alike."""

ATTRACTION_SCHEMA = {
    **{"label": pl.String(), "probed": pl.Int64(), "matters": pl.Int64()},
    **dict.fromkeys(("share", "low", "high", "usual"), pl.Float64()),
    "attractor": pl.Boolean(),
}


def attraction(pairs: Sequence[tuple[str, str]]) -> pl.DataFrame:
    """A row per label of a field with at least `FEWEST` probes, the one with the highest share first.

    `pairs` are, for each session that was asked about without known labels, its label and what its unaided
    name stands for. `matters` counts the matters of the `probed` sessions that are not the label's own. Each
    counts once: a label whose sessions all get the same other name has a double, or a name that nobody would
    choose, and swallows nothing. `share` is matters over probed sessions, 0 to 1, with a 95 % interval
    (Wilson), `usual` that of all other labels of the field. An `attractor` has more than chance would give
    it of the field's (one-sided hypergeometric test, Holm over the labels of the field).
    """
    rows = pl.DataFrame(pairs, schema={"label": pl.String, "called": pl.String}, orient="row")
    other = pl.col("called").filter(pl.col("label") != pl.col("called"))
    counted = rows.group_by("label").agg(
        probed=pl.len().cast(pl.Int64), matters=other.n_unique().cast(pl.Int64)
    )
    probed, matters = counted["probed"].sum(), counted["matters"].sum()
    share, low, high = wilson(pl.col("matters"), pl.col("probed"))
    others = probed - pl.col("probed")
    found = (
        counted.with_columns(share=share, low=low, high=high, usual=(matters - pl.col("matters")) / others)
        .filter(pl.col("probed") >= FEWEST, others > 0)
        .sort("share", "probed", "label", descending=[True, True, False])
    )
    if found.is_empty():
        return pl.DataFrame(schema=ATTRACTION_SCHEMA)
    from scipy import stats  # a second to import

    p = stats.hypergeom.sf(found["matters"] - 1, probed, matters, found["probed"])
    return found.with_columns(attractor=pl.Series(holm(p) <= LEVEL)).select(list(ATTRACTION_SCHEMA))


def swallowing(record: Mapping[str, Any], field: str) -> list[str]:
    """What run.json says of a field's attractors, in a sentence each."""
    return [
        f"{row['label']} may swallow sessions that it does not fit: without known labels, {row['probed']:,} "
        f"of its sessions got names of {row['matters']:,} other matters ({row['share']:.0%}, 95 % interval "
        f"{row['low']:.0%} to {row['high']:.0%}; of other labels {row['usual']:.0%})"
        for row in (record.get("attractors") or {}).get(field, ())
        if row["attractor"]
    ]
