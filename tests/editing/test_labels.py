"""Labels under other names: every edit is followed by every session, stands in the record, and goes again."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from shutil import copytree
from unittest.mock import patch

import polars as pl
import pytest
from fakes import small_config
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

import autoanalyze
from autoanalyze.analysis.build import build_analysis
from autoanalyze.analysis.configuration import restored
from autoanalyze.analysis.earlier_run import carried_over
from autoanalyze.analysis.folder import RunFolder
from autoanalyze.analysis.reasons import check_unresolved
from autoanalyze.cli.commands import main
from autoanalyze.editing import edits, review
from autoanalyze.editing.labels import Labels, labels
from autoanalyze.errors import InputError, RunFolderError
from autoanalyze.llm.audit import verify
from autoanalyze.study.runs import load_run

pytestmark = pytest.mark.slow  # whole runs and commands

INTENT, REASON = "general_intent", "transfer_reason"
FILES = ("sessions.parquet", "labels.parquet", "merges.parquet", "run.json")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of many names, one of them fixed, in which some sessions got none."""
    config = small_config(
        **{
            "noise.reuse": "0.4",
            "baseline": "none",
            "resamples": "5",
            "vocabulary.fixed.general_intent": "[Claim Status]",
        }
    )
    path = build_analysis(config, progress=False).run_sync(tmp_path_factory.mktemp("runs") / "run").path
    # As a refusal would leave one.
    sessions = load_run(path).sessions.with_row_index("row")
    refused, fields = pl.col("row") == 7, ("general_intent", "transfer_reason", "drop_off_location")
    gone = [name for field in fields for name in (field, f"{field}_first")]
    sessions.with_columns(
        *(pl.when(~refused).then(pl.col(name)).alias(name) for name in (*gone, "session_outcome")),
        status=pl.when(refused).then(pl.lit("unresolved")).otherwise(pl.col("status")),
        fallback_outcome=pl.when(refused).then(pl.lit("Transfer")).otherwise(pl.col("fallback_outcome")),
    ).drop("row").write_parquet(path / "sessions.parquet")
    # Nothing is edited, but all tables follow from that now.
    review.undo(path, [])
    return path


@pytest.fixture
def found(recorded: Path, tmp_path: Path) -> Labels:
    """A copy of it, to edit."""
    return labels(copytree(recorded, tmp_path / "run"))


def contents(path: Path) -> dict[str, bytes]:
    return {name: (path / name).read_bytes() for name in FILES}


def top(found: Labels, field: str = INTENT) -> list[str]:
    """Labels of a field, the most frequent first, without the fixed one."""
    own = found.frame.filter(pl.col("field") == field, pl.col("label") != "Claim Status")
    return own["label"].to_list()


def given_to(found: Labels, field: str = INTENT) -> list[str | None]:
    return found.run.sessions[field].to_list()


def test_a_renamed_label_has_its_name_everywhere(found: Labels) -> None:
    """In sessions, vocabulary, ledger and journal, with who did it; the next run knows the new name."""
    old, before = top(found)[0], given_to(found)
    assert found.rename(old, "  Something\tElse ").done == f"{INTENT}: {old!r} is called 'Something Else' now"
    assert given_to(found) == ["Something Else" if label == old else label for label in before]
    row = found.frame.filter(label="Something Else").row(0, named=True)
    assert old in row["merged"]
    assert (row["origin"], row["sessions"]) == ("review", before.count(old))
    entry = found.run.merges.row(-1, named=True)
    assert (entry["alias"], entry["canonical"], entry["judge"]) == (old, "Something Else", "review")
    assert entry["reason"] == "renamed by a reviewer"
    lines = [json.loads(line) for line in (found.run.path / "calls.jsonl").read_text().splitlines()]
    assert lines[-1]["changes"][0] | {"merge": 0} == {
        "kind": "name",
        "field": INTENT,
        "subject": old,
        "target": "",
        "before": None,
        "after": "Something Else",
        "merge": 0,
    }
    assert verify(found.run.path / "calls.jsonl").answered == found.run.record["calls"]
    carried = carried_over(small_config(**{"vocabulary.from": str(found.run.path)}))
    assert "Something Else" in carried.labels[INTENT]
    assert old not in carried.labels[INTENT]
    merged = {e.alias: e.canonical for e in carried.ledger if e.merged and e.field == INTENT}
    assert merged[old] == "Something Else"
    assert set(merged.values()) <= {*carried.labels[INTENT], "Claim Status"}


