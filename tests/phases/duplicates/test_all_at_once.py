"""AllAtOnce: the judge sees all labels of a field, several times, and the majority decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from fakes import ScriptedModel, make_conflicts, used
from hypothesis import given
from hypothesis import strategies as st

from autoanalyze.phases.conflicts import ConflictResolution
from autoanalyze.phases.duplicates import all_at_once
from autoanalyze.phases.duplicates.all_at_once import agreed

Virtually = Callable[[Any], Any]
FIELD = "general_intent"
names = st.sampled_from(list("ABCDEFXY"))


def resolver(model: ScriptedModel, **changes: Any) -> ConflictResolution:
    return make_conflicts(model, **{"mode": "llm", "opinions": 1, **changes})


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


def test_many_labels_get_a_third_look_only_if_two_differ(virtually: Virtually) -> None:
    """Of many labels the majority is asked first; of few, all looks go side by side."""
    many = {f"Label {i}": 1 for i in range(60)}
    agreeing = ScriptedModel(groups=lambda _labels: [("Label 1", "Label 2")])
    result = virtually(resolver(agreeing, opinions=3).resolve_conflicts(used(**{FIELD: many})))
    assert len(agreeing.judged) == 2
    assert result.redirects() == {FIELD: {"Label 2": "Label 1"}}
    answers = iter([[("Label 1", "Label 2")], [], [("Label 2", "Label 1")]])
    differing = ScriptedModel(groups=lambda _labels: next(answers))
    result = virtually(resolver(differing, opinions=3).resolve_conflicts(used(**{FIELD: many})))
    assert len(differing.judged) == 3
    assert result.redirects() == {FIELD: {"Label 2": "Label 1"}}
    few = ScriptedModel(groups=lambda _labels: [])
    virtually(resolver(few, opinions=3).resolve_conflicts(used(**{FIELD: {"A": 1, "B": 1}})))
    assert len(few.judged) == 3
