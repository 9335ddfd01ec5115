"""Virtual time: an event loop whose clock jumps to the next timer instead of waiting for it.

An hour of model latency passes in seconds, and since nothing depends on how fast the machine
is, the same work takes the same virtual time on every run. Looptime (a pytest plugin) does
the like for tests; a product needs it without a test runner, and with executor jobs inline.
"""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")

NANOSECONDS = 1e9
TOLERANCE = 0.01
"""Nanoseconds that may be rounding error of earlier additions, and are not rounded up."""


class JumpingSelector(selectors.DefaultSelector):
    """A selector that, where another would sleep, reports how long it would have slept."""

    def __init__(self, on_idle: Callable[[float], None]) -> None:
        super().__init__()
        self._on_idle = on_idle

    def select(self, timeout: float | None = None) -> Any:
        """Events that are ready now; without any, `timeout` seconds of virtual time pass.

        With nothing to wait for but the outside world (no timer at all), it really waits: a
        little at a time, so that another thread can still wake the loop.
        """
        events = super().select(0)
        if events or timeout == 0:
            return events
        if timeout is None:
            return super().select(0.05)
        self._on_idle(timeout)
        return events


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time, which starts at 0 seconds.

    Work given to an executor runs at once in the loop's own thread: a thread would finish at
    a moment that differs from run to run.
    """

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(JumpingSelector(self._pass_time))

    def time(self) -> float:
        """Seconds of virtual time since the loop was made."""
        return self._now

    def run_in_executor(  # type: ignore[override]  # the base speaks of TypeVarTuples that mypy cannot match here
        self, _executor: Any, func: Callable[..., Result], *args: Any
    ) -> asyncio.Future[Result]:
        """Run `func` now and return a finished future."""
        future: asyncio.Future[Result] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # handed to whoever awaits the future
            future.set_exception(error)
        return future

    def _pass_time(self, seconds: float) -> None:
        # To whole nanoseconds, upwards: the clock then reads the same at a moment however many steps
        # led to it, which a resumed run needs to repeat the times of an undisturbed one to the bit.
        self._now = math.ceil((self._now + seconds) * NANOSECONDS - TOLERANCE) / NANOSECONDS
