"""The truth about a connection within seconds, before a run begins and before anything is paid."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import httpx2

from autoanalyze.analysis.catalogue import ending
from autoanalyze.config import Config, ModelConfig
from autoanalyze.errors import ConfigurationError, UnreachableEndpointError
from autoanalyze.llm.calls import Endpoint

LIST_SECONDS, ASK_SECONDS, LONGEST_SECONDS = 5.0, 2.5, 8.0
"""For the list of models, for a word with the model, and for both, looking up the name included."""

FEWEST_TOKENS = 16
"""What a model may answer that is asked for a sign of life; some servers refuse less."""

NO_SUCH_ROUTE = frozenset({404, 405, 501})
NO_SUCH_MODEL = re.compile(
    r"model.*(not.{0,5}(found|exist|support|avail)|unknown|invalid)|(no such|unknown) model"
)
SHOWN_MODELS = 8


def check_connection(config: Config, endpoint: Endpoint) -> list[str]:
    """Warnings about a live endpoint that can be used: the day on which its model ends.

    One look at the list of models, which costs nothing. Only where that does not settle it, the model is
    asked for a word: a wrong key or name is then refused, which costs nothing either. Nothing is tried twice.
    Raises UnreachableEndpointError, or ConfigurationError for a key or a model that the endpoint refuses.
    """
    outcome: list[list[str] | Exception] = []

    def look() -> None:
        try:
            outcome.append(Inquiry(config, endpoint).warnings())
        except (ConfigurationError, httpx2.HTTPError, httpx2.InvalidURL) as error:
            outcome.append(error)

    # In a thread, since a name that cannot be looked up knows no time-out.
    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(LONGEST_SECONDS)
    result = outcome[0] if outcome else TimeoutError(f"no answer within {LONGEST_SECONDS:g} s")
    if isinstance(result, ConfigurationError):
        raise result
    if isinstance(result, Exception):
        reason = str(result) or type(result).__name__
        raise UnreachableEndpointError(
            f"{endpoint.identity} cannot be reached ({reason}): is the server running, and are the "
            "address and the port of endpoint=... right?"
        )
    return result


@dataclass(frozen=True)
class Inquiry:
    """Questions to one endpoint about one model."""

    config: Config
    endpoint: Endpoint

    def warnings(self) -> list[str]:
        """What to know of the models, if the endpoint serves them."""
        headers, query, found = self._headers(), self._query(), []
        with httpx2.Client(headers=headers, params=query, follow_redirects=True) as client:
            answer = client.get(self._url("models"), timeout=LIST_SECONDS)
            listed = listing(answer) if answer.status_code == 200 else []
            for key, model in models_of(self.config).items():
                entry = next((one for one in listed if same_model(str(one.get("id")), model.name)), None)
                told = answer.status_code == 429 or (answer.status_code >= 500 and not no_route(answer))
                if entry is None and not told:
                    self._ask(client, key, model, [str(one.get("id")) for one in listed])
                found.append(ending(told_end(model, entry or {})))
        return [warning for warning in found if warning is not None]

    def _ask(self, client: httpx2.Client, key: str, model: ModelConfig, names: Sequence[str]) -> None:
        """Ask a model for a word. One that takes its time is there: it may have to be loaded first."""
        body = {
            "model": model.name,
            "messages": [{"role": "user", "content": "Say yes."}],
            model.output_parameter: FEWEST_TOKENS,
        }
        try:
            answer = client.post(self._url("chat/completions"), json=body, timeout=ASK_SECONDS)
        except httpx2.ReadTimeout:
            return
        status, where, said = answer.status_code, self.endpoint.identity, answer.text[:300].lower()
        if status in (401, 403):
            raise ConfigurationError(
                f"{where} refuses the key ({status}): set the environment variable OPENAI_API_KEY to one "
                "that it takes"
            )
        if model.output_parameter in said:  # there is a model that does not take it; the run asks otherwise
            return
        absent = status in (400, 404, 422) and (
            NO_SUCH_MODEL.search(said) is not None or (status == 404 and names)
        )
        if absent:
            others = f"; it has {', '.join(names[:SHOWN_MODELS])}" if names else ""
            more = f" and {len(names) - SHOWN_MODELS} more" if len(names) > SHOWN_MODELS else ""
            raise ConfigurationError(
                f"{where} does not serve the model {model.name}{others}{more}: give {key}=NAME, or "
                f"{key}=generic {key}.name=NAME"
            )
        if no_route(answer):
            raise ConfigurationError(
                f"{where} does not speak OpenAI's protocol ({status} for /chat/completions): does "
                "endpoint=... have to end in /v1?"
            )

    def _url(self, path: str) -> str:
        return f"{(self.endpoint.base_url or '').rstrip('/')}/{path}"

    def _headers(self) -> dict[str, str]:
        key, request = self.endpoint.api_key, getattr(self.config, "request", None)
        more: Mapping[str, str] = getattr(request, "headers", {})
        return {"Authorization": f"Bearer {key}", **{n: v.replace("{key}", key) for n, v in more.items()}}

    def _query(self) -> dict[str, str]:
        return dict(getattr(getattr(self.config, "request", None), "query", {}))


def models_of(config: Config) -> dict[str, ModelConfig]:
    """The models that a run asks, by the key that names each."""
    judge = getattr(getattr(config, "resolution", None), "model", None)
    return {"model": config.model, **({"resolution.model": judge} if judge else {})}


def no_route(answer: httpx2.Response) -> bool:
    """Whether a server does not know what it was asked."""
    return answer.status_code in NO_SUCH_ROUTE


def listing(answer: httpx2.Response) -> list[Mapping[str, Any]]:
    """The models that a server lists; none if it answers something else."""
    try:
        content = answer.json()
    except ValueError:
        return []
    models = content.get("data") if isinstance(content, dict) else None
    return [one for one in models if isinstance(one, dict)] if isinstance(models, list) else []


def same_model(listed: str, name: str) -> bool:
    """Whether a listed id is the model of this name: Ollama adds a tag, Gemini a folder."""
    return name in (listed, listed.removesuffix(":latest"), listed.removeprefix("models/"))


def told_end(model: ModelConfig, entry: Mapping[str, Any]) -> ModelConfig:
    """The model with the day of its end, if the server tells one: as a date, or in seconds."""
    told = entry.get("shutdown_date")
    if isinstance(told, int | float) and not isinstance(told, bool):
        told = datetime.fromtimestamp(told, UTC).date().isoformat()
    return replace(model, shutdown=told[:10]) if isinstance(told, str) and told else model
