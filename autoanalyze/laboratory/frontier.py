"""The frontier: the cheapest and the fastest settings that hold the target, and what lies between them.

The race says what is on it; what does not hold on fresh seeds as well falls off, and nothing takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import polars as pl
from matplotlib.figure import Figure
from rich.table import Table

from autoanalyze.config import ReportConfig
from autoanalyze.laboratory.chapter import Report
from autoanalyze.laboratory.points import EndedPoint
from autoanalyze.study.intervals import Estimate, estimate, shown
from autoanalyze.study.measures import MEASURES
from autoanalyze.study.panels import frontier, plain
from autoanalyze.study.racing import (
    HELD,
    Setting,
    Standing,
    frontier_of,
    simultaneous_confidence,
    standings,
    survivors,
)

MEASURED = ("model_seconds", "cost_per_1000", "consistency", "precision")


class Frontier(Report):
    """The report of a race. Runs with seeds from `confirming_from` on took no part in it: they only say what
    the frontier is worth. All of its settings have to hold there at once with the confidence (Bonferroni)."""

    def __init__(
        self,
        config: ReportConfig,
        ended: Sequence[EndedPoint],
        *,
        target: float,
        confidence: float,
        confirming_from: int,
    ) -> None:
        super().__init__(config, ended)
        self._target, self._confidence, self._confirming_from = target, confidence, confirming_from

    @cached_property
    def measured(self) -> pl.DataFrame:
        """All runs, of the first label field of the report, or the first there is."""
        results = self.shown_results
        return results if results.is_empty() else results.filter(pl.col("field") == results["field"][0])

    @cached_property
    def race(self) -> pl.DataFrame:
        """The runs that the race is decided by."""
        runs = self.measured
        return runs if runs.is_empty() else runs.filter(pl.col("seed") < self._confirming_from)

    @cached_property
    def standings(self) -> list[Standing]:
        """How all settings stand."""
        return [] if self.race.is_empty() else standings(self.race, self.rows, confidence=self._confidence)

    @cached_property
    def best(self) -> list[Standing]:
        """The frontier, from the cheapest to the fastest, among the settings that came to the last heat."""
        most = max((standing.seeds for standing in self.standings), default=0)
        return frontier_of([s for s in self.standings if 2 * s.seeds > most], target=self._target)

    @cached_property
    def fresh(self) -> dict[Setting, Standing]:
        """How those on the frontier stand with seeds that took no part, as far as they were run with them."""
        runs = self.measured
        if runs.is_empty():
            return {}
        runs = runs.filter(pl.col("seed") >= self._confirming_from)
        again = [part for standing in self.best if not (part := self.runs_of(standing, runs)).is_empty()]
        if not again:
            return {}
        each = simultaneous_confidence(self._confidence, len(self.best))
        return {s.setting: s for s in standings(pl.concat(again), self.rows, confidence=each)}

    @cached_property
    def kept(self) -> list[Standing]:
        """The frontier without what fell off; all of it as long as nothing was run with fresh seeds."""
        return [s for s in self.best if not self.fresh or self.holds_again(s)]

    def holds_again(self, standing: Standing) -> bool:
        """Whether a setting holds the target with fresh seeds too."""
        again = self.fresh.get(standing.setting)
        return again is not None and again.holds(self._target)

    @cached_property
    def alive(self) -> list[Standing]:
        """The settings that are worth more seeds."""
        return survivors(self.standings, target=self._target, confidence=self._confidence)

    def jobs_of(self, chosen: Sequence[Standing]) -> set[int]:
        """The jobs that worked on the points of some settings."""
        settings = {standing.setting for standing in chosen}
        own = {outcome.job: tuple(outcome.settings.get(row) for row in self.rows) for outcome in self._ended}
        return {job for job, setting in own.items() if setting in settings}

    def table(self, told: Callable[[Estimate, int], str] = shown) -> tuple[list[str], list[list[str]]]:
        """A row per setting, those on the frontier first, then by time."""
        names = [plain(row) or row for row in self.rows]
        titles = [MEASURES[measure].title for measure in MEASURED]
        headings = ["", *names, "seeds", *titles, "on fresh seeds"]
        order = [
            *self.kept,
            *(standing for standing in self.best if standing not in self.kept),
            *sorted((s for s in self.standings if s not in self.best), key=lambda s: s.mean_seconds),
        ]
        cells = []
        for standing in order:
            runs = self.runs_of(standing, self.race)
            means = [told(estimate(runs, m), MEASURES[m].digits) for m in MEASURED]
            values = ["-" if value is None else str(value) for value in standing.setting]
            cells.append(
                [self.verdict(standing), *values, str(standing.seeds), *means, self.confirmed(standing)]
            )
        return headings, cells

    def verdict(self, standing: Standing) -> str:
        """Where a setting stands, in a word or two."""
        if standing in self.kept:
            place = self.kept.index(standing) + 1
            ends = [*(["cheapest"] if place == 1 else []), *(["fastest"] if place == len(self.kept) else [])]
            return f"{place} {' and '.join(ends)}".strip()
        if standing in self.best:
            return "fell off" if standing.setting in self.fresh else "not confirmed"
        if standing.hopeless(self._target):
            return "misses the target"
        if not standing.holds(self._target):
            return "may miss it"
        return "holds it" if standing in self.alive else "beaten"

    def confirmed(self, standing: Standing) -> str:
        """What a setting surely holds on seeds that took no part in the race."""
        again = self.fresh.get(standing.setting)
        if again is None:
            return "-"
        lows = " and ".join(f"{again.low[measure]:.3f}" for measure in HELD)
        return f"{'holds' if again.holds(self._target) else 'may miss'}: at least {lows}"

    def runs_of(self, standing: Standing, frame: pl.DataFrame) -> pl.DataFrame:
        """The runs of one setting."""
        same = [pl.col(row).eq_missing(value) for row, value in zip(self.rows, standing.setting, strict=True)]
        return frame.filter(same)

    def shown(self, width: int) -> Table:
        """The table for a terminal."""
        table = super().shown(width)
        table.caption = self.conclusion()
        table.caption_justify = "left"
        return table

    def conclusion(self) -> str:
        """The answer in a sentence or two."""
        if not self.best:
            return (
                f"No setting holds consistency and precision >= {self._target} at {self._confidence:.0%} "
                "confidence: lower the target, or race others"
            )
        gone = [standing for standing in self.best if standing not in self.kept]
        told = [
            f"{name}: {self.named(standing)} ({standing.mean_seconds:.1f} s, {standing.mean_cost:.4f} USD "
            f"per 1,000 sessions; with fresh seeds it {self.confirmed(standing)})."
            for name, standing in zip(
                ("Cheapest", "Fastest"), (*self.kept[:1], *self.kept[-1:]), strict=False
            )
        ]
        if not self.kept:
            told.append("No setting that held in the race holds with fresh seeds too.")
        if gone:
            names = ", ".join(f"{self.named(s)} ({self.confirmed(s)})" for s in gone)
            told.append(f"Fell off, and nothing takes its place: {names}.")
        return " ".join(told)

    def named(self, standing: Standing) -> str:
        """A setting as it is typed."""
        pairs = zip(self.rows, standing.setting, strict=True)
        return " ".join(f"{row}={written(value)}" for row, value in pairs)

    def markdown(self) -> str:
        """The table as Markdown, with the answer below it."""
        return f"{super().markdown()}\n{self.conclusion()}\n"

    def figure(self) -> Figure | None:
        """Time against consistency, coloured by cost."""
        if self.race.is_empty():
            return None
        return frontier(
            self.race,
            rows=self.rows,
            best=[standing.setting for standing in self.kept],
            holding={
                s.setting
                for s in self.standings
                if s.holds(self._target) and (s in self.kept or s not in self.best)
            },
            target=self._target,
            title=self._config.question,
            note=self.measured_on(self.race),
        )


def written(value: Any) -> str:
    """A value as it is written on the command line."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
