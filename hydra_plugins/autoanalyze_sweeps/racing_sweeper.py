"""Sweeps that spend runs where they matter: settings that cannot win are given no more seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hydra_plugins.autoanalyze_sweeps.points_sweeper import Point, PointsSweeper, without_seed

if TYPE_CHECKING:
    from autoanalyze.laboratory.chapter import Report
    from autoanalyze.laboratory.frontier import Frontier
    from autoanalyze.laboratory.sweep import Sweep
    from autoanalyze.study.racing import Standing

CONFIRMING_SEEDS_FROM = 1_001
"""Seeds that take no part in the race."""


class RacingSweeper(PointsSweeper):
    """A race over all points of a PointsSweeper without their seeds.

    `heats` are numbers of seeds: after each heat, settings that surely miss the target, or that another
    one beats in time and cost, drop out. All on the frontier are then run with `confirmation` seeds that
    took no part, since the best of many is partly the luckiest; what fails there falls off. `target` is
    what consistency and precision must hold at `confidence` (0.5 to 1).
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

    def most_runs(self, points: Sequence[Point]) -> int:
        """As many as if no setting dropped out, and all were on the frontier."""
        return len(points) * (self.heats[-1] + self.confirmation)

    def run(self, points: Sequence[Point], sweep: Sweep) -> Report:
        """Race, run the frontier with fresh seeds, and report the frontier."""
        heats, confirmation = ([2, 3], 2) if self.config.quick else (self.heats, self.confirmation)
        # The race chooses the seeds, whatever the command line says of `seed`.
        alive, first = list(dict.fromkeys(map(without_seed, points))), 1
        for last in heats:
            self.work(seeded(alive, first, last), sweep)
            frontier = self.frontier(sweep)
            alive = self.those(alive, frontier.alive, frontier)
            first = last + 1
        fresh = (CONFIRMING_SEEDS_FROM, CONFIRMING_SEEDS_FROM + confirmation - 1)
        self.work(seeded(self.those(alive, frontier.best, frontier), *fresh), sweep)
        return self.frontier(sweep)

    def those(self, points: Sequence[Point], chosen: Sequence[Standing], frontier: Frontier) -> list[Point]:
        """The points whose setting is among some."""
        jobs = frontier.jobs_of(chosen)
        wanted = {self.points_of_jobs[job] for job in jobs}
        return [point for point in points if point in wanted]

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
