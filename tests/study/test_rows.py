"""What a finished run brings into the results of an experiment."""

from __future__ import annotations

from typing import Any

import pytest

from autoanalyze.study.rows import meets_target


def field(consistency: float | None, precision: float | None) -> dict[str, Any]:
    return {"consistency": {"value": consistency}, "precision": {"value": precision}}


@pytest.mark.parametrize(
    ("fields", "met"),
    [
        ([field(0.95, 0.95)], 1.0),
        ([field(0.99, 0.96), field(0.95, 1.0)], 1.0),
        ([field(0.99, 0.96), field(0.9499, 1.0)], 0.0),
        ([field(0.99, 0.96), field(1.0, 0.94)], 0.0),
        ([field(0.99, None)], 0.0),
    ],
)
def test_target_is_met_by_all_fields_or_not_at_all(fields: list[dict[str, Any]], met: float) -> None:
    """The worst field decides, by either measure; what could not be measured is not reached."""
    assert meets_target({str(number): one for number, one in enumerate(fields)}) == met
