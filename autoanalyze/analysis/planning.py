"""What a run would take, before anything is sent: calls, tokens, cost and time."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import typer

from autoanalyze.analysis.catalogue import ending
from autoanalyze.analysis.configuration import sequential
from autoanalyze.analysis.sessions import sampled
from autoanalyze.config import Config
from autoanalyze.data.store import Store
from autoanalyze.errors import ConfigurationError
from autoanalyze.llm.connection import rate_limits, token_management
from autoanalyze.llm.tokens import COMPLETION_TOKENS_PER_SESSION, TokenCounter, TokenManagement
from autoanalyze.phases.discovery import size_of_discovery
from autoanalyze.phases.duplicates.opinions import MOST_OPINIONS
from autoanalyze.phases.merge_check import can_be_tried, sample_size
from autoanalyze.phases.parallel import call_size, first_call, smallest_call
from autoanalyze.phases.probes import PROBES_PER_CALL
from autoanalyze.phases.second_look import MOST_PER_CALL as SECOND_LOOKS_PER_CALL
from autoanalyze.phases.second_look import most_looks
from autoanalyze.records import Session, Usage
from autoanalyze.study.efficiency import rate_limit_seconds

VOCABULARY_TOKENS = 600
"""Known labels in a prompt, as a mean over a run: about 100 labels by its end on synthetic sessions."""

JUDGE_LABELS = 60
JUDGE_TOKENS_PER_LABEL, JUDGE_REPLY_TOKENS_PER_LABEL = 8, 2

ROUND_FACTOR = 1.5
"""How much longer a round of several streams takes than one call: it waits for its slowest."""

LAST_CALL_SECONDS = 5.0
"""How long streams without a barrier wait for the last of them, and the ramp costs, roughly."""

TAIL_MEAN = 2.0
"""How much longer a call in the heavy tail takes on average, as a share."""

JUDGE_SECONDS = 3.0
"""The judge's looks, side by side."""

UPPER_PROMPT, UPPER_RETRIES = 1.25, 1.15
"""Of the upper bound: prompts a quarter longer than counted, and 15 % of the calls made again."""


RARE, DISPUTED = 0.4, 0.25
"""Sessions with a rare label, as a share of all, and how many of those looked at again a third look is at: 20
to 65 %, and a quarter, of 1,000 in simulated worlds."""

CODEBOOK_LOOKS, LINE_TOKENS = 0.15, 16
"""With a codebook: the share of sessions looked at again besides, and the tokens of each name's line."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would take. `seconds` is the longer of working time and what the rate limits allow."""

    model: str
    sessions: int
    discovery_calls: int
    parallel_calls: int
    judge_calls: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float
    cost_upper_usd: float
    working_seconds: float
    limit_seconds: float | None
    source: str
    """Where prices and limits come from."""
    latency: str
    """Whose latency the time rests on."""
    warning: str | None
    """What to know of the models before paying for them: the day on which one ends."""
    judge: str | None = None
    """The judge's model, if it has one of its own."""

    @property
    def calls(self) -> int:
        """All calls."""
        return self.discovery_calls + self.parallel_calls + self.judge_calls

    @property
    def seconds(self) -> float:
        """How long the run will take."""
        return max(self.working_seconds, self.limit_seconds or 0.0)


