"""Each unkind behaviour does what `configs/noise/default.yaml` says, at the rate that is given."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from random import Random

import pytest

from autoanalyze.config import UNKIND, NoiseConfig
from autoanalyze.records import Truth
from autoanalyze.simulation.levels import KINDS
from autoanalyze.simulation.naming import Known, Naming, Seen, attracts, details, fits, specific
from autoanalyze.simulation.paraphrase import paraphrases
from autoanalyze.simulation.truth import PlantedTruth

FIELD = "general_intent"
CONCEPTS = ("Claim Status", "Claim Denial", "Card Block", "Meter Reading", "terms And conditions")
TEXT = "user: I asked twice for the letter of 12 May\nbot: one moment"
PLANTED = PlantedTruth(
    (f"user: about my {concept.lower()}, number {i}", Truth(f"{i}{concept}", None, {FIELD: concept}))
    for concept in CONCEPTS
    for i in range(3)
)
DRAWS = 2_000


def names(
    concept: str = "Claim Status",
    known: Sequence[str] = (),
    *,
    second: str | None = None,
    before: str | None = None,
    count: int = DRAWS,
    **noise: float,
) -> list[str]:
    """Many names for one session, by a model that errs in the given ways only."""
    naming = Naming(PLANTED, NoiseConfig(**noise))  # type: ignore[arg-type]  # paraphrases is never given
    of: dict[str, list[str]] = {}
    for label in known:
        of.setdefault(PLANTED.meaning(FIELD, label) or label, []).append(label)
    draw, seen = Random(1), Seen(FIELD, TEXT, concept, second)
    return [
        naming.name(seen, Known(of, known), [draw.random() for _ in range(3)], iter(draw.random, 2.0), before)
        for _ in range(count)
    ]


def meanings(labels: Sequence[str]) -> list[str | None]:
    """What names mean."""
    return [PLANTED.meaning(FIELD, label) for label in labels]


def share(found: Sequence[bool]) -> float:
    """The share of what is so."""
    return sum(found) / len(found)


def about(rate: float) -> object:
    """A rate within sampling error: five standard errors."""
    return pytest.approx(rate, abs=5 * (rate * (1 - rate) / DRAWS) ** 0.5)


def test_friendly_model_names_nothing_but_the_concept() -> None:
    """Whatever else stands in the session or in the list; no draw is taken for what is off."""
    everything = {"second": "Card Block", "before": "Card Block"}
    assert set(meanings(names(known=["Claims", "Claim Denial"], **everything))) == {"Claim Status"}  # type: ignore[arg-type]
    naming = Naming(PLANTED, NoiseConfig())
    assert not naming.unkind
    seen = Seen(FIELD, TEXT, "Claim Status", "Card Block")
    assert naming.name(seen, Known({}, ()), [0.5, 0.5, 0.0], iter(())) == "Claim Status"
    assert all(Naming(PLANTED, NoiseConfig(**{name: 0.1})).unkind for name in UNKIND)  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", [0.3, 1.0])
def test_new_names_are_broader_or_narrower(rate: float) -> None:
    """Half of `granularity` each; a session has one narrower concept."""
    found = meanings(names(granularity=rate))
    below = {f"Claim Status {kind}" for kind in KINDS} & set(found)
    assert len(below) == 1
    assert share([each == "Claims" for each in found]) == about(rate / 2)
    assert share([each in below for each in found]) == about(rate / 2)
    assert set(found) <= {"Claim Status", "Claims", *below}


def test_levels_have_labels_that_are_reused() -> None:
    """As those of the concept are, and a label of the concept itself goes before."""
    found = names(known=["The Claims"], granularity=1.0, reuse=1.0)
    assert {name for name in found if PLANTED.meaning(FIELD, name) == "Claims"} == {"The Claims"}
    assert set(names(known=["Claims", "Status of Claim"], granularity=1.0, reuse=1.0)) == {"Status of Claim"}


@pytest.mark.parametrize("rate", [0.4, 1.0])
def test_a_broader_label_is_taken_where_none_of_the_own_is_known(rate: float) -> None:
    """And only there."""
    taken = names(known=["Claims Inquiry"], broader_taken=rate)
    assert share([name == "Claims Inquiry" for name in taken]) == about(rate)
    assert "Claims" not in names(known=["Claim Status", "Claims"], broader_taken=rate)


@pytest.mark.parametrize("rate", [0.2, 1.0])
def test_over_specific_names_still_mean_their_concept(rate: float) -> None:
    """They carry words of the session, not who said them, and are no longer than a label may be."""
    found = names(specific=rate)
    assert share([" For " in name for name in found]) == about(rate)
    assert set(meanings(found)) == {"Claim Status"}
    assert all(map(fits, found))
    said = {word.strip(",.") for word in TEXT.title().split() if not word.endswith(":")}
    assert set(" ".join(name.partition(" For ")[2] for name in found).split()) <= said


@pytest.mark.parametrize(
    "text",
    ["user: ...", "", "user: for for for for", f"user: {'x' * 70} {'y' * 70}", "user: \u4e2d\u6587 :)"],
)
def test_details_of_odd_sessions_spoil_no_name(text: str) -> None:
    """Without words, or with words that are too long, there are none."""
    name = specific("Claim Status", text)
    assert fits(name)
    assert name == " ".join(name.split())
    assert PLANTED.meaning(FIELD, name) == "Claim Status"
    assert len(details(text)) <= 2


def test_other_is_an_easy_exit() -> None:
    """At its rate, whatever is known."""
    assert share([name == "Other" for name in names(known=["Claim Status"], other=0.3)]) == about(0.3)
    assert PLANTED.meaning(FIELD, "other") == "Other"


def test_second_matter_is_named_or_both() -> None:
    """Each at its own rate; a session with one matter, or the same twice, has nothing else to name."""
    found = meanings(names(second="Card Block", second_taken=0.3, combined=0.2))
    assert share([each == "Card Block" for each in found]) == about(0.3)
    pair = "Card Block And Claim Status"
    assert share([each == pair for each in found]) == about(0.2)
    labels = names(second="Card Block", combined=1.0)
    assert set(labels) == {pair, "Claim Status And Card Block"}
    assert set(names(second="Card Block", known=[pair], combined=1.0, reuse=1.0)) == {pair}
    for second in (None, "Claim Status"):
        alone = names(second=second, second_taken=0.5, combined=0.5, count=100)
        assert set(meanings(alone)) == {"Claim Status"}


def test_two_long_names_are_not_one_label() -> None:
    """No label may be as long as that."""
    long = "International Extraordinarily Verbose Card Replacement"
    assert set(names(second=long, combined=1.0, count=50)) <= set(paraphrases("Claim Status", FIELD))


def test_concept_of_several_words_is_one_matter() -> None:
    """Also where it is written as names of two are."""
    found = names("terms And conditions", granularity=0.0, specific=0.1, count=200)
    assert set(meanings(found)) == {"terms And conditions"}


@pytest.mark.parametrize("rate", [0.3, 1.0])
def test_forced_fit_takes_the_nearest_that_has_a_label(rate: float) -> None:
    """Not the nearest of all, where that has none; and nothing where the own concept has one."""
    near, *_, far = PLANTED.nearest[FIELD]["Claim Status"]
    assert near == "Claim Denial"
    assert share([name == near for name in names(known=[far, near], forced_fit=rate)]) == about(rate)
    assert share([name == far for name in names(known=[far], forced_fit=rate)]) == about(rate)
    assert near not in names(known=[near, "Claim Status"], forced_fit=rate)
    assert set(meanings(names(forced_fit=1.0, count=50))) == {"Claim Status"}


def test_labels_that_attract_swallow_sessions() -> None:
    """One label in ten does, always the same ones; of several the earliest."""
    some = [f"Label {number}" for number in range(2_000)]
    assert share([attracts(label) for label in some]) == pytest.approx(0.1, abs=0.03)
    first, second = [label for label in some if attracts(label)][:2]
    dull = next(label for label in some if not attracts(label))
    assert share([name == first for name in names(known=[dull, first, second], attraction=0.2)]) == about(0.2)
    assert dull not in names(known=[dull], attraction=1.0, count=50)


def test_neighbours_in_a_call_are_copied() -> None:
    """Where there is one before."""
    assert share([name == "Card Block" for name in names(before="Card Block", copying=0.3)]) == about(0.3)
    assert set(meanings(names(copying=1.0, count=50))) == {"Claim Status"}


def test_reuse_falls_as_the_list_grows() -> None:
    """To half at the given number of labels."""
    filled = ["Status of Claim", *(f"Label {number}" for number in range(99))]
    for halves_at, expected in ((100.0, 0.5), (1e9, 1.0), (25.0, 0.2)):
        found = names(known=filled, reuse=1.0, reuse_halves_at=halves_at)
        coined = 0.25 / sum(1 / rank for rank in range(1, 7))  # the fourth of six names, drawn anew
        assert share([name == "Status of Claim" for name in found]) == pytest.approx(
            expected + (1 - expected) * coined, abs=0.06
        )


def test_names_are_the_same_from_one_version_to_the_next() -> None:
    """So that figures of unkind worlds stay what they are."""
    found = names(
        known=["Claims"],
        second="Card Block",
        before="Other",
        granularity=0.3,
        specific=0.2,
        copying=0.1,
        combined=0.1,
    )
    assert len(set(found)) > 20
    digest = hashlib.sha256("\n".join(found).encode()).hexdigest()
    assert digest[:16] == "827ecba980bf6f15"


def test_nothing_is_forced_where_no_label_is_known() -> None:
    """Asked without known labels, a model that swallows whatever it can names each session's own matter."""
    for concept in CONCEPTS:
        found = names(concept, attraction=1.0, forced_fit=1.0, copying=0.0, count=200)
        assert set(meanings(found)) == {concept}
