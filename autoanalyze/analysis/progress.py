"""How far a run is: one snapshot for progress bars, other processes and people who ask."""

from __future__ import annotations

import html
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from autoanalyze.analysis.folder import RunFolder
from autoanalyze.phases.streams import BatchOutcome
from autoanalyze.records import CallContext

Status = Literal["created", "running", "done", "failed", "stopped", "cancelled"]

FINAL: frozenset[str] = frozenset({"done", "failed", "stopped", "cancelled"})

PHASES = {
    "preparing": "Preparing sessions",
    "discovery": "Discovery",
    "parallel": "Parallel streams",
    "again": "Unresolved again",
    "second": "Second look",
    "unaided": "Asking without labels",
    "probes": "Probe sessions",
    "resolution": "Conflict resolution",
    "measuring": "Measuring",
    "repeats": "Repetitions",
    "baseline": "Sequential baseline",
}
"""What people read for each phase that has steps, in the order in which they come."""

PASSING = frozenset({"preparing", "measuring"})
"""Phases that ask no model: what is told of them is gone when they are over."""

FOLLOW_SECONDS = 0.3
"""Wall time between two looks at the progress of a run that another process works on."""

WRITE_EVERY_SECONDS = 0.1
"""Wall time between two writes of progress.json, so that fast simulated runs are not spent on files."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A moment of a run. Times are seconds on the run's clock.

    `streams` tells per stream its sessions so far; `steps` and `step` count what the phase
    counts: sessions in discovery and parallel processing, label fields in resolution. `labels` are those
    that were given so far, before any are merged.
    """

    status: Status = "created"
    phase: str = "sampling"
    step: int = 0
    steps: int = 0
    sessions_found: int = 0
    sessions_processed: int = 0
    sessions_total: int = 0
    rounds: int = 0
    streams_active: int = 0
    labels: int = 0
    tokens: int = 0
    cost_usd: float = 0.0
    seconds: float = 0.0
    eta_seconds: float | None = None
    streams: dict[int, int] = field(default_factory=dict)
    error: str | None = None

    def figures(self) -> str:
        """What has been done so far and what it took, in one line."""
        if not self.sessions_total:
            return "preparing sessions"
        running = self.status not in FINAL
        streams = self.streams_active if running else sum(map(bool, self.streams.values()))
        parts = [
            f"{self.sessions_processed:,} of {self.sessions_total:,} sessions",
            f"{self.rounds:,} rounds",
            f"{streams:,} streams",
            f"{self.labels:,} labels found",
            f"{self.tokens:,} tokens",
            f"{self.cost_usd:.4f} USD",
            f"{self.seconds:,.1f} s model time",
        ]
        if running and self.eta_seconds:
            parts.append(f"about {self.eta_seconds:,.0f} s of it left")
        return ", ".join(parts)

    def _repr_html_(self) -> str:
        return phases_table([self])


def phases_table(moments: Sequence[Progress]) -> str:
    """Moments of one run, the newest of each phase, as HTML.

    A row per phase, with a bar while the run goes on; then a row for the run as a whole, as the
    last moment tells it. Nothing in it depends on the hour or on how fast this computer is.
    """
    now = moments[-1]
    rows = []
    for moment in moments:
        if moment.phase in PHASES and (moment.phase not in PASSING or moment is now):
            unit = "label fields" if moment.phase == "resolution" else "sessions"
            done = f"{moment.step:,} of {moment.steps:,} {unit}"
            if now.status not in FINAL:
                done += f" <progress value='{moment.step}' max='{max(moment.steps, 1)}'></progress>"
            rows.append((PHASES[moment.phase], done))
    rows.append((now.status, now.figures()))
    if now.error is not None:
        rows.append(("why", html.escape(now.error)))
    left = "style='text-align:left'"
    cells = "".join(f"<tr><th {left}>{name}</th><td {left}>{text}</td></tr>" for name, text in rows)
    return f"<table>{cells}</table>"


