"""The page as a file: whole, the same for the same run, and closed to what strangers wrote."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from fakes import small_config
from pages import HOSTILE, said, transcripts_of, written_run

from autoanalyze.analysis.build import build_analysis
from autoanalyze.analysis.paging import write_report
from autoanalyze.cli.commands import main
from autoanalyze.errors import CancelledRunError, ImportDataError, InputError, RunFolderError
from autoanalyze.report.bundle import BLOCK
from autoanalyze.report.page import write_page
from autoanalyze.study.runs import CODEBOOK_SCHEMA, Run, load_run


class Tags(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def unpacked(text: str, name: str) -> Any:
    """What is packed into an element of the page."""
    found = re.search(f'<script type="text/plain" id="{name}">([A-Za-z0-9+/=]*)</script>', text)
    assert found is not None
    return json.loads(gzip.decompress(base64.b64decode(found[1])))


@pytest.fixture
def hostile(tmp_path: Path) -> Run:
    """A run of which every text wants to be markup: labels, ids, merges, reasons, its folder."""
    labels = [label for label in HOSTILE for _ in range(3)]
    folder = tmp_path / "<script>alert(1)<" / "script>"
    return written_run(
        folder,
        labels,
        merges=[(HOSTILE[1], HOSTILE[0])],
        ids="{}" + HOSTILE[1],
        errors=HOSTILE,
        model=HOSTILE[0],
    )


def test_strangers_texts_stay_texts(hostile: Run, tmp_path: Path) -> None:
    """No tag of theirs is one of the page's, and what would be filled in is not."""
    text = write_page(hostile, tmp_path / "page.html", transcripts_of).read_text(encoding="utf-8")
    tags = Tags(text).found
    allowed = {"src", "onerror", "onmouseover", "onclick", "style"}
    assert not [name for name, attributes in tags if allowed & attributes.keys()]
    assert {name for name, _ in tags}.isdisjoint({"img", "b", "iframe", "link", "base"})
    executable = [attributes for name, attributes in tags if name == "script" and "type" not in attributes]
    assert len(executable) == 1
    assert "{{7*7}}" in text
    assert "49{%" not in text
    assert "\x00" not in text
    assert "\x1b" not in text
    assert all(not (attributes.get("href") or "#").lower().startswith("javascript") for _, attributes in tags)


def test_themes_stand_with_their_labels_where_there_are_any(tmp_path: Path) -> None:
    """As text, whatever a model called them; what is in none is said to be."""
    run = written_run(tmp_path / "run", ["Billing"] * 6 + ["Invoices"] * 3 + ["Claims"] * 2)
    page = tmp_path / "page.html"
    assert "<caption>Themes</caption>" not in write_page(run, page, transcripts_of).read_text("utf-8")
    rows = [
        {
            "field": "general_intent",
            "label": label,
            "place": None,
            "under": None,
            "line": None,
            "theme": theme,
        }
        for label, theme in (("Billing", "Money <b>"), ("Invoices", "Money <b>"), ("Claims", None))
    ]
    pl.DataFrame(rows, CODEBOOK_SCHEMA).write_parquet(run.path / "codebook.parquet")
    text = write_page(load_run(run.path, partial=True), page, transcripts_of).read_text("utf-8")
    table = text[text.index("<caption>Themes</caption>") :].split("</table>")[0]
    told = re.findall(r'<bdi>(.*?)</bdi></th>\s*<td class="number">(\d+)</td>', table)
    assert told == [("Money &lt;b&gt;", "9"), ("in no theme", "2")]
    assert "<bdi>Billing</bdi>, <bdi>Invoices</bdi>" in table


def test_what_is_packed_is_what_was_said(hostile: Run, tmp_path: Path) -> None:
    """To the letter, in the order of the sessions."""
    text = write_page(hostile, tmp_path / "page.html", transcripts_of).read_text(encoding="utf-8")
    columns = unpacked(text, "columns")
    assert columns["ids"] == hostile.sessions["session_id"].to_list()
    intent = columns["fields"][0]
    assert [intent["labels"][code] for code in intent["codes"] if code >= 0] == hostile.sessions[
        "general_intent"
    ].drop_nulls().to_list()
    block = unpacked(text, "block-0")
    assert len(block) == len(columns["ids"]) < BLOCK
    assert [message[:2] for message in block[1]] == [list(message) for message in said(columns["ids"][1])]


