"""How sessions ended, by label."""

from __future__ import annotations

import polars as pl
import pytest

from autoanalyze.study.containment import containment_by, cross_table

SESSIONS = pl.DataFrame(
    {
        "session_outcome": ["Contained", "Transfer", "Transfer", "Contained", None, "Contained"],
        "intent": ["a", "a", "a", "b", "a", None],
        "reason": [None, "x", "y", None, None, None],
        "step": [None, "one", "one", None, None, None],
    }
)


def test_contained_share_leaves_out_what_is_not_known() -> None:
    """Unresolved sessions and the null label count for nothing; most sessions come first."""
    found = containment_by(SESSIONS, "intent")
    assert found.select("label", "sessions").rows() == [("a", 3), ("b", 1)]
    assert found["contained"].to_list() == [pytest.approx(1 / 3), 1.0]


def test_interval_is_wilsons() -> None:
    """By hand, for 1 of 3: 0.0615 to 0.7923; never outside of 0 to 1."""
    found = containment_by(SESSIONS, "intent")
    assert found["low"][0] == pytest.approx(0.0615, abs=1e-4)
    assert found["high"][0] == pytest.approx(0.7923, abs=1e-4)
    assert found["high"][1] == pytest.approx(1.0)


def test_cross_table_counts_pairs_of_the_most_frequent() -> None:
    """Rows and columns in order of their sessions, zeros where there is none."""
    more = pl.concat(
        [
            SESSIONS,
            pl.DataFrame(
                {
                    **dict.fromkeys(["session_outcome", "intent"], "q"),
                    "reason": ["y"] * 2,
                    "step": ["two", "one"],
                }
            ),
        ]
    )
    assert cross_table(more, "reason", "step").rows() == [("y", 2, 1), ("x", 1, 0)]
    assert cross_table(more, "reason", "step", top=1).rows() == [("y", 2)]
