"""Rate limits, calls in flight, and the budget."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoanalyze.errors import BudgetExceededError
from autoanalyze.llm.limits import Budget, RateLimiter

Virtually = Callable[[Any], Any]


async def calls(limiter: RateLimiter, tokens: list[int], seconds: float = 1.0) -> list[tuple[int, float]]:
    """Index and start of calls that all want to go at once, in the order in which they went."""
    started: list[tuple[int, float]] = []

    async def call(index: int) -> None:
        async with limiter.slot(tokens[index]):
            started.append((index, asyncio.get_running_loop().time()))
            await asyncio.sleep(seconds)

    await asyncio.gather(*(call(index) for index in range(len(tokens))))
    return started


def limiter(**changes: Any) -> RateLimiter:
    return RateLimiter(
        **{"requests_per_minute": None, "tokens_per_minute": None, "concurrency": 100, **changes}
    )


def test_tokens_per_minute_are_kept_to(virtually: Virtually) -> None:
    """After the first minute's allowance, calls leave as fast as the bucket refills, first come first."""

    async def go() -> list[tuple[int, float]]:
        return await calls(limiter(tokens_per_minute=6000), [1000] * 18)

    started = virtually(go())
    assert [index for index, _ in started] == list(range(18))
    # 5.82 calls at once (97 % of 6), the other 12.2 at 97 a minute per 1,000 tokens: some 125 seconds.
    assert started[-1][1] == pytest.approx((18_000 - 5_820) / 5_820 * 60, rel=0.02)


def test_requests_per_minute_are_kept_to(virtually: Virtually) -> None:
    """The number of requests is limited likewise."""

    async def go() -> list[tuple[int, float]]:
        return await calls(limiter(requests_per_minute=10), [1] * 20)

    assert virtually(go())[-1][1] == pytest.approx((20 - 9.7) / 9.7 * 60, rel=0.02)


def test_call_larger_than_the_bucket_still_goes(virtually: Virtually) -> None:
    """What no minute can hold waits for a full bucket instead of forever."""

    async def go() -> list[tuple[int, float]]:
        return await calls(limiter(tokens_per_minute=1000), [5000, 10])

    assert len(virtually(go())) == 2


def test_calls_in_flight_fall_on_429_and_recover(virtually: Virtually) -> None:
    """A 429 halves the number in flight once per wave; successes let it grow back, not beyond the start."""

    async def go() -> list[int]:
        limit = limiter(concurrency=16)
        windows = [limit.window]
        for _ in range(3):  # three 429s of calls that left together count as one
            limit.refused(10, 0.0)
        windows.append(limit.window)
        await asyncio.sleep(1)
        limit.refused(10, asyncio.get_running_loop().time())
        windows.append(limit.window)
        for _ in range(500):
            limit.answered(10, 10, {})
        return [*windows, limit.window]

    assert virtually(go()) == [16, 8, 4, 16]


def test_no_more_calls_are_in_flight_than_allowed(virtually: Virtually) -> None:
    """With a window of three and calls of a second, nine calls take three seconds."""

    async def go() -> list[tuple[int, float]]:
        return await calls(limiter(concurrency=3), [1] * 9)

    assert [round(start) for _, start in virtually(go())] == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_headers_correct_a_wrong_configuration(virtually: Virtually) -> None:
    """A limit learnt from the provider holds from then on, and its rest is believed."""
    headers = {"x-ratelimit-limit-tokens": "6000", "x-ratelimit-remaining-tokens": "0"}

    async def go() -> float:
        limit = limiter()
        limit.answered(0, 0, headers)
        return (await calls(limit, [970]))[0][1]

    assert virtually(go()) == pytest.approx(10, rel=0.01)


@pytest.mark.parametrize("rest", ["", "many", "-1", "nan"])
def test_nonsense_headers_are_ignored(virtually: Virtually, rest: str) -> None:
    """What is no number changes nothing."""

    async def go() -> float:
        limit = limiter(tokens_per_minute=6000)
        limit.answered(0, 0, {"x-ratelimit-limit-tokens": rest})
        return (await calls(limit, [100]))[0][1]

    assert virtually(go()) == 0


@given(st.lists(st.tuples(st.floats(0.01, 1), st.floats(0, 1)), max_size=40), st.floats(0.1, 5))
def test_budget_is_never_overspent(wishes: list[tuple[float, float]], cap: float) -> None:
    """However calls interleave, what is spent plus reserved stays within the cap."""
    budget = Budget(cap)
    open_calls: list[tuple[float, float]] = []
    for reserved, share in wishes:
        try:
            budget.reserve(reserved)
            open_calls.append((reserved, reserved * share))
        except BudgetExceededError:
            if open_calls:
                budget.settle(*open_calls.pop(0))
        assert budget.spent_usd + budget.reserved_usd <= cap + 1e-9
    for call in open_calls:
        budget.settle(*call)
    assert budget.reserved_usd == pytest.approx(0, abs=1e-9)
    assert budget.spent_usd <= cap + 1e-9
