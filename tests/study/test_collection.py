"""Many runs as one: what can be asked of them, and what stands in the tables."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest
from run_folders import FIELD, write_run

import autoanalyze
from autoanalyze.errors import InputError, RunFolderError
from autoanalyze.study.collection import VIEWS, runs


@pytest.fixture
def two() -> Path:
    """Two runs below `outputs`, one with truth and a label field of its own, from another version."""
    write_run(Path("outputs/2026-05-01/first"))
    truth = pl.DataFrame({"session_id": ["a"], "field": ["reason"], "concept": ["Angry"]})
    other = pl.DataFrame({"session_id": ["c"], "reason": ["Angry"], "tokens": [9]})
    settings = {"parallel": {"streams": 16}, "new_setting": True}
    write_run(Path("outputs/2026-05-02/second"), {"sessions": other, "truth": truth}, settings=settings)
    return Path("outputs")


def test_damage_inside_a_file_is_named(two: Path) -> None:
    """A table whose head is broken is found when it is wanted, and not before."""
    path = two / "2026-05-01/first/sessions.parquet"
    path.write_bytes(b"PAR1" + b"x" * 50 + b"PAR1")
    found = runs(two)
    assert found.frame("labels").height == 2
    with pytest.raises(RunFolderError, match=r"first/sessions\.parquet is damaged"):
        found.frame("sessions")
    with pytest.raises(RunFolderError, match=r"first/sessions\.parquet is damaged"):
        found.sql("SELECT * FROM sessions")
    with pytest.raises(InputError, match="damaged"):
        found.sql("SELECT nothing FROM labels")


def test_folder_without_runs_is_an_empty_collection() -> None:
    """Nothing found is a note, and every view is there without rows."""
    Path("empty").mkdir()
    found = runs("empty")
    assert len(found) == 0
    assert found.skipped[0].reason == "no run is in it"
    assert "0 runs" in repr(found)
    assert "0 runs" in found._repr_html_()
    assert "outputs" in runs().skipped[0].path
    for view in VIEWS:
        assert found.frame(view).is_empty()
        assert found.sql(f"SELECT count(*) AS n FROM {view}")["n"].to_list() == [0]


def test_tables_are_united_by_name(two: Path) -> None:
    """Runs with other fields and other versions stand in one table; what one lacks is null."""
    frame = runs(two).frame("sessions")
    assert frame["run"].to_list() == ["outputs/2026-05-01/first"] * 2 + ["outputs/2026-05-02/second"]
    assert set(frame.columns) == {"run", "session_id", "status", FIELD, "reason", "tokens"}
    assert frame["reason"].to_list() == [None, None, "Angry"]
    assert frame.columns[0] == "run"


def test_tables_whose_types_differ_are_united() -> None:
    """Where versions wrote a column differently, the wider type holds both, run by run."""
    for number, kind in enumerate((pl.Int64, pl.Float64, pl.Null, pl.Int64)):
        value = pl.Series([None if kind == pl.Null else number], dtype=kind)
        write_run(Path(f"outputs/{number}"), {"rounds": pl.DataFrame({"round": value})})
    frame = runs("outputs").frame("rounds")
    assert frame["round"].to_list() == [0, 1, None, 3]
    assert frame["run"].to_list() == [f"outputs/{number}" for number in range(4)]


def test_frames_and_queries_give_the_same(two: Path) -> None:
    """SQL, Polars and pandas see the same rows of every view; each row names its run."""
    found = runs(two)
    for view in VIEWS:
        frame = found.frame(view)
        assert frame.columns[0] == "run"
        assert frame["run"].null_count() == 0
        assert found.sql(f"FROM {view}").sort(frame.columns[:3]).equals(frame.sort(frame.columns[:3]))
        assert len(found.pandas(view)) == frame.height
        assert found.connection.sql(f"SELECT count(*) FROM {view}").fetchall() == [(frame.height,)]


def test_runs_view_has_a_row_per_run(two: Path) -> None:
    """Settings, figures and the first scored field are columns of plain names; times are UTC."""
    first, second = runs(two).frame("runs").rows(named=True)
    assert (first["streams"], second["streams"]) == (8, 16)
    assert str(first["started"]) == "2026-05-01 10:00:00"
    expected = {"seconds": 1.5, "sync": "rounds", "data_count": 2, "sessions_unresolved": 1}
    expected |= {"tokens_prompt": 900, "speedup": 2.5, "field": FIELD, "consistency": 0.9, "precision": 0.9}
    assert expected.items() <= first.items()
    asked = runs(two).sql("SELECT config->>'$.new_setting' AS new FROM runs ORDER BY run")
    assert asked["new"].to_list() == [None, "true"]


def test_runs_of_other_versions_have_nulls() -> None:
    """What a record does not hold, or holds in another form, is null instead of an error."""
    write_run(
        Path("outputs/old"), config=None, metrics={}, wall={"started": "long ago"}, calls="many", git=None
    )
    (row,) = runs("outputs").frame("runs").rows(named=True)
    assert all(row[name] is None for name in ("streams", "started", "calls", "consistency", "field"))
    assert "outputs/old" in runs("outputs")._repr_html_()


def test_scores_are_long(two: Path) -> None:
    """A row per run, field and measure, with its interval."""
    asked = runs(two).sql("SELECT * FROM scores WHERE measure = 'consistency'")
    assert asked["value"].to_list() == [0.9, 0.9]
    assert asked.columns == ["run", "field", "measure", "value", "low", "high"]


def test_calls_are_the_answered_ones(two: Path) -> None:
    """Calls come from the journals, without the replies."""
    frame = runs(two).frame("calls")
    assert frame["prompt"].to_list() == [900, 900]
    assert frame["model"].unique().to_list() == ["test-model"]
    assert "reply" not in frame.columns


def test_queries_may_be_written_in_any_way(two: Path) -> None:
    """Capitals, common table expressions, joins and SHOW TABLES find the views; asking again works."""
    found = runs(two)
    assert (
        found.sql('WITH s AS (FROM SESSIONS) SELECT count(*) AS n FROM s JOIN "runs" USING (run)')["n"][0]
        == 3
    )
    assert found.sql("SHOW TABLES")["name"].to_list() == sorted(VIEWS)
    assert found.sql("SELECT 1 AS one FROM truth")["one"].to_list() == [1]
    assert found.sql("SELECT 1 AS one FROM truth")["one"].to_list() == [1]


@pytest.mark.parametrize("query", ["SELECT nope FROM sessions", "SELEC", "SELECT * FROM nowhere"])
def test_queries_that_cannot_be_answered_name_the_columns(two: Path, query: str) -> None:
    """What is wrong is said with the views and their columns."""
    with pytest.raises(InputError, match=re.escape(query)) as raised:
        runs(two).sql(query)
    assert "sessions: run, session_id, status" in str(raised.value)


def test_statement_without_an_answer_is_refused(two: Path) -> None:
    """An empty query is told what to give."""
    with pytest.raises(InputError, match="give a SELECT"):
        runs(two).sql("")


def test_queries_may_join_the_runs_with_a_file_of_ones_own(two: Path) -> None:
    """A query is the person's own, and DuckDB's: what that can read can be asked beside the runs."""
    found = runs(two)
    names = found.frame("runs").select("run").with_columns(team=pl.lit("claims"))
    names.write_csv("teams.csv")
    joined = found.sql("SELECT run, team FROM runs JOIN 'teams.csv' USING (run)")
    assert joined["team"].to_list() == ["claims"] * len(found)


def test_views_that_do_not_exist_are_refused(two: Path) -> None:
    """The message names those that do."""
    with pytest.raises(InputError, match="sessions, labels"):
        runs(two).frame("session")


def test_runs_are_taken_by_place_folder_or_slice(two: Path) -> None:
    """A collection is a sequence of `Run`, and knows its runs by their folders, however spelled."""
    found = autoanalyze.runs(two)
    assert len(found) == len(list(found)) == 2
    assert found[-1].path == found["outputs/2026-05-02/second"].path
    assert found[Path.cwd() / "outputs/2026-05-01/../2026-05-01/first"].path == found[0].path
    assert [str(run.path) for run in found[1:]] == ["outputs/2026-05-02/second"]
    with pytest.raises(IndexError):
        _ = found[2]
    with pytest.raises(RunFolderError, match="none of these 2 runs"):
        _ = found["outputs/third"]


def test_notebook_shows_what_differs_and_escapes_it(two: Path) -> None:
    """The table has a column per differing setting; text of users cannot become markup."""
    write_run(Path("outputs/<script>"), settings={"context": "<script>alert(1)</script>"})
    shown = runs(two)._repr_html_()
    for heading in ("parallel.streams", "new_setting", "context", "consistency", "precision"):
        assert f">{heading}</th>" in shown
    assert "<script>" not in shown
    assert "data.count" not in shown


def test_long_collections_show_their_beginning() -> None:
    """Fifty runs are shown, the rest is counted."""
    for number in range(52):
        write_run(Path(f"outputs/{number}"))
    found = runs("outputs")
    assert "and 2 more" in repr(found)
    assert "the first 50 are shown" in found._repr_html_()
    assert "outputs/51" not in found._repr_html_()


@pytest.mark.slow
def test_many_sessions_are_read_together(capsys: pytest.CaptureFixture[str]) -> None:
    """A hundred thousand sessions of fifty runs are one frame and one query; how long it took is printed."""
    import time

    rows = pl.DataFrame({"session_id": [f"s{n}" for n in range(2_000)], FIELD: ["a", "b"] * 1_000})
    for number in range(50):
        write_run(Path(f"outputs/{number}"), {"sessions": rows})
    began = time.perf_counter()
    found = runs("outputs")
    looked = time.perf_counter()
    assert found.frame("sessions").height == 100_000
    read = time.perf_counter()
    asked = found.sql(f"SELECT run, {FIELD}, count(*) AS n FROM sessions GROUP BY ALL")
    assert asked["n"].unique().to_list() == [1_000]
    with capsys.disabled():
        times = (looked - began, read - looked, time.perf_counter() - read)
        print("\nruns(...) {:.3f} s, frame {:.3f} s, GROUP BY {:.3f} s".format(*times))
