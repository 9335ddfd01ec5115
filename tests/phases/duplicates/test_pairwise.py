"""Embeddings propose, guards object, the judge decides, the ledger remembers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from fakes import ScriptedModel, make_conflicts, used
from hypothesis import given, settings
from hypothesis import strategies as st

from autoanalyze.config import RetryConfig
from autoanalyze.errors import EndpointGoneError, TransientEndpointError
from autoanalyze.phases.conflicts import ResolutionResult
from autoanalyze.phases.duplicates import judge
from autoanalyze.phases.duplicates.ledger import Carried, LedgerEntry
from autoanalyze.phases.vocabulary import LabelUse
from autoanalyze.protocols import Answer, Answers, Judgement, Question
from autoanalyze.records import CallContext, LabelField, Usage
from autoanalyze.serving.clock import VirtualClockLoop

Virtually = Callable[[Any], Any]
FIELD = "general_intent"


def by_thing(labels: Sequence[str]) -> list[tuple[str, ...]]:
    """A judge to whom labels with the same last word are one."""
    groups: dict[str, list[str]] = {}
    for label in labels:
        groups.setdefault(label.split()[-1], []).append(label)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def resolved(
    virtually: Virtually, model: ScriptedModel, counts: Mapping[str, int], **changes: Any
) -> ResolutionResult:
    """Questions on pairs only, unless the changes say otherwise."""
    phase = make_conflicts(model, **{"shown_together": 0, **changes})
    result: ResolutionResult = virtually(phase.resolve_conflicts(used(**{FIELD: counts})))
    return result


def test_most_used_label_becomes_canonical_and_the_ledger_says_why(virtually: Virtually) -> None:
    """Sessions decide, then arrival; the entry has who, why, how alike, and how often it was asked."""
    counts = {"Check Claim": 2, "About Claim": 9, "The Claim": 9}
    result = resolved(virtually, ScriptedModel(groups=by_thing), counts)
    assert result.redirects() == {FIELD: {"Check Claim": "About Claim", "The Claim": "About Claim"}}
    entry = next(merge for merge in result.merges if merge.alias == "Check Claim")
    assert (entry.judge, entry.reason, entry.proposed_by) == ("test-model", "as scripted", "embeddings")
    assert entry.chosen == "more sessions: 9 against 2"
    assert entry.opinions >= 1
    assert entry.similarity is not None
    assert 0 < entry.similarity < 1, "plain likeness"
    other = next(merge for merge in result.merges if merge.alias == "The Claim")
    assert other.chosen == "earlier, with as many sessions"


def test_spellings_need_no_judge(virtually: Virtually) -> None:
    """Case, plural and order are merged by themselves, also into a label that is merged on its own."""
    model = ScriptedModel(groups=by_thing)
    result = resolved(virtually, model, {"Check Claim": 9, "About Claim": 5, "claims about": 3})
    assert result.redirects()[FIELD] == {"About Claim": "Check Claim", "claims about": "Check Claim"}
    asked = {label for question, _ in model.questions for label in (question.label, *question.candidates)}
    assert asked == {"Check Claim", "About Claim"}
    entry = next(merge for merge in result.merges if merge.alias == "claims about")
    assert (entry.judge, entry.reason) == ("normal form", "spells 'About Claim'")


def test_guards_object_before_the_judge_is_asked(virtually: Virtually) -> None:
    """What a guard keeps apart is never asked, and stands in the ledger; without guards it is asked."""
    counts = {"Refund Over 50 Euro": 3, "Refund Over 500 Euro": 2}
    everything = ScriptedModel(groups=lambda labels: [tuple(labels)])
    result = resolved(virtually, everything, counts)
    assert everything.questions == []
    assert result.merges == ()
    (entry,) = result.ledger
    assert (entry.verdict, entry.judge) == ("different", "guard")
    assert "numbers" in entry.reason
    assert len(resolved(virtually, everything, counts, guards=False).merges) == 1


def test_guards_hold_when_few_labels_are_shown_together(virtually: Virtually) -> None:
    """Also a judge who sees all labels at once cannot merge what a guard keeps apart."""
    everything = ScriptedModel(groups=lambda labels: [tuple(labels)])
    counts = {"Card Activated": 3, "Card Not Activated": 2, "Activate Card": 1}
    result = resolved(virtually, everything, counts, shown_together=60)
    assert len(everything.judged) == 3
    assert result.redirects() == {FIELD: {"Activate Card": "Card Activated"}}
    assert result.pairs_judged == 3


def test_merges_are_looked_at_twice_the_other_way_round(virtually: Virtually) -> None:
    """A merge that no third label supports is asked about again, swapped and with notes."""
    model = ScriptedModel(groups=by_thing)
    phase = make_conflicts(model, shown_together=0)
    notes = {"Check Claim": ["first note", "second note"]}
    use = {FIELD: LabelUse({"Check Claim": 2, "About Claim": 1}, notes)}
    result = virtually(phase.resolve_conflicts(use))
    questions = [question for question, _ in model.questions]
    assert questions == [Question("About Claim", ("Check Claim",)), Question("Check Claim", ("About Claim",))]
    assert model.notes == [{}, {"Check Claim": ["first note"]}]
    assert result.merges[0].opinions == 2
    assert len({context.seed for _, context in model.questions}) == 2


class Wavering(ScriptedModel):
    """Says yes, no, and then what it is told."""

    def __init__(self, third: bool) -> None:
        super().__init__()
        self._looks = iter([True, False, third])

    async def judge_pairs(
        self,
        label_field: LabelField,
        questions: Sequence[Question],
        notes: Mapping[str, Sequence[str]],
        context: CallContext,
    ) -> Answers:
        """One answer after the other."""
        same = next(self._looks)
        return Answers(
            tuple(Answer(q.candidates if same else (), f"{same}") for q in questions), Usage(), 1.0
        )


@pytest.mark.parametrize("third", [True, False])
def test_third_look_decides(virtually: Virtually, third: bool) -> None:
    """When two looks differ, the third decides, and the ledger gives its reason."""
    result = resolved(virtually, Wavering(third), {"Check Claim": 2, "About Claim": 1})
    (entry,) = result.ledger
    assert (entry.merged, entry.opinions, entry.reason) == (third, 3, f"{third}")
    assert entry.verdict == ("same" if third else "different")


class Confused(ScriptedModel):
    """Answers with labels that nobody gave."""

    asked = 0

    async def judge_pairs(self, *arguments: Any) -> Answers:
        """A foreign label."""
        self.asked += 1
        return Answers(tuple(Answer(("Nobody",), "") for _ in arguments[1]), Usage(), 1.0)


def test_unusable_answers_leave_labels_unmerged(virtually: Virtually) -> None:
    """Asked again as often as configured; then the ledger says that nothing could be decided."""
    model = Confused()
    result = resolved(virtually, model, {"Check Claim": 2, "About Claim": 1})
    assert model.asked == 1 + RetryConfig().attempts
    assert result.merges == ()
    assert [entry.verdict for entry in result.ledger] == ["undecided"]
    assert result.errors == ("general_intent: left unmerged: 'Nobody' is a label that nobody gave",)


def test_fixed_labels_and_names_of_an_earlier_run_stand(virtually: Virtually) -> None:
    """Fixed labels come first, then earlier names, whatever the sessions say; neither is merged away."""
    earlier = LedgerEntry(FIELD, "Old Claim", "Known Claim", "same", True, "embeddings", "m", "because")
    apart = LedgerEntry(FIELD, "New Refund", "Known Refund", "different", False, "embeddings", "m", "no")
    carried = Carried({FIELD: ("Fixed Claim",)}, {FIELD: ("Known Claim", "Known Refund")}, (earlier, apart))
    counts = {
        "Fixed Claim": 0, "Known Claim": 1, "Known Refund": 0, "Check Claim": 50, "Old Claim": 4,
        "New Refund": 9, "Quick Refund": 2,
    }  # fmt: skip
    model = ScriptedModel(groups=by_thing)
    result = resolved(virtually, model, counts, carried=carried)
    redirects = result.redirects()[FIELD]
    assert "Fixed Claim" not in redirects
    assert "Known Claim" not in redirects, "two labels that stand are not merged"
    assert redirects["Old Claim"] == "Known Claim"
    assert redirects["Check Claim"] in ("Fixed Claim", "Known Claim")
    assert redirects["Quick Refund"] in ("Known Refund", "New Refund")
    assert "New Refund" not in redirects, "the earlier run's verdict holds"
    by_alias = {entry.alias: entry for entry in result.merges}
    assert by_alias["Old Claim"].proposed_by == "earlier run"
    assert by_alias["Check Claim"].chosen in ("fixed by the user", "known from the earlier run")


def test_fields_are_never_mixed(virtually: Virtually) -> None:
    """The same words in two fields are two labels: no question and no entry names two fields."""
    model = ScriptedModel(groups=lambda labels: [tuple(labels)])
    phase = make_conflicts(model, shown_together=0)
    use = used(general_intent={"Check Claim": 1}, transfer_reason={"Claim Check": 1, "About Claims": 1})
    result = virtually(phase.resolve_conflicts(use))
    assert set(result.redirects()) == {"transfer_reason"}
    assert [question for question, _ in model.questions if "Check Claim" in question.candidates] == []


words = st.sampled_from(["Claim", "Refund", "Card", "Bill"])
labels = st.tuples(st.sampled_from(["Check", "About", "New", "Late", "Lost"]), words).map(" ".join)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.lists(labels, max_size=8), min_size=1, max_size=4),
    st.integers(0, 12),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_any_judge_leaves_a_sound_ledger(
    arrivals: list[list[str]], together: int, erring: bool, draw: Any
) -> None:
    """In steps, with a judge who errs at random: aliases are never canonical, what stood stays, each pair
    has one entry, and every redirect is in the ledger."""

    def judge(shown: Sequence[str]) -> list[tuple[str, ...]]:
        groups = by_thing(shown)
        return [group for group in groups if not erring or draw.random() < 0.6]

    async def go() -> list[ResolutionResult]:
        phase = make_conflicts(ScriptedModel(groups=judge), shown_together=together)
        counts: dict[str, int] = {}
        results = []
        for step, found in enumerate(arrivals, start=1):
            for label in found:
                counts[label] = counts.get(label, 0) + 1
            results.append(await phase.resolve_conflicts(used(**{FIELD: dict(counts)}), step=step))
        return results

    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        results = runner.run(go())
    before: dict[str, str] = {}
    for result in results:
        redirects = result.redirects().get(FIELD, {})
        assert not set(redirects) & set(redirects.values())
        assert before.items() <= redirects.items(), "a later step undid a merge"
        before = redirects
        pairs = [frozenset((entry.alias, entry.canonical)) for entry in result.ledger]
        assert len(set(pairs)) == len(pairs)
    if not erring:
        everything = {label for found in arrivals for label in found}
        assert all(redirects.get(a, a).split()[-1] == a.split()[-1] for a in everything)


def test_embeddings_only_merges_what_is_alike(virtually: Virtually) -> None:
    """The baseline asks nobody: it merges look-alikes, be they duplicates or not."""
    model = ScriptedModel()
    counts = {"Debit Card Declined": 3, "Credit Card Declined": 2, "Refund": 1}
    result = resolved(virtually, model, counts, mode="embeddings", merge_above=0.4)
    assert result.redirects() == {FIELD: {"Credit Card Declined": "Debit Card Declined"}}
    assert (model.questions, model.judged) == ([], [])
    assert result.merges[0].judge == "similarity"
    strict = resolved(virtually, model, counts, mode="embeddings", merge_above=0.99)
    assert strict.merges == ()


def test_questions_grow_with_labels_not_with_their_square(virtually: Virtually) -> None:
    """Four times as many labels, less than six times as many pairs."""
    things = [f"{a}{b}" for a in "bcdfghjklmnp" for b in ("arnel", "oster", "ilton", "umber", "egant")]

    def asked(count: int) -> int:
        counts = {f"{verb} {thing}": 1 for thing in things[:count] for verb in ("Check", "About", "New")}
        return resolved(virtually, ScriptedModel(groups=by_thing), counts).pairs_judged

    few, many = asked(15), asked(60)
    assert 0 < many < 6 * few


def test_a_step_that_failed_is_taken_up_again(virtually: Virtually, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was embedded and answered before the endpoint went away is used in the next step, and every label
    ends where it would have."""

    class Leaving(ScriptedModel):
        left = 3

        async def judge_pairs(self, *arguments: Any) -> Answers:
            self.left -= 1
            if self.left == 0:
                raise TransientEndpointError("gone")
            return await super().judge_pairs(*arguments)

    counts = {f"{verb} {thing}": 1 for thing in ("Claim", "Card", "Bill") for verb in ("Check", "New", "Any")}
    model = Leaving(groups=by_thing)
    monkeypatch.setattr(judge, "QUESTIONS_PER_CALL", 2)
    phase = make_conflicts(model, shown_together=0)
    with pytest.raises(EndpointGoneError):
        virtually(phase.resolve_conflicts(used(**{FIELD: counts}), step=1))
    assert phase.redirects() == {}
    result = virtually(phase.resolve_conflicts(used(**{FIELD: counts})))
    calm = resolved(virtually, ScriptedModel(groups=by_thing), counts)
    assert result.redirects() == calm.redirects()
    assert all(entry.alias != entry.canonical for entry in result.ledger)


