"""What published catalogues know of a model: prices, limits, and the day on which it ends.

Prices come from `genai-prices`, limits and shutdown dates from `modelroster`; both carry their data with
them, and nothing is fetched. By hand remain what they do not know: sessions per call, and rate limits.
"""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import genai_prices
import modelroster
from genai_prices.types import ModelPrice, TieredPrices
from omegaconf import DictConfig, OmegaConf

from autoanalyze.config import ModelConfig, PriceTier
from autoanalyze.errors import ConfigurationError

PRICES_OF = {"0.2.3": "2026-11-09"}
"""The newest day from which a price holds in a version of genai-prices, which does not say its own date."""

READER: dict[str, Any] = {
    **{"name": "reader", "encoding": "o200k_base", "context_window": 1_000_000, "output_limit": 100_000},
    **{"item_cap": 20, "price_prompt": 0.0, "price_cached": 0.0, "price_completion": 0.0, "price_tiers": []},
    **{"source": "no model: nothing is paid", "shutdown": None, "tiers": {}},
}
"""What `endpoint=offline` has for a model, whatever `model` says: it reads, and needs none."""

CAUTIOUS = {"context_window": 32_768, "output_limit": 4_096}
"""Limits of a model that nobody knows."""

SOLD_BY = frozenset({"openai", "anthropic", "google", "x-ai"})
OPEN_WEIGHTS = ("gpt-oss", "gemma")
"""Whoever serves one of these makers' models at a private address passes requests on to the maker, who
bills them; but some of the makers give weights away too."""

PRICES = {"price_prompt": "input_mtok", "price_cached": "cache_read_mtok", "price_completion": "output_mtok"}


def completed(composed: DictConfig) -> DictConfig:
    """The configuration with all that the catalogues know of its models. What is set stays as it is.

    Raises ConfigurationError for a service tier whose price nobody knows, unless prices are set.
    """
    if composed.endpoint == "offline":
        composed = composed.copy()
        composed.model = ModelConfig(**READER)
        composed.resolution.model = None
    changes: dict[str, Any] = {}
    judge = composed.resolution.model
    if judge is not None and not OmegaConf.is_missing(judge, "name"):
        changes["resolution"] = {"model": known_of(judge, composed)}
    if not OmegaConf.is_missing(composed.model, "name"):
        changes["model"] = found = known_of(composed.model, composed)
        if composed.embeddings.price is None:
            changes["embeddings"] = {"price": embedding_price(composed, free=found.get("price_prompt") == 0)}
    merged = OmegaConf.merge(composed, changes)
    assert isinstance(merged, DictConfig)
    return merged


def known_of(model: DictConfig, composed: DictConfig) -> dict[str, Any]:
    """What the catalogues know of a model, of that which is not set."""
    limits, sources = limits_of(model.name), []
    found = {key: limits.get(key, CAUTIOUS[key]) for key in CAUTIOUS if OmegaConf.is_missing(model, key)}
    if found and "as_of" in limits:
        sources.append(f"modelroster ({limits['as_of']})")
    if model.shutdown is None:
        found["shutdown"] = limits.get("shutdown")
    unpriced = [key for key in PRICES if model[key] is None]
    if unpriced:
        prices = priced(composed, model.name)
        found |= {key: prices[key] for key in unpriced if key in prices}
        if len(unpriced) == len(PRICES) and prices:
            found["price_tiers"] = model.price_tiers or prices["price_tiers"]
            sources.insert(0, prices["source"])
    if not model.source:
        found["source"] = ", ".join(sources)
    return found


def priced(composed: DictConfig, name: str) -> dict[str, Any]:
    """Prices of a model where the configuration sends its calls, as keys of ModelConfig; empty if unknown.

    A model at a private address costs nothing, unless it is one that only its maker serves.
    """
    tier = OmegaConf.select(composed, "request.service_tier")
    provider = provider_of(name)
    if is_private(composed.endpoint):
        passed_on = provider in SOLD_BY and not name.startswith(OPEN_WEIGHTS)
        if not passed_on:
            return dict.fromkeys(PRICES, 0.0) | {
                "price_tiers": [],
                "source": "a private address costs nothing",
            }
    # Simulated runs give the same figures whenever they are made; live ones pay what holds today.
    simulated = composed.endpoint == "simulated"
    return prices_of(name, service_tier=tier, on=data_day() if simulated else datetime.now(UTC))


def embedding_price(composed: DictConfig, *, free: bool) -> float | None:
    """USD per million tokens of the embedding model; nothing where the labelling model is free too."""
    elsewhere = OmegaConf.select(composed, "embeddings.endpoint")
    if free and (elsewhere is None or is_private(elsewhere)):
        return 0.0
    prices = prices_of(composed.embeddings.model, service_tier=None, on=data_day(), provider="openai")
    return prices.get("price_prompt")