def test_names_can_be_swapped_and_given_twice(found: Labels) -> None:
    """By way of a third name, and the next run is asked for what they are called now."""
    (one, other), before = top(found)[:2], given_to(found)
    found.rename(one, "Third").rename(other, one).rename("Third", "Fourth").rename("Fourth", other)
    swapped = {one: other, other: one}
    assert given_to(found) == [swapped.get(label or "", label) for label in before]
    carried = carried_over(small_config(**{"vocabulary.from": str(found.run.path)}))
    assert {one, other} <= set(carried.labels[INTENT])
    assert not {"Third", "Fourth"} & set(carried.labels[INTENT])
    # The list of merges has an entry of each kind for such a pair; read back unchanged, it changes nothing.
    review.write_review(found.run, Path("list.csv"))
    was = contents(found.run.path)
    review.accept(found.run.path, Path("list.csv"))
    assert contents(found.run.path) == was


def test_the_name_of_another_label_makes_both_one(found: Labels) -> None:
    """It says so, and renaming that again moves both; undone one by one, they are two again."""
    (one, other), before = top(found)[:2], contents(found.run.path)
    assert "which was there already, are one label now" in found.rename(one, other).done
    assert one not in given_to(found)
    found.rename(other, "Both")
    assert set(found.frame.filter(label="Both")["merged"][0]) >= {one, other}
    number = found.run.merges.filter(alias=one, canonical=other)["merge"][0]
    review.undo(found.run.path, [number])
    found = labels(found.run.path)
    assert {one, "Both"} <= set(given_to(found))
    with pytest.raises(InputError, match="is part of 'Both' now"):
        found.rename(other, "Anything")
    assert found.edits["edit"].to_list() == [1, 2, 3]
    with pytest.raises(InputError, match=r"edit 1 .*take that one back first"):
        found.undo(1)
    found.undo(2).undo().undo()
    assert contents(found.run.path) == before
    assert not (found.run.path / "edits.parquet").exists()
    with pytest.raises(InputError, match="has no edit to take back"):
        found.undo()


def test_several_labels_become_one_of_them_another_or_a_new_one(found: Labels) -> None:
    """A fixed label keeps its name, and others are merged into it."""
    one, two, three, four, five = top(found)[:5]
    found.merge([one, two], into=one).merge([three, "Claim Status"], into="Claim Status")
    found.merge([four, five], into="A New Name")
    now = set(given_to(found))
    assert {one, "Claim Status", "A New Name"} <= now
    assert not {two, three, four, five} & now
    for name in ("X", one):
        with pytest.raises(InputError, match=r"fixed .*merge others into it"):
            found.rename("Claim Status", name)
    with pytest.raises(InputError, match="two labels or more"):
        found.merge([one], into=one)
    with pytest.raises(InputError, match=f"different fields .*{INTENT}, {REASON}"):
        found.merge([one, top(found, REASON)[0]], into="X")


def test_names_that_mean_nothing_are_refused(found: Labels) -> None:
    """The message has what is near, the fields to choose from, or what the name is now."""
    one, reason = top(found)[0], top(found, REASON)[0]
    before = contents(found.run.path)
    with pytest.raises(InputError, match=f"did you mean .*{one}"):
        found.rename(one[:-1], "X")
    with pytest.raises(InputError, match="no label field 'topic'"):
        found.rename(one, "X", field="topic")
    for name in ("", " - ", "a\x07b", "x" * 61):
        with pytest.raises(InputError, match=r"name"):
            found.rename(one, name)
    assert contents(found.run.path) == before
    found.rename(reason, one)
    with pytest.raises(InputError, match=f"is a label of {INTENT} and of {REASON}: say which"):
        found.rename(one, "X")
    assert "X" in given_to(found.rename(one, "X", field=REASON), REASON)


