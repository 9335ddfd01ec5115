"""Chance that depends on content alone."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoanalyze.serving.chance import draws, fingerprint, sha256

PART = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.lists(st.text(max_size=2), max_size=2)
)
PARTS = st.lists(PART, max_size=4)


def drawn(*parts: object) -> list[float]:
    """Some draws of a new generator."""
    numbers: list[float] = draws(*parts).random(3).tolist()
    return numbers


@given(PARTS)
def test_same_parts_draw_the_same_whatever_was_drawn_before(parts: list[Any]) -> None:
    """Neither earlier draws nor anybody else's seeds move a draw."""
    first = drawn(*parts)
    draws(*parts, "more").random(100)
    np.random.seed(len(parts))
    random.seed(1)
    assert drawn(*parts) == first


@given(PARTS, PARTS)
def test_other_parts_draw_anew(one: list[Any], other: list[Any]) -> None:
    """Draws are the same only for parts that JSON spells the same: order, types and ends of parts count."""
    assert (drawn(*one) == drawn(*other)) == (repr(one) == repr(other))


def test_parts_do_not_run_into_each_other() -> None:
    """What lies on either side of a comma, and what is a number or its text, are told apart."""
    ways = [
        ("ab", "c"),
        ("a", "bc"),
        ("abc",),
        (["ab", "c"],),
        ("c", "ab"),
        (1,),
        ("1",),
        (1.0,),
        (True,),
        (),
    ]
    assert len({tuple(drawn(*parts)) for parts in ways}) == len(ways)


def test_draws_stay_those_of_earlier_versions() -> None:
    """A simulated run is the same to the bit for years: these numbers must not move."""
    assert draws("session", 7, "content", 3).random() == 0.9900435886156013
    assert fingerprint(["pairs", 7, [["A", "B"]]]).startswith("a41ff309d9d88c19")


def test_draws_are_even() -> None:
    """Over many parts, draws fill their range as they should, tenth by tenth."""
    counts = np.histogram([draws("even", number).random() for number in range(5000)], bins=10, range=(0, 1))[
        0
    ]
    assert counts.min() > 400
    assert counts.max() < 600


@given(st.text(st.characters(codec="utf-8")))
def test_hashes_are_those_of_everybody(text: str) -> None:
    """The hash of a text is the SHA-256 of its bytes in UTF-8."""
    assert sha256(text) == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("content", ["\ud800", ["a\u2028", {"b": None}], ("x", 1.5)])
def test_anything_that_json_can_say_has_a_fingerprint(content: object) -> None:
    """Lone surrogates too, which no file could hold."""
    assert len(fingerprint(content)) == 64


def test_what_json_cannot_say_is_refused() -> None:
    """An object whose text may differ from run to run never decides a draw."""
    with pytest.raises(TypeError):
        draws(object())