@cache
def prices_of(
    name: str, *, service_tier: str | None, on: datetime, provider: str | None = None
) -> dict[str, Any]:
    """Prices of a model on a day, in USD per million tokens, as keys of ModelConfig; empty if unknown.

    Raises ConfigurationError if the model has no price for the service tier.
    """
    context = {"service_tier": service_tier} if service_tier not in (None, "auto", "default") else None
    usage = genai_prices.Usage(input_tokens=1)
    try:
        found = genai_prices.calc_price(
            usage, name, provider_id=provider, genai_request_timestamp=on, price_context=context
        )
    except LookupError:
        return {}
    variants = [variant.when for variant in found.model.price_variants or ()]
    if context and context not in variants:
        raise ConfigurationError(
            f"request.service_tier={service_tier}: nobody knows its price for {name}; leave it out, or "
            "give model.price_prompt=..., model.price_cached=... and model.price_completion=..."
        )
    price = found.model_price
    amounts = [getattr(price, key) for key in PRICES.values()]
    starts = sorted(
        {tier.start for amount in amounts if isinstance(amount, TieredPrices) for tier in amount.tiers}
    )
    tiers = [PriceTier(start, *prices_at(price, start + 1)) for start in starts]
    day = PRICES_OF.get(version("genai-prices"))
    source = f"genai-prices {version('genai-prices')}" + (f" ({day})" if day else "")
    base = dict(zip(PRICES, prices_at(price, 0), strict=True))
    return {**base, "price_tiers": [asdict(tier) for tier in tiers], "source": source}


def prices_at(price: ModelPrice, prompt_tokens: int) -> tuple[float, float, float]:
    """Prompt, cached and completion price of a call with so long a prompt."""

    def amount(value: Any) -> float | None:
        if isinstance(value, TieredPrices):
            passed = [tier.price for tier in value.tiers if prompt_tokens > tier.start]
            return float(passed[-1] if passed else value.base)
        return None if value is None else float(value)

    prompt, cached, completion = (amount(getattr(price, key)) for key in PRICES.values())
    return prompt or 0.0, (prompt or 0.0) if cached is None else cached, completion or 0.0


def provider_of(name: str) -> str | None:
    """Whose model it is; null if no catalogue of prices knows it."""
    try:
        return str(genai_prices.calc_price(genai_prices.Usage(input_tokens=1), name).provider.id)
    except LookupError:
        return None


def limits_of(name: str) -> dict[str, Any]:
    """Context, output limit, shutdown date (ISO) and whether it reasons; empty if nobody knows the model."""
    known = modelroster.get(name) or modelroster.get(name.replace(".", "-"))
    found: dict[str, Any] = {}
    if known is not None:
        found = {
            "context_window": known.context_window,
            "output_limit": known.max_output_tokens,
            "shutdown": known.shutdown_date,
            "reasoning": known.capabilities.reasoning,
            "as_of": (known.retrieved_at or "")[:10],
        }
    elif provider_of(name) is not None:
        window = genai_prices.calc_price(genai_prices.Usage(input_tokens=1), name).model.context_window
        found = {"context_window": window}
    return {key: value for key, value in found.items() if value is not None}


def ending(model: ModelConfig) -> str | None:
    """A warning of the day on which a model is shut down; null if none is known."""
    if model.shutdown is None:
        return None
    verb = "was" if model.shutdown <= datetime.now(UTC).date().isoformat() else "will be"
    return f"{model.name} {verb} shut down by its maker on {model.shutdown}: choose another for live runs"


def data_day() -> datetime:
    """The day of the prices, for runs that shall not depend on the day on which they are made."""
    return datetime.fromisoformat(PRICES_OF.get(version("genai-prices"), "2026-11-09")).replace(tzinfo=UTC)


def is_private(endpoint: str) -> bool:
    """Whether an endpoint is on this machine or at a private address."""
    host = urlsplit(endpoint).hostname or ""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def entry(name: str) -> dict[str, Any] | None:
    """What the files in `configs/model` say of a model, for one without a file; null if nobody knows it."""
    provider = provider_of(name)
    if provider is None:
        return None
    renamed = provider == "openai" and not name.startswith(OPEN_WEIGHTS)
    return {
        "name": name,
        "temperature": None if limits_of(name).get("reasoning") else 0.0,
        "output_parameter": "max_completion_tokens" if renamed else "max_tokens",
    }


def unknown_model(name: str, files: Sequence[str]) -> str:
    """What to say of a model that is in no catalogue."""
    known = sorted({*files, *modelroster.available_models()})
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.7)
    meant = f"did you mean {' or '.join(close)}? " if close else ""
    return (
        f"no catalogue knows the model {name!r}; {meant}Any other model is model=generic model.name={name}; "
        f"files in configs/model: {', '.join(files)}"
    )
