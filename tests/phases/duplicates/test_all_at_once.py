"""AllAtOnce: the judge sees all labels of a field, several times, and the majority decides."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from fakes import ScriptedModel, make_conflicts, used
from hypothesis import given, settings
from hypothesis import strategies as st

from autoanalyze.phases.conflicts import ConflictResolution
from autoanalyze.phases.duplicates import all_at_once
from autoanalyze.phases.duplicates.all_at_once import agreed
from autoanalyze.phases.duplicates.ledger import Carried
from autoanalyze.phases.duplicates.looks import grouping
from autoanalyze.serving.clock import VirtualClockLoop

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


@settings(deadline=None, max_examples=40)
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


@settings(deadline=None, max_examples=40)
@given(st.lists(opinion, min_size=1, max_size=5), st.permutations(list("ABCDEF")), st.integers(0, 6))
def test_standing_labels_are_never_redirected(
    opinions: list[dict[str, str]], labels: list[str], standing: int
) -> None:
    """What stands stays, whatever the opinions say, and others may join it; more agreement needed never
    merges more labels."""
    stand = labels[:standing]
    merged = [agreed(labels, opinions, n, stand) for n in range(1, len(opinions) + 2)]
    for redirects in merged:
        assert not set(redirects) & set(stand)
        assert not set(redirects) & set(redirects.values())
    assert merged[-1] == {}, "nobody can agree more often than all"
    assert agreed(labels, opinions[:1], 1) == agreed(labels, opinions[:1] * 3, 3)


@settings(deadline=None, max_examples=40)
@given(opinion, st.permutations(list("ABCDEF")))
def test_grouping_forgets_what_is_canonical(redirects: dict[str, str], labels: list[str]) -> None:
    """Two looks say the same if they put the same together, under whatever name and in whatever order."""
    groups = grouping(labels, redirects)
    assert sorted(label for group in groups for label in group) == sorted(labels)
    assert groups == grouping(sorted(labels), redirects)
    turned: dict[str, str] = {}
    for group in groups:
        first, *rest = sorted(group)
        turned |= dict.fromkeys(rest, first)
    assert grouping(labels, turned) == groups


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.lists(st.text("AB", min_size=1, max_size=3), max_size=6), min_size=1, max_size=4),
    st.integers(2, 5),
    st.sampled_from([1, 3]),
    st.integers(0, 999),
)
def test_any_judge_in_any_chunks_leaves_a_sound_ledger(
    arrivals: list[list[str]], size: int, opinions: int, seed: int
) -> None:
    """With chunks of any size, in steps, whatever a judge says and whichever look ends first: fixed labels
    stand, no alias leads to an alias, no merge is undone, and no label is lost."""
    draw = random.Random(seed)

    def erring(labels: Sequence[str]) -> list[tuple[str, ...]]:
        shown = draw.sample(list(labels), len(labels))
        return [tuple(shown[i : i + 2]) for i in range(0, len(shown), 2) if draw.random() < 0.5]

    async def go() -> None:
        model = ScriptedModel(groups=erring, delay=lambda _c: draw.uniform(0.1, 9))
        phase = resolver(model, opinions=opinions, carried=Carried({FIELD: ("Fixed",)}))
        counts: dict[str, int] = {"Fixed": 0}
        before: dict[str, str] = {}
        for step, labels in enumerate(arrivals, start=1):
            counts |= dict.fromkeys(labels, 1)
            result = await phase.resolve_conflicts(used(**{FIELD: dict(counts)}), step=step)
            redirects = result.redirects().get(FIELD, {})
            assert before.items() <= redirects.items()
            assert not set(redirects) & {*redirects.values(), "Fixed"}
            assert set(redirects) | set(redirects.values()) <= set(counts)
            assert {entry.round for entry in result.merges if entry.alias not in before} <= {step}
            before = redirects

    with pytest.MonkeyPatch.context() as patched, asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        patched.setattr(all_at_once, "LABELS_PER_CALL", size)
        runner.run(go())


def test_labels_that_nobody_could_judge_wait_for_a_later_step(virtually: Virtually) -> None:
    """When no look can be used the labels are settled by no step, and judged again by the next."""
    answers = iter([[("Apple", "Nobody")]] * 4 + [[("Apple", "Avocado")]])
    model = ScriptedModel(groups=lambda _labels: next(answers))
    phase = resolver(model)
    first = virtually(phase.resolve_conflicts(used(**{FIELD: {"Apple": 1, "Avocado": 1}}), step=1))
    assert (first.redirects(), first.ledger) == ({}, ())
    assert first.errors
    second = virtually(phase.resolve_conflicts(used(**{FIELD: {"Apple": 1, "Avocado": 1}}), step=2))
    assert second.redirects() == {FIELD: {"Avocado": "Apple"}}


def test_pairs_that_were_shown_are_counted(virtually: Virtually) -> None:
    """Each new label is compared with each other one and with what stands: 3 pairs, then 2 * 3 + 1."""
    phase = resolver(ScriptedModel())
    counts = dict.fromkeys("ABC", 1)
    assert virtually(phase.resolve_conflicts(used(**{FIELD: counts}), step=1)).pairs_judged == 3
    more = counts | dict.fromkeys("DE", 1)
    assert virtually(phase.resolve_conflicts(used(**{FIELD: more}), step=2)).pairs_judged == 3 + 7


def test_what_all_looks_hold_to_be_the_same_is_not_called_different(virtually: Virtually) -> None:
    """All three looks put D and C together, and both are merged into B: no entry says that they differ."""
    looks: list[list[tuple[str, ...]]] = [[("A", "B"), ("C", "D")], [("B", "C", "D")], [("B", "C", "D")]]
    answers = iter(looks)
    model = ScriptedModel(groups=lambda _labels: next(answers))
    counts = used(**{FIELD: dict(zip("ABCD", (9, 5, 3, 1), strict=True))})
    result = virtually(resolver(model, opinions=3).resolve_conflicts(counts))
    assert result.redirects() == {FIELD: {"C": "B", "D": "B"}}
    different = [{entry.alias, entry.canonical} for entry in result.ledger if entry.verdict == "different"]
    assert {"C", "D"} not in different


def test_labels_in_two_groups_lose_no_look(virtually: Virtually) -> None:
    """The other groups of such a look count, and the label is decided by the looks that place it once."""
    flawed: list[tuple[str, ...]] = [("A", "B", "C"), ("C", "D")]
    placed: list[tuple[str, ...]] = [("A", "B", "C")]
    answers: Iterator[list[tuple[str, ...]]] = iter([flawed, flawed, placed, placed])
    model = ScriptedModel(groups=lambda _labels: next(answers))
    result = virtually(
        resolver(model, opinions=3).resolve_conflicts(used(**{FIELD: dict.fromkeys("ABCD", 1)}))
    )
    assert len(model.judged) == 4, "one more look, so that most looks place C"
    assert result.redirects() == {FIELD: {"B": "A", "C": "A"}}
    assert (result.errors, result.unjudged) == ((), {})


def test_labels_that_no_look_places_are_unjudged(virtually: Virtually) -> None:
    """Asked as often as configured, the judge puts C in two groups: the others are settled, C is not."""
    model = ScriptedModel(groups=lambda _labels: [("A", "B", "C"), ("C", "D")])
    result = virtually(
        resolver(model, opinions=3).resolve_conflicts(used(**{FIELD: dict.fromkeys("ABCD", 1)}))
    )
    assert result.redirects() == {FIELD: {"B": "A"}}
    assert result.unjudged == {FIELD: ("C",)}
