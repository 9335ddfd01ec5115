"""Phase 3: which merges are carried out, and how sessions are rewritten."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from fakes import SCHEMA, ScriptedModel
from hypothesis import given
from hypothesis import strategies as st

from autoanalyze.config import ResolutionConfig, RetryConfig
from autoanalyze.phases.conflicts import ConflictResolution
from autoanalyze.phases.redirects import agreed, checked_redirects
from autoanalyze.records import Facts

Virtually = Callable[[Any], Any]
names = st.sampled_from(list("ABCDEFXY"))


def resolver(model: ScriptedModel, **changes: Any) -> ConflictResolution:
    config = ResolutionConfig(**{"opinions": 1, **changes})
    return ConflictResolution(model, SCHEMA, config, retry=RetryConfig(), seed=1, judge="test-model")


@pytest.mark.parametrize(
    ("groups", "redirects", "problem"),
    [
        ([("A", "B", "C")], {"B": "A", "C": "A"}, None),
        ([("A", "B"), ("B", "C")], {"B": "A", "C": "A"}, None),
        ([("A", "B"), ("C", "B")], {}, "two groups"),
        ([("A", "B"), ("B", "A")], {}, "circle"),
        ([("A", "B"), ("B", "C"), ("C", "A")], {}, "circle"),
        ([("A", "A", "B")], {"B": "A"}, None),
        ([("Nobody", "B")], {}, "nobody gave"),
        ([("A", "Nobody", "C")], {"C": "A"}, "nobody gave"),
        ([("A",)], {}, None),
        ([("A", "B", "B")], {"B": "A"}, None),
    ],
)
def test_answers_are_checked(
    groups: Sequence[Sequence[str]], redirects: dict[str, str], problem: str | None
) -> None:
    """Chains are followed, circles and double aliases refused, and only labels that were shown count."""
    accepted, problems = checked_redirects(["A", "B", "C"], groups)
    assert accepted == redirects
    assert (problem is None) == (not problems)
    assert problem is None or problem in problems[0]


@given(st.lists(st.lists(names, min_size=1, max_size=4), max_size=6))
def test_redirects_end_where_they_lead(groups: list[list[str]]) -> None:
    """Whatever the judge says: only shown labels, no alias of an alias, nothing redirected to itself."""
    shown = list("ABCDEF")
    redirects, _ = checked_redirects(shown, groups)
    assert set(redirects) | set(redirects.values()) <= set(shown)
    assert not set(redirects) & set(redirects.values())


def test_most_used_labels_are_shown_first_and_merges_reach_the_sessions(virtually: Virtually) -> None:
    """The judge sees labels by use; its merges rewrite final labels and name the judge."""
    model = ScriptedModel(
        groups=lambda labels: [("Claim Status", "Check Claim")] if "Check Claim" in labels else []
    )
    phase = resolver(model)
    result = virtually(
        phase.resolve_conflicts({"general_intent": {"Check Claim": 2, "Claim Status": 9, "Refund": 1}})
    )
    assert model.judged == [["Claim Status", "Check Claim", "Refund"]]
    assert result.redirects() == {"general_intent": {"Check Claim": "Claim Status"}}
    assert (result.conflicts_found, result.resolved, result.canonical_mappings) == (1, 1, 1)
    assert result.resolutions[0].judge == "test-model"
    facts = Facts("Transfer", {"general_intent": "Check Claim", "transfer_reason": None})
    assert phase.apply_resolutions(facts, result.redirects()).labels == {
        "general_intent": "Claim Status",
        "transfer_reason": None,
    }


def test_one_label_needs_no_judge(virtually: Virtually) -> None:
    """A field with a single label costs no call; mode none costs none at all."""
    model = ScriptedModel()
    virtually(resolver(model).resolve_conflicts({"general_intent": {"A": 1}}))
    virtually(resolver(model, mode="none").resolve_conflicts({"general_intent": {"A": 1, "B": 1}}))
    assert model.judged == []


def test_pairs_across_chunks_are_seen(virtually: Virtually) -> None:
    """Chunks after the first are shown with the canonical labels so far, so no pair is lost."""
    labels = [f"L{i}" for i in range(10)]

    def same_parity(shown: Sequence[str]) -> list[tuple[str, ...]]:
        odd, even = ([n for n in shown if int(n[1:]) % 2 == parity] for parity in (1, 0))
        return [tuple(group) for group in (odd, even) if group]

    model = ScriptedModel(groups=same_parity)
    phase = resolver(model, labels_per_call=4)
    result = virtually(phase.resolve_conflicts({"general_intent": dict.fromkeys(labels, 1)}))
    assert [len(shown) for shown in model.judged] == [4, 6, 4]
    assert set(result.redirects()["general_intent"].values()) == {"L0", "L1"}
    assert result.canonical_mappings == 8


def test_majority_of_opinions_decides(virtually: Virtually) -> None:
    """Of three looks in different orders, a merge that only one proposes is not carried out."""
    looks: list[list[str]] = []

    def groups(labels: Sequence[str]) -> list[tuple[str, ...]]:
        looks.append(list(labels))
        return [("A", "B"), ("C", "D")] if len(looks) == 2 else [("B", "A")]

    counts = {"general_intent": dict.fromkeys("ABCDEFGH", 1)}
    result = virtually(resolver(ScriptedModel(groups=groups), opinions=3).resolve_conflicts(counts))
    assert result.redirects() == {"general_intent": {"B": "A"}}
    assert (result.conflicts_found, result.resolved) == (2, 1)
    assert sorted(map(sorted, looks)) == [list("ABCDEFGH")] * 3
    assert len({tuple(look) for look in looks}) == 3


opinion = st.dictionaries(names, names, max_size=5).map(
    lambda redirects: checked_redirects(list("ABCDEF"), [(b, a) for a, b in redirects.items()])[0]
)


@given(st.lists(opinion, min_size=1, max_size=5), st.permutations(list("ABCDEF")))
def test_merged_labels_agree_with_their_canonical(opinions: list[dict[str, str]], labels: list[str]) -> None:
    """No chaining: an alias agrees with its canonical itself, which stands before it."""
    needed = len(opinions) // 2 + 1
    redirects = agreed(labels, opinions, needed)
    for alias, canonical in redirects.items():
        assert sum(o.get(alias, alias) == o.get(canonical, canonical) for o in opinions) >= needed
        assert labels.index(canonical) < labels.index(alias)
    assert not set(redirects) & set(redirects.values())


def test_disputed_answers_are_reported(virtually: Virtually) -> None:
    """What could not be carried out stays unmerged, and the result says so."""
    model = ScriptedModel(groups=lambda _labels: [("A", "C"), ("B", "C")])
    result = virtually(resolver(model).resolve_conflicts({"general_intent": {"A": 1, "B": 1, "C": 1}}))
    assert result.resolutions == ()
    assert result.errors == ("general_intent: 'C' stands in two groups",)
