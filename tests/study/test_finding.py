"""Finding run folders: which are runs, which are left out, and what is said of those."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from run_folders import write_run

from autoanalyze.errors import RunFolderError
from autoanalyze.study.collection import runs


@pytest.fixture
def two() -> Path:
    """Two runs below `outputs`."""
    write_run(Path("outputs/2026-05-01/first"))
    write_run(Path("outputs/2026-05-02/second"))
    return Path("outputs")


def names(*paths: str | Path) -> list[str]:
    return [str(run.path) for run in runs(*paths)]


def test_runs_are_found_in_the_order_of_their_numbers() -> None:
    """Folders, patterns and single runs are looked through; each run is there once, 10 after 9."""
    for number in (10, 9, 0):
        write_run(Path(f"multirun/a/{number}"))
    write_run(Path("outputs/b"))
    everything = ["multirun/a/0", "multirun/a/9", "multirun/a/10", "outputs/b"]
    assert names() == everything
    assert names("outputs", "multirun") == everything
    assert names("outputs", "multirun/a/9", "multirun/**", Path.cwd() / "outputs") == everything
    assert names("multirun/a/*/run.json") == everything[:3]
    assert names(Path.cwd() / "outputs") == [str(Path.cwd() / "outputs/b")]


def test_what_is_inside_a_run_belongs_to_it() -> None:
    """Baseline and repetitions are no runs of their own, unless one is asked for by its folder."""
    write_run(Path("outputs/run"))
    write_run(Path("outputs/run/baseline"))
    write_run(Path("outputs/run/repeat-2"))
    assert names("outputs") == names("outputs/**") == names("outputs/run") == ["outputs/run"]
    assert names("outputs/run/baseline") == ["outputs/run/baseline"]


def test_a_run_directly_in_outputs_hides_no_other() -> None:
    """As `hydra.run.dir=outputs` leaves one, finished or not; its parts stay its own."""
    write_run(Path("outputs"))
    write_run(Path("outputs/repeat-2"))
    write_run(Path("outputs/2026-05-01/run"))
    write_run(Path("outputs/2026-05-01/run/baseline"))
    assert names() == names("outputs/**", "outputs") == ["outputs", "outputs/2026-05-01/run"]
    write_run(Path("outputs"), status="cancelled")
    assert names() == ["outputs/2026-05-01/run"]


def test_names_may_hold_any_character() -> None:
    """Quotes, commas, blanks and the signs of patterns in a path are read as they stand."""
    odd = 'it\'s "odd", [x]*?{b} %20 é'
    write_run(Path(odd) / "[1]")
    assert names(odd) == [f"{odd}/[1]"]
    found = runs(odd)
    assert found.sql("SELECT DISTINCT run FROM sessions")["run"].to_list() == [f"{odd}/[1]"]
    assert found.frame("sessions")["run"].unique().to_list() == [f"{odd}/[1]"]
    assert found[f"{odd}/[1]"].sessions.height == 2


@pytest.mark.parametrize("status", ["running", "stopped", "failed", "cancelled"])
def test_unfinished_runs_are_left_out(status: str) -> None:
    """Only what is done is read; the note says how it stands, and how to see more."""
    write_run(Path("outputs/done"))
    write_run(Path("outputs/other"), status=status)
    found = runs("outputs")
    assert [str(run.path) for run in found] == ["outputs/done"]
    (skipped,) = found.skipped
    assert skipped.path == "outputs/other"
    assert f"status is {status}" in skipped.reason
    assert "outputs/other" in repr(found)
    assert "autoanalyze status" in found._repr_html_()


def test_run_that_has_only_begun_is_left_out() -> None:
    """Before its record there is its progress; a progress.json of others says nothing."""
    for folder, status in (("new", "created"), ("foreign", "42 %")):
        Path("outputs", folder).mkdir(parents=True)
        Path("outputs", folder, "progress.json").write_text(json.dumps({"status": status}))
    (skipped,) = runs("outputs").skipped
    assert (skipped.path, "created" in skipped.reason) == ("outputs/new", True)


def test_foreign_records_are_left_out_and_looked_behind() -> None:
    """A run.json of another program is noted, and does not hide the runs below it."""
    write_run(Path("outputs/run"))
    for text in ('{"status": "ok"}', "[1]", '{"status": "done"}'):
        Path("outputs/run.json").write_text(text)
        found = runs("outputs")
        assert len(found) == 1
        assert "not one of autoanalyze's" in found.skipped[0].reason


@pytest.mark.parametrize("name", ["sessions.parquet", "calls.jsonl", "rounds.parquet"])
def test_runs_that_lack_a_file_are_left_out(two: Path, name: str) -> None:
    """The note names the file; the other runs are read."""
    (two / "2026-05-01/first" / name).unlink()
    found = runs(two)
    assert [str(run.path) for run in found] == ["outputs/2026-05-02/second"]
    assert f"lacks {name}" in found.skipped[0].reason


def test_damaged_files_are_left_out(two: Path) -> None:
    """A table that was cut off, an empty one and a record that is no JSON are noted."""
    third = write_run(two / "third")
    for path in ("2026-05-01/first/labels.parquet", "2026-05-02/second/merges.parquet"):
        content = (two / path).read_bytes()
        (two / path).write_bytes(content[: len(content) // 2] if "first" in path else b"")
    (third / "run.json").write_text("{")
    write_run(third / "baseline")
    found = runs(two)
    assert len(found) == 0
    reasons = [skipped.reason for skipped in found.skipped]
    assert reasons == [
        "labels.parquet is damaged",
        "merges.parquet is damaged",
        "its run.json cannot be read as JSON",
    ]


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="root may read everything")
def test_folders_that_may_not_be_read_are_left_out(two: Path) -> None:
    """A locked folder is noted."""
    (two / "2026-05-01").chmod(0)
    try:
        found = runs(two)
    finally:
        (two / "2026-05-01").chmod(0o755)
    assert (len(found), "cannot be read" in found.skipped[0].reason) == (1, True)


def test_paths_that_do_not_exist_are_refused() -> None:
    """A missing folder, a pattern that fits nothing, and a file are errors that say where was looked."""
    Path("a file.txt").touch()
    for path, reason in (
        ("nowhere", "no folder nowhere"),
        ("no*", "nothing matches"),
        ("a file.txt", "a file"),
    ):
        with pytest.raises(RunFolderError, match=reason):
            runs(path)


def test_links_in_a_circle_end(two: Path) -> None:
    """A link to a folder above is not followed for ever, and no run is there twice."""
    (two / "again").symlink_to(two.absolute(), target_is_directory=True)
    assert len(runs(two)) == 2
