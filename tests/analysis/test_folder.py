"""RunFolder: files as a whole or not at all, and a status that knows whether anybody is at work."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from autoanalyze.analysis import folder as folders
from autoanalyze.analysis.folder import RunFolder, as_typed, new_path
from autoanalyze.errors import RunFolderError


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A folder of a run that was just begun."""
    return RunFolder.create(tmp_path / "runs" / "one")


def test_new_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    """Folders that are missing are made, and anybody can see that a run will come."""
    made = RunFolder.create(tmp_path / "some" / "where")
    assert made.read_json("progress.json") == {"status": "created"}
    assert made.journal == tmp_path / "some" / "where" / "calls.jsonl"


def test_folder_with_a_run_is_refused_untouched(folder: RunFolder) -> None:
    """A run is never written over, be it done or not; an empty folder of ours may be used."""
    RunFolder.create(folder.path)
    folder.write_json("run.json", {"status": "failed"})
    folder.write_json("progress.json", {"status": "failed"})
    with pytest.raises(RunFolderError, match="holds a run already"):
        RunFolder.create(folder.path)
    assert folder.read_json("progress.json") == {"status": "failed"}


def test_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """A path below a file is no folder; the message has reason and remedy."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match=r"cannot be written \(.+\): choose another folder"):
        RunFolder.create(tmp_path / "file" / "run")


@pytest.mark.parametrize("content", [None, "", "{", '{"a": ', "\udcff"], ids=repr)
def test_what_is_no_json_is_no_run(folder: RunFolder, content: str | None) -> None:
    """A missing or torn file is told by name, and never as a traceback of the parser."""
    if content is not None:
        (folder.path / "run.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(RunFolderError, match=r"not the folder of a run: run\.json"):
        folder.read_json("run.json")


def test_a_write_that_fails_leaves_the_file_as_it_was(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the content cannot be written, or the disk is full in the middle of it."""
    folder.write_json("run.json", {"status": "running"})
    folder.write_table("sessions", pl.DataFrame({"a": [1]}))
    with pytest.raises(TypeError):
        folder.write_json("run.json", {"status": object()})

    def half(path: Path, text: str, **_: Any) -> int:
        with path.open("w") as file:
            file.write(text[: len(text) // 2])
        raise OSError(28, "No space left on device")

    def torn(_frame: pl.DataFrame, path: Path) -> None:
        path.write_bytes(b"PAR1")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", half)
    monkeypatch.setattr(pl.DataFrame, "write_parquet", torn)
    with pytest.raises(OSError, match="No space"):
        folder.write_json("run.json", {"status": "done", "figures": list(range(100))})
    with pytest.raises(OSError, match="No space"):
        folder.write_table("sessions", pl.DataFrame({"a": [2]}))
    assert folder.read_json("run.json") == {"status": "running"}
    assert pl.read_parquet(folder.path / "sessions.parquet")["a"].to_list() == [1]


def test_readers_never_see_half_of_a_file(folder: RunFolder) -> None:
    """While one thread replaces a file again and again, every reading is one of the contents written."""
    contents = [{"status": "running", "rows": list(range(size))} for size in (1, 4000)]
    folder.write_json("progress.json", contents[0])
    over = threading.Event()

    def write() -> None:
        for number in range(60):
            folder.write_json("progress.json", contents[number % 2])
        over.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen: list[dict[str, Any]] = []
    while not over.is_set() or not seen:
        seen.append(folder.read_json("progress.json"))
    writer.join()
    assert all(content in contents for content in seen)
    assert [path.name for path in folder.path.iterdir() if path.suffix == ".draft"] == []


def test_json_is_readable_by_people(folder: RunFolder) -> None:
    """Indented, with letters of all languages as they are."""
    folder.write_json("run.json", {"label": "Rückfrage 請求"})
    text = (folder.path / "run.json").read_text(encoding="utf-8")
    assert text == '{\n  "label": "Rückfrage 請求"\n}\n'


@pytest.mark.parametrize("held", [True, False], ids=["held", "free"])
@pytest.mark.parametrize(
    "status", ["created", "running", "done", "failed", "stopped", "cancelled", "unknown"]
)
def test_status_knows_whether_anybody_works(folder: RunFolder, status: str, held: bool) -> None:
    """A run that claims to go on while nobody holds its folder is interrupted; an end is an end."""
    folder.write_json("progress.json", {"status": status} if status != "unknown" else {})
    with folder.locked() if held else nullcontext():
        found = RunFolder(folder.path).status()
    assert found == ("interrupted" if status in ("created", "running") and not held else status)


def test_only_one_may_work_at_a_time(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second worker is refused and told where to look; afterwards, also after a failure, it is free."""
    monkeypatch.setattr(folders, "LOCK_SECONDS", 0.02)
    other = RunFolder(folder.path)
    with folder.locked():
        assert other.busy
        with pytest.raises(RunFolderError, match="another process: see `autoanalyze status"), other.locked():
            raise AssertionError("two workers")
        assert other.busy, "whoever was refused freed nothing"
    assert not other.busy
    with pytest.raises(ZeroDivisionError), folder.locked():
        raise ZeroDivisionError
    assert not other.busy


def test_asking_for_the_status_does_not_disturb(folder: RunFolder) -> None:
    """Whoever looks holds the folder for a moment only: a worker can begin right after, or meanwhile."""
    folder.write_json("progress.json", {"status": "running"})
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            RunFolder(folder.path).status()

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(5):
            with folder.locked():
                pass
    finally:
        over.set()
        looking.join()


HOLD = """
import sys
from pathlib import Path
from autoanalyze.analysis.folder import RunFolder
folder = RunFolder(Path(sys.argv[1]))
with folder.locked():
    folder.write_json("progress.json", {"status": "running"})
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def worker(folder: RunFolder, repository: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that works on the run."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder.path)],
        cwd=repository,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_run_of_a_dead_worker_is_interrupted(folder: RunFolder, worker: subprocess.Popen[str]) -> None:
    """While the other process lives its run is running; killed without a word, it is interrupted, and the
    folder is free."""
    assert worker.stdout is not None
    assert worker.stdout.readline() == "held\n"
    assert (folder.status(), folder.busy) == ("running", True)
    worker.kill()
    worker.wait()
    assert (folder.status(), folder.busy) == ("interrupted", False)
    with folder.locked():
        assert folder.status() == "running"


def test_waiting_ends_when_the_folder_is_free(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked at again and again, for as long as somebody holds it; a free one is not waited for."""
    waits: list[float] = []
    holder = RunFolder(folder.path).locked()

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            holder.__exit__(None, None, None)

    monkeypatch.setattr("autoanalyze.analysis.folder.time.sleep", sleep)
    folder.wait_until_free()
    assert waits == []
    holder.__enter__()
    folder.wait_until_free()
    assert len(waits) == 3


def test_wish_to_stop_is_seen_by_everybody_until_withdrawn(folder: RunFolder) -> None:
    """It may be made and withdrawn twice, and stands in the folder, not in a process."""
    other = RunFolder(str(folder.path))
    assert not other.cancel_requested
    folder.request_cancel()
    folder.request_cancel()
    assert other.cancel_requested
    other.withdraw_cancel()
    other.withdraw_cancel()
    assert not folder.cancel_requested


def test_a_wish_to_stop_does_not_outlive_the_run_that_it_was_for(folder: RunFolder) -> None:
    """A run that was stopped before it had recorded anything leaves its folder to a new one."""
    folder.request_cancel()
    assert not RunFolder.create(folder.path).cancel_requested


def test_paths_are_shown_as_they_would_be_typed(tmp_path: Path) -> None:
    """Relative to the working folder if they lie there, else whole; a new one lies below outputs/."""
    assert as_typed(Path.cwd() / "outputs" / "a") == Path("outputs/a")
    assert as_typed(tmp_path / "a") == tmp_path / "a"
    assert new_path().parts[0] == "outputs"
    assert len(new_path().parts) == 3


def test_json_that_is_no_object_is_no_run(folder: RunFolder) -> None:
    """A list or a number in place of a record is refused like a torn file."""
    (folder.path / "progress.json").write_text(json.dumps(["running"]))
    with pytest.raises(RunFolderError):
        folder.status()
