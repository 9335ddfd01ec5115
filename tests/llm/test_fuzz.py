"""Thousands of mutated server objects, thrown at the client: status, body and headers.

AUTOANALYZE_FUZZ sets how many are thrown; the suite throws few.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from served import Served, completion
from starlette.responses import Response

from autoanalyze.config import RetryConfig
from autoanalyze.errors import AutoAnalyzeError

Virtually = Callable[[Any], Any]
THROWS = int(os.environ.get("AUTOANALYZE_FUZZ", "60"))

KEYS = [
    "error",
    "message",
    "choices",
    "content",
    "usage",
    "code",
    "delta",
    "finish_reason",
    "object",
    "detail",
]
WORDS = [
    "insufficient_quota",
    "context_length_exceeded",
    "content_filter",
    "seed",
    "error",
    "length",
    "429",
    "",
]
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.text(max_size=9)
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """A good answer of which some parts are something else, or gone."""
    body: Any = completion(json.dumps({"sessions": [{"k": "s1", "s": "C", "f1": "Claim Status", "n": "x"}]}))
    for _ in range(draw(st.integers(0, 3))):
        place = body
        for _ in range(draw(st.integers(0, 4))):
            inner = place.values() if isinstance(place, dict) else place
            deeper = [part for part in inner if isinstance(part, dict | list) and part]
            place = draw(st.sampled_from(deeper)) if deeper else place
        key = draw(st.sampled_from([*place] if isinstance(place, dict) else range(len(place))))
        place[key] = draw(values)
    return body


bodies = st.one_of(
    mutated().map(json.dumps),
    values.map(json.dumps),
    mutated().map(lambda body: f"data: {json.dumps(body)}\n\ndata: [DONE]"),
    mutated().map(lambda body: json.dumps(body)[: len(json.dumps(body)) // 2]),
    st.text(max_size=30),
)
headers = st.dictionaries(
    st.sampled_from(
        ["retry-after", "retry-after-ms", "x-ratelimit-limit-tokens", "x-ratelimit-remaining-requests"]
    ),
    st.sampled_from(["0", "1", "nan", "-1", "inf", "x", "1e9", ""]),
)
statuses = st.sampled_from(
    [200] * 6 + [201, 204, 400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 501, 503]
)
kinds = st.sampled_from(["application/json", "text/html", "text/event-stream", "text/plain; charset=bogus"])


@settings(max_examples=THROWS, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(statuses, bodies, headers, kinds), min_size=1, max_size=3))
def test_only_our_own_errors_and_nothing_lost(virtually: Virtually, thrown: list[Any]) -> None:
    """Whatever comes back: a reply or one of our errors, and a journal line for each request and its end."""
    replies = iter(thrown)

    def answer(_body: dict[str, Any]) -> Response:
        status, body, told, kind = next(replies, thrown[-1])
        content = body.encode("utf-8", "replace")
        return Response(content, status_code=status, headers=told, media_type=kind)

    with TemporaryDirectory() as folder:
        served = Served(Path(folder), answer)
        served.retry = RetryConfig(call_attempts=2)
        with suppress(AutoAnalyzeError):
            virtually(served.ask())
        events = served.events()
        sent = [event["call"] for event in events if event["event"] == "sent"]
        ended = [event["call"] for event in events if event["event"] in ("answered", "failed")]
        assert sent == ended
        assert len(sent) == len(served.bodies)
        assert served.budget.reserved_usd == 0
