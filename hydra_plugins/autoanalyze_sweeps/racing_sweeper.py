"""Sweeps that spend runs where they matter: settings that cannot win are given no more seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hydra_plugins.autoanalyze_sweeps.points_sweeper import Point, PointsSweeper

if TYPE_CHECKING:
    from autoanalyze.laboratory.frontier import Frontier
    from autoanalyze.laboratory.report import Report
    from autoanalyze.laboratory.sweep import Sweep

CONFIRMING_SEEDS_FROM = 1_001
"""Seeds that take no part in the race."""


class RacingSweeper(PointsSweeper):
    """A race over all points of a PointsSweeper without their seeds.

    `heats` are numbers of seeds: after each heat, settings that surely miss the target, or that another
    one beats in time and cost, drop out. The settings on the frontier are then run with `confirmation`
    seeds that took no part, since the best of many is partly the luckiest. `target` is what consistency
    and guard must hold at `confidence` (0.5 to 1).
    """

    def __init__(
        self,
        params: Mapping[str, str] | None = None,
        cases: Mapping[str, Sequence[str]] | None = None,
        quick: Mapping[str, str] | None = None,
        bundle: int = 1,
        heats: Sequence[int] = (5, 10, 20),
        confirmation: int = 20,
        target: float = 0.95,
        confidence: float = 0.95,
    ) -> None:
        super().__init__(params, cases, quick, bundle)
        self.heats, self.confirmation = sorted(heats), confirmation
        self.target, self.confidence = target, confidence

    def run(self, points: Sequence[Point], sweep: Sweep) -> Report:
        """Race, run the winners with fresh seeds, and report the frontier."""
        heats, confirmation = ([2, 3], 2) if self.config.quick else (self.heats, self.confirmation)
        alive, first = list(points), 1
        for last in heats:
            self.work(seeded(alive, first, last), sweep)
            frontier = self.frontier(sweep)
            alive = [point for point in alive if frontier.among(setting_of(point), frontier.alive)]
            first = last + 1
        winners = [point for point in points if frontier.among(setting_of(point), frontier.best)]
        fresh = (CONFIRMING_SEEDS_FROM, CONFIRMING_SEEDS_FROM + confirmation - 1)
        self.work(seeded(winners, *fresh), sweep)
        return self.frontier(sweep)

    def frontier(self, sweep: Sweep) -> Frontier:
        """How the race stands."""
        from autoanalyze.laboratory.frontier import Frontier

        return Frontier(
            sweep.config,
            sweep.outcomes,
            target=self.target,
            confidence=self.confidence,
            confirming_from=CONFIRMING_SEEDS_FROM,
        )


def seeded(points: Sequence[Point], first: int, last: int) -> list[Point]:
    """The points with each of some seeds."""
    return [(*point, f"seed={seed}") for point in points for seed in range(first, last + 1)]


def setting_of(point: Point) -> dict[str, str]:
    """The values of a point by key, as text."""
    return {key: value.strip("'") for key, _, value in (override.partition("=") for override in point)}