def test_same_seed_same_questions(virtually: Virtually, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs ask the same, in the same order, whatever answer comes first."""

    def asked(delay: Callable[[CallContext], float]) -> tuple[set[Question], ResolutionResult]:
        model = ScriptedModel(groups=by_thing, delay=delay)
        counts = {
            f"{verb} {thing}": 1 for thing in ("Claim", "Card", "Bill") for verb in ("Check", "New", "Any")
        }
        monkeypatch.setattr(judge, "QUESTIONS_PER_CALL", 1)
        phase = make_conflicts(model, shown_together=0)
        result = virtually(phase.resolve_conflicts(used(**{FIELD: counts})))
        return {question for question, _ in model.questions}, replace(result, usage=Usage())

    assert asked(lambda context: 1.0) == asked(lambda context: 1 + context.seed % 7)


def test_guard_is_overruled_by_looks_with_reasons(virtually: Virtually) -> None:
    """When all looks hold two labels to be the same that a guard keeps apart for one of several words, three
    looks with reasons decide, and the ledger says so; what differs in nothing else stays apart."""
    everything = ScriptedModel(groups=lambda labels: [tuple(labels)])
    counts = {"Bill Not Received": 3, "Received Invoice": 2}
    result = resolved(virtually, everything, counts, shown_together=60)
    assert result.redirects() == {FIELD: {"Received Invoice": "Bill Not Received"}}
    assert result.merges[0].reason.startswith("as scripted (overrules the guard: one denies")
    assert [context.round for _, context in everything.questions] == [0, 0, 0]
    nobody = ScriptedModel(groups=lambda labels: [tuple(labels)] if len(labels) > 2 else [])
    counts = {"Bill Not Received": 3, "Received Invoice": 2, "Bill": 1}
    result = resolved(virtually, nobody, counts, shown_together=60)
    assert "Received Invoice" not in result.redirects().get(FIELD, {})


def test_labels_that_cannot_be_judged_together_are_asked_about_in_small_questions(
    virtually: Virtually,
) -> None:
    """A model that fails on whole lists is asked about pairs; nothing is left unjudged."""

    class Small(ScriptedModel):
        async def judge_duplicates(self, *arguments: Any) -> Judgement:
            self.judged.append(list(arguments[1]))
            return Judgement((), Usage(), 1.0, "no JSON")

    model = Small(groups=by_thing)
    result = resolved(virtually, model, {"Check Claim": 2, "About Claim": 1}, shown_together=60)
    assert len(model.judged) == 3 * (1 + RetryConfig().attempts)
    assert result.redirects() == {FIELD: {"About Claim": "Check Claim"}}
    assert (result.errors, result.unjudged) == ((), {})


def test_labels_that_nobody_could_judge_are_told_and_judged_in_a_later_step(virtually: Virtually) -> None:
    """They are settled by no step; a spelling of one is not either."""

    class Recovering(ScriptedModel):
        well = False

        async def judge_pairs(self, *arguments: Any) -> Answers:
            if self.well:
                return await super().judge_pairs(*arguments)
            return Answers((), Usage(), 1.0, "no JSON")

    model = Recovering(groups=by_thing)
    phase = make_conflicts(model, shown_together=0)
    counts = used(**{FIELD: {"Check Claim": 2, "About Claim": 1, "check claims": 1}})
    first = virtually(phase.resolve_conflicts(counts, step=1))
    assert (first.redirects(), first.errors) == ({}, ("general_intent: left unmerged: no JSON",))
    assert first.unjudged == {FIELD: ("Check Claim", "About Claim", "check claims")}
    model.well = True
    second = virtually(phase.resolve_conflicts(counts))
    assert second.redirects() == {FIELD: {"About Claim": "Check Claim", "check claims": "Check Claim"}}
    assert second.unjudged == {}


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 99))
def test_doubtful_pairs_get_further_looks_and_the_rest_none(seed: int) -> None:
    """A judge who misses every fourth duplicate is asked again, in fresh orders and seven times at most; one
    who never errs three times."""
    draw = random.Random(seed)
    labels = [f"{verb} {thing}" for thing in "abcdefgh" for verb in ("Check", "New", "Any")]

    def missing(shown: Sequence[str]) -> list[tuple[str, ...]]:
        kept = [label for label in shown if draw.random() > 0.13]
        return by_thing(kept)

    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        for groups, most in ((by_thing, 3), (missing, 7)):
            model = ScriptedModel(groups=groups)
            phase = make_conflicts(model, shown_together=60)
            result = runner.run(phase.resolve_conflicts(used(**{FIELD: dict.fromkeys(labels, 1)})))
            assert 3 <= len(model.judged) <= most
            assert all(e.alias.split()[-1] == e.canonical.split()[-1] for e in result.merges)
        assert result.canonical_mappings >= 9, "of 16; a run of three looks alone may leave half of them"


def test_many_labels_are_looked_at_in_blocks(virtually: Virtually) -> None:
    """Labels that share no word are found to be one, whatever lies between them, and no block is larger than
    configured."""
    things = {f"{word} thing{n}": n for n in range(40) for word in ("alpha", "beta", "gamma")}
    meant = {label.replace(f" thing{n}", "") + chr(97 + n % 26) * (n + 1): n for label, n in things.items()}

    def judge(shown: Sequence[str]) -> list[tuple[str, ...]]:
        groups: dict[int, list[str]] = {}
        for label in shown:
            groups.setdefault(meant[label], []).append(label)
        return [tuple(group) for group in groups.values() if len(group) > 1]

    model = ScriptedModel(groups=judge)
    result = resolved(virtually, model, dict.fromkeys(meant, 1), shown_together=20)
    final = result.redirects()[FIELD]
    assert len(final) == 80
    assert all(meant[alias] == meant[name] for alias, name in final.items())
    assert max(len(shown) for shown in model.judged) <= 20


THINGS = ("Claim", "Refund", "Parcel", "Invoice", "Password", "Branch", "Mortgage", "Delivery")


@pytest.mark.parametrize("lost", [3, 30])
def test_a_block_that_nobody_could_judge_is_asked_about_in_small_questions(
    virtually: Virtually, lost: int
) -> None:
    """Be it lost at the first looks or at later ones, nothing is left unjudged."""

    class Losing(ScriptedModel):
        async def judge_duplicates(self, *arguments: Any) -> Judgement:
            found = await super().judge_duplicates(*arguments)
            return found if len(self.judged) < lost else Judgement((), Usage(), 1.0, "no JSON")

    counts = {f"{verb} {thing}": 1 for thing in THINGS for verb in ("Check", "New", "Any")}
    result = resolved(virtually, Losing(groups=by_thing), counts, shown_together=8)
    assert {alias.split()[-1] for alias in result.redirects()[FIELD]} == set(THINGS)
    assert result.unjudged == {}
