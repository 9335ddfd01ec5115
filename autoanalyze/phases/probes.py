"""ProbeSessions: some sessions are labelled twice, to see how far streams agree when no truth is known.

Or without known labels: what a session is called then was not forced on it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from autoanalyze.llm.calls import together
from autoanalyze.phases.streams import StreamProcessing
from autoanalyze.records import CallContext, Facts, Session, SessionResult, Usage, VocabularySnapshot

PROBES_PER_CALL = 5

UNAIDED = "unaided"
"""The phase of calls that know no labels."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What another stream, or one that knows no labels, said of sessions that one stream had labelled.

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

    def select(
        self, results: Sequence[SessionResult], share: float, of: str = "probes"
    ) -> list[SessionResult]:
        """A random share (0 to 1, at least one session if more than 0) of the labelled sessions; another one
        for another kind `of` probes."""
        known = sorted(
            (result for result in results if result.facts is not None), key=lambda result: result.session_id
        )
        size = min(len(known), max(1, round(share * len(known))))
        return random.Random(f"{of} {self._seed}").sample(known, size)

    async def run(
        self, sessions: Sequence[Session], chosen: Sequence[SessionResult], vocabulary: VocabularySnapshot
    ) -> ProbeResult:
        """Label the sessions of `chosen` again; `vocabulary` is what the run knows in the end."""
        ordered = sorted(chosen, key=lambda result: (result.vocabulary_version, result.session_id))
        return await self._asked(
            sessions,
            ordered,
            lambda group: VocabularySnapshot(vocabulary.additions[: group[0].vocabulary_version]),
            CallContext("probe", probe=1),
        )

    async def run_unaided(self, sessions: Sequence[Session], chosen: Sequence[SessionResult]) -> ProbeResult:
        """Label the sessions of `chosen` again, with no label known: what each is called by itself."""
        return await self._asked(
            sessions, chosen, lambda _group: VocabularySnapshot(), CallContext(UNAIDED, probe=2)
        )

    async def _asked(
        self,
        sessions: Sequence[Session],
        chosen: Sequence[SessionResult],
        seen: Callable[[Sequence[SessionResult]], VocabularySnapshot],
        context: CallContext,
    ) -> ProbeResult:
        clock = asyncio.get_running_loop()
        start = clock.time()
        by_id = {session.session_id: session for session in sessions}
        groups = [chosen[i : i + PROBES_PER_CALL] for i in range(0, len(chosen), PROBES_PER_CALL)]

        async def probe(group: Sequence[SessionResult], number: int) -> list[SessionResult]:
            async with self._parallel:
                outcome = await self._streams.process_batch(
                    [by_id[result.session_id] for result in group],
                    seen(group),
                    replace(context, round=number),
                )
            usages.append(outcome.usage)
            calls.append(outcome.calls)
            return list(outcome.results)

        usages: list[Usage] = []
        calls: list[int] = []
        answers = await together(probe(group, number) for number, group in enumerate(groups, start=1))
        facts = {r.session_id: r.facts for answer in answers for r in answer if r.facts is not None}
        return ProbeResult(facts, len(chosen), sum(usages, Usage()), sum(calls), clock.time() - start)
