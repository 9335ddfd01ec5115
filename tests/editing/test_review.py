"""Reviewing merges: what is undone and accepted, and that nothing is lost on the way."""

from __future__ import annotations

import json
from pathlib import Path
from shutil import copytree

import polars as pl
import pytest
from fakes import small_config
from hypothesis import given, settings
from hypothesis import strategies as st

from autoanalyze.analysis.build import build_analysis
from autoanalyze.cli.commands import main
from autoanalyze.editing.review import accept, read_review, undo, write_review
from autoanalyze.errors import InputError
from autoanalyze.llm.audit import verify
from autoanalyze.study.runs import Run, load_run

FILES = ("sessions.parquet", "labels.parquet", "merges.parquet", "probes.parquet", "run.json")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with many names, a fixed label, and probes."""
    config = small_config(
        **{
            "noise.reuse": "0.3",
            "baseline": "none",
            "probe_share": "0.2",
            "resamples": "20",
            "vocabulary.fixed.general_intent": "[Claim Status]",
        }
    )
    return build_analysis(config).run_sync(tmp_path_factory.mktemp("runs") / "run").path


@pytest.fixture
def run(recorded: Path, tmp_path: Path) -> Run:
    """A copy of it, to change."""
    return load_run(copytree(recorded, tmp_path / "run"))


def contents(run: Run) -> dict[str, bytes]:
    return {name: (run.path / name).read_bytes() for name in FILES}


def merged(run: Run) -> pl.DataFrame:
    return run.merges.filter("merged")


def test_undo_gives_sessions_their_first_label_back(run: Run) -> None:
    """Only the sessions of that alias change; counts and scores follow; the ledger keeps the entry."""
    entry = merged(run).sort("sessions", descending=True).row(0, named=True)
    field, alias = entry["field"], entry["alias"]
    after = undo(run.path, [entry["merge"]])
    carry = pl.col(f"{field}_first") == alias
    assert set(after.sessions.filter(carry)[field]) == {alias}
    assert after.sessions.filter(~carry.fill_null(False)).equals(run.sessions.filter(~carry.fill_null(False)))
    row = after.labels.filter((pl.col("field") == field) & (pl.col("label") == alias)).row(0, named=True)
    assert (row["canonical"], row["sessions"]) == (alias, entry["sessions"])
    entry = after.merges.filter(pl.col("merge") == entry["merge"]).row(0, named=True)
    assert (entry["merged"], entry["review"], entry["verdict"]) == (False, "undone", "same")
    assert after.record["labels"][field]["final"] == run.record["labels"][field]["final"] + 1
    assert after.record["metrics"] != run.record["metrics"]
    assert after.record["calls"] == run.record["calls"]


@pytest.mark.slow
def test_a_link_to_a_broader_name_is_undone_like_a_merge(tmp_path: Path) -> None:
    """All its sessions have their name back, no other one changes, and accepting restores every byte."""
    levels = {"world": "granular", "seed": "2", "vocabulary.codebook": "true"}
    run = build_analysis(small_config(baseline="none", resamples="0", **levels)).run_sync(tmp_path / "run")
    files = [*FILES, "codebook.parquet"]
    before = {name: (run.path / name).read_bytes() for name in files if (run.path / name).exists()}
    write_review(run, run.path / "reviewed.csv")
    link = run.merges.filter(verdict="narrower", merged=True).row(0, named=True)
    field, alias = link["field"], link["alias"]
    after = undo(run.path, [link["merge"]])
    borne = pl.col(f"{field}_first") == alias
    assert after.sessions.filter(borne)[field].to_list() == [alias] * link["sessions"]
    rest = ~borne.fill_null(False)
    assert after.sessions.filter(rest).equals(run.sessions.filter(rest))
    assert (run.path / "sessions.parquet").read_bytes() != before["sessions.parquet"]
    accept(run.path, run.path / "reviewed.csv")
    assert {name: (run.path / name).read_bytes() for name in before} == before


@pytest.mark.slow
@settings(deadline=None, max_examples=8)
@given(data=st.data())
def test_undo_and_accept_restore_the_exact_bytes(
    data: st.DataObject, recorded: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whichever merges are undone, in whatever steps: accepting the list of before restores every byte."""
    run = load_run(copytree(recorded, tmp_path_factory.mktemp("copies") / "run"))
    before, reviewed = contents(run), run.path / "reviewed.csv"
    write_review(run, reviewed)
    every = st.sampled_from(merged(run)["merge"].to_list())
    numbers = data.draw(st.lists(every, min_size=1, max_size=5, unique=True))
    for number in numbers:
        undo(run.path, [number])
    after = load_run(run.path)
    assert len(merged(after)) == len(merged(run)) - len(numbers)
    assert contents(after) != before
    accept(run.path, reviewed)
    assert contents(load_run(run.path)) == before


