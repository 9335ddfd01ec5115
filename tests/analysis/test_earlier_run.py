"""Carrying on: next week's figures use this week's names."""

from __future__ import annotations

from pathlib import Path
from shutil import copytree

import polars as pl
import pytest
from fakes import small_config

from autoanalyze.analysis.build import build_analysis
from autoanalyze.analysis.configuration import compose
from autoanalyze.editing.review import accept, undo
from autoanalyze.errors import ConfigurationError
from autoanalyze.study.runs import Run


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """This week's run, with many names."""
    config = small_config(**{"noise.reuse": "0.4", "baseline": "none"})
    return build_analysis(config).run_sync(tmp_path_factory.mktemp("weeks") / "first")


def next_week(first: Run, folder: Path, **changes: str) -> Run:
    settings = {"noise.reuse": "0.4", "baseline": "none", "seed": "8", "vocabulary.from": str(first.path)}
    return build_analysis(small_config(**{**settings, **changes})).run_sync(folder)


def canonical(run: Run, field: str) -> set[str]:
    own = run.labels.filter(pl.col("field") == field)
    return set(own.filter(pl.col("label") == pl.col("canonical"))["label"])


def test_names_and_merges_are_carried_on(first: Run, tmp_path: Path) -> None:
    """Names of the earlier run stay canonical, its aliases are redirected without a question, and labels that
    it did not have are marked as new."""
    second = next_week(first, tmp_path / "second")
    for field in first.record["labels"]:
        before, now = canonical(first, field), canonical(second, field)
        assert before <= now
        own = second.labels.filter(pl.col("field") == field)
        new = set(own.filter(pl.col("origin") == "new")["label"])
        old = set(first.labels.filter(pl.col("field") == field)["label"])
        assert not new & old
        assert set(own.filter(pl.col("origin") == "earlier run")["label"]) <= old
        used = own.filter((pl.col("origin") == "earlier run") & (pl.col("sessions") > 0))
        assert len(used) > 3
    carried = first.merges.filter("merged").select("field", "alias", "canonical")
    kept = second.merges.filter("merged").select("field", "alias", "canonical")
    assert carried.join(kept, on=["field", "alias", "canonical"], how="anti").is_empty()
    aliases = set(carried.select("field", "alias").iter_rows())
    judged = second.merges.filter(pl.col("opinions") > 0).filter(pl.col("proposed_by") != "earlier run")
    assert not aliases & set(judged.select("field", "alias").iter_rows())
    first_prompt = second.calls.filter(pl.col("kind") == "analyze").row(0, named=True)["prompt"]
    assert first_prompt > first.calls.filter(pl.col("kind") == "analyze").row(0, named=True)["prompt"]


@pytest.mark.slow
def test_themes_are_kept_from_week_to_week(tmp_path: Path) -> None:
    """Whoever compares two weeks finds a label in the theme in which it was; new labels get one too."""
    settings = {"noise.reuse": "0.4", "baseline": "none", "vocabulary.themes": "true"}
    week = build_analysis(small_config(**settings)).run_sync(tmp_path / "first")
    assert (week.path / "codebook.parquet").exists()
    second = next_week(week, tmp_path / "second", **{"vocabulary.themes": "true"})
    before, now = (
        {
            (field, label): theme
            for field, label, theme in run.codebook.drop_nulls("theme")
            .select("field", "label", "theme")
            .iter_rows()
        }
        for run in (week, second)
    )
    both = before.keys() & now.keys()
    assert len(both) > 10
    assert all(now[label] == before[label] for label in both)


@pytest.mark.slow
def test_a_third_week_carries_on_from_the_second(first: Run, tmp_path: Path) -> None:
    """What the second run brought is carried on with what it was given."""
    second = next_week(first, tmp_path / "second")
    third = next_week(second, tmp_path / "third", seed="9")
    for field in first.record["labels"]:
        assert canonical(first, field) <= canonical(second, field) <= canonical(third, field)


