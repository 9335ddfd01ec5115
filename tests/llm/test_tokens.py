"""How many sessions fit into a call, and what they cost."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import MODEL, make_sessions, make_tokens
from hypothesis import given
from hypothesis import strategies as st

from autoanalyze.analysis.configuration import compose
from autoanalyze.config import PriceTier
from autoanalyze.errors import ConfigurationError
from autoanalyze.llm.tokens import Estimate, TokenManagement, load_counter
from autoanalyze.records import Session, Usage


def sessions_of(lengths: list[int]) -> list[Session]:
    return [replace(s, token_count=n) for s, n in zip(make_sessions(len(lengths)), lengths, strict=True)]


@pytest.mark.parametrize(("model", "size"), [("gpt-4o-mini", 20), ("gpt-4.1", 50)])
def test_design_batch_sizes(model: str, size: int) -> None:
    """Without a minute limit, calls of 1,500-token sessions hold 20, and the design's 50 for gpt-4.1."""
    for overrides, sessions in (([], 20), (["preset=design"], size)):
        tokens = TokenManagement(
            compose([f"model={model}", *overrides]).model, Estimate(), overhead_tokens=500
        )
        assert tokens.calculate_max_sessions_per_call(1500) == sessions


def test_long_prompts_have_a_price_of_their_own() -> None:
    """Of several calls each is priced by its own length, and of a sum of calls their mean length counts."""
    long = PriceTier(above=100_000, prompt=10.0, cached=5.0, completion=20.0)
    tokens = TokenManagement(replace(MODEL, price_tiers=[long]), Estimate(), overhead_tokens=0)
    short, dear = Usage(100_000, 0, 1_000), Usage(100_001, 0, 1_000)
    assert tokens.calculate_cost_estimate(short) == pytest.approx(0.102)
    assert tokens.calculate_cost_estimate(dear) == pytest.approx(1.02001)
    assert tokens.cost_of_calls([short, dear, short]) == pytest.approx(2 * 0.102 + 1.02001)
    assert tokens.calculate_cost_estimate(short + short, calls=2) == pytest.approx(0.204)


@given(
    st.lists(st.integers(1, 40_000), max_size=40),
    st.none() | st.integers(1, 60),
    st.none() | st.integers(1, 60),
    st.integers(0, 100_000),
)
def test_batches_deal_every_session_once_and_respect_limits(
    lengths: list[int], share: int | None, batch_size: int | None, vocabulary_tokens: int
) -> None:
    """Batches keep all sessions in order, none is empty, and none but a lone giant exceeds a limit."""
    tokens = make_tokens(batch_size=batch_size)
    sessions = sessions_of(lengths)
    batches = tokens.split_sessions_into_batches(sessions, vocabulary_tokens=vocabulary_tokens, share=share)
    assert [s for batch in batches for s in batch] == sessions
    for batch in batches:
        assert 1 <= len(batch) <= tokens.item_cap(share)
        room = tokens.prompt_allowance(len(batch), vocabulary_tokens)
        assert len(batch) == 1 or sum(s.token_count for s in batch) <= room


def test_batch_size_overrides_the_item_cap_but_no_hard_limit() -> None:
    """`batch_size` may go beyond what the model is trusted with, never beyond what it can hold."""
    tokens = make_tokens(batch_size=100)
    assert tokens.calculate_max_sessions_per_call(10, share=4) == 100
    assert tokens.calculate_max_sessions_per_call(5_000) < 25
    assert make_tokens(batch_size=1000).calculate_max_sessions_per_call(1) <= MODEL.output_limit


def test_minute_limit_is_shared_by_the_streams() -> None:
    """A stream plans no call larger than its part of the tokens per minute."""
    alone = make_tokens(tokens_per_minute=20_000, streams=1).calculate_max_sessions_per_call(1_000)
    shared = make_tokens(tokens_per_minute=20_000, streams=4).calculate_max_sessions_per_call(1_000)
    assert alone > shared >= 1


def test_growing_vocabulary_makes_calls_smaller() -> None:
    """What the labels take is not there for transcripts."""
    tokens = make_tokens()
    roomy = tokens.calculate_max_sessions_per_call(6_000)
    assert tokens.calculate_max_sessions_per_call(6_000, vocabulary_tokens=60_000) < roomy


@given(st.integers(1, 400), st.integers(0, 500_000))
def test_shortened_text_fits_and_says_so(words: int, vocabulary_tokens: int) -> None:
    """A transcript too long for the context is cut in its middle, visibly; others are untouched."""
    tokens = make_tokens()
    text = "user: begin " + "word " * words * 1_500 + "end"
    cut = tokens.shorten("a", text, min(vocabulary_tokens, 100_000))
    assert cut.tokens == Estimate().count(cut.text)
    if cut.shortened:
        assert cut.tokens <= tokens.prompt_allowance(1, min(vocabulary_tokens, 100_000))
        assert cut.text.startswith("user: begin")
        assert cut.text.endswith("end")
        assert "characters left out" in cut.text
    else:
        assert cut.text == text


def test_ten_megabytes_are_shortened() -> None:
    """A transcript of 10 MB goes into a call as what fits."""
    cut = make_tokens().shorten("a", "user: " + "x" * 10_000_000)
    assert cut.shortened
    assert cut.tokens < MODEL.context_window


def test_cost_counts_cached_tokens_at_their_own_price() -> None:
    """1 M prompt tokens of which 400 k were cached, and 1 M completion tokens, at 1 / 0.5 / 2 USD."""
    cost = make_tokens().calculate_cost_estimate(Usage(1_000_000, 400_000, 1_000_000))
    assert cost == pytest.approx(0.6 + 0.2 + 2.0)


def test_unknown_price_is_an_error_that_says_what_to_set() -> None:
    """A model without a price is not taken to be free."""
    with pytest.raises(ConfigurationError, match=r"model\.price_cached is not set"):
        TokenManagement(replace(MODEL, price_cached=None), Estimate(), overhead_tokens=0)


def test_estimate_of_a_run_says_whether_it_must_be_split() -> None:
    """Usage counts every call's overhead, and splitting is needed when one call does not hold all."""
    tokens = make_tokens()
    one, many = tokens.estimate_token_usage(make_sessions(3)), tokens.estimate_token_usage(make_sessions(50))
    assert (one.needs_splitting, many.needs_splitting) == (False, True)
    assert many.recommended_batch_size == MODEL.item_cap
    assert many.prompt_tokens == 50 * 100 + 3 * 300
    assert many.cost_usd > one.cost_usd > 0


def test_unknown_encoding_is_named() -> None:
    """An encoding that tiktoken does not know is a configuration error that lists those it does."""
    with pytest.raises(ConfigurationError, match="o200k_base"):
        load_counter("no_such_encoding", "tiktoken")


def test_counter_without_network_falls_back_and_says_so(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the encoding cannot be had, the estimate counts and gives its name to the record."""
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path_factory.mktemp("empty")))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    counter = load_counter("p50k_edit", "tiktoken")
    assert counter.name == "estimate"
    assert counter.count("12345") == 2
