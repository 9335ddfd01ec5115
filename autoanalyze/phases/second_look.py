"""SecondLook: sessions whose label is rare are looked at again, when all labels are known.

What was named before the vocabulary was whole, too broadly or too narrowly, mostly stands under a label of
few sessions. Asked again, with every label in sight, the same session mostly gets the common one. Sessions
whose label swallows what it does not fit are asked about without it, and some whose label was merged into
another with both in sight: see `MergeCheck`.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from autoanalyze.config import SecondLookConfig
from autoanalyze.llm.calls import together
from autoanalyze.phases.merge_check import MergeCheck
from autoanalyze.phases.streams import StreamProcessing
from autoanalyze.phases.votes import (
    Attractors,
    Counts,
    Moves,
    Redirects,
    canonical,
    decided,
    disputed,
    doubles,
    freed,
    moved,
    used,
)
from autoanalyze.protocols import FieldCodebook
from autoanalyze.records import CallContext, Facts, Session, SessionResult, VocabularySnapshot

SECOND = "second"
"""The phase of these calls."""

FIRST_FURTHER = 2
"""The number of the first further look; the first one labelled."""

FEWEST_PER_CALL, MOST_PER_CALL = 5, 10
"""Sessions; in between, so many that each stream has one call to make."""

HARDLY_ANY = 2
"""Sessions of a label that is rare in a run of any length."""

SHORT_RUN_LOOKS = 40
"""Sessions that may be looked at again however short a run is, if it looks again at all: in a run of 100
where names have levels, 20 gain one point and 40 eight (twelve seeds, simulated)."""

LINKED = 5
"""Sessions of each name that a codebook links which are looked at again."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a look finds: a result per session in their order, what labels became, and those known."""

    names: Sequence[str]
    sessions: Sequence[Session]
    results: Sequence[SessionResult]
    redirects: Redirects
    vocabulary: VocabularySnapshot

    def used(self) -> Counts:
        """Per field, the sessions of each label after merging."""
        return used(self.names, self.results, self.redirects)

    def bearing(self, labels: Attractors) -> list[Session]:
        """The sessions that bear one of these labels in any field."""
        return [
            session
            for session, result in zip(self.sessions, self.results, strict=True)
            if any(
                canonical(name, label, self.redirects) in labels.get(name, ())
                for name, label in (result.facts.labels if result.facts else {}).items()
            )
        ]


@dataclass(frozen=True, slots=True)
class Part:
    """Sessions that are looked at with the same labels in sight."""

    sessions: Sequence[Session]
    shown: VocabularySnapshot


