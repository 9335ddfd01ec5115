"""The schema of the configuration: every key, its type, and the checks that types cannot make.

Hydra composes `configs/`, these dataclasses refuse what they do not know, and
`checked` refuses what makes no sense. They are not frozen, because Hydra cannot fill
a frozen schema; nobody changes them after the door. What each key means stands above
it in `configs/`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any

from omegaconf import MISSING

from autoanalyze.errors import ConfigurationError
from autoanalyze.records import LabelField, LabelSchema

__all__ = ["ENVIRONMENT", "FAULTS", "Config", "checked", "rate_limits", "sequential"]

ENVIRONMENT = {
    "parallel.streams": "PARALLEL_STREAM_COUNT",
    "parallel.sessions_per_stream": "SESSIONS_PER_STREAM",
    "parallel.debug": "PARALLEL_PROCESSING_DEBUG",
    "discovery.percentage": "DISCOVERY_TARGET_PERCENTAGE",
    "discovery.min_sessions": "DISCOVERY_MIN_SESSIONS",
    "discovery.max_sessions": "DISCOVERY_MAX_SESSIONS",
}
"""Keys whose default an environment variable can set."""

FAULTS = frozenset(
    {
        "busy",
        "busy_with_retry_after",
        "server_error",
        "unavailable",
        "hang",
        "reset",
        "slow",
        "not_json",
        "cut_off",
        "missing_key",
        "duplicated_key",
        "foreign_key",
        "wrong_outcome",
        "refusal",
        "empty",
    }
)
"""Kinds of trouble that the simulated endpoint can make."""

SEQUENTIAL_SESSIONS_PER_CALL = 5
"""What the sequential implementation of the design put into a call."""


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
    population: int | None = None
    population_seed: int = 7


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
    opinions: int = 3


@dataclass
class RetryConfig:
    """What happens to a session or a call that came back without a valid answer."""

    attempts: int = 3
    call_attempts: int = 8
    call_seconds: float = 600.0
    first_wait_seconds: float = 1.0
    longest_wait_seconds: float = 30.0


@dataclass
class LimitsConfig:
    """Which provider limits the run keeps to: those of the account's tier, or others given here."""

    tier: str | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    timeout_seconds: float = 120.0


@dataclass
class JournalConfig:
    """Where answers may come from besides the endpoint."""

    mode: str = "record"
    reuse: list[str] = field(default_factory=list)


@dataclass
class FaultsConfig:
    """What the simulated endpoint does wrong on purpose."""

    rate: float = 0.0
    kinds: list[str] = field(default_factory=list)
    quota_after: int | None = None
    gone_after: int | None = None
    slow_seconds: float = 30.0


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
    faults: FaultsConfig = field(default_factory=FaultsConfig)
    journal: JournalConfig = field(default_factory=JournalConfig)
    endpoint: str = "simulated"
    sync: str = "rounds"
    batch_size: int | None = None
    budget_usd: float | None = None
    confirm_above_usd: float = 1.0
    baseline: str | None = None
    context: str = ""
    token_counter: str = "auto"
    resamples: int = 1000
    seed: int = 7


def between(low: float, high: float) -> Callable[[Any], bool]:
    """Whether a value lies in a range, ends included."""
    return lambda value: low <= value <= high