def plan_run(config: Config, store: Store, counter: TokenCounter) -> Plan:
    """Plan a run from metadata, without contacting anything.

    Completions are taken at 80 tokens a session, nothing as cached, speeds as in the noise
    configuration (published medians). The upper bound has every completion at its limit. Probes, further
    looks and repetitions are in it, a baseline is not.
    """
    effective = sequential(config) if config.sync == "sequential" else config
    sessions, _ = sampled(effective, store)
    limits = rate_limits(effective)
    tokens = token_management(effective, counter, limits.tokens_per_minute)
    first = size_of_discovery(effective.discovery, len(sessions))
    discovery = batches(tokens, sessions[:first], effective.discovery.sessions_per_call)
    parallel = [
        part
        for batch in dealt(effective, sessions[first:], tokens)
        for part in batches(tokens, batch, effective.parallel.sessions_per_stream)
    ]
    probes = sessions[: round(effective.probe_share * len(sessions))]
    unaided = sessions[: round(effective.unaided_share * len(sessions))]
    for probed in (probes, unaided):
        parallel += batches(tokens, probed, PROBES_PER_CALL)
    again = sessions[: looked_at_again(effective, len(sessions))]
    parallel += batches(tokens, again, SECOND_LOOKS_PER_CALL)
    fields = len(effective.schema.records().open_names)
    codebook, themes = effective.vocabulary.codebook, effective.vocabulary.themes
    judged = fields * (looks(effective) + 2 * codebook + themes)
    labelling = [*discovery, *parallel]
    overhead = tokens.overhead_tokens + VOCABULARY_TOKENS
    overhead += codebook * fields * JUDGE_LABELS // 2 * LINE_TOKENS
    asked = [*sessions, *probes, *unaided, *again]
    prompt = sum(session.token_count for session in asked) + len(labelling) * overhead
    completion = len(asked) * COMPLETION_TOKENS_PER_SESSION
    limit = sum(tokens.completion_limit(len(batch)) for batch in labelling)
    # A short run has fewer names to be judged.
    shown = judged * min(JUDGE_LABELS, len(sessions) // 2)
    judging = Usage(shown * JUDGE_TOKENS_PER_LABEL, 0, shown * JUDGE_REPLY_TOKENS_PER_LABEL)
    judge = effective.resolution.model
    judging_tokens = tokens if judge is None else token_management(effective, counter, None, judge)
    times, calls = effective.repeat, len(labelling) + judged
    cost = tokens.calculate_cost_estimate(Usage(prompt, 0, completion), len(labelling))
    cost += judging_tokens.calculate_cost_estimate(judging, judged)
    upper = tokens.calculate_cost_estimate(Usage(round(prompt * UPPER_PROMPT), 0, limit), len(labelling))
    upper += judging_tokens.calculate_cost_estimate(
        Usage(round(judging.prompt * UPPER_PROMPT), 0, shown * 10), judged
    )
    prompt, completion = prompt + judging.prompt, completion + judging.completion
    return Plan(
        effective.model.name,
        len(sessions),
        len(discovery) * times,
        len(parallel) * times,
        judged * times,
        prompt * times,
        completion * times,
        cost * times,
        upper * UPPER_RETRIES * times,
        working_seconds(effective, discovery, parallel) * times,
        rate_limit_seconds(
            (prompt + completion) * times,
            calls * times,
            tokens_per_minute=limits.tokens_per_minute,
            requests_per_minute=limits.requests_per_minute,
        ),
        effective.model.source if judge is None else f"{effective.model.source}; judge: {judge.source}",
        latency_told(effective),
        " ".join(filter(None, map(ending, filter(None, (effective.model, judge))))) or None,
        None if judge is None else judge.name,
    )


def looked_at_again(config: Config, sessions: int) -> int:
    """Further looks: at rare labels, at merged ones, and at what a codebook is in doubt of (in any case)."""
    again = CODEBOOK_LOOKS * sessions * config.vocabulary.codebook
    if config.passes > 1:
        rare = most_looks(config.second_look, sessions) if config.second_look.rare_share else 0
        merged = sample_size(sessions) * len(config.schema.records().open_names)
        trying = config.second_look.try_merges and can_be_tried(config)
        again += min(RARE * sessions, rare) + merged * trying
    return round(min(again, sessions // 2) * (1 + DISPUTED * (config.passes > 2)))


def latency_told(config: Config) -> str:
    """Whose latency a plan assumes."""
    noise = config.noise
    return (
        f"that of the simulated model ({noise.first_token_seconds:g} s to the first token, then "
        f"{noise.tokens_per_second:g} tokens/s, as published for small models), not measured with "
        f"{config.model.name}; `autoanalyze calibrate RUN` fits it to a live run"
    )


def looks(config: Config) -> int:
    """How often the judge looks at the labels of a field, if they are as few as expected: at the end, and
    before that while the last calls are answered. Many labels are asked about in more and smaller questions,
    which take about as many tokens."""
    resolution = config.resolution
    on_the_way = resolution.every_labels is not None or resolution.every_rounds is not None
    return (1 + on_the_way) * {"llm": resolution.opinions, "judged": MOST_OPINIONS}.get(resolution.mode, 0)


def batches(tokens: TokenManagement, sessions: Sequence[Session], share: int | None) -> list[list[Session]]:
    """The calls that these sessions would be packed into."""
    return tokens.split_sessions_into_batches(sessions, vocabulary_tokens=VOCABULARY_TOKENS, share=share)


def dealt(config: Config, sessions: Sequence[Session], tokens: TokenManagement) -> list[Sequence[Session]]:
    """The sessions as the schedule would deal them, as far as that can be known before.

    Adaptive discovery is taken to double its calls with every round of all streams.
    """
    if config.sync in ("rounds", "sequential"):
        return [sessions] if sessions else []
    streams, most = config.parallel.streams, tokens.item_cap(config.parallel.sessions_per_stream)
    smallest, first = smallest_call(config.parallel), first_call(config.parallel)
    ramp = float(min(most, first) if config.discovery.mode == "adaptive" else most)
    parts: list[Sequence[Session]] = []
    taken = 0
    while taken < len(sessions):
        left = len(sessions) - taken
        size = call_size(left, round(ramp), smallest, streams=streams, taper=config.parallel.taper)
        parts.append(sessions[taken : taken + size])
        taken += size
        ramp = min(float(most), ramp * (1 + 1 / streams))
    return parts


def working_seconds(
    config: Config, discovery: Sequence[Sequence[Session]], parallel: Sequence[Sequence[Session]]
) -> float:
    """Discovery in sequence, then all streams, in rounds or without, then the judge."""
    noise, streams = config.noise, config.parallel.streams
    slower = (1 + TAIL_MEAN * noise.latency_tail) * (1 + noise.latency_crowding * (streams - 1))

    def call(batch: Sequence[Session]) -> float:
        completion = len(batch) * COMPLETION_TOKENS_PER_SESSION
        return slower * (noise.first_token_seconds + completion / noise.tokens_per_second)

    if config.sync in ("continuous", "none"):  # nobody waits for anybody but at the end
        working = sum(map(call, parallel)) / streams + LAST_CALL_SECONDS
    else:
        rounds = math.ceil(len(parallel) / streams)
        mean = sum(map(call, parallel)) / len(parallel) if parallel else 0.0
        working = rounds * mean * (ROUND_FACTOR if streams > 1 else 1.0)
    return sum(map(call, discovery)) + working + JUDGE_SECONDS


def ask_before_spending(most_usd: float, limit_usd: float, what: str) -> None:
    """Ask whether to go on, if `what` may cost more than the limit; a no ends the command.

    Raises ConfigurationError where nobody can be asked: a script must say --yes.
    """
    if most_usd <= limit_usd:
        return
    question = f"{what} may cost up to {most_usd:.2f} USD. Go on?"
    if not sys.stdin.isatty():
        raise ConfigurationError(
            f"{question} Give --yes, a budget_usd=..., or a higher confirm_above_usd=..."
        )
    if not typer.confirm(question):
        raise typer.Exit(0)
