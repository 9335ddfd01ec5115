"""What a terminal shows of a run that goes on: bars, or lines where there is no terminal to draw on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress
from rich.text import Text

from autoanalyze.analysis.progress import PASSING, PHASES, Progress

STOPPING = "stopping: what is there is kept"
"""What an interrupt is answered with at once."""

LINE_EVERY_SECONDS = 25.0
"""Wall time after which a line tells how far a run is, where no terminal shows bars."""


class ProgressLines:
    """Prints a line for each phase as it begins, and how far the run is twice a minute, come what may."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._now = Progress()
        self._ended = threading.Event()

    def __call__(self, progress: Progress) -> None:
        """Take note of a moment of a run."""
        entered = progress.phase != self._now.phase
        self._now = progress
        if entered:
            self._print()

    def stopping(self) -> None:
        """Answer an interrupt."""
        self._console.print(STOPPING)

    def _print(self) -> None:
        now = self._now
        name = PHASES.get(now.phase, now.phase)
        steps = f" {now.step:,} of {now.steps:,}" if now.steps else ""
        line = f"{name}{steps}: {now.figures()}"
        self._console.print(line, soft_wrap=True, markup=False, highlight=False)

    def _go_on(self) -> None:
        while not self._ended.wait(LINE_EVERY_SECONDS):
            self._print()

    @classmethod
    @contextmanager
    def shown(cls, console: Console) -> Iterator[ProgressLines]:
        """Lines on a console for as long as the context lasts."""
        lines = cls(console)
        thread = threading.Thread(target=lines._go_on, daemon=True)
        thread.start()
        try:
            yield lines
        finally:
            lines._ended.set()
            thread.join()


class Bars(RichProgress):
    """Bars, and a line below them."""

    told = ""

    def get_renderables(self) -> Iterator[RenderableType]:
        """What is drawn."""
        yield self.make_tasks_table(self.tasks)
        if self.told:
            yield Text(self.told, style="dim")


class ProgressBars:
    """Draws a bar per phase, and what was found and paid so far; call it with every `Progress`."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, progress: Progress) -> None:
        """Show a moment of a run."""
        bars, phase = self._bars, progress.phase
        if phase not in PHASES or progress.status != "running":
            return
        for other in PASSING & self._tasks.keys() - {phase}:
            bars.remove_task(self._tasks.pop(other))
        if phase not in self._tasks:
            self._tasks[phase] = bars.add_task(PHASES[phase], total=None, count="")
        # What has no steps to count shows that it goes on, and for how long.
        step, steps = progress.step, progress.steps or None
        count = f"{step:,}/{steps:,}" if steps else ""
        bars.update(self._tasks[phase], completed=step, total=steps, count=count)
        if progress.sessions_total:
            bars.told = f"{progress.labels:,} labels found, {progress.cost_usd:.4f} USD so far"

    def stopping(self) -> None:
        """Answer an interrupt."""
        self._bars.console.print(STOPPING)

    @classmethod
    @contextmanager
    def shown(cls, console: Console) -> Iterator[ProgressBars]:
        """Bars on a console for as long as the context lasts."""
        columns = (
            TextColumn("{task.description:<20}"),
            BarColumn(None),
            TextColumn("{task.fields[count]}", justify="right"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Bars(*columns, console=console, expand=True) as bars:
            yield cls(bars)
