"""The labeller: it errs at the configured rates, and its draws come from the request alone."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoanalyze.analysis.configuration import compose
from autoanalyze.config import UNKIND, NoiseConfig
from autoanalyze.data.synthetic import SECOND
from autoanalyze.llm.judging import parse_judge_reply
from autoanalyze.llm.prompts import AnalysisPrompt
from autoanalyze.records import LabelField, LabelSchema, SessionText, Truth, VocabularySnapshot
from autoanalyze.serving.requests import BatchRequest, JudgeRequest, parse_request
from autoanalyze.simulation.model import SimulatedModel, omission_rate
from autoanalyze.simulation.paraphrase import paraphrases
from autoanalyze.simulation.truth import PlantedTruth

FIELD = "general_intent"
SCHEMA = LabelSchema((LabelField(FIELD, "what."), LabelField("transfer_reason", "why.", ("Transfer",))))
PROMPT = AnalysisPrompt(SCHEMA)
CONCEPTS = ("Claim Status", "Claim Denial", "Card Loss", "Weather")
QUIET = NoiseConfig(
    reuse=1,
    confusion=0,
    omission_at_10=0,
    omission_at_20=0,
    omission_at_50=0,
    judge_false_merge=0,
    judge_missed=0,
)


def text_of(number: int) -> str:
    concept = CONCEPTS[number % len(CONCEPTS)].lower()
    return f"user: question {number} about my {concept} please\nbot: let me see"


def truth_of(number: int) -> Truth:
    return Truth(str(number), "Contained", {FIELD: CONCEPTS[number % len(CONCEPTS)]})


PLANTED = PlantedTruth([(text_of(i), truth_of(i)) for i in range(400)])


def labelled(
    noise: NoiseConfig,
    numbers: range,
    vocabulary: VocabularySnapshot | None = None,
    seed: int = 1,
    prompt: AnalysisPrompt = PROMPT,
) -> dict[int, dict[str, Any]]:
    """Facts by session number, all asked for in one request."""
    sessions = [SessionText(str(i), text_of(i), 10) for i in numbers]
    known = vocabulary or VocabularySnapshot()
    request = parse_request(prompt.messages(sessions, known))
    assert isinstance(request, BatchRequest)
    reply = SimulatedModel(PLANTED, noise, SCHEMA).label(request, seed)
    rows = prompt.parse_reply(reply, known)
    return {numbers[int(row.key[1:]) - 1]: dict(row.values) for row in rows}


def test_quiet_model_names_the_planted_concept() -> None:
    """Without noise every session is answered with a name of its own concept, and known names are reused."""
    known = VocabularySnapshot().extended({FIELD: [paraphrases(c, FIELD)[2] for c in CONCEPTS]})
    for number, facts in labelled(QUIET, range(10), known).items():
        assert facts[FIELD] == paraphrases(CONCEPTS[number % 4], FIELD)[2]
        assert facts["session_outcome"] == "Contained"
        assert facts["transfer_reason"] is None
        assert f"question {number}" in facts["notes"]


def share(noise: NoiseConfig, vocabulary: VocabularySnapshot, accepted: Any, seeds: int = 30) -> float:
    """Share of answers that `accepted` takes, over many single-session calls."""
    hits = [
        accepted(facts[FIELD])
        for seed in range(seeds)
        for start in range(0, 400, 40)
        for number, facts in labelled(noise, range(start, start + 4), vocabulary, seed).items()
        if number % 4 == 0
    ]
    return float(sum(hits)) / len(hits)


@pytest.mark.slow
def test_reuse_and_coining_follow_the_configured_rates() -> None:
    """A known label is reused at its rate, the earliest of several at its own."""
    names = paraphrases("Claim Status", FIELD)
    known = VocabularySnapshot().extended({FIELD: [names[4], names[5]]})
    noise = replace(QUIET, reuse=0.7, earliest=0.6)
    # A coined name may be one of the known two: ranks 5 and 6 of six, 1/5 + 1/6 of 2.45 in weight.
    coined_anyway = 0.3 * (1 / 5 + 1 / 6) / sum(1 / rank for rank in range(1, 7))
    reused = share(noise, known, lambda label: label in names[4:])
    assert reused == pytest.approx(0.7 + coined_anyway, abs=0.09)
    earliest = share(replace(noise, reuse=1.0), known, lambda label: label == names[4])
    assert earliest == pytest.approx(0.6, abs=0.09)


def test_confusion_is_half_fixed_and_half_drawn() -> None:
    """Ambiguous sessions are mistaken at every seed, others now and then, and only for their neighbour."""
    noise = replace(QUIET, confusion=0.4)
    known = VocabularySnapshot().extended({FIELD: list(CONCEPTS)})
    wrong = dict.fromkeys(range(0, 400, 4), 0)
    for seed in range(10):
        for start in range(0, 400, 10):
            for number, facts in labelled(noise, range(start, start + 10), known, seed).items():
                if number in wrong and facts[FIELD] != "Claim Status":
                    assert facts[FIELD] == PLANTED.neighbours[FIELD]["Claim Status"]
                    wrong[number] += 1
    always = sum(count == 10 for count in wrong.values()) / len(wrong)
    assert always == pytest.approx(0.2, abs=0.12)
    assert sum(wrong.values()) / len(wrong) / 10 == pytest.approx(0.2 + 0.2 * 0.8, abs=0.1)


def test_omission_grows_with_the_batch_and_towards_its_end() -> None:
    """The pinned rates hold as means over a batch; later sessions are lost more often."""
    model = SimulatedModel(PLANTED, compose().noise, SCHEMA)
    for sessions, rate in ((10, 0.002), (20, 0.01), (50, 0.10)):
        chances = [model.omission(sessions, position) for position in range(sessions)]
        assert sum(chances) / sessions == pytest.approx(rate)
        assert chances == sorted(chances)
    assert model.omission(1, 0) == pytest.approx(0.002)
    assert model.omission(80, 79) <= 1


def test_confusion_grows_beyond_twenty_sessions() -> None:
    """Up to 20 sessions per call the pinned rate holds; at 50 it has grown as omission has."""
    model = SimulatedModel(PLANTED, compose().noise, SCHEMA)
    assert [model.confusion(n) for n in (1, 10, 20)] == [0.015] * 3
    assert model.confusion(50) == pytest.approx(0.15)


def test_draws_come_from_the_request_alone() -> None:
    """The same request gives the same answer whatever was asked before; another seed draws anew."""
    noise = compose(["noise=harsh"]).noise
    model = SimulatedModel(PLANTED, noise, SCHEMA)
    request = BatchRequest({f"s{i}": text_of(i) for i in range(1, 30)}, VocabularySnapshot())
    first = model.label(request, 1)
    model.label(BatchRequest({"s1": text_of(5)}, VocabularySnapshot()), 9)
    assert model.label(request, 1) == first
    assert model.label(request, 2) != first
    assert SimulatedModel(PLANTED, noise, SCHEMA).label(request, 1) == first


def test_unknown_transcript_gets_no_labels() -> None:
    """A session without truth is answered null."""
    request = BatchRequest({"s1": "user: never seen"}, VocabularySnapshot())
    (facts,) = json.loads(SimulatedModel(PLANTED, QUIET, SCHEMA).label(request, 1))["sessions"]
    assert facts["f1"] is None


def judged(noise: NoiseConfig, labels: list[str], seed: int = 1) -> set[frozenset[str]]:
    reply = SimulatedModel(PLANTED, noise, SCHEMA).judge(JudgeRequest(FIELD, tuple(labels)), seed)
    return {frozenset(group) for group in parse_judge_reply(reply, labels)}


def test_quiet_judge_merges_names_of_one_concept_only() -> None:
    """Without noise, groups are concepts; a label that nobody planted stands alone."""
    labels = [*paraphrases("Claim Status", FIELD)[:3], *paraphrases("Claim Denial", FIELD)[:2], "Nonsense"]
    assert judged(QUIET, labels) == {frozenset(labels[:3]), frozenset(labels[3:5])}


@given(st.integers(0, 1000))
def test_judge_never_merges_what_does_not_look_alike(seed: int) -> None:
    """Only look-alikes are merged falsely, at any seed."""
    noise = replace(QUIET, judge_false_merge=1.0)
    others = [c for c in CONCEPTS if not PLANTED.look_alike(FIELD, "Weather", c) and c != "Weather"]
    assert not any(
        {"Weather", other} <= group for group in judged(noise, list(CONCEPTS), seed) for other in others
    )


def test_judge_errs_at_the_configured_rate() -> None:
    """Over many requests a pair of one concept is missed about as often as configured."""
    noise = replace(QUIET, judge_missed=0.2, judge_fixed_share=0)
    labels = list(paraphrases("Claim Status", FIELD)[:2])
    missed = sum(not judged(noise, labels, seed) for seed in range(600)) / 600
    assert missed == pytest.approx(0.2, abs=0.05)


# Kinds of models, and worlds


def test_friendly_model_is_the_one_of_all_figures() -> None:
    """What came later changes neither its name nor what it says; the judge is that of seed 7."""
    model = SimulatedModel(PLANTED, NoiseConfig(), SCHEMA)
    assert model.identity == "simulated-7108e9aa"
    names = [name for concept in CONCEPTS for name in paraphrases(concept, FIELD)]
    known = VocabularySnapshot().extended({"f1": names[::2]})
    said = [model.judge(JudgeRequest(FIELD, tuple(names)), seed) for seed in range(20)]
    for size in (1, 10, 50):
        request = BatchRequest({f"s{i}": text_of(i) for i in range(size)}, known)
        said += [model.label(request, seed) for seed in range(5)]
    digest = hashlib.sha256("\n".join(said).encode()).hexdigest()
    # As of git commit 32a6b1c, but for the names that a reply's parts have since.
    assert digest[:16] == "30f3f7691b5bf73d"


def test_who_answers_otherwise_is_called_otherwise() -> None:
    """Every setting of the noise is in the name, and so is the person; what is off is not."""
    names = {SimulatedModel(PLANTED, NoiseConfig(), SCHEMA, person=person).identity for person in range(9)}
    for setting in fields(NoiseConfig):
        value = 5 if setting.name == "paraphrases" else 0.125
        changed = replace(NoiseConfig(), **{setting.name: value})  # type: ignore[arg-type]  # of any kind
        names.add(SimulatedModel(PLANTED, changed, SCHEMA).identity)
    assert len(names) == 9 + len(fields(NoiseConfig))
    assert SimulatedModel(PLANTED, replace(NoiseConfig(), reuse=0), SCHEMA).identity not in names


def test_model_that_loses_most_loses_as_much_as_it_says() -> None:
    """The rates are means also above one half, at any size, and later sessions are lost more often."""
    for name in ("small", "local", "frontier"):
        noise = compose([f"noise={name}"]).noise
        model = SimulatedModel(PLANTED, noise, SCHEMA)
        for sessions in (1, 10, 20, 50):
            chances = [model.omission(sessions, position) for position in range(sessions)]
            expected = getattr(noise, f"omission_at_{sessions}") or noise.omission_at_10
            assert sum(chances) / sessions == pytest.approx(expected)
            assert chances == sorted(chances)
            assert 0 <= chances[0] <= chances[-1] <= 1
        assert omission_rate(noise, 5) < noise.omission_at_10 * 1.001


def test_large_model_keeps_its_accuracy_in_large_calls() -> None:
    """Within two points of single items up to 100."""
    noise = compose(["noise=frontier"]).noise
    model = SimulatedModel(PLANTED, noise, SCHEMA)
    right = [(1 - omission_rate(noise, n)) * (1 - model.confusion(n)) for n in (1, 10, 20, 50, 100)]
    assert right == sorted(right, reverse=True)
    assert right[0] - right[-1] < 0.02


def second_truth(number: int) -> Truth:
    """A session with a second matter, which no session has as its first."""
    return Truth(str(number), "Contained", {FIELD: CONCEPTS[number % 4], SECOND: "Meter Reading"})


def test_second_matter_of_a_session_is_seen() -> None:
    """Also one that no session has in the first place: it is named, known again and merged."""
    planted = PlantedTruth([(text_of(i), second_truth(i)) for i in range(40)])
    model = SimulatedModel(planted, replace(QUIET, second_taken=1.0), SCHEMA)
    known = VocabularySnapshot().extended({"f1": ["Reading of Meter"]})
    request = BatchRequest({f"s{i}": text_of(i) for i in range(10)}, known)
    rows = json.loads(model.label(request, 1))["sessions"]
    assert {row["f1"] for row in rows} == {"Reading of Meter"}
    judge = model.judge(JudgeRequest(FIELD, ("Reading of Meter", "Meter Reading")), 1)
    assert parse_judge_reply(judge, ["Reading of Meter", "Meter Reading"])
    assert SECOND not in planted.neighbours
    assert "Meter Reading" not in planted.neighbours[FIELD]


def test_neighbours_in_a_call_rub_off() -> None:
    """All sessions of a call get the label of its first."""
    labels = {facts[FIELD] for facts in labelled(replace(QUIET, copying=1.0), range(8)).values()}
    assert len(labels) == 1
    assert len({facts[FIELD] for facts in labelled(QUIET, range(8)).values()}) >= 4


@pytest.mark.parametrize("reply", ["labels", "numbers"])
def test_unkind_worlds_answer_from_the_request_alone(reply: str) -> None:
    """Every behaviour at once, over and over: the same; another seed draws anew."""
    noise = NoiseConfig(**dict.fromkeys(UNKIND, 0.2))  # type: ignore[arg-type]  # all are shares
    known = VocabularySnapshot().extended({"f1": [*CONCEPTS[:3], "Claims", "Other"]})
    request = BatchRequest({f"s{i}": text_of(i) for i in range(1, 30)}, known, reply)
    first, again, other = (SimulatedModel(PLANTED, noise, SCHEMA).label(request, seed) for seed in (1, 1, 2))
    assert first == again != other
