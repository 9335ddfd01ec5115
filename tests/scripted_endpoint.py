"""An endpoint of the tests' own: what it answers is a function of what it was sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeVar

import httpx2

from autoanalyze.llm.calls import Endpoint
from autoanalyze.serving.clock import VirtualClockLoop

__all__ = ["KEY", "Script", "ScriptedEndpoint", "completion", "in_virtual_time", "ok", "refusal"]

KEY = "sk-very-secret-0123456789"
Result = TypeVar("Result")
Script = Callable[[dict[str, Any]], httpx2.Response | Awaitable[httpx2.Response]]


def completion(text: str | None, **changes: Any) -> dict[str, Any]:
    """A chat completion as an endpoint would send it."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 50, "completion_tokens": 7, "total_tokens": 57}
    head = {"id": "c", "object": "chat.completion", "created": 0, "model": "m"}
    return {**head, "choices": [choice], "usage": usage, **changes}


def ok(text: str | None = '{"sessions": []}', **changes: Any) -> httpx2.Response:
    """An answer with a chat completion in it."""
    return httpx2.Response(200, json=completion(text, **changes))


def refusal(
    status: int, code: str = "x", message: str = "refused", headers: Mapping[str, str] | None = None
) -> httpx2.Response:
    """An error in OpenAI's form."""
    return httpx2.Response(status, json={"error": {"message": message, "code": code}}, headers=headers)


class ScriptedEndpoint(httpx2.AsyncBaseTransport):
    """Answers with `script(body)`, or raises what it raises; keeps the bodies it was sent."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.bodies: list[dict[str, Any]] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer by the script."""
        self.bodies.append(json.loads(request.content))
        answer = self._script(self.bodies[-1])
        return answer if isinstance(answer, httpx2.Response) else await answer

    def known_as(self, identity: str, *, virtual_time: bool = False) -> Endpoint:
        """The endpoint as a run knows it."""
        return Endpoint(identity, "http://test/v1", KEY, self, virtual_time)


def in_virtual_time(work: Coroutine[Any, Any, Result]) -> Result:
    """What the fixture `virtually` does, for properties, which may use no such fixture."""
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        return runner.run(work)
