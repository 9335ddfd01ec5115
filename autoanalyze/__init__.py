"""autoanalyze: label conversations with an LLM, in parallel and consistently.

In a notebook:

    import autoanalyze

    config = autoanalyze.compose(["data.count=200"])    # as on the command line
    run = await autoanalyze.build_analysis(config).run()
    run.sessions
    autoanalyze.write_report(run)                       # a page to send, in its folder

    runs = autoanalyze.runs("outputs", "multirun")      # all finished runs below these folders
    runs.sql("SELECT streams, avg(consistency) FROM runs GROUP BY streams")

    autoanalyze.labels(run).rename("Refund Request Inquiry", "Refund")    # and .merge, .accept, .undo
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autoanalyze.analysis.build import build_analysis, import_sessions, transcripts
    from autoanalyze.analysis.configuration import compose
    from autoanalyze.analysis.paging import write_report
    from autoanalyze.analysis.service import ParallelAutoAnalyze
    from autoanalyze.editing.labels import Labels, labels
    from autoanalyze.study.collection import Runs, runs
    from autoanalyze.study.runs import Run, load_run

__all__ = [
    "Labels",
    "ParallelAutoAnalyze",
    "Run",
    "Runs",
    "build_analysis",
    "compose",
    "import_sessions",
    "labels",
    "load_run",
    "runs",
    "transcripts",
    "write_report",
]

HOMES = {
    "Labels": "editing.labels",
    "ParallelAutoAnalyze": "analysis.service",
    "Run": "study.runs",
    "Runs": "study.collection",
    "build_analysis": "analysis.build",
    "compose": "analysis.configuration",
    "import_sessions": "analysis.build",
    "labels": "editing.labels",
    "load_run": "study.runs",
    "runs": "study.collection",
    "transcripts": "analysis.build",
    "write_report": "analysis.paging",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for only then: `import autoanalyze.records` needs no machine learning."""
    if name in HOMES:
        return getattr(import_module(f"autoanalyze.{HOMES[name]}"), name)
    raise AttributeError(f"module 'autoanalyze' has no attribute {name!r}")
