"""What holds calls back: the provider's rate limits, the calls in flight, and the budget.

One `RateLimiter` and one `Budget` serve all streams of a run. Waiting is first come, first
served, so that no stream starves; time is that of the event loop, so that it works the same in
virtual time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager

from autoanalyze.errors import BudgetExceededError

MINUTE = 60.0

SAFETY = 0.97
"""The share of a limit that is used: the provider's count and ours differ by a little."""


SHORTEST_WAIT = 1e-3
"""Seconds. A shorter wait may be lost in the rounding of a clock, and then never end."""


class TokenBucket:
    """A bucket that holds one minute's allowance and refills continuously.

    `per_minute` null means that there is no limit.
    """

    def __init__(self, per_minute: float | None) -> None:
        self.per_minute = per_minute
        self._level = per_minute or 0.0
        self._updated: float | None = None

    def seconds_until(self, amount: float) -> float:
        """How long until `amount` can be taken. What exceeds the bucket waits until it is full."""
        if self.per_minute is None:
            return 0.0
        self._refill()
        missing = min(amount, self.per_minute) - self._level
        return max(0.0, missing / (self.per_minute / MINUTE))

    def level(self) -> float:
        """What is left now; less than nothing in debt."""
        self._refill()
        return self._level

    def take(self, amount: float) -> None:
        """Take an amount, also into debt; a negative amount gives back."""
        if self.per_minute is not None:
            self._refill()
            self._level = min(self.per_minute, self._level - amount)

    def correct(self, per_minute: float | None, remaining: float | None) -> None:
        """Believe the provider: its limit, and what it says is left if that is less than we thought."""
        if per_minute is not None and per_minute > 0:
            if self.per_minute is None:
                self._level = per_minute
            self.per_minute = per_minute
        if remaining is not None and self.per_minute is not None:
            self._refill()
            self._level = min(self._level, remaining)

    def _refill(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._updated is not None and self.per_minute is not None:
            gained = (now - self._updated) * self.per_minute / MINUTE
            self._level = min(self.per_minute, self._level + gained)
        self._updated = now


class RateLimiter:
    """Lets calls go when the provider's limits and the number of calls in flight allow it.

    The number in flight falls by half when the provider says 429 and grows by one per round of
    successes (additive increase, multiplicative decrease: Chiu & Jain 1989).
    """

    def __init__(
        self, *, requests_per_minute: int | None, tokens_per_minute: int | None, concurrency: int
    ) -> None:
        self._requests = TokenBucket(None if requests_per_minute is None else requests_per_minute * SAFETY)
        self._tokens = TokenBucket(None if tokens_per_minute is None else tokens_per_minute * SAFETY)
        self._most = float(concurrency)
        self._window = float(concurrency)
        self._in_flight = 0
        self._turn = asyncio.Lock()
        self._freed = asyncio.Event()
        self._lowered_at = float("-inf")

    @property
    def window(self) -> int:
        """How many calls may be in flight now."""
        return max(1, int(self._window))

    @asynccontextmanager
    async def slot(self, tokens: int) -> AsyncIterator[None]:
        """Wait for a turn for a call of so many tokens, and hold it while the call is in flight."""
        with ExitStack() as held:
            async with self._turn:  # asyncio's locks are fair: whoever came first goes first
                while self._in_flight >= self.window:
                    self._freed.clear()
                    await self._freed.wait()
                while True:
                    wait = max(self._requests.seconds_until(1), self._tokens.seconds_until(tokens))
                    if wait < SHORTEST_WAIT:
                        break
                    await asyncio.sleep(wait)
                held.enter_context(self.seat(tokens))
            yield

    @contextmanager
    def seat(self, tokens: int) -> Iterator[None]:
        """Count a call of so many tokens as in flight, without waiting for a turn."""
        self._requests.take(1)
        self._tokens.take(tokens)
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1
            self._freed.set()

    def answered(self, planned_tokens: int, used_tokens: int, headers: Mapping[str, str]) -> None:
        """Learn from an answer: what it really took, and what the provider's headers say."""
        self._tokens.take(used_tokens - planned_tokens)
        self._window = min(self._most, self._window + 1 / self._window)
        self._requests.correct(*limit_and_rest(headers, "requests"))
        self._tokens.correct(*limit_and_rest(headers, "tokens"))

    def refused(self, planned_tokens: int, started: float) -> None:
        """Learn from a 429. Calls that left before the last lowering say nothing new."""
        self._tokens.take(-planned_tokens)
        if started > self._lowered_at:
            self._window = max(1.0, self._window / 2)
            self._lowered_at = asyncio.get_running_loop().time()


def limit_and_rest(headers: Mapping[str, str], what: str) -> tuple[float | None, float | None]:
    """Limit per minute (less the safety share) and the rest of it, as OpenAI's headers tell."""
    limit = number(headers.get(f"x-ratelimit-limit-{what}"))
    rest = number(headers.get(f"x-ratelimit-remaining-{what}"))
    return (None if limit is None else limit * SAFETY), rest


def number(text: str | None) -> float | None:
    """A header's number, or null if it is none."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


class Budget:
    """A hard cap in USD (null: none). Calls reserve their upper bound before they are sent, so that
    many at once cannot overspend together."""

    def __init__(self, cap_usd: float | None, spent_usd: float = 0.0) -> None:
        self.cap_usd = cap_usd
        self.spent_usd = spent_usd
        self.reserved_usd = 0.0

    def reserve(self, amount_usd: float) -> None:
        """Set an upper bound aside. Raises BudgetExceededError when it does not fit any more."""
        committed = self.spent_usd + self.reserved_usd
        if self.cap_usd is not None and committed + amount_usd > self.cap_usd:
            raise BudgetExceededError(
                f"the budget of {self.cap_usd} USD is used up: {self.spent_usd:.4f} spent, "
                f"{self.reserved_usd:.4f} reserved for calls in flight, and the next call may cost "
                f"{amount_usd:.4f}; go on with `autoanalyze resume RUN budget_usd=...`"
            )
        self.reserved_usd += amount_usd

    def settle(self, reserved_usd: float, spent_usd: float) -> None:
        """Replace a reservation by what was spent."""
        self.reserved_usd -= reserved_usd
        self.spent_usd += spent_usd
