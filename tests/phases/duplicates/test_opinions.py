"""From verdicts on pairs to groups."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from autoanalyze.phases.duplicates.opinions import Groups, Opinions, Source, grouped, pair_of

LABELS = tuple("ABCDEFGH")
SOURCE = Source("test", "test")
PAIRS = list(combinations(LABELS, 2))


def opinions(**verdicts: str) -> Opinions:
    """Opinions from names of pairs to what is said of them: opinions(AB="same")."""
    known = Opinions()
    for pair, verdict in verdicts.items():
        known.look(pair_of(pair[0], pair[1]), verdict == "same", "", SOURCE)
    return known


def groups_of(known: Opinions, standing: Groups | None = None, largest: int = 99) -> list[str]:
    """The groups of A to D, each as a word."""
    return ["".join(members) for members in grouped("ABCD", standing or {}, known, largest=largest).values()]


def test_no_chaining() -> None:
    """C means the same as B, but nobody says so of C and A, whose alias B is."""
    assert groups_of(opinions(AB="same", BC="same")) == ["AB", "C", "D"]
    assert groups_of(opinions(AB="same", BC="same", AC="same")) == ["ABC", "D"]


def test_outvoted_labels_stay_out() -> None:
    """One look at A and D is outvoted by two members who are not the same as D."""
    said = {"AB": "same", "AC": "same", "BC": "same", "AD": "same", "BD": "different", "CD": "different"}
    assert groups_of(opinions(**said)) == ["ABC", "D"]


def test_labels_of_its_own_group_speak_against_a_stranger() -> None:
    """B is taken for A once, but its own aliases C and D are not the same as A: B keeps them."""
    said = {"AB": "same", "BC": "same", "BD": "same", "CD": "same", "AC": "different", "AD": "different"}
    assert groups_of(opinions(**said)) == ["A", "BCD"]


def test_full_groups_take_nobody() -> None:
    """A group does not grow beyond its cap; who finds no place is canonical."""
    said = {"AB": "same", "AC": "same", "BC": "same", "AD": "same", "BD": "same", "CD": "same"}
    assert groups_of(opinions(**said), largest=2) == ["AB", "CD"]


def test_even_opinions_decide_nothing() -> None:
    """One look for and one against leave two labels apart."""
    known = opinions(AB="same")
    known.look(("A", "B"), False, "", SOURCE)
    assert known.verdict("A", "B") == "undecided"
    assert groups_of(known) == ["A", "B", "C", "D"]


looks = st.lists(st.tuples(st.sampled_from(PAIRS), st.booleans()), max_size=60)


@given(looks, st.permutations(LABELS), st.integers(2, 9), st.integers(0, 3))
def test_groups_are_a_partition_whose_members_match_their_canonical(
    said: list[tuple[tuple[str, str], bool]], labels: list[str], largest: int, standing: int
) -> None:
    """Whatever was said: each label once, standing labels canonical, no alias that is not the same as its
    canonical, no group beyond the cap."""
    known = Opinions()
    for pair, same in said:
        known.look(pair, same, "", SOURCE)
    fixed: Groups = {label: [label] for label in labels[:standing]}
    groups = grouped(labels[standing:], fixed, known, largest=largest)
    assert sorted(label for members in groups.values() for label in members) == sorted(LABELS)
    assert list(groups)[:standing] == labels[:standing]
    for canonical, members in groups.items():
        assert members[0] == canonical
        assert len(members) <= largest
        for alias in members[1:]:
            assert known.verdict(alias, canonical) == "same"
            assert labels.index(canonical) < labels.index(alias)
