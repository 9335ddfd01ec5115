"""The schema of the configuration: every key and its type.

Hydra composes `configs/`, these dataclasses refuse what they do not know, and `ranges.checked` refuses what
makes no sense. They are not frozen, because Hydra cannot fill a frozen schema; nobody changes them after the
door. What each key means stands above it in `configs/`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from autoanalyze.records import LabelField, LabelSchema

AROUND = frozenset({"case", "quick", "report", "seeds", "confirm_above_usd", "page"})
"""Keys that stand around a run and change nothing of it: two runs that differ in these are identical."""

IN_PROCESS = ("simulated", "offline")
"""Endpoints that answer in this process, in virtual time: the simulated model, and the reader."""

ENVIRONMENT = {
    "parallel.streams": "PARALLEL_STREAM_COUNT",
    "parallel.sessions_per_stream": "SESSIONS_PER_STREAM",
    "parallel.debug": "PARALLEL_PROCESSING_DEBUG",
    "discovery.percentage": "DISCOVERY_TARGET_PERCENTAGE",
    "discovery.min_sessions": "DISCOVERY_MIN_SESSIONS",
    "discovery.max_sessions": "DISCOVERY_MAX_SESSIONS",
}
"""Keys whose default an environment variable can set."""


@dataclass
class RateLimit:
    """Provider limits of one account tier; null means that the provider sets none."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


@dataclass
class PriceTier:
    """Prices of a call whose prompt has more than `above` tokens, in USD per million tokens."""

    above: int = MISSING
    prompt: float = MISSING
    cached: float = MISSING
    completion: float = MISSING


@dataclass
class ModelConfig:
    """One model. Prices are USD per million tokens. What is missing here comes from the catalogues."""

    name: str = MISSING
    encoding: str = "o200k_base"
    context_window: int = MISSING
    output_limit: int = MISSING
    item_cap: int = 20
    price_prompt: float | None = None
    price_cached: float | None = None
    price_completion: float | None = None
    price_tiers: list[PriceTier] = field(default_factory=list)
    tiers: dict[str, RateLimit] = field(default_factory=dict)
    source: str = ""
    shutdown: str | None = None
    reply_format: str = "json_schema"
    temperature: float | None = 0.0
    output_parameter: str = "max_tokens"


@dataclass
class RequestConfig:
    """What is sent with every labelling and judging request besides the question; null leaves it out."""

    seed: bool = True
    effort: str | None = None
    service_tier: str | None = None
    repeat_temperature: float | None = 0.7
    output_per_session: int = 80
    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)


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
    population_seed: int | None = None
    intents: int = 33
    several: float = 0.0


@dataclass
class DiscoveryConfig:
    """Phase 1."""

    mode: str = "fixed"
    percentage: float = 15.0
    min_sessions: int = 50
    max_sessions: int | None = 150
    sessions_per_call: int = 5
    collisions: float | None = None


@dataclass
class ParallelConfig:
    """Phase 2."""

    streams: int = 8
    sessions_per_stream: int | None = None
    taper: float | None = 0.7
    smallest_call: int | None = None
    debug: bool = False


@dataclass
class ResolutionConfig:
    """Phase 3."""

    mode: str = "judged"
    model: ModelConfig | None = None
    guards: bool = True
    shown_together: int = 60
    first_candidates: int = 4
    nearest_groups: int = 6
    merge_above: float | None = None
    opinions: int = 3
    every_rounds: int | None = None
    every_labels: int | None = 150


@dataclass
class SecondLookConfig:
    """Which sessions are looked at again first."""

    rare_share: float = 0.01
    most: float = 0.08
    try_merges: bool = True


@dataclass
class EmbeddingsConfig:
    """How labels become vectors. `price` is USD per million tokens."""

    source: str = "endpoint"
    model: str = "text-embedding-3-small"
    dimensions: int | None = 512
    endpoint: str | None = None
    price: float | None = None
    field: bool = False
    notes: int = 0


@dataclass
class VocabularyConfig:
    """Which labels are known from the beginning, and what of the known ones stands in a prompt."""

    from_run: str | None = None
    fixed: dict[str, list[str]] = field(default_factory=dict)
    allowance_tokens: int | None = None
    withdraw_aliases: bool = True
    closed: bool = False
    codebook: bool = False
    themes: bool = False


@dataclass
class RetryConfig:
    """What happens to a session or a call that came back without a valid answer."""

    attempts: int = 3
    call_attempts: int = 8
    call_seconds: float = 1800.0
    first_wait_seconds: float = 1.0
    longest_wait_seconds: float = 30.0
    unresolved: int = 0
    unjudged: int = 0


@dataclass
class LimitsConfig:
    """Which provider limits the run keeps to: those of the account's tier, or others given here."""

    tier: str | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    timeout_seconds: float = 600.0


@dataclass
class ReaderConfig:
    """How `endpoint=offline` reads."""

    vectors: str = "words"


@dataclass
class JournalConfig:
    """Where answers may come from besides the endpoint."""

    mode: str = "record"
    reuse: list[str] = field(default_factory=list)