def test_the_policy_lets_in_the_page_itself_and_nothing_else(tmp_path: Path) -> None:
    """Its hashes are those of the style and of the script that stand in the page."""
    text = write_page(written_run(tmp_path / "run"), tmp_path / "p.html", transcripts_of).read_text(
        encoding="utf-8"
    )
    policy = next(
        a["content"] for tag, a in Tags(text).found if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert parts["default-src"] == "'none'"
    for directive, pattern in (
        ("style-src", "<style>(.*?)</style>"),
        ("script-src", "<script>(.*?)</script>"),
    ):
        found = re.search(pattern, text, re.DOTALL)
        assert found is not None
        digest = base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()
        assert parts[directive] == f"'sha256-{digest}'"
    assert not re.search(r"https?://|@import|url\(", text)


def test_a_run_has_one_page_whenever_it_is_written(tmp_path: Path) -> None:
    """The same bytes, and nothing of this machine in them."""
    run = written_run(tmp_path / "run", ["Billing", "Claims"] * 150, errors=["no /home/somebody/file"])
    first, second = (
        write_page(run, tmp_path / name, transcripts_of).read_bytes() for name in ("a.html", "b.html")
    )
    assert first == second
    assert str(tmp_path).encode() not in first
    assert b"somebody" not in first
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".draft"] == []


def test_transcripts_come_in_blocks(tmp_path: Path) -> None:
    """So that a browser unpacks only what somebody reads, and no more is held than a few blocks."""
    asked: list[int] = []

    def reader(session_ids: Any) -> pl.DataFrame:
        asked.append(len(session_ids))
        return transcripts_of(session_ids[:3])  # the others said nothing

    run = written_run(tmp_path / "run", ["Billing"] * (BLOCK * 11))
    text = write_page(run, tmp_path / "page.html", reader).read_text(encoding="utf-8")
    assert asked == [BLOCK * 10, BLOCK]
    assert text.count('id="block-') == 11
    assert unpacked(text, "block-1") == [[]] * BLOCK


def test_privacy_leaves_out_what_quotes(tmp_path: Path) -> None:
    """Without transcripts there are no notes either; masked, they are masked, and the page says so."""
    run = written_run(tmp_path / "run")
    private = write_report(run, transcripts=False).read_text(encoding="utf-8")
    columns = unpacked(private, "columns")
    assert (columns["notes"], columns["transcripts"]) == (None, False)
    assert "left out on purpose" in private
    masked = write_report(run, mask=True, reader=transcripts_of).read_text(encoding="utf-8")
    assert unpacked(masked, "columns")["notes"][0] == "wrote from [mail]"
    assert unpacked(masked, "block-0")[0][-1][1] == "My number is [number], or [mail]"
    assert "are masked" in masked