class ProgressTracker:
    """Keeps the newest `Progress`, writes it to the run folder and tells a listener.

    A finished run stays finished: what arrives late is ignored.
    """

    def __init__(self, folder: RunFolder, listener: Callable[[Progress], None] | None = None) -> None:
        self._folder = folder
        self._listener = listener
        self._written = 0.0
        self._labels: set[tuple[str, str | None]] = set()
        self._following: threading.Thread | None = None
        self.current = Progress()

    def update(self, **changes: Any) -> None:
        """Change some of the figures."""
        if self.current.status in FINAL:
            return
        entered = changes.get("phase", self.current.phase) != self.current.phase
        self.current = replace(self.current, **changes)
        now = time.monotonic()
        if entered or self.current.status in FINAL or now - self._written > WRITE_EVERY_SECONDS:
            self._folder.write_json("progress.json", asdict(self.current))
            self._written = now
        if self._listener is not None:
            self._listener(self.current)

    @property
    def phase(self) -> str:
        """The phase that is shown now."""
        return self.current.phase

    def advance(self, steps: int) -> None:
        """Count more steps of the phase as done."""
        self.update(step=self.current.step + steps)

    def follow(self, work: Future[Any]) -> None:
        """Tell what the run folder says for as long as another process works on the run."""

        def watch() -> None:
            while not work.done():
                wait([work], timeout=FOLLOW_SECONDS)
                self._mirror()

        self._following = threading.Thread(target=watch, daemon=True)
        self._following.start()

    def caught_up(self) -> None:
        """Wait until the end of work that another process did is told here too."""
        if self._following is not None:
            self._following.join()

    def _mirror(self) -> None:
        told = self._folder.read_json("progress.json")
        if "phase" in told:
            streams = {int(stream): sessions for stream, sessions in told["streams"].items()}
            self.current = Progress(**{**told, "streams": streams})
            if self._listener is not None:
                self._listener(self.current)

    def batch_done(
        self, outcome: BatchOutcome, context: CallContext, *, seconds: float, cost_usd: float
    ) -> None:
        """Count a finished batch; `seconds` is the time on the run's clock."""
        now = self.current
        # What the endpoint failed comes back in a later round, and is counted then.
        size = sum(not result.endpoint_failed for result in outcome.results)
        processed = now.sessions_processed + size
        left = now.sessions_total - processed
        for result in outcome.results:
            self._labels.update(result.facts.labels.items() if result.facts else ())
        self.update(
            step=now.step + size,
            sessions_processed=processed,
            rounds=max(now.rounds, context.round),
            labels=sum(label is not None for _, label in self._labels),
            tokens=now.tokens + outcome.usage.prompt + outcome.usage.completion,
            cost_usd=now.cost_usd + cost_usd,
            seconds=seconds,
            eta_seconds=seconds / processed * left if processed else None,
            streams={**now.streams, context.stream: now.streams.get(context.stream, 0) + size},
        )


SHOW_EVERY_SECONDS = 0.25
"""Wall time between two updates, so that neither browser nor run is kept busy with them."""


class LiveProgress:
    """A listener that shows one run as a table, updated in place; its last state stays.

    `display` is IPython's. It is called at once, and so must the constructor be: in the cell below
    which the table belongs.
    """

    def __init__(self, display: Callable[..., Any]) -> None:
        self._moments: dict[str, Progress] = {}
        self._shown = time.monotonic()
        self._handle = display(bundle([Progress()]), raw=True, display_id=True)

    def __call__(self, progress: Progress) -> None:
        """Show a moment of the run, unless another was shown just now; new phases and ends always are."""
        entered = progress.phase not in self._moments
        self._moments[progress.phase] = progress
        now = time.monotonic()
        if entered or progress.status in FINAL or now - self._shown > SHOW_EVERY_SECONDS:
            self._handle.update(bundle([*self._moments.values()]), raw=True)
            self._shown = now


def bundle(moments: list[Progress]) -> dict[str, str]:
    """The newest moment of each phase so far as what IPython displays."""
    now = moments[-1]
    return {"text/html": phases_table(moments), "text/plain": f"{now.status}: {now.figures()}"}


def live_progress() -> LiveProgress | None:
    """A table below the cell that is being executed, for one run; null outside Jupyter's kernels."""
    if "IPython" not in sys.modules:
        return None
    from IPython.core.getipython import get_ipython
    from IPython.display import display

    # IPython in a terminal has no kernel, and nothing that could be updated in place.
    in_kernel = getattr(get_ipython(), "kernel", None) is not None
    return LiveProgress(display) if in_kernel else None
