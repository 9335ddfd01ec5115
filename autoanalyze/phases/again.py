"""AskingAgain: sessions that no attempt brought a label for are asked for once more at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from autoanalyze.llm.calls import together
from autoanalyze.phases.rounds import ParallelResult
from autoanalyze.phases.streams import StreamProcessing, labelled
from autoanalyze.phases.vocabulary import labels_found
from autoanalyze.records import CallContext, Session, SessionResult

AGAIN = "again"
"""The phase of these calls."""

SESSIONS_PER_CALL = 5
"""Fewer than before: long replies are a reason for sessions to be missing."""


class AskingAgain:
    """Asks for unresolved sessions in rounds of `parallel` small calls.

    All calls of a round see the same labels, so that the order of their answers does not matter. Whatever
    draws at random has to draw anew: `streams` needs a seed of its own.
    """

    def __init__(self, streams: StreamProcessing, parallel: int) -> None:
        self._streams = streams
        self._parallel = parallel

    async def run(self, sessions: Sequence[Session], known: ParallelResult, number: int) -> ParallelResult:
        """`known` with the answers for those of its results that have no label; `number` counts from 1.

        `sessions` are the sessions without a label.
        """
        found: dict[str, SessionResult] = {}
        vocabulary, streams = known.vocabulary, self._streams
        batches = streams.tokens.split_sessions_into_batches(
            sessions,
            vocabulary_tokens=streams.prompt_vocabulary_tokens(vocabulary),
            share=SESSIONS_PER_CALL,
        )
        for start in range(0, len(batches), self._parallel):
            outcomes = await together(
                streams.process_batch(batch, vocabulary, CallContext(AGAIN, number, stream))
                for stream, batch in enumerate(batches[start : start + self._parallel], start=1)
            )
            results = [result for outcome in outcomes for result in outcome.results]
            found |= {result.session_id: result for result in results}
            vocabulary = vocabulary.extended(labels_found(streams.schema, labelled(results)))
        return replace(
            known,
            sessions=tuple(found.pop(result.session_id, result) for result in known.sessions)
            + tuple(found.values()),
            vocabulary=vocabulary,
        )
