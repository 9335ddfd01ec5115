"""The three phases in order: discovery, parallel processing, conflict resolution."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from autoanalyze.config import Config
from autoanalyze.llm.tokens import TokenManagement
from autoanalyze.phases.conflicts import ConflictResolution, ResolutionResult
from autoanalyze.phases.discovery import DiscoveryResult, StrategicDiscovery
from autoanalyze.phases.rounds import ParallelProcessingOrchestrator, ParallelResult
from autoanalyze.phases.streams import BatchOutcome, StreamProcessing
from autoanalyze.phases.vocabulary import labels_found
from autoanalyze.progress import ProgressTracker
from autoanalyze.records import (
    CallContext,
    Facts,
    Model,
    Session,
    SessionResult,
    TranscriptReader,
    VocabularySnapshot,
)
from autoanalyze.results import PhaseResults, label_counts

__all__ = ["Pipeline"]


class Pipeline:
    """Puts the phases of one run together and reports how far they are."""

    def __init__(
        self,
        config: Config,
        model: Model,
        reader: TranscriptReader,
        tokens: TokenManagement,
        tracker: ProgressTracker,
    ) -> None:
        self._config = config
        self._schema = config.schema.records()
        self._model = model
        self._tokens = tokens
        self._tracker = tracker
        self._finished: dict[str, SessionResult] = {}
        self._streams = StreamProcessing(
            model,
            reader,
            self._schema,
            tokens,
            retry=config.retry,
            seed=config.seed,
            on_batch=self._batch_done,
        )

    async def run(self, sessions: Sequence[Session]) -> PhaseResults:
        """Label `sessions`; results stand in the order given, one each."""
        discovery = await self._discover(sessions)
        parallel = await self._process(discovery)
        by_id = {result.session_id: result for result in (*discovery.processed, *parallel.sessions)}
        results = tuple(by_id[session.session_id] for session in sessions)
        resolution, final = await self._resolve(parallel, results)
        return PhaseResults(
            self._schema,
            tuple(sessions),
            results,
            final,
            parallel.vocabulary,
            discovery,
            parallel,
            resolution,
        )

    def so_far(self, sessions: Sequence[Session], reason: str) -> PhaseResults:
        """What there is when the phases were stopped: finished batches, and nothing merged.

        Sessions that were not reached are unresolved, with the reason.
        """
        results = tuple(
            self._finished.get(session.session_id)
            or SessionResult(session.session_id, None, self._tracker.current.phase, 0, 0, 0, error=reason)
            for session in sessions
        )
        final = {result.session_id: result.facts for result in results if result.facts is not None}
        vocabulary = VocabularySnapshot().extended(labels_found(self._schema, final.values()))
        return PhaseResults(self._schema, tuple(sessions), results, final, vocabulary)

    async def _discover(self, sessions: Sequence[Session]) -> DiscoveryResult:
        phase = StrategicDiscovery(
            self._streams, self._schema, self._config.discovery, seed=self._config.seed
        )
        size = phase.calculate_discovery_size(len(sessions))
        self._tracker.update(phase="discovery", step=0, steps=size, streams_active=1)
        return await phase.run_discovery(sessions)

    async def _process(self, discovery: DiscoveryResult) -> ParallelResult:
        phase = ParallelProcessingOrchestrator(
            self._streams, self._schema, self._tokens, self._config.parallel
        )
        remaining = discovery.remaining
        streams = min(self._config.parallel.streams, len(remaining))
        self._tracker.update(phase="parallel", step=0, steps=len(remaining), streams_active=streams)
        return await phase.process_in_parallel(remaining, discovery.vocabulary)

    async def _resolve(
        self, parallel: ParallelResult, results: Sequence[SessionResult]
    ) -> tuple[ResolutionResult, dict[str, Facts]]:
        phase = ConflictResolution(
            self._model,
            self._schema,
            self._config.resolution,
            retry=self._config.retry,
            seed=self._config.seed,
            judge=self._config.model.name,
            on_field=lambda _name: self._tracker.update(step=self._tracker.current.step + 1),
        )
        self._tracker.update(phase="resolution", step=0, steps=len(self._schema.fields), streams_active=1)
        resolution = await phase.resolve_conflicts(label_counts(self._schema, parallel.vocabulary, results))
        redirects = resolution.redirects()
        final = {
            result.session_id: phase.apply_resolutions(result.facts, redirects)
            for result in results
            if result.facts is not None
        }
        return resolution, final

    def _batch_done(self, outcome: BatchOutcome, context: CallContext) -> None:
        self._finished |= {result.session_id: result for result in outcome.results}
        self._tracker.batch_done(
            outcome,
            context,
            seconds=asyncio.get_running_loop().time(),
            cost_usd=self._tokens.calculate_cost_estimate(outcome.usage),
        )
