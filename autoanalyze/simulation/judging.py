"""How the simulated model judges whether labels mean the same.

Of the errors some belong to a pair of meanings, some to a pair of labels, and come back whenever it is asked
about; the others, and what full calls add, are drawn anew with each look. Only what looks alike is ever
merged by mistake. Errors of several kinds may meet, so that high rates of mixed kinds are not quite reached.
"""

from __future__ import annotations

import json
import math

from autoanalyze.config import NoiseConfig
from autoanalyze.serving.chance import draws, fingerprint
from autoanalyze.serving.requests import JudgeRequest, PairsRequest
from autoanalyze.simulation.levels import related
from autoanalyze.simulation.truth import PlantedTruth

CROWD = 30
"""Pairs per call for which `judge_crowding` is given."""


FIRST = 7
"""The person of all figures from when there was one judge and one population, of this seed."""


class Judging:
    """A judge; `person` tells apart those who err as often, but not about the same."""

    def __init__(self, truth: PlantedTruth, noise: NoiseConfig, person: int) -> None:
        self._truth = truth
        self._noise = noise
        self._person = (person,) if person != FIRST else ()
        self._levels = bool(noise.granularity or noise.combined)

    def groups(self, request: JudgeRequest, seed: int) -> str:
        """A label joins the first group whose canonical it seems to equal."""
        content = fingerprint([seed, request.labels])
        pairs = len(request.labels) * (len(request.labels) - 1) // 2
        groups: dict[str, list[int]] = {}
        for number, label in enumerate(request.labels, start=1):
            same = (name for name in groups if self._same(request.field, name, label, content, pairs))
            groups.setdefault(next(same, label), []).append(number)
        answer = [group for group in groups.values() if len(group) > 1]
        return json.dumps({"groups": answer}, separators=(",", ":"))

    def pairs(self, request: PairsRequest, seed: int) -> str:
        """Each label's candidates that seem to equal it."""
        asked = [[question.label, *question.candidates] for question in request.questions]
        content, pairs = fingerprint(["pairs", seed, asked]), sum(len(labels) - 1 for labels in asked)
        answers = []
        for position, question in enumerate(request.questions, start=1):
            one = question.label
            same = [c for c in question.candidates if self._same(request.field, one, c, content, pairs)]
            reason = "other words for one matter" if same else "they differ in substance"
            answers.append({"q": position, "same": [request.numbers[c] for c in same], "reason": reason})
        return json.dumps({"answers": answers}, separators=(",", ":"))

    def _same(self, field: str, first: str, second: str, content: str, pairs: int) -> bool:
        """Whether two labels are taken for one thing, in a call of so many pairs."""
        one = self._truth.meaning(field, first) or first
        other = self._truth.meaning(field, second) or second
        same = one == other
        if not same and not self.alike(field, one, other):
            return False
        rate = self._noise.judge_missed if same else self._noise.judge_false_merge
        pair, meanings = sorted((first, second)), sorted((one, other))
        return same != self._wrong(rate, (), field, pair, meanings, content, pairs)

    def errs(
        self, what: str, field: str, labels: list[str], meanings: list[str], content: str, names: int
    ) -> bool:
        """Whether it errs on what becomes of a name among so many: as often as it misses a pair where one
        `goes`, and as it merges one by mistake where one `stays`."""
        rate = self._noise.judge_missed if what == "goes" else self._noise.judge_false_merge
        return self._wrong(rate, (what,), field, labels, meanings, content, names)

    def _wrong(
        self,
        rate: float,
        what: tuple[str, ...],
        field: str,
        labels: list[str],
        meanings: list[str],
        content: str,
        pairs: int,
    ) -> bool:
        """Whether it errs, in a call of so many pairs; draws of one kind (`what`) move none of another."""
        noise = self._noise
        of_meanings = rate * noise.judge_meaning_share
        fixed = (rate - of_meanings) * noise.judge_fixed_share
        crowded = rate * (1 + noise.judge_crowding * math.log(max(1, pairs)) / math.log(CROWD))
        anew = crowded - of_meanings - fixed
        return bool(
            of_meanings > draws(*what, "meanings", *self._person, field, meanings).random()
            or fixed > draws(*what, "pair", *self._person, field, labels).random()
            or anew > draws(*what, "pair", field, labels, content).random()
        )

    def alike(self, field: str, one: str, other: str) -> bool:
        """Whether two concepts are hard to tell apart; where names have levels, those of one line too."""
        return self._truth.look_alike(field, one, other) or (self._levels and related(one, other, field))
