"""How an endpoint wants to be asked, learnt from what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from served import KEY, Served, completion, refusal
from starlette.responses import JSONResponse, Response

from autoanalyze.config import RequestConfig, RetryConfig
from autoanalyze.errors import FatalEndpointError

Virtually = Callable[[Any], Any]
GOOD = JSONResponse(completion('{"sessions": []}'))


def without(name: str, status: int = 400) -> Callable[[dict[str, Any]], Response]:
    """An endpoint that takes everything but one parameter."""
    return lambda body: refusal(status, message=f"Unknown parameter: '{name}'") if name in body else GOOD


@pytest.mark.parametrize("name", ["seed", "temperature", "reasoning_effort", "service_tier", "top_k"])
@pytest.mark.parametrize("status", [400, 422, 500])
def test_a_refused_parameter_is_left_out_once_and_said(
    tmp_path: Path, virtually: Virtually, name: str, status: int
) -> None:
    """Asked without it from then on, whatever the status; the user is told."""
    served = Served(tmp_path, without(name, status))
    served.request = RequestConfig(effort="none", service_tier="flex", body={"top_k": 1})
    assert virtually(served.ask()).error is None
    assert [name in body for body in served.bodies] == [True, False]
    assert len(served.notices) == 1
    assert name in served.notices[0]


def test_the_output_limit_goes_by_the_name_that_is_known(tmp_path: Path, virtually: Virtually) -> None:
    """Refused as max_tokens, it is sent as max_completion_tokens, and left out if that is refused too."""
    served = Served(tmp_path, without("max_tokens"))
    virtually(served.ask())
    assert served.bodies[-1]["max_completion_tokens"] == served.bodies[0]["max_tokens"]

    def neither(body: dict[str, Any]) -> Response:
        name = next((name for name in body if name.startswith("max_")), None)
        return refusal(400, message=f"{name} is not supported") if name else GOOD

    (tmp_path / "neither").mkdir()
    served = Served(tmp_path / "neither", neither)
    assert virtually(served.ask()).error is None
    assert len(served.bodies) == 3


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "bad request"),
        (422, "grammar cannot be compiled"),
        (500, "json_schema: no"),
        (501, "x"),
        (405, "y"),
    ],
)
def test_a_refused_form_is_loosened_whatever_the_words(
    tmp_path: Path, virtually: Virtually, status: int, words: str
) -> None:
    """The same question without a schema, at once."""

    def no_schema(body: dict[str, Any]) -> Response:
        form = body.get("response_format", {}).get("type")
        return refusal(status, message=words) if form == "json_schema" else GOOD

    served = Served(tmp_path, no_schema)
    assert virtually(served.ask(times=2)).error is None
    assert served.bodies[-1]["response_format"] == {"type": "json_object"}


def test_a_server_that_breaks_over_a_schema_without_a_word(tmp_path: Path, virtually: Virtually) -> None:
    """After two failures the next attempt is looser; a form that worked is not blamed for a failure."""
    broken = Served(tmp_path, lambda body: refusal(500) if "response_format" in body else GOOD)
    broken.retry = RetryConfig()
    assert virtually(broken.ask()).error is None
    assert len(broken.bodies) == 7


@pytest.mark.parametrize(("price", "rows"), [(0.0, (2, 2)), (1.0, (1, 20))])
def test_bounds_say_how_many_rows_and_which_keys(
    tmp_path: Path, virtually: Virtually, price: float, rows: tuple[int, int]
) -> None:
    """The strictest form is bounded by the question where prompts cost nothing, else by the run, so that all
    its calls begin alike; the answer is known by the question alone."""
    served = Served(tmp_path, lambda _body: GOOD, price_prompt=price)
    virtually(served.ask())
    whole = served.bodies[0]["response_format"]["json_schema"]["schema"]
    schema = whole["properties"]["sessions"]
    assert (schema["minItems"], schema["maxItems"]) == rows
    row = schema["items"]["anyOf"][0]["properties"]
    keys = row["T"].get("enum") or whole["$defs"]["d1"]["enum"]
    assert keys == [f"s{number}" for number in range(1, rows[1] + 1)]
    assert row["f1"]["maxLength"] == 60


def test_what_only_schedules_is_no_other_question(tmp_path: Path, virtually: Virtually) -> None:
    """Service tier, headers and a seed that is not sent leave an answer known; effort and body do not."""
    served = Served(tmp_path, lambda _body: GOOD)
    virtually(served.ask())
    served.request = RequestConfig(service_tier="flex", headers={"x": "y"}, seed=False)
    virtually(served.ask())
    assert len(served.bodies) == 1
    served.request = RequestConfig(effort="low")
    virtually(served.ask())
    assert served.bodies[-1]["reasoning_effort"] == "low"
    assert len(served.bodies) == 2


def test_headers_take_the_key_from_outside(tmp_path: Path, virtually: Virtually) -> None:
    """A gateway's own header is sent, with the key in place of {key}."""
    served = Served(tmp_path, lambda _body: GOOD)
    served.request = RequestConfig(headers={"api-key": "{key}"}, query={"api-version": "1"})
    virtually(served.ask())
    assert served.headers[0]["api-key"] == KEY
    assert "api-version" not in served.bodies[0]


def test_a_question_asked_again_says_why_and_is_warmer(tmp_path: Path, virtually: Virtually) -> None:
    """What was wrong stands in the message, and the temperature rises where there is one."""
    served = Served(tmp_path, lambda _body: GOOD)
    virtually(served.ask())
    served.context = replace(served.context, attempt=1, problem="general_intent is not a label: 7")
    virtually(served.ask())
    first, again = served.bodies
    assert (first["temperature"], again["temperature"]) == (0.0, 0.7)
    assert json.dumps("general_intent is not a label: 7") in again["messages"][1]["content"]
    assert (
        again["messages"][1]["content"].split("SESSIONS")[1]
        == first["messages"][1]["content"].split("SESSIONS")[1]
    )


def test_cut_off_replies_get_more_room(tmp_path: Path, virtually: Virtually) -> None:
    """A reply that hit the limit teaches a larger one, up to the model's own, and its remedy is told."""
    cut = completion(None)
    cut["choices"][0]["finish_reason"] = "length"
    served = Served(tmp_path, lambda _body: JSONResponse(cut))
    reply = virtually(served.ask(times=3))
    assert [body["max_tokens"] for body in served.bodies] == [480, 960, 1920]
    assert "request.effort=none" in reply.error


def test_an_endpoint_that_refuses_everything_is_an_error(tmp_path: Path, virtually: Virtually) -> None:
    """Every way is tried once, and the server's own words come through."""
    served = Served(tmp_path, lambda _body: refusal(400, message="not today"))
    with pytest.raises(FatalEndpointError, match="not today"):
        virtually(served.ask())
    assert len(served.bodies) == 4
