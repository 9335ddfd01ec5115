"""The chapter on labels that two authors wrote: its data, its joint sets, and its quick form."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest

ROOT = Path(__file__).parents[2]
CHAPTER = ROOT / "experiments" / "duplicates_by_hand"


@pytest.fixture(scope="module")
def sets() -> ModuleType:
    """The module that reads the label sets."""
    spec = importlib.util.spec_from_file_location("label_sets_by_hand", CHAPTER / "sets.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_two_authors_wrote_more_than_300_labels_in_five_domains_each(sets: ModuleType) -> None:
    """No label stands twice in a set, and pairs of matters name matters that have labels."""
    found = sets.label_sets()
    single = [one for one in found if one.kind == sets.ONE]
    assert sum(one.count for one in single) >= 300
    assert {author: sum(one.author == author for one in single) for author in sets.AUTHORS} == dict.fromkeys(
        sets.AUTHORS, 5
    )
    for one in found:
        assert one.planted(1).concepts == {label: m for m, labels in one.groups.items() for label in labels}
        assert set(one.guarded) <= set(one.twins)


def test_third_reader_names_matters_that_exist(sets: ModuleType) -> None:
    """What is said to be one across sets, and of guarded kinds, was written by the authors."""
    single = {one.name: one for one in sets.label_sets() if one.kind == sets.ONE}
    read = sets.read_by_a_third(sets.LABELS)
    for matters in (*read["same_matters"], *read["look_alikes"]):
        for name, matter in map(sets.split, matters):
            assert matter in single[name].groups
    assert set(read["guarded"]) <= {*single, sets.SHARED}


def test_joint_sets_know_which_matters_are_one(sets: ModuleType, tmp_path: Path) -> None:
    """By the third reader, or by a label of one spelling, which is kept once; other matters stay apart."""
    a = {"refund": ["Refund", "Money Back"], "login": ["Login Problem"], "fee": ["Late Fee"]}
    b = {"repayment": ["Reimbursement"], "login": ["Sign-In Trouble"], "access": ["Problem Login"]}
    for author, groups in (("author_a", a), ("author_b", b)):
        content = {"groups": groups, "look_alikes": [list(groups)[:2]], "broader": []}
        written = {"author": author, "domains": {"shop": content}}
        (tmp_path / f"{author}.json").write_text(json.dumps(written), encoding="utf-8")
    read = {
        "same_matters": [["author_a/shop/refund", "author_b/shop/repayment"]],
        "look_alikes": [["author_a/shop/fee", "author_b/shop/access"]],
        "guarded": {},
    }
    (tmp_path / "read_by_a_third.json").write_text(json.dumps(read), encoding="utf-8")
    both = next(one for one in sets.label_sets(tmp_path) if one.kind == sets.BOTH)
    assert sorted(both.groups.values()) == [
        ("Late Fee",),
        ("Login Problem",),
        ("Refund", "Money Back", "Reimbursement"),
        ("Sign-In Trouble",),
    ]
    assert set(both.twins.values()) == {sets.ALIKE}
    assert len(both.twins) == 3


def test_chapter_shows_its_results() -> None:
    """Its tables are those of its results, from two seeds or more and a clean commit."""
    told = json.loads((CHAPTER / "provenance.json").read_text(encoding="utf-8"))
    assert told["git"]["dirty"] is False
    assert told["seeds"] >= 2
    chapter = (CHAPTER / "README.md").read_text(encoding="utf-8")
    shown = chapter.partition("<!-- results -->\n")[2].partition("\n\n![")[0]
    assert len(shown) > 1_000
    assert (CHAPTER / "table.md").read_text(encoding="utf-8").startswith(shown)
    assert "TODO" not in chapter


@pytest.mark.slow
def test_duplicates_by_hand_are_measured_anywhere(tmp_path: Path) -> None:
    """The quick form measures three sets, and leaves the lab book as it is."""
    before = (CHAPTER / "table.md").read_bytes()
    command = [sys.executable, str(CHAPTER / "measure.py"), "--quick", "--into", str(tmp_path / "book")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert (CHAPTER / "table.md").read_bytes() == before
    results = pl.read_parquet(tmp_path / "book" / "results.parquet")
    assert results["set"].n_unique() == 3
    judged = results.filter(way="blocks", judge="2 %")
    assert int(judged["found"].sum()) > 0.8 * int(judged["planted"].sum()) > 0
    assert (tmp_path / "book" / "figure.png").exists()