@pytest.mark.slow
def test_undoing_everything_is_as_if_nothing_had_been_merged(run: Run, tmp_path: Path) -> None:
    """Without merges on the way, a run whose merges are all undone has the sessions of one that had none, if
    each is looked at once: further looks are at sessions that merges bring up."""
    changes = {"noise.reuse": "0.3", "baseline": "none", "resolution.every_labels": "null", "passes": "1"}
    one = build_analysis(small_config(**changes)).run_sync(tmp_path / "one")
    other = build_analysis(small_config(**changes, resolution="none")).run_sync(tmp_path / "other")
    undone = undo(one.path, merged(one)["merge"].to_list())
    assert (undone.path / "sessions.parquet").read_bytes() == (other.path / "sessions.parquet").read_bytes()
    assert undone.record["metrics"] == other.record["metrics"]


def test_reviewers_can_add_merges(run: Run) -> None:
    """A pair that nobody proposed becomes one; undone again, its entry is gone, the bytes as before."""
    labels = run.labels.filter(
        (pl.col("field") == "transfer_reason") & (pl.col("label") == pl.col("canonical"))
    )
    one, other = labels["label"].to_list()[:2]
    before = contents(run)
    frame = pl.DataFrame(
        {"field": ["transfer_reason"], "alias": [one], "canonical": [other], "merged": ["yes"]}
    )
    after = accept(run.path, frame)
    assert one not in set(after.sessions["transfer_reason"])
    entry = merged(after).row(-1, named=True) if merged(after)["review"][-1] else None
    found = merged(after).filter(pl.col("review") == "accepted").row(0, named=True)
    assert (found["alias"], found["canonical"]) == (one, other)
    assert entry is None or entry["sessions"] == labels["sessions_first"][0]
    undo(run.path, [found["merge"]])
    assert contents(load_run(run.path)) == before


def test_review_of_a_chain_leads_to_its_end(run: Run) -> None:
    """When a canonical label is merged into another, its aliases follow."""
    entry = merged(run).filter(pl.col("field") == "transfer_reason").row(0, named=True)
    others = run.labels.filter(pl.col("field") == "transfer_reason")["canonical"].unique(maintain_order=True)
    target = next(label for label in others if label != entry["canonical"])
    frame = pl.DataFrame(
        {"field": ["transfer_reason"], "alias": [entry["canonical"]], "canonical": [target], "merged": [True]}
    )
    after = accept(run.path, frame)
    carry = after.sessions.filter(pl.col("transfer_reason_first") == entry["alias"])
    assert set(carry["transfer_reason"]) <= {target}
    assert entry["canonical"] not in set(after.sessions["transfer_reason"])


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([("general_intent", "Nobody", "Claim Status", "true")], "no label 'Nobody'"),
        ([("general_intent", "Claim Status", "{other}", "true")], "is fixed"),
        ([("general_intent", "{alias}", "{other}", "true")], "already"),
        (
            [("general_intent", "{other}", "{third}", "1"), ("general_intent", "{third}", "{other}", "1")],
            "circle",
        ),
        ([("general_intent", "{alias}", "{canonical}", "perhaps")], "line 2: merged is 'perhaps'"),
    ],
)
def test_impossible_reviews_are_refused(
    run: Run, rows: list[tuple[str, str, str, str]], complaint: str
) -> None:
    """The message names the row or the merge, and nothing is written."""
    before = contents(run)
    entry = merged(run).filter(pl.col("field") == "general_intent").row(0, named=True)
    free = run.labels.filter(
        (pl.col("field") == "general_intent")
        & (pl.col("label") == pl.col("canonical"))
        & ~pl.col("label").is_in([entry["canonical"], "Claim Status"])
    )["label"]
    names = {"alias": entry["alias"], "canonical": entry["canonical"], "other": free[0], "third": free[1]}
    frame = pl.DataFrame(
        [[part.format(**names) for part in row] for row in rows],
        schema=["field", "alias", "canonical", "merged"],
        orient="row",
    )
    with pytest.raises(InputError, match=complaint):
        accept(run.path, frame)
    with pytest.raises(InputError, match="has no merge 99999"):
        undo(run.path, [99999])
    assert contents(load_run(run.path)) == before


