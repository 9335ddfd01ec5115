"""The frontier: the cheapest and the fastest settings that hold the target, and what lies between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import polars as pl
from matplotlib.figure import Figure
from rich.table import Table

from autoanalyze.laboratory.points import Outcome
from autoanalyze.laboratory.report import Report
from autoanalyze.report_config import ReportConfig
from autoanalyze.study.intervals import Estimate, shown
from autoanalyze.study.measures import MEASURES
from autoanalyze.study.paired import estimate
from autoanalyze.study.panels import frontier, plain
from autoanalyze.study.racing import Standing, frontier_of, standings, survivors

__all__ = ["Frontier"]

MEASURED = ("model_seconds", "cost_per_1000", "consistency", "precision")


class Frontier(Report):
    """The report of a race. Runs with seeds from `confirming_from` on took no part in it: they only say what
    the winners are worth."""

    def __init__(
        self,
        config: ReportConfig,
        ended: Sequence[Outcome],
        *,
        target: float,
        confidence: float,
        confirming_from: int,
    ) -> None:
        super().__init__(config, ended)
        self._target, self._confidence, self._confirming_from = target, confidence, confirming_from

    @cached_property
    def race(self) -> pl.DataFrame:
        """The runs that the race is decided by."""
        return self.shown_results.filter(pl.col("seed") < self._confirming_from)

    @cached_property
    def field(self) -> list[Standing]:
        """How all settings stand."""
        return standings(self.race, self.rows, confidence=self._confidence)

    @cached_property
    def best(self) -> list[Standing]:
        """The frontier, from the cheapest to the fastest, among the settings that were given all seeds."""
        most = max(standing.seeds for standing in self.field)
        return frontier_of([s for s in self.field if s.seeds == most], target=self._target)

    @cached_property
    def alive(self) -> list[Standing]:
        """The settings that are worth more seeds."""
        return survivors(self.field, target=self._target, confidence=self._confidence)

    def among(self, settings: Mapping[str, str], chosen: Sequence[Standing]) -> bool:
        """Whether the setting of a point, its values written as on the command line, is among some."""
        own = tuple(settings[row] for row in self.rows)
        return own in {tuple(written(value) for value in standing.setting) for standing in chosen}

    def table(self, told: Callable[[Estimate, int], str] = shown) -> tuple[list[str], list[list[str]]]:
        """A row per setting, those on the frontier first, then by time."""
        names = [plain(row) or row for row in self.rows]
        titles = [MEASURES[measure].title for measure in MEASURED]
        headings = ["", *names, "seeds", *titles, "on fresh seeds"]
        order = [
            *self.best,
            *sorted((s for s in self.field if s not in self.best), key=lambda s: s.mean_seconds),
        ]
        cells = []
        for standing in order:
            runs = self.runs_of(standing, self.race)
            means = [told(estimate(runs, m), MEASURES[m].digits) for m in MEASURED]
            values = ["-" if value is None else str(value) for value in standing.setting]
            cells.append(
                [self.verdict(standing), *values, str(standing.seeds), *means, self.confirmed(standing, told)]
            )
        return headings, cells

    def verdict(self, standing: Standing) -> str:
        """Where a setting stands, in a word or two."""
        if standing in self.best:
            place = self.best.index(standing) + 1
            ends = [*(["cheapest"] if place == 1 else []), *(["fastest"] if place == len(self.best) else [])]
            return f"{place} {' and '.join(ends)}".strip()
        if standing.hopeless(self._target):
            return "misses the target"
        if not standing.holds(self._target):
            return "may miss it"
        return "holds it" if standing in self.alive else "beaten"

    def confirmed(self, standing: Standing, told: Callable[[Estimate, int], str]) -> str:
        """Consistency and guard of a setting on seeds that took no part in the race."""
        fresh = self.shown_results.filter(pl.col("seed") >= self._confirming_from)
        runs = self.runs_of(standing, fresh)
        if runs.is_empty():
            return "-"
        return " / ".join(told(estimate(runs, measure), 3) for measure in ("consistency", "precision"))

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
                f"No setting holds consistency and guard >= {self._target} at {self._confidence:.0%} "
                "confidence: lower the target, or race others"
            )
        cheapest, fastest = self.best[0], self.best[-1]
        return (
            f"Cheapest that holds {self._target}: {self.named(cheapest)} ({cheapest.mean_cost:.4f} USD per "
            f"1,000 sessions, {cheapest.mean_seconds:.1f} s). Fastest: {self.named(fastest)} "
            f"({fastest.mean_seconds:.1f} s, {fastest.mean_cost:.4f} USD)."
        )

    def named(self, standing: Standing) -> str:
        """A setting as it is typed."""
        pairs = zip(self.rows, standing.setting, strict=True)
        return " ".join(f"{row}={written(value)}" for row, value in pairs)

    def markdown(self) -> str:
        """The table as Markdown, with the answer below it."""
        return f"{super().markdown()}\n{self.conclusion()}\n"

    def figure(self) -> Figure:
        """Time against consistency, coloured by cost."""
        best = [standing.setting for standing in self.best]
        told = {"title": self._config.question, "note": self.measured_on()}
        return frontier(self.race, rows=self.rows, best=best, **told)


def written(value: Any) -> str:
    """A value as it is written on the command line."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
