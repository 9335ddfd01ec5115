"""The catalogue of what is measured of finished runs: the columns of the results of an experiment.

`rows` fills them from a run, `intervals` the ones that compare runs.
"""

from __future__ import annotations

from dataclasses import dataclass

SCORES = (
    "consistency",
    "precision",
    "f1",
    "consistency_macro",
    "precision_macro",
    "f1_macro",
    "right_names",
    "cross_stream_consistency",
    "coverage",
    "v_measure",
    "ami",
)
"""What `metrics` in run.json says of a label field."""


@dataclass(frozen=True, slots=True)
class Measure:
    """How a column of the results is shown: its title, its unit or range, and the digits of a table.

    `target` is the least value wanted, if there is one. `yes_no`: a run has 1 or 0 of it, and the mean is the
    share of runs that have it.
    """

    title: str
    unit: str
    digits: int = 3
    target: float | None = None
    yes_no: bool = False

    @property
    def label(self) -> str:
        """Title and unit, for an axis."""
        return self.unit if self.unit.startswith(self.title) else f"{self.title}, {self.unit}"

    @property
    def bounded(self) -> bool:
        """Whether no value, and so no mean, can lie below 0 or above 1."""
        return self.unit in ("0 to 1", "share")


MEASURES = {
    "consistency": Measure("consistency", "0 to 1", target=0.95),
    "precision": Measure("precision", "0 to 1", target=0.95),
    "f1": Measure("F1", "0 to 1"),
    "consistency_macro": Measure("consistency, mean of concepts", "0 to 1"),
    "precision_macro": Measure("precision, mean of concepts", "0 to 1"),
    "f1_macro": Measure("F1, mean of concepts", "0 to 1"),
    "meets_target": Measure("single runs that meet the target", "share", yes_no=True),
    "right_names": Measure("named as the truth names it", "0 to 1"),
    "cross_stream_consistency": Measure("consistency across streams", "0 to 1", target=0.95),
    "coverage": Measure("coverage", "0 to 1"),
    "v_measure": Measure("V-measure", "0 to 1"),
    "ami": Measure("adjusted mutual information", "up to 1"),
    "labels_first": Measure("labels first given", "count", 1),
    "labels": Measure("labels after merging", "count", 1),
    "concepts": Measure("planted concepts", "count", 1),
    "merged_concepts": Measure("concepts merged into another", "count", 2),
    "collisions": Measure("collisions", "pairs of calls", 1),
    "missed_labels": Measure("labels a call could not see", "mean", 1),
    "discovery_sessions": Measure("sessions in discovery", "count", 1),
    "model_seconds": Measure("model time", "s", 1),
    "speedup": Measure("speedup", "times the baseline", 2),
    # No unit of a share: a run that is slower than its baseline saves less than nothing.
    "time_saved": Measure("time saved", "of the baseline's", 2),
    "parallel_speedup": Measure("speedup over one stream", "times the same with one stream", 2),
    "per_stream": Measure("speedup over one stream / streams", "ratio", 2),
    "speedup_best_sequential": Measure("speedup over the best sequence", "times sequential calls", 2),
    "consistency_ratio": Measure("consistency / baseline's", "ratio"),
    "cost_ratio": Measure("cost / baseline's", "ratio", 2),
    "efficiency": Measure("efficiency", "0 to 1", 2),
    "utilisation": Measure("utilisation of streams", "0 to 1", 2),
    "limit_use": Measure("use of the token limit", "share", 2),
    "calls": Measure("calls", "count", 1),
    "failed_calls": Measure("calls that failed", "count", 1),
    "asked_again": Measure("sessions asked about again", "share", 4),
    "unresolved": Measure("unresolved sessions", "share", 4),
    "shortened": Measure("sessions shortened to fit", "share", 3),
    "prompt_tokens": Measure("prompt tokens per session", "tokens", 0),
    "completion_tokens": Measure("completion tokens per session", "tokens", 0),
    "cached_share": Measure("prompt tokens cached", "share", 2),
    "cost_per_1000": Measure("USD per 1,000", "USD per 1,000 sessions", 4),
    "pair_precision": Measure("precision of merged pairs", "0 to 1", 4, target=0.95),
    "recall": Measure("duplicates found (recall)", "0 to 1", 4, target=0.95),
    "hard_merged": Measure("hard negatives merged", "share", 4),
    "candidate_recall": Measure("duplicates proposed", "0 to 1", 4),
    "judged_share": Measure("pairs judged / all", "share", 4),
    "pairs_per_label": Measure("pairs judged per label", "count", 2),
    "detection_cost": Measure("cost", "USD", 4),
    "processor_seconds": Measure("processor time", "s", 2),
}
"""Every measure that a report may name."""