def test_reviews_are_in_the_journal(run: Run) -> None:
    """Who changed what is recorded after what the run merged, and the journal still verifies."""
    number = merged(run)["merge"][0]
    undo(run.path, [number])
    lines = [json.loads(line) for line in (run.path / "calls.jsonl").read_text().splitlines()]
    ledgers = [line for line in lines if line["event"] == "ledger"]
    assert [line["by"] for line in ledgers] == ["run", f"undo {number}"]
    assert len(ledgers[1]["merges"]) == len(ledgers[0]["merges"]) - 1
    assert verify(run.path / "calls.jsonl").answered == run.record["calls"]


def test_lists_are_safe_to_open_in_a_spreadsheet(run: Run, tmp_path: Path) -> None:
    """What looks like a formula is guarded in the file and as it was when it is read."""
    names = ["=1+1", "+cmd", "-2", "@x", "'quoted", "plain"]
    rows = run.merges.head(len(names)).with_columns(alias=pl.Series(names))
    run.__dict__["merges"] = rows
    assert write_review(run, tmp_path / "list.csv") == len(names)
    written = pl.read_csv(tmp_path / "list.csv", infer_schema=False)["alias"].to_list()
    assert written == ["'=1+1", "'+cmd", "'-2", "'@x", "'quoted", "plain"]
    assert [row["alias"] for row in read_review(tmp_path / "list.csv")] == names


def test_files_that_are_no_review_are_refused(run: Run, tmp_path: Path) -> None:
    """A missing file and a missing column name the remedy."""
    with pytest.raises(InputError, match="cannot be read"):
        accept(run.path, tmp_path / "nowhere.csv")
    (tmp_path / "other.csv").write_text("alias,canonical\nA,B\n")
    with pytest.raises(InputError, match="merges RUN --csv"):
        accept(run.path, tmp_path / "other.csv")


def command(*arguments: str) -> None:
    """Run the command line in this process."""
    import sys
    from unittest.mock import patch

    with patch.object(sys, "argv", ["autoanalyze", *arguments]), pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code


def test_command_lists_undoes_and_accepts(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """The three forms of `autoanalyze merges`."""
    before, count = contents(run), len(merged(run))
    command("merges", str(run.path), "--csv", str(run.path / "list.csv"))
    command("merges", str(run.path))
    listed = capsys.readouterr().out
    assert "transfer_reason" in listed
    assert "more sessions" in listed
    command("merges", str(run.path), "--undo", "1", "--undo", "2")
    command("merges", str(run.path), "--all")
    undone = capsys.readouterr().out
    assert f"{count} merges before, {count - 2} now" in undone
    assert "undone" in undone
    command("merges", str(run.path), "--accept", str(run.path / "list.csv"))
    assert contents(load_run(run.path)) == before
