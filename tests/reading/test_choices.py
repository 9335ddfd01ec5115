"""Closed lists: a label is chosen by its own words, and only by these."""

from __future__ import annotations

import pytest

from autoanalyze.reading.choices import chosen

LABELS = ("Late Delivery", "Billing", "Staff", "This Matter")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("it was delivered too late", "Late Delivery"),
        ("my bill is wrong", "Billing"),
        ("this is it", None),
        ("the BILLING is wrong", "Billing"),
        ("your staff was rude, and it came late", "Staff"),
        ("hello", None),
        ("", None),
    ],
)
def test_label_is_chosen_by_its_own_words(text: str, label: str | None) -> None:
    """Endings and case do not matter; without a word of any label there is none."""
    assert chosen(text, LABELS) == label


def test_first_of_equals_is_chosen_and_nothing_from_nothing() -> None:
    """The order of the list decides, and an empty list has no answer."""
    assert chosen("a b", ("A", "B")) == "A"
    assert chosen("a b", ("B", "A")) == "B"
    assert chosen("a b", ()) is None
