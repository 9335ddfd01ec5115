"""MergeCheck: whether the labeller tells apart what the judge merged.

A judge sees names, a labeller sees sessions. Where two names mean the same, a session that was given one of
them gets, with both in sight, often the other. Where they do not, it keeps its own. So a few merged labels
are tried on sessions first; where the judge turns out to be wrong often, all others are, and labels that
keep their sessions stand for themselves again.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from autoanalyze.config import Config
from autoanalyze.phases.votes import moved
from autoanalyze.records import Facts, Session, SessionResult

SAMPLE_SHARE, LEAST_SAMPLE, MOST_SAMPLE = 0.01, 6, 8
"""Merged labels of a field that are tried in any case: so many of the sessions, in these bounds. Where three
merges in four are wrong, six tries find that in 86 % of runs and eight in 91 %; where all are right, 3 and
2 % are false alarms (binomial, if four in five sessions of two names for one thing move)."""

ENOUGH = 4
"""Tried labels of a field below which nothing is said of its judge."""

MOST_TRIES = 2
"""Sessions on which a merged label is tried, one after the other while there is a doubt, answered or not."""

DOUBT = 0.1
"""The chance of being wrong, 0 to .5, from which there is one."""

TRUSTED = 0.7
"""The share of right merges in a field from which the judge is trusted with the rest of them."""

STRAYS = 0.05
"""The chance that a session moves although the two labels differ; an assumption, as labellers contradict
themselves on 2 to 10 % of sessions."""

MOVES, MOVES_WEIGHT = 0.7, 10.0
"""The chance that a session moves where two labels are one, before anything is seen, and the sessions that
this counts for. An assumption: of two names the more common one is mostly preferred."""

RIGHT, RIGHT_WEIGHT = 0.95, 1.0
"""The same of the share of right merges."""

ROUNDS = 100

Merge = tuple[str, str]
"""A field, and a label that was merged into another."""

Said = Mapping[str, Sequence[Facts]]
"""Per session, what looks said of it, the first answer in front."""


def can_be_tried(config: Config) -> bool:
    """Whether merges can be tried on sessions: there are some, and the labeller could take either name. The
    reader (`endpoint=offline`) calls a session by its topic, whatever names are in sight."""
    return config.resolution.mode != "none" and config.endpoint != "offline"


def sample_size(sessions: int) -> int:
    """How many merged labels of a field are tried in a run of so many sessions."""
    return min(max(int(SAMPLE_SHARE * sessions), LEAST_SAMPLE), MOST_SAMPLE)


class MergeCheck:
    """Tries merged labels (`merges`: field and alias, to the canonical one) on sessions that were first given
    them. All looks at sessions of these labels count, whatever they were for, as long as all were `shown`."""

    def __init__(
        self,
        merges: Mapping[Merge, str],
        sessions: Sequence[Session],
        results: Sequence[SessionResult],
        *,
        seed: int,
    ) -> None:
        self._merges = merges
        self._sessions = len(sessions)
        bearers: dict[Merge, list[Session]] = {merge: [] for merge in merges}
        for session, result in zip(sessions, results, strict=True):
            for name, label in (result.facts.labels if result.facts else {}).items():
                if label is not None and (name, label) in bearers:
                    bearers[name, label].append(session)
        order = sorted(merge for merge, own in bearers.items() if own)
        random.Random(f"merges {seed}").shuffle(order)
        self._bearers = {merge: bearers[merge] for merge in order}
        self.shown = frozenset(order)
        """The merged labels that have to be in sight."""
        self._asked: Counter[Merge] = Counter()

    def sample(self) -> list[Session]:
        """A session each of some merged labels of each field."""
        taken: Counter[str] = Counter()
        chosen = []
        size = sample_size(self._sessions)
        for merge, bearers in self._bearers.items():
            if taken[merge[0]] < size:
                taken[merge[0]] += 1
                self._asked[merge] += 1
                chosen.append(bearers[0])
        return list(dict.fromkeys(chosen))

    def more(self, said: Said) -> list[Session]:
        """The sessions to try next, in fields where the judge is distrusted: one of each merge that was not
        tried or is in doubt."""
        tried = self._tried(said)
        trust = self._trust(tried)
        chosen = []
        for merge, bearers in self._bearers.items():
            tries, field = tried.get(merge, Tries(0, 0)), trust[merge[0]]
            fresh = [one for one in bearers[self._asked[merge] :] if one.session_id not in said]
            open_to_doubt = not sum(tries) or DOUBT < field.chance(tries) < 1 - DOUBT
            if field.right < TRUSTED and fresh and open_to_doubt and self._asked[merge] < MOST_TRIES:
                self._asked[merge] += 1
                chosen.append(fresh[0])
        return list(dict.fromkeys(chosen))

    def wrong(self, said: Said) -> dict[Merge, str]:
        """The merges that are probably wrong, with the reason."""
        tried = self._tried(said)
        trust = self._trust(tried)
        return {
            merge: f"{tries.kept} of {sum(tries)} of its sessions kept it with both in sight"
            for merge, tries in tried.items()
            if trust[merge[0]].right < TRUSTED and trust[merge[0]].chance(tries) < 0.5
        }

    def _trust(self, tried: Mapping[Merge, Tries]) -> dict[str, Trust]:
        """What is thought of the judge in each field; what is assumed where too little was tried to tell."""
        by_field: dict[str, list[Tries]] = {merge[0]: [] for merge in self._bearers}
        for merge, tries in tried.items():
            by_field[merge[0]].append(tries)
        enough = {name: len(tries) >= ENOUGH for name, tries in by_field.items()}
        return {name: estimated(tries if enough[name] else ()) for name, tries in by_field.items()}

    def _tried(self, said: Said) -> dict[Merge, Tries]:
        """How the sessions of merged labels were labelled with both labels in sight."""
        went = moved(said.values(), {})
        found = {}
        for (name, alias), canonical in sorted(self._merges.items()):
            labels = went.get(name, {}).get(alias, Counter())
            if labels[alias] + labels[canonical]:
                found[name, alias] = Tries(labels[alias], labels[canonical])
        return found


class Tries(NamedTuple):
    """How many sessions of a merged label kept it, and how many moved to the canonical one."""

    kept: int
    moved: int


class Trust(NamedTuple):
    """The share of merges that are right, and the chance that a session of such a one moves."""

    right: float
    moves: float

    def chance(self, tries: Tries) -> float:
        """The chance that a merge is right."""
        right = self.right * self.moves**tries.moved * (1 - self.moves) ** tries.kept
        wrong = (1 - self.right) * STRAYS**tries.moved * (1 - STRAYS) ** tries.kept
        return right / (right + wrong)


def estimated(tried: Sequence[Tries]) -> Trust:
    """What makes what was seen most likely, given what is assumed before (EM, as Dawid and Skene, 1979)."""
    trust = Trust(RIGHT, MOVES)
    if not tried:
        return trust
    for _ in range(ROUNDS):
        chances = [trust.chance(tries) for tries in tried]
        pairs = list(zip(chances, tried, strict=True))
        seen = sum(chance * sum(tries) for chance, tries in pairs)
        moved = sum(chance * tries.moved for chance, tries in pairs)
        trust = Trust(
            (sum(chances) + RIGHT * RIGHT_WEIGHT) / (len(tried) + RIGHT_WEIGHT),
            (moved + MOVES * MOVES_WEIGHT) / (seen + MOVES_WEIGHT),
        )
    return trust
