"""What a sweep found: its results as a table of runs, as means with intervals, and as a figure."""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import polars as pl
from matplotlib.figure import Figure
from rich.table import Table

from autoanalyze.analysis.configuration import code_digest
from autoanalyze.analysis.record import PACKAGES, git_state
from autoanalyze.config import ReportConfig
from autoanalyze.laboratory.points import EndedPoint
from autoanalyze.laboratory.sameness import came_to_the_same
from autoanalyze.study.intervals import (
    Estimate,
    against_baseline,
    estimate,
    shown,
    shown_briefly,
    tells_apart,
    with_speedups,
)
from autoanalyze.study.measures import MEASURES
from autoanalyze.study.panels import curves, plain, rungs

BLOCK = re.compile(r"(<!-- results -->\n).*?(<!-- /results -->)", re.DOTALL)
"""The part of a README in the lab book that is written anew with every result."""

WORST = "worst"
"""Stands among a report's fields for the one that is worst in each setting."""

WIDTH_PER_COLUMN = 13
"""Characters that a mean with half its interval takes, and some."""


class Report:
    """The results of those points of a sweep that are done."""

    def __init__(self, config: ReportConfig, ended: Sequence[EndedPoint]) -> None:
        self._config = config
        self._ended = [outcome for outcome in ended if outcome.status != "failed"]
        self._failed = len(ended) - len(self._ended)

    @cached_property
    def settings(self) -> list[str]:
        """The settings that points were given, but for the seed."""
        names = dict.fromkeys(key for outcome in self._ended for key in outcome.settings)
        return [name for name in names if name != "seed"]

    @cached_property
    def results(self) -> pl.DataFrame:
        """A row per run and label field: settings, seed, field, and every measure."""
        # A point that was asked for twice is one run.
        distinct = {outcome.folder: outcome for outcome in self._ended}.values()
        rows = [{**outcome.settings, **row} for outcome in distinct for row in outcome.rows]
        frame = pl.DataFrame(rows, infer_schema_length=None)
        if frame.is_empty():
            return frame
        if self._config.baseline is not None:
            frame = against_baseline(frame, self._config.baseline, self._config.paired_by, self.settings)
        return sped_up(frame, self.settings, self._config.paired_by)

    @cached_property
    def rows(self) -> list[str]:
        """The settings that tell rows of the table apart: those of the report, and what else was swept."""
        rows = list(self._config.rows)
        for setting in self.settings:
            if setting not in rows and tells_apart(self.results, rows, setting):
                rows.append(setting)
        return rows

    @cached_property
    def measures(self) -> list[str]:
        """The measures of the table that these runs have."""
        return [m for m in self._config.measures if m in self.results.columns and self.known(m)]

    def known(self, measure: str) -> bool:
        """Whether any run has a value for a measure."""
        return self.results[measure].null_count() < len(self.results)

    @cached_property
    def of_worst(self) -> bool:
        """Whether each setting is told by its worst field."""
        return list(self._config.fields) == [WORST] and "f1" in self.results.columns and self.known("f1")

    @cached_property
    def shown_results(self) -> pl.DataFrame:
        """The results of the label fields that the report names, or of each setting's worst; all if there are
        none of these."""
        if self.results.is_empty():
            return self.results
        if self.of_worst:
            return worst_fields(self.results, self.rows)
        chosen = self.results.filter(pl.col("field").is_in(self._config.fields))
        return self.results if chosen.is_empty() else chosen

    def table(self, written: Callable[[Estimate, int], str] = shown) -> tuple[list[str], list[list[str]]]:
        """Headings and cells: means over seeds with their 95 % intervals, as `written` writes them."""
        frame = self.shown_results
        several = self.of_worst or frame["field"].n_unique() > 1
        by = [*self.rows, *(["field"] if several else [])]
        named = [plain(key) or key for key in by]
        if self.of_worst:
            named[-1] = "worst field"
        headings = [*named, "seeds", *(MEASURES[m].title for m in self.measures)]
        cells = []
        for values, group in frame.group_by(by, maintain_order=True) if by else [((), frame)]:
            told = ["-" if value is None else str(value) for value in values]
            means = [written(estimate(group, m), MEASURES[m].digits) for m in self.measures]
            cells.append([*told, str(group["seed"].n_unique()), *means])
        return headings, cells

    def markdown(self) -> str:
        """The table as Markdown, with what came to the same."""
        headings, cells = self.table()
        lines = [headings, ["---"] * len(headings), *cells]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
        return table + "".join(f"\n{note}.\n" for note in self.same)

    @cached_property
    def same(self) -> list[str]:
        """Which settings came to the same runs, and why, as far as that is known; each once, wherever."""
        return list(dict.fromkeys(came_to_the_same(self._ended)))

    def shown(self, width: int) -> Table:
        """The table for a terminal of so many columns: where they suffice, with half of each interval."""
        wide = width >= WIDTH_PER_COLUMN * (len(self.rows) + len(self.measures) + 1)
        headings, cells = self.table(shown_briefly if wide else mean_only)
        note = "± half a 95 % interval" if wide else "means; table.md has the 95 % intervals"
        note = f"simulated; {note}" if self.simulated else note
        title = f"\n{self._config.question or 'All points'} ({note})"
        table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
        for number, heading in enumerate(headings):
            table.add_column(
                heading,
                justify="left" if number < len(self.rows) else "right",
                overflow="fold",
            )
        for line in cells:
            table.add_row(*line)
        table.caption, table.caption_justify = "\n".join(self.same) or None, "left"
        return table

    def figure(self) -> Figure | None:
        """The measures over the settings; null where there is nothing to tell apart."""
        config, frame = self._config, self.shown_results
        across, lines = config.across, config.lines
        if lines is None and frame["field"].n_unique() > 1 and not self.of_worst:
            lines = "field"
        if "field" not in (across, lines) and not self.of_worst:
            frame = frame.filter(pl.col("field").eq_missing(frame["field"][0]))
        if config.baseline is not None and "case" not in (across, lines, self.rows[0] if self.rows else None):
            # Its runs stand for no value of the settings that are drawn: they are what 1 means.
            frame = frame.filter(pl.col("case") != config.baseline)
        if lines is not None and config.drawn:
            frame = frame.filter(pl.col(lines).cast(pl.String).is_in(config.drawn))
        measures = [measure for measure in config.figure or config.measures if measure in self.measures]
        told = {"title": self.headline, "note": self.measured_on(frame)}
        if across is not None and frame[across].dtype.is_numeric() and not frame[across].null_count():
            return curves(frame, measures, across=across, lines=lines, logarithmic=config.logarithmic, **told)
        rows = across or next((key for key in self.rows if key != lines), None)
        if rows is None or not measures:
            return None
        return rungs(frame, measures, rows=rows, lines=lines, **told)

    @property
    def headline(self) -> str:
        """What one sees in the figure: the title of the chapter it is for, or else the question."""
        chapter = Path(self._config.into or "", "README.md")
        if self._config.into is None or not chapter.exists():
            return self._config.question
        return chapter.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")

    @property
    def simulated(self) -> bool:
        """Whether no figure comes from a live model."""
        return all((outcome.endpoint or "").startswith("simulated") for outcome in self._ended)

    def measured_on(self, frame: pl.DataFrame) -> str:
        """What the runs of a figure were measured on, in a line."""
        models = sorted({outcome.model for outcome in self._ended if outcome.model})
        named = ", ".join(models) if len(models) <= 3 else f"{len(models)} models"
        fields = ", ".join(str(name).replace("_", " ") for name in frame["field"].unique(maintain_order=True))
        if self.of_worst:
            fields = "worst field of each setting"
        seeds = frame["seed"].n_unique()
        return (
            f"{fields}; {'simulated ' if self.simulated else ''}{named}; {seeds} seeds; means with 95 % "
            "intervals"
        )

    def write(self, into: Path, *, seconds: float) -> None:
        """Write results.parquet, table.md, figure.png, provenance.json, and the table of a README."""
        into.mkdir(parents=True, exist_ok=True)
        self.results.write_parquet(into / "results.parquet")
        (into / "table.md").write_text(self.markdown(), encoding="utf-8")
        figure = self.figure()
        if figure is not None:
            # Without the version of matplotlib, the same results give the same bytes.
            figure.savefig(into / "figure.png", metadata={"Software": None})
            plt.close(figure)
        told = self.provenance(seconds)
        (into / "provenance.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
        self.fill_readme(into / "README.md", told)

    def provenance(self, seconds: float) -> dict[str, Any]:
        """Where the results come from."""
        kept = sum(outcome.status == "kept" for outcome in self._ended)
        return {
            "question": self._config.question,
            # The first word is `autoanalyze run`, as Hydra was told.
            "command": f"{sys.argv[0]} {shlex.join(sys.argv[1:])}",
            "measured": datetime.now(UTC).isoformat(timespec="seconds"),
            "git": git_state(),
            "code": code_digest(),
            "runs": len(self._ended),
            "runs_kept": kept,
            "runs_failed": self._failed,
            "seconds": round(seconds, 1),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "packages": {name: version(name) for name in PACKAGES},
        }

    def fill_readme(self, path: Path, told: dict[str, Any]) -> None:
        """Put the newest table between the marks of a README, if there is one that has them."""
        if not path.exists():
            return
        git = told["git"] or {}
        commit = f"{git.get('commit') or 'unknown'}"[:10] + (" and changes" if git.get("dirty") else "")
        kept = f", {told['runs_kept']:,} of them there already" if told["runs_kept"] else ""
        kept += f", **{told['runs_failed']:,} more failed**" if told["runs_failed"] else ""
        means = "Simulated; means" if self.simulated else "Means"
        block = (
            f"`{told['command']}`: {told['runs']:,} runs in {told['seconds'] / 60:.1f} min on "
            f"{told['cores']} cores{kept}, commit {commit}. {means} over seeds with 95 % intervals "
            "(Student's t, for shares within 0 and 1); a row per run and label field is in "
            "[results.parquet](results.parquet).\n\n"
            f"{self.markdown()}\n![{self.headline}](figure.png)\n"
        )
        text = path.read_text(encoding="utf-8")
        path.write_text(BLOCK.sub(lambda found: f"{found[1]}{block}{found[2]}", text), encoding="utf-8")


def sped_up(results: pl.DataFrame, settings: Sequence[str], paired_by: Sequence[str]) -> pl.DataFrame:
    """`results` with their speedups over one stream and over the best sequence, if there are such runs.

    Sequential runs are those with `sync=sequential`, runs with one stream all others whose
    `parallel.streams` is 1. The former are paired by what the report pairs by, and by all settings in which
    they differ but for the size of their calls; the latter by all settings but the number of streams.
    """
    sync = pl.col("sync") if "sync" in results.columns else pl.lit(None, pl.String)
    sequential = sync.eq_missing(pl.lit("sequential"))
    one = pl.col("parallel.streams") == 1 if "parallel.streams" in settings else pl.lit(value=False)
    one_stream = one & ~sequential
    nested = any(results[name].dtype.is_nested() for name in settings)
    if nested or results.filter(sequential | one_stream).is_empty():
        return results
    by, calls = [name for name in paired_by if name in results.columns], results.filter(sequential)
    for name in settings:
        if name not in (*by, "case", "sync", "parallel.streams", "batch_size") and tells_apart(
            calls, [*by, "seed", "field"], name
        ):
            by.append(name)
    same = [name for name in settings if name != "parallel.streams"]
    return with_speedups(results, one_stream=one_stream, sequential=sequential, by=by, same=same)


def worst_fields(results: pl.DataFrame, rows: Sequence[str]) -> pl.DataFrame:
    """Of each setting the rows of the field whose mean F1 is least; ties go to the first by name."""
    means = results.group_by([*rows, "field"]).agg(pl.col("f1").mean().alias("_mean"))
    worst = means.sort("_mean", "field", nulls_last=True)
    worst = worst.unique(rows, keep="first", maintain_order=True) if rows else worst.head(1)
    return results.join(
        worst.select(*rows, "field"),
        on=[*rows, "field"],
        how="semi",
        nulls_equal=True,
        maintain_order="left",
    )


def mean_only(estimate: Estimate, digits: int) -> str:
    """An estimate without its interval."""
    return shown(Estimate(estimate.value), digits)
