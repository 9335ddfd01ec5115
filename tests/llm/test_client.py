"""The client against endpoints that answer, refuse, or lack what was asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from served import KEY, Served, completion, refusal
from starlette.responses import JSONResponse, Response

from autoanalyze.config import RetryConfig
from autoanalyze.errors import (
    AutoAnalyzeError,
    BudgetExceededError,
    FatalEndpointError,
    JournalError,
    QuotaExceededError,
    RequestRefusedError,
    RequestTooLongError,
    TransientEndpointError,
)
from autoanalyze.llm.limits import Budget
from autoanalyze.records import Usage

Virtually = Callable[[Any], Any]


def test_request_has_schema_seed_and_limit(tmp_path: Path, virtually: Virtually) -> None:
    """A strict schema, the seed, the temperature and an output limit go out."""
    served = Served(tmp_path, lambda _body: JSONResponse(completion('{"sessions": []}')))
    virtually(served.ask())
    (body,) = served.bodies
    form = body["response_format"]
    assert form["type"] == "json_schema"
    assert form["json_schema"]["strict"] is True
    item = form["json_schema"]["schema"]["properties"]["sessions"]["items"]
    transferred, contained = item["anyOf"]
    assert transferred["required"] == ["k", "s", "f1", "f2", "n"]
    assert contained["required"] == ["k", "s", "f1", "n"]  # no reason for a transfer that was none
    assert contained["additionalProperties"] is False
    assert (body["seed"], body["temperature"], body["max_tokens"]) == (5, 0.0, 480)


def test_model_settings_shape_the_request(tmp_path: Path, virtually: Virtually) -> None:
    """A model without temperature, with another limit parameter or without schemas gets what it takes."""
    served = Served(
        tmp_path,
        lambda _body: JSONResponse(completion("[]")),
        temperature=None,
        output_parameter="max_completion_tokens",
        reply_format="text",
    )
    virtually(served.ask())
    (body,) = served.bodies
    assert "temperature" not in body
    assert "response_format" not in body
    assert "max_tokens" not in body
    assert body["max_completion_tokens"] == 480


def test_answer_is_journalled_before_it_is_used(tmp_path: Path, virtually: Virtually) -> None:
    """Raw reply, usage and finish reason are on disk, whatever the reply is worth."""
    usage = {
        "prompt_tokens": 50,
        "completion_tokens": 7,
        "total_tokens": 57,
        "prompt_tokens_details": {"cached_tokens": 40},
    }
    served = Served(tmp_path, lambda _body: JSONResponse(completion("not json", usage=usage)))
    reply = virtually(served.ask())
    assert reply.rows == ()
    assert "not JSON" in reply.error
    sent, answered = served.events()
    assert (sent["event"], sent["session_ids"]) == ("sent", ["id-1", "id-2"])
    assert answered["reply"] == "not json"
    assert answered["usage"] == {"prompt": 50, "cached": 40, "completion": 7, "embedded": 0}
    assert reply.usage == Usage(50, 40, 7)


@pytest.mark.parametrize("body", [completion(None), completion("", usage=None)])
def test_empty_answers_are_replies_without_rows(tmp_path: Path, virtually: Virtually, body: Any) -> None:
    """No content and no usage is nothing to crash on."""
    reply = virtually(Served(tmp_path, lambda _body: JSONResponse(body)).ask())
    assert reply.rows == ()
    assert reply.error is not None


@pytest.mark.parametrize(
    ("status", "code", "kind", "remedy"),
    [
        (429, "rate_limit_exceeded", TransientEndpointError, "429"),
        (500, "x", TransientEndpointError, "500"),
        (503, "x", TransientEndpointError, "503"),
        (408, "x", TransientEndpointError, "408"),
        (429, "insufficient_quota", QuotaExceededError, "no credit"),
        (409, "x", TransientEndpointError, "409"),
        (400, "context_length_exceeded", RequestTooLongError, "400"),
        (400, "content_filter", RequestRefusedError, "400"),
        (403, "x", FatalEndpointError, "OPENAI_API_KEY"),
        (401, "invalid_api_key", FatalEndpointError, "OPENAI_API_KEY"),
        (404, "model_not_found", FatalEndpointError, "serve the model test-model"),
        (400, "x", FatalEndpointError, "400"),
    ],
)
def test_refusals_are_told_apart(
    tmp_path: Path, virtually: Virtually, status: int, code: str, kind: type[AutoAnalyzeError], remedy: str
) -> None:
    """What may pass is transient, what cannot is fatal with its remedy; one attempt, one journal entry."""
    served = Served(tmp_path, lambda _body: refusal(status, code), reply_format="text")
    with pytest.raises(kind, match=remedy):
        virtually(served.ask())
    assert [event["event"] for event in served.events()] == ["sent", "failed"]
    assert len(served.bodies) == 1


def test_unreachable_endpoint_is_transient(tmp_path: Path, virtually: Virtually) -> None:
    """A connection that breaks may work later, and the message asks whether anything is running there."""

    def broken(_body: Any) -> Response:
        raise httpx2.ConnectError("no route")

    with pytest.raises(TransientEndpointError, match="running and reachable"):
        virtually(Served(tmp_path, broken).ask())


def test_endpoint_without_schemas_gets_looser_formats(tmp_path: Path, virtually: Virtually) -> None:
    """A refused response_format is asked for more loosely from then on, down to plain text."""

    def picky(body: dict[str, Any]) -> Response:
        if "response_format" in body:
            return refusal(400, message="response_format is not supported")
        return JSONResponse(completion('{"sessions": []}'))

    served = Served(tmp_path, picky)
    assert virtually(served.ask()).error is None
    formats = [body.get("response_format", {}).get("type") for body in served.bodies]
    assert formats == ["json_schema", "json_schema", "json_object", None]


def test_cancelled_call_is_journalled(tmp_path: Path, virtually: Virtually) -> None:
    """A call that is cancelled in flight has failed, and the journal says why."""

    async def slow(_body: Any) -> Response:
        await asyncio.sleep(100)
        return Response()

    served = Served(tmp_path, slow)

    async def impatient() -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(served.ask(), 5)

    virtually(impatient())
    assert served.events()[-1]["error"] == "cancelled"


def test_key_appears_nowhere(tmp_path: Path, virtually: Virtually) -> None:
    """Neither journal nor errors nor representations hold the key."""
    served = Served(tmp_path, lambda _body: refusal(401))
    with pytest.raises(FatalEndpointError) as caught:
        virtually(served.ask())
    shown = [str(caught.value), repr(caught.value), repr(served.endpoint), served.path.read_text()]
    assert not [text for text in shown if KEY in text]


def flaky(failures: int, answer: Response) -> Callable[[dict[str, Any]], Response]:
    """An endpoint that fails so many times before it works."""
    left = [answer] * failures

    def chat(_body: dict[str, Any]) -> Response:
        return left.pop() if left else JSONResponse(completion('{"sessions": []}'))

    return chat


def timed(served: Served, virtually: Virtually) -> float:
    """Virtual seconds of an answer."""

    async def go() -> float:
        await served.ask()
        return asyncio.get_running_loop().time()

    seconds = virtually(go())
    assert isinstance(seconds, float)
    return seconds


def test_what_may_pass_is_tried_again_with_growing_waits(tmp_path: Path, virtually: Virtually) -> None:
    """Three failures and then an answer: waits of 1, 2 and 4 seconds, less up to half of jitter."""
    served = Served(tmp_path, flaky(3, refusal(500)))
    served.retry = RetryConfig()
    assert 3.5 <= timed(served, virtually) <= 7
    assert [e["event"] for e in served.events()] == ["sent", "failed"] * 3 + ["sent", "answered"]


@pytest.mark.parametrize("headers", [{"retry-after": "20"}, {"retry-after-ms": "20000"}])
def test_asked_waits_are_honoured(tmp_path: Path, virtually: Virtually, headers: dict[str, str]) -> None:
    """Retry-After and Retry-After-ms are waited for, and a little longer so that streams spread."""
    busy = JSONResponse({"error": {"message": "busy", "code": "x"}}, status_code=429, headers=headers)
    served = Served(tmp_path, flaky(1, busy))
    served.retry = RetryConfig()
    assert 20 <= timed(served, virtually) <= 22


def test_attempts_are_bounded_in_number_and_time(tmp_path: Path, virtually: Virtually) -> None:
    """After so many attempts, or when the next wait would take too long, the error comes through."""
    by_number = Served(tmp_path, lambda _body: refusal(503))
    by_number.retry = RetryConfig(call_attempts=3)
    with pytest.raises(TransientEndpointError):
        virtually(by_number.ask())
    assert len(by_number.bodies) == 3
    (tmp_path / "time").mkdir()
    by_time = Served(tmp_path / "time", lambda _body: refusal(503))
    by_time.retry = RetryConfig(call_attempts=100, call_seconds=10)
    with pytest.raises(TransientEndpointError):
        virtually(by_time.ask())
    assert 3 <= len(by_time.bodies) <= 8


def test_answered_call_is_never_sent_again(tmp_path: Path, virtually: Virtually) -> None:
    """The same request comes from the journal, in this run and after a restart; a failure does not."""
    served = Served(tmp_path, flaky(1, refusal(500)))
    virtually(served.ask(times=3))
    assert len(served.bodies) == 2
    assert virtually(served.ask()).error is None
    assert len(served.bodies) == 2


def test_replay_contacts_nobody(tmp_path: Path, virtually: Virtually) -> None:
    """In a replay a recorded call is answered, and any other is an error."""
    served = Served(tmp_path, lambda _body: JSONResponse(completion('{"sessions": []}')))
    served.replay = True
    with pytest.raises(JournalError, match="no journal holds"):
        virtually(served.ask())
    served.replay = False
    virtually(served.ask())
    served.replay = True
    assert virtually(served.ask()).error is None
    assert len(served.bodies) == 1


def test_call_that_does_not_fit_into_the_budget_is_not_sent(tmp_path: Path, virtually: Virtually) -> None:
    """The upper bound of a call is reserved first; what does not fit never leaves."""
    served = Served(tmp_path, lambda _body: JSONResponse(completion('{"sessions": []}')))
    served.budget = Budget(0.001)
    with pytest.raises(BudgetExceededError, match="resume"):
        virtually(served.ask())
    assert served.bodies == []
    assert not served.path.read_text()


def test_time_out_may_have_cost_its_reservation(tmp_path: Path, virtually: Virtually) -> None:
    """Nobody knows whether a call without an answer is billed: the budget takes it as spent."""

    async def hang(_body: Any) -> Response:
        await asyncio.sleep(1e6)
        return Response()

    served = Served(tmp_path, hang)
    with pytest.raises(TransientEndpointError, match="timeout_seconds"):
        virtually(served.ask())
    sent, failed = served.events()
    assert failed["uncertain_usd"] == sent["reserved_usd"] > 0
    assert served.budget.spent_usd == pytest.approx(sent["reserved_usd"])
    assert served.budget.reserved_usd == pytest.approx(0)


@pytest.mark.parametrize("body", ["<html>gateway</html>", "{", "[]", '"text"', "{}"])
def test_answers_that_are_no_completion_are_tried_again(
    tmp_path: Path, virtually: Virtually, body: str
) -> None:
    """A proxy's page or half an answer is a passing fault, not a crash."""
    served = Served(tmp_path, flaky(1, Response(body, media_type="application/json")))
    served.retry = RetryConfig()
    assert virtually(served.ask()).error is None
    assert len(served.bodies) == 2
