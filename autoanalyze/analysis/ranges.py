"""Which values of the configuration make sense: the checks that types cannot make."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from autoanalyze.config import ENVIRONMENT, FAULTS, IN_PROCESS, Config, FieldConfig
from autoanalyze.errors import ConfigurationError
from autoanalyze.llm.prompts import LONGEST_LABEL
from autoanalyze.phases.validation import clean_label, is_null


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
    (
        "endpoint",
        lambda v: v in IN_PROCESS or v == "openai" or "://" in v,
        "simulated, offline, openai or a URL",
    ),
    (
        "sync",
        one_of("rounds", "continuous", "none", "sequential"),
        "rounds, continuous, none or sequential",
    ),
    ("reply", one_of("labels", "numbers"), "labels or numbers"),
    ("reader.vectors", one_of("words", "sentences"), "words or sentences"),
    ("probe_share", between(0, 1), "0 to 1"),
    ("unaided_share", between(0, 1), "0 to 1"),
    ("passes", between(1, 3), "1 to 3"),
    ("second_look.rare_share", between(0, 1), "0 to 1"),
    ("second_look.most", between(0, 1), "0 to 1"),
    ("repeat", between(1, 100), "1 to 100"),
    ("repetition", between(1, ANY_SIZE), "at least 1"),
    ("vocabulary.allowance_tokens", null_or(between(0, ANY_SIZE)), "at least 0, or null"),
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
    ("resamples", lambda v: v == 0 or v >= 2, "0, or at least 2"),
    ("data.source", one_of("synthetic", "store", "labels"), "synthetic, store or labels"),
    ("data.count", between(1, ANY_SIZE), "at least 1"),
    ("data.minimum_messages", between(1, ANY_SIZE), "at least 1"),
    ("data.population", null_or(between(1, ANY_SIZE)), "at least 1, or null"),
    ("data.intents", between(1, 429), "1 to 429"),
    ("data.several", between(0, 1), "0 to 1"),
    ("discovery.mode", one_of("fixed", "adaptive", "none"), "fixed, adaptive or none"),
    ("discovery.collisions", null_or(lambda v: v > 0), "more than 0, or null"),
    ("discovery.percentage", between(0, 100), "0 to 100"),
    ("discovery.min_sessions", between(0, ANY_SIZE), "at least 0"),
    ("discovery.max_sessions", null_or(between(0, ANY_SIZE)), "at least 0, or null"),
    ("discovery.sessions_per_call", between(1, ANY_SIZE), "at least 1"),
    ("parallel.streams", between(1, 256), "1 to 256"),
    ("parallel.sessions_per_stream", null_or(between(1, ANY_SIZE)), "at least 1, or null"),
    ("parallel.taper", null_or(lambda v: v > 0), "more than 0, or null"),
    ("parallel.smallest_call", null_or(between(1, ANY_SIZE)), "at least 1, or null"),
    ("resolution.every_rounds", null_or(between(1, ANY_SIZE)), "at least 1, or null"),
    ("resolution.every_labels", null_or(between(1, ANY_SIZE)), "at least 1, or null"),
    ("resolution.mode", one_of("judged", "llm", "embeddings", "none"), "judged, llm, embeddings or none"),
    ("resolution.shown_together", between(0, ANY_SIZE), "at least 0"),
    ("resolution.first_candidates", between(1, ANY_SIZE), "at least 1"),
    ("resolution.nearest_groups", between(1, ANY_SIZE), "at least 1"),
    ("resolution.merge_above", null_or(between(-1, 1)), "-1 to 1, or null"),
    (
        "embeddings.source",
        one_of("endpoint", "offline"),
        "endpoint or offline",
    ),
    ("embeddings.dimensions", null_or(between(1, ANY_SIZE)), "at least 1, or null"),
    ("embeddings.endpoint", null_or(lambda v: v == "openai" or "://" in v), "openai, a URL, or null"),
    ("request.repeat_temperature", null_or(between(0, 2)), "0 to 2, or null"),
    ("request.output_per_session", between(1, ANY_SIZE), "at least 1 token"),
    ("embeddings.price", null_or(between(0, ANY_SIZE)), "at least 0 USD, or null"),
    ("embeddings.notes", between(0, 3), "0 to 3"),
    ("resolution.opinions", one_of(1, 3, 5), "1, 3 or 5"),
    ("retry.attempts", between(0, 10), "0 to 10"),
    ("retry.unresolved", between(0, 100), "0 to 100"),
    ("retry.unjudged", between(0, 100), "0 to 100"),
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
            *("reuse", "earliest", "confusion", "confusion_fixed_share"),
            *("granularity", "broader_taken", "specific", "other", "second_taken", "combined"),
            *("forced_fit", "attraction", "copying"),
            *("omission_at_1", "omission_at_10", "omission_at_20", "omission_at_50"),
            *("judge_false_merge", "judge_missed", "judge_fixed_share", "judge_meaning_share"),
            "latency_tail",
        )
    ),
    ("noise.paraphrases", between(1, 6), "1 to 6"),
    ("noise.first_token_seconds", between(0, ANY_SIZE), "at least 0 seconds"),
    ("noise.tokens_per_second", between(0.001, ANY_SIZE), "more than 0"),
    ("noise.latency_sigma", between(0, 5), "0 to 5"),
    ("noise.latency_crowding", between(0, ANY_SIZE), "at least 0"),
    ("noise.judge_crowding", between(0, ANY_SIZE), "at least 0"),
    ("noise.reuse_halves_at", between(0, ANY_SIZE), "at least 0 labels"),
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
    for label_field in config.schema.fields:
        check_closed(label_field, config)
    if config.resolution.mode == "embeddings" and config.resolution.merge_above is None:
        raise ConfigurationError(
            "resolution=embeddings needs resolution.merge_above (-1 to 1): how alike two labels must be to "
            "become one. There is no default, since the same number means something else with other "
            "embeddings. To choose one, run once with a judge and resolution.shown_together=0: "
            "`autoanalyze merges RUN --all` shows how alike the labels are that it merged, and the others"
        )
    if config.sync == "none" and config.discovery.mode == "adaptive":
        raise ConfigurationError(
            "sync=none and discovery.mode=adaptive exclude each other, since nothing is shared while streams "
            "start: use discovery=fixed or discovery=none with it, or sync=continuous"
        )
    levels = [name for name in ("codebook", "themes") if getattr(config.vocabulary, name)]
    if config.endpoint == "offline" and levels:
        raise ConfigurationError(
            f"vocabulary.{levels[0]} needs a model: endpoint=offline knows words, and no levels"
        )
    data, noise = config.data, config.noise
    if data.intents == 1 and data.several > 0:
        raise ConfigurationError("data.several: there is no second matter where data.intents=1")
    if noise.second_taken + noise.combined > 1:
        raise ConfigurationError(
            "noise.second_taken and noise.combined are shares of the same sessions, and more than 1 together"
        )
    tier = config.limits.tier
    for model in filter(None, (config.model, config.resolution.model)):
        if tier is not None and tier not in model.tiers:
            known = ", ".join(model.tiers) or "no tiers"
            raise ConfigurationError(f"limits.tier={tier}: the model {model.name} has {known}")
    return config


def check_closed(label_field: FieldConfig, config: Config) -> None:
    """Raise ConfigurationError for a closed list of labels that no answer could be held to."""
    name, labels = label_field.name, label_field.labels
    if len({label.casefold() for label in labels}) < len(labels):
        raise ConfigurationError(f"schema.fields: two labels of {name} differ in nothing but capitals")
    for label in labels:
        if clean_label(label) != label or is_null(label) or len(label) > LONGEST_LABEL:
            raise ConfigurationError(
                f"schema.fields: {label!r} cannot be a label of {name}: give a text in one line of at most "
                f"{LONGEST_LABEL} characters that does not mean none"
            )
    if labels and config.vocabulary.fixed.get(name):
        raise ConfigurationError(f"vocabulary.fixed.{name}: the labels of {name} are listed in schema.fields")
