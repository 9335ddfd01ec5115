"""Spellings of one name, and what guards keep apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoanalyze.phases.duplicates.spelling import normal_form, objection


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Claim Status", "claim  status"),
        ("Claim Status", "claim-status"),
        ("Claim Status", "Status of the Claims"),
        ("ClaimStatus", "claim_status"),
        ("Policies", "Policy"),
        ("Customer's Address", "Customers Address"),
    ],
)
def test_spellings_of_one_name(first: str, second: str) -> None:
    """Case, spacing, plural and word order make no other name."""
    assert normal_form(first) == normal_form(second)
    assert objection(first, second) is None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Address", "Addres Change"),
        ("Transfer From Bank To Wallet", "Transfer From Wallet To Bank"),
        ("Refund Under 50", "Refund Over 50"),
        ("Status", "Statu"),
    ],
)
def test_other_names_are_no_spellings(first: str, second: str) -> None:
    """Other words are other names, and where a word gives a direction, order counts."""
    assert normal_form(first) != normal_form(second)


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("Refund Over 50", "Refund Over 500", "numbers"),
        ("Second Reminder 2", "Reminder Three", "numbers"),
        ("Refund Under 50", "Refund Over 50", "opposites"),
        ("Upgrade of Plan", "Plan Downgrade", "opposites"),
        ("Valid ID Card", "Invalid ID Card", "opposites"),
        ("Account Activated", "Deactivated Account", "opposites"),
        ("Card Activated", "Card Not Activated", "denies"),
        ("Bill Not Received", "Received Invoice", "denies"),
        ("Transfer From Bank To Wallet", "Transfer From Wallet To Bank", "direction"),
    ],
)
def test_guards_object(first: str, second: str, said: str) -> None:
    """Numbers, opposites, negations and directions keep two labels apart, either way round."""
    assert said in (objection(first, second) or "")
    assert said in (objection(second, first) or "")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Claim Status", "Check Claim"),
        ("Invalid Member ID", "Missing Member ID"),  # the judge's to tell
        ("Item Not Received", "Missing Item"),
        ("Cannot Log In", "Log In Problem"),
        ("Two Factor Problem", "2 Factor Issue"),
        ("Error 404", "Page Error"),
        ("Debit Card Declined", "Credit Card Declined"),  # the judge's to tell
    ],
)
def test_guards_are_silent_otherwise(first: str, second: str) -> None:
    """What words alone cannot tell is left to the judge."""
    assert objection(first, second) is None


@given(st.text(max_size=30), st.text(max_size=30))
def test_objections_do_not_depend_on_the_order(first: str, second: str) -> None:
    """Whatever is written, both orders get an objection or none does; a label never objects to itself."""
    assert (objection(first, second) is None) == (objection(second, first) is None)
    assert objection(first, first) is None
