"""Phase 3: which merges are carried out, on the way and at the end, and how sessions are rewritten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from fakes import SCHEMA, ScriptedModel, make_conflicts, used
from hypothesis import given, settings
from hypothesis import strategies as st

from autoanalyze.config import ResolutionConfig
from autoanalyze.errors import EndpointGoneError, TransientEndpointError
from autoanalyze.phases.conflicts import BackgroundMerging, ConflictResolution
from autoanalyze.phases.vocabulary import Vocabulary
from autoanalyze.protocols import Judgement
from autoanalyze.records import Facts, SessionResult, VocabularySnapshot
from autoanalyze.serving.clock import VirtualClockLoop

Virtually = Callable[[Any], Any]
FIELD = "general_intent"


def resolver(model: ScriptedModel, **changes: Any) -> ConflictResolution:
    return make_conflicts(model, **{"mode": "llm", "opinions": 1, **changes})


def initials(labels: Sequence[str]) -> list[tuple[str, ...]]:
    """A judge to whom labels with the same first letter are one."""
    groups: dict[str, list[str]] = {}
    for label in labels:
        groups.setdefault(label[0], []).append(label)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def merging(**config: Any) -> BackgroundMerging:
    settings = ResolutionConfig(**{"every_labels": None, **config})
    return BackgroundMerging(resolver(ScriptedModel()), SCHEMA, settings, withdraw_aliases=True)


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
    given = [SessionResult("a", facts, "parallel", 1, 1, 1), SessionResult("b", None, "parallel", 1, 1, 1)]
    labels = {"general_intent": "Claim Status", "transfer_reason": None}
    assert phase.final(given) == {"a": Facts("Transfer", labels)}


def test_one_label_needs_no_judge(virtually: Virtually) -> None:
    """A field with a single label costs no call; mode none costs none at all."""
    model = ScriptedModel()
    virtually(resolver(model).resolve_conflicts(used(general_intent={"A": 1})))
    virtually(resolver(model, mode="none").resolve_conflicts(used(general_intent={"A": 1, "B": 1})))
    assert model.judged == []


def test_merges_are_due_by_labels_or_rounds() -> None:
    """Whichever comes first, if anything is new at all."""
    by_labels, by_rounds, never = merging(every_labels=3), merging(every_rounds=2), merging()
    for one in (by_labels, by_rounds, never):
        one.note(new_labels=2, rounds=1)
    assert not by_labels.due()
    assert not by_rounds.due()
    for one in (by_labels, by_rounds, never):
        one.note(new_labels=1, rounds=1)
    assert by_labels.due()
    assert by_rounds.due()
    assert not never.due()
    nothing_new = merging(every_rounds=1)
    nothing_new.note(new_labels=0, rounds=5)
    assert not nothing_new.due()


def test_what_is_new_is_merged_once_while_the_last_calls_are_answered() -> None:
    """Whatever is missing to the next merge; not where nobody asked for merges on the way."""
    on_the_way, never = merging(every_labels=150), merging()
    assert not on_the_way.due(last=True), "nothing is new"
    for one in (on_the_way, never):
        one.note(new_labels=1, rounds=1 / 8)
    assert [on_the_way.due(), on_the_way.due(last=True), on_the_way.due(last=True)] == [False, True, False]
    assert not never.due(last=True)


def test_eighths_of_a_round_add_up() -> None:
    """Without rounds a call of one of eight streams is an eighth of one."""
    one = merging(every_rounds=1)
    for _ in range(8):
        assert not one.due()
        one.note(new_labels=1, rounds=1 / 8)
    assert one.due()


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(st.text("ABC", min_size=1, max_size=3), max_size=6), min_size=1, max_size=5))
def test_steps_end_where_one_step_ends(arrivals: list[list[str]]) -> None:
    """With a judge who does not err, merging on the way groups labels as merging at the end does."""

    async def go() -> tuple[ConflictResolution, ConflictResolution]:
        stepwise, at_once = (
            resolver(ScriptedModel(groups=initials)),
            resolver(ScriptedModel(groups=initials)),
        )
        counts: dict[str, int] = {}
        for step, labels in enumerate(arrivals, start=1):
            counts |= dict.fromkeys(labels, 1)
            await stepwise.resolve_conflicts(used(**{FIELD: dict(counts)}), step=step)
        await at_once.resolve_conflicts(used(**{FIELD: counts}))
        return stepwise, at_once

    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        parts = [
            {
                frozenset(label for label in known if redirects.get(label, label) == canonical)
                for canonical in known
            }
            - {frozenset()}
            for resolution in runner.run(go())
            for redirects in (resolution.redirects().get(FIELD, {}),)
            for known in ({label for labels in arrivals for label in labels},)
        ]
    assert parts[0] == parts[1]


def test_what_stands_is_not_judged_again(virtually: Virtually) -> None:
    """Two labels that were judged apart stay apart, whatever the judge says when he sees them again."""
    answers = iter([[], [("Apple", "Berry", "Bear")]])
    model = ScriptedModel(groups=lambda _labels: next(answers))
    resolution = resolver(model)
    virtually(resolution.resolve_conflicts(used(**{FIELD: {"Apple": 2, "Berry": 1}}), step=1))
    later = used(**{FIELD: {"Apple": 2, "Berry": 1, "Bear": 1}})
    result = virtually(resolution.resolve_conflicts(later, step=2))
    assert result.redirects() == {FIELD: {"Bear": "Apple"}}
    assert [merge.round for merge in result.merges] == [2]
    assert model.judged == [["Apple", "Berry"], ["Apple", "Berry", "Bear"]]


def test_failure_on_the_way_loses_no_merge(virtually: Virtually) -> None:
    """When the judge of one field cannot be reached, what the other field's found is kept, and the failed
    field is judged in a later step."""

    class Flaky(ScriptedModel):
        broken = True

        async def judge_duplicates(self, label_field: Any, labels: Sequence[str], context: Any) -> Judgement:
            if label_field.name == "transfer_reason" and self.broken:
                raise TransientEndpointError("gone")
            return await super().judge_duplicates(label_field, labels, context)

    model = Flaky(groups=initials)
    resolution = resolver(model)
    counts = used(**{FIELD: {"Apple": 1, "Avocado": 1}, "transfer_reason": {"Bug": 1, "Blame": 1}})
    with pytest.raises(EndpointGoneError):
        virtually(resolution.resolve_conflicts(counts, step=1))
    assert resolution.redirects() == {FIELD: {"Avocado": "Apple"}}
    model.broken = False
    result = virtually(resolution.resolve_conflicts(counts))
    assert result.redirects() == {FIELD: {"Avocado": "Apple"}, "transfer_reason": {"Blame": "Bug"}}


def test_published_aliases_leave_the_prompts(virtually: Virtually) -> None:
    """After a merge prompts show the canonical only; the version stays, and the label stays known."""
    model = ScriptedModel(groups=initials)
    one = BackgroundMerging(resolver(model), SCHEMA, ResolutionConfig(every_labels=2), withdraw_aliases=True)
    known = Vocabulary(SCHEMA)
    known.add({FIELD: ["Apple"]})
    known.add({FIELD: ["Avocado", "Berry"]})
    virtually(one.merge(known.snapshot(), []))
    one.publish(known, None)
    snapshot = known.snapshot()
    assert snapshot.shown().labels(FIELD) == ("Apple", "Berry")
    assert snapshot.shown().version == snapshot.version == 2
    assert snapshot.labels(FIELD) == ("Apple", "Avocado", "Berry")
    assert snapshot.extended({FIELD: ["Avocado"]}) is snapshot, "a withdrawn label is not new again"
    assert VocabularySnapshot().shown() == VocabularySnapshot()
