"""A sweep: many points in one folder, watched while they are worked on, and summed up when they are done."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from autoanalyze.analysis.build import build_plan
from autoanalyze.analysis.configuration import code_digest
from autoanalyze.analysis.folder import RunFolder, as_typed
from autoanalyze.analysis.planning import ask_before_spending
from autoanalyze.analysis.record import git_state
from autoanalyze.config import Config, ReportConfig
from autoanalyze.errors import SweepError
from autoanalyze.laboratory.chapter import Report
from autoanalyze.laboratory.points import OUTCOMES, EndedPoint, ended_points

LOOK_EVERY_SECONDS = 1.0
LISTED = 10
"""Failed points that are listed by name; the folder tells the rest."""


class Sweep:
    """The folder of a sweep, held while its points are worked on.

    Points may be worked on by any launcher, in this process or on other machines: how they end is read
    from the folder.
    """

    def __init__(self, folder: Path, report: ReportConfig) -> None:
        self.folder = folder
        self.config = report
        self.expected = 0
        self._started = time.time()
        self._stack = ExitStack()
        self._bar: _Bar | None = None

    def __enter__(self) -> Sweep:
        """Take the folder. Raises RunFolderError if another sweep is working in it."""
        self._stack.enter_context(RunFolder(self.folder).locked())
        # Asked now, and remembered: what is edited while points are worked on is not what they came from.
        git_state(), code_digest()
        shutil.rmtree(self.folder / OUTCOMES, ignore_errors=True)
        self._bar = self._stack.enter_context(_Bar(self.folder))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the folder."""
        self._stack.close()

    def expect(self, points: int) -> None:
        """Say that so many more points will be worked on."""
        assert self._bar is not None, "a sweep is entered before it is told of points"
        self.expected += points
        self._bar.expect(self.expected)

    def lost(self, job: int, overrides: Sequence[str], error: object) -> None:
        """Record the points of a job that could not leave word themselves, since their worker died."""
        told = {outcome.position for outcome in self.outcomes if outcome.job == job}
        settings: dict[str, str] = dict(override.split("=", 1) for override in overrides)
        seeds = settings.pop("seeds", settings.get("seed", "")).strip("[]").split(",")
        for position, seed in enumerate(seeds):
            if position not in told:
                reason = f"its worker was lost ({error})"
                EndedPoint(job, position, {**settings, "seed": seed}, "", "failed", reason).write(self.folder)

    @property
    def outcomes(self) -> list[EndedPoint]:
        """How the points ended that have ended so far."""
        return ended_points(self.folder)

    def conclude(self, report: Report) -> list[EndedPoint]:
        """Write and show the results. Raises SweepError, naming them, if points failed."""
        self._stack.close()
        console, ended = Console(), self.outcomes
        if not report.results.is_empty():
            into = Path(self.config.into) if self.config.into else self.folder
            report.write(into, seconds=time.time() - self._started)
            console.print(report.shown(console.width))
            console.print(
                f"\nresults, table and figure: {as_typed(into)}\nrun folders: {as_typed(self.folder)}",
                soft_wrap=True,
                markup=False,
                highlight=False,
            )
        kept = sum(outcome.status == "kept" for outcome in ended)
        failed = [outcome for outcome in ended if outcome.status == "failed"]
        done = len(ended) - kept - len(failed)
        console.print(f"{len(ended):,} points: {done:,} done, {kept:,} there already, {len(failed):,} failed")
        if failed:
            raise SweepError(failure(failed))
        return ended


def failure(failed: Sequence[EndedPoint]) -> str:
    """What is said of failed points, with the remedy."""
    lines = [
        f"  {' '.join(f'{key}={value}' for key, value in outcome.settings.items())}: {outcome.error}"
        for outcome in failed[:LISTED]
    ]
    more = [f"  ... and {len(failed) - LISTED:,} more"] if len(failed) > LISTED else []
    head = f"{len(failed):,} of the points failed; start the same sweep again to retry them:"
    return "\n".join([head, *lines, *more])


def confirmed(distinct: Sequence[Config], runs: int) -> None:
    """Ask before a sweep of live runs that may cost more than `confirm_above_usd` together."""
    live = [config for config in distinct if config.endpoint != "simulated"]
    if not live:
        return
    each = [min(build_plan(c).cost_upper_usd, c.budget_usd or float("inf")) for c in live]
    most = sum(each) / len(distinct) * runs
    limit = max(config.confirm_above_usd for config in live)
    ask_before_spending(most, limit, f"These {runs:,} runs together")


class _Bar:
    """A progress bar that looks into the folder of a sweep now and then, in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self._folder = folder
        # Seldom drawn: the cores belong to the points.
        self._progress = Progress(*columns, console=Console(stderr=True), refresh_per_second=1)
        self._task = self._progress.add_task("Points", total=0)
        self._ended: dict[str, str] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _Bar:
        self._progress.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._look()
        self._progress.stop()

    def expect(self, points: int) -> None:
        """There are so many by now."""
        self._progress.update(self._task, total=points)

    def _watch(self) -> None:
        while not self._over.wait(LOOK_EVERY_SECONDS):
            self._look()

    def _look(self) -> None:
        # What was read before is not read again: there may be thousands, and the cores are busy.
        new = [path for path in (self._folder / OUTCOMES).glob("*.json") if path.name not in self._ended]
        self._ended |= {path.name: json.loads(path.read_bytes())["status"] for path in new}
        failed = sum(status == "failed" for status in self._ended.values())
        told = f"Points ({failed:,} failed)" if failed else "Points"
        self._progress.update(self._task, completed=len(self._ended), description=told)
