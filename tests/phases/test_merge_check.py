"""Merges tried on sessions: who is asked, when the judge is distrusted, and what is undone then."""

from __future__ import annotations

import random
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoanalyze.analysis.build import build_analysis
from autoanalyze.analysis.configuration import compose
from autoanalyze.phases.merge_check import Merge, MergeCheck, Tries, Trust, estimated, sample_size
from autoanalyze.records import Facts, Session, SessionResult

FIELD, WHEN = "general_intent", datetime(2026, 5, 1)
PER_LABEL = 3


def facts(label: str) -> Facts:
    return Facts("Contained", {FIELD: label}, "notes")


class Labeller:
    """Tried merges: `right` of them join two names of one thing, so that a session of one gets the other with
    a chance of `moves`; all others keep their own name. Answers to those in `silent` are lost."""

    def __init__(
        self, merges: int, right: int, seed: int, silent: frozenset[str] = frozenset(), moves: float = 0.8
    ) -> None:
        self.merges = {(FIELD, f"Alias {n:02}"): f"Name {n:02}" for n in range(merges)}
        self.right = set(list(self.merges)[:right])
        labels = [label for _, label in self.merges for _ in range(PER_LABEL)]
        self.sessions = [Session(str(i), "u", "bot", WHEN, WHEN, "agent", 2, 10) for i in range(len(labels))]
        self.labels = labels
        results = [SessionResult(str(i), facts(x), "parallel", 1, 1, 1) for i, x in enumerate(labels)]
        self.check = MergeCheck(self.merges, self.sessions, results, seed=seed)
        self.said: dict[str, list[Facts]] = {}
        self.asked: list[str] = []
        self._silent = silent
        self._moves = moves
        self._random = random.Random(seed)

    def answer(self, sessions: list[Session]) -> None:
        """Look at sessions again."""
        for session in sessions:
            assert session.session_id not in self.asked, "nobody is asked twice"
            self.asked.append(session.session_id)
            label = self.labels[int(session.session_id)]
            moves = (FIELD, label) in self.right and self._random.random() < self._moves
            if session.session_id not in self._silent:
                other = facts(self.merges[FIELD, label] if moves else label)
                self.said[session.session_id] = [facts(label), other]

    def run(self) -> dict[Merge, str]:
        """All that the check wants to see; what it holds to be wrong then."""
        self.answer(self.check.sample())
        while more := self.check.more(self.said):
            self.answer(more)
        return self.check.wrong(self.said)


@pytest.mark.parametrize("seed", range(8))
def test_a_judge_who_is_right_is_tried_on_a_few_sessions_only(seed: int) -> None:
    """And none of his merges is undone."""
    labeller = Labeller(merges=40, right=40, seed=seed)
    assert labeller.run() == {}
    assert len(labeller.asked) == sample_size(len(labeller.sessions)) == 6


def test_a_labeller_who_takes_either_name_is_no_reason_to_undo_what_is_right() -> None:
    """Whose sessions stay as often as they move: the judge may be distrusted for it, until all is tried."""
    wrong = [Labeller(merges=60, right=60, seed=seed, moves=0.5).run() for seed in range(20)]
    assert sum(map(len, wrong)) < 0.02 * 20 * 60


def test_wrong_merges_of_a_judge_who_is_often_wrong_are_undone() -> None:
    """Three in four of his merges are wrong: he is found out nearly always, and then all that is wrong is
    undone. Of what is right a third may go with it: where most is wrong, one session that stays decides."""
    runs = []
    for seed in range(30):
        labeller = Labeller(merges=60, right=15, seed=seed)
        wrong = labeller.run()
        assert all(reason.endswith("kept it with both in sight") for reason in wrong.values())
        runs.append((len(set(wrong) - labeller.right), len(set(wrong) & labeller.right)))
    found_out = [run for run in runs if run[0]]
    assert len(found_out) >= 22
    assert all(found == 45 for found, _ in found_out)
    assert sum(wrongly for _, wrongly in found_out) < 15 * len(found_out) / 3


@given(merges=st.integers(0, 12), right=st.integers(0, 12), seed=st.integers(0, 99), data=st.data())
def test_it_ends_whatever_is_answered(merges: int, right: int, seed: int, data: st.DataObject) -> None:
    """So many questions at most, also where answers are lost; and the order of answers does not matter."""
    silent = data.draw(st.frozensets(st.integers(0, PER_LABEL * merges).map(str)))
    labeller = Labeller(merges, min(right, merges), seed, silent)
    wrong = labeller.run()
    assert len(labeller.asked) <= 2 * merges
    turned = dict(reversed(labeller.said.items()))
    assert labeller.check.wrong(turned) == wrong
    if len(labeller.said) < 4:
        assert not wrong, "so few tries say nothing of a judge"


def test_two_names_that_were_never_in_question_say_nothing() -> None:
    """A session that goes to a third label neither keeps its name nor moves to the canonical one."""
    labeller = Labeller(merges=6, right=0, seed=1)
    labeller.answer(labeller.check.sample())
    labeller.said = {one: [first, facts("Elsewhere")] for one, (first, _) in labeller.said.items()}
    assert labeller.check.wrong(labeller.said) == {}


@pytest.mark.parametrize(
    ("tries", "low", "high"),
    [([Tries(0, 1)] * 8, 0.97, 1.0), ([Tries(1, 0)] * 6 + [Tries(0, 1)] * 2, 0.3, 0.6), ([], 0.95, 0.95)],
    ids=["all move", "most stay", "nothing is known"],
)
def test_the_share_of_right_merges_follows_from_who_moves(
    tries: list[Tries], low: float, high: float
) -> None:
    """The more sessions keep their names, the fewer merges are right."""
    assert low <= estimated(tries).right <= high


def test_one_session_that_moves_outweighs_one_that_stays() -> None:
    """It hardly ever happens where two names differ."""
    rates = Trust(right=0.4, moves=0.8)
    assert rates.chance(Tries(1, 0)) < 0.2 < 0.5 < rates.chance(Tries(1, 1)) < rates.chance(Tries(0, 1))


@pytest.mark.slow
def test_a_run_with_a_judge_who_is_wrong_for_good_says_what_it_undid(tmp_path: Path) -> None:
    """In the ledger, as different by the second look; and such labels stand for themselves."""
    settings = ["world=hard", "data.count=300", "baseline=none", "resamples=0", "page=false", "seed=3"]
    runs = [
        build_analysis(compose([*settings, f"second_look.try_merges={tried}"])).run_sync(tmp_path / tried)
        for tried in ("true", "false")
    ]
    undone, nothing = (run.merges.to_pandas().query("judge == 'second look'") for run in runs)
    assert len(undone) > 5
    assert nothing.empty
    assert set(undone["verdict"]) == {"different"}
    assert not undone["merged"].any()
    merged = runs[0].merges.to_pandas().query("merged")
    assert not set(undone["field"] + undone["alias"]) & set(merged["field"] + merged["alias"])
    with_tries, without = (run.record["metrics"][FIELD]["precision"]["value"] for run in runs)
    assert with_tries > without + 0.02
