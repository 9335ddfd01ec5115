"""A connection is looked at before a run: what is wrong is said at once, with its remedy."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from autoanalyze.analysis import preflight
from autoanalyze.analysis.build import build_analysis, check
from autoanalyze.analysis.configuration import compose
from autoanalyze.config import Config
from autoanalyze.errors import ConfigurationError, UnreachableEndpointError

pytestmark = pytest.mark.slow  # whole runs and commands

Answer = tuple[int, dict[str, Any] | str]
Serve = Callable[..., str]
GPT = "gpt-4o-mini"
WORD: Answer = (200, {"choices": [{"message": {"content": "yes"}, "finish_reason": "stop"}]})


def models(*names: str, **more: Any) -> Answer:
    return 200, {"data": [{"id": name, **more} for name in names]}


def refused(status: int, message: str) -> Answer:
    return status, {"error": {"message": message}}


@pytest.fixture
def asked() -> list[str]:
    """The requests that a server got."""
    return []


@pytest.fixture
def serve(asked: list[str]) -> Iterator[Serve]:
    """Starts a server with one answer to GET, the list of models, and one to POST; returns its address."""
    servers = []

    def start(listing: Answer, word: Answer = (500, "never asked"), *, wait: float = 0.0) -> str:
        class Handler(BaseHTTPRequestHandler):
            def answer(self, status: int, content: dict[str, Any] | str) -> None:
                asked.append(f"{self.command} {self.path}")
                self.rfile.read(int(self.headers.get("content-length", 0)))
                time.sleep(wait)
                body = (content if isinstance(content, str) else json.dumps(content)).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                self.answer(*listing)

            def do_POST(self) -> None:
                self.answer(*word)

            def log_message(self, *_arguments: Any) -> None:
                """Nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}/v1"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def live(url: str, *overrides: str) -> Config:
    small = ("data.count=20", "token_counter=estimate", f"model={GPT}")
    return compose([f"endpoint={url}", *small, *overrides])


def test_listed_model_is_known_for_nothing(serve: Serve, asked: list[str]) -> None:
    """One look at the list, and not a token is asked for; the day of the model's end is told."""
    (warning,) = check(live(serve(models("other", GPT))))
    assert "2027-01-14" in warning
    assert asked == ["GET /v1/models"]


@pytest.mark.parametrize("told", ["2999-03-04T00:00:00Z", 32477932800])
def test_server_may_tell_the_end_of_its_model(serve: Serve, told: object) -> None:
    """What the server itself says of a shutdown overrules the catalogue, be it a date or seconds."""
    (warning,) = check(live(serve(models(GPT, shutdown_date=told))))
    assert "2999-03-" in warning


@pytest.mark.parametrize("status", [404, 405, 501])
def test_server_without_a_list_passes(serve: Serve, status: int) -> None:
    """The model is asked for a word instead."""
    check(live(serve((status, "no such page"), WORD)))


def test_the_judge_has_to_be_served_too(serve: Serve, asked: list[str]) -> None:
    """One list tells of both; the remedy names the judge's key."""
    judged = "resolution.model=gpt-4.1-nano"
    check(live(serve(models(GPT, "gpt-4.1-nano")), judged))
    assert asked == ["GET /v1/models"]
    absent = serve(models(GPT), refused(404, "no"))
    with pytest.raises(ConfigurationError, match=r"model gpt-4.1-nano; .* give resolution.model=NAME"):
        check(live(absent, judged))


@pytest.mark.parametrize(("status", "name"), [(429, "busy"), (500, "broken"), (503, "starting")])
def test_trouble_of_the_moment_is_left_to_the_run(serve: Serve, status: int, name: str) -> None:
    """Who is busy now may answer later, and a run is patient."""
    check(live(serve(refused(status, name))))


@pytest.mark.parametrize(
    ("listing", "word", "message"),
    [
        (refused(401, "bad key"), refused(401, "bad key"), "OPENAI_API_KEY"),
        (refused(403, "no entry"), refused(403, "no entry"), "OPENAI_API_KEY"),
        (models("a", "b"), refused(404, "no"), f"does not serve the model {GPT}; it has a, b"),
        (models("a"), refused(400, "The model does not exist"), "model=generic model.name=NAME"),
        ((404, "nothing here"), refused(404, "nothing here"), "end in /v1"),
        ((200, "<html>a page</html>"), (405, "no"), "end in /v1"),
    ],
)
def test_what_no_retry_can_mend_is_said_with_its_remedy(
    serve: Serve, asked: list[str], listing: Answer, word: Answer, message: str
) -> None:
    """Two requests at most, and an error of the configuration."""
    with pytest.raises(ConfigurationError, match=message):
        check(live(serve(listing, word)))
    assert len(asked) <= 2


@pytest.mark.parametrize(
    "words",
    [
        "max_tokens is unknown to this model, use max_completion_tokens",
        "Unsupported parameter: 'max_tokens' is not supported with this model.",
    ],
)
def test_model_that_refuses_a_parameter_is_there(serve: Serve, words: str) -> None:
    """The run asks it without, or otherwise."""
    check(live(serve((404, "no list"), refused(400, words))))


def test_key_that_may_not_list_models_may_label(serve: Serve) -> None:
    """A restricted key is no wrong one."""
    check(live(serve(refused(403, "missing scope"), WORD)))


def test_nobody_at_the_port(tmp_path: Path) -> None:
    """Said before a folder is made."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(UnreachableEndpointError, match=r"is the server running"):
        build_analysis(live(url)).run_sync(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_server_that_never_answers_is_not_waited_for(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is that hangs, the check ends."""
    monkeypatch.setattr(preflight, "LONGEST_SECONDS", 0.1)
    with pytest.raises(UnreachableEndpointError, match="no answer within"):
        check(live(serve(models(GPT), wait=0.5)))


def test_slow_first_word_is_no_fault(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that must be loaded first is there."""
    monkeypatch.setattr(preflight, "ASK_SECONDS", 0.01)
    check(live(serve(models("path/to/model.gguf"), WORD, wait=0.1)))


def test_replay_and_simulation_contact_nobody(asked: list[str]) -> None:
    """There is nobody to contact."""
    check(compose(["data.count=20"]))
    check(live("http://127.0.0.1:9/v1", "journal.mode=replay"))
    assert asked == []
