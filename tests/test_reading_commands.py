"""`autoanalyze runs` and `autoanalyze export` as a person types them."""

from __future__ import annotations

import io
from pathlib import Path

import polars as pl
import pytest
from rich.cells import cell_len
from run_folders import FIELD, write_run

from autoanalyze.cli import main


@pytest.fixture
def runs() -> list[str]:
    """Two runs of a sweep, the second newer, and one that has not finished."""
    write_run(Path("multirun/sweep/0"), wall={"started": "2026-05-01T10:00:00+00:00", "seconds": 2.0})
    settings = {"parallel": {"streams": 16}, "context": "[bold]shop[/bold] \x1b[31m"}
    write_run(Path("multirun/sweep/1"), settings=settings, speedup=5.0, cost_usd=None, metrics={})
    write_run(Path("multirun/sweep/2"), status="running")
    return ["multirun/sweep/0", "multirun/sweep/1"]


def typed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> tuple[int, str, str]:
    """Exit code, output and errors of a command."""
    monkeypatch.setattr("sys.argv", ["autoanalyze", *arguments])
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        main()
    return (int(ended.value.code or 0), *capsys.readouterr())


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Runs a command: its exit code, output and errors."""
    return lambda *arguments: typed(capsys, monkeypatch, *arguments)
