"""What a person sees in the terminal: a bar per phase while it runs, a table when it ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table

from autoanalyze.progress import Progress
from autoanalyze.study.runs import Run

__all__ = ["ProgressBars", "summary"]

PHASES = {
    "discovery": "Discovery",
    "parallel": "Parallel rounds",
    "resolution": "Conflict resolution",
    "baseline": "Sequential baseline",
}


class ProgressBars:
    """Draws a bar per phase; call it with every `Progress`."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, Any] = {}

    def __call__(self, progress: Progress) -> None:
        """Show a moment of a run."""
        if progress.phase not in PHASES or progress.status != "running":
            return
        if progress.phase not in self._tasks:
            self._tasks[progress.phase] = self._bars.add_task(PHASES[progress.phase], total=progress.steps)
        self._bars.update(self._tasks[progress.phase], completed=progress.step, total=progress.steps)

    @classmethod
    @contextmanager
    def shown(cls, console: Console) -> Iterator[ProgressBars]:
        """Bars on a console for as long as the context lasts."""
        columns = (
            TextColumn("{task.description:<20}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Bars(*columns, console=console) as bars:
            yield cls(bars)


def summary(run: Run) -> Table:
    """The table that a run ends with."""
    record = run.record
    simulated = record["endpoint"].startswith("simulated")
    table = Table(
        title=f"{record['model']}, {'simulated' if simulated else record['endpoint']}", title_justify="left"
    )
    table.add_column("measure")
    table.add_column("value", justify="right")
    sessions = record["sessions"]
    table.add_row("sessions labelled / unresolved", f"{sessions['labelled']:,} / {sessions['unresolved']:,}")
    if sessions["shortened"]:
        table.add_row("sessions shortened to fit", f"{sessions['shortened']:,}")
    for field, counts in record["labels"].items():
        add_field(table, field, counts, record["metrics"].get(field))
    table.add_row("model time", duration(record["model_seconds"]))
    if record["speedup"] is not None:
        baseline = record["baseline"]["model_seconds"]
        saved = 1 - record["model_seconds"] / baseline
        table.add_row("sequential baseline", duration(baseline))
        table.add_row("speedup (time saved)", f"{record['speedup']:.2f}x ({saved:.0%})")
    tokens = record["tokens"]
    table.add_row("calls", f"{record['calls']:,}")
    table.add_row(
        "tokens prompt (cached) / completion",
        f"{tokens['prompt']:,} ({tokens['cached']:,}) / {tokens['completion']:,}",
    )
    table.add_row("cost", f"{record['cost_usd']:.4f} USD")
    table.add_row("run folder", str(run.path))
    return table


def add_field(table: Table, field: str, counts: Mapping[str, int], metrics: Mapping[str, Any] | None) -> None:
    """The rows of one label field."""
    name = field.replace("_", " ")
    if metrics is None:
        table.add_row(f"{name}: labels", f"{counts['final']} (first given: {counts['first_given']})")
        return
    concepts = metrics["concept_count"]["value"]
    table.add_row(
        f"{name}: labels / planted concepts",
        f"{counts['final']} (first given: {counts['first_given']}) / {concepts:.0f}",
    )
    table.add_row(f"{name}: consistency", interval(metrics["consistency"]))
    table.add_row(f"{name}: guard (precision)", interval(metrics["precision"]))


def interval(estimate: Mapping[str, float | None]) -> str:
    """A figure with its 95 % interval."""
    if estimate["value"] is None:
        return "not scored"
    return f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"


def duration(seconds: float) -> str:
    """Seconds, and minutes beside them once there are some."""
    return f"{seconds:,.1f} s" + (f" ({seconds / 60:.1f} min)" if seconds >= 120 else "")
