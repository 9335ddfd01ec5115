"""Phase 3: which merges are carried out, and how sessions are rewritten."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from fakes import ScriptedModel, make_conflicts, used
from hypothesis import given
from hypothesis import strategies as st

from autoanalyze.config import RetryConfig
from autoanalyze.phases.conflicts import ConflictResolution
from autoanalyze.phases.duplicates import all_at_once
from autoanalyze.phases.duplicates.all_at_once import agreed
from autoanalyze.phases.duplicates.judge import flaw, redirects_of
from autoanalyze.records import Facts

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


def test_most_used_labels_are_shown_first_and_merges_reach_the_sessions(virtually: Virtually) -> None:
    """The judge sees labels by use; its merges rewrite final labels and name the judge."""
    model = ScriptedModel(
        groups=lambda labels: [("Claim Status", "Check Claim")] if "Check Claim" in labels else []
    )
    phase = resolver(model)
    result = virtually(
        phase.resolve_conflicts(used(general_intent={"Check Claim": 2, "Claim Status": 9, "Refund": 1}))
    )
    assert model.judged == [["Claim Status", "Check Claim", "Refund"]]
    assert result.redirects() == {"general_intent": {"Check Claim": "Claim Status"}}
    assert (result.conflicts_found, result.resolved, result.canonical_mappings) == (1, 1, 1)
    assert result.merges[0].judge == "test-model"
    facts = Facts("Transfer", {"general_intent": "Check Claim", "transfer_reason": None})
    assert phase.apply_resolutions(facts, result.redirects()).labels == {
        "general_intent": "Claim Status",
        "transfer_reason": None,
    }


def test_one_label_needs_no_judge(virtually: Virtually) -> None:
    """A field with a single label costs no call; mode none costs none at all."""
    model = ScriptedModel()
    virtually(resolver(model).resolve_conflicts(used(general_intent={"A": 1})))
    virtually(resolver(model, mode="none").resolve_conflicts(used(general_intent={"A": 1, "B": 1})))
    assert model.judged == []


def test_pairs_across_chunks_are_seen(virtually: Virtually, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks after the first are shown with the canonical labels so far, so no pair is lost."""
    labels = [f"L{i}" for i in range(10)]

    def same_parity(shown: Sequence[str]) -> list[tuple[str, ...]]:
        odd, even = ([n for n in shown if int(n[1:]) % 2 == parity] for parity in (1, 0))
        return [tuple(group) for group in (odd, even) if group]

    model = ScriptedModel(groups=same_parity)
    monkeypatch.setattr(all_at_once, "LABELS_PER_CALL", 4)
    phase = resolver(model)
    result = virtually(phase.resolve_conflicts(used(general_intent=dict.fromkeys(labels, 1))))
    assert [len(shown) for shown in model.judged] == [4, 6, 4]
    assert set(result.redirects()["general_intent"].values()) == {"L0", "L1"}
    assert result.canonical_mappings == 8


def test_majority_of_opinions_decides(virtually: Virtually) -> None:
    """Of three looks in different orders, a merge that only one proposes is not carried out."""
    looks: list[list[str]] = []

    def groups(labels: Sequence[str]) -> list[tuple[str, ...]]:
        looks.append(list(labels))
        return [("A", "B"), ("C", "D")] if len(looks) == 2 else [("B", "A")]

    counts = used(general_intent=dict.fromkeys("ABCDEFGH", 1))
    result = virtually(resolver(ScriptedModel(groups=groups), opinions=3).resolve_conflicts(counts))
    assert result.redirects() == {"general_intent": {"B": "A"}}
    assert (result.conflicts_found, result.resolved) == (2, 1)
    assert sorted(map(sorted, looks)) == [list("ABCDEFGH")] * 3
    assert len({tuple(look) for look in looks}) == 3


opinion = st.dictionaries(names, st.sampled_from("EF"), max_size=5).map(
    lambda redirects: {alias: name for alias, name in redirects.items() if alias not in "EF"}
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
