"""Labels that swallow what they do not fit: told from unaided names, and never from a double alone."""

from __future__ import annotations

import random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoanalyze.study.attractors import FEWEST, attraction, swallowing

MATTERS = [f"Matter {n}" for n in range(12)]


def honest(each: int = 10) -> list[tuple[str, str]]:
    """Every session is called by its own label's matter, also where no label is known."""
    return [(label, label) for label in MATTERS for _ in range(each)]


def flagged(pairs: list[tuple[str, str]]) -> list[str]:
    return attraction(pairs).filter("attractor")["label"].to_list()


def test_a_label_with_many_other_matters_attracts() -> None:
    """It comes first, with its share, and the usual share is that of the others."""
    pairs = [*honest(), *(("Other", matter) for matter in MATTERS[:4]), *[("Other", "Other")] * 4]
    found = attraction(pairs)
    assert flagged(pairs) == ["Other"]
    first = found.row(0, named=True)
    assert (first["label"], first["probed"], first["matters"], first["share"]) == ("Other", 8, 4, 0.5)
    assert first["low"] < 0.5 < first["high"]
    assert first["usual"] == 0


def test_a_double_swallows_nothing() -> None:
    """All its sessions get one and the same other name: that is a name too many, and counts once."""
    assert flagged([*honest(), *[("Matter Zero", MATTERS[0])] * 12]) == []


def test_few_probes_say_nothing() -> None:
    """Less than five sessions are not spoken of, and nothing at all makes an empty table."""
    pairs = [*honest(), *(("Other", matter) for matter in MATTERS[: FEWEST - 1])]
    assert "Other" not in attraction(pairs)["label"].to_list()
    assert attraction([]).is_empty()
    assert attraction([("Alone", "Something Else")] * 9).is_empty(), "there is nothing to compare it with"


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_labels_that_are_alike_are_hardly_ever_accused(seed: int) -> None:
    """One session in thirty gets another name, whatever its label; and the order of sessions is nothing."""
    draw = random.Random(seed)
    pairs = [(a, draw.choice(MATTERS) if draw.random() < 1 / 30 else b) for a, b in honest()]
    found = attraction(pairs)
    assert len(found.filter("attractor")) <= 1
    draw.shuffle(pairs)
    assert attraction(pairs).equals(found)


@pytest.mark.parametrize("record", [{}, {"attractors": None}, {"attractors": {"intent": []}}], ids=str)
def test_a_run_without_such_probes_has_nothing_to_tell(record: dict[str, object]) -> None:
    """Nor has one of an earlier version."""
    assert swallowing(record, "intent") == []


def test_what_is_told_has_figure_and_interval() -> None:
    """In one sentence, and only of those that attract."""
    pairs = [*honest(), *(("Other", matter) for matter in MATTERS[:4]), *[("Other", "Other")] * 4]
    (said,) = swallowing({"attractors": {"intent": attraction(pairs).to_dicts()}}, "intent")
    assert said == (
        "Other may swallow sessions that it does not fit: without known labels, 8 of its sessions got names "
        "of 4 other matters (50%, 95 % interval 22% to 78%; of other labels 0%)"
    )
    assert isinstance(attraction(pairs).schema["share"], pl.Float64)
