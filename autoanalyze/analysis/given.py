"""Nothing given is ever ignored: what a person set and what then would have no effect is an error.

Only what was given on the command line counts, not what a preset, an experiment or the environment sets. Of a
sweep, a setting must have an effect in one of its runs at least, so that sweeps over modes stay possible.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

from autoanalyze.config import IN_PROCESS, UNKIND, Config, DataConfig, NoiseConfig
from autoanalyze.errors import ConfigurationError
from autoanalyze.phases.merge_check import can_be_tried


@dataclass(frozen=True, slots=True)
class Use:
    """Settings, by key or by the beginning of keys, when they are used, and what to say when they are not."""

    keys: tuple[str, ...]
    used: Callable[[Config], bool]
    otherwise: str


def sweeping(config: Config) -> bool:
    """Whether streams take calls as they become free, without rounds."""
    return config.sync in ("continuous", "none")


def simulated(config: Config) -> bool:
    """Whether the simulated model labels sessions."""
    return config.endpoint == "simulated" and config.data.source != "labels"


def judging(config: Config) -> bool:
    """Whether the simulated model judges labels."""
    return config.endpoint == "simulated" and config.resolution.mode in ("judged", "llm")


def worldly(config: Config) -> bool:
    """Whether a world, if not the friendly one, changes sessions that are invented or how they are named."""
    varied = config.data.intents != DataConfig.intents or config.data.several > 0
    unkind = any(getattr(config.noise, name) for name in UNKIND)
    invented = config.data.source == "synthetic"
    return (varied and invented) or (unkind and simulated(config)) or not (varied or unkind)


JUDGE = tuple(f"noise.{each.name}" for each in fields(NoiseConfig) if each.name.startswith("judge_"))

USES = (
    Use(("data.path",), lambda c: c.data.source == "store", "sessions are invented: add data=store"),
    Use(
        ("data.population", "data.intents", "data.several"),
        lambda c: c.data.source == "synthetic",
        "it is of invented sessions (data=synthetic)",
    ),
    Use(
        ("data.population_seed",),
        lambda c: c.data.source == "synthetic" or (simulated(c) and judging(c)),
        "it is of invented sessions (data=synthetic) and of the simulated judge",
    ),
    Use(
        (
            *("data.where", "data.start", "data.minimum_messages", "data.bot_id", "discovery", "sync"),
            *("batch_size", "baseline", "probe_share", "unaided_share", "passes", "repeat", "reply"),
            *("vocabulary", "schema", "context", "second_look."),
        ),
        lambda c: c.data.source != "labels",
        "data=labels has no sessions",
    ),
    Use(
        (
            *(
                "discovery.",
                "parallel.",
                "baseline",
                "faults.",
                "probe_share",
                "unaided_share",
                "repeat",
                "passes",
            ),
            *("resolution.every_rounds", "resolution.every_labels"),
        ),
        lambda c: c.sync != "sequential",
        "sync=sequential is one stream of small calls, and sets it itself",
    ),
    Use(("second_look.",), lambda c: c.passes > 1, "passes=1 looks at each session once"),
    Use(
        ("second_look.try_merges",),
        can_be_tried,
        "nothing is tried where nothing is merged, or where endpoint=offline names sessions by their topics",
    ),
    Use(("discovery.collisions",), lambda c: c.discovery.mode == "adaptive", "it needs discovery=adaptive"),
    Use(("discovery.sessions_per_call",), lambda c: c.discovery.mode == "fixed", "it needs discovery=fixed"),
    Use(
        ("discovery.percentage", "discovery.min_sessions", "discovery.max_sessions"),
        lambda c: c.discovery.mode != "none",
        "discovery=none has no phase of discovery: leave it out, or take discovery=fixed",
    ),
    Use(
        ("parallel.taper", "parallel.smallest_call"),
        sweeping,
        "calls have the size of a stream's share when there are rounds: it needs sync=continuous",
    ),
    Use(
        ("parallel.sessions_per_stream",),
        lambda c: c.batch_size is None,
        "batch_size says how many sessions a call has: leave one of the two out",
    ),
    Use(
        (
            *("resolution.guards", "resolution.shown_together"),
            *("resolution.first_candidates", "resolution.nearest_groups"),
        ),
        lambda c: c.resolution.mode == "judged",
        "it needs resolution=judged",
    ),
    Use(
        ("resolution.merge_above",),
        lambda c: c.resolution.mode == "embeddings",
        "it needs resolution=embeddings",
    ),
    Use(
        ("resolution.model",),
        lambda c: c.endpoint != "offline" and c.resolution.mode in ("judged", "llm"),
        "no model judges: it needs resolution=judged or resolution=llm, and another endpoint than offline",
    ),
    Use(("resolution.opinions",), lambda c: c.resolution.mode == "llm", "it needs resolution=llm"),
    Use(
        ("resolution.every_rounds", "resolution.every_labels"),
        lambda c: c.resolution.mode != "none",
        "resolution=none merges nothing",
    ),
    Use(
        ("vocabulary.withdraw_aliases",),
        lambda c: c.resolution.every_rounds is not None or c.resolution.every_labels is not None,
        "nothing is merged on the way: it needs resolution.every_labels or resolution.every_rounds",
    ),
    Use(
        ("embeddings",),
        lambda c: c.resolution.mode in ("judged", "embeddings"),
        "no label becomes a vector: it needs resolution=judged or resolution=embeddings",
    ),
    Use(
        ("embeddings.endpoint", "embeddings.price"),
        lambda c: c.embeddings.source == "endpoint",
        "embeddings=offline asks no endpoint",
    ),
    Use(("faults.kinds",), lambda c: c.faults.rate > 0, "no fault happens: add faults.rate=0.1 or so"),
    Use(
        ("noise", "faults"),
        lambda c: c.endpoint in IN_PROCESS,
        "it is of the simulated model, and requests go to a real endpoint",
    ),
    Use(
        ("latency",),
        lambda c: c.endpoint in IN_PROCESS,
        "it is of the simulated model, and requests go to a real endpoint",
    ),
    Use(
        ("judge", *JUDGE),
        judging,
        "no simulated judge is asked: it needs endpoint=simulated, and resolution=judged or resolution=llm",
    ),
    Use(
        ("world",),
        worldly,
        "it is of invented sessions (data=synthetic) and of the simulated model (endpoint=simulated)",
    ),
    Use(
        tuple(f"noise.{name}" for name in UNKIND),
        simulated,
        "no simulated model labels: it needs endpoint=simulated, and sessions",
    ),
    Use(
        ("noise.second_taken", "noise.combined"),
        lambda c: c.data.source == "store" or c.data.several > 0,
        "no session has a second matter: add data.several=0.2 or so",
    ),
    Use(("reader",), lambda c: c.endpoint == "offline", "nobody reads: add endpoint=offline"),
    Use(
        ("request.headers", "request.query", "embeddings.endpoint"),
        lambda c: c.endpoint not in IN_PROCESS,
        "nothing is sent: add endpoint=openai or a URL",
    ),
)

OF_SWEEPS = ("report.", "seeds", "quick", "hydra.sweep", "hydra/sweeper", "hydra.launcher", "hydra/launcher")
"""Settings of many runs together."""


def check_used(
    given: Sequence[str], configs: Sequence[Config], *, many: bool = False, planned: bool = False
) -> None:
    """Raise ConfigurationError if one of the overrides would have no effect on any of the configurations.

    `many`: they are the runs of a sweep; `planned`: they are only planned, at the simulated model's pace.
    """
    for override in given:
        key = key_of(override)
        if key.startswith(OF_SWEEPS) and not many:
            raise idle(override, "it is of sweeps: add -m, or an experiment=...")
        if key == "hydra.run.dir" and many:
            raise idle(override, "a sweep has a folder per run: give hydra.sweep.dir=...")
        field = key.removeprefix("vocabulary.fixed.").partition(".")[0]
        known = {name for config in configs for name in config.schema.records().names}
        if key.startswith("vocabulary.fixed.") and field not in known:
            raise idle(override, f"there is no label field {field!r}; there are {', '.join(sorted(known))}")
        for use in USES:
            if planned and use.keys[0] in ("noise", "latency"):
                continue
            if concerns(use, key) and not any(use.used(config) for config in configs):
                raise idle(override, use.otherwise)


def repeated(given: Sequence[str]) -> list[str]:
    """A warning for each setting that is given more than once: the last one holds, as in scripts that add to
    settings of their own, but it is said. Raises ConfigurationError for one that is taken away."""
    for override in given:
        if override.startswith("~"):
            raise ConfigurationError(f"{override}: no setting can be taken away; give it a value instead")
    last = {key_of(override): override for override in given if "=" in override}
    counted = Counter(key_of(override) for override in given if "=" in override)
    return [f"{key} is given {times} times: {last[key]} holds" for key, times in counted.items() if times > 1]


def key_of(override: str) -> str:
    """The key of an override, without the signs before it; of one that puts a group elsewhere, where."""
    key, _, elsewhere = override.partition("=")[0].lstrip("+~").partition("@")
    return elsewhere if key == "model" and elsewhere else key


def concerns(use: Use, key: str) -> bool:
    """Whether a key is one of those, or one inside a group of those."""
    return any(key == name or key.startswith(name.rstrip(".") + ".") for name in use.keys)


def idle(override: str, why: str) -> ConfigurationError:
    """What is said of a setting without effect."""
    return ConfigurationError(f"{override} would have no effect: {why}")
