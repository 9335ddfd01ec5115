"""Why sessions have no label, said once per reason; and what is done about it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from fakes import small_config
from run_folders import FIELD

from autoanalyze.analysis.build import build_analysis
from autoanalyze.cli.commands import main
from autoanalyze.config import Config
from autoanalyze.errors import NothingLabelledError, NoVerdictError, RunFolderError
from autoanalyze.laboratory.replay import replay
from autoanalyze.simulation.judging import Judging
from autoanalyze.study.runs import load_run

FAULTY = {"faults.rate": "0.8", "faults.kinds": "[missing_key]", "retry.attempts": "0", "baseline": "none"}
DEAF = {"faults.rate": "1", "faults.kinds": "[empty]"}


def once_more(config: Config) -> Config:
    """As `autoanalyze resume RUN --unresolved` makes it, at an endpoint that got well."""
    retry = replace(config.retry, unresolved=config.retry.unresolved + 1)
    return replace(config, retry=retry, faults=replace(config.faults, rate=0.0))


def test_run_without_a_label_fails_with_its_reasons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1, the reason on the screen, and a folder that says failed; then it can be mended."""
    folder, config = tmp_path / "run", small_config(**{**FAULTY, **DEAF})
    settings = ["data.count=60", *(f"{key}={value}" for key, value in {**FAULTY, **DEAF}.items())]
    monkeypatch.setattr("sys.argv", ["autoanalyze", *settings, f"hydra.run.dir={folder}"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    told = capsys.readouterr().err
    assert "not one of 60 sessions was labelled: 60 x " in told
    assert "--unresolved" in told
    assert json.loads((folder / "run.json").read_text())["status"] == "failed"
    with pytest.raises(NothingLabelledError):
        build_analysis(config).run_sync(tmp_path / "again")
    mended = build_analysis(once_more(config)).run_sync(tmp_path / "again", resume=True)
    assert mended.record["sessions"]["labelled"] > 50


def test_unresolved_sessions_of_a_finished_run_are_asked_for_again(tmp_path: Path) -> None:
    """What has a label keeps it and is not asked for again; the rest is, and a replay does the same."""
    folder, config = tmp_path / "run", small_config(**FAULTY)
    before = build_analysis(config).run_sync(folder)
    unresolved = before.record["sessions"]["unresolved"]
    assert unresolved >= 5
    named = before.sessions.filter(pl.col("status") == "labelled").select("session_id", f"{FIELD}_first")
    calls, mended = len(before.calls), once_more(config)
    after = build_analysis(mended).run_sync(folder, resume=True)
    assert after.record["sessions"]["unresolved"] < unresolved
    again = after.calls.filter(pl.col("phase") == "again")
    assert max(again["sessions"].to_list()) <= 5
    judged = after.calls.filter(pl.col("phase") == "resolution")
    assert len(after.calls) <= calls + len(again) + len(judged)
    now = after.sessions.select("session_id", f"{FIELD}_first")
    assert named.join(now, on=["session_id", f"{FIELD}_first"]).height == named.height
    (replayed,) = replay(folder)
    assert replayed.record["paid"]["calls"] == 0
    assert set(replayed.differing) <= {"model_seconds", "efficiency", "calls", "tokens", "cost_usd"}
    with pytest.raises(RunFolderError, match="is done"):
        build_analysis(mended).run_sync(folder, resume=True)


def test_summary_tells_reasons_and_resume_asks_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Through the command line: the reasons, the command, and fewer unresolved after it."""
    folder = tmp_path / "run"
    settings = ["data.count=60", *(f"{key}={value}" for key, value in FAULTY.items())]

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["autoanalyze", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said: Any = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    code, output, _ = run("run", *settings, f"hydra.run.dir={folder}")
    before = load_run(folder).record["sessions"]["unresolved"]
    assert code == 0
    assert f"{before} x missing" in output
    assert "--unresolved` asks for them again" in " ".join(output.split())
    assert run("resume", str(folder), "--unresolved")[0] == 0
    assert load_run(folder).record["sessions"]["unresolved"] < before
    code, _, errors = run("resume", str(folder))
    assert code == 2
    assert "nothing to resume" in errors


def test_nothing_to_ask_again_is_said(tmp_path: Path) -> None:
    """A run whose sessions all have labels is left alone."""
    folder = tmp_path / "run"
    config = small_config(baseline="none")
    assert build_analysis(config).run_sync(folder).record["sessions"]["unresolved"] == 0
    with pytest.raises(RunFolderError, match="every session"):
        build_analysis(once_more(config)).run_sync(folder, resume=True)


def test_labels_that_nobody_could_judge_stop_a_run_that_can_be_resumed(tmp_path: Path) -> None:
    """Such a run is not done: it says what helps, and resumed, it asks the judge anew, and ends as if nothing
    had happened; the labels first given are the same (with one look: further ones depend on merges)."""
    folder = tmp_path / "run"
    config = small_config(baseline="none", passes="1", **{"resolution.mode": "llm"})
    calm = build_analysis(config).run_sync(tmp_path / "calm")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Judging, "groups", lambda *_: json.dumps({"groups": [[1, 999]]}))
        with pytest.raises(
            NoVerdictError, match=r"general_intent.*as first given.*resume .*asks the judge again"
        ):
            build_analysis(config).run_sync(folder)
        record = json.loads((folder / "run.json").read_text())
        assert record["status"] == "stopped"
        assert record["resolution"]["unjudged"]["general_intent"] > 1
        first = load_run(folder, partial=True).sessions["general_intent_first"]
    resumed = build_analysis(config).run_sync(folder, resume=True)
    assert resumed.record["status"] == "done"
    assert resumed.record["resolution"]["unjudged"] == {}
    assert resumed.record["config"]["retry"]["unjudged"] == 1
    assert resumed.sessions["general_intent_first"].equals(first)
    assert resumed.record["labels"].keys() == calm.record["labels"].keys()
    (replayed,) = replay(folder)
    assert replayed.record["paid"]["calls"] == 0
    assert "merges" not in replayed.differing