def test_a_lost_store_costs_transcripts_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The page is written without them, says so, and so does a warning."""
    run = written_run(tmp_path / "run")

    def lost(session_ids: Any) -> pl.DataFrame:
        raise ImportDataError("the store lacks a session")

    text = write_report(run, reader=lost).read_text(encoding="utf-8")
    assert "not to be had when this page was written" in text
    assert unpacked(text, "columns")["notes"] is not None
    assert [record.getMessage() for record in caplog.records] == [
        f"the page of {run.path} is without transcripts: the store lacks a session"
    ]


def test_caveats_stand_on_the_page_and_on_every_sheet(tmp_path: Path) -> None:
    """Where figures are simulated or partial."""
    run = written_run(tmp_path / "run", status="cancelled")
    text = write_page(run, tmp_path / "page.html", None).read_text(encoding="utf-8")
    assert "<strong>Simulated figures.</strong>" in text
    assert "<strong>Partial figures.</strong>" in text
    assert '@top-right { content: "simulated, partial figures" }' in text
    live = written_run(tmp_path / "live", endpoint="https://api.example.com/v1")
    assert "figures.</strong>" not in write_page(live, tmp_path / "l.html", None).read_text(encoding="utf-8")


def test_headings_and_tables_are_in_order(tmp_path: Path) -> None:
    """One first heading, language, landmarks, a caption in each table, and no panel that is empty."""
    run = written_run(tmp_path / "run", ["Billing"] * 5, days=0, merges=[("Bills", "Billing")])
    text = write_page(run, tmp_path / "page.html", None).read_text(encoding="utf-8")
    names = [name for name, _ in Tags(text).found]
    assert names.count("h1") == 1
    assert {"header", "nav", "main", "footer"} <= set(names)
    assert names.count("table") == names.count("caption")
    assert '<html lang="en">' in text
    assert "Over time" not in text
    assert "could not be labelled" not in text
    assert "Names that became one" in text


def test_a_page_that_cannot_be_written_says_where_else(tmp_path: Path) -> None:
    """And leaves nothing behind."""
    with pytest.raises(InputError, match="give another file with --to"):
        write_page(written_run(tmp_path / "run"), tmp_path / "missing" / "page.html", None)


def test_a_run_without_sessions_has_no_page(tmp_path: Path) -> None:
    """Duplicate detection on planted labels is one."""
    run = written_run(tmp_path / "run")
    (run.path / "sessions.parquet").unlink()
    with pytest.raises(RunFolderError, match="no sessions to report of"):
        write_report(run)


def test_every_run_leaves_its_page(tmp_path: Path) -> None:
    """Runs inside it leave none, nor does one that was told not to."""
    run = build_analysis(small_config(page="true"), progress=False).run_sync(tmp_path / "run")
    assert (run.path / "report.html").exists()
    assert (run.path / "baseline" / "run.json").exists()
    assert not (run.path / "baseline" / "report.html").exists()
    other = build_analysis(small_config(baseline="none"), progress=False).run_sync(tmp_path / "other")
    assert not (other.path / "report.html").exists()


def test_a_page_never_fails_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is noted, and the run is done."""

    def fails(*_: Any, **__: Any) -> Path:
        raise RuntimeError("no page today")

    monkeypatch.setattr("autoanalyze.report.page.write_page", fails)
    run = build_analysis(small_config(page="true", baseline="none"), progress=False).run_sync(
        tmp_path / "run"
    )
    assert run.record["status"] == "done"
    assert "report.html was not written" in caplog.text


def test_a_stopped_run_leaves_a_partial_page(tmp_path: Path) -> None:
    """As far as it has tables."""
    config = small_config(page="true", baseline="run")
    analysis = build_analysis(config, progress=False, listener=None)
    folder = tmp_path / "run"

    def cancel(progress: Any) -> None:
        if progress.phase == "baseline":
            (folder / "cancel").touch()

    analysis = build_analysis(config, listener=cancel)
    with pytest.raises(CancelledRunError):
        analysis.run_sync(folder)
    assert "Partial figures." in (folder / "report.html").read_text(encoding="utf-8")


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs a command: its exit code, output and errors."""

    def typed(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["autoanalyze", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return (int(ended.value.code or 0), *capsys.readouterr())

    return typed


def test_the_command_prints_the_path_last(command: Command) -> None:
    """Of one run and of two; a file that exists is only overwritten when told."""
    settings = {"data": {"source": "store", "path": None}}
    for name in ("week1", "week2"):
        written_run(Path("outputs") / name, settings=settings)
    code, output, _ = command("report", "outputs/week1", "--no-transcripts", "--mask")
    assert (code, output.splitlines()[-1]) == (0, "outputs/week1/report.html")
    code, output, _ = command("report", "outputs/week1", "outputs/week2")
    assert (code, output.splitlines()[-1]) == (0, "outputs/week2/report-against-week1.html")
    assert command("report", "outputs/week1", "--no-transcripts", "--to", "page.html")[:2] == (
        0,
        "page.html\n",
    )
    code, _, errors = command("report", "outputs/week1", "--to", "page.html")
    assert (code, "--force" in errors) == (2, True)
    assert command("report", "outputs/week1", "--no-transcripts", "--to", "page.html", "--force")[0] == 0
    code, _, errors = command("report", "outputs")
    assert (code, "is it the folder of a run?" in errors) == (2, True)