def test_single_sessions_are_corrected(found: Labels) -> None:
    """A new name becomes a label, a dash takes one away, an empty cell leaves it as it is."""
    run, before = found.run, contents(found.run.path)
    ids, one, other = run.sessions["session_id"], top(found)[0], top(found)[1]
    rows = run.sessions.filter(pl.col(INTENT) == one)["session_id"].to_list()
    assert run.record["sessions"]["unresolved"] == 1
    list_ = pl.DataFrame(
        {"session_id": [rows[0], rows[1], rows[2], ids[7]], INTENT: ["Of Its Own", "-", None, other]}
    )
    found.accept(list_)
    now = {row["session_id"]: row for row in found.run.sessions.iter_rows(named=True)}
    assert [now[session][INTENT] for session in list_["session_id"]] == ["Of Its Own", None, one, other]
    assert [now[session]["status"] for session in list_["session_id"]] == ["labelled"] * 4
    assert now[ids[7]]["session_outcome"] == "Transfer"
    assert found.run.record["sessions"]["unresolved"] == 0
    assert found.frame.filter(label="Of Its Own").select("sessions", "origin").row(0) == (1, "review")
    # Names that follow move the corrected sessions as well, and no alias is redirected by a correction.
    found.rename("Of Its Own", one)
    assert found.run.sessions.filter(session_id=rows[0])[INTENT][0] == one
    carried = carried_over(small_config(**{"vocabulary.from": str(found.run.path)}))
    merged = {e.alias: e.canonical for e in carried.ledger if e.merged and e.field == INTENT}
    assert {alias: merged[alias] for alias in merged if alias == "Of Its Own"} == {"Of Its Own": one}
    assert one not in merged
    with pytest.raises(RunFolderError, match=r"edited since.*vocabulary.from"):
        check_unresolved(RunFolder(found.run.path), {"sessions": {"unresolved": 1}})
    found.undo().undo()
    assert contents(found.run.path) == before


def test_an_earlier_correction_goes_only_when_nothing_needs_it(found: Labels) -> None:
    """A label that only a correction gave cannot be renamed any more once that is taken back."""
    session = found.run.sessions["session_id"][0]
    found.accept(pl.DataFrame({"session_id": [session], INTENT: ["Own"]})).rename("Own", "Owner")
    with pytest.raises(InputError, match="has no label 'Own'"):
        found.undo(1)
    assert found.undo().undo().edits.is_empty()


def test_lists_of_sessions_are_written_and_read(found: Labels, tmp_path: Path) -> None:
    """As a spreadsheet keeps them, with semicolons; lists made before a rename mean the same."""
    before, path = contents(found.run.path), tmp_path / "list.csv"
    one = top(found)[0]
    assert found.write(path) == 60
    with pytest.raises(InputError, match="--force"):
        found.write(path)
    assert found.accept(path).done == "0 sessions have other labels now"
    assert contents(found.run.path) == before
    found.rename(one, "Something Else")
    text = path.read_text(encoding="utf-8-sig").replace(",", ";").replace('"', "")
    path.write_text(text, encoding="utf-8-sig")
    assert found.accept(path).done == "0 sessions have other labels now"


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ("session_id,general_intent\n{a},X\nnobody,X\n", "line 3: the run has no session 'nobody'"),
        ("session_id,general_intent\n{a},X\n{a},Y\n", "line 3: session '{a}' stands in line 2 already"),
        ("session_id,topic\n{a},X\n", "line 1: there is no label field 'topic'"),
        ("id,general_intent\n{a},X\n", "line 1: the list has no column 'session_id'"),
        ("session_id,general_intent\n{a},???\n", "line 2, general_intent: '\\?\\?\\?' is no name"),
        ("session_id,general_intent\n{a},X,Y,Z\n", "cannot be read as CSV"),
    ],
)
def test_lists_that_are_wrong_name_the_line(found: Labels, tmp_path: Path, rows: str, complaint: str) -> None:
    """And nothing of them is carried out."""
    a, before = found.run.sessions["session_id"][0], contents(found.run.path)
    (tmp_path / "list.csv").write_text(rows.replace("{a}", a))
    with pytest.raises(InputError, match=complaint.replace("{a}", a)):
        found.accept(tmp_path / "list.csv")
    assert contents(found.run.path) == before


