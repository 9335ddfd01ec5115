"""The nouns that all rooms share: they never change, and they add up."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoanalyze.records import (
    FALLBACK_OUTCOMES,
    Facts,
    LabelField,
    LabelSchema,
    Message,
    SessionResult,
    Usage,
    VocabularySnapshot,
    derived_seed,
    transcript,
)

FIELDS = ("intent", "reason")
letters = st.sampled_from("ABCDE")
additions = st.lists(
    st.dictionaries(st.sampled_from(FIELDS), st.lists(letters, max_size=4), max_size=2), max_size=6
)
usages = st.builds(Usage, *[st.integers(0, 10**6)] * 4)


def extended(found: list[dict[str, list[str]]]) -> VocabularySnapshot:
    snapshot = VocabularySnapshot()
    for new in found:
        snapshot = snapshot.extended(new)
    return snapshot


def pairs(snapshot: VocabularySnapshot) -> list[tuple[str, str]]:
    return [(name, label) for addition in snapshot.additions for name, ls in addition.items() for label in ls]


@settings(deadline=None, max_examples=40)
@given(additions)
def test_labels_arrive_once_and_in_order(found: list[dict[str, list[str]]]) -> None:
    """Per field each label once, in order of first arrival; no version is empty, and what is known already
    makes none."""
    snapshot = extended(found)
    for name in FIELDS:
        arrived = [label for new in found for label in new.get(name, [])]
        assert list(snapshot.labels(name)) == list(dict.fromkeys(arrived))
    assert all(addition and all(addition.values()) for addition in snapshot.additions)
    for new in found:
        assert snapshot.extended(new) is snapshot
    assert snapshot.labels("unheard_of") == ()


@settings(deadline=None, max_examples=40)
@given(additions, additions)
def test_older_snapshot_is_a_prefix_and_stays_as_it_was(
    found: list[dict[str, list[str]]], more: list[dict[str, list[str]]]
) -> None:
    """Extending makes another snapshot that begins with this one."""
    older = extended(found)
    content, version = older.content, older.version
    newer = older
    for new in more:
        newer = newer.extended(new)
    assert (older.content, older.version) == (content, version)
    assert newer.content[: older.version] == older.content
    with pytest.raises(FrozenInstanceError):
        older.additions = ()  # type: ignore[misc]  # that it cannot be done is the test


@settings(deadline=None, max_examples=40)
@given(additions, st.sets(st.tuples(st.sampled_from(FIELDS), letters)))
def test_withdrawn_labels_are_known_and_not_shown(
    found: list[dict[str, list[str]]], withdrawn: set[tuple[str, str]]
) -> None:
    """What is shown is everything else, in the same order and in as many versions; nothing is new again."""
    whole = extended(found)
    snapshot = replace(whole, withdrawn=frozenset(withdrawn))
    assert pairs(snapshot.shown()) == [pair for pair in pairs(whole) if pair not in withdrawn]
    assert snapshot.shown().version == snapshot.version == whole.version
    assert snapshot.extended({name: [label] for name, label in pairs(whole)}) is snapshot
    more = snapshot.extended({"intent": ["Z"]})
    assert more.withdrawn == snapshot.withdrawn
    assert pairs(more.shown()) == [*pairs(snapshot.shown()), ("intent", "Z")]


@settings(deadline=None, max_examples=40)
@given(additions)
def test_content_can_be_hashed_and_tells_order(found: list[dict[str, list[str]]]) -> None:
    """Equal content is equal vocabulary in the same order, also of the fields."""
    snapshot = extended(found)
    assert hash(snapshot.content) == hash(extended(found).content)
    turned = VocabularySnapshot(
        tuple(dict(reversed(list(addition.items()))) for addition in snapshot.additions)
    )
    assert turned == snapshot
    assert (turned.content == snapshot.content) == all(len(a) < 2 for a in snapshot.additions)


@settings(deadline=None, max_examples=40)
@given(st.lists(usages, max_size=5), st.permutations(range(5)))
def test_usages_add_up_in_any_order(parts: list[Usage], order: list[int]) -> None:
    """The sum is that of each figure, whoever comes first, and nothing changes it by nothing."""
    total = sum(parts, Usage())
    shuffled = [parts[i] for i in order if i < len(parts)]
    assert sum(shuffled, Usage()) == total
    assert total.prompt == sum(part.prompt for part in parts)
    assert total.embedded == sum(part.embedded for part in parts)
    assert total + Usage() == total


@settings(deadline=None, max_examples=40)
@given(st.lists(st.one_of(st.integers(), st.text(), st.booleans()), max_size=4))
def test_seeds_depend_on_their_parts_alone(parts: list[object]) -> None:
    """The same parts give the same seed of 31 bits; other parts, or another division of them, another."""
    seed = derived_seed(*parts)
    assert seed == derived_seed(*parts)
    assert 0 <= seed < 2**31
    assert derived_seed(*parts, "more") != seed
    assert derived_seed("ab", "c") != derived_seed("a", "bc")


def test_seeds_are_the_same_on_every_machine() -> None:
    """A journal of today is found again tomorrow: the seeds that its requests hold are fixed."""
    assert derived_seed(7, 0) == int.from_bytes(sha256(b"(7, 0)").digest()[:4]) >> 1


def test_fields_apply_to_their_outcomes() -> None:
    """A field without outcomes is for all sessions, another for those that it names."""
    always, transfers = LabelField("intent", ""), LabelField("reason", "", ("Transfer",))
    assert [always.applies(outcome) for outcome in ("Transfer", "Contained", None)] == [True] * 3
    assert [transfers.applies(outcome) for outcome in ("Transfer", "Contained", None)] == [True, False, False]
    assert LabelSchema((always, transfers)).names == FIELDS


def test_a_result_is_labelled_when_it_has_facts() -> None:
    """An error that came before the facts leaves it labelled; without facts it is not."""
    lost = SessionResult("a", None, "parallel", 1, 1, 4, error="lost")
    assert lost.status == "unresolved"
    assert replace(lost, facts=Facts("Contained", {})).status == "labelled"


def test_transcript_is_a_line_per_turn() -> None:
    """Role and text, in order; nothing is no line."""
    assert transcript([Message("user", "hi"), Message("bot", "hello")]) == "user: hi\nbot: hello"
    assert transcript([]) == ""


def test_every_containment_type_suggests_something() -> None:
    """Of sessions that could not be labelled the channel knows the outcome, but for `unknown`."""
    assert {kind for kind, outcome in FALLBACK_OUTCOMES.items() if outcome is None} == {"unknown"}
    assert set(FALLBACK_OUTCOMES) == {"agent", "selfService", "dropOff", "unknown"}
