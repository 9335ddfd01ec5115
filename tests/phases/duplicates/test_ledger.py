"""FieldLedger: groups without chains, each verdict once, and what an earlier run settled stays settled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoanalyze.phases.duplicates.ledger import EARLIER_RUN, Carried, FieldLedger, LedgerEntry
from autoanalyze.phases.duplicates.opinions import LARGEST_GROUP, Source, grouped, pair_of
from autoanalyze.phases.duplicates.spelling import normal_form

FIELD = "general_intent"
LABELS = (
    "Claim Status",
    "claims status",
    "Status of the Claim",
    "Refund",
    "refunds",
    "Card Lost",
    "Lost Card",
    "Card Stolen",
    "Late Refund",
)
JUDGE = Source("some-model", "embeddings")
labels = st.sampled_from(LABELS)


@dataclass(frozen=True)
class Step:
    """Sessions per label that arrives, and what the judge says meanwhile."""

    counts: Mapping[str, int]
    looks: Sequence[tuple[tuple[str, str], bool]] = field(default_factory=list)


steps = st.lists(
    st.builds(
        Step,
        st.dictionaries(labels, st.integers(0, 9), max_size=6),
        st.lists(st.tuples(st.sampled_from(list(combinations(LABELS, 2))), st.booleans()), max_size=8),
    ),
    min_size=1,
    max_size=4,
)


def settle(ledger: FieldLedger, step: Step, number: int, largest: int = LARGEST_GROUP) -> None:
    """One step as the judges of pairs make it."""
    fresh, spelled = ledger.spellings(ledger.unsettled(step.counts))
    for pair, same in step.looks:
        ledger.opinions.look(pair_of(*pair), same, "as said", replace(JUDGE, step=number))
    groups = grouped(fresh, ledger.groups, ledger.opinions, largest=largest)
    ledger.regroup(groups, spelled, step.counts, number)


def redirects(ledger: FieldLedger) -> dict[str, str]:
    """Alias to canonical, as the entries say."""
    merged = [entry for entry in ledger.entries() if entry.merged]
    assert len({entry.alias for entry in merged}) == len(merged), "an alias leads to two labels"
    return {entry.alias: entry.canonical for entry in merged}


def is_sound(ledger: FieldLedger, carried: Carried) -> None:
    """What must hold of a ledger whatever was said."""
    found = redirects(ledger)
    assert not set(found) & set(found.values()), "an alias of an alias"
    assert set(found.values()) <= set(ledger.canonicals)
    members = [label for group in ledger.groups.values() for label in group]
    assert len(set(members)) == len(members), "a label in two groups"
    for canonical, group in ledger.groups.items():
        assert group[0] == canonical
        assert {found[label] for label in group[1:]} <= {canonical}
    standing = list(dict.fromkeys((*carried.fixed.get(FIELD, ()), *carried.labels.get(FIELD, ()))))
    assert ledger.canonicals[: len(standing)] == standing, "what was fixed or known was merged away"
    pairs = [frozenset((entry.alias, entry.canonical)) for entry in ledger.entries()]
    assert len(set(pairs)) == len(pairs), "a pair has two entries"
    assert set(map(frozenset, ledger.opinions.pairs())) <= set(pairs), "a verdict is in no entry"


@settings(deadline=None, max_examples=30)
@given(steps, st.lists(labels, unique=True, max_size=2), st.lists(labels, unique=True, max_size=2))
def test_no_chains_and_what_stands_stays(said: list[Step], fixed: list[str], known: list[str]) -> None:
    """In any steps, whatever a judge says: no alias leads to an alias, fixed and earlier labels stand in
    front, each alias agrees with its canonical or spells a label that does, and no merge is undone."""
    carried = Carried({FIELD: tuple(fixed)}, {FIELD: tuple(known)})
    ledger = FieldLedger(FIELD, carried)
    before: dict[str, str] = {}
    for number, step in enumerate(said, start=1):
        agreed_then = dict(before)
        settle(ledger, step, number)
        is_sound(ledger, carried)
        after = redirects(ledger)
        assert agreed_then.items() <= after.items()
        assert set(step.counts) <= {label for group in ledger.groups.values() for label in group}
        for alias in set(after) - set(agreed_then):
            group = ledger.groups[after[alias]]
            spelled = [m for m in group if m != alias and normal_form(m) == normal_form(alias)]
            assert ledger.opinions.verdict(alias, after[alias]) == "same" or spelled
        before = after


@settings(deadline=None, max_examples=30)
@given(steps, st.lists(labels, unique=True, max_size=2), steps)
def test_carried_run_is_taken_up_where_it_ended(
    said: list[Step], fixed: list[str], later: list[Step]
) -> None:
    """A ledger read from the entries of another has its groups and verdicts, says so, and goes on from there
    without undoing anything; read once more, nothing changes."""
    first = FieldLedger(FIELD, Carried({FIELD: tuple(fixed)}))
    for number, step in enumerate(said, start=1):
        settle(first, step, number)
    carried = Carried({}, {FIELD: tuple(first.canonicals)}, first.entries())
    second = FieldLedger(FIELD, carried)
    assert redirects(second) == redirects(first)
    assert {k: set(v) for k, v in second.groups.items()} == {k: set(v) for k, v in first.groups.items()}
    assert {(e.alias, e.canonical, e.verdict, e.judge, e.reason) for e in second.entries()} == {
        (e.alias, e.canonical, e.verdict, e.judge, e.reason) for e in first.entries()
    }
    assert {entry.proposed_by for entry in second.entries()} <= {EARLIER_RUN}
    third = FieldLedger(FIELD, replace(carried, ledger=second.entries()))
    assert set(third.entries()) == set(second.entries())
    standing = redirects(second)
    for number, step in enumerate(later, start=1):
        settle(second, step, number)
        is_sound(second, carried)
    assert standing.items() <= redirects(second).items()
    assert carried.vocabulary().labels(FIELD) == tuple(first.canonicals)


def entry(alias: str, canonical: str, **changes: object) -> LedgerEntry:
    return replace(
        LedgerEntry(FIELD, alias, canonical, "same", True, "embeddings", "m", "because", round=3),
        **changes,  # type: ignore[arg-type]  # fields of an entry
    )


def test_what_is_fixed_now_was_merged_then() -> None:
    """An earlier run's alias that the user fixes stands for itself; the rest of its group stays."""
    earlier = (entry("Lost Card", "Card Lost"), entry("Card Stolen", "Card Lost"))
    ledger = FieldLedger(FIELD, Carried({FIELD: ("Lost Card",)}, {FIELD: ("Card Lost",)}, earlier))
    assert redirects(ledger) == {"Card Stolen": "Card Lost"}
    assert ledger.canonicals == ["Lost Card", "Card Lost"]


