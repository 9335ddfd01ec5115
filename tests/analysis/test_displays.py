"""What a terminal shows while a run goes on, from the first second, and what answers an interrupt."""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path

import pytest
from fakes import small_config
from rich.console import Console

from autoanalyze.analysis.build import build_analysis
from autoanalyze.analysis.configuration import restored
from autoanalyze.analysis.displays import STOPPING, ProgressBars, ProgressLines
from autoanalyze.analysis.folder import RunFolder
from autoanalyze.analysis.progress import Progress
from autoanalyze.analysis.sessions import TELL_EVERY
from autoanalyze.cli.commands import main
from autoanalyze.errors import BudgetExceededError, CancelledRunError
from autoanalyze.study.answer import answer
from autoanalyze.study.runs import load_run


@pytest.mark.parametrize("display", [ProgressBars, ProgressLines])
def test_labels_cost_and_what_is_left_are_shown(display: type[ProgressBars] | type[ProgressLines]) -> None:
    """In 80 columns, with the phase and its count; an interrupt is answered at once."""
    console = Console(width=80, force_terminal=display is ProgressBars, color_system=None)
    with console.capture() as captured, display.shown(console) as listener:
        listener(Progress("running", "preparing", 400, 3000))
        now = Progress("running", "parallel", 20, 60, 90, 20, 60, 3, 4, 12, 900, 0.0123, 5.0, 10.0)
        listener(now)
        listener.stopping()
    text = captured.get()
    for part in ("Preparing sessions", "Parallel streams", "12 labels found", "0.0123 USD", "left", STOPPING):
        assert part in text
    assert "about 10 s of it left" in now.figures()


def test_inventing_sessions_is_told_and_can_be_cancelled(tmp_path: Path) -> None:
    """From the first session on; what was cancelled before it began can be resumed all the same."""
    count = 3 * TELL_EVERY
    config = small_config(
        **{"data.population": str(count), "data.population_seed": "4711", "baseline": "none"}
    )
    folder, seen = RunFolder(tmp_path / "run"), list[Progress]()

    def cancel(progress: Progress) -> None:
        seen.append(progress)
        if progress.phase == "preparing" and progress.step == TELL_EVERY:
            folder.request_cancel()

    with pytest.raises(CancelledRunError, match=r"resume .*run"):
        build_analysis(config, listener=cancel).run_sync(folder.path)
    assert (seen[-1].step, seen[-1].steps, folder.status()) == (TELL_EVERY, count, "cancelled")
    config = restored(folder.read_json("run.json")["config"])
    run = build_analysis(config, progress=False).run_sync(folder.path, resume=True)
    assert run.record["sessions"]["labelled"] == 60


def test_cancelled_in_the_baseline_a_run_is_whole_but_for_it(tmp_path: Path) -> None:
    """It advises to resume the run itself, whose answer can be read meanwhile, marked as partial."""
    folder, told = RunFolder(tmp_path / "run"), list[bool]()

    def press(progress: Progress) -> None:
        if progress.phase == "baseline" and progress.step > 10:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    analysis = build_analysis(small_config(), listener=press)
    analysis.on_interrupt = lambda: told.append(True)
    with pytest.raises(CancelledRunError) as stopped:
        analysis.run_sync(folder.path)
    assert f"autoanalyze resume {folder.path}`" in str(stopped.value)
    assert told == [True]
    partial = load_run(folder.path, partial=True)
    assert answer(partial).labelled == 60
    assert set(partial.caveats) == {"simulated", "partial"}
    labels = partial.sessions
    run = build_analysis(small_config(), progress=False).run_sync(folder.path, resume=True)
    assert run.record["speedup"] > 1
    assert run.sessions.equals(labels)


@pytest.mark.parametrize("repeat", ["1", "3"])
def test_message_of_the_budget_names_the_folder(tmp_path: Path, repeat: str) -> None:
    """That of the run, also where a repetition of it was one too many."""
    folder = tmp_path / "poor"
    budget = "0.001" if repeat == "1" else "0.008"
    config = small_config(baseline="none", budget_usd=budget, repeat=repeat)
    with pytest.raises(BudgetExceededError) as stopped:
        build_analysis(config, progress=False).run_sync(folder)
    assert f"`autoanalyze resume {folder} budget_usd=...`" in str(stopped.value)
    assert f"resume {folder} budget" in json.loads((folder / "run.json").read_text())["error"]


HOURLY = ("run.json", "run.log", "report.html")
"""Files that say when the run was, or what its folder is called."""


def left_by(folder: Path) -> dict[str, object]:
    """What a run left, but for its wall-clock figures and the names that Hydra keeps."""
    kept = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".hydra" not in path.parts and path.name not in HOURLY
    }
    record = json.loads((folder / "run.json").read_text())
    return {**kept, "run.json": {key: record[key] for key in record if key not in ("wall", "id")}}


def test_no_display_changes_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A terminal, a pipe, no colour, forty columns: the same run leaves the same bytes."""
    monkeypatch.chdir(tmp_path)
    settings: dict[str, dict[str, str]] = {
        "pipe": {},
        "terminal": {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": "40"},
        "plain": {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"},
    }
    for name, environment in settings.items():
        for key in ("FORCE_COLOR", "NO_COLOR", "TERM", "COLUMNS"):
            monkeypatch.delenv(key, raising=False)
        for key, value in environment.items():
            monkeypatch.setenv(key, value)
        arguments = ["data.count=30", "baseline=none", "resamples=2", f"hydra.run.dir={name}"]
        monkeypatch.setattr(sys, "argv", ["autoanalyze", "run", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        shown = capsys.readouterr().out
        assert ("\x1b[" in shown) == (name == "terminal")
    assert left_by(Path("pipe")) == left_by(Path("terminal")) == left_by(Path("plain"))
