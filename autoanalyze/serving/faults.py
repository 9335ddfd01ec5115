"""Trouble on purpose: what an endpoint in this process does wrong, and when.

A fault is drawn from the request's content and from how often the same request was made before,
so that it depends neither on the order of arrival nor on time, and a retry draws anew.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx2
import numpy as np
from starlette.responses import JSONResponse, Response

from autoanalyze.config import FAULTS, FaultsConfig
from autoanalyze.serving.chance import draws

HANG_SECONDS = 1e6
"""Longer than any time-out."""

SLOW_SECONDS = 30.0
LONGEST_RETRY_AFTER = 8

Answer = Callable[[], Awaitable[Response]]


def refused(status: int, message: str, code: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An error in OpenAI's form."""
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return JSONResponse({"error": error}, status_code=status, headers=headers)


class FaultInjector:
    """Stands between a request and its answer. `requests` counts all, `drawn` the faults by kind."""

    def __init__(self, config: FaultsConfig) -> None:
        self._config = config
        kinds = sorted(config.kinds or FAULTS)
        self._kinds = {
            True: [kind for kind in kinds if kind in IN_TRANSIT or kind.startswith("embedding")],
            False: [kind for kind in kinds if not kind.startswith("embedding")],
        }
        self._asked: Counter[str] = Counter()
        self.requests = 0
        self.drawn: Counter[str] = Counter()

    async def answer(self, identity: str, honest: Answer, *, embeddings: bool = False) -> Response:
        """The answer to the request that `identity` stands for: `honest`'s, or trouble."""
        self.requests += 1
        config = self._config
        if config.gone_after is not None and self.requests > config.gone_after:
            self.drawn["gone"] += 1
            raise httpx2.ConnectError("nothing answers any more")
        if config.quota_after is not None and self.requests > config.quota_after:
            self.drawn["quota"] += 1
            return refused(429, "You exceeded your current quota.", "insufficient_quota")
        kinds = self._kinds[embeddings]
        if not config.rate or not kinds:
            return await honest()
        self._asked[identity] += 1
        draw = draws("fault", identity, self._asked[identity])
        if draw.random() >= config.rate:
            return await honest()
        kind = kinds[int(draw.integers(len(kinds)))]
        self.drawn[kind] += 1
        return await self._trouble(kind, honest, float(draw.random()))

    async def _trouble(self, kind: str, honest: Answer, chance: float) -> Response:
        """One kind of trouble; `chance` decides what is left to decide."""
        if kind == "hang":
            await asyncio.sleep(HANG_SECONDS)
        if kind == "reset":
            await asyncio.sleep(chance)
            raise httpx2.RemoteProtocolError("the connection was reset")
        if kind == "slow":
            await asyncio.sleep(SLOW_SECONDS * chance)
            return await honest()
        if kind in STATUS:
            status, message = STATUS[kind]
            wait = {"retry-after": str(1 + int(LONGEST_RETRY_AFTER * chance))}
            return refused(status, message, kind, wait if kind == "busy_with_retry_after" else None)
        response = await honest()
        if response.status_code != 200:
            return response
        body = json.loads(bytes(response.body))
        if kind.startswith("embedding"):
            spoil_embeddings(kind, body["data"], chance)
        else:
            spoilt(kind, body["choices"][0], chance)
        return JSONResponse(body)


STATUS = {
    "busy": (429, "Rate limit reached"),
    "busy_with_retry_after": (429, "Rate limit reached"),
    "server_error": (500, "The server had an error"),
    "unavailable": (503, "The engine is overloaded"),
}


IN_TRANSIT = frozenset({"hang", "reset", "slow", *STATUS})
"""Trouble that any request can meet, whatever it asks for."""


def spoil_embeddings(kind: str, data: list[dict[str, Any]], chance: float) -> None:
    """Spoil the embeddings of an answer in place."""
    if kind == "embedding_missing":
        del data[int(len(data) * chance)]
    for part in data:
        vector = np.frombuffer(base64.b64decode(part["embedding"]), dtype=np.float32)
        if kind == "embedding_not_a_number":
            vector = np.full_like(vector, np.nan)
        elif kind == "embedding_dimensions":
            vector = vector[: len(vector) // 2]
        part["embedding"] = base64.b64encode(vector.tobytes()).decode()


def spoilt(kind: str, choice: dict[str, Any], chance: float) -> None:
    """Spoil one choice of an answer in place."""
    message = choice["message"]
    text: str = message["content"]
    if kind == "not_json":
        message["content"] = "Sure! Here are the labels: " + text[: int(len(text) * chance)]
    elif kind == "cut_off":
        message["content"] = text[: int(len(text) * chance)]
        choice["finish_reason"] = "length"
    elif kind == "refusal":
        message["content"], message["refusal"] = None, "I cannot help with that."
        choice["finish_reason"] = "content_filter"
    elif kind == "empty":
        message["content"] = ""
    else:
        message["content"] = misled(kind, json.loads(text), chance)


def misled(kind: str, reply: dict[str, Any], chance: float) -> str:
    """A well-formed reply in which one entry is wrong. A judge's reply has no keys and stays as it is."""
    rows = reply.get("sessions")
    if rows:
        position = int(len(rows) * chance)
        if kind == "missing_key":
            del rows[position]
        elif kind == "duplicated_key":
            rows.append(dict(rows[position]))
        elif kind == "foreign_key":
            ended = next(iter(rows[position]))  # the key stands first, under the outcome
            rows[position][ended] = "s999"
        elif kind == "wrong_outcome":
            ended, *others = rows[position]
            rows[position] = {"key": rows[position][ended], "session_outcome": "Unknown"} | {
                name: rows[position][name] for name in others
            }
    return json.dumps(reply, ensure_ascii=False)
