"""What a failed call means, how it is tried again, and how several calls end together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_endpoint import KEY, in_virtual_time

from autoanalyze.config import RetryConfig
from autoanalyze.errors import (
    AutoAnalyzeError,
    FatalEndpointError,
    QuotaExceededError,
    RequestTooLongError,
    TransientEndpointError,
)
from autoanalyze.llm.calls import (
    Call,
    Endpoint,
    patient,
    together,
)
from autoanalyze.records import CallContext

Virtually = Callable[[Any], Any]


# Several calls at once


async def ended(seconds: float, result: object, ends: list[object]) -> object:
    """Takes its time, notes its end, and gives its result or raises it."""
    await asyncio.sleep(seconds)
    ends.append(result)
    if isinstance(result, Exception):
        raise result
    return result


@given(st.permutations(range(6)))
def test_results_come_in_the_order_of_the_work(order: list[int]) -> None:
    """Whatever ends first, the first result is that of the first piece of work."""
    ends: list[object] = []
    results = in_virtual_time(together(ended(order[i], i, ends) for i in range(6)))
    assert results == [0, 1, 2, 3, 4, 5]
    assert ends == sorted(range(6), key=order.__getitem__)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=6))
def test_first_error_in_order_is_raised_after_all_have_ended(work: list[tuple[int, bool]]) -> None:
    """Of several errors the first in the order of the work comes through, and the rest still ends."""
    pieces = [ValueError(str(i)) if fails else i for i, (_, fails) in enumerate(work)]
    ends: list[object] = []

    async def go() -> object:
        try:
            return await together(ended(work[i][0], piece, ends) for i, piece in enumerate(pieces))
        except ValueError as error:
            return error

    outcome = in_virtual_time(go())
    errors = [piece for piece in pieces if isinstance(piece, ValueError)]
    assert outcome is errors[0] if errors else outcome == pieces
    assert len(ends) == len(work)


def test_cancelling_cancels_all_the_work(virtually: Virtually) -> None:
    """When whoever waits is cancelled, nothing goes on behind it."""
    ends: list[object] = []

    async def go() -> None:
        waiting = asyncio.create_task(together(ended(seconds, seconds, ends) for seconds in (1, 5, 9)))
        await asyncio.sleep(3)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.sleep(100)

    virtually(go())
    assert ends == [1]


def test_no_work_has_no_results(virtually: Virtually) -> None:
    """An empty list of work is done at once."""
    assert virtually(together([])) == []


# What an error means


class StatusError(Exception):
    """An answer with an error status, as a client would raise it."""

    class Answer:
        def __init__(self, headers: dict[str, str]) -> None:
            self.headers = headers

    def __init__(
        self, status: int, code: str | None = None, message: str = "refused", **headers: str
    ) -> None:
        super().__init__(message)
        self.status_code = status
        self.code = code
        self.message = message
        self.response = self.Answer({name.replace("_", "-"): value for name, value in headers.items()})


CONTEXT_MESSAGE = "This model's maximum context length is 8192 tokens"


# Trying again


class Story:
    """The attempts at one call: each fails with the next of `errors`, and with none left it succeeds."""

    def __init__(self, *errors: Exception, config: RetryConfig | None = None, seed: str = "s") -> None:
        self.starts: list[float] = []
        self.error: Exception | None = None
        in_virtual_time(self._tell(list(errors), config or RetryConfig(), seed))

    async def _tell(self, errors: list[Exception], config: RetryConfig, seed: str) -> None:
        await asyncio.sleep(1000)  # what is measured from is the beginning of the call, not of the run
        began = asyncio.get_running_loop().time()
        try:
            async for attempt in patient(config, seed):
                with attempt:
                    self.starts.append(round(asyncio.get_running_loop().time() - began, 6))
                    if errors:
                        raise errors.pop(0)
        except AutoAnalyzeError as error:
            self.error = error

    @property
    def waits(self) -> list[float]:
        """The seconds between attempts."""
        return [later - earlier for earlier, later in zip(self.starts, self.starts[1:], strict=False)]


def busy(count: int, asked: float | None = None) -> list[Exception]:
    """So many passing failures."""
    return [TransientEndpointError(f"busy {number}", asked) for number in range(count)]


LONG = RetryConfig(call_attempts=100, call_seconds=1e9)


@given(st.text(max_size=8))
def test_waits_double_up_to_the_longest_less_up_to_half(seed: str) -> None:
    """The nth wait lies between half and the whole of a second doubled n times, or of half a minute."""
    story = Story(*busy(8), config=RetryConfig(call_attempts=9, call_seconds=1e9), seed=seed)
    assert story.error is None
    assert len(story.waits) == 8
    for number, wait in enumerate(story.waits):
        whole = min(30.0, 2.0**number)
        assert whole / 2 - 1e-5 <= wait <= whole + 1e-5


def test_jitter_spreads_calls_and_is_seeded() -> None:
    """The same seed waits the same to the bit, and many seeds use the whole range of a wait."""
    first = [Story(*busy(1), config=LONG, seed=str(number)).waits[0] for number in range(100)]
    assert first == [Story(*busy(1), config=LONG, seed=str(number)).waits[0] for number in range(100)]
    assert len(set(first)) > 95
    assert min(first) < 0.55
    assert max(first) > 0.95


@given(st.floats(0, 50), st.text(max_size=5))
def test_asked_waits_are_obeyed_instead(asked: float, seed: str) -> None:
    """What the endpoint asks for is waited, and at most a tenth more, however often it asks."""
    story = Story(*busy(5, asked), config=LONG, seed=seed)
    assert all(asked - 1e-5 <= wait <= asked * 1.1 + 1e-5 for wait in story.waits)


def test_asked_waits_are_spread_too() -> None:
    """Streams that are told to wait for the same seconds do not come back together."""
    waits = {Story(*busy(1, 10.0), config=LONG, seed=str(number)).waits[0] for number in range(50)}
    assert len(waits) > 45
    assert max(waits) > 10.5


@given(st.integers(1, 12), st.floats(0, 60), st.lists(st.none() | st.floats(0, 30), min_size=12, max_size=12))
def test_attempts_are_bounded_in_number_and_in_time(
    attempts: int, seconds: float, asked: list[float | None]
) -> None:
    """No attempt beyond the number or the time allowed, and none given up before one of them is reached."""
    config = RetryConfig(call_attempts=attempts, call_seconds=seconds)
    errors = [TransientEndpointError(f"{number}", wait) for number, wait in enumerate(asked)]
    story = Story(*errors, config=config)
    made = len(story.starts)
    assert story.error is errors[made - 1], "the error of the last attempt comes through as it was"
    assert made <= attempts
    assert story.starts[-1] <= seconds + 1e-5
    if made < attempts:
        wished = asked[made - 1]
        longest = min(30.0, 2.0 ** (made - 1)) if wished is None else wished * 1.1
        assert story.starts[-1] + longest > seconds


def test_wait_that_would_take_too_long_is_not_begun() -> None:
    """An endpoint that asks for an hour is given up at once instead of after the time allowed."""
    story = Story(*busy(1, 3600.0), config=RetryConfig(call_seconds=600))
    assert (story.starts, type(story.error)) == ([0.0], TransientEndpointError)


@pytest.mark.parametrize(
    "error", [FatalEndpointError("key"), QuotaExceededError("empty"), RequestTooLongError("long")]
)
def test_what_cannot_pass_is_not_tried_again(error: AutoAnalyzeError) -> None:
    """Only transient errors are worth another attempt, even among them."""
    story = Story(*busy(1), error, config=LONG)
    assert story.error is error
    assert len(story.starts) == 2


# What a call is


def test_endpoints_do_not_show_their_key() -> None:
    """The representation of an endpoint holds its identity and nothing secret."""
    shown = repr(Endpoint("somewhere", "https://somewhere/v1", KEY))
    assert "somewhere" in shown
    assert KEY not in shown


def test_calls_plan_for_both_ways() -> None:
    """What a call takes from the tokens per minute is its prompt and the answer that is expected of it."""
    call = Call("judge", "m", {}, "d", CallContext("x"), (), 0, 100, 999, 20, 0.0)
    assert call.planned_tokens == 120
