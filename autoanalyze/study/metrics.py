"""How consistent a run was, compared with what is known to be right. Pure functions.

All measures are taken over the sampled sessions whose concept is known. An unresolved session
or a null answer is a label of its own, which it shares with nobody, so that leaving things out
never looks like consistency.

- Consistency is B-cubed recall, precision B-cubed precision (Bagga & Baldwin 1998; Amigo et
  al. 2009), both without self-pairs: with them, splitting everything would still score.
- F1 is their harmonic mean, from 0 to 1 (van Rijsbergen 1979): with a poor judge one is traded for the
  other. Macro measures are means per concept first, so that a rare one counts as much as a frequent one.
- V-measure: Rosenberg & Hirschberg 2007. AMI: Vinh, Epps & Bailey 2010.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import polars as pl
from numpy.typing import NDArray

from autoanalyze.study.intervals import Estimate, percentile_interval, user_weights

Codes = NDArray[np.intp]
Weights = NDArray[np.float64]
Measured = Callable[[Weights], float | None]


@dataclass(frozen=True, slots=True)
class FieldScores:
    """All measures of one label field; those with an interval were resampled by user.

    `merged_concepts` counts concepts that share a majority label with another (of labels that
    tie, each is one);
    `single_concepts` those seen once, whose sessions have no partner to agree with.
    """

    consistency: Estimate
    precision: Estimate
    f1: Estimate
    consistency_macro: Estimate
    precision_macro: Estimate
    f1_macro: Estimate
    cross_stream_consistency: Estimate
    v_measure: Estimate
    ami: Estimate
    pairwise_f1: Estimate
    coverage: Estimate
    label_count: Estimate
    concept_count: Estimate
    merged_concepts: Estimate
    single_concepts: Estimate
    sessions: Estimate

    def as_dict(self) -> dict[str, dict[str, float | None]]:
        """Measure to value and interval, ready for JSON."""
        return {field.name: getattr(self, field.name).as_dict() for field in fields(self)}


def score_run(
    sessions: pl.DataFrame,
    truth: pl.DataFrame,
    field_names: Sequence[str],
    *,
    seed: int,
    resamples: int = 1000,
) -> dict[str, FieldScores]:
    """Scores of every field whose truth is known at all.

    `sessions` is a run's sessions.parquet, `truth` its truth.parquet (session_id, field, concept).
    """
    scores = {}
    for name in field_names:
        known = truth.filter(pl.col("field") == name).select("session_id", "concept")
        # Discovery is a stream of its own, whatever number it bears.
        stream = pl.when(pl.col("phase") == "discovery").then(-1).otherwise(pl.col("stream"))
        answers = sessions.select(
            "session_id", "user_id", stream.alias("stream"), pl.col(name).alias("label")
        )
        frame = answers.join(known, on="session_id")
        if not frame.is_empty():
            scores[name] = score_field(frame, seed=seed, resamples=resamples)
    return scores


def score_field(frame: pl.DataFrame, *, seed: int, resamples: int = 1000) -> FieldScores:
    """Scores of one field. `frame`: a row per session with session_id, user_id, stream, label, concept.

    `label` may be null. The order of the rows does not matter. `resamples` is the number of
    bootstrap draws behind the 95 % intervals, 0 for none.
    """
    from sklearn.metrics import adjusted_mutual_info_score, v_measure_score  # seconds to import

    frame = frame.sort("session_id")
    concepts, labels, cells = coded(frame)
    streams = frame["stream"].rank("dense").to_numpy().astype(np.intp) - 1
    everyone = np.ones(len(frame))
    weights = list(user_weights(frame["user_id"], resamples=resamples, seed=seed))

    def drawn(measure: Measured) -> list[float | None]:
        return [measure(everyone), *(measure(weight) for weight in weights)]

    def estimate(values: Sequence[float | None]) -> Estimate:
        return percentile_interval(values[0], values[1:])

    recall = drawn(lambda w: agreement(cells, concepts, w))
    precision = drawn(lambda w: agreement(cells, labels, w))
    recall_macro = drawn(lambda w: agreement(cells, concepts, w, by=concepts))
    precision_macro = drawn(lambda w: agreement(cells, labels, w, by=concepts))
    single = np.bincount(concepts) == 1
    exact = {
        "v_measure": float(v_measure_score(concepts, labels)),
        "ami": float(adjusted_mutual_info_score(concepts, labels)),
        "pairwise_f1": pairwise_f1(concepts, labels),
        "coverage": 1 - frame["label"].null_count() / len(frame),
        "label_count": frame["label"].drop_nulls().n_unique(),
        "concept_count": len(single),
        "merged_concepts": merged_concepts(frame),
        "single_concepts": int(single.sum()),
        "sessions": len(frame),
    }
    return FieldScores(
        consistency=estimate(recall),
        precision=estimate(precision),
        f1=estimate([*map(harmonic, recall, precision)]),
        consistency_macro=estimate(recall_macro),
        precision_macro=estimate(precision_macro),
        f1_macro=estimate([*map(harmonic, recall_macro, precision_macro)]),
        cross_stream_consistency=estimate(drawn(lambda w: cross_stream(cells, concepts, streams, w))),
        **{name: Estimate(None if value is None else float(value)) for name, value in exact.items()},
    )


def coded(frame: pl.DataFrame) -> tuple[Codes, Codes, Codes]:
    """Concepts, labels, and their combinations as numbers from 0; every null label gets its own."""
    concepts = frame["concept"].rank("dense").to_numpy().astype(np.intp) - 1
    ranks = frame["label"].rank("dense").fill_null(0).to_numpy().astype(np.intp)
    null = ranks == 0
    labels = ranks - 1
    labels[null] = ranks.max(initial=0) + np.arange(int(null.sum()))
    cells = np.unique(np.column_stack([concepts, labels]), axis=0, return_inverse=True)[1].ravel()
    return concepts, labels, cells


def agreement(cells: Codes, groups: Codes, weights: Weights, by: Codes | None = None) -> float | None:
    """Share of a session's other group members that lie in its cell too, averaged over sessions.

    With concepts as groups this is consistency, with labels precision. `weights` says how often
    each session counts; copies of a session are no partners of one another. Sessions without a
    partner are left out. With `by`, the mean is taken per value of `by` first. Null if nobody
    has a partner.
    """
    inside = np.bincount(cells, weights)[cells] - weights
    whole = np.bincount(groups, weights)[groups] - weights
    return averaged(inside, whole, weights, by)


def harmonic(recall: float | None, precision: float | None) -> float | None:
    """The harmonic mean of two shares, 0 to 1 (F1: van Rijsbergen 1979); null only where both are.

    Where one is null the other is 0, and so is F1: without two sessions under one name nothing is precise,
    and without two about one thing no common name is right. A run that splits everything scores 0, instead
    of dropping out of the means that it would lower.
    """
    if recall is None and precision is None:
        return None
    one, other = recall or 0.0, precision or 0.0
    return 2 * one * other / (one + other) if one + other else 0.0


def cross_stream(cells: Codes, concepts: Codes, streams: Codes, weights: Weights) -> float | None:
    """Consistency towards sessions of other streams only."""
    count = int(streams.max(initial=0)) + 1
    inside = (
        np.bincount(cells, weights)[cells]
        - np.bincount(cells * count + streams, weights)[cells * count + streams]
    )
    own = concepts * count + streams
    whole = np.bincount(concepts, weights)[concepts] - np.bincount(own, weights)[own]
    return averaged(inside, whole, weights, None)


def averaged(inside: Weights, whole: Weights, weights: Weights, by: Codes | None) -> float | None:
    """Weighted mean of inside / whole where there is a partner."""
    scored = (whole > 1e-9) & (weights > 0)
    if not scored.any():
        return None
    shares, weight = inside[scored] / whole[scored], weights[scored]
    if by is None:
        # As np.average does it, to the bit, without its checks: a bootstrap comes here thousands of times.
        return float((shares * weight).sum() / weight.sum())
    totals = np.bincount(by[scored], weight)
    sums = np.bincount(by[scored], weight * shares)
    return float((sums[totals > 0] / totals[totals > 0]).mean())


def pairwise_f1(concepts: Codes, labels: Codes) -> float | None:
    """F1 over pairs of sessions: those that share a label against those that share a concept.

    Null if no two sessions share either.
    """
    from sklearn.metrics import pair_confusion_matrix  # seconds to import

    (_, false_merge), (missed, together) = pair_confusion_matrix(concepts, labels)
    pairs = 2 * together + false_merge + missed
    return float(2 * together / pairs) if pairs else None


def merged_concepts(frame: pl.DataFrame) -> int:
    """Concepts whose most frequent label is also that of another concept.

    All labels that tie count, so that no label's name decides.
    """
    counts = frame.drop_nulls("label").group_by("concept", "label").len()
    majority = counts.filter(pl.col("len") == pl.col("len").max().over("concept"))
    return int(majority.filter(pl.len().over("label") > 1)["concept"].n_unique())


def speedup(baseline_seconds: float, seconds: float) -> float:
    """How many times faster than the sequential baseline, both in model seconds.

    Raises ValueError if `seconds` is not positive.
    """
    if seconds <= 0:
        raise ValueError(f"a run took {seconds} seconds: speedup needs a positive time")
    return baseline_seconds / seconds


def same_label(frame: pl.DataFrame, *, seed: int, resamples: int = 1000) -> Estimate:
    """The share of sessions with the same label in both columns, with a 95 % interval.

    `frame`: a row per session with user_id, first, second. Where both are null the field does not
    apply and there is nothing to agree on; where one is, they disagree.
    """
    frame = frame.filter(pl.col("first").is_not_null() | pl.col("second").is_not_null())
    if frame.is_empty():
        return Estimate(None)
    agree = frame.select(pl.col("first").eq_missing(pl.col("second")))["first"].to_numpy().astype(float)
    weights = user_weights(frame["user_id"], resamples=resamples, seed=seed)
    draws = [float(np.average(agree, weights=weight)) for weight in weights if weight.sum() > 0]
    return percentile_interval(float(agree.mean()), draws)


def matched(frame: pl.DataFrame, *, seed: int, resamples: int = 1000) -> Estimate:
    """The same for two runs that named things on their own.

    Each name of the second run is first paired with at most one of the first, so that as many sessions
    as possible agree (assignment problem: Kuhn 1955).
    """
    both = frame.drop_nulls(["first", "second"])
    if both.is_empty():
        return same_label(frame, seed=seed, resamples=resamples)
    table = both.pivot(on="second", index="first", values="user_id", aggregate_function="len").fill_null(0)
    table = table.select("first", *sorted(table.columns[1:])).sort("first")
    from scipy.optimize import linear_sum_assignment  # a second to import

    rows, columns = linear_sum_assignment(table.drop("first").to_numpy(), maximize=True)
    firsts, seconds = table["first"].to_list(), table.columns[1:]
    names = {seconds[column]: firsts[row] for row, column in zip(rows, columns, strict=True)}
    # A name without a partner keeps a mark of its own, so that equal words by chance are no agreement.
    alone = {name: f"\0{name}" for name in seconds if name not in names}
    renamed = pl.col("second").replace({**names, **alone})
    return same_label(frame.with_columns(renamed.alias("second")), seed=seed, resamples=resamples)
