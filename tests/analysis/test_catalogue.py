"""What is known of models without anybody writing it down, and what calls cost by it."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime

import pytest

from autoanalyze.analysis import catalogue
from autoanalyze.analysis.configuration import compose, restored
from autoanalyze.config import ModelConfig, PriceTier
from autoanalyze.errors import ConfigurationError

LOCAL = "http://localhost:11434/v1"
COMMITTED = {
    "gpt-4o-mini": (128_000, 16_384, 0.15, 0.075, 0.60),
    "gpt-4o": (128_000, 16_384, 2.50, 1.25, 10.00),
    "gpt-4.1": (1_047_576, 32_768, 2.00, 0.50, 8.00),
    "gpt-4.1-mini": (1_047_576, 32_768, 0.40, 0.10, 1.60),
    "gpt-4.1-nano": (1_047_576, 32_768, 0.10, 0.025, 0.40),
    "gpt-5-mini": (400_000, 128_000, 0.25, 0.025, 2.00),
}


def model(*overrides: str) -> ModelConfig:
    return compose(overrides).model


def prices(found: ModelConfig) -> tuple[float | None, ...]:
    return found.price_prompt, found.price_cached, found.price_completion


@pytest.mark.parametrize("name", COMMITTED)
def test_models_of_the_lab_book_are_what_they_were(name: str) -> None:
    """Limits and prices that its figures rest on come out of the catalogues, with the data's date."""
    found = model(f"model={name}")
    assert (found.context_window, found.output_limit, *prices(found)) == COMMITTED[name]
    assert found.item_cap == 20
    assert "2026-" in found.source
    assert found.shutdown is not None


def test_known_names_need_no_file() -> None:
    """Models of today are had by name, also several at once, with their prices for long prompts."""
    luna = model("model=gpt-6-luna")
    assert (luna.name, luna.context_window, *prices(luna)) == ("gpt-6-luna", 1_050_000, 0.1, 0.01, 0.5)
    assert luna.price_tiers == [PriceTier(272_000, 0.2, 0.02, 0.75)]
    assert luna.temperature is None
    haiku = model("model=claude-haiku-5.5")
    assert haiku.price_tiers == [PriceTier(100_000, 0.5, 0.05, 2.5)]
    assert haiku.output_parameter == "max_tokens"
    assert prices(model("model=gemini-3.8-flash")) == (0.75, 0.075, 3.75)


@pytest.mark.parametrize("name", ["gpt-4o-mni", "qwen3:8b", "maker/model"])
def test_unknown_names_are_told_the_way(name: str) -> None:
    """Nobody has to read the documentation to use a model that no catalogue knows."""
    with pytest.raises(ConfigurationError, match=f"model=generic model.name={name}"):
        compose([f"model={name}"])


def test_what_is_set_stays() -> None:
    """The catalogues fill in what is missing and overrule nothing."""
    found = model("model=gpt-6-luna", "model.price_prompt=7", "model.output_limit=99", "model.source=mine")
    assert prices(found) == (7, 0.01, 0.5)
    assert (found.output_limit, found.source, found.price_tiers) == (99, "mine", [])


@pytest.mark.parametrize("endpoint", [LOCAL, "http://192.168.1.7:8000/v1", "http://[::1]:8080/v1"])
@pytest.mark.parametrize("name", ["my-model", "gpt-oss-20b"])
def test_local_models_cost_nothing(endpoint: str, name: str) -> None:
    """A server at a private address is free, embeddings included, without being told."""
    config = compose(["model=generic", f"model.name={name}", f"endpoint='{endpoint}'"])
    assert prices(config.model) == (0, 0, 0)
    assert config.embeddings.price == 0


def test_gateway_to_a_paid_model_is_not_free() -> None:
    """A model that only its maker serves is billed, also when a proxy on this machine passes it on."""
    config = compose(["model=gpt-6-luna", f"endpoint={LOCAL}"])
    assert prices(config.model) == (0.1, 0.01, 0.5)
    assert config.embeddings.price == 0.02


def test_unknown_price_is_not_a_price_of_nothing() -> None:
    """Somewhere else an unknown model has no price, which is an error that names the key when it is used."""
    found = model("model=generic", "model.name=x", "endpoint=https://llm.example.com/v1")
    assert prices(found) == (None, None, None)


def test_flex_has_its_own_price() -> None:
    """Where a maker sells a service tier it is priced, and where nobody knows its price that is an error."""
    day = datetime(2026, 11, 25, tzinfo=UTC)
    flex = catalogue.prices_of("gpt-6-luna", service_tier="flex", on=day)
    assert (flex["price_prompt"], flex["price_completion"]) == (0.05, 0.25)
    assert flex["price_tiers"][0]["prompt"] == 0.1
    with pytest.raises(ConfigurationError, match="service_tier=flex"):
        catalogue.prices_of("gpt-4o", service_tier="flex", on=day)


def test_earlier_runs_keep_the_prices_they_recorded() -> None:
    """A record is taken at its word, whatever the catalogues say today."""
    recorded = asdict(compose(["model=gpt-6-luna"]))
    recorded["model"] = {"name": "gpt-6-luna", "context_window": 5, "output_limit": 6, "item_cap": 50}
    recorded["model"] |= {"price_prompt": 1.0, "price_cached": 2.0, "price_completion": 3.0}
    found = restored(recorded).model
    assert prices(found) == (1, 2, 3)
    assert (found.context_window, found.item_cap, found.price_tiers) == (5, 50, [])
    kept = compose(["model=gpt-6-luna"]).model
    assert replace(restored(asdict(compose(["model=gpt-6-luna"]))).model) == kept
