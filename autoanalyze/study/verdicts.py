"""What may be said of settings that were run with the same seeds: more, equivalent, or open. Pure functions.

Differences are of paired runs, one per seed. "No difference" is something to be shown (equivalence within a
margin), not a significance that was missed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from autoanalyze.study.intervals import Estimate, paired_interval

Values = NDArray[np.float64]

MARGIN = 0.01
"""One point of 1: less of a difference in consistency, precision or F1 is called none."""


def exceeds(difference: Sequence[float] | Values, margin: float) -> float:
    """p, 0 to 1, of a mean that is no more than the margin: small if it is more (one-sided paired t).

    1 with fewer than two pairs, which show nothing. Where all pairs agree there is nothing to be unsure of.
    """
    if len(difference) < 2:
        return 1.0
    if np.ptp(difference) == 0:
        return 0.0 if difference[0] > margin else 1.0
    from scipy import stats  # a second to import

    return float(stats.ttest_1samp(difference, margin, alternative="greater").pvalue)


def equivalent(difference: Sequence[float] | Values, margin: float) -> float:
    """p, 0 to 1, of a mean that lies outside the margins to either side: small if it lies within.

    Two one-sided tests (Schuirmann 1987): the greater of their p.
    """
    return max(exceeds(difference, -margin), exceeds(-np.asarray(difference), -margin))


def holm(p: Sequence[float] | Values) -> Values:
    """p of several tests, adjusted so that with those at .05 or below, a false one among all is at most .05
    likely, however the tests hang together (Holm 1979)."""
    if not len(p):
        return np.empty(0)
    from statsmodels.stats.multitest import multipletests  # a second to import

    return np.asarray(multipletests(p, method="holm")[1], dtype=np.float64)


def simultaneous(
    differences: Mapping[str, Sequence[float]], *, confidence: float = 0.95
) -> dict[str, Estimate]:
    """Means with intervals that hold all together with a confidence (0 to 1), however they hang together.

    Bonferroni: Student's t for each, its error the share of one among all. One may so be picked after it was
    seen, like the worst.
    """
    each = 1 - (1 - confidence) / max(1, len(differences))
    return {name: paired_interval(values, each) for name, values in differences.items()}


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """How a setting differs from its reference in one label field, over `pairs` of runs.

    `difference` has its own 95 % interval, `simultaneous` one that holds in all fields together. `p` is that
    of equivalence within the margin.
    """

    field: str
    pairs: int
    difference: Estimate
    simultaneous: Estimate
    p: float


@dataclass(frozen=True, slots=True)
class WorstField:
    """The field in which a setting loses most against its reference, or gains least.

    `p` is that of equivalence in every field (the greatest of the fields' p), since what holds in all of them
    is shown only by what shows it in each (intersection-union: Berger 1982). It needs no adjustment for their
    number. `fields` holds all of them, in alphabetical order.
    """

    worst: FieldDifference
    p: float
    fields: tuple[FieldDifference, ...]


def worst_field(
    results: pl.DataFrame,
    setting: pl.Expr,
    reference: pl.Expr,
    *,
    measure: str = "f1",
    margin: float = MARGIN,
    paired_by: Sequence[str] = ("seed",),
) -> WorstField | None:
    """How a setting compares with its reference in each field, and in the worst; null without a field.

    `results` has a row per run and field; `setting` and `reference` say which rows are theirs. Runs are
    paired by field and `paired_by` (seed; population and judge where these vary); what has no partner or no
    value is left out. A field without two pairs shows nothing: its p is 1. It is the worst only if none has a
    pair. Raises polars' ComputeError if a run has several partners.
    """
    one, other = results.filter(setting), results.filter(reference)
    names = sorted({*one["field"].drop_nulls(), *other["field"].drop_nulls()})
    differences = {name: paired(one, other, name, measure, paired_by) for name in names}
    together = simultaneous(differences)
    fields = tuple(
        FieldDifference(
            name, len(values), paired_interval(values), together[name], equivalent(values, margin)
        )
        for name, values in differences.items()
    )
    if not fields:
        return None
    worst = min(fields, key=lambda one: np.inf if one.difference.value is None else one.difference.value)
    return WorstField(worst, max(one.p for one in fields), fields)


def paired(
    one: pl.DataFrame, other: pl.DataFrame, field: str, measure: str, paired_by: Sequence[str]
) -> list[float]:
    """`one` less `other` in a field, run by run, in the order of what they are paired by."""
    ours, theirs = (rows.filter(field=field).select(*paired_by, measure) for rows in (one, other))
    pairs = ours.join(theirs, on=paired_by, suffix="_other", nulls_equal=True, validate="1:1")
    pairs = pairs.sort(paired_by)
    return (pairs[measure] - pairs[f"{measure}_other"]).drop_nulls().to_list()
