"""When a call is tried again: the one place where that is decided.

Only errors that may pass are retried, with waits that double and are jittered, or as long as the
endpoint asks for; bounded by attempts and by time on the run's clock.
"""

from __future__ import annotations

import asyncio
import random

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from autoanalyze.config import RetryConfig
from autoanalyze.errors import TransientEndpointError

__all__ = ["patient"]

JITTER_AFTER_ASKED = 0.1
"""Share of a wait that the endpoint asked for which is added at random, so that streams come back apart."""


def patient(config: RetryConfig, seed: str) -> AsyncRetrying:
    """Attempts at one call; `seed` decides the jitter. After the last, its error is raised."""
    clock = asyncio.get_running_loop()
    began = clock.time()
    generator = random.Random(seed)

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, TransientEndpointError) else None
        if asked is not None:
            return asked * (1 + JITTER_AFTER_ASKED * generator.random())
        longest = min(
            config.longest_wait_seconds, config.first_wait_seconds * 2.0 ** (state.attempt_number - 1)
        )
        return longest * (0.5 + 0.5 * generator.random())

    def stop(state: RetryCallState) -> bool:
        passed = clock.time() - began + state.upcoming_sleep
        return state.attempt_number >= config.call_attempts or passed > config.call_seconds

    return AsyncRetrying(
        sleep=asyncio.sleep,
        retry=retry_if_exception_type(TransientEndpointError),
        wait=wait,
        stop=stop,
        reraise=True,
    )
