"""What changed from one run to another, and how surely."""

from __future__ import annotations

from pathlib import Path

import pytest
from pages import written_run

from autoanalyze.report.comparison import Comparison, comparison
from autoanalyze.report.page import write_comparison


def compared(folder: Path, before: dict[str, int], after: dict[str, int]) -> Comparison:
    """Two runs with so many sessions of each label."""
    first, second = (
        written_run(
            folder / name, [label for label, count in counts.items() for _ in range(count)], ids=name + "-{}"
        )
        for name, counts in (("week1", before), ("week2", after))
    )
    return comparison(first, second)


def words(found: Comparison) -> dict[str, tuple[str, bool]]:
    """What is said of each intent, and whether it holds against all labels at once."""
    return {row["label"]: (row["word"], row["sure"]) for row in found.fields[0].labels.iter_rows(named=True)}


def test_changes_are_told_from_chance(tmp_path: Path) -> None:
    """Labels rise, fall, come and go; what chance can do is not called a change."""
    before = {"Billing": 300, "Claims": 100, "Cards": 80, "Old": 60, "Same": 100, "Rare": 1}
    after = {"Billing": 150, "Claims": 220, "Cards": 85, "New": 70, "Same": 100}
    found = compared(tmp_path, before, after)
    assert words(found) == {
        "Billing": ("fell", True),
        "Claims": ("rose", True),
        "Cards": ("", False),
        "Same": ("", False),
        "Old": ("gone", True),
        "New": ("new", True),
        "Rare": ("gone", False),
    }
    told = [sentence.striptags() for sentence in found.headlines]
    assert any(one.startswith("General intent: rose Claims from 15.6% to 35.2%") for one in told)
    assert any(one.startswith("General intent: gone is Old") for one in told)
    assert "Rare" not in str(told)


def test_many_labels_at_once_need_more(tmp_path: Path) -> None:
    """An interval that leaves out zero by itself is not sure among many."""
    others = {f"Label {place}": 20 for place in range(20)}
    found = compared(tmp_path, {"Billing": 40, **others}, {"Billing": 64, **others})
    assert words(found)["Billing"] == ("rose", False)
    assert "General intent: no label changed by more than chance can do." in [
        s.striptags() for s in found.headlines
    ]


def test_other_names_are_not_called_changes(tmp_path: Path) -> None:
    """Where common labels cover too few sessions, no single label is spoken of."""
    found = compared(tmp_path, {"Claim Status": 100, "Same": 20}, {"Claim Progress": 100, "Same": 20})
    assert not found.fields[0].named_alike
    assert found.fields[0].covered == pytest.approx(40 / 240)
    told = " ".join(sentence.striptags() for sentence in found.headlines)
    assert "labels that both runs have cover only 17% of the sessions" in told
    assert "Claim" not in told


def test_differences_have_intervals_around_them(tmp_path: Path) -> None:
    """Also where a label is in none or all of a run's sessions."""
    found = compared(tmp_path, {"Billing": 5}, {"Billing": 3, "Claims": 4})
    for row in found.fields[0].labels.iter_rows(named=True):
        assert -1 <= row["low"] <= row["difference"] <= row["high"] <= 1
    assert found.contained["low"] is not None


def test_the_page_says_what_differs_in_the_making(tmp_path: Path) -> None:
    """Settings, without folders; sessions that both have; caveats of either."""
    first = written_run(tmp_path / "a" / "run", seed=7, endpoint="https://api.example.com/v1")
    settings = {"sync": "rounds", "parallel": {"streams": 16}, "context": "</script><b>"}
    second = written_run(tmp_path / "b" / "run", seed=8, settings=settings)
    found = comparison(first, second)
    assert found.names == ("a/run", "b/run")
    assert found.overlap == 3
    assert ("parallel.streams", "8", "16") in found.settings
    text = write_comparison(first, second, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Simulated figures." in text
    assert "3 sessions are in both runs" in text
    assert "&lt;/script&gt;&lt;b&gt;" in text
    assert str(tmp_path) not in text
    assert "somebody" not in text
    assert "<script" not in text


def test_a_run_without_labels_can_be_compared(tmp_path: Path) -> None:
    """Nothing is claimed of it."""
    found = compared(tmp_path, {}, {"Billing": 3})
    assert found.contained["value"] is None
    assert found.fields[0].labels["low"].to_list() == [None]
    first, second = (written_run(tmp_path / name, []) for name in ("c", "d"))
    assert "What changed" in write_comparison(first, second, tmp_path / "x.html").read_text(encoding="utf-8")
