"""Judges: what they get wrong for good, what anew, and never about what does not look alike."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import pytest

from autoanalyze.analysis.configuration import compose
from autoanalyze.config import NoiseConfig
from autoanalyze.data.synthetic import Variety, concepts
from autoanalyze.llm.judging import parse_judge_reply
from autoanalyze.protocols import Question
from autoanalyze.records import Truth
from autoanalyze.serving.requests import JudgeRequest, PairsRequest
from autoanalyze.simulation.judging import FIRST, Judging
from autoanalyze.simulation.levels import related
from autoanalyze.simulation.paraphrase import paraphrases
from autoanalyze.simulation.truth import PlantedTruth

FIELD = "general_intent"
CONCEPTS = concepts(Variety(120))[FIELD]
PLANTED = PlantedTruth(
    (f"user: about {concept.lower()}", Truth(concept, None, {FIELD: concept})) for concept in CONCEPTS
)
ALIKE = [pair for pair in combinations(CONCEPTS, 2) if PLANTED.look_alike(FIELD, *pair)]
SAME = [
    paraphrases(concept, FIELD)[position : position + 2] for concept in CONCEPTS for position in (0, 2, 4)
]
FRIENDLY = NoiseConfig()


def merged(noise: NoiseConfig, first: str, second: str, *, seed: int = 1, person: int = FIRST) -> bool:
    """What a judge says of two labels alone."""
    reply = Judging(PLANTED, noise, person).groups(JudgeRequest(FIELD, (first, second)), seed)
    return bool(parse_judge_reply(reply, [first, second]))


def verdicts(noise: NoiseConfig, pairs: Sequence[Sequence[str]], **how: int) -> list[bool]:
    """What a judge says of many pairs, each alone."""
    return [merged(noise, first, second, **how) for first, second in pairs]


def rate(found: list[bool]) -> float:
    """The share of what is so."""
    return sum(found) / len(found)


@pytest.mark.parametrize("name", ["friendly", "independent", "fixed", "meanings", "asymmetric"])
def test_rates_are_those_given(name: str) -> None:
    """Within sampling error, over pairs that look alike, and over pairs that are the same."""
    noise = compose([f"judge={name}"]).noise
    false, missed = verdicts(noise, ALIKE), verdicts(noise, SAME)
    assert len(ALIKE) > 400
    assert rate(false) == pytest.approx(noise.judge_false_merge, abs=0.05)
    assert 1 - rate(missed) == pytest.approx(noise.judge_missed, abs=0.08)


@pytest.mark.parametrize("name", ["independent", "fixed", "meanings", "asymmetric"])
def test_two_labels_are_judged_alike_either_way_round(name: str) -> None:
    """In one call always, and in any call what comes back."""
    noise = compose([f"judge={name}"]).noise
    turned = [(second, first) for first, second in ALIKE]
    found = answers(noise, [*ALIKE, *turned])
    assert found[: len(ALIKE)] == found[len(ALIKE) :]
    if name in ("fixed", "meanings"):
        assert verdicts(noise, turned) == verdicts(noise, ALIKE)


def test_fixed_errors_belong_to_two_labels() -> None:
    """Every call gives the same verdict; other names of the same two meanings have verdicts of their own."""
    noise = compose(["judge=fixed"]).noise
    first, again = (verdicts(noise, ALIKE, seed=seed) for seed in (1, 2))
    assert first == again
    turned = [tuple(paraphrases(concept, FIELD)[1] for concept in pair) for pair in ALIKE]
    assert verdicts(noise, turned) != first


def test_errors_of_meanings_hold_for_every_name() -> None:
    """Whatever they are called, and for all names of a concept that is not known again."""
    noise = compose(["judge=meanings"]).noise
    first = verdicts(noise, ALIKE)
    for position in (1, 5):
        turned = [tuple(paraphrases(concept, FIELD)[position] for concept in pair) for pair in ALIKE]
        assert verdicts(noise, turned, seed=position) == first
    for concept in CONCEPTS:
        names = combinations(paraphrases(concept, FIELD), 2)
        assert len({merged(noise, one, other) for one, other in names}) == 1


def test_independent_errors_come_anew() -> None:
    """Of pairs that are wrong in one look, most are right in the next."""
    noise = compose(["judge=independent"]).noise
    looks = [verdicts(noise, ALIKE, seed=seed) for seed in (1, 2)]
    twice = rate([all(pair) for pair in zip(*looks, strict=True)])
    assert 0.0 < twice < 0.075 < rate(looks[0]) + 0.04


@pytest.mark.parametrize("name", ["fixed", "meanings"])
def test_persons_err_as_often_about_other_pairs(name: str) -> None:
    """And each of them always about the same."""
    noise = compose([f"judge={name}"]).noise
    found = {person: verdicts(noise, ALIKE, person=person) for person in (FIRST, 0, 8)}
    assert len({tuple(each) for each in found.values()}) == 3
    for person, each in found.items():
        assert rate(each) == pytest.approx(0.1, abs=0.05)
        assert each == verdicts(noise, ALIKE, person=person)


def answers(noise: NoiseConfig, pairs: Sequence[Sequence[str]], seed: int = 1) -> list[bool]:
    """What a judge says of many pairs in one call."""
    labels = list(dict.fromkeys(label for pair in pairs for label in pair))
    numbers = {label: number for number, label in enumerate(labels, start=1)}
    request = PairsRequest(FIELD, tuple(Question(one, (other,)) for one, other in pairs), numbers)
    reply = Judging(PLANTED, noise, FIRST).pairs(request, seed)
    return [bool(answer["same"]) for answer in json.loads(reply)["answers"]]


def test_full_calls_have_more_errors() -> None:
    """As many more as configured in a call of 30 pairs, and none more in a call of one."""
    noise = replace(FRIENDLY, judge_missed=0.2, judge_fixed_share=0.0, judge_crowding=1.0)
    parts = [SAME[start : start + 30] for start in range(0, len(SAME), 30)]
    full = [not each for seed in range(8) for part in parts for each in answers(noise, part, seed)]
    assert rate(full) == pytest.approx(0.4, abs=0.05)
    calm = replace(noise, judge_crowding=0.0)
    assert verdicts(noise, SAME) == verdicts(calm, SAME)


def test_what_comes_back_does_so_in_full_calls_too() -> None:
    """Errors that belong to labels or meanings are there in every call; full calls only add to them."""
    noise = replace(FRIENDLY, judge_missed=0.2, judge_fixed_share=1.0, judge_crowding=1.0)
    alone = verdicts(noise, SAME[:30])
    looks = [answers(noise, SAME[:30], seed) for seed in range(12)]
    assert [any(look[i] for look in looks) for i in range(30)] == alone


@pytest.mark.parametrize("unkind", [{}, {"granularity": 0.3}, {"combined": 0.1}])
def test_what_does_not_look_alike_is_never_merged(unkind: dict[str, float]) -> None:
    """At any rate; where names have levels, what lies on one line looks alike, too."""
    noise = replace(FRIENDLY, judge_false_merge=1.0, judge_fixed_share=1.0, **unkind)  # type: ignore[arg-type]
    some = [*CONCEPTS[:30], "Claims", "Claim Status Follow-Up", "Claim Status And Card Block", "Nonsense"]
    for pair in combinations(some, 2):
        alike = PLANTED.look_alike(FIELD, *pair) or (bool(unkind) and related(*pair, FIELD))
        assert merged(noise, *pair) is alike
    assert merged(noise, "Claims", "Claim Status") is bool(unkind)


def test_names_of_other_levels_are_known_again() -> None:
    """Two names of one broader concept are the same; a broader and a narrower one are not."""
    noise = replace(FRIENDLY, judge_missed=0.0, judge_false_merge=0.0, granularity=0.3)
    assert merged(noise, "Claims", "Help With Claims")
    assert merged(noise, "Claim Status For Twice For", "Status of Claim")
    assert merged(noise, "Claim Status And Card Block", "Card Block And Claim Status")
    assert not merged(noise, "Claims", "Claim Status")