class SecondLook:
    """Asks about sessions again, some calls at a time, each look in an order of its own.

    All calls of a look see the same labels: those in use after merging. So the order of the answers does not
    matter. The first further look is at sessions with a rare label, any later one at those that were answered
    differently so far. Those with a label that attracts are among the first, and are shown no such label.

    With a codebook, the first further look is also at all sessions of names that are unfit, which it does not
    show, and at some of each name that is said to be narrower, however many these are.
    """

    def __init__(
        self,
        config: SecondLookConfig,
        streams: int,
        *,
        seed: int,
        codebook: Mapping[str, FieldCodebook] | None = None,
    ) -> None:
        self._config = config
        self._streams = streams
        self._seed = seed
        self.attractors: Attractors = {}
        self._codebook = codebook or {}
        self.said: dict[str, list[Facts]] = {}
        """What all looks said of each session that was looked at again, the first answer in front."""

    def choose(
        self, standing: Standing, number: int, *, rare: bool = True, check: MergeCheck | None = None
    ) -> list[Part]:
        """The sessions of look `number`, counted from 2. The first one is at a sample of those that `check`
        knows, and at those with a rare label if `rare`."""
        if number > FIRST_FURTHER:
            said = self.said
            again = [s for s in standing.sessions if disputed(said.get(s.session_id, ()), standing.redirects)]
            return [Part(again, self._known(standing))]
        swallowed = standing.bearing(self.attractors)
        chosen = worth_it(standing, self._config) if rare else []
        chosen += standing.bearing({name: book.unfit for name, book in self._codebook.items()})
        chosen += check.sample() if check is not None else []
        chosen = [session for session in dict.fromkeys(chosen) if session not in swallowed]
        chosen += linked(standing, self._codebook, {*chosen, *swallowed})
        known = self._known(standing, check)
        without = known.only(lambda field, label: label not in self.attractors.get(field, ()))
        return [Part(chosen, known), Part(swallowed, without)]

    def checking(self, standing: Standing, check: MergeCheck) -> Part | None:
        """What `check` wants to see after what was said; null for nothing."""
        sessions = check.more(self.said)
        return Part(sessions, self._known(standing, check)) if sessions else None

    async def ask(
        self,
        streams: StreamProcessing,
        standing: Standing,
        parts: Sequence[Part],
        number: int,
    ) -> None:
        """Look at the sessions again, as many calls at a time as there are streams. `streams` needs a seed of
        its own for each look, as whatever draws at random has to draw anew."""
        batches = []
        for part in parts:
            order = list(part.sessions)
            random.Random(f"look {self._seed} {number}").shuffle(order)
            share = min(max(-(-len(order) // self._streams), FEWEST_PER_CALL), MOST_PER_CALL)
            taken = streams.prompt_vocabulary_tokens(part.shown)
            split = streams.tokens.split_sessions_into_batches(order, vocabulary_tokens=taken, share=share)
            batches += [(batch, part.shown) for batch in split]
        at_once = asyncio.Semaphore(self._streams)

        async def ask(stream: int, batch: Sequence[Session], shown: VocabularySnapshot) -> None:
            async with at_once:
                outcome = await streams.process_batch(batch, shown, CallContext(SECOND, number, stream))
            answers.update({result.session_id: result.facts for result in outcome.results})

        answers: dict[str, Facts | None] = {}
        await together(ask(stream, *batch) for stream, batch in enumerate(batches, start=1))
        counts = self._counts(standing)
        for result in standing.results:
            first, facts = result.facts, answers.get(result.session_id)
            if first is not None and facts is not None:
                counting = freed(first, facts, self.attractors, standing.redirects, counts)
                self.said.setdefault(result.session_id, [counting]).append(facts)

    def decide(self, standing: Standing) -> tuple[SessionResult, ...]:
        """The results with the labels that all looks so far give."""
        counts = self._counts(standing)
        same = doubles(self.said.values(), standing.redirects, counts)
        left = {name: book.narrower for name, book in self._codebook.items()}
        return tuple(
            replace(result, facts=decided(result.facts, said, standing.redirects, counts, same, left))
            if result.facts is not None
            else result
            for result in standing.results
            for said in [self.said.get(result.session_id, [])]
        )

    def moves(self, redirects: Redirects) -> Moves:
        """What further looks so far said of the sessions of each label."""
        return moved(self.said.values(), redirects)

    def _known(self, standing: Standing, check: MergeCheck | None = None) -> VocabularySnapshot:
        """The labels in use, and what `check` wants to see beside them."""
        counts, merged = self._counts(standing), check.shown if check is not None else frozenset()
        return standing.vocabulary.only(
            lambda name, label: counts[name][label] > 0 or (name, label) in merged
        )

    def _counts(self, standing: Standing) -> Counts:
        """Per field, the sessions of each label that counts."""
        unfit = {name: book.unfit for name, book in self._codebook.items()}
        return {
            name: Counter({label: times for label, times in own.items() if label not in unfit.get(name, ())})
            for name, own in standing.used().items()
        }


def worth_it(standing: Standing, config: SecondLookConfig) -> list[Session]:
    """The sessions that bear a rare label in any field, those with the rarest first, up to the bound."""
    counts, redirects = standing.used(), standing.redirects
    shares: dict[int, float] = {}
    for place, result in enumerate(standing.results):
        for name, label in (result.facts.labels if result.facts else {}).items():
            times, total = counts[name][canonical(name, label, redirects) or ""], counts[name].total()
            if times and (times < config.rare_share * total or (config.rare_share and times <= HARDLY_ANY)):
                shares[place] = min(times / total, shares.get(place, 1.0))
    rare = sorted(shares, key=lambda place: (shares[place], place))
    return [standing.sessions[place] for place in rare[: most_looks(config, len(standing.sessions))]]


def most_looks(config: SecondLookConfig, sessions: int) -> int:
    """How many of so many sessions are looked at again at most."""
    return min(max(int(config.most * sessions), SHORT_RUN_LOOKS if config.most else 0), sessions)


def linked(standing: Standing, codebook: Mapping[str, FieldCodebook], chosen: set[Session]) -> list[Session]:
    """A few sessions of each name that a codebook calls narrower; those `chosen` already count among them."""
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    pairs = list(zip(standing.sessions, standing.results, strict=True))
    for session, result in sorted(pairs, key=lambda pair: pair[0] not in chosen):
        labels = result.facts.labels if result.facts else {}
        borne = [
            (name, str(label))
            for name, book in codebook.items()
            for label in [canonical(name, labels.get(name), standing.redirects)]
            if label in book.narrower and seen[name, str(label)] < LINKED
        ]
        if borne and session not in chosen:
            found.append(session)
        seen.update(borne)
    return found
