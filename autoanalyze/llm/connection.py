"""Connection: the way to an endpoint that one run has, from how it asks to the record of the answers."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from autoanalyze.config import Config, ModelConfig, RateLimit, RequestConfig
from autoanalyze.errors import ConfigurationError
from autoanalyze.llm.calls import Endpoint
from autoanalyze.llm.client import OpenAIAnalysis
from autoanalyze.llm.embeddings import load_embedder
from autoanalyze.llm.journal import Journal
from autoanalyze.llm.limits import Budget, RateLimiter
from autoanalyze.llm.prompts import AnalysisPrompt
from autoanalyze.llm.sending import Sender
from autoanalyze.llm.tokens import TokenCounter, TokenManagement, schema_text
from autoanalyze.protocols import Embedder, Model
from autoanalyze.records import VocabularySnapshot

OPENAI_URL = "https://api.openai.com/v1"

FEWEST_CALLS_IN_FLIGHT = 16
"""The judge's questions on all fields may be more than there are streams."""


@dataclass(frozen=True, slots=True)
class Connection:
    """What the phases are given of an endpoint: how to ask and pack, who answers, and the record."""

    prompt: AnalysisPrompt
    tokens: TokenManagement
    model: Model
    judge: Model
    """Who judges labels: the same model, unless the judge has one of its own."""
    judging: TokenManagement
    """Prices of the judge's calls."""
    embedder: Embedder
    journal: Journal
    senders: tuple[Sender, ...] = ()

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know of how the endpoint was asked, and of what it does not tell."""
        return tuple(dict.fromkeys(notice for sender in self.senders for notice in sender.notices))


@asynccontextmanager
async def connected(
    config: Config,
    endpoint: Endpoint,
    counter: TokenCounter,
    journal_path: Path,
    *,
    planned_tokens_per_minute: int | None,
) -> AsyncIterator[Connection]:
    """A connection for as long as the context lasts.

    Calls are packed for `planned_tokens_per_minute`, those that the run began with, so that a resumed run
    makes the same calls and finds them in its journal; they are sent at the pace of the limits of now.
    Raises JournalError for a damaged journal, and ConfigurationError for prices that are not set.
    """
    tokens = token_management(config, counter, planned_tokens_per_minute)
    replay = config.journal.mode == "replay"
    reuse = [Path(folder) / "calls.jsonl" for folder in config.journal.reuse]
    with Journal(journal_path, reuse=reuse, follow=replay) as journal:
        budget = Budget(config.budget_usd, journal.spent_usd + journal.uncertain_usd)

        def sender_to(place: Endpoint, request: RequestConfig, own: TokenManagement) -> Sender:
            limits = rate_limits(config, own.model)
            return Sender(
                place,
                tokens=own,
                journal=journal,
                limiter=RateLimiter(
                    requests_per_minute=limits.requests_per_minute,
                    tokens_per_minute=limits.tokens_per_minute,
                    concurrency=max(config.parallel.streams, FEWEST_CALLS_IN_FLIGHT),
                ),
                budget=budget,
                retry=config.retry,
                timeout_seconds=config.limits.timeout_seconds,
                request=request,
            )

        def asked(sender: Sender, own: TokenManagement) -> OpenAIAnalysis:
            return OpenAIAnalysis(sender, model=own.model, prompt=prompt, tokens=own, request=config.request)

        prompt, judging = analysis_prompt(config), tokens
        sender = judging_sender = sender_to(endpoint, config.request, tokens)
        if config.resolution.model is not None:  # with limits, and a dialect, of its own
            judging = token_management(config, counter, None, config.resolution.model)
            judging_sender = sender_to(endpoint, config.request, judging)
        elsewhere = embedding_endpoint(config, endpoint)
        embedding = sender if elsewhere is endpoint else sender_to(elsewhere, RequestConfig(), tokens)
        senders = tuple(dict.fromkeys((sender, judging_sender, embedding)))
        model = asked(sender, tokens)
        try:
            yield Connection(
                prompt,
                tokens,
                model,
                model if judging_sender is sender else asked(judging_sender, judging),
                judging,
                load_embedder(config.embeddings, embedding, counter),
                journal,
                senders,
            )
        finally:
            for each in senders:
                await each.close()


def embedding_endpoint(config: Config, endpoint: Endpoint) -> Endpoint:
    """Where embeddings are made: at an endpoint of their own, or where labelling goes.

    The key of the run is shown to its own host only. Raises ConfigurationError for a simulated run with
    embeddings from the network, whose time is not that of the simulation.
    """
    url = config.embeddings.endpoint
    url = OPENAI_URL if url == "openai" else url
    if url is None or url == endpoint.base_url:
        return endpoint
    if endpoint.transport is not None:
        raise ConfigurationError(
            "embeddings.endpoint needs a run whose endpoint is not simulated: leave it null, or take "
            "embeddings=offline"
        )
    same_host = urlsplit(url).netloc == urlsplit(endpoint.base_url or "").netloc
    key = endpoint.api_key if same_host else os.environ.get("EMBEDDINGS_API_KEY", "none")
    return replace(endpoint, identity=url, base_url=url, api_key=key)


def is_local(url: str) -> bool:
    """Whether an endpoint is on this machine."""
    return (urlsplit(url).hostname or "") in (
        "localhost",
        "127.0.0.1",
        "::1",
        "0.0.0.0",
        "host.docker.internal",
    )


def rate_limits(config: Config, model: ModelConfig | None = None) -> RateLimit:
    """The provider limits that a run keeps to with a model, by default the one that labels: given ones before
    those of the tier. Providers have them per model."""
    limits = config.limits
    tier = (model or config.model).tiers[limits.tier] if limits.tier else RateLimit()
    return RateLimit(
        limits.requests_per_minute or tier.requests_per_minute,
        limits.tokens_per_minute or tier.tokens_per_minute,
    )


def analysis_prompt(config: Config) -> AnalysisPrompt:
    """How a configuration asks for facts. Raises ConfigurationError when its context is too long."""
    return AnalysisPrompt(config.schema.records(), config.context, config.reply)


def overhead_tokens(config: Config, counter: TokenCounter) -> int:
    """Tokens of a full labelling call besides known labels and sessions: instructions, headings, and the
    reply's schema where one is sent, which a provider bills as part of the prompt."""
    prompt, model = analysis_prompt(config), config.model
    said = [message["content"] for message in prompt.messages([], VocabularySnapshot())]
    if model.reply_format == "json_schema":
        most = config.batch_size or model.item_cap
        said.append(schema_text({"json_schema": {"schema": prompt.reply_schema(most, exact=False)}}))
    return sum(map(counter.count, said))


def token_management(
    config: Config, counter: TokenCounter, tokens_per_minute: int | None, model: ModelConfig | None = None
) -> TokenManagement:
    """Packing and pricing for a configuration, by default for the model that labels."""
    return TokenManagement(
        model or config.model,
        counter,
        overhead_tokens=overhead_tokens(config, counter),
        streams=config.parallel.streams,
        tokens_per_minute=tokens_per_minute,
        batch_size=config.batch_size,
        embedding_price=embedding_price(config),
        output_per_session=config.request.output_per_session,
    )


def embedding_price(config: Config) -> float:
    """USD per million tokens that embeddings cost in this run; nothing where none is asked, or a local one.

    Raises ConfigurationError when it is not set: an unknown price is not a price of nothing.
    """
    embeddings = config.embeddings
    if embeddings.source != "endpoint" or config.resolution.mode not in ("judged", "embeddings"):
        return 0.0
    if is_local(embeddings.endpoint or config.endpoint):
        return 0.0
    if embeddings.price is None:
        raise ConfigurationError(
            f"embeddings.price is not set for {embeddings.model}: give embeddings.price=... in USD per "
            "million tokens (0 for a model that costs nothing), or use embeddings=offline"
        )
    return embeddings.price
