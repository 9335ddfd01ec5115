"""How alike the streams of a run name things, without any truth: coverage, overlap, novelty, divergence.

After Chen et al., "A Computational Method for Measuring 'Open Codes' in Qualitative Analysis" (arXiv
2411.12142), which compares people who code the same material. Here streams are the coders, and merging has
made their final labels one aggregated space, in which a label weighs as many streams as have it. Unlike
those people, streams see different sessions: short streams cover little, and rare things are new, by nature.
Figures of runs with as many sessions and streams are comparable; a single one means little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

Counts = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CodeSets:
    """Means over the streams that gave a label, each from 0 to 1; null with fewer than two of these.

    - coverage: the share of the aggregated space that a stream has (of the weights of all labels).
    - overlap: the share that a stream has of what the others have, where a label weighs as many *other*
      streams as have it; streams with nothing in common have 0.
    - novelty: the share of a stream's labels that no other has. The paper's is a stream's part of all labels
      that only one has, whose mean over streams is 1 / streams whatever they do.
    - divergence: the Jensen-Shannon distance (root of the divergence to base 2: Lin 1991; Endres & Schindelin
      2003) between how often a stream and all streams gave each label.
    """

    coverage: float | None = None
    overlap: float | None = None
    novelty: float | None = None
    divergence: float | None = None

    def as_dict(self) -> dict[str, float | None]:
        """Measure to value, to six digits, ready for JSON."""
        return {name: None if value is None else round(value, 6) for name, value in asdict(self).items()}


def stream_code_sets(sessions: pl.DataFrame, field_names: Sequence[str]) -> dict[str, CodeSets]:
    """The measures of every field. `sessions` is a run's sessions.parquet.

    Discovery is left out: what it found was known to every stream.
    """
    together = sessions.filter(pl.col("phase") != "discovery")
    found = {}
    for name in field_names:
        given = together.drop_nulls(name).group_by("stream", name).len()
        counts: dict[int, dict[str, int]] = {}
        for stream, label, count in given.iter_rows():
            counts.setdefault(stream, {})[label] = count
        found[name] = code_sets(counts)
    return found


def code_sets(counts: Mapping[int, Mapping[str, int]]) -> CodeSets:
    """The measures of one field: how many sessions each stream gave which label."""
    streams = [labels for _, labels in sorted(counts.items()) if labels]
    if len(streams) < 2:
        return CodeSets()
    names = sorted({name for labels in streams for name in labels})
    given: Counts = np.array([[labels.get(name, 0) for name in names] for labels in streams], dtype=float)
    has = given > 0
    weights = has.sum(axis=0)
    others = (weights - has).sum(axis=1)  # above 0, since every stream has a label
    return CodeSets(
        coverage=float((has @ weights / weights.sum()).mean()),
        overlap=float(((has * (weights - 1)).sum(axis=1) / others).mean()),
        novelty=float(((has & (weights == 1)).sum(axis=1) / has.sum(axis=1)).mean()),
        divergence=float(np.mean([distance(row, given.sum(axis=0)) for row in given])),
    )


def distance(one: Counts, other: Counts) -> float:
    """The Jensen-Shannon distance of two counts of the same labels, 0 to 1."""
    p, q = one / one.sum(), other / other.sum()
    middle = (p + q) / 2
    divergence = sum(
        float((side[side > 0] * np.log2(side[side > 0] / middle[side > 0])).sum()) / 2 for side in (p, q)
    )
    # What is equal differs by rounding only, and that has no root below 0.
    return float(np.sqrt(min(1.0, divergence))) if divergence > 1e-15 else 0.0
