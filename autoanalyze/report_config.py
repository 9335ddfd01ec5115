"""The schema of what stands around runs: what a sweep reports, and where jobs are worked on.

None of it changes what a run does or finds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["JobsConfig", "ReportConfig"]


@dataclass
class ReportConfig:
    """What a sweep is to answer, and what its table and its figure show.

    Settings are dotted keys of the configuration, or `case`; measures are those of
    `autoanalyze/laboratory/measures.py`.
    """

    question: str = ""
    rows: list[str] = field(default_factory=list)
    fields: list[str] = field(default_factory=lambda: ["general_intent"])
    measures: list[str] = field(
        default_factory=lambda: ["consistency", "precision", "model_seconds", "cost_per_1000"]
    )
    figure: list[str] = field(default_factory=list)
    across: str | None = None
    lines: str | None = None
    logarithmic: bool = False
    baseline: str | None = None
    paired_by: list[str] = field(default_factory=list)
    into: str | None = None


@dataclass
class JobsConfig:
    """Where the work of a run is done; null: in this process."""

    address: str | None = None
