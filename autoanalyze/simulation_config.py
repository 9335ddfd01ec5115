"""The schema of the simulated model: how it errs, and what trouble it makes on purpose."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["FAULTS", "FaultsConfig", "NoiseConfig"]

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
        "embedding_not_a_number",
        "embedding_dimensions",
        "embedding_missing",
    }
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
class FaultsConfig:
    """What the simulated endpoint does wrong on purpose."""

    rate: float = 0.0
    kinds: list[str] = field(default_factory=list)
    quota_after: int | None = None
    gone_after: int | None = None
    slow_seconds: float = 30.0
