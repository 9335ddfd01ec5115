"""Judge: answers that cannot be used are asked for again, and never used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from fakes import ScriptedModel, make_conflicts, used
from hypothesis import given
from hypothesis import strategies as st

from autoanalyze.config import RetryConfig
from autoanalyze.phases.conflicts import ConflictResolution
from autoanalyze.phases.duplicates.judge import flaw, redirects_of

Virtually = Callable[[Any], Any]
names = st.sampled_from(list("ABCDEFXY"))


def resolver(model: ScriptedModel, **changes: Any) -> ConflictResolution:
    return make_conflicts(model, **{"mode": "llm", "opinions": 1, **changes})


@pytest.mark.parametrize(
    ("groups", "problem"),
    [
        ([("A", "B", "C")], None),
        ([("A", "A", "B")], None),
        ([("A",)], None),
        ([("A", "B"), ("C", "B")], "'B' stands in 2 groups"),
        ([("A", "B"), ("B", "C")], "'B' stands in 2 groups"),
        ([("A", "B"), ("B", "A")], "'A' stands in 2 groups"),
        ([("Nobody", "B")], "nobody gave"),
    ],
)
def test_answers_are_checked(groups: Sequence[Sequence[str]], problem: str | None) -> None:
    """Overlapping groups, circles, and labels that were not shown make an answer unusable."""
    found = flaw(["A", "B", "C"], groups)
    assert (found is None) == (problem is None)
    assert problem is None or problem in str(found)


@given(st.lists(st.lists(names, min_size=1, max_size=4), max_size=6))
def test_usable_answers_redirect_to_labels_that_stay(groups: list[list[str]]) -> None:
    """Whatever the judge says: if it is used, no alias is an alias's canonical or redirected to itself."""
    if flaw(list("ABCDEF"), groups) is None:
        redirects = redirects_of(groups)
        assert set(redirects) | set(redirects.values()) <= set("ABCDEF")
        assert not set(redirects) & set(redirects.values())


def test_unusable_answers_are_asked_again_and_reported(virtually: Virtually) -> None:
    """A judge whose groups overlap is asked again; then the labels stay unmerged, and the result says so."""
    model = ScriptedModel(groups=lambda _labels: [("A", "C"), ("B", "C")])
    result = virtually(resolver(model).resolve_conflicts(used(general_intent={"A": 1, "B": 1, "C": 1})))
    assert len(model.judged) == 1 + RetryConfig().attempts
    assert result.merges == ()
    assert result.errors == ("general_intent: left unmerged: 'C' stands in 2 groups",)
    answers = iter([[("A", "Nobody")], [("A", "C")]])
    recovering = ScriptedModel(groups=lambda _labels: next(answers))
    result = virtually(resolver(recovering).resolve_conflicts(used(general_intent={"A": 1, "C": 1})))
    assert result.redirects() == {"general_intent": {"C": "A"}}
    assert result.errors == ()
