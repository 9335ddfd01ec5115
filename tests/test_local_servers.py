"""Servers on the user's own machine: llama.cpp, Ollama and vLLM, each with the habits it is known for."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from autoanalyze.cli.commands import main
from autoanalyze.study.runs import load_run

pytestmark = pytest.mark.slow  # whole runs and commands

MODEL = "qwen3-8b"
SMALL = ("data.count=12", "parallel.streams=2", "token_counter=estimate", "resolution=none")
Habit = Callable[[dict[str, Any]], Response | None]


class LocalServer:
    """Answers every session alike; `habit` may answer a request in the server's own way first."""

    def __init__(self, models: Response | None, habit: Habit = lambda _body: None) -> None:
        self._models = models
        self._habit = habit
        self.asked: list[dict[str, Any]] = []
        self.keys: set[str] = set()

    async def models(self, request: Request) -> Response:
        self.keys.add(request.headers["authorization"])
        return self._models or PlainTextResponse("404 page not found", 404)

    async def chat(self, request: Request) -> Response:
        body = json.loads(await request.body())
        self.asked.append(body)
        return self._habit(body) or completion(labels(body))

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/models", self.models),
                Route("/v1/chat/completions", self.chat, methods=["POST"]),
            ]
        )


def labels(body: dict[str, Any]) -> str:
    """A label for every session that is asked about."""
    keys = dict.fromkeys(re.findall(r'"(s\d+)"', body["messages"][-1]["content"]))
    facts = {"session_outcome": "Contained", "general_intent": "Card Lost", "transfer_reason": None}
    rows = [{"key": key, **facts, "drop_off_location": None, "notes": "n"} for key in keys]
    return json.dumps({"sessions": rows})


def completion(text: str, **more: Any) -> JSONResponse:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
    answer = {"id": "c", "object": "chat.completion", "created": 1, "model": MODEL}
    return JSONResponse({**answer, "choices": [choice], "usage": usage, **more})


def listed(*ids: str, **more: Any) -> JSONResponse:
    return JSONResponse({"object": "list", "data": [{"id": one, "object": "model", **more} for one in ids]})


@contextmanager
def served(server: LocalServer) -> Iterator[str]:
    """The server on a free port of this machine, for as long as the context lasts."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        uvicorning = uvicorn.Server(uvicorn.Config(server.app, log_level="error", lifespan="off"))
        thread = threading.Thread(target=uvicorning.run, args=([listening],), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        finally:
            uvicorning.should_exit = True
            thread.join()


def autoanalyze(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["autoanalyze", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def llama_cpp() -> LocalServer:
    """Lists the path of its file and takes any name, and adds its own timings."""
    return LocalServer(
        listed("/models/qwen3-8b-q4.gguf", owned_by="llamacpp"),
        lambda body: completion(labels(body), timings={"predicted_per_second": 40.0}),
    )


def ollama() -> LocalServer:
    """Lists names with a tag, and calls a model that it lacks an error of its own."""

    def habit(body: dict[str, Any]) -> Response | None:
        if body["model"] == MODEL:
            return None
        error = {"message": f'model "{body["model"]}" not found, try pulling it first', "type": "api_error"}
        return JSONResponse({"error": error}, 404)

    return LocalServer(listed(f"{MODEL}:latest", owned_by="library"), habit)


def vllm() -> LocalServer:
    """Lists names as they were given at its start, and has no code for a model that it lacks."""

    def habit(body: dict[str, Any]) -> Response | None:
        if body["model"] == MODEL:
            return None
        message = f"The model `{body['model']}` does not exist."
        error = {"message": message, "type": "NotFoundError", "param": "model", "code": 404}
        return JSONResponse({"error": error}, 404)

    return LocalServer(listed(MODEL, owned_by="vllm", max_model_len=32768), habit)


@pytest.mark.parametrize("habits", [llama_cpp, ollama, vllm])
def test_local_server_labels_for_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, habits: Callable[[], LocalServer]
) -> None:
    """A name and an address are all that a local model takes: no key, no price, no question before it."""
    server, folder = habits(), tmp_path / "run"
    with served(server) as url:
        settings = ["model=generic", f"model.name={MODEL}", f"endpoint={url}", f"hydra.run.dir={folder}"]
        assert autoanalyze(monkeypatch, "run", *settings, *SMALL) == 0
    run = load_run(folder)
    assert run.record["sessions"]["labelled"] == 12
    assert run.record["cost_usd"] == 0
    assert server.keys == {"Bearer none"}


@pytest.mark.parametrize("habits", [ollama, vllm])
def test_local_server_says_which_models_it_has(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    habits: Callable[[], LocalServer],
) -> None:
    """A wrong name costs one word, and the message names those that there are."""
    server, folder = habits(), tmp_path / "run"
    with served(server) as url:
        settings = ["model=generic", "model.name=qwen9", f"endpoint={url}", f"hydra.run.dir={folder}"]
        assert autoanalyze(monkeypatch, "run", *settings, *SMALL) == 2
    told = capsys.readouterr().err
    assert "does not serve the model qwen9" in told
    assert MODEL in told
    assert len(server.asked) == 1
    assert not (folder / "run.json").exists()
