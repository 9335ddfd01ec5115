"""The way to an endpoint that one run has."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fakes import MODEL
from scripted_endpoint import ScriptedEndpoint, ok

from autoanalyze.config import (
    Config,
    DataConfig,
    EmbeddingsConfig,
    FieldConfig,
    JournalConfig,
    LimitsConfig,
    ParallelConfig,
    RateLimit,
    ResolutionConfig,
    RetryConfig,
    SchemaConfig,
)
from autoanalyze.errors import BudgetExceededError, ConfigurationError, JournalError, TransientEndpointError
from autoanalyze.llm.calls import Endpoint
from autoanalyze.llm.connection import (
    Connection,
    analysis_prompt,
    connected,
    embedding_endpoint,
    embedding_price,
    overhead_tokens,
    rate_limits,
    token_management,
)
from autoanalyze.llm.embeddings import OfflineEmbedder
from autoanalyze.llm.tokens import Estimate
from autoanalyze.records import CallContext, Reply, SessionText, Usage, VocabularySnapshot

Virtually = Callable[[Any], Any]
TIER = RateLimit(requests_per_minute=500, tokens_per_minute=200_000)


def config_of(**changes: Any) -> Config:
    """A configuration of one field, without an endpoint for embeddings."""
    return Config(
        **{
            "model": replace(MODEL, tiers={"tier1": TIER, "open": RateLimit()}),
            "data": DataConfig(source="synthetic"),
            "schema": SchemaConfig(
                [FieldConfig("general_intent", "what for."), FieldConfig("reason", "why.")]
            ),
            "embeddings": EmbeddingsConfig(source="offline"),
            "retry": RetryConfig(call_attempts=1),
            **changes,
        }
    )


class Line:
    """Opens connections of one run, one after the other, to an endpoint that answers after a second."""

    def __init__(self, folder: Path, status: int = 200) -> None:
        self.path = folder / "calls.jsonl"
        self.in_flight = self.most_in_flight = 0
        self.wire = ScriptedEndpoint(self._answer)
        self._status = status

    async def _answer(self, _body: object) -> httpx2.Response:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await asyncio.sleep(1)
        self.in_flight -= 1
        return ok() if self._status == 200 else httpx2.Response(self._status, json={"error": {}})

    async def open(
        self, config: Config, job: Callable[[Connection], Awaitable[Any]], planned: int | None = None
    ) -> Any:
        """What a job makes of a connection."""
        endpoint = self.wire.known_as("test")
        async with connected(
            config, endpoint, Estimate(), self.path, planned_tokens_per_minute=planned
        ) as connection:
            return await job(connection)


async def ask(connection: Connection, seed: int = 1) -> Reply:
    """One call for one session; another seed is another call."""
    sessions = [SessionText("id-1", "user: hello", 3)]
    return await connection.model.analyze_batch(sessions, VocabularySnapshot(), CallContext("x", seed=seed))


def asking(count: int) -> Callable[[Connection], Awaitable[list[Reply]]]:
    """A job that makes so many calls at once."""
    return lambda connection: asyncio.gather(*(ask(connection, seed) for seed in range(count)))


def test_connection_asks_and_keeps_the_record(tmp_path: Path, virtually: Virtually) -> None:
    """What is asked over a connection is answered, journalled and paid; then the journal is closed."""
    line = Line(tmp_path)
    kept: list[Connection] = []

    async def job(connection: Connection) -> Reply:
        kept.append(connection)
        return await ask(connection)

    assert virtually(line.open(config_of(), job)).usage == Usage(50, 0, 7)
    (connection,) = kept
    assert connection.journal.account().paid_calls == 1
    assert connection.journal.spent_usd == pytest.approx((50 * 1 + 7 * 2) / 1_000_000)
    assert isinstance(connection.embedder, OfflineEmbedder)
    with pytest.raises(ValueError, match="closed"):
        connection.journal.finished(1)


def test_connections_close_after_a_failure_too(tmp_path: Path, virtually: Virtually) -> None:
    """An error inside comes through, and the journal that it leaves can be opened and gone on with."""
    failing = Line(tmp_path, status=503)
    with pytest.raises(TransientEndpointError, match="503"):
        virtually(failing.open(config_of(), ask))
    working = Line(tmp_path)
    assert virtually(working.open(config_of(), ask)).error is None
    events = [json.loads(text)["event"] for text in working.path.read_text().splitlines()]
    assert events == ["sent", "failed", "sent", "answered"]


def test_second_connection_makes_no_answered_call_again(tmp_path: Path, virtually: Virtually) -> None:
    """A resumed run finds its own answers, whatever limits it now keeps to."""
    line = Line(tmp_path)
    virtually(line.open(config_of(), asking(3)))
    changed = config_of(limits=LimitsConfig(tier="tier1", timeout_seconds=5))
    virtually(line.open(changed, asking(4), planned=None))
    assert len(line.wire.bodies) == 4


def test_budget_counts_what_earlier_connections_spent(tmp_path: Path, virtually: Virtually) -> None:
    """A resumed run has only the rest of its budget; what was lost with an outcome unknown is gone too."""
    line = Line(tmp_path)
    virtually(line.open(config_of(), ask))
    lines = line.path.read_text().splitlines(keepends=True)
    reserved = json.loads(lines[0])["reserved_usd"]
    cost = json.loads(lines[1])["cost_usd"]

    async def another(connection: Connection) -> Reply:
        return await ask(connection, 2)

    with pytest.raises(BudgetExceededError):
        virtually(line.open(config_of(budget_usd=reserved + cost * 0.9), another))
    line.path.write_text(lines[0])  # as if the first call had never come back
    with pytest.raises(BudgetExceededError):
        virtually(line.open(config_of(budget_usd=reserved * 1.9), another))
    assert virtually(line.open(config_of(budget_usd=reserved * 2.1), another)).error is None


def test_replays_live_on_the_journals_of_other_runs(tmp_path: Path, virtually: Virtually) -> None:
    """Answers come from the folders that are named, and in a replay from nowhere else."""
    for name in ("recorded", "new"):
        (tmp_path / name).mkdir()
    virtually(Line(tmp_path / "recorded").open(config_of(), ask))
    line = Line(tmp_path / "new")
    replay = config_of(journal=JournalConfig("replay", [str(tmp_path / "recorded")]))
    assert virtually(line.open(replay, ask)).usage == Usage(50, 0, 7)
    with pytest.raises(JournalError, match="no journal holds"):
        virtually(line.open(replay, lambda connection: ask(connection, 2)))
    assert line.wire.bodies == []
    with pytest.raises(JournalError, match="cannot be read"):
        virtually(line.open(config_of(journal=JournalConfig("record", [str(tmp_path / "nowhere")])), ask))


@pytest.mark.parametrize(("streams", "together"), [(1, 16), (8, 16), (20, 20)])
def test_calls_in_flight_are_as_many_as_streams_or_the_judge_needs(
    tmp_path: Path, virtually: Virtually, streams: int, together: int
) -> None:
    """Each stream may have a call under way, and a few streams leave room for the judge's questions."""
    line = Line(tmp_path)
    virtually(line.open(config_of(parallel=ParallelConfig(streams=streams)), asking(25)))
    assert line.most_in_flight == together


