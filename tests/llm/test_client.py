"""The client: how it words its requests, and what it makes of answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fakes import MODEL, SCHEMA, make_tokens
from scripted_endpoint import Script, ScriptedEndpoint, completion, ok, refusal

from autoanalyze.config import RetryConfig
from autoanalyze.llm.client import OpenAIAnalysis
from autoanalyze.llm.journal import Journal
from autoanalyze.llm.limits import Budget, RateLimiter
from autoanalyze.llm.prompts import AnalysisPrompt
from autoanalyze.llm.sending import Sender
from autoanalyze.records import CallContext, Reply, SessionText, VocabularySnapshot

Virtually = Callable[[Any], Any]
SESSIONS = [SessionText("id-1", "user: hello", 3), SessionText("id-2", "user: bye", 3)]


class Served:
    """A client whose endpoint answers by a script."""

    def __init__(self, folder: Path, script: Script, **model: Any) -> None:
        self.path = folder / "calls.jsonl"
        self.wire = ScriptedEndpoint(script)
        self.model = replace(MODEL, **model)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """What the endpoint was sent."""
        return self.wire.bodies

    async def ask(self, *seeds: int) -> Reply:
        """Ask once per seed and give the last answer."""
        with Journal(self.path) as journal:
            tokens = make_tokens()
            sender = Sender(
                self.wire.known_as("test"),
                tokens=tokens,
                journal=journal,
                limiter=RateLimiter(requests_per_minute=None, tokens_per_minute=None, concurrency=4),
                budget=Budget(None),
                retry=RetryConfig(call_attempts=1),
            )
            client = OpenAIAnalysis(sender, model=self.model, prompt=AnalysisPrompt(SCHEMA), tokens=tokens)
            try:
                for seed in seeds or (5,):
                    context = CallContext("parallel", seed=seed)
                    reply = await client.analyze_batch(SESSIONS, VocabularySnapshot(), context)
                return reply
            finally:
                await sender.close()


def test_request_has_schema_seed_and_limit(tmp_path: Path, virtually: Virtually) -> None:
    """A strict schema, the seed, the temperature and an output limit go out."""
    served = Served(tmp_path, lambda _body: ok())
    virtually(served.ask())
    (body,) = served.bodies
    form = body["response_format"]
    assert form["type"] == "json_schema"
    assert form["json_schema"]["strict"] is True
    item = form["json_schema"]["schema"]["properties"]["sessions"]["items"]
    transferred, contained = item["anyOf"]
    assert transferred["required"] == ["T", "f1", "f2", "n"]
    assert contained["required"] == ["C", "f1", "n"]  # no reason for a transfer that was none
    assert contained["additionalProperties"] is False
    assert (body["seed"], body["temperature"], body["max_tokens"]) == (5, 0.0, 480)


def test_model_settings_shape_the_request(tmp_path: Path, virtually: Virtually) -> None:
    """A model without temperature, with another limit parameter or without schemas gets what it takes."""
    served = Served(
        tmp_path,
        lambda _body: ok("[]"),
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


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (completion("not json"), "not JSON"),
        (completion(None), "empty"),
        (completion("", usage=None), "empty"),
        (completion("{}"), "no list of sessions"),
    ],
)
def test_unusable_answers_are_replies_without_rows(
    tmp_path: Path, virtually: Virtually, body: Any, complaint: str
) -> None:
    """No content, no usage or no JSON is nothing to crash on, and what is wrong is said."""
    reply = virtually(Served(tmp_path, lambda _body: httpx2.Response(200, json=body)).ask())
    assert reply.rows == ()
    assert complaint in reply.error


def test_refused_reply_formats_are_remembered(tmp_path: Path, virtually: Virtually) -> None:
    """A refused response_format is asked for more loosely from then on, down to plain text."""

    def picky(body: dict[str, Any]) -> httpx2.Response:
        known = "response_format" not in body
        return ok() if known else refusal(400, message="response_format is not supported")

    served = Served(tmp_path, picky)
    assert virtually(served.ask(1, 2)).error is None
    formats = [body.get("response_format", {}).get("type") for body in served.bodies]
    assert formats == ["json_schema", "json_schema", "json_object", None, None]
