"""Virtual time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoanalyze.serving.clock import VirtualClockLoop

Virtually = Callable[[Any], Any]


def test_an_hour_passes_at_once(virtually: Virtually) -> None:
    """Sleeping takes virtual time only, to the exact second."""

    async def nap() -> float:
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    started = time.process_time()
    assert virtually(nap()) == pytest.approx(3600)
    assert time.process_time() - started < 60


def test_timers_fire_in_order_of_time(virtually: Virtually) -> None:
    """Tasks that sleep side by side finish in the order of their waits, and time is the longest of them."""

    async def several() -> tuple[list[int], float]:
        finished: list[int] = []

        async def one(seconds: int) -> None:
            await asyncio.sleep(seconds)
            finished.append(seconds)

        await asyncio.gather(*(one(seconds) for seconds in (5, 1, 9, 3)))
        return finished, asyncio.get_running_loop().time()

    finished, now = virtually(several())
    assert finished == [1, 3, 5, 9]
    assert now == pytest.approx(9)


def test_time_out_is_virtual(virtually: Virtually) -> None:
    """A time-out of a minute strikes after a virtual minute."""

    async def impatient() -> float:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(1e6), 60)
        return asyncio.get_running_loop().time()

    assert virtually(impatient()) == pytest.approx(60)


def test_executor_work_runs_inline(virtually: Virtually) -> None:
    """Work for a thread runs at once in the loop's own thread; its errors reach whoever awaits it."""

    async def work() -> bool:
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)
        return await asyncio.to_thread(threading.get_ident) == threading.get_ident()

    assert virtually(work())


def test_another_thread_can_wake_an_idle_loop() -> None:
    """A loop that has no timer waits for the outside world, and hears a call from another thread."""
    loop = VirtualClockLoop()
    waiting = loop.create_future()
    threading.Timer(0.05, lambda: loop.call_soon_threadsafe(waiting.set_result, "woken")).start()
    try:
        assert loop.run_until_complete(waiting) == "woken"
        assert loop.time() == 0
    finally:
        loop.close()


@given(st.lists(st.floats(1e-6, 100), min_size=1, max_size=30))
def test_clock_reads_the_same_however_it_got_there(waits: list[float]) -> None:
    """Many small steps and one large one to the same moment end at the same time, to the bit."""

    async def sleeping(seconds: list[float]) -> float:
        for wait in seconds:
            await asyncio.sleep(wait)
        return asyncio.get_running_loop().time()

    def run(seconds: list[float]) -> float:
        with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
            return runner.run(sleeping(seconds))

    end = run(waits)
    assert run([end]) == end
