"""README and guide are true: their commands run, their files exist, their output is what comes out."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from test_local_servers import served, vllm

from autoanalyze.cli.commands import main
from hydra_plugins.autoanalyze_sweeps import dask_launcher

ROOT = Path(__file__).resolve().parent.parent
README, GUIDE = (
    path.read_text(encoding="utf-8") for path in (ROOT / "README.md", ROOT / "notebooks" / "README.md")
)
MOST_WORDS = 1300
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README + GUIDE, re.DOTALL)
COMMANDS = [line for kind, block in BLOCKS if kind == "bash" for line in block.splitlines()]
ANALYSES = [
    line for line in dict.fromkeys(COMMANDS) if line.startswith(("autoanalyze run ", "autoanalyze frontier"))
]
ELSEWHERE = ("data=store", "tcp://", "vocabulary.from", "schema=")
#: What makes the commands of a newcomer small enough for a test.
SMALL = {
    "--cfg": (),
    "experiment=": ("quick=true", "seed=1", "data.count=40", "resamples=10", "hydra/launcher=basic"),
    " -m ": ("data.count=40", "seed=1", "baseline=none", "resamples=10"),
    "frontier": (
        *("quick=true", "data.count=40", "case=default", "batch_size=10", "resamples=10"),
        "hydra/launcher=basic",
    ),
    "": ("data.count=40", "discovery.min_sessions=10", "baseline=none", "resamples=10", "page=false"),
}


def test_first_two_commands_are_those_of_ci() -> None:
    """CI installs and tests as a newcomer does."""
    install, test = COMMANDS[:2]
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for part in install.replace("-q ", "--quiet ").replace("-r ", "--requirement ").split(" && "):
        assert part.replace("-e .", "--editable .") in ci, part
    assert test in ci


@pytest.mark.slow
def test_first_output_is_what_comes_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the README shows of the first run is what it prints, but for the hour."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    assert run("autoanalyze", monkeypatch) == 0
    printed = {line.rstrip() for line in capsys.readouterr().out.splitlines()}
    told = next(block for kind, block in BLOCKS if kind == "text").splitlines()
    assert {line for line in told if line != "..." and "outputs/" not in line} <= printed


def test_readme_is_short() -> None:
    """Everything else stands where one needs it."""
    assert len(README.split()) <= MOST_WORDS


def test_linked_files_exist() -> None:
    """No link leads nowhere."""
    for folder, text in ((ROOT, README), (ROOT / "notebooks", GUIDE)):
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
            assert (folder / target).exists(), target


def test_the_map_names_every_file() -> None:
    """Whoever looks for a module of the package finds it on the map."""
    package = ROOT / "autoanalyze"
    told = (package / "README.md").read_text(encoding="utf-8")
    modules = {path.stem for path in package.rglob("*.py") if not path.stem.startswith("__")}
    assert [name for name in sorted(modules) if f"`{name}`" not in told] == []


@pytest.fixture
def sessions_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """chats.csv as the README's reader might have it, in the folder where commands run."""
    monkeypatch.chdir(tmp_path)
    rows = ["conversation_id,role,text,true_general_intent"]
    for number in range(60):
        kind = ("Billing Question", "Password Reset", "Order Status")[number % 3]
        rows += [f"c{number},customer,hello {number} my {kind.lower()},{kind}", f"c{number},bot,sure,{kind}"]
    path = tmp_path / "chats.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def run(line: str, monkeypatch: pytest.MonkeyPatch, *extra: str) -> int:
    """Exit code of a command line of the README."""
    monkeypatch.setattr("sys.argv", [*shlex.split(line), *extra])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_import_command_works(sessions_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The import of the README takes a file in, and the analysis after it finds the sessions."""
    look, line = [line for line in COMMANDS if line.startswith("autoanalyze import chats.csv")]
    assert run(look, monkeypatch) == 0
    assert run(line, monkeypatch) == 0
    analysis = next(line for line in ANALYSES if "data=store" in line and "endpoint" not in line)
    assert run(analysis, monkeypatch, "discovery.min_sessions=10", "baseline=none") == 0
    (record,) = Path.cwd().glob("outputs/*/*/run.json")
    assert json.loads(record.read_text())["sessions"]["labelled"] == 60


def test_sixty_tickets_become_a_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Import, run and report, as they stand in the README, with column names of somebody's own."""
    monkeypatch.chdir(tmp_path)
    kinds = ("I was charged twice", "I cannot log in", "Where is my order")
    rows = [f"T-{n},{kinds[n % 3]} and my number is 0151 2345678{n}" for n in range(60)]
    (tmp_path / "tickets.csv").write_text("Ticket No,Question\n" + "\n".join(rows) + "\n")
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    bring, label, report = [line for line in COMMANDS if "tickets" in line and "localhost" not in line][:3]
    assert run(bring, monkeypatch) == 0
    with served(vllm()) as url:
        there = label.replace("endpoint=openai", f"endpoint={url}").replace(
            "model=gpt-6-luna", "model=generic"
        )
        assert (
            run(there, monkeypatch, "model.name=qwen3-8b", "token_counter=estimate", "embeddings=offline")
            == 0
        )
    page = tmp_path / "outputs" / "tickets" / "report.html"
    assert page.exists()
    page.unlink()
    assert run(report, monkeypatch) == 0
    assert "Card Lost" in page.read_text(encoding="utf-8")


def test_a_first_answer_takes_one_command(sessions_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a file to a page, with nothing but its words."""
    (line,) = [line for line in COMMANDS if line.startswith("autoanalyze try")]
    assert run(line, monkeypatch) == 0
    assert "draft" in (sessions_file.parent / "chats.autoanalyze/run-1/report.html").read_text().lower()


@pytest.mark.slow
def test_names_are_edited_as_the_readme_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two weeks are compared, labels renamed, merged and restored, exported, and carried on."""
    monkeypatch.chdir(tmp_path)
    for week, seed in (("week1", 7), ("week2", 8)):
        line = f"autoanalyze run baseline=none resamples=10 seed={seed} hydra.run.dir=outputs/{week}"
        assert run(line, monkeypatch) == 0
    for line in [line for line in COMMANDS if "week1" in line]:
        few = ("data.count=40", "baseline=none") if "vocabulary.from" in line else ()
        assert run(line, monkeypatch, *few) == 0, line
    assert (tmp_path / "labels.xlsx").exists()


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for line in ANALYSES if not any(e in line for e in ELSEWHERE)])
def test_simulated_commands_work(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every other analysis, sweep and experiment of README and guide runs, on few sessions."""
    monkeypatch.chdir(tmp_path)
    small = next(extra for mark, extra in SMALL.items() if mark in line)
    assert run(line, monkeypatch, *small) == 0


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for line in ANALYSES if "tcp://" in line])
def test_cluster_commands_say_that_nobody_answers(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Commands for a cluster are valid up to the connection; tests/laboratory/test_dask.py has a real one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dask_launcher, "CONNECT_SECONDS", 1)
    there = line.replace("tcp://scheduler:8786", "tcp://127.0.0.1:9")
    assert run(there, monkeypatch) == 2
    assert "no Dask scheduler answers there" in capsys.readouterr().err


@pytest.mark.parametrize("line", [line for line in ANALYSES if "endpoint=" in line])
def test_live_commands_compose(line: str) -> None:
    """Commands against real endpoints are valid, up to the request."""
    from autoanalyze.analysis.configuration import compose

    config = compose(shlex.split(line)[2:])
    assert config.endpoint != "simulated"
    assert config.model.price_prompt is not None


CONSOLE = [
    line[2:]
    for kind, block in BLOCKS
    if kind == "console"
    for line in block.splitlines()
    if line.startswith("$ ")
]


def shown(command: str) -> str:
    """What is shown under a command."""
    text = next(block for kind, block in BLOCKS if kind == "console" and f"$ {command}" in block)
    return str(text.partition(f"$ {command}\n")[2].partition("\n\n$ ")[0])


@pytest.mark.slow
def test_section_on_trouble_is_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The plan, the run that is over its budget and the resumed one say what the guide shows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    plan, poor, resumed = CONSOLE[:3]
    assert run(plan, monkeypatch) == 0
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == shown(plan).splitlines()
    assert run(poor, monkeypatch) == 3
    assert capsys.readouterr().err.strip() in shown(poor)
    assert run(resumed, monkeypatch) == 0
    output = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert set(shown(resumed).splitlines()[1:]) <= set(output)


@pytest.mark.slow
def test_section_on_merges_is_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run, the list for review, an undone merge and the accepted list say what the guide shows; and
    the next run carries on from there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    first, *others = [line for line in CONSOLE if "week1" in line]
    assert run(first, monkeypatch) == 0
    capsys.readouterr()
    for line in others:
        assert run(line, monkeypatch) == 0
        assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == shown(line).splitlines()
    (carrying,) = re.findall(r"`(autoanalyze run vocabulary\.from=[^`]+)`", GUIDE)
    assert run(carrying, monkeypatch, "data.count=40", "baseline=none") == 0


@pytest.mark.slow
def test_section_on_reading_results_is_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sweep, the list of its runs and the answer to a query say what the guide shows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for line in [line for line in CONSOLE if "multirun/two" in line]:
        assert run(line, monkeypatch) == 0
        output = [text.rstrip() for text in capsys.readouterr().out.splitlines()]
        told = [text for text in shown(line).splitlines() if text != "..."]
        assert set(told) - {text for text in told if "2026-" in text} <= set(output)
    (asking,) = [line for line in COMMANDS if line.startswith("autoanalyze runs")]
    assert run(asking, monkeypatch) == 0
    assert "8               1.0" in capsys.readouterr().out


def test_other_commands_on_trouble_exist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Status, cancel and verify of the README are commands; without the run they say so."""
    monkeypatch.chdir(tmp_path)
    for line in [line for line in CONSOLE[4:] if "week1" not in line and "multirun/two" not in line]:
        assert run(line, monkeypatch) in (1, 2)
