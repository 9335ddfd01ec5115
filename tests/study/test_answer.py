"""What a run says: labels with shares, and how sessions ended."""

from __future__ import annotations

import polars as pl
import pytest
from fakes import small_config

from autoanalyze.analysis.build import build_analysis
from autoanalyze.study.answer import Answer, answer, most_frequent_reasons
from autoanalyze.study.runs import CODEBOOK_SCHEMA, Run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A small finished run with some sessions that stay without a label."""
    faults = {"faults.rate": "0.8", "faults.kinds": "[missing_key]", "retry.attempts": "0"}
    config = small_config(baseline="none", page="false", **faults)
    return build_analysis(config, progress=False).run_sync(tmp_path_factory.mktemp("run") / "run")


@pytest.fixture(scope="module")
def found(run: Run) -> Answer:
    """What it says."""
    return answer(run)


def test_every_session_is_counted_once(run: Run, found: Answer) -> None:
    """With a label, without one, or unresolved; shares add up to one."""
    assert 0 < found.labelled < found.sampled == len(run.sessions)
    assert sum(count for _, count in found.reasons) == found.sampled - found.labelled
    for field in found.fields:
        assert field.sessions + field.without == found.labelled
        assert field.labels["sessions"].sum() == field.sessions
        assert field.labels["share"].sum() == pytest.approx(1)
        assert field.labels["sessions"].is_sorted(descending=True)


def test_intervals_hold_their_shares(found: Answer) -> None:
    """Also where all or none are contained."""
    for field in found.fields:
        for share, low, high in (
            ("share", "low", "high"),
            ("contained", "contained_low", "contained_high"),
        ):
            for row in field.labels.iter_rows(named=True):
                assert 0 <= row[low] <= row[share] <= row[high] <= 1


def test_names_that_became_another_are_counted(run: Run, found: Answer) -> None:
    """One for each label that the run first gave and then merged."""
    aliases = run.labels.filter(run.labels["label"] != run.labels["canonical"])
    assert sum(field.labels["merged"].sum() for field in found.fields) == len(aliases) > 0


def test_simulated_figures_say_so(found: Answer) -> None:
    """They stand nowhere without it."""
    assert list(found.caveats) == ["simulated"]


def test_reasons_that_differ_in_names_are_one() -> None:
    """Ids, numbers and names do not make another reason; null is none."""
    errors = ["missing from 's12'", None, "busy", "missing from 's7'", "call req-8f3a9c21 failed", "busy"]
    assert most_frequent_reasons([*errors, "busy"]) == [
        ("busy", 3),
        ("missing from 's12'", 2),
        ("call req-8f3a9c21 failed", 1),
    ]


def test_themes_stand_above_labels_whatever_these_are_called_now(run: Run, found: Answer) -> None:
    """Each session counts in one theme; labels without one come last; without any theme there is no table."""
    field = found.fields[0]
    assert field.themes.is_empty()
    first, second = field.labels["label"][:2]
    copy = Run(run.path, run.record)
    theme = {"place": None, "under": None, "line": None, "theme": "Above"}
    rows = [{"field": field.name, "label": label, **theme} for label in (first, second)]
    renamed = run.labels.with_columns(pl.col("canonical").replace(first, second))
    sessions = run.sessions.with_columns(pl.col(field.name).replace(first, second))
    vars(copy).update(codebook=pl.DataFrame(rows, CODEBOOK_SCHEMA), labels=renamed, sessions=sessions)
    themes = answer(copy).fields[0].themes
    assert themes["theme"].to_list() == ["Above", None]
    assert themes["labels"].to_list()[0] == [second]
    assert themes["sessions"].sum() == field.sessions
