"""Work side by side, to the end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

__all__ = ["together"]

Result = TypeVar("Result")


async def together(work: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """Results in the order of `work`, whatever ends first.

    If some of it fails, the rest is still brought to its end, because calls in flight are paid for
    and their answers worth keeping; then the first error, in order, is raised. Cancelling cancels all.
    """
    results = await asyncio.gather(*work, return_exceptions=True)
    finished: list[Result] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        finished.append(result)
    return finished
