"""calibrate: what the simulated model would have to be like to behave as a live run did.

Fitted are drift (how often a known label is reused), omission and latency, all from what a run
leaves behind: journal, sessions, labels. Truth is not looked at, and mostly not there. Confusion and
the judge's errors cannot be told without it and stay as they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import nnls

from autoanalyze.analysis.configuration import restored
from autoanalyze.config import Config, NoiseConfig
from autoanalyze.errors import ReplyError, RunFolderError
from autoanalyze.llm.audit import read_lines
from autoanalyze.llm.prompts import AnalysisPrompt
from autoanalyze.records import VocabularySnapshot
from autoanalyze.simulation.model import omission_rate
from autoanalyze.study.runs import Run

FEWEST_CALLS = 20
"""Calls below which nothing is fitted: three latency parameters need more than a handful."""

FEWEST_CHOICES = 20
"""Choices among several known labels below which nothing is said of them."""

OMISSION_SIZES = (1, 10, 20, 50)
DRAWS = 4_000


@dataclass(frozen=True, slots=True)
class Calibration:
    """The fitted `noise`, and what each part of it rests on."""

    noise: NoiseConfig
    calls: int
    sessions_asked: int
    sessions_omitted: int
    labels_reusable: int
    labels_reused: int

    def as_yaml(self) -> str:
        """A file for configs/noise: every parameter that is not off, and where the figures come from."""
        lines = [
            f"# Fitted by `autoanalyze calibrate` to a run of {self.calls:,} calls:",
            f"# {self.sessions_omitted:,} of {self.sessions_asked:,} sessions were omitted,",
            f"# {self.labels_reused:,} of {self.labels_reusable:,} known labels reused.",
            "# Confusion and the judge's errors cannot be seen without truth: they are as before.",
        ]
        settings = [(each, getattr(self.noise, each.name)) for each in fields(self.noise)]
        lines += [f"{each.name}: {value:.6g}" for each, value in settings if value or each.default]
        return "\n".join(lines) + "\n"


def calibrate(run: Run) -> Calibration:
    """Fit the noise to a finished run; what cannot be fitted keeps the value of the run's configuration.

    Raises RunFolderError for a run of fewer than 20 calls.
    """
    if len(run.calls) < FEWEST_CALLS:
        raise RunFolderError(
            f"{run.path} has {len(run.calls)} calls: at least {FEWEST_CALLS} are needed to fit anything"
        )
    config = restored(run.record["config"])
    noise = with_latency(config.noise, run.calls)
    asked, omitted, expected = omissions(run, config)
    # Half an omission on both sides: few calls without any do not say that it never happens.
    factor = (omitted + 0.5) / (expected + 0.5)
    names = [f"omission_at_{size}" for size in OMISSION_SIZES]
    noise = replace(noise, **{name: min(1.0, getattr(noise, name) * factor) for name in names})
    reusable, reused, reuse, earliest = drift(run, noise)
    noise = replace(noise, reuse=noise.reuse if reuse is None else reuse)
    noise = replace(noise, earliest=noise.earliest if earliest is None else earliest)
    return Calibration(noise, len(run.calls), asked, omitted, reusable, reused)


def with_latency(noise: NoiseConfig, calls: pl.DataFrame) -> NoiseConfig:
    """Time to first token, output speed, prompt speed and spread from the calls' durations.

    Seconds are a + p * prompt + c * completion in the mean (non-negative least squares, each call
    weighted by what it should vary). Prompt and completion grow together with the batch, so that the
    prompt's speed is told less surely than the rest. First token and output speed are log-normal around
    medians, whose mean is exp(s^2 / 2) times the median; s follows from what the fit leaves over. Calls
    that waited for a rate limit inside the provider count as slow ones.
    """
    seconds = (calls["end"] - calls["start"]).to_numpy()
    tokens = [calls[name].to_numpy() for name in ("prompt", "completion")]
    columns = np.column_stack([np.ones(len(calls)), *tokens])
    weights = np.ones(len(calls))
    first, prompt, completion = 0.0, 0.0, 0.0
    for _ in range(5):
        first, prompt, completion = nnls(columns * weights[:, None], seconds * weights)[0]
        weights = 1 / np.sqrt(first**2 + (completion * columns[:, 2]) ** 2 + 1e-9)
    varying = first**2 + (completion * columns[:, 2]) ** 2
    left_over = seconds - columns @ np.array([first, prompt, completion])
    # Var = (first^2 + (c C)^2) (exp(s^2) - 1), of means, not medians.
    spread = float(np.sqrt(np.log1p((left_over**2).sum() / max(varying.sum(), 1e-9))))
    shrink = float(np.exp(-(spread**2) / 2))
    return replace(
        noise,
        first_token_seconds=float(first) * shrink,
        tokens_per_second=1 / (float(completion) * shrink) if completion > 0 else noise.tokens_per_second,
        prompt_tokens_per_second=1 / float(prompt) if prompt > 0 else noise.prompt_tokens_per_second,
        latency_sigma=spread,
    )


def omissions(run: Run, config: Config) -> tuple[int, int, float]:
    """Sessions asked for, those missing from whole replies, and how many the configured rates expect."""
    prompt = AnalysisPrompt(config.schema.records(), reply=config.reply)
    asked, omitted, expected = 0, 0, 0.0
    for call in read_lines(run.path / "calls.jsonl")[0]:
        if call["event"] != "answered" or call["kind"] != "analyze" or call["finish_reason"] != "stop":
            continue
        try:
            rows = prompt.parse_reply(call["reply"], VocabularySnapshot())
        except ReplyError:
            continue
        keys = {row.key for row in rows}
        size = len(call["session_ids"])
        asked += size
        omitted += sum(f"s{number}" not in keys for number in range(1, size + 1))
        expected += size * omission_rate(config.noise, size)
    return asked, omitted, expected


def drift(run: Run, noise: NoiseConfig) -> tuple[int, int, float | None, float | None]:
    """Answers for which a label of the same meaning was known, those that reused one, and the two rates.

    Labels mean the same if the run merged them. A coined name may happen to be a known one, so that the
    rate of reuse is somewhat below what is seen; how often is taken from the simulated model's own way
    of coining.
    """
    reusable, reused, several, earliest, by_chance = 0, 0, 0, 0, 0.0
    chances = chance_of_known(noise.paraphrases)
    on_the_way = set(run.merges.filter(pl.col("merged") & (pl.col("round") > 0))["canonical"])
    for (field,), labels in run.labels.group_by("field", maintain_order=True):
        version = dict(zip(labels["label"], labels["version"], strict=True))
        canonical = dict(zip(labels["label"], labels["canonical"], strict=True))
        groups: dict[str, list[str]] = {}
        for label in labels.sort("arrival")["label"]:
            groups.setdefault(canonical[label], []).append(label)
        answers = run.sessions.select(pl.col(f"{field}_first").alias("label"), "vocabulary_version")
        for label, seen in answers.drop_nulls("label").rows():
            known = [name for name in groups[canonical[label]] if version[name] <= seen]
            if not known:
                continue
            reusable += 1
            reused += label in known
            by_chance += chances[min(len(known), len(chances)) - 1]
            # Where aliases were withdrawn on the way, several known labels were not several shown ones.
            if label in known and len(known) > 1 and canonical[label] not in on_the_way:
                several += 1
                earliest += label == known[0]
    if reusable == 0:
        return 0, 0, None, None
    share, chance = reused / reusable, by_chance / reusable
    reuse = max(0.0, (share - chance) / (1 - chance)) if chance < 1 else share
    return reusable, reused, reuse, earliest / several if several >= FEWEST_CHOICES else None


def chance_of_known(paraphrases: int) -> Sequence[float]:
    """How likely a coined name is among 1, 2, ... known ones, all coined by Zipf's law alike."""
    weights: NDArray[np.float64] = 1 / np.arange(1, paraphrases + 1)
    weights = weights / weights.sum()
    generator = np.random.default_rng(0)
    # Gumbel-max: the order of keys is a draw without replacement.
    keys = np.log(weights) + generator.gumbel(size=(DRAWS, paraphrases))
    known = weights[np.argsort(-keys, axis=1)]
    return list(map(float, np.cumsum(known, axis=1).mean(axis=0)))