def test_damaged_journals_open_no_connection(tmp_path: Path, virtually: Virtually) -> None:
    """Nothing is asked for on top of a record that cannot be trusted."""
    line = Line(tmp_path)
    line.path.write_text("not a line\n")
    with pytest.raises(JournalError, match="damaged"):
        virtually(line.open(config_of(), ask))
    assert line.wire.bodies == []


def test_unknown_prices_leave_no_journal_behind(tmp_path: Path, virtually: Virtually) -> None:
    """A run that cannot be priced never begins."""
    line = Line(tmp_path)
    with pytest.raises(ConfigurationError, match="price_cached"):
        virtually(line.open(config_of(model=replace(MODEL, price_cached=None)), ask))
    assert not line.path.exists()


def test_calls_are_packed_as_planned_and_paced_as_of_now(tmp_path: Path, virtually: Virtually) -> None:
    """The tokens per minute of the beginning shape the calls, those of the configuration hold them back."""
    line = Line(tmp_path)
    config = config_of(limits=LimitsConfig(requests_per_minute=2), parallel=ParallelConfig(streams=4))

    async def job(connection: Connection) -> tuple[int, float]:
        await asking(3)(connection)
        return connection.tokens.prompt_allowance(1, 0), asyncio.get_running_loop().time()

    allowance, seconds = virtually(line.open(config, job, planned=40_000))
    assert allowance == 40_000 // 4 - overhead_tokens(config, Estimate())
    assert seconds == pytest.approx((3 - 2 * 0.97) / (2 * 0.97) * 60 + 1, rel=0.01)
    (tmp_path / "free").mkdir()
    free, soon = virtually(Line(tmp_path / "free").open(config_of(), job))
    assert free > allowance
    assert soon < 2


