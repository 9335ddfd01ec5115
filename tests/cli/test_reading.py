"""`autoanalyze runs` and `autoanalyze export` as a person types them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from rich.cells import cell_len
from run_folders import FIELD, write_run

from autoanalyze.cli.commands import main

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs a command in a terminal of 80 columns: its exit code, output and errors."""
    monkeypatch.setenv("COLUMNS", "80")

    def typed(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["autoanalyze", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return (int(ended.value.code or 0), *capsys.readouterr())

    return typed


@pytest.fixture
def sweep() -> Path:
    """Two runs of a sweep, the second newer, and one that has not finished."""
    write_run(Path("multirun/sweep/0"), wall={"started": "2026-05-01T10:00:00+00:00", "seconds": 2.0})
    settings = {"parallel": {"streams": 16}, "context": "[bold]shop[/bold] \x1b[31m"}
    newer = {"started": "2026-05-02T10:00:00+00:00", "seconds": 2.0}
    write_run(Path("multirun/sweep/1"), settings=settings, wall=newer, speedup=5.0, cost_usd=None, metrics={})
    write_run(Path("multirun/sweep/2"), status="running")
    return Path("multirun/sweep")


def fits(text: str) -> bool:
    """Whether no line is longer than the terminal is wide."""
    return all(cell_len(line) <= 80 for line in text.splitlines())


def test_runs_are_listed_newest_first(sweep: Path, command: Command) -> None:
    """Folder, start, model, what differs and the main figures fit; what is left out is said."""
    code, output, errors = command("runs")
    assert code == 0
    assert fits(output)
    lines = [line.strip() for line in output.splitlines()]
    assert lines[2].split() == ["multirun/sweep/1", "2", "-", "-", "5.00x", "-"]
    assert lines[3] == "2026-05-02 10:00  test-model*"
    assert "* simulated (2 of 2): a simulated model gave these labels" in " ".join(output.split())
    assert lines[4] == "parallel.streams=16"
    assert lines[5].startswith("context=[bold]shop[/bold]")
    assert "\x1b" not in output
    assert "multirun/sweep/0" in output.split("multirun/sweep/1")[1]
    assert "0.900  0.900   2.50x 0.0012" in output
    assert "left out multirun/sweep/2: the run has not finished" in " ".join(errors.split())


def test_long_names_are_shown_whole(command: Command) -> None:
    """A folder that is longer than the terminal is wide is wrapped, and nothing of it is lost."""
    name = "a" * 100
    write_run(Path("outputs") / name)
    output = command("runs")[1]
    assert fits(output)
    assert "".join(line.split()[0] for line in output.splitlines()[2:-4]) == f"outputs/{name}"


def test_two_runs_are_compared_with_their_difference(sweep: Path, command: Command) -> None:
    """A column per run below letters, settings that differ, and how far figures are apart."""
    code, output, _ = command("runs", "multirun/sweep/0", "multirun/sweep/1", "--compare")
    assert code == 0
    assert fits(output)
    lines = [line.split() for line in output.splitlines()]
    assert ["A", "multirun/sweep/0"] in lines
    assert ["parallel.streams", "8", "16", "-"] in lines
    assert ["speedup", "2.5", "5", "+2.5"] in lines
    assert ["consistency", "0.9", "-", "-"] in lines
    assert "bot" not in output


def test_many_runs_are_compared_in_blocks(command: Command) -> None:
    """As many runs stand beside each other as fit; each is in one block, without a difference."""
    for number in range(9):
        write_run(Path(f"multirun/{number}"), seed=number)
    output = command("runs", "multirun", "--compare")[1]
    assert fits(output)
    headings = [line.split() for line in output.splitlines() if line.split()[:1] in (["A"], ["E"], ["I"])]
    assert ["A", "B", "C", "D"] in headings
    assert headings[-1] == ["I"]
    assert " - " not in output


def test_one_run_cannot_be_compared(sweep: Path, command: Command) -> None:
    """Comparing takes two; a comparison and a query are two questions."""
    code, _, errors = command("runs", "multirun/sweep/0", "--compare")
    assert (code, "two runs or more" in errors) == (2, True)
    code, _, errors = command("runs", "--compare", "--sql", "SELECT 1")
    assert (code, "one of them" in errors) == (2, True)


def test_queries_are_answered_whole(sweep: Path, command: Command) -> None:
    """The answer is aligned text without anything cut off; control characters cannot reach the terminal."""
    query = "SELECT run, streams, repeat('x', 100) || chr(27) || chr(10) AS long, NULL AS none FROM runs"
    code, output, _ = command("runs", "--sql", f"{query} ORDER BY run")
    assert code == 0
    heading, *rows = [line.split() for line in output.splitlines()]
    assert heading == ["run", "streams", "long", "none"]
    assert rows[1] == ["multirun/sweep/1", "16", "x" * 100 + "\\x1b\\n"]
    code, _, errors = command("runs", "--sql", "SELECT nothing FROM sessions")
    assert (code, "sessions: run, session_id, status" in errors) == (2, True)


def test_tables_are_written_as_csv(sweep: Path, command: Command) -> None:
    """List, comparison and answer can be written; a file that exists is kept unless forced."""
    assert "2 rows written" in command("runs", "--csv", "list.csv")[1]
    assert pl.read_csv("list.csv")["run"].to_list() == ["multirun/sweep/1", "multirun/sweep/0"]
    output = command("runs", "--compare", "--csv", "-")[1]
    assert pl.read_csv(io.StringIO(output)).columns[2:] == [
        *map(str, sorted(sweep.glob("[01]"))),
        "difference",
    ]
    code, _, errors = command("runs", "--sql", "SELECT 1 AS one", "--csv", "list.csv")
    assert (code, "--force" in errors) == (2, True)
    command("runs", "--sql", "SELECT 1 AS one", "--csv", "list.csv", "--force")
    assert pl.read_csv("list.csv")["one"].to_list() == [1]


def test_nothing_found_is_no_failure(command: Command) -> None:
    """Without runs the list says so; a folder that does not exist is bad input."""
    code, output, errors = command("runs")
    assert (code, output) == (0, "")
    assert "outputs and multirun: not there" in errors
    code, _, errors = command("runs", "nowhere")
    assert (code, "nowhere" in errors) == (2, True)


def test_runs_are_exported(sweep: Path, command: Command) -> None:
    """A table goes to a file or to the output; a run without results is refused."""
    code, output, _ = command("export", "multirun/sweep/0")
    assert (code, output) == (0, "2 rows of sessions written to sessions-0.csv\n")
    assert pl.read_csv("sessions-0.csv").columns == ["session_id", "status", FIELD]
    output = command("export", "multirun/sweep/0", "--table", "labels", "--to", "-", "--format", "jsonl")[1]
    assert output == '{"field":"general_intent","label":"Claims"}\n'
    output = command("export", "multirun/sweep/0", "--to", "-", "--format", "excel")[1]
    assert output.startswith("\ufeff")
    for arguments in (("multirun/sweep/0",), ("multirun/sweep/2",), ("multirun/sweep/0", "--to", "x.xls")):
        assert command("export", *arguments)[0] == 2


def test_runs_that_stopped_are_exported_and_say_so(command: Command) -> None:
    """What is there is written; that it is simulated and not all stands beside the table, not in it."""
    write_run(Path("run"), status="cancelled")
    code, output, errors = command("export", "run", "--to", "sessions.csv")
    assert (code, "2 rows of sessions" in output) == (0, True)
    assert "partial: the run ended as cancelled" in errors
    assert "simulated: a simulated model" in errors
    assert pl.read_csv("sessions.csv")["session_id"].to_list() == ["a", "b"]
