"""StrategicDiscovery: a diverse share of the sessions, labelled in sequence, builds the vocabulary."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from autoanalyze.config import DiscoveryConfig
from autoanalyze.errors import EndpointGoneError
from autoanalyze.phases.streams import StreamProcessing, StreamResult
from autoanalyze.records import LabelSchema, Session, SessionResult, VocabularySnapshot

DISCOVERY_STREAM = 0
"""Discovery is a stream of its own; parallel streams count from 1."""

RATE_WINDOW = 50
"""Sessions over which the discovery rate is taken."""


@dataclass(frozen=True, slots=True)
class DiscoveryResult:
    """What discovery found. `discovery_rate` is the share of the last 50 discovery sessions that
    brought a new label: how much there may still be to find. Adaptive discovery labels nothing on its
    own: it is the first part of the parallel phase, of `ramp_sessions`, and its rate is f1 / n."""

    vocabulary: VocabularySnapshot
    processed: tuple[SessionResult, ...]
    remaining: tuple[Session, ...]
    unique_labels: dict[str, int]
    discovery_rate: float
    stream: StreamResult
    ramp_sessions: int = 0

    @property
    def processed_count(self) -> int:
        """Sessions that discovery labelled, or tried to."""
        return len(self.processed)


class StrategicDiscovery:
    """Phase 1."""

    def __init__(
        self, streams: StreamProcessing, schema: LabelSchema, config: DiscoveryConfig, *, seed: int
    ) -> None:
        self._streams = streams
        self._schema = schema
        self._config = config
        self._seed = seed

    def calculate_discovery_size(self, available: int) -> int:
        """How many of `available` sessions discovery takes; see `size_of_discovery`."""
        return size_of_discovery(self._config, available)

    def select_diverse_sessions(self, sessions: Sequence[Session], size: int) -> list[Session]:
        """`size` sessions, none twice, spread over strata of length, containment and time.

        Every stratum gives its proportional share; what rounding leaves over goes to the
        strata that were rounded down most. The order is shuffled, so that the first calls
        see all kinds of sessions.
        """
        strata = stratified(sessions)
        generator = random.Random(f"discovery {self._seed}")
        exact = {key: size * len(members) / len(sessions) for key, members in strata.items()}
        shares = {key: math.floor(share) for key, share in exact.items()}
        by_remainder = sorted(strata, key=lambda key: (shares[key] - exact[key], key))
        for key in by_remainder[: size - sum(shares.values())]:
            shares[key] += 1
        chosen = [session for key in sorted(strata) for session in generator.sample(strata[key], shares[key])]
        generator.shuffle(chosen)
        return chosen

    def diverse_first(self, sessions: Sequence[Session]) -> list[Session]:
        """All of `sessions`, those that fixed discovery would take in front."""
        size = max(1, size_of_discovery(replace(self._config, mode="fixed"), len(sessions)))
        chosen = self.select_diverse_sessions(sessions, min(size, len(sessions)))
        taken = {session.session_id for session in chosen}
        return [*chosen, *(session for session in sessions if session.session_id not in taken)]

    async def run_discovery(
        self, sessions: Sequence[Session], start: VocabularySnapshot | None = None
    ) -> DiscoveryResult:
        """Label a diverse share of `sessions` in sequence; the rest remains, in the order given.

        `start` are the labels known before. Raises EndpointGoneError when nothing comes back.
        """
        size = self.calculate_discovery_size(len(sessions))
        if self._config.mode == "adaptive":
            sessions, size = self.diverse_first(sessions), 0
        chosen = self.select_diverse_sessions(sessions, size) if size else []
        result = await self._streams.process_stream(
            chosen,
            start or VocabularySnapshot(),
            phase="discovery",
            stream=DISCOVERY_STREAM,
            share=self._config.sessions_per_call,
        )
        # What the endpoint failed is not lost: the parallel rounds ask for it again.
        processed = tuple(session for session in result.sessions if not session.endpoint_failed)
        if chosen and not processed:
            raise EndpointGoneError(
                f"discovery got no answer at all, in spite of all retries: {result.sessions[0].error}; "
                "resume the run when the endpoint is back"
            )
        taken = {session.session_id for session in processed}
        return DiscoveryResult(
            result.vocabulary,
            processed,
            tuple(session for session in sessions if session.session_id not in taken),
            {name: len(result.vocabulary.labels(name)) for name in self._schema.names},
            discovery_rate(processed),
            result,
        )


def size_of_discovery(config: DiscoveryConfig, available: int) -> int:
    """The configured percentage, clamped to its bounds, and never more than there are.

    0 when discovery is off, adaptive, or its percentage is 0.
    """
    if config.mode != "fixed" or config.percentage == 0:
        return 0
    size = max(math.ceil(available * config.percentage / 100), config.min_sessions)
    if config.max_sessions is not None:
        size = min(size, config.max_sessions)
    return min(size, available)


def stratified(sessions: Sequence[Session]) -> dict[tuple[int, str, int], list[Session]]:
    """Sessions by length third, containment type and time third; within a stratum by identity."""
    lengths = thirds({session.session_id: session.token_count for session in sessions})
    times = thirds({s.session_id: s.start_time.timestamp() if s.start_time else -math.inf for s in sessions})
    strata: dict[tuple[int, str, int], list[Session]] = defaultdict(list)
    for session in sorted(sessions, key=lambda session: session.session_id):
        key = (lengths[session.session_id], session.containment_type, times[session.session_id])
        strata[key].append(session)
    return strata


def thirds(values: dict[str, float]) -> dict[str, int]:
    """Which third of the ranking each identity falls into: 0, 1 or 2; ties break by identity."""
    ranking = sorted(values, key=lambda identity: (values[identity], identity))
    return {identity: 3 * rank // len(ranking) for rank, identity in enumerate(ranking)}


def discovery_rate(results: Sequence[SessionResult]) -> float:
    """Share of the last 50 sessions that brought a label nobody had used before them."""
    seen: set[tuple[str, str]] = set()
    brought_new = []
    for result in results:
        facts = result.facts
        used = {(name, label) for name, label in facts.labels.items() if label} if facts else set()
        brought_new.append(not used <= seen)
        seen |= used
    window = brought_new[-RATE_WINDOW:]
    return sum(window) / len(window) if window else 0.0


def expected_collisions(calls: int, sessions: int, seen: int, doubletons: float) -> float:
    """How many concepts two of `calls` calls of `sessions` each will probably invent at once.

    C(k,2) b^2 f2 / C(n,2): of all pairs of the `seen` sessions, f2 were the two only sessions of their
    concept, so that a pair of sessions in different calls meets an unseen concept about that often.
    Infinite before two sessions were seen.
    """
    pairs = calls * (calls - 1) / 2
    if pairs == 0:
        return 0.0
    if seen < 2:
        return float("inf")
    return pairs * sessions**2 * doubletons / (seen * (seen - 1) / 2)


BEARABLE, USUAL_STREAMS, SHORT_RUN, HURRY = 20.0, 8, 300, 10.0
"""Collisions that are borne with so many streams, in proportion with more; the sessions of a run below which
more are, as its start is a large part of it; and how many times as many at most. Tried out on four
seeds of four simulated worlds, 1,000 sessions and 8 streams: a tenth of what had been borne before costs 3 to
14 % more time, and gains a half to two points of F1 where names have levels or are many."""


def bearable_collisions(config: DiscoveryConfig, *, sessions: int, streams: int) -> float:
    """How many collisions a step of the ramp may be expected to bring in a run of so many sessions."""
    if config.collisions is not None:
        return config.collisions
    more_streams, shortness = max(streams / USUAL_STREAMS, 1.0), max(SHORT_RUN / max(sessions, 1), 1.0)
    return BEARABLE * more_streams * min(shortness, HURRY)


@dataclass(frozen=True, slots=True)
class Step:
    """What may be in flight: so many calls, of so many sessions each."""

    calls: int
    sessions: int


LITTLE_UNSEEN = 0.02
"""The chance of a new label (f1 / n, Good-Turing) at which the ramp is over."""


class Ramp:
    """Grows from one small call to all streams with full calls, and is over then. A step may be expected to
    bring so many `collisions` at most. `first_call` is what calls hold until two such calls could have been
    answered, `smallest_call` the least from then on.

    It is over as well when the chance that a label is new is at most 2 %, once as many sessions were seen as
    such a share needs to show (its inverse).
    """

    def __init__(
        self,
        schema: LabelSchema,
        *,
        collisions: float,
        streams: int,
        first_call: int,
        smallest_call: int,
    ) -> None:
        self._bearable = collisions
        self._streams = streams
        self._first, self._smallest = first_call, smallest_call
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in schema.names}
        self._redirects: Mapping[str, Mapping[str, str]] = {}
        self.sessions = 0
        """Sessions labelled so far, while the ramp lasts."""
        self.over = False

    def learn(self, results: Sequence[SessionResult]) -> None:
        """Take in what a call brought."""
        if self.over:
            return
        for result in results:
            if result.facts is not None:
                self.sessions += 1
                for name, label in result.facts.labels.items():
                    if label is not None:
                        self._counts[name][label] += 1

    def redirect(self, redirects: Mapping[str, Mapping[str, str]]) -> None:
        """Count labels under the canonical ones from now on."""
        self._redirects = redirects

    def step(self, full: int) -> Step:
        """What may be in flight now, when a full call holds `full` sessions.

        Streams come first, then larger calls: the bound is on the sessions in flight, and many small
        calls bring their labels sooner than few large ones.
        """
        step = Step(self._streams, full)
        if not self.over:
            step = self._careful(full)
            enough = self.sessions >= 1 / LITTLE_UNSEEN
            found_all = enough and self.unseen_share <= LITTLE_UNSEEN
            self.over = found_all or step == Step(self._streams, full)
        return Step(self._streams, full) if self.over else step

    @property
    def unseen_share(self) -> float:
        """Chance that a session's next label is one that was never seen: f1 / n (Good-Turing)."""
        merged = self._merged()
        seen = sum(counts.total() for counts in merged.values())
        return self._seen_exactly(1, merged, floor=0) / seen if seen else 1.0

    def unique_labels(self) -> dict[str, int]:
        """Labels per field that the ramp saw, merged ones as one."""
        return {name: len(counts) for name, counts in self._merged().items()}

    def _careful(self, full: int) -> Step:
        doubletons = self._seen_exactly(2, self._merged(), floor=1)

        def bearable(calls: int, sessions: int) -> bool:
            expected = expected_collisions(calls, sessions, self.sessions, doubletons)
            return expected <= self._bearable

        begun = self.sessions >= 2 * self._first  # until then a call that is small teaches soonest
        smallest = min(self._smallest if begun else self._first, full)
        calls = next((k for k in range(self._streams, 1, -1) if bearable(k, smallest)), 1)
        if calls == 1:
            return Step(1, full if self._streams == 1 else smallest)
        return Step(calls, next((b for b in range(full, smallest, -1) if bearable(calls, b)), smallest))

    def _merged(self) -> dict[str, Counter[str]]:
        merged = {}
        for name, counts in self._counts.items():
            redirects = self._redirects.get(name, {})
            merged[name] = Counter[str]()
            for label, number in counts.items():
                merged[name][redirects.get(label, label)] += number
        return merged

    def _seen_exactly(self, times: int, merged: Mapping[str, Counter[str]], *, floor: int) -> int:
        """Labels of all fields together seen so many times; each field counts at least `floor`."""
        return sum(
            max(floor, sum(number == times for number in counts.values())) for counts in merged.values()
        )