# What a configuration means


@pytest.mark.parametrize(
    ("limits", "requests", "tokens"),
    [
        (LimitsConfig(), None, None),
        (LimitsConfig("tier1"), 500, 200_000),
        (LimitsConfig("tier1", requests_per_minute=7), 7, 200_000),
        (LimitsConfig("tier1", tokens_per_minute=7), 500, 7),
        (LimitsConfig(None, 3, 4), 3, 4),
        (LimitsConfig("open", tokens_per_minute=4), None, 4),
    ],
)
def test_given_limits_go_before_those_of_the_tier(
    limits: LimitsConfig, requests: int | None, tokens: int | None
) -> None:
    """Each limit that is given replaces its own, and no limit is one that nobody set."""
    assert rate_limits(config_of(limits=limits)) == RateLimit(requests, tokens)


@pytest.mark.parametrize(
    ("source", "mode", "price", "paid"),
    [
        ("endpoint", "judged", 0.5, 0.5),
        ("endpoint", "embeddings", 0.5, 0.5),
        ("endpoint", "judged", 0.0, 0.0),
        ("endpoint", "llm", 0.5, 0.0),
        ("endpoint", "none", None, 0.0),
        ("offline", "judged", None, 0.0),
    ],
)
def test_embeddings_cost_where_an_endpoint_is_asked(
    source: str, mode: str, price: float | None, paid: float
) -> None:
    """Their price counts only if phase 3 has the endpoint embed, and is not needed otherwise."""
    config = config_of(
        embeddings=EmbeddingsConfig(source=source, price=price), resolution=ResolutionConfig(mode=mode)
    )
    cost = token_management(config, Estimate(), None).calculate_cost_estimate(Usage(embedded=1_000_000))
    assert cost == paid


def test_unknown_price_of_embeddings_is_no_price_of_nothing() -> None:
    """Where an endpoint is asked, the missing key is named."""
    config = config_of(embeddings=EmbeddingsConfig(price=None, model="e-5"))
    with pytest.raises(ConfigurationError, match=r"embeddings\.price is not set for e-5"):
        token_management(config, Estimate(), None)


def test_tokens_are_managed_as_configured() -> None:
    """Overhead, batch size and counter are those of the run."""
    config = config_of(batch_size=3, context="Ours is a bank.")
    tokens = token_management(config, Estimate(), None)
    assert "Ours is a bank." in analysis_prompt(config).instructions
    assert tokens.overhead_tokens == overhead_tokens(config, Estimate())
    assert tokens.calculate_max_sessions_per_call(10) == 3
    assert tokens.model is config.model


def test_too_long_context_is_refused_before_anything_is_asked(tmp_path: Path, virtually: Virtually) -> None:
    """What the analyst may say has its limit, and the error names it."""
    line = Line(tmp_path)
    with pytest.raises(ConfigurationError, match="1,500"):
        virtually(line.open(config_of(context="x" * 1501), ask))
    assert not line.path.exists()


def test_key_is_shown_to_its_own_host_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint of embeddings elsewhere gets a key of its own, or none."""
    here = Endpoint("https://one.example/v1", base_url="https://one.example/v1", api_key="secret")

    def key_at(url: str | None) -> str | None:
        return embedding_endpoint(config_of(embeddings=EmbeddingsConfig(endpoint=url)), here).api_key

    assert key_at(None) == key_at("https://one.example/embed/v1") == "secret"
    assert key_at("https://two.example/v1") == "none"
    monkeypatch.setenv("EMBEDDINGS_API_KEY", "other")
    assert key_at("https://two.example/v1") == "other"


@pytest.mark.parametrize(
    ("embeddings", "expected"),
    [
        (EmbeddingsConfig(endpoint="http://localhost:11434/v1"), 0.0),
        (EmbeddingsConfig(endpoint="https://two.example/v1", price=0.02), 0.02),
        (EmbeddingsConfig(source="offline", price=0.02), 0.0),
    ],
)
def test_local_embeddings_cost_nothing(embeddings: EmbeddingsConfig, expected: float) -> None:
    """Neither do those that nobody is asked for; elsewhere the given price holds."""
    assert embedding_price(config_of(embeddings=embeddings)) == expected


def test_unknown_price_of_embeddings_is_not_nothing() -> None:
    """Elsewhere it has to be said."""
    with pytest.raises(ConfigurationError, match=r"embeddings\.price"):
        embedding_price(config_of(embeddings=EmbeddingsConfig(endpoint="https://two.example/v1")))