def test_a_list_of_merges_can_give_names(found: Labels) -> None:
    """An alias of a group stands for it; a second name for that is refused; undone by its number."""
    entry = found.run.merges.filter("merged", field=REASON).row(0, named=True)
    before, canonical = contents(found.run.path), entry["canonical"]

    def list_of(*names: tuple[str, str]) -> pl.DataFrame:
        rows = [(REASON, alias, name, "yes") for alias, name in names]
        return pl.DataFrame(rows, schema=["field", "alias", "canonical", "merged"], orient="row")

    run = review.accept(found.run.path, list_of((entry["alias"], "New Name"), (canonical, "New Name")))
    assert canonical not in run.sessions[REASON]
    assert "New Name" in run.sessions[REASON]
    with pytest.raises(InputError, match=r"line 3: .* is called 'A' already"):
        review.accept(run.path, list_of((canonical, "A"), (entry["alias"], "B")))
    review.undo(run.path, [run.merges["merge"].max()])  # type: ignore[list-item]
    assert contents(run.path) == before


def test_two_labels_never_get_one_name(found: Labels) -> None:
    """A merge whose alias another label is called by now is not undone."""
    entry = found.run.merges.filter("merged", field=INTENT).row(0, named=True)
    other = next(label for label in top(found) if label != entry["canonical"])
    found.rename(other, entry["alias"])
    with pytest.raises(InputError, match="two labels would be called"):
        review.undo(found.run.path, [entry["merge"]])


def test_runs_that_stopped_are_listed_and_not_edited(found: Labels) -> None:
    """Going on with one would undo the edit."""
    folder, name = RunFolder(found.run.path), top(found)[0]
    folder.write_json("run.json", found.run.record | {"status": "cancelled"})
    before, stopped = contents(folder.path), labels(folder.path)
    assert name in stopped._repr_html_()
    assert "partial" in stopped._repr_html_()
    with pytest.raises(RunFolderError, match=r"autoanalyze resume .* first"):
        stopped.rename(name, "X")
    assert contents(folder.path) == before


def test_notebooks_show_them(found: Labels) -> None:
    """The public name takes a run or a folder; strangers' names are no markup, simulated figures say so."""
    shown = autoanalyze.labels(found.run.path).rename(top(found)[0], "<b>Bold</b>")
    assert "simulated" in shown._repr_html_()
    assert "&lt;b&gt;Bold" in shown._repr_html_()
    assert "Bold" in repr(shown)
    assert shown.edits.row(0)[0] == 1
    assert autoanalyze.labels(found.run).run is found.run


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run the command line in this process: exit code, output, errors."""
    with patch.object(sys, "argv", ["autoanalyze", *arguments]), pytest.raises(SystemExit) as ended:
        main()
    return (int(ended.value.code or 0), *capsys.readouterr())


def test_command_lists_edits_and_takes_back(found: Labels, capsys: pytest.CaptureFixture[str]) -> None:
    """In 80 columns, with what stands of edits by number; two wishes at once are refused."""
    run, before, (one, other, third) = str(found.run.path), contents(found.run.path), top(found)[:3]
    assert "is called 'Mine' now" in command(capsys, "labels", run, "--rename", one, "Mine")[1]
    assert "are 'Ours' now" in command(capsys, "labels", run, "--merge", other, third, "--into", "Ours")[1]
    code, output, _ = command(capsys, "labels", run, "--field", INTENT)
    assert code == 0
    assert all(cell_len(line) <= 80 for line in output.splitlines())
    assert {"Mine", "Ours", "review", "share"} <= set(output.split())
    assert f"1 rename {one!r} to 'Mine'" in " ".join(output.split())
    assert REASON not in output
    assert "60 sessions written" in command(capsys, "labels", run, "--csv", "list.csv")[1]
    assert "0 sessions" in command(capsys, "labels", run, "--accept", "list.csv")[1]
    assert "edit 1 is taken back" in command(capsys, "labels", run, "--undo", "1")[1]
    assert "edit 2 is taken back" in command(capsys, "labels", run, "--undo")[1]
    assert contents(found.run.path) == before
    for wrong in (
        ["--undo", "--merge", one, "--into", "X"],
        ["--merge", one],
        ["--into", "X"],
        [one],
        ["--undo", "first"],
        ["--undo", "9"],
        ["--field", "topic"],
    ):
        assert command(capsys, "labels", run, *wrong)[0] == 2
    assert "simulated" in command(capsys, "verify", run)[1]


@pytest.mark.slow
@settings(deadline=None, max_examples=6)
@given(data=st.data())
def test_sessions_follow_any_edits_and_undoing_all_restores_every_byte(
    data: st.DataObject, recorded: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Held against a plain list of labels that is edited in the same way."""
    found = labels(copytree(recorded, tmp_path_factory.mktemp("copies") / "run"))
    (found.run.path / "truth.parquet").unlink()  # scores take their time
    found = Labels(review.undo(found.run.path, []))
    # Every edit reads the configuration anew, which takes its time too.
    config = restored(found.run.record["config"])
    with patch.object(edits, "restored", return_value=config):
        follow(data, found)


