"""ProbeSessions: some sessions are labelled twice, to see how far streams agree when no truth is known."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoanalyze.llm.calls import together
from autoanalyze.phases.streams import StreamProcessing
from autoanalyze.records import CallContext, Facts, Session, SessionResult, Usage, VocabularySnapshot

PROBES_PER_CALL = 5


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What another stream said of sessions that one stream had labelled.

    `facts` holds the second answers by session; they enter no vocabulary and no rate. `seconds` is how
    long the probes took all together, on the run's clock; they count in the run's own time and cost.
    """

    facts: Mapping[str, Facts]
    asked: int
    usage: Usage
    calls: int
    seconds: float


class ProbeSessions:
    """Asks about some sessions once more, with a request seed of its own.

    A probe is shown no more than the vocabulary of the moment at which its session was labelled: it
    answers what a stream would have answered that took the session at the same time. Probes of about
    the same moment share a call, which is shown what the earliest of them may see.
    """

    def __init__(self, streams: StreamProcessing, parallel: int, *, seed: int) -> None:
        self._streams = streams
        self._parallel = asyncio.Semaphore(parallel)
        self._seed = seed

    def select(self, results: Sequence[SessionResult], share: float) -> list[SessionResult]:
        """A random share (0 to 1, at least one session if more than 0) of the labelled sessions."""
        known = sorted(
            (result for result in results if result.facts is not None), key=lambda result: result.session_id
        )
        size = min(len(known), max(1, round(share * len(known))))
        return random.Random(f"probes {self._seed}").sample(known, size)

    async def run(
        self, sessions: Sequence[Session], chosen: Sequence[SessionResult], vocabulary: VocabularySnapshot
    ) -> ProbeResult:
        """Label the sessions of `chosen` again; `vocabulary` is what the run knows in the end."""
        clock = asyncio.get_running_loop()
        start = clock.time()
        by_id = {session.session_id: session for session in sessions}
        ordered = sorted(chosen, key=lambda result: (result.vocabulary_version, result.session_id))
        groups = [ordered[i : i + PROBES_PER_CALL] for i in range(0, len(ordered), PROBES_PER_CALL)]

        async def probe(group: Sequence[SessionResult], number: int) -> list[SessionResult]:
            seen = VocabularySnapshot(vocabulary.additions[: group[0].vocabulary_version])
            context = CallContext("probe", number, probe=1)
            async with self._parallel:
                outcome = await self._streams.process_batch(
                    [by_id[result.session_id] for result in group], seen, context
                )
            usages.append(outcome.usage)
            calls.append(outcome.calls)
            return list(outcome.results)

        usages: list[Usage] = []
        calls: list[int] = []
        answers = await together(probe(group, number) for number, group in enumerate(groups, start=1))
        facts = {r.session_id: r.facts for answer in answers for r in answer if r.facts is not None}
        return ProbeResult(facts, len(chosen), sum(usages, Usage()), sum(calls), clock.time() - start)
