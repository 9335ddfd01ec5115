"""The schema of the configuration: every key, its type, and the checks that types cannot make.

Hydra composes `configs/`, these dataclasses refuse what they do not know, and
`from_hydra` turns the result into plain objects once, at the door. They are not
frozen, because Hydra cannot fill a frozen schema; nobody changes them after that.
What each key means stands above it in `configs/`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from autoanalyze.errors import ConfigurationError
from autoanalyze.records import LabelField, LabelSchema

__all__ = ["Config", "from_hydra"]


@dataclass
class RateLimit:
    """Provider limits of one account tier; null means that the provider sets none."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


@dataclass
class ModelConfig:
    """One entry of the model catalogue. Prices are USD per million tokens."""

    name: str = MISSING
    encoding: str = "o200k_base"
    context_window: int = MISSING
    output_limit: int = MISSING
    item_cap: int = MISSING
    price_prompt: float | None = None
    price_cached: float | None = None
    price_completion: float | None = None
    tiers: dict[str, RateLimit] = field(default_factory=dict)
    source: str = ""
    reply_format: str = "json_schema"
    temperature: float | None = 0.0
    output_parameter: str = "max_tokens"


@dataclass
class DataConfig:
    """Which sessions are analysed."""

    source: str = MISSING
    path: str | None = None
    bot_id: str = "default"
    count: int = 1000
    start: str | None = None
    where: str | None = None
    minimum_messages: int = 2
    population: int = 1500
    seed: int = 7


@dataclass
class DiscoveryConfig:
    """Phase 1."""

    mode: str = "fixed"
    percentage: float = 15.0
    min_sessions: int = 50
    max_sessions: int | None = 150
    sessions_per_call: int = 5


@dataclass
class ParallelConfig:
    """Phase 2."""

    streams: int = 8
    sessions_per_stream: int | None = 4
    debug: bool = False


@dataclass
class ResolutionConfig:
    """Phase 3."""

    mode: str = "llm"
    labels_per_call: int = 150


@dataclass
class RetryConfig:
    """What happens to a session or a call that came back without a valid answer."""

    attempts: int = 3
    first_wait_seconds: float = 1.0
    longest_wait_seconds: float = 30.0


@dataclass
class LimitsConfig:
    """Which provider limits the run plans for."""

    tier: str | None = None
    timeout_seconds: float = 120.0


@dataclass
class FieldConfig:
    """One label field."""

    name: str = MISSING
    description: str = MISSING
    applies_to: list[str] = field(default_factory=list)


@dataclass
class SchemaConfig:
    """The facts that are asked for."""

    fields: list[FieldConfig] = field(default_factory=list)
    notes: bool = True

    def records(self) -> LabelSchema:
        """The schema as the phases use it."""
        fields = tuple(LabelField(f.name, f.description, tuple(f.applies_to)) for f in self.fields)
        return LabelSchema(fields, self.notes)


@dataclass
class NoiseConfig:
    """Behaviour of the simulated model; `configs/noise/default.yaml` gives source and reason of each."""

    reuse: float = 0.97
    earliest: float = 0.8
    paraphrases: int = 6
    confusion: float = 0.015
    confusion_fixed_share: float = 0.5
    omission_at_10: float = 0.002
    omission_at_20: float = 0.01
    omission_at_50: float = 0.10
    judge_false_merge: float = 0.02
    judge_missed: float = 0.02
    judge_fixed_share: float = 0.25
    first_token_seconds: float = 0.85
    tokens_per_second: float = 66.0
    latency_sigma: float = 0.35
    prompt_tokens_per_second: float = 20_000.0


@dataclass
class Config:
    """The whole configuration of one run."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    discovery: DiscoveryConfig = field(default_factory=DiscoveryConfig)
    parallel: ParallelConfig = field(default_factory=ParallelConfig)
    resolution: ResolutionConfig = field(default_factory=ResolutionConfig)
    retry: RetryConfig = field(default_factory=RetryConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    schema: SchemaConfig = field(default_factory=SchemaConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    endpoint: str = "simulated"
    sync: str = "rounds"
    batch_size: int | None = None
    baseline: str | None = None
    context: str = ""
    token_counter: str = "auto"
    seed: int = 7