def follow(data: st.DataObject, found: Labels) -> None:
    """Draw edits, and hold what they do against a list of labels."""
    begin = contents(found.run.path)
    ids, model = found.run.sessions["session_id"].to_list(), given_to(found)
    history: list[tuple[dict[str, bytes], list[str | None]]] = []
    for _ in range(data.draw(st.integers(1, 5), "edits")):
        before = (contents(found.run.path), list(model))
        names = found.frame.filter(pl.col("field") == INTENT)["label"].to_list()
        changeable = [name for name in names if name != "Claim Status"]
        kind = data.draw(st.sampled_from(["rename", "swap", "merge", "accept", "undo"]), "kind")
        count = len(found.edits)
        if kind == "rename":
            old = data.draw(st.sampled_from(changeable))
            new = data.draw(st.sampled_from([*names, "New", "Newer"]))
            found.rename(old, new, field=INTENT)
            model = [new if label == old else label for label in model]
        elif kind == "merge":
            some = data.draw(st.lists(st.sampled_from(changeable), min_size=2, max_size=3, unique=True))
            into = data.draw(st.sampled_from([*some, "Newest"]))
            found.merge(some, into=into, field=INTENT)
            model = [into if label in some else label for label in model]
        elif kind == "accept":
            some_ids = data.draw(st.lists(st.sampled_from(ids), min_size=1, max_size=4, unique=True))
            said = {one: data.draw(st.sampled_from([*names, "Own", "-"])) for one in some_ids}
            # A name that was merged away means what it is now.
            merged = found.frame.filter(pl.col("field") == INTENT).explode("merged")
            means = {row["merged"]: row["label"] for row in merged.iter_rows(named=True)}
            means |= {name: name for name in names}
            found.accept(pl.DataFrame({"session_id": list(said), INTENT: list(said.values())}))
            wanted = {one: None if name == "-" else means.get(name, name) for one, name in said.items()}
            model = [wanted.get(one, label) for one, label in zip(ids, model, strict=True)]
        elif kind == "swap":
            one, other = data.draw(st.lists(st.sampled_from(changeable), min_size=2, max_size=2, unique=True))
            between = f"Between {len(history)}"
            found.rename(one, between, field=INTENT)
            history.append(before)
            model = [between if label == one else label for label in model]
            before = (contents(found.run.path), list(model))
            count = len(found.edits)
            found.rename(other, one, field=INTENT)
            model = [one if label == other else label for label in model]
        elif history:
            found.undo()
            restored, model = history.pop()
            assert contents(found.run.path) == restored
        assert given_to(found) == model
        if len(found.edits) > count:
            history.append(before)
    for restored, _ in reversed(history):
        found.undo()
        assert contents(found.run.path) == restored
    assert found.edits.is_empty()
    assert contents(found.run.path) == begin
