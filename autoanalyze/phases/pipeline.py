"""The three phases in order: discovery, parallel processing, conflict resolution."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from autoanalyze.config import Config
from autoanalyze.llm.connection import Connection
from autoanalyze.phases.again import AGAIN, AskingAgain
from autoanalyze.phases.codebook import Codebook
from autoanalyze.phases.conflicts import BackgroundMerging, ConflictResolution, ResolutionResult
from autoanalyze.phases.discovery import (
    DiscoveryResult,
    Ramp,
    StrategicDiscovery,
    bearable_collisions,
    size_of_discovery,
)
from autoanalyze.phases.duplicates.ledger import Carried
from autoanalyze.phases.merge_check import MergeCheck, can_be_tried
from autoanalyze.phases.parallel import ParallelProcessingOrchestrator, first_call, smallest_call
from autoanalyze.phases.probes import UNAIDED, ProbeResult, ProbeSessions
from autoanalyze.phases.results import PhaseResults, Watcher
from autoanalyze.phases.rounds import ParallelResult
from autoanalyze.phases.second_look import FIRST_FURTHER, SECOND, Part, SecondLook, Standing
from autoanalyze.phases.streams import BatchOutcome, StreamProcessing
from autoanalyze.phases.unaided import Unaided, attracting, named, settled
from autoanalyze.phases.vocabulary import label_use, labels_found
from autoanalyze.phases.votes import used
from autoanalyze.protocols import TranscriptReader
from autoanalyze.records import (
    CallContext,
    Facts,
    Session,
    SessionResult,
    VocabularySnapshot,
    derived_seed,
)

LOG = logging.getLogger(__name__)


class Pipeline:
    """Puts the phases of one run together and reports how far they are."""

    def __init__(
        self,
        config: Config,
        connection: Connection,
        reader: TranscriptReader,
        watcher: Watcher,
        carried: Carried,
    ) -> None:
        self._config = config
        self._carried = carried
        self._start = carried.vocabulary()
        self._schema = connection.prompt.schema
        self._order = connection.journal
        self._tokens = connection.tokens
        self._watcher = watcher
        self._finished: dict[str, SessionResult] = {}
        # A repetition draws everything anew that a model draws, on the same sessions.
        again = config.repetition > 1
        seed = derived_seed(config.seed, "repetition", config.repetition) if again else config.seed
        self._streaming = partial(
            StreamProcessing,
            connection.model,
            reader,
            connection.prompt,
            connection.tokens,
            retry=config.retry,
            vocabulary_allowance=config.vocabulary.allowance_tokens,
            on_batch=self._batch_done,
        )
        self._seed = seed
        self._streams = self._streaming(seed=seed)
        self._codebook = Codebook(connection.judge, self._schema, carried, retry=config.retry, seed=seed)
        self._resolving = partial(
            ConflictResolution,
            connection.judge,
            connection.embedder,
            self._schema,
            config.resolution,
            config.embeddings,
            retry=config.retry,
        )
        self._conflicts = self._resolving(seed=seed, carried=carried, codebook=self._codebook)
        self._merging = BackgroundMerging(
            self._conflicts,
            self._schema,
            config.resolution,
            withdraw_aliases=config.vocabulary.withdraw_aliases,
        )
        self._ramp: Ramp | None = None
        self._began = 0.0

    async def run(self, sessions: Sequence[Session]) -> PhaseResults:
        """Label `sessions`; results stand in the order given, one each."""
        self._began = asyncio.get_running_loop().time()
        discovery = await self._discover(sessions)
        if self._config.vocabulary.codebook and self._config.sync != "none":
            fixed = replace(self._config.discovery, mode="fixed")
            self._merging.codebook_after = size_of_discovery(fixed, len(sessions))
            self._merging.before = discovery.processed
        coding = self._config.vocabulary.codebook
        looking = SecondLook(
            self._config.second_look,
            self._config.parallel.streams,
            seed=self._seed,
            codebook=self._codebook.fields if coding else None,
        )
        parallel = await self._process(discovery)
        if self._ramp is not None:
            discovery = replace(
                discovery,
                discovery_rate=self._ramp.unseen_share,
                unique_labels=self._ramp.unique_labels(),
                ramp_sessions=self._ramp.sessions,
            )
        for number in range(1, self._config.retry.unresolved + 1):
            parallel = await self._ask_again(sessions, discovery, parallel, number)
        by_id = {result.session_id: result for result in (*discovery.processed, *parallel.sessions)}
        results = tuple(by_id[session.session_id] for session in sessions)
        shared = self._config.sync != "none"
        known = parallel.vocabulary if shared else discovery.vocabulary
        unaided = await self._ask_unaided(sessions, results)
        for number in range(FIRST_FURTHER, max(self._config.passes, FIRST_FURTHER if coding else 1) + 1):
            await self._merge_so_far(results, parallel.vocabulary, coding=coding and number == FIRST_FURTHER)
            if unaided is not None and number == FIRST_FURTHER <= self._config.passes:
                unaided = await self._understood(unaided, results)
                looking.attractors = attracting(unaided, self._conflicts.final(results), self._schema.names)
            results = await self._look_again(looking, sessions, results, parallel.vocabulary, number)
            if coding:  # a session of an unfit name may have got one that is new
                found = labels_found(self._schema, (r.facts for r in results if r.facts is not None))
                parallel = replace(parallel, vocabulary=parallel.vocabulary.extended(found))
        probes = await self._probe(sessions, results, known)
        resolution, final = await self._resolve(parallel, results, probes)
        if unaided is not None and self._config.passes == 1:
            unaided = await self._understood(unaided, results)
        themes = await self._themes(results, resolution)
        return PhaseResults(
            self._schema,
            tuple(sessions),
            results,
            final,
            parallel.vocabulary,
            discovery,
            parallel,
            resolution,
            probes,
            unaided,
            self._carried,
            self._codebook.fields if self._config.vocabulary.codebook else {},
            themes,
        )

    def so_far(self, sessions: Sequence[Session], reason: str) -> PhaseResults:
        """What there is when the phases were stopped: finished batches, and nothing merged.

        Sessions that were not reached are unresolved, with the reason.
        """
        results = tuple(
            self._finished.get(session.session_id)
            or SessionResult(session.session_id, None, self._watcher.phase, 0, 0, 0, error=reason)
            for session in sessions
        )
        final = {result.session_id: result.facts for result in results if result.facts is not None}
        vocabulary = self._start.extended(labels_found(self._schema, final.values()))
        return PhaseResults(self._schema, tuple(sessions), results, final, vocabulary, carried=self._carried)

    async def _discover(self, sessions: Sequence[Session]) -> DiscoveryResult:
        phase = StrategicDiscovery(
            self._streams, self._schema, self._config.discovery, seed=self._config.seed
        )
        size = phase.calculate_discovery_size(len(sessions))
        if size:
            self._watcher.update(phase="discovery", step=0, steps=size, streams_active=1)
        return await phase.run_discovery(sessions, self._start)

    async def _process(self, discovery: DiscoveryResult) -> ParallelResult:
        remaining = discovery.remaining
        streams = min(self._config.parallel.streams, len(remaining))
        self._watcher.update(phase="parallel", step=0, steps=len(remaining), streams_active=streams)
        return await self._orchestrator(len(remaining)).process_in_parallel(remaining, discovery.vocabulary)

    async def _ask_again(
        self, sessions: Sequence[Session], discovery: DiscoveryResult, parallel: ParallelResult, number: int
    ) -> ParallelResult:
        """What is known with answers for sessions that have none yet."""
        by_id = {result.session_id: result for result in (*discovery.processed, *parallel.sessions)}
        missing = [session for session in sessions if by_id[session.session_id].facts is None]
        self._watcher.update(phase=AGAIN, step=0, steps=len(missing))
        streams = self._streaming(seed=derived_seed(self._seed, AGAIN, number))
        return await AskingAgain(streams, self._config.parallel.streams).run(missing, parallel, number)

    async def _look_again(
        self,
        looking: SecondLook,
        sessions: Sequence[Session],
        results: Sequence[SessionResult],
        vocabulary: VocabularySnapshot,
        number: int,
    ) -> tuple[SessionResult, ...]:
        """The results after another look, once the labels so far are merged."""
        streams = self._streaming(seed=derived_seed(self._seed, SECOND, number))
        coding, looks = self._config.vocabulary.codebook, self._config.passes >= FIRST_FURTHER
        known = replace(vocabulary, lines=self._codebook.lines()) if coding else vocabulary
        standing = Standing(self._schema.names, sessions, results, self._conflicts.redirects(), known)
        check = None
        trying = self._config.second_look.try_merges and can_be_tried(self._config)
        if looks and number == FIRST_FURTHER and trying:
            check = MergeCheck(self._conflicts.judged(), sessions, results, seed=self._seed)
        parts = looking.choose(standing, number, rare=looks, check=check)
        self._watch(parts)
        await looking.ask(streams, standing, parts, number)
        if check is not None:
            while part := looking.checking(standing, check):
                self._watch([part])
                await looking.ask(streams, standing, [part], number)
            self._conflicts.part(check.wrong(looking.said), self._merging.steps)
            standing = replace(standing, redirects=self._conflicts.redirects())
        if coding:
            self._codebook.link(looking.moves(standing.redirects))
        return looking.decide(standing)

    def _watch(self, parts: Sequence[Part]) -> None:
        steps = sum(len(part.sessions) for part in parts)
        if steps:
            self._watcher.update(phase=SECOND, step=0, steps=steps)

    async def _merge_so_far(
        self, results: Sequence[SessionResult], vocabulary: VocabularySnapshot, *, coding: bool
    ) -> None:
        """Merge what is known; with `coding`, write the codebook of what stands after that."""
        self._merging.steps += 1
        use = label_use(self._schema, vocabulary, results)
        await self._conflicts.resolve_conflicts(use, step=self._merging.steps)
        if coding:
            await self._codebook.write(use, self._conflicts.redirects(), self._merging.steps)

    async def _themes(
        self, results: Sequence[SessionResult], resolution: ResolutionResult
    ) -> Mapping[str, Mapping[str, str]]:
        """The themes above the final labels, if they are wanted."""
        if not self._config.vocabulary.themes:
            return {}
        return await self._codebook.themes(used(self._schema.names, results, resolution.redirects()))

    def _orchestrator(self, sessions: int) -> ParallelProcessingOrchestrator:
        """The configured way to let streams work side by side."""
        config = self._config
        if config.discovery.mode == "adaptive":
            self._ramp = Ramp(
                self._schema,
                collisions=bearable_collisions(
                    config.discovery, sessions=sessions, streams=config.parallel.streams
                ),
                streams=config.parallel.streams,
                first_call=first_call(config.parallel),
                smallest_call=smallest_call(config.parallel),
            )
        return ParallelProcessingOrchestrator(
            self._streams,
            config.parallel,
            sync=config.sync,
            order=self._order,
            ramp=self._ramp,
            merging=self._merging if self._merging.wanted else None,
        )

    async def _probe(
        self, sessions: Sequence[Session], results: Sequence[SessionResult], vocabulary: VocabularySnapshot
    ) -> ProbeResult | None:
        """Label some sessions once more, to see how far streams agree."""
        if not self._config.probe_share:
            return None
        phase = ProbeSessions(self._streams, self._config.parallel.streams, seed=self._config.seed)
        chosen = phase.select(results, self._config.probe_share)
        self._watcher.update(phase="probes", step=0, steps=len(chosen))
        return await phase.run(sessions, chosen, vocabulary)

    async def _ask_unaided(
        self, sessions: Sequence[Session], results: Sequence[SessionResult]
    ) -> Unaided | None:
        """Label some sessions once more without known labels, to see which labels swallow others."""
        if not self._config.unaided_share:
            return None
        phase = ProbeSessions(self._streams, self._config.parallel.streams, seed=self._config.seed)
        chosen = phase.select(results, self._config.unaided_share, UNAIDED)
        self._watcher.update(phase=UNAIDED, step=0, steps=len(chosen))
        return Unaided(await phase.run_unaided(sessions, chosen))

    async def _understood(self, unaided: Unaided, results: Sequence[SessionResult]) -> Unaided:
        """Unaided names as labels in use, where they mean the same."""
        known = settled(self._conflicts, results, self._schema.names)
        conflicts = self._resolving(seed=derived_seed(self._seed, UNAIDED), carried=known)
        return await named(unaided, conflicts, self._schema, known.vocabulary(), self._merging.steps + 1)

    async def _resolve(
        self, parallel: ParallelResult, results: Sequence[SessionResult], probes: ProbeResult | None
    ) -> tuple[ResolutionResult, dict[str, Facts]]:
        self._watcher.update(phase="resolution", step=0, steps=len(self._schema.fields), streams_active=1)
        vocabulary = parallel.vocabulary
        if probes is not None:  # their names are judged too: agreement is meant after merging
            vocabulary = vocabulary.extended(labels_found(self._schema, probes.facts.values()))
        use = label_use(self._schema, vocabulary, results)
        resolution = await self._conflicts.resolve_conflicts(
            use, on_field=lambda _name: self._watcher.advance(1)
        )
        return resolution, self._conflicts.final(results)

    def _batch_done(self, outcome: BatchOutcome, context: CallContext) -> None:
        if context.phase == AGAIN:
            self._finished |= {result.session_id: result for result in outcome.results}
        if context.probe or context.phase in (AGAIN, SECOND):
            self._watcher.advance(len(outcome.results))
            return
        if self._config.parallel.debug:
            LOG.info(
                "%s %d, stream %d: %d sessions in %d calls, %.1f s",
                context.phase,
                context.round,
                context.stream,
                len(outcome.results),
                outcome.calls,
                outcome.seconds,
            )
        self._finished |= {result.session_id: result for result in outcome.results}
        self._watcher.batch_done(
            outcome,
            context,
            seconds=asyncio.get_running_loop().time() - self._began,
            cost_usd=self._tokens.calculate_cost_estimate(outcome.usage),
        )
