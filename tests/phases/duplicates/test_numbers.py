"""Numbers in words and digits, and the side of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoanalyze.phases.duplicates.numbers import TENS, UNITS, numbers_of


def in_words(number: int) -> str:
    """A number below a million in English words."""
    if number >= 1000:
        rest = in_words(number % 1000) if number % 1000 else ""
        return f"{in_words(number // 1000)} thousand {rest}".strip()
    if number >= 100:
        rest = f"and {in_words(number % 100)}" if number % 100 else ""
        return f"{in_words(number // 100)} hundred {rest}".strip()
    if number < 20:
        return next(word for word, value in UNITS.items() if value == number)
    ten = next(word for word, value in TENS.items() if value == number // 10 * 10)
    return f"{ten} {in_words(number % 10)}" if number % 10 else ten


@given(st.integers(0, 999_999), st.sampled_from(["{} Days", "Fee Of {}", "{}"]), st.booleans())
def test_number_words_are_the_digits_they_mean(number: int, frame: str, commas: bool) -> None:
    """Also those of several words, with "and" or commas."""
    digits = f"{number:,}" if commas else str(number)
    words, other = numbers_of(frame.format(in_words(number).title())), numbers_of(frame.format(digits))
    assert words.amounts == other.amounts == {str(number)}
    assert words.words == other.words


@pytest.mark.parametrize(
    ("label", "amounts"),
    [
        ("Twenty-Four Hour", {"24"}),
        ("Two Dozen Roses", {"24"}),
        ("A Hundred Points", {"100"}),
        ("2 Hundred", {"200"}),
        ("5k Points", {"5000"}),
        ("3.50 Fee", {"3.5"}),
        ("4G Network", {"4"}),
        ("Two Four", {"2", "4"}),
        ("Ten And A Card", {"10"}),
        ("1st Reminder", set()),
    ],
)
def test_numbers_are_found(label: str, amounts: set[str]) -> None:
    """In words, digits, or both; ordinals are no amounts."""
    assert numbers_of(label).amounts == amounts


@pytest.mark.parametrize(
    ("label", "side"),
    [
        ("Refund Under 50", "down"),
        ("Refund Of Less Than Fifty", "down"),
        ("Up To 50", "down"),
        ("No More Than 50 Euro", "down"),
        ("50 Or Less", "down"),
        ("<50 Items", "down"),
        ("Refund Over 50", "up"),
        ("More Than $50", "up"),
        ("At Least 50", "up"),
        ("Not Less Than 50", "up"),
        ("50 Euro And Above", "up"),
        ("50+ Items", "up"),
    ],
)
def test_sides_of_a_number(label: str, side: str) -> None:
    """However it is said, a label lies below or above its number."""
    assert numbers_of(label).sides == {("50", side)}


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_has_numbers_or_none(first: str, second: str) -> None:
    """No text breaks the reading, and none differs from itself."""
    assert numbers_of(first).other_than(numbers_of(first)) is None
    assert numbers_of(second).other_than(numbers_of(second)) is None
