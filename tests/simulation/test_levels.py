"""Concepts above and below, and names that never get into each other's way."""

from __future__ import annotations

from collections import defaultdict

import pytest

from autoanalyze.data.synthetic import Variety, concepts
from autoanalyze.simulation.levels import KINDS, both, broader, narrower, other_levels, plain, related
from autoanalyze.simulation.paraphrase import paraphrases

FIELD = "general_intent"
FIELDS = [(FIELD, 33), (FIELD, 300), (FIELD, 429), ("transfer_reason", 33), ("drop_off_location", 33)]


@pytest.mark.parametrize(
    ("concept", "above"),
    [
        ("Claim Status", "Claims"),
        ("claim_status", "Claims"),
        ("Business Claim Status", "Claim Status"),
        ("Claim Status Follow-Up", "Claim Status"),
        ("Business Claim Status Special Case", "Business Claim Status"),
        ("bank_fraud_report", "Report"),
        ("business_hours", "Hours"),
        ("balance", None),
    ],
)
def test_a_broader_concept_lies_above(concept: str, above: str | None) -> None:
    """The plain one, the theme, or the last word; nothing above a single word."""
    assert broader(concept, FIELD) == above


@pytest.mark.parametrize(("field", "count"), FIELDS)
def test_every_invented_concept_has_one_above(field: str, count: int) -> None:
    """Which is no concept of the same rank, unless the concept has a context."""
    names = concepts(Variety(count))[field]
    for name in names:
        above = broader(name, field)
        assert above is not None
        assert above not in names or name.endswith(above)


def test_a_session_has_one_narrower_concept() -> None:
    """Always the same, right below its concept; sessions are spread over all of them."""
    found = {narrower("claim_status", FIELD, f"user: {number}") for number in range(60)}
    assert found == {f"Claim Status {kind}" for kind in KINDS}
    assert narrower("Claim Status", FIELD, "user: 1") == narrower("claim_status", FIELD, "user: 1")
    assert {broader(each, FIELD) for each in found} == {"Claim Status"}


@pytest.mark.parametrize(("field", "count"), FIELDS)
def test_no_name_means_two_things(field: str, count: int) -> None:
    """Of the concepts, those above and those below, no two share any of their names."""
    named = defaultdict(set)
    for concept in concepts(Variety(count))[field]:
        below = [f"{plain(concept)} {kind}" for kind in KINDS]
        for level in (concept, broader(concept, field), *below):
            for name in paraphrases(str(level), field):
                named[name.lower()].add(level)
    assert {name: levels for name, levels in named.items() if len(levels) > 1} == {}


def test_names_of_other_levels_mean_them() -> None:
    """In lower case, by any of their names."""
    found = other_levels(["Claim Status", "Business Claim Status"], FIELD)
    assert found["help with claims"] == "Claims"
    assert found["follow-up of claim status"] == "Claim Status Follow-Up"
    assert found["claim status inquiry"] == "Claim Status"


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("Claims", "Claim Status", True),
        ("Claim Status", "Claim Status Follow-Up", True),
        ("Claim Status Follow-Up", "Claim Status Special Case", True),
        ("Claim Status And Refund Request", "Refund Request", True),
        ("Claim Status And Refund Request", "Claim Status And Card Block", True),
        ("Claims", "Claim Status Follow-Up", False),  # two levels lie between
        ("Claim Status", "Coverage Check", False),  # of one theme, but not narrower ones
        ("Claim Status", "Card Block", False),
        ("Other", "Claim Status", False),
    ],
)
def test_related_is_what_lies_on_one_line(first: str, second: str, expected: bool) -> None:
    """Above, below, side by side below, or part of a name of two; either way round."""
    assert related(first, second, FIELD) is expected
    assert related(second, first, FIELD) is expected


def test_two_matters_are_one_concept_whichever_comes_first() -> None:
    """Under their plain names."""
    assert both("refund_request", "Claim Status") == both("Claim Status", "Refund Request")
    assert both("Claim Status", "Refund Request") == "Claim Status And Refund Request"
