"""The command line, as a person or a script uses it: real processes, real exit codes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx2
import polars as pl
import pytest

from autoanalyze.cli.commands import main
from autoanalyze.study.runs import load_run

pytestmark = pytest.mark.slow  # whole runs and commands

QUICK = ("data.count=60", "discovery.min_sessions=10", "resamples=10")


def command(*arguments: str, folder: Path, environment: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Exit code, output and errors of `autoanalyze ARGUMENTS` run in a folder."""
    done = subprocess.run(
        [sys.executable, "-m", "autoanalyze", *arguments],
        cwd=folder,
        env={**os.environ, "COLUMNS": "100", **(environment or {})},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


def only_run(folder: Path) -> Path:
    """The one run folder that a command made."""
    (record,) = folder.glob("outputs/*/*/run.json")
    return record.parent


@pytest.mark.slow
def test_default_command_runs_and_reports(tmp_path: Path) -> None:
    """Without a subcommand an analysis runs: a bar per phase, the figures, and where the folder lies."""
    code, output, errors = command(*QUICK, folder=tmp_path)
    assert code == 0, errors
    for text in ("Parallel streams", "Conflict resolution", "Sequential baseline"):
        assert text in output
    for text in (
        "consistency",
        "precision",
        "macro",
        "model time",
        "speedup",
        "calls",
        "cost",
        "60 / 0",
        "simulated",
    ):
        assert text in output
    folder = only_run(tmp_path)
    assert str(folder.relative_to(tmp_path)) in output
    assert {path.name for path in folder.iterdir()} >= {
        ".hydra",
        "run.json",
        "run.log",
        "calls.jsonl",
        "progress.json",
    }
    assert load_run(folder).record["status"] == "done"


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (["parallel.stream=3"], {}, "did you mean parallel.streams"),
        (["model=gpt-4o-mni"], {}, "gpt-4o-mini"),
        (["parallel.streams=0"], {}, "1 to 256"),
        (["run"], {"PARALLEL_STREAM_COUNT": "many"}, "PARALLEL_STREAM_COUNT"),
        (["model=generic"], {}, "model.name"),
        (["model=generic", "model.name=x"], {}, "model.price_prompt"),
        (["data=store"], {}, "data.path"),
        (["data=store", "data.path=none.duckdb"], {}, "autoanalyze import"),
        (["endpoint=openai"], {}, "OPENAI_API_KEY"),
        (["hydra.run.dir=/proc/nowhere", *QUICK], {}, "hydra.run.dir"),
        (["data.start=yesterday"], {}, "2026-05-01T12:00"),
        (
            ["endpoint=http://127.0.0.1:9/v1", "confirm_above_usd=0", "token_counter=estimate", *QUICK],
            {},
            "Give --yes",
        ),
        (["resume", "nowhere"], {}, "not the folder of a run"),
        (["status", "nowhere"], {}, "not the folder of a run"),
        (["verify", "nowhere"], {}, "not the folder of a run"),
        (["faults.kinds=[gremlins]"], {}, "not_json"),
        (["data.start=2031-01-01"], {}, "data.start"),
        (["data.where=nonsense > 3"], {}, "data.where"),
        (["limits.tier=gold"], {}, "tier5"),
        (["import", "none.csv", "--into", "s.duckdb"], {}, "no such file"),
        (["import", "empty.csv", "--into", "s.duckdb"], {}, "empty"),
        (["import", "columns.csv", "--into", "s.duckdb"], {}, "--map"),
        (["import", "latin.csv", "--into", "s.duckdb"], {}, "UTF-8"),
        (["import", "columns.csv", "--into", "s.duckdb", "--map", "oops"], {}, "theirs=ours"),
    ],
)
def test_bad_input_is_one_message_with_its_remedy(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: Sequence[str],
    environment: dict[str, str],
    message: str,
) -> None:
    """Exit code 2, a short error that says what to do, and no traceback."""
    (tmp_path / "empty.csv").touch()
    (tmp_path / "columns.csv").write_text("a,b\n1,2\n")
    (tmp_path / "latin.csv").write_bytes("session_id,role,text\n1,user,caf\xe9\n".encode("latin-1"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["autoanalyze", *arguments])
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        main()
    errors = capsys.readouterr().err
    assert ended.value.code == 2, errors
    assert message in errors
    assert len(errors) < 1000


@pytest.fixture
def typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """The same as `command` in the folder of the test, without a process of its own."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["autoanalyze", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return (int(ended.value.code or 0), *capsys.readouterr())

    return run


def test_imported_sessions_are_analysed(tmp_path: Path, typed: Callable[..., tuple[int, str, str]]) -> None:
    """A file with known labels goes in, bad rows are reported, and a run labels the good ones."""
    rows = []
    for number in range(40):
        kind = ("billing question", "password reset")[number % 2]
        texts = [("user", f"hello {number} about my {kind}"), ("assistant", "sure")]
        rows += [(f"s{number}", role, text, kind) for role, text in texts]
    rows.append(("bad", "nobody", "x", "billing question"))
    frame = pl.DataFrame(rows, schema=["conversation", "role", "text", "true_intent"], orient="row")
    frame.write_csv(tmp_path / "mine.csv")
    into = ("import", "mine.csv", "--into", "mine.duckdb", "--map", "conversation=session_id")
    code, output, errors = typed(*into)
    assert code == 0, errors
    assert "40 sessions added" in output
    assert "mine.csv:82" in output
    assert "40 already there" in typed(*into)[1]
    settings = ("data=store", "data.path=mine.duckdb", "discovery.min_sessions=5", "resamples=10")
    code, output, errors = typed("run", *settings)
    assert code == 0, errors
    run = load_run(only_run(tmp_path))
    assert run.record["sessions"]["labelled"] == 40
    assert run.record["metrics"]["general_intent"]["consistency"]["value"] > 0.8


def test_sessions_without_truth_cannot_be_simulated(
    tmp_path: Path, typed: Callable[..., tuple[int, str, str]]
) -> None:
    """The simulated model needs planted truth; the message names the ways out."""
    lines = [
        json.dumps(
            {
                "session_id": f"s{i}",
                "messages": [{"role": "user", "text": "hi"}, {"role": "bot", "text": "yo"}],
            }
        )
        for i in range(5)
    ]
    (tmp_path / "plain.jsonl").write_text("\n".join(lines))
    assert typed("import", "plain.jsonl", "--into", "plain.duckdb")[0] == 0
    code, _, errors = typed("run", "data=store", "data.path=plain.duckdb")
    assert code == 2
    assert "endpoint=openai" in errors


def test_help_lists_the_commands(tmp_path: Path) -> None:
    """`--help` names what there is, brackets and all."""
    code, output, _ = command("--help", folder=tmp_path)
    assert code == 0
    for text in ("run", "import", "serve", "[key=value ...]"):
        assert text in output


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """`autoanalyze serve` on a free port, answering at once."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    fast = (
        "noise.first_token_seconds=0.001",
        "noise.tokens_per_second=1e6",
        "noise.prompt_tokens_per_second=1e9",
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "autoanalyze", "serve", "--port", str(port), "data.count=60", *fast],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}/v1"
    try:
        for _ in range(300):
            try:
                httpx2.get(f"{url}/models")
                break
            except httpx2.ConnectError:
                assert process.poll() is None, "the server ended"
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.slow
def test_live_run_differs_only_in_where_requests_go(tmp_path: Path, server: str) -> None:
    """Against a URL the same run happens in real time, over a socket, without a baseline nobody asked for."""
    code, output, errors = command(
        "run",
        f"endpoint={server}",
        *QUICK,
        "token_counter=estimate",
        folder=tmp_path,
        environment={"OPENAI_API_KEY": "sk-secret-live"},
    )
    assert code == 0, errors
    run = load_run(only_run(tmp_path))
    assert run.record["sessions"]["labelled"] == 60
    assert run.record["endpoint"] == server
    assert run.record["baseline"] is None
    assert run.record["metrics"]["general_intent"]["consistency"]["value"] > 0.8
    everything = b"".join(path.read_bytes() for path in run.path.rglob("*") if path.is_file())
    assert b"sk-secret-live" not in everything + output.encode() + errors.encode()


@pytest.mark.slow
def test_embeddings_that_fail_are_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run goes on with offline embeddings, and its summary and its record say so."""
    folder = tmp_path / "run"
    settings = ["data.count=80", "baseline=none", "resolution.shown_together=0", "resamples=10"]
    faults = ["faults.rate=1", "faults.kinds=[embedding_missing]"]
    monkeypatch.setattr("sys.argv", ["autoanalyze", "run", *settings, *faults, f"hydra.run.dir={folder}"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    shown = " ".join(capsys.readouterr().out.split())
    assert "warning: the endpoint's embeddings cannot be used" in shown
    assert "embeddings=offline" in json.loads((folder / "run.json").read_text())["resolution"]["errors"][0]