def test_fixed_labels_are_known_and_never_merged(tmp_path: Path) -> None:
    """Also where the simulated model would call the same thing by its own names."""
    config = small_config(
        **{"vocabulary.fixed.general_intent": "[Claim Status,Progress of Claim]", "baseline": "none"}
    )
    run = build_analysis(config).run_sync(tmp_path / "run")
    fixed = run.labels.filter(pl.col("origin") == "fixed")
    assert fixed["label"].to_list() == ["Claim Status", "Progress of Claim"]
    assert fixed["canonical"].to_list() == fixed["label"].to_list()


def test_what_a_reviewer_decided_is_carried_on(first: Run, tmp_path: Path) -> None:
    """An undone merge stays undone next week, and a chain that a reviewer made leads to its end."""
    reviewed = copytree(first.path, tmp_path / "reviewed")
    merges = first.merges.filter(pl.col("merged") & (pl.col("field") == "general_intent"))
    undone = merges.row(0, named=True)
    undo(reviewed, [undone["merge"]])
    chained = merges.filter(pl.col("canonical") != undone["canonical"]).row(0, named=True)
    end = undone["canonical"]
    frame = pl.DataFrame(
        {"field": ["general_intent"], "alias": [chained["canonical"]], "canonical": [end], "merged": [True]}
    )
    second = next_week(accept(reviewed, frame), tmp_path / "second")
    own = second.merges.filter(pl.col("field") == "general_intent")
    now = {row["alias"]: row["canonical"] for row in own.filter("merged").iter_rows(named=True)}
    assert now.get(undone["alias"]) != undone["canonical"]
    assert now[chained["alias"]] == now[chained["canonical"]] == end
    assert not set(now) & set(now.values())


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"vocabulary.from": "nowhere"}, "no readable run.json"),
        ({"data.bot_id": "other"}, "bots never share"),
        ({"vocabulary.fixed.topic": "[A]"}, "no such label field"),
    ],
)
def test_impossible_beginnings_are_refused(
    first: Run, tmp_path: Path, changes: dict[str, str], complaint: str
) -> None:
    """A folder that is no run, another bot's run, and a field that there is not."""
    with pytest.raises(ConfigurationError, match=complaint):
        next_week(first, tmp_path / "second", **changes)


def test_a_closed_list_takes_no_other_label(first: Run, tmp_path: Path) -> None:
    """Sessions bear labels of the earlier run or none; nothing is judged; and the run repeats."""
    closed = {"vocabulary.closed": "true"}
    second = next_week(first, tmp_path / "second", **closed)
    for field in first.record["labels"]:
        assert set(second.sessions[field].drop_nulls()) <= canonical(first, field)
    assert second.sessions["general_intent"].null_count() < second.sessions.height / 2
    assert second.merges.is_empty()
    assert set(second.calls["kind"]) == {"analyze"}
    again = next_week(first, tmp_path / "again", **closed)
    assert again.sessions.equals(second.sessions)


def test_a_list_is_not_closed_over_nothing(first: Run, tmp_path: Path) -> None:
    """A field without labels, and more labels than an endpoint takes, are told before anything is sent."""
    with pytest.raises(ConfigurationError, match="no labels of general_intent to close over"):
        next_week(first, tmp_path / "none", **{"vocabulary.from": "null", "vocabulary.closed": "true"})
    many = ",".join(f"Label {n}" for n in range(1_001))
    fixed = {f"vocabulary.fixed.{name}": f"[{many}]" for name in first.record["labels"]}
    with pytest.raises(ConfigurationError, match="3,003 labels together"):
        next_week(
            first, tmp_path / "many", **{"vocabulary.from": "null", "vocabulary.closed": "true", **fixed}
        )


def test_from_is_spelled_as_people_would(first: Run) -> None:
    """`vocabulary.from` is `vocabulary.from_run`, which Python can say."""
    assert compose([f"vocabulary.from={first.path}"]).vocabulary.from_run == str(first.path)
