"""What endpoints say when they refuse, in many dialects and with any status."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoanalyze.errors import AutoAnalyzeError
from autoanalyze.llm.refusals import meaning, refusal_of, translated


def said(text: str, code: object = None, **more: Any) -> dict[str, Any]:
    return {"error": {"message": text, "code": code, **more}}


CREDIT = [
    (429, said("You exceeded your current quota.", "insufficient_quota")),
    (402, {"detail": "Payment Required"}),
    (400, said("Your credit balance is too low to access this API")),
    (403, {"message": "All available credits are used up"}),
    (200, said("Insufficient Balance", "402")),
    (500, {"error": "account has insufficient funds"}),
    (400, said("Budget has been exceeded! Current cost: 5", "400")),
]
LONG = [
    (400, said("x", "context_length_exceeded")),
    (413, "<html>Request Entity Too Large</html>"),
    (422, {"detail": "Input is too long for the requested model"}),
    (400, said("This model's maximum context length is 8192 tokens", None)),
    (500, said("the request exceeds the available context size, try increasing it")),
    (400, {"object": "error", "message": "prompt is too long: 210000 tokens > 200000 maximum"}),
    (400, [said("The input token count (5000) exceeds the maximum number of tokens allowed (4096).")]),
    (200, said("n_ctx exceeded", 400, type="exceed_context_size_error")),
    (400, said("too many tokens: size limit exceeded")),
]
FILTERED = [
    (400, said("x", "content_filter")),
    (403, said("Your input was flagged", 403, metadata={"reasons": ["violence"]})),
    (400, said("gateway error", "400", innererror={"code": "ResponsibleAIPolicyViolation"})),
    (500, said("ContentPolicyViolationError: rejected by the provider")),
    (400, {"code": "data_inspection_failed", "message": "Output data may be bad"}),
    (200, said("The prompt was blocked", "PROHIBITED_CONTENT")),
]
BUSY = [
    (429, said("Rate limit reached, add credits to your balance to raise it", None)),
    (429, said("You exceeded your current quota", 429, status="RESOURCE_EXHAUSTED")),
    (529, said("overloaded_error")),
    (503, "<h1>503 Service Temporarily Unavailable</h1>"),
    (200, said("No worker is free")),
    (429, said("Too many tokens, please wait before trying again.")),
    (400, said("The engine is overloaded, try again later")),
]
KINDS: dict[str, list[tuple[int, Any]]] = {"credit": CREDIT, "long": LONG, "filtered": FILTERED, "busy": BUSY}


@pytest.mark.parametrize(
    ("kind", "status", "body"), [(kind, *case) for kind, cases in KINDS.items() for case in cases]
)
def test_one_meaning_in_many_words(kind: str, status: int, body: object) -> None:
    """Credit, length, filters and passing trouble are told apart by whatever says so."""
    assert meaning(refusal_of(status, body, {})) == kind


@pytest.mark.parametrize("status", [501, 404, 500])
def test_what_a_server_does_not_have_is_not_waited_for(status: int) -> None:
    """No embeddings here: said with 501, 404, or a 500 in words."""
    refused = refusal_of(status, said("This server does not support embeddings"), {})
    assert meaning(refused) == "absent"


def test_what_is_repeated_of_the_request_is_not_read() -> None:
    """A transcript that speaks of credit or filters, quoted in a refusal, refuses nothing."""
    quoted = {"detail": [{"msg": "Field required", "input": "insufficient balance, content filter"}]}
    assert meaning(refusal_of(422, quoted, {})) == "other"


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (said("no", "unsupported_parameter", param="seed"), ["seed"]),
        (
            {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "not permitted"}]},
            ["seed"],
        ),
        (said("Unsupported parameter: 'temperature' is not supported with this model"), ["temperature"]),
        (said("Unrecognized request argument supplied: seed"), ["seed"]),
        (said("seeds are sold out, only flowers"), []),
        (said("bad request"), []),
    ],
)
def test_refused_parameters_are_found_by_name(body: object, found: list[str]) -> None:
    """By a key that points at it, or as a word of the complaint."""
    assert refusal_of(400, body, {}).forbidden({"seed": 1, "temperature": 0.0}) == found


values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(st.integers(100, 599), values)
def test_any_body_is_one_of_our_errors(status: int, body: object) -> None:
    """Whatever a body holds, the server's words are one line of bounded length in an error of ours."""
    refusal = refusal_of(status, body, {})
    error = translated(refusal, "here", "m")
    assert isinstance(error, AutoAnalyzeError)
    assert "\n" not in refusal.words
    assert len(json.dumps(refusal.words)) < 6_000
