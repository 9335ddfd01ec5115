"""SecondLook: sessions whose label is rare are looked at again, when all labels are known.

What was named before the vocabulary was whole, too broadly or too narrowly, mostly stands under a label of few
sessions. Asked again, with every label in sight, the same session mostly gets the common one.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from autoanalyze.llm.calls import together
from autoanalyze.phases.streams import StreamProcessing
from autoanalyze.records import CallContext, Facts, Session, SessionResult, VocabularySnapshot

SECOND = "second"
"""The phase of these calls."""

SESSIONS_PER_CALL = 10

import os
RARE_SHARE = float(os.environ.get("RARE","0.02"))
"""A label with fewer of the sessions that have one in its field is rare."""

FEWEST, MOST_SHARE = 2, 0.5
"""Sessions, and the share of those looked at again, that a label must lose to another to be its double."""

Redirects = Mapping[str, Mapping[str, str]]
Counts = Mapping[str, Counter[str]]


class SecondLook:
    """Asks about sessions again, `parallel` calls at a time, in an order of its own.

    All calls see the same labels: those in use after merging. So the order of the answers does not matter.
    Whatever draws at random has to draw anew: `streams` needs a seed of its own.
    """

    def __init__(self, streams: StreamProcessing, parallel: int, *, seed: int) -> None:
        self._streams = streams
        self._parallel = asyncio.Semaphore(parallel)
        self._seed = seed

    async def run(
        self,
        sessions: Sequence[Session],
        results: Sequence[SessionResult],
        redirects: Redirects,
        vocabulary: VocabularySnapshot,
        number: int,
    ) -> list[SessionResult]:
        """`results` with the labels that another look gives instead; `number` counts looks from 2."""
        counts = used(self._streams.schema.names, results, redirects)
        known = vocabulary.only(lambda field, label: counts[field][label] > 0)
        chosen = worth_it(sessions, results, redirects, counts)
        random.Random(f"second {self._seed} {number}").shuffle(chosen)
        batches = self._streams.tokens.split_sessions_into_batches(
            chosen,
            vocabulary_tokens=self._streams.prompt_vocabulary_tokens(known),
            share=SESSIONS_PER_CALL,
        )

        async def ask(stream: int, batch: Sequence[Session]) -> Sequence[SessionResult]:
            async with self._parallel:
                return (
                    await self._streams.process_batch(batch, known, CallContext(SECOND, number, stream))
                ).results

        answers = await together(ask(stream, batch) for stream, batch in enumerate(batches, start=1))
        again = {r.session_id: r.facts for answer in answers for r in answer if r.facts is not None}
        same = doubles(results, again, redirects, counts)
        return [
            replace(result, facts=decided(result.facts, again.get(result.session_id), redirects, counts, same))
            if result.facts is not None
            else result
            for result in results
        ]


def used(names: Sequence[str], results: Sequence[SessionResult], redirects: Redirects) -> Counts:
    """Per field, the sessions of each label after merging."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in names}
    for result in results:
        for name, label in (result.facts.labels if result.facts else {}).items():
            if label is not None:
                counts[name][redirects.get(name, {}).get(label, label)] += 1
    return counts


def worth_it(
    sessions: Sequence[Session], results: Sequence[SessionResult], redirects: Redirects, counts: Counts
) -> list[Session]:
    """The sessions that bear a rare label in any field."""
    limits = {name: RARE_SHARE * own.total() for name, own in counts.items()}
    return [
        session
        for session, result in zip(sessions, results, strict=True)
        if result.facts is not None
        and any(
            label is not None and counts[name][redirects.get(name, {}).get(label, label)] < limits[name]
            for name, label in result.facts.labels.items()
        )
    ]


def doubles(
    results: Sequence[SessionResult], again: Mapping[str, Facts], redirects: Redirects, counts: Counts
) -> Redirects:
    """Per field, labels that most of their sessions lost to one and the same other label: whoever knows both
    takes the other one. The less common of the two becomes the more common."""
    moves: dict[str, dict[str, Counter[str]]] = {name: defaultdict(Counter) for name in counts}
    for result in results:
        second = again.get(result.session_id)
        for name, label in (result.facts.labels if result.facts and second else {}).items():
            other = second.labels.get(name) if second else None
            if label is not None and other is not None:
                own = redirects.get(name, {})
                moves[name][own.get(label, label)][own.get(other, other)] += 1
    found: dict[str, dict[str, str]] = {name: {} for name in counts}
    for name, by_label in moves.items():
        for label, went in sorted(by_label.items()):
            other, times = max(went.items(), key=lambda item: (item[1], item[0]))
            if other != label and times >= FEWEST and times > MOST_SHARE * went.total() and counts[name][other]:
                rare, common = sorted((label, other), key=lambda one: (counts[name][one], one))
                found[name].setdefault(rare, common)
    return found


def decided(
    first: Facts, second: Facts | None, redirects: Redirects, counts: Counts, same: Redirects
) -> Facts:
    """The facts after both looks: the second one's label where it is known and the more common one, and of
    doubles the more common."""
    labels = dict(first.labels)
    for name, label in first.labels.items():
        if label is None:
            continue
        one = redirects.get(name, {}).get(label, label)
        other = second.labels.get(name) if second else None
        other = redirects.get(name, {}).get(other, other) if other else None
        if other is not None and counts[name][other] > counts[name][one]:
            one = other
        one = same[name].get(one, one)
        if one != redirects.get(name, {}).get(label, label):
            labels[name] = one
    return replace(first, labels=labels)
