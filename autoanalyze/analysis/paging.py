"""The page of a run: written after it, and whenever somebody asks for one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import polars as pl

from autoanalyze.analysis.configuration import restored
from autoanalyze.analysis.sessions import open_population, transcripts_of
from autoanalyze.errors import AutoAnalyzeError, RunFolderError
from autoanalyze.llm.tokens import Estimate
from autoanalyze.study.runs import Run, load_run

PAGE = "report.html"
Reader = Callable[[Sequence[str]], pl.DataFrame]
LOG = logging.getLogger(__name__)


def write_report(
    run: Run | Path | str,
    to: Path | str | None = None,
    *,
    transcripts: bool = True,
    mask: bool = False,
    reader: Reader | None = None,
) -> Path:
    """Write the page of a finished or stopped run, by default as report.html in its folder.

    It is one HTML file that needs nothing else; returns its path. Without `transcripts` it leaves out what
    was said, and the notes, which quote it. `mask` hides mail addresses and numbers of six or more digits in
    transcripts, notes and labels; session ids stay. `reader` gives the messages of some sessions as
    `transcripts(run, ids)` does, and is that by default; where they are not to be had any more, the page says
    so, and so does a warning. Raises RunFolderError for a folder without results, and InputError if the file
    cannot be written.
    """
    from autoanalyze.report.page import write_page

    run = with_sessions(run)
    to = run.path / PAGE if to is None else Path(to)
    if not transcripts:
        return write_page(run, to, None, notes=False, mask=mask)
    try:
        return write_page(run, to, reader or reader_of(run), mask=mask)
    except AutoAnalyzeError as error:
        written = write_page(run, to, None, mask=mask, absent="not to be had when this page was written")
        LOG.warning("the page of %s is without transcripts: %s", run.path, error)
        return written


def write_comparison(
    first: Run | Path | str, second: Run | Path | str, to: Path | str | None = None, *, mask: bool = False
) -> Path:
    """Write the page of what changed from one run to another, by default into the second one's folder."""
    from autoanalyze.report.page import write_comparison as write

    before, after = with_sessions(first), with_sessions(second)
    name = f"report-against-{before.path.resolve().name}.html"
    return write(before, after, after.path / name if to is None else Path(to), mask=mask)


def with_sessions(run: Run | Path | str) -> Run:
    """A finished or stopped run, if it has sessions to tell of. Raises RunFolderError."""
    found = run if isinstance(run, Run) else load_run(run, partial=True)
    if not (found.path / "sessions.parquet").exists():
        raise RunFolderError(f"{found.path} has no sessions to report of: give the folder of an analysis")
    return found


def reader_of(run: Run) -> Reader:
    """Reads transcripts from where a run's sessions came from. Raises ConfigurationError if that is gone."""
    config = restored(run.record["config"])
    return partial(transcripts_of, open_population(config, Estimate()).store, config.data.bot_id)


def leave_page(folder: Path, reader: Reader | None = None) -> None:
    """Write the page of a run that has just ended, or was edited. It never fails the run: what went wrong is
    logged.

    An older page, which would tell of less, is gone in any case; a run that has no tables yet gets none.
    """
    (folder / PAGE).unlink(missing_ok=True)
    if not (folder / "sessions.parquet").exists():
        return
    try:
        write_report(folder, reader=reader)
    except Exception:  # a page is an extra
        LOG.warning("%s was not written", folder / PAGE, exc_info=True)
