"""How often a judge errs, from how far its looks agree."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoanalyze.phases.duplicates.rates import MOST_INVENTED, MOST_MISSED, Rates, estimated

tallies = st.dictionaries(
    st.integers(1, 7).flatmap(lambda looks: st.tuples(st.integers(0, looks), st.just(looks))),
    st.integers(1, 400),
    max_size=12,
)


@settings(deadline=None, max_examples=8)
@given(st.sampled_from([0.03, 0.12, 0.25]), st.sampled_from([0.01, 0.05]), st.integers(0, 99))
def test_planted_rates_are_found(missed: float, invented: float, seed: int) -> None:
    """Of many pairs looked at five times both rates are found, and duplicates are told from others better
    than by the majority, or nearly as well (within half a percent of the pairs)."""
    draw = random.Random(seed)
    counts: Counter[tuple[int, int]] = Counter({(0, 5): 5000})
    truth: list[tuple[bool, int]] = []
    for same in [True] * 1500 + [False] * 1500:
        rate = 1 - missed if same else invented
        yes = sum(draw.random() < rate for _ in range(5))
        counts[yes, 5] += 1
        truth.append((same, yes))
    rates = estimated(counts)
    assert rates.missed == pytest.approx(missed, abs=0.02)
    assert rates.invented == pytest.approx(invented, abs=0.03)
    wrong = sum((rates.chance(yes, 5) > 0.5) != same for same, yes in truth)
    assert wrong <= sum((2 * yes > 5) != same for same, yes in truth) + 15


@settings(deadline=None)
@given(st.integers(1, 7), st.integers(0, 300), st.integers(0, 3000))
def test_without_disagreement_all_looks_are_believed(looks: int, same: int, apart: int) -> None:
    """A judge who always says the same is taken at his word, as by the majority."""
    rates = estimated({(looks, looks): same, (0, looks): apart})
    assert rates.chance(looks, looks) > 0.5 > rates.chance(0, looks)
    if looks > 2:
        assert rates.chance(looks, looks) > 0.9


@pytest.mark.parametrize(("yes", "looks"), [(2, 3), (1, 3), (3, 5), (2, 5)])
def test_few_pairs_are_decided_by_the_majority(yes: int, looks: int) -> None:
    """With next to no data the judge is taken for one who errs seldom, and no doubt is left."""
    for rates in (Rates(), estimated({(yes, looks): 1}), estimated({(yes, looks): 1, (0, looks): 20})):
        chance = rates.chance(yes, looks)
        assert chance > 0.9 if 2 * yes > looks else chance < 0.1


def test_who_misses_more_than_he_invents_is_believed_when_he_agrees() -> None:
    """Where one look in four misses a duplicate and none is invented, two of five looks are enough."""
    counts = {(5, 5): 24, (4, 5): 40, (3, 5): 26, (2, 5): 9, (1, 5): 1, (0, 5): 1700}
    assert estimated(counts).chance(2, 5) > 0.5
    assert estimated({(5, 5): 98, (4, 5): 2, (1, 5): 20, (0, 5): 1700}).chance(2, 5) < 0.5


@settings(deadline=None, max_examples=60)
@given(tallies, st.integers(1, 7))
def test_more_agreement_never_speaks_against_a_pair(counts: dict[tuple[int, int], int], looks: int) -> None:
    """Whatever was seen: rates are rates, the order of the counts does not matter, and each yes more makes it
    more likely that two labels are the same."""
    rates = estimated(counts)
    turned = estimated(dict(reversed(counts.items())))
    assert turned.missed == pytest.approx(rates.missed)
    assert 0 < rates.missed <= MOST_MISSED
    assert 0 < rates.invented <= MOST_INVENTED
    assert 0 < rates.same < rates.same + rates.confusable < 1
    chances = [rates.chance(yes, looks) for yes in range(looks + 1)]
    assert chances == pytest.approx(sorted(chances))
