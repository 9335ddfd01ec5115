"""SecondLook: sessions whose label is rare are looked at again, when all labels are known.

What was named before the vocabulary was whole, too broadly or too narrowly, mostly stands under a label of few
sessions. Asked again, with every label in sight, the same session mostly gets the common one.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from autoanalyze.llm.calls import together
from autoanalyze.phases.streams import StreamProcessing
from autoanalyze.records import CallContext, Facts, Session, SessionResult, VocabularySnapshot

SECOND = "second"
"""The phase of these calls."""

SESSIONS_PER_CALL = 10

RARE_SHARE = 0.02
"""A label with fewer of the sessions that have one in its field is rare."""

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
        return [
            replace(result, facts=decided(result.facts, again[result.session_id], redirects, counts))
            if result.facts is not None and result.session_id in again
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


def decided(first: Facts, second: Facts, redirects: Redirects, counts: Counts) -> Facts:
    """The facts after both looks: the second one's label where it is known, and the more common one."""
    labels = dict(first.labels)
    for name, label in first.labels.items():
        other = second.labels.get(name)
        if label is None or other is None:
            continue
        one, other = (redirects.get(name, {}).get(known, known) for known in (label, other))
        if counts[name][other] > counts[name][one]:
            labels[name] = other
    return replace(first, labels=labels)