def test_other_fields_are_no_concern() -> None:
    """Entries and labels of another field leave a ledger empty."""
    other = Carried({"other": ("A",)}, {"other": ("B",)}, (entry("C", "B", field="other"),))
    ledger = FieldLedger(FIELD, other)
    assert (ledger.groups, ledger.entries(), ledger.conflicts) == ({}, (), 0)


def test_most_used_then_earliest_becomes_canonical() -> None:
    """Labels wait by their sessions, ties by arrival; those in a group wait no more."""
    ledger = FieldLedger(FIELD, Carried({FIELD: ("D",)}))
    assert ledger.unsettled({"A": 1, "B": 5, "C": 1, "D": 9, "E": 5}) == ["B", "E", "A", "C"]


@settings(deadline=None, max_examples=40)
@given(st.lists(labels, unique=True), st.lists(labels, unique=True, max_size=3))
def test_a_spelling_leads_to_the_first_of_its_form(fresh: list[str], fixed: list[str]) -> None:
    """Of labels with one normal form only the first is left to be judged; the others spell it, or what
    stands already."""
    ledger = FieldLedger(FIELD, Carried({FIELD: tuple(fixed)}))
    waiting = [label for label in fresh if label not in fixed]
    left, spelled = ledger.spellings(waiting)
    assert sorted([*left, *spelled]) == sorted(waiting)
    assert len({normal_form(label) for label in left}) == len(left)
    assert not {normal_form(label) for label in left} & {normal_form(label) for label in fixed}
    for label, first in spelled.items():
        assert normal_form(label) == normal_form(first)
        assert first in fixed or first in left


@pytest.mark.parametrize(
    ("carried", "counts", "chosen"),
    [
        (Carried({FIELD: ("A",)}), {"B": 5}, "fixed by the user"),
        (Carried({}, {FIELD: ("A",)}), {"B": 5}, "known from the earlier run"),
        (Carried(), {"A": 5, "B": 2}, "more sessions: 5 against 2"),
        (Carried(), {"A": 2, "B": 2}, "earlier, with as many sessions"),
    ],
)
def test_entry_says_why_the_canonical_is_canonical(
    carried: Carried, counts: dict[str, int], chosen: str
) -> None:
    """Fixed, known before, used more, or earlier: the reader need not guess."""
    ledger = FieldLedger(FIELD, carried)
    ledger.similarity[("A", "B")] = 0.75
    settle(ledger, Step(counts, [(("A", "B"), True), (("A", "B"), True)]), 4)
    (only,) = ledger.entries()
    assert (only.alias, only.canonical, only.merged, only.chosen) == ("B", "A", True, chosen)
    assert (only.judge, only.proposed_by, only.reason) == ("some-model", "embeddings", "as said")
    assert (only.similarity, only.opinions, only.round) == (0.75, 2, 4)