def null_or(test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Whether a value is null or passes `test`."""
    return lambda value: value is None or test(value)


def one_of(*values: str | int) -> Callable[[Any], bool]:
    """Whether a value is among `values`."""
    return lambda value: value in values


ANY_SIZE = float("inf")

RANGES: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("endpoint", lambda v: v in ("simulated", "openai") or "://" in v, "simulated, openai or a URL"),
    ("sync", one_of("rounds", "sequential"), "rounds or sequential"),
    ("baseline", null_or(one_of("run", "none")), "run, none or null"),
    ("token_counter", one_of("auto", "tiktoken", "estimate"), "auto, tiktoken or estimate"),
    ("batch_size", null_or(between(1, ANY_SIZE)), "at least 1, or null"),
    ("budget_usd", null_or(lambda v: v > 0), "more than 0 USD, or null"),
    ("confirm_above_usd", between(0, ANY_SIZE), "at least 0 USD"),
    ("journal.mode", one_of("record", "replay"), "record or replay"),
    ("limits.requests_per_minute", null_or(between(1, ANY_SIZE)), "at least 1, or null"),
    ("limits.tokens_per_minute", null_or(between(1, ANY_SIZE)), "at least 1, or null"),
    ("faults.rate", between(0, 1), "0 to 1"),
    ("faults.kinds", lambda v: set(v) <= FAULTS, f"among {', '.join(sorted(FAULTS))}"),
    ("faults.quota_after", null_or(between(0, ANY_SIZE)), "at least 0 calls, or null"),
    ("faults.gone_after", null_or(between(0, ANY_SIZE)), "at least 0 calls, or null"),
    ("faults.slow_seconds", between(0, ANY_SIZE), "at least 0 seconds"),
    ("resamples", between(2, ANY_SIZE), "at least 2"),
    ("data.source", one_of("synthetic", "store"), "synthetic or store"),
    ("data.count", between(1, ANY_SIZE), "at least 1"),
    ("data.minimum_messages", between(1, ANY_SIZE), "at least 1"),
    ("data.population", null_or(between(1, ANY_SIZE)), "at least 1, or null"),
    ("discovery.mode", one_of("fixed", "none"), "fixed or none"),
    ("discovery.percentage", between(0, 100), "0 to 100"),
    ("discovery.min_sessions", between(0, ANY_SIZE), "at least 0"),
    ("discovery.max_sessions", null_or(between(0, ANY_SIZE)), "at least 0, or null"),
    ("discovery.sessions_per_call", between(1, ANY_SIZE), "at least 1"),
    ("parallel.streams", between(1, 256), "1 to 256"),
    ("parallel.sessions_per_stream", null_or(between(1, ANY_SIZE)), "at least 1, or null"),
    ("resolution.mode", one_of("llm", "none"), "llm or none"),
    ("resolution.labels_per_call", between(2, ANY_SIZE), "at least 2"),
    ("resolution.opinions", one_of(1, 3, 5), "1, 3 or 5"),
    ("retry.attempts", between(0, 10), "0 to 10"),
    ("retry.call_attempts", between(1, 100), "1 to 100"),
    ("retry.call_seconds", between(0, ANY_SIZE), "at least 0 seconds"),
    ("retry.first_wait_seconds", between(0, ANY_SIZE), "at least 0 seconds"),
    ("retry.longest_wait_seconds", between(0, ANY_SIZE), "at least 0 seconds"),
    ("limits.timeout_seconds", between(0.001, ANY_SIZE), "more than 0 seconds"),
    ("model.item_cap", between(1, ANY_SIZE), "at least 1"),
    ("model.output_limit", between(1, ANY_SIZE), "at least 1"),
    ("model.context_window", between(1, ANY_SIZE), "at least 1"),
    *(
        (f"noise.{name}", between(0, 1), "0 to 1")
        for name in (
            "reuse",
            "earliest",
            "confusion",
            "confusion_fixed_share",
            "omission_at_10",
            "omission_at_20",
            "omission_at_50",
            "judge_false_merge",
            "judge_missed",
            "judge_fixed_share",
        )
    ),
    ("noise.paraphrases", between(1, 6), "1 to 6"),
    ("noise.first_token_seconds", between(0, ANY_SIZE), "at least 0 seconds"),
    ("noise.tokens_per_second", between(0.001, ANY_SIZE), "more than 0"),
    ("noise.latency_sigma", between(0, 5), "0 to 5"),
    ("noise.prompt_tokens_per_second", between(0.001, ANY_SIZE), "more than 0"),
)


def checked(config: Config) -> Config:
    """The configuration itself, if every value makes sense.

    Raises ConfigurationError that names the key, its environment variable if it has one,
    and what is allowed.
    """
    for key, allowed, description in RANGES:
        value = attrgetter(key)(config)
        if not allowed(value):
            variable = f" (environment: {ENVIRONMENT[key]})" if key in ENVIRONMENT else ""
            raise ConfigurationError(f"{key}={value}{variable}: must be {description}")
    if not config.schema.fields:
        raise ConfigurationError("schema.fields is empty: name at least one label field")
    reserved = {"key", "notes", "session_outcome"}
    names = [label_field.name for label_field in config.schema.fields]
    if len(set(names)) < len(names) or reserved & set(names):
        raise ConfigurationError(f"schema.fields: names must differ and not be one of {sorted(reserved)}")
    tier = config.limits.tier
    if tier is not None and tier not in config.model.tiers:
        known = ", ".join(config.model.tiers) or "no tiers"
        raise ConfigurationError(f"limits.tier={tier}: the model {config.model.name} has {known}")
    return config


def rate_limits(config: Config) -> RateLimit:
    """The provider limits that a run keeps to: given ones before those of the tier."""
    limits = config.limits
    tier = config.model.tiers[limits.tier] if limits.tier else RateLimit()
    return RateLimit(
        limits.requests_per_minute or tier.requests_per_minute,
        limits.tokens_per_minute or tier.tokens_per_minute,
    )


def sequential(config: Config) -> Config:
    """The sequential baseline of a configuration: one stream, 5 sessions per call, no discovery.

    Model, schema, noise, data and resolution stay as they are.
    """
    return replace(
        config,
        sync="sequential",
        batch_size=None,
        baseline="none",
        budget_usd=None,
        journal=JournalConfig(),
        faults=FaultsConfig(),
        discovery=replace(config.discovery, mode="none"),
        parallel=replace(config.parallel, streams=1, sessions_per_stream=SEQUENTIAL_SESSIONS_PER_CALL),
    )
