"""Tokens: how many a text has, how many sessions fit into a call, and what they cost."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import tiktoken

from autoanalyze.config import ModelConfig
from autoanalyze.errors import ConfigurationError
from autoanalyze.records import Session, SessionText, Usage

BYTES_PER_TOKEN = 4
"""Bytes of UTF-8 per token of the estimate. Measured with o200k_base on real dialogues: 3.96 on STAR,
4.18 on tau-bench, so the estimate is within 5 % on English chat."""

DOWNLOAD_SECONDS = 5.0
"""tiktoken fetches an encoding on first use and knows no time-out: this is ours."""

COMPLETION_TOKENS_PER_SESSION = 80
"""What one session's facts take at most times, notes included: planned for, not enforced. Simulated runs
take 44 with known labels by number, 51 with labels spelled out."""

COMPLETION_ALLOWANCE = 3
"""The output limit of a call is this many times what is expected, so that a chatty model is not cut off."""

SHORTEST_TRANSCRIPT = 64
"""Tokens that are left of a transcript at least."""

CUT_MARKER = "\n[... {count:,} characters left out ...]\n"


class TokenCounter(Protocol):
    """Counts tokens; `name` goes into the record of a run. Counters that count alike are equal."""

    @property
    def name(self) -> str:
        """What counts: an encoding, or `estimate`."""
        ...

    def count(self, text: str) -> int:
        """Tokens of a text."""
        ...

    def __hash__(self) -> int:
        """The same for equal counters."""
        ...


@dataclass(frozen=True, slots=True)
class Estimate:
    """Counts a token per four bytes: no file, no network, the same on every machine."""

    name = "estimate"

    def count(self, text: str) -> int:
        """Tokens of a text, rounded up."""
        return math.ceil(len(text.encode("utf-8", "replace")) / BYTES_PER_TOKEN)


@dataclass(frozen=True, slots=True)
class TiktokenCounter:
    """Counts with the encoding of the model."""

    encoding: tiktoken.Encoding

    @property
    def name(self) -> str:
        """The name of the encoding."""
        return self.encoding.name

    def count(self, text: str) -> int:
        """Tokens of a text; what looks like a special token is counted as plain text."""
        return len(self.encoding.encode(text, disallowed_special=()))


@cache  # an encoding that cannot be had is waited for once
def load_counter(encoding: str, mode: str) -> TokenCounter:
    """The counter for `mode`: `tiktoken`, or `estimate`, which never touches the network.

    With `tiktoken`, an encoding that cannot be had within five seconds falls back to the
    estimate, which the counter's `name` then says. Raises ConfigurationError for an encoding
    that tiktoken does not know.
    """
    if mode == "estimate":
        return Estimate()
    if encoding not in tiktoken.list_encoding_names():
        raise ConfigurationError(
            f"model.encoding={encoding} is unknown; tiktoken has {', '.join(tiktoken.list_encoding_names())}"
        )
    loaded: list[tiktoken.Encoding] = []

    def load() -> None:
        try:
            loaded.append(tiktoken.get_encoding(encoding))
        except OSError:  # no network and no file: requests' errors are OSErrors; the estimate takes over
            return

    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    thread.join(DOWNLOAD_SECONDS)
    return TiktokenCounter(loaded[0]) if loaded else Estimate()


def schema_text(response_format: object) -> str:
    """The schema of a `response_format` as a model reads it, nothing if there is none.

    A provider puts it before the messages (OpenAI: "a prefix to the system message") and bills it as part of
    the prompt, so it is counted wherever a prompt is, and another schema is another prefix to its cache.
    """
    form = response_format.get("json_schema") if isinstance(response_format, Mapping) else None
    schema = form.get("schema") if isinstance(form, Mapping) else None
    return "" if schema is None else json.dumps(schema, ensure_ascii=False, separators=(",", ":"))


def count_with(counter: TokenCounter) -> Callable[[Sequence[str]], list[int]]:
    """A counter of many texts, as the store wants it."""
    return lambda texts: [counter.count(text) for text in texts]


@dataclass(frozen=True, slots=True)
class TokenEstimate:
    """What labelling some sessions would take: tokens of all calls together, cost in USD."""

    prompt_tokens: int
    completion_tokens: int
    recommended_batch_size: int
    needs_splitting: bool
    cost_usd: float


class TokenManagement:
    """Decides how many sessions a call holds, cuts what does not fit at all, and prices usage.

    `overhead_tokens` are those of the instructions and of the reply's schema; `tokens_per_minute` is the
    provider's limit, of which each of `streams` streams plans to use its share. `embedding_price` is USD per
    million tokens of embedded texts.
    """

    def __init__(
        self,
        model: ModelConfig,
        counter: TokenCounter,
        *,
        overhead_tokens: int,
        streams: int = 1,
        tokens_per_minute: int | None = None,
        batch_size: int | None = None,
        embedding_price: float = 0.0,
        output_per_session: int = COMPLETION_TOKENS_PER_SESSION,
    ) -> None:
        self.model = model
        self.counter = counter
        self.overhead_tokens = overhead_tokens
        self._minute_share = None if tokens_per_minute is None else tokens_per_minute // streams
        self._batch_size = batch_size
        self.prices = known_prices(model)
        self._embedding_price = embedding_price
        self._output_per_session = output_per_session
        self._stretch = 1.0

    def item_cap(self, share: int | None = None) -> int:
        """Sessions per call as far as counting goes: the stream's share, the model's cap, or `batch_size`."""
        if self._batch_size is not None:
            return self._batch_size
        return self.model.item_cap if share is None else min(share, self.model.item_cap)

    def completion_limit(self, sessions: int) -> int:
        """The output limit that a call of so many sessions is planned with."""
        allowance = COMPLETION_ALLOWANCE * self._output_per_session * sessions
        return min(allowance, self.model.output_limit)

    def room(self, limit: int) -> int:
        """The output limit to ask for where `limit` is planned: more, if replies turned out longer.

        What was learnt changes no packing, so that a resumed run makes the same calls.
        """
        return min(math.ceil(limit * self._stretch), self.model.output_limit)

    def learn(self, limit: int, room: int, completion: int, *, cut_off: bool) -> None:
        """Learn from a reply to a call planned with `limit` and sent with `room`: one that was cut off needs
        twice as much, and one that came near its limit half as much again as it took."""
        needed = 2 * room if cut_off else 1.5 * completion
        self._stretch = max(self._stretch, min(needed, self.model.output_limit) / max(1, limit))

    def expected_completion(self, sessions: int) -> int:
        """Completion tokens that a call of so many sessions will probably take."""
        return self._output_per_session * sessions

    def prompt_allowance(self, sessions: int, vocabulary_tokens: int) -> int:
        """Tokens that the transcripts of a call may take: context and minute share less all the rest."""
        hard = self.model.context_window - self.completion_limit(sessions)
        if self._minute_share is not None:
            hard = min(hard, max(self._minute_share, 1))
        return hard - self.overhead_tokens - vocabulary_tokens

    def calculate_max_sessions_per_call(
        self, tokens_per_session: float, *, vocabulary_tokens: int = 0, share: int | None = None
    ) -> int:
        """The largest call that all limits allow for sessions of this average length; at least 1."""
        output = self.model.output_limit // self._output_per_session
        size = max(1, min(self.item_cap(share), output))
        while size > 1 and size * tokens_per_session > self.prompt_allowance(size, vocabulary_tokens):
            size -= 1
        return size

    def split_sessions_into_batches(
        self, sessions: Sequence[Session], *, vocabulary_tokens: int = 0, share: int | None = None
    ) -> list[list[Session]]:
        """The sessions in order, in calls that respect every limit. A session is never left out:
        one that fits no call stands alone (`shorten` makes it fit)."""
        largest = self.calculate_max_sessions_per_call(0, share=share)
        batches: list[list[Session]] = []
        tokens = 0
        for session in sessions:
            current = batches[-1] if batches else []
            room = self.prompt_allowance(len(current) + 1, vocabulary_tokens)
            if not current or len(current) >= largest or tokens + session.token_count > room:
                batches.append([session])
                tokens = session.token_count
            else:
                current.append(session)
                tokens += session.token_count
        return batches

    def shorten(self, session_id: str, text: str, vocabulary_tokens: int = 0) -> SessionText:
        """A transcript that fits into a call of its own: its middle is replaced by a marker if it must."""
        # A quarter in reserve, since the prompt holds the text JSON-encoded, which is longer.
        allowance = self.prompt_allowance(1, vocabulary_tokens) * 3 // 4
        return self.shorten_to(session_id, text, allowance)

    def shorten_to(self, session_id: str, text: str, allowance: int) -> SessionText:
        """A transcript of at most `allowance` tokens, or of 64, whose middle is cut out if it must be."""
        allowance = max(SHORTEST_TRANSCRIPT, allowance)
        tokens = self.counter.count(text)
        if tokens <= allowance:
            return SessionText(session_id, text, tokens)
        kept, cut = len(text), text
        while tokens > allowance and kept > 1:
            kept = int(kept * min(0.95, allowance / tokens))
            marker = CUT_MARKER.format(count=len(text) - kept)
            cut = text[: kept // 2] + marker + text[len(text) - kept // 2 :]
            tokens = self.counter.count(cut)
        return SessionText(session_id, cut, tokens, shortened=True)

    def estimate_token_usage(self, sessions: Sequence[Session], vocabulary_tokens: int = 0) -> TokenEstimate:
        """What labelling `sessions` in the largest allowed calls would take, nothing cached."""
        batches = self.split_sessions_into_batches(sessions, vocabulary_tokens=vocabulary_tokens)
        transcripts = sum(session.token_count for session in sessions)
        usage = Usage(
            prompt=transcripts + len(batches) * (self.overhead_tokens + vocabulary_tokens),
            completion=len(sessions) * self._output_per_session,
        )
        size = self.calculate_max_sessions_per_call(
            transcripts / max(1, len(sessions)), vocabulary_tokens=vocabulary_tokens
        )
        cost = self.calculate_cost_estimate(usage, calls=len(batches))
        return TokenEstimate(usage.prompt, usage.completion, size, len(batches) > 1, cost)

    def calculate_cost_estimate(self, usage: Usage, calls: int = 1) -> float:
        """USD of a usage at the model's prices; cached prompt tokens and embeddings at their own price.

        Some models are dearer for calls with long prompts: of several `calls` together, the mean counts.
        """
        prompt, cached, completion = self.prices
        for tier in self.model.price_tiers:
            if usage.prompt > tier.above * calls:
                prompt, cached, completion = tier.prompt, tier.cached, tier.completion
        fresh = usage.prompt - usage.cached
        labelling = fresh * prompt + usage.cached * cached + usage.completion * completion
        return (labelling + usage.embedded * self._embedding_price) / 1_000_000

    def cost_of_calls(self, usages: Iterable[Usage]) -> float:
        """USD of calls, each at the price for prompts of its length."""
        starts = [tier.above for tier in self.model.price_tiers]
        groups: dict[int, list[Usage]] = {}
        for usage in usages:
            groups.setdefault(sum(usage.prompt > start for start in starts), []).append(usage)
        return sum(self.calculate_cost_estimate(sum(group, Usage()), len(group)) for group in groups.values())


def known_prices(model: ModelConfig, key: str = "model") -> tuple[float, float, float]:
    """USD per million tokens: prompt, cached prompt, completion. `key` is where the model is configured.

    Raises ConfigurationError when one is not set: an unknown price is not a price of nothing.
    """
    prices = []
    for name in ("price_prompt", "price_cached", "price_completion"):
        price = getattr(model, name)
        if price is None:
            raise ConfigurationError(
                f"{key}.{name} is not set for {model.name}: give {key}.{name}=... in USD per million tokens "
                "(0 for a model that costs nothing)"
            )
        prices.append(float(price))
    return prices[0], prices[1], prices[2]
