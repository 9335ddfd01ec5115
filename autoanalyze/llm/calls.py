"""A call to an endpoint: where it goes, what is asked, what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx2

from autoanalyze.records import CallContext, Usage

__all__ = ["Call", "Completion", "Endpoint"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go. `identity` names it in records and request hashes and holds no secret.

    `transport` is null for the network, or takes the requests inside this process.
    """

    identity: str
    base_url: str | None
    api_key: str
    transport: httpx2.AsyncBaseTransport | None = None

    def __repr__(self) -> str:
        """The endpoint without its key."""
        return f"Endpoint({self.identity!r})"


@dataclass(frozen=True, slots=True)
class Completion:
    """What came back from one call."""

    text: str
    usage: Usage
    finish_reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it is wanted: the request, and what the journal should know of it."""

    kind: str
    """`analyze`, `judge` or `embed`."""
    model: str
    request: dict[str, Any]
    digest: str
    context: CallContext
    session_ids: tuple[str, ...]
    vocabulary_version: int
    prompt_tokens: int
    completion_limit: int
    expected_completion: int
    began: float

    @property
    def planned_tokens(self) -> int:
        """What the call will probably take from the tokens per minute."""
        return self.prompt_tokens + self.expected_completion
