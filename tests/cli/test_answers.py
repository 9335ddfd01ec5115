"""What a run ends with: its answer in 80 columns, whoever wrote the labels, and in a notebook."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
from fakes import small_config
from rich.console import Console

from autoanalyze.analysis.build import build_analysis
from autoanalyze.cli.answers import places, summary
from autoanalyze.study.runs import Run, load_run

HOSTILE = "[bold]<script>alert(1)</script>\x1b[31m " + "very long name " * 10
FIELD = "general_intent"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A small finished run."""
    config = small_config(baseline="none", page="false", resamples="10")
    return build_analysis(config, progress=False).run_sync(tmp_path_factory.mktemp("run") / "run")


@pytest.fixture
def changed(run: Run, tmp_path: Path) -> Run:
    """The same without known truth, stopped, with a page, and with a label that means harm."""
    folder = tmp_path / "changed"
    shutil.copytree(run.path, folder)
    record = {**run.record, "metrics": {}, "status": "stopped", "endpoint": "https://api.example.org/v1"}
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
    (folder / "report.html").touch()
    first = run.sessions[FIELD].drop_nulls().mode()[0]
    renamed = pl.col(FIELD).replace({first: HOSTILE})
    run.sessions.with_columns(renamed).write_parquet(folder / "sessions.parquet")
    return load_run(folder, partial=True)


def shown(run: Run) -> str:
    """What a terminal of 80 columns shows."""
    console = Console(width=80, force_terminal=False)
    with console.capture() as captured:
        console.print(summary(run))
        console.print(places(run), soft_wrap=True)
    return captured.get()


def test_labels_stand_before_scores_and_scores_before_cost(run: Run) -> None:
    """A caveat at the head and beside the scores; every field has its labels with shares and intervals."""
    text = shown(run)
    assert text.startswith("SIMULATED: ")
    order = [
        "general intent: ",
        "transfer reason: ",
        "stayed with the bot",
        "scores against known truth (sim",
    ]
    places = [text.index(part) for part in (*order, "model time", "cost", "run folder: ")]
    assert places == sorted(places)
    counts = run.sessions[FIELD].drop_nulls().value_counts(sort=True)
    assert f"{counts[0, FIELD]} " in text
    assert f"{counts[0, 'count'] / counts['count'].sum():.1%}".replace("%", " %") in text
    assert "names were merged into" in text
    assert max(map(len, text.replace(str(run.path), "").splitlines())) <= 80


def test_without_truth_there_are_no_scores_and_no_word_on_them(changed: Run) -> None:
    """A run that stopped says so first, and the path of its page is the last thing it says."""
    text = shown(changed)
    assert text.startswith("PARTIAL: ")
    for word in ("scored", "scores", "consistency", "SIMULATED"):
        assert word not in text
    assert text.rstrip().endswith(f"report: {changed.path / 'report.html'}")


def test_strangers_text_is_text(changed: Run) -> None:
    """A label is folded instead of cut, its brackets are no markup, its control characters are escapes."""
    text = shown(changed)
    assert "\x1b" not in text
    assert "[bold]<script>" in text
    assert "\\x1b[31m" in text
    assert "very" in text
    assert text.count("very") == 10
    assert max(map(len, text.replace(str(changed.path), "").splitlines())) <= 80
    page = changed._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_notebook_says_the_same(run: Run) -> None:
    """The table of a run has the labels, the shares and the caveats of the terminal, and its figures."""
    page = run._repr_html_()
    text = shown(run)
    for part in (
        "SIMULATED: ",
        "stayed with the bot",
        "names were merged into",
        "scores (simulated)",
        "cost",
    ):
        assert part in page
    counts = run.sessions[FIELD].drop_nulls().value_counts(sort=True)
    for label in counts[FIELD].head(5):
        assert (label in page) == (label in text)
    assert page.index("95 % interval") < page.index("scores (simulated)")
