"""The simulated codebook: the level of most sessions, whichever that is; errors as often as a judge's."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from autoanalyze.config import NoiseConfig
from autoanalyze.data.synthetic import Variety, concepts
from autoanalyze.llm.codebook import MOST_THEMES, parse_codebook_reply, parse_themes_reply
from autoanalyze.protocols import FieldCodebook
from autoanalyze.records import Truth
from autoanalyze.serving.requests import NamesRequest
from autoanalyze.simulation.codebook import Coding
from autoanalyze.simulation.judging import FIRST, Judging
from autoanalyze.simulation.truth import PlantedTruth

FIELD = "general_intent"
CONCEPTS = concepts(Variety())[FIELD]
PLANTED = PlantedTruth(
    (f"user: about {concept.lower()}", Truth(concept, None, {FIELD: concept})) for concept in CONCEPTS
)
PERFECT = NoiseConfig(judge_missed=0.0, judge_false_merge=0.0, granularity=0.3)


def coded(counts: Mapping[str, int], noise: NoiseConfig = PERFECT, seed: int = 1) -> FieldCodebook:
    """What a model says of names."""
    coding = Coding(PLANTED, Judging(PLANTED, noise, FIRST))
    return parse_codebook_reply(coding.codebook(NamesRequest("codebook", FIELD, counts), seed), list(counts))


def test_the_level_of_most_sessions_stays() -> None:
    """What is above it is unfit, what is below it is linked, whatever the truth calls its concepts."""
    line = ("Claims", "Claim Status", "Claim Status Follow-Up")
    middle = coded({**dict(zip(line, (9, 40, 5), strict=True)), "Refund Request": 3})
    assert (middle.narrower, middle.unfit) == ({line[2]: line[1]}, (line[0],))
    top = coded({**dict(zip(line, (90, 40, 5), strict=True)), "Refund Request": 3})
    assert (top.narrower, top.unfit) == ({line[1]: line[0], line[2]: line[0]}, ())
    bottom = coded(dict(zip(line, (9, 10, 50), strict=True)))
    assert (bottom.narrower, bottom.unfit) == ({}, line[:2])


def test_no_single_matter_is_unfit() -> None:
    """Other, and two matters in one name; a name that the model would never have coined stays."""
    found = coded({"Claim Status": 9, "Other": 3, "Claim Status And Refund Request": 2, "Something": 1})
    assert found.unfit == ("Other", "Claim Status And Refund Request")
    assert found.narrower == {}
    assert found.lines["Claim Status"].startswith("what is about Claim Status")


def test_a_narrower_name_without_one_above_it_stays() -> None:
    """There is nothing that it could be linked to."""
    found = coded({"Claim Denial": 30, "Claim Status Follow-Up": 2})
    assert (found.narrower, found.unfit) == ({}, ())


def test_it_errs_as_often_as_its_judge() -> None:
    """Of names that should stay some go, some of them to what looks alike; a perfect one never errs."""
    counts = dict.fromkeys(CONCEPTS, 10)
    assert coded(counts).narrower == {}
    noise = NoiseConfig(judge_false_merge=0.2, judge_missed=0.0)
    gone = [len(b.narrower) + len(b.unfit) for b in (coded(counts, noise, seed) for seed in range(20))]
    # A fifth of them, less those that nothing looks like; a quarter of the errors is fixed.
    assert 0.08 < sum(gone) / 20 / len(counts) < 0.3
    assert len(set(gone)) > 1
    assert coded(counts, noise, 3) == coded(counts, noise, 3)
    missed = NoiseConfig(judge_false_merge=0.0, judge_missed=1.0)
    assert coded({"Claim Status": 9, "Other": 3}, missed).unfit == ()


@pytest.mark.parametrize("seed", [1, 2])
def test_themes_are_what_lies_above(seed: int) -> None:
    """All names have one, and those of one line have the same."""
    coding = Coding(PLANTED, Judging(PLANTED, PERFECT, FIRST))
    counts = dict.fromkeys((*CONCEPTS, "Claim Status Follow-Up"), 5)
    reply = coding.themes(NamesRequest("themes", FIELD, counts), seed)
    themes = parse_themes_reply(reply, list(counts))
    assert set(themes) == set(counts)
    assert themes["Claim Status"] == themes["Claim Denial"] == themes["Claim Status Follow-Up"] == "Claims"
    assert 5 <= len(set(themes.values())) <= MOST_THEMES
