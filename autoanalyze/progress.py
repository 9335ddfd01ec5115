"""How far a run is: one snapshot for progress bars, other processes and people who ask."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from autoanalyze.phases.streams import BatchOutcome
from autoanalyze.records import CallContext
from autoanalyze.run_folder import RunFolder

__all__ = ["FINAL", "Progress", "ProgressTracker", "Status"]

Status = Literal["created", "running", "done", "failed", "stopped", "cancelled"]

FINAL: frozenset[str] = frozenset({"done", "failed", "stopped", "cancelled"})

WRITE_EVERY_SECONDS = 0.1
"""Wall time between two writes of progress.json, so that fast simulated runs are not spent on files."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A moment of a run. Times are seconds on the run's clock.

    `streams` tells per stream its sessions so far; `steps` and `step` count what the phase
    counts: sessions in discovery and parallel processing, label fields in resolution.
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
    tokens: int = 0
    cost_usd: float = 0.0
    seconds: float = 0.0
    eta_seconds: float | None = None
    streams: dict[int, int] = field(default_factory=dict)
    error: str | None = None


class ProgressTracker:
    """Keeps the newest `Progress`, writes it to the run folder and tells a listener.

    A finished run stays finished: what arrives late is ignored.
    """

    def __init__(self, folder: RunFolder, listener: Callable[[Progress], None] | None = None) -> None:
        self._folder = folder
        self._listener = listener
        self._written = 0.0
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

    def batch_done(
        self, outcome: BatchOutcome, context: CallContext, *, seconds: float, cost_usd: float
    ) -> None:
        """Count a finished batch; `seconds` is the time on the run's clock."""
        now = self.current
        # What the endpoint failed comes back in a later round, and is counted then.
        size = sum(not result.endpoint_failed for result in outcome.results)
        processed = now.sessions_processed + size
        left = now.sessions_total - processed
        self.update(
            step=now.step + size,
            sessions_processed=processed,
            rounds=max(now.rounds, context.round),
            tokens=now.tokens + outcome.usage.prompt + outcome.usage.completion,
            cost_usd=now.cost_usd + cost_usd,
            seconds=seconds,
            eta_seconds=seconds / processed * left if processed else None,
            streams={**now.streams, context.stream: now.streams.get(context.stream, 0) + size},
        )