def test_canonical_that_was_outgrown_says_so() -> None:
    """A later alias may have more sessions than the label that stood before it came."""
    ledger = FieldLedger(FIELD, Carried())
    settle(ledger, Step({"A": 1}), 1)
    settle(ledger, Step({"A": 1, "B": 7}, [(("A", "B"), True)]), 2)
    assert [entry.chosen for entry in ledger.entries()] == ["canonical since an earlier merge"]


def test_conflicts_are_merges_and_what_somebody_held_to_be_the_same() -> None:
    """A merged group counts once, a disputed pair too; what nobody proposed is no conflict."""
    ledger = FieldLedger(FIELD, Carried())
    disputed = [(("A", "F"), same) for same in (True, False, False)]
    looks = [(("A", "B"), True), (("A", "C"), True), (("D", "E"), False), *disputed]
    settle(ledger, Step(dict.fromkeys("ABCDEF", 1), looks), 1)
    assert redirects(ledger) == {"B": "A", "C": "A"}
    assert ledger.conflicts == 2


def test_aliases_of_one_canonical_are_not_kept_apart() -> None:
    """A group whose aliases were compared too is one conflict, as it is without that comparison."""
    ledger = FieldLedger(FIELD, Carried())
    settle(ledger, Step(dict.fromkeys("ABC", 1), [(pair, True) for pair in combinations("ABC", 2)]), 1)
    assert redirects(ledger) == {"B": "A", "C": "A"}
    assert ledger.conflicts == 1


def test_redirects_of_a_judge_of_all_labels_are_settled() -> None:
    """What a judge of all labels redirects is grouped under labels that stand or come with it."""
    ledger = FieldLedger(FIELD, Carried({FIELD: ("A",)}))
    ledger.redirect(["B", "C", "D"], {"B": "A", "D": "C"}, {"C": 3, "D": 1}, "some-model", 2)
    assert ledger.groups == {"A": ["A", "B"], "C": ["C", "D"]}
    assert [(e.alias, e.proposed_by, e.judge, e.round) for e in ledger.entries()] == [
        ("B", "judge", "some-model", 2),
        ("D", "judge", "some-model", 2),
    ]


def test_a_merge_that_sessions_do_not_bear_out_is_undone_for_good() -> None:
    """The label stands for itself with its other spellings, no later step merges it again, and a run that
    carries on knows it too."""
    ledger = FieldLedger(FIELD, Carried())
    counts = {"Refund": 9, "Claim Status": 4, "claims status": 1, "Late Refund": 3}
    looks = [(("Claim Status", "Refund"), True), (("Late Refund", "Refund"), True)]
    settle(ledger, Step(counts, looks), 1)
    assert ledger.judged() == {"Claim Status": "Refund", "Late Refund": "Refund"}
    ledger.part("Claim Status", "2 of 2 kept it", 2)
    assert ledger.groups == {
        "Refund": ["Refund", "Late Refund"],
        "Claim Status": ["Claim Status", "claims status"],
    }
    assert not ledger.opinions.open("Claim Status", "Refund"), "nobody is asked any more"
    settle(ledger, Step({**counts, "Card Lost": 1}), 3)
    assert redirects(ledger) == {"Late Refund": "Refund", "claims status": "Claim Status"}
    (undone,) = (entry for entry in ledger.entries() if not entry.merged)
    assert (undone.verdict, undone.judge, undone.reason, undone.round) == (
        "different",
        "second look",
        "2 of 2 kept it",
        2,
    )
    carried = Carried({}, {FIELD: tuple(ledger.canonicals)}, ledger.entries())
    later = FieldLedger(FIELD, carried)
    assert later.judged() == {}, "what an earlier run merged is not tried again"
    assert later.opinions.verdict("Claim Status", "Refund") == "different"


@given(steps, st.randoms(use_true_random=False))
def test_undone_merges_leave_every_label_in_one_group(done: list[Step], chance: object) -> None:
    """Whatever was merged, and whichever merges are undone at whatever moment."""
    ledger = FieldLedger(FIELD, Carried())
    for number, step in enumerate(done, start=1):
        settle(ledger, step, number)
        for alias in sorted(ledger.judged()):
            if chance.random() < 0.5:  # type: ignore[attr-defined]
                ledger.part(alias, "kept it", number)
                assert alias in ledger.groups
    members = [label for group in ledger.groups.values() for label in group]
    assert len(members) == len(set(members)) == len({label for step in done for label in step.counts})
    assert all(group[0] == canonical for canonical, group in ledger.groups.items())
    merged = redirects(ledger)
    assert set(merged) == set(members) - set(ledger.groups)
    assert all(alias in ledger.groups[canonical] for alias, canonical in merged.items())
