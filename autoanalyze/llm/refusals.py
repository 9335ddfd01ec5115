"""What an endpoint's refusal means, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from autoanalyze.errors import (
    AutoAnalyzeError,
    FatalEndpointError,
    QuotaExceededError,
    RequestRefusedError,
    RequestTooLongError,
    TransientEndpointError,
)

__all__ = ["REFUSED", "FormatRefusedError", "describe", "translated"]

REFUSED = "content_filter"
RETRYABLE_STATUS = frozenset({408, 409, 429})
FILTER_CODES = frozenset({"content_filter", "content_policy_violation"})
LONGEST_DESCRIPTION = 500


class FormatRefusedError(FatalEndpointError):
    """The endpoint does not know the reply format that was asked for; a looser one may do."""


def describe(error: Exception) -> str:
    """An error in one line, for the journal."""
    status = getattr(error, "status_code", "")
    return f"{type(error).__name__} {status}: {getattr(error, 'message', error)}"[:LONGEST_DESCRIPTION]


def translated(error: Exception, endpoint: str, model: str) -> AutoAnalyzeError:
    """The error as the phases know it, with its remedy.

    Takes what the standard library calls TimeoutError, ConnectionError and ValueError (an answer that
    cannot be read), and errors with a `status_code`.
    """
    summary = f"{endpoint}: {describe(error)}"
    if hasattr(error, "status_code"):
        return from_status(error, summary, model)
    if isinstance(error, TimeoutError):
        return TransientEndpointError(f"{summary} (no answer in time; see limits.timeout_seconds)")
    if isinstance(error, ConnectionError):
        return TransientEndpointError(f"{summary} (is the endpoint running and reachable?)")
    if isinstance(error, ValueError):
        return TransientEndpointError(f"{summary} (the answer could not be read)")
    return FatalEndpointError(summary)


def from_status(error: Any, summary: str, model: str) -> AutoAnalyzeError:
    """What an answer with an error status means."""
    status, code, text = error.status_code, getattr(error, "code", None), str(error)
    if code == "insufficient_quota":
        return QuotaExceededError(
            f"{summary} (the account has no credit left; add some, then resume the run)"
        )
    if status in RETRYABLE_STATUS or status >= 500:
        return TransientEndpointError(summary, retry_after(error.response.headers))
    if code == "context_length_exceeded" or "maximum context length" in text:
        return RequestTooLongError(summary)
    if code in FILTER_CODES:
        return RequestRefusedError(summary)
    if status == 400 and "response_format" in text:
        return FormatRefusedError(f"{summary} (set model.reply_format=text)")
    if status in (401, 403):
        return FatalEndpointError(f"{summary} (check OPENAI_API_KEY)")
    if status == 404:
        return FatalEndpointError(f"{summary} (does the endpoint serve the model {model}?)")
    return FatalEndpointError(summary)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the endpoint asks to wait: Retry-After-ms, or Retry-After in seconds."""
    for name, divisor in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        text = headers.get(name, "")
        if re.fullmatch(r"\d+(\.\d+)?", text.strip()):
            return float(text) / divisor
    return None
