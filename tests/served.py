"""A client whose endpoint says what a test wants it to say."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
from fakes import MODEL, SCHEMA, make_tokens
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from autoanalyze.config import RequestConfig, RetryConfig
from autoanalyze.errors import (
    EndpointError,
)
from autoanalyze.llm.calls import Endpoint
from autoanalyze.llm.client import OpenAIAnalysis
from autoanalyze.llm.journal import Journal
from autoanalyze.llm.limits import Budget, RateLimiter
from autoanalyze.llm.prompts import AnalysisPrompt
from autoanalyze.llm.sending import Sender
from autoanalyze.records import CallContext, Reply, SessionText, VocabularySnapshot

KEY = "sk-very-secret-0123456789"
SESSIONS = [SessionText("id-1", "user: hello", 3), SessionText("id-2", "user: bye", 3)]


def completion(text: str | None, **changes: Any) -> dict[str, Any]:
    """A chat completion as an endpoint would send it."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 50, "completion_tokens": 7, "total_tokens": 57}
    body = {
        "id": "c",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [choice],
        "usage": usage,
    }
    return {**body, **changes}


def refusal(status: int, code: str = "x", message: str = "refused") -> Response:
    return JSONResponse({"error": {"message": message, "code": code}}, status_code=status)


class Served:
    """A client whose endpoint answers with `answer(body)`; keeps the bodies it was sent."""

    def __init__(
        self, folder: Path, answer: Callable[[dict[str, Any]], Response | Awaitable[Response]], **model: Any
    ) -> None:
        self.bodies: list[dict[str, Any]] = []

        async def chat(request: Request) -> Response:
            self.bodies.append(await request.json())
            self.headers.append(dict(request.headers))
            reply = answer(self.bodies[-1])
            return reply if isinstance(reply, Response) else await reply

        app = Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])
        self.path = folder / "calls.jsonl"
        self.endpoint = Endpoint("test", "http://test/v1", KEY, httpx2.ASGITransport(app=app))
        self.model = replace(MODEL, **model)
        self.budget = Budget(None)
        self.retry = RetryConfig(call_attempts=1)
        self.replay = False
        self.request = RequestConfig()
        self.context = CallContext("parallel", seed=5)
        self.headers: list[dict[str, str]] = []
        self.notices: list[str] = []

    async def ask(self, times: int = 1) -> Reply:
        """Ask so many times and give the last answer."""
        context = self.context
        with Journal(self.path, follow=self.replay) as journal:
            tokens = make_tokens()
            sender = Sender(
                self.endpoint,
                tokens=tokens,
                journal=journal,
                limiter=RateLimiter(requests_per_minute=None, tokens_per_minute=None, concurrency=4),
                budget=self.budget,
                retry=self.retry,
                request=self.request,
            )
            client = OpenAIAnalysis(
                sender,
                model=self.model,
                prompt=AnalysisPrompt(SCHEMA),
                tokens=tokens,
                request=self.request,
            )
            try:
                for _ in range(times - 1):
                    with suppress(EndpointError):
                        await client.analyze_batch(SESSIONS, VocabularySnapshot(), context)
                return await client.analyze_batch(SESSIONS, VocabularySnapshot(), context)
            finally:
                self.notices = sender.notices
                await sender.close()

    def events(self) -> list[dict[str, Any]]:
        """The journal so far."""
        return [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]
