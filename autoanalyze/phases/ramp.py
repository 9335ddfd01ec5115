"""Adaptive discovery: how many sessions may be in flight, by what there seems to be left to find.

Instead of a serial phase of fixed size, the first calls are few and small, and the more is known
the more may go at once. What is left to find is estimated from what was seen once and twice
(Good 1953; Good & Toulmin 1956): of labels seen once, f1, comes the chance that the next session
brings something new, f1 / n; of those seen twice, f2, the chance that two calls meet the same
new concept and name it differently.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoanalyze.config import DiscoveryConfig
from autoanalyze.records import LabelSchema, SessionResult

__all__ = ["Ramp", "Step", "expected_collisions"]


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


@dataclass(frozen=True, slots=True)
class Step:
    """What may be in flight: so many calls, of so many sessions each."""

    calls: int
    sessions: int


class Ramp:
    """Grows from one small call to all streams with full calls, and is over then.

    It is over as well when the unseen share is at most `discovery.unseen`, once as many sessions were
    seen as such a share needs to show (its inverse).
    """

    def __init__(
        self, schema: LabelSchema, config: DiscoveryConfig, *, streams: int, smallest_call: int
    ) -> None:
        self._config = config
        self._streams = streams
        self._smallest = smallest_call
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
            enough = self.sessions >= 1 / self._config.unseen if self._config.unseen else False
            found_all = enough and self.unseen_share <= self._config.unseen
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
            return expected <= self._config.collisions

        smallest = min(self._smallest, full)
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
