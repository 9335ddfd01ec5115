"""The way to an endpoint that one run has: prompt, packing, limits, budget, journal and sender."""

from __future__ import annotations

from autoanalyze.config import Config, RateLimit
from autoanalyze.errors import ConfigurationError
from autoanalyze.llm.prompts import AnalysisPrompt
from autoanalyze.llm.tokens import TokenCounter, TokenManagement

__all__ = ["rate_limits", "token_management"]


def rate_limits(config: Config) -> RateLimit:
    """The provider limits that a run keeps to: given ones before those of the tier."""
    limits = config.limits
    tier = config.model.tiers[limits.tier] if limits.tier else RateLimit()
    return RateLimit(
        limits.requests_per_minute or tier.requests_per_minute,
        limits.tokens_per_minute or tier.tokens_per_minute,
    )


def analysis_prompt(config: Config) -> AnalysisPrompt:
    """How a configuration asks for facts. Raises ConfigurationError when its context is too long."""
    return AnalysisPrompt(config.schema.records(), config.context, config.reply, config.layout)


def token_management(config: Config, counter: TokenCounter, tokens_per_minute: int | None) -> TokenManagement:
    """Packing and pricing for a configuration."""
    return TokenManagement(
        config.model,
        counter,
        overhead_tokens=counter.count(analysis_prompt(config).instructions),
        streams=config.parallel.streams,
        tokens_per_minute=tokens_per_minute,
        batch_size=config.batch_size,
        embedding_price=embedding_price(config),
    )


def embedding_price(config: Config) -> float:
    """USD per million tokens that embeddings cost in this run; nothing where no endpoint is asked.

    Raises ConfigurationError when it is not set: an unknown price is not a price of nothing.
    """
    embeddings = config.embeddings
    if embeddings.source != "endpoint" or config.resolution.mode not in ("judged", "embeddings"):
        return 0.0
    if embeddings.price is None:
        raise ConfigurationError(
            f"embeddings.price is not set for {embeddings.model}: give embeddings.price=... in USD per "
            "million tokens (0 for a model that costs nothing), or use embeddings=offline"
        )
    return embeddings.price