@dataclass
class FieldConfig:
    """One label field."""

    name: str = MISSING
    description: str = MISSING
    applies_to: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)


@dataclass
class SchemaConfig:
    """The facts that are asked for."""

    fields: list[FieldConfig] = field(default_factory=list)
    notes: bool = True

    def records(self) -> LabelSchema:
        """The schema as the phases use it."""
        fields = tuple(
            LabelField(f.name, f.description, tuple(f.applies_to), tuple(f.labels)) for f in self.fields
        )
        return LabelSchema(fields, self.notes)


@dataclass
class ReportConfig:
    """What a sweep is to answer, and what its table and its figure show.

    Settings are dotted keys of the configuration, or `case`; measures those of `study/measures.py`.
    """

    question: str = ""
    rows: list[str] = field(default_factory=list)
    fields: list[str] = field(default_factory=lambda: ["general_intent"])
    measures: list[str] = field(
        default_factory=lambda: [
            "consistency",
            "precision",
            "precision_macro",
            "model_seconds",
            "cost_per_1000",
        ]
    )
    figure: list[str] = field(default_factory=list)
    across: str | None = None
    lines: str | None = None
    drawn: list[str] = field(default_factory=list)
    logarithmic: bool = False
    baseline: str | None = None
    paired_by: list[str] = field(default_factory=list)
    into: str | None = None


FAULTS = frozenset(
    [
        *("busy", "busy_with_retry_after", "server_error", "unavailable", "hang", "reset", "slow"),
        *("not_json", "cut_off", "missing_key", "duplicated_key", "foreign_key", "wrong_outcome"),
        *("refusal", "empty", "embedding_not_a_number", "embedding_dimensions", "embedding_missing"),
    ]
)
"""Kinds of trouble that the simulated endpoint can make."""


@dataclass
class NoiseConfig:
    """Behaviour of the simulated model; `configs/noise/default.yaml` gives source and reason of each."""

    reuse: float = 0.97
    earliest: float = 0.8
    paraphrases: int = 6
    confusion: float = 0.015
    confusion_fixed_share: float = 0.5
    granularity: float = 0.0
    broader_taken: float = 0.0
    specific: float = 0.0
    other: float = 0.0
    second_taken: float = 0.0
    combined: float = 0.0
    forced_fit: float = 0.0
    attraction: float = 0.0
    copying: float = 0.0
    reuse_halves_at: float = 0.0
    omission_at_1: float = 0.0
    omission_at_10: float = 0.002
    omission_at_20: float = 0.01
    omission_at_50: float = 0.10
    judge_false_merge: float = 0.02
    judge_missed: float = 0.02
    judge_fixed_share: float = 0.25
    judge_meaning_share: float = 0.0
    judge_crowding: float = 0.0
    first_token_seconds: float = 0.85
    tokens_per_second: float = 66.0
    latency_sigma: float = 0.35
    latency_tail: float = 0.0
    latency_crowding: float = 0.0
    prompt_tokens_per_second: float = 20_000.0


UNKIND = (
    *("granularity", "broader_taken", "specific", "other", "second_taken", "combined"),
    *("forced_fit", "attraction", "copying", "reuse_halves_at"),
)
"""Ways of naming that make the method's work hard: all 0 in the friendly world."""


@dataclass
class FaultsConfig:
    """What the simulated endpoint does wrong on purpose."""

    rate: float = 0.0
    kinds: list[str] = field(default_factory=list)
    quota_after: int | None = None
    gone_after: int | None = None


@dataclass
class Config:
    """The whole configuration of one run."""

    model: ModelConfig = field(default_factory=ModelConfig)
    request: RequestConfig = field(default_factory=RequestConfig)
    data: DataConfig = field(default_factory=DataConfig)
    discovery: DiscoveryConfig = field(default_factory=DiscoveryConfig)
    parallel: ParallelConfig = field(default_factory=ParallelConfig)
    resolution: ResolutionConfig = field(default_factory=ResolutionConfig)
    embeddings: EmbeddingsConfig = field(default_factory=EmbeddingsConfig)
    vocabulary: VocabularyConfig = field(default_factory=VocabularyConfig)
    retry: RetryConfig = field(default_factory=RetryConfig)
    second_look: SecondLookConfig = field(default_factory=SecondLookConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    schema: SchemaConfig = field(default_factory=SchemaConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    faults: FaultsConfig = field(default_factory=FaultsConfig)
    journal: JournalConfig = field(default_factory=JournalConfig)
    reader: ReaderConfig = field(default_factory=ReaderConfig)
    report: ReportConfig = field(default_factory=ReportConfig)
    case: str | None = None
    seeds: list[int] = field(default_factory=list)
    quick: bool = False
    endpoint: str = "simulated"
    sync: str = "continuous"
    reply: str = "numbers"
    batch_size: int | None = None
    budget_usd: float | None = None
    confirm_above_usd: float = 1.0
    baseline: str | None = None
    page: bool = True
    context: str = ""
    token_counter: str = "auto"
    resamples: int = 1000
    probe_share: float = 0.0
    unaided_share: float = 0.0
    passes: int = 2
    repeat: int = 1
    repetition: int = 1
    seed: int = 7
