"""The live experiment: over a socket, within its budget, with pairs that are drawn blind and read back."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import polars as pl
import pytest
import yaml
from run_folders import FIELD, write_run
from test_local_servers import served

from autoanalyze.analysis.build import build_endpoint
from autoanalyze.analysis.configuration import compose
from autoanalyze.cli.commands import main
from autoanalyze.errors import InputError
from autoanalyze.laboratory.points import EndedPoint, ended_points
from autoanalyze.study.runs import Run, load_run

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "experiments" / "live"), str(ROOT / "experiments")]

import compare  # type: ignore[import-not-found]  # noqa: E402  # lies beside the experiment
import judged  # type: ignore[import-not-found]  # noqa: E402
import pairs  # type: ignore[import-not-found]  # noqa: E402
import run as book  # type: ignore[import-not-found]  # noqa: E402

EXPERIMENT = yaml.safe_load((ROOT / "configs" / "experiment" / "live.yaml").read_text(encoding="utf-8"))
CHAPTER = ROOT / "experiments" / "live" / "README.md"
SESSIONS, AT_ONCE = 40, ("noise.first_token_seconds=0.001", "noise.tokens_per_second=1000000")
PRICES = ("model.price_prompt=0.4", "model.price_cached=0.1", "model.price_completion=1.6")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A simulated model behind a real socket."""
    with served(cast("Any", build_endpoint(compose([f"data.count={SESSIONS}", *AT_ONCE])))) as address:
        yield address


def sweep_of(url: str, into: Path, *more: str) -> int:
    """Exit code of the experiment on few sessions against a server of this machine that bills its tokens."""
    few = (f"data.count={SESSIONS}", "seed=1", "token_counter=estimate", f"hydra.sweep.dir={into}")
    command = ["run", "experiment=live", f"endpoint={url}", "model=gpt-4o-mini", *few, *PRICES, *more]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["autoanalyze", *command])
        with pytest.raises(SystemExit) as ended:
            main()
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def sweep(url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep over the socket."""
    folder = tmp_path_factory.mktemp("live")
    assert sweep_of(url, folder) == 0
    return folder


def test_nine_runs_together_keep_to_a_dollar() -> None:
    """Their caps add up to no more, and to no more than a sweep may cost unasked."""
    sweeper = EXPERIMENT["hydra"]["sweeper"]
    assert (runs := len(sweeper["cases"]) * len(sweeper["params"]["seed"].split(","))) == 9
    assert runs * EXPERIMENT["budget_usd"] <= min(1.0, EXPERIMENT["confirm_above_usd"])
    assert not any("launcher" in str(default) for default in EXPERIMENT.get("defaults", []))


@pytest.mark.slow
def test_runs_over_a_socket(sweep: Path, url: str) -> None:
    """Every case labels everything at the endpoint that was named, and pays less than its share."""
    records = [load_run(point.folder).record for point in ended_points(sweep)]
    assert [record["endpoint"] for record in records] == [url] * 3
    for record in records:
        assert record["sessions"]["labelled"] == SESSIONS
        assert 0 < record["paid"]["cost_usd"] < record["config"]["budget_usd"]


@pytest.mark.slow
def test_a_cap_that_is_too_low_is_never_exceeded(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run stops before, and says how to go on."""
    assert sweep_of(url, tmp_path / "sweep", "case=default", "budget_usd=0.004") == 1
    assert "autoanalyze resume" in capsys.readouterr().err
    (point,) = ended_points(tmp_path / "sweep")
    paid = json.loads((Path(point.folder) / "run.json").read_text())["paid"]
    assert 0 < paid["cost_usd"] + paid["uncertain_usd"] <= 0.004


@pytest.mark.slow
def test_runs_are_compared_and_the_title_says_on_what(sweep: Path, tmp_path: Path) -> None:
    """The chapter that nobody has run yet says so until then; hypotheses are decided or open."""
    text = CHAPTER.read_text(encoding="utf-8")
    (tmp_path / "README.md").write_text(
        text.replace(text.split("\n")[0], "# Not yet run on a live model.", 1)
    )
    assert compare.tell(sweep, tmp_path).count("| sequential |") == 1 + 3
    chapter = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert chapter.startswith("# Run on gpt-4o-mini at http://127.0.0.1:")
    assert "H1: default, worst field: B-cubed F1, within 1 point" in chapter
    assert pl.read_parquet(tmp_path / "runs.parquet")["repeated"].count() == 0  # there is one seed
    assert (tmp_path / "provenance.json").exists()


def test_without_truth_agreement_is_compared() -> None:
    """Where nothing is known to be right, default is held against what sequential does twice."""
    rows = [
        {"case": case, "seed": seed, "f1": None, "repeated": 0.9, "with_sequential": alike, "seconds": 1.0}
        for case, alike in (("sequential", None), ("design", 0.7), ("default", 0.9))
        for seed in (1, 2, 3)
    ]
    told = compare.decided(pl.DataFrame(rows, schema_overrides={"f1": pl.Float64}))
    lines = [line for line in told.splitlines() if "agreement with sequential" in line]
    assert [line.split(" | ")[-1] for line in lines] == ["equivalent |", "open |"]


@pytest.mark.slow
def test_pairs_are_blind_stratified_and_the_same_every_time(sweep: Path, tmp_path: Path) -> None:
    """The person's file tells no decision; the key has each pair once, and says of how many it is one."""
    for name in ("one", "two"):
        pairs.write_pairs(sweep, tmp_path / name, wanted=40)
    one, two = tmp_path / "one", tmp_path / "two"
    assert (one / pairs.PAIRS).read_bytes() == (two / pairs.PAIRS).read_bytes()
    shown, known = pl.read_csv(one / pairs.PAIRS, infer_schema=False), pl.read_parquet(one / pairs.KEY)
    assert tuple(shown.columns) == pairs.HEADINGS
    assert set(shown[pairs.ANSWER]) == {""}
    assert shown["notes on one"].str.len_chars().min() > 0  # type: ignore[operator]
    assert shown["pair"].to_list() == [str(number) for number in range(1, 41)]
    assert shown["label one"].to_list() == known["one"].to_list()
    sizes = pairs.sizes(dict(known.select("stratum", "of").iter_rows()), 40)
    assert dict(pairs.by_stratum(known)) == sizes
    assert known["stratum"].to_list() != sorted(known["stratum"])
    assert 0 < (known["one"] > known["two"]).sum() < 40


@pytest.mark.slow
def test_pairs_that_are_there_are_kept(sweep: Path, tmp_path: Path) -> None:
    """Answers may stand in them; those of other runs are not taken for these."""
    assert "instead of 100,000" in pairs.write_pairs(sweep, tmp_path, wanted=100_000)
    (tmp_path / pairs.PAIRS).write_text("answers")
    assert "stays as it is" in pairs.write_pairs(sweep, tmp_path)
    assert (tmp_path / pairs.PAIRS).read_text() == "answers"
    with pytest.raises(InputError, match=r"other runs.*--force"):
        pairs.write_pairs(sweep, tmp_path, case="design")
    with pytest.raises(InputError, match=r"no finished run .*autoanalyze run experiment=live"):
        pairs.write_pairs(tmp_path / "nowhere")


def by_hand(folder: Path, labels: dict[str, str], ledger: list[tuple[str, str]]) -> Run:
    """A run that gave names, with what each became, and pairs that its ledger has."""
    names = list(labels)
    given = {"field": FIELD, "label": names, "canonical": list(labels.values()), "sessions_first": 1}
    merges = pl.DataFrame(ledger, schema=dict.fromkeys(("alias", "canonical"), pl.String), orient="row")
    merges = merges.with_columns(field=pl.lit(FIELD), review=pl.lit(None, pl.String))
    fields = {"fields": [{"name": FIELD, "labels": []}, {"name": "closed", "labels": ["A"]}]}
    tables = {"labels": pl.DataFrame(given), "merges": merges}
    return load_run(write_run(folder, tables, settings={"schema": fields}))


def test_strata_of_pairs(tmp_path: Path) -> None:
    """By what became of both names, the ledger, and their spelling; a pair counts as its first run had it."""
    one = by_hand(
        tmp_path / "1",
        {"Refund": "Refund", "Money Back": "Refund", "Refunds Late": "Refunds Late", "Bill": "Bill"},
        [("Refunds Late", "Refund")],
    )
    two = by_hand(tmp_path / "2", {"Bill": "Refund", "Refund": "Refund", "Bills Paid": "Bills Paid"}, [])
    found = pairs.population([one, two]).sort("one", "two")
    assert {(one, two): stratum for _, _, one, two, stratum in found.iter_rows()} == {
        ("Bill", "Bills Paid"): pairs.NEAR,
        ("Bill", "Money Back"): pairs.OTHERS,
        ("Bill", "Refund"): pairs.OTHERS,
        ("Bill", "Refunds Late"): pairs.OTHERS,
        ("Bills Paid", "Refund"): pairs.OTHERS,
        ("Money Back", "Refund"): pairs.MERGED,
        ("Money Back", "Refunds Late"): pairs.OTHERS,
        ("Refund", "Refunds Late"): pairs.APART,
    }


KEY = pl.DataFrame(
    {
        "pair": range(1, 11),
        "one": [f"=A{n}" for n in range(1, 11)],
        "two": [f"B{n}" for n in range(1, 11)],
        "stratum": [pairs.MERGED] * 4 + [pairs.APART] * 2 + [pairs.NEAR] * 2 + [pairs.OTHERS] * 2,
        "of": [40] * 4 + [2] * 2 + [10] * 2 + [100] * 2,
        "case": "default",
        "model": "m",
        "endpoint": "http://x/v1",
    },
    schema_overrides={"pair": pl.Int64},
)
WORDS = ["yes", "Yes ", "yes", "broader", "no", "no", "yes", "no", "no", ""]


def sheet(path: Path, answers: list[str], separator: str = ",", **changed: Any) -> Path:
    """A judged file as a spreadsheet leaves it."""
    columns = {"pair": KEY["pair"], "label one": "'" + KEY["one"], "label two": KEY["two"]}
    frame = pl.DataFrame({**columns, pairs.ANSWER: answers, **changed})
    frame.write_csv(path, separator=separator, include_bom=True)
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_precision_and_recall_by_hand(tmp_path: Path, separator: str) -> None:
    """3 of 4 merged are the same: 30 of 40. 0 of 2 and 5 of 10 were missed: recall 30 / 35."""
    answered = judged.read_judged(sheet(tmp_path / "pairs.csv", WORDS, separator), KEY)
    found = judged.results(answered).filter(pl.col("same means") == "yes alone")
    assert found["value"].to_list() == pytest.approx([0.75, 30 / 35, 30 / 35])
    # Wilson's ends of 3 in 4; then those of 1 in 2, and of 0 in 2.
    low, high, missed, apart_high = 0.300642, 0.954413, 10 * (0.5 - 0.094531), 2 * 0.657620
    assert found.row(0)[-2:] == pytest.approx((low, high), abs=1e-5)
    expected = (
        40 * low / (40 * low + 5 + (apart_high**2 + missed**2) ** 0.5),
        40 * high / (40 * high + 5 - missed),
    )
    assert found.row(1)[-2:] == pytest.approx(expected, abs=1e-5)
    assert found["low"][2] < found["low"][1]  # the 100 others weigh
    assert judged.results(answered)["value"][3] == 1.0  # the broader one counts too


def test_judged_pairs_go_into_the_chapter(tmp_path: Path) -> None:
    """Between its marks, and nowhere for simulated runs."""
    (tmp_path / "README.md").write_text("# T\n<!-- pairs -->\nNone yet.\n<!-- /pairs -->\nend\n")
    KEY.write_parquet(tmp_path / pairs.KEY)
    judged.tell(path := sheet(tmp_path / "pairs.csv", WORDS), tmp_path / pairs.KEY, tmp_path)
    chapter = (tmp_path / "README.md").read_text()
    assert "9 of 10 pairs judged, of the case default, m (http://x/v1)" in chapter
    assert "| precision | 0.750 [0.301, 0.954] |" in chapter
    assert "H4, precision at least 0.90: open." in chapter
    assert chapter.endswith("<!-- /pairs -->\nend\n")
    KEY.with_columns(endpoint=pl.lit("simulated-1")).write_parquet(tmp_path / pairs.KEY)
    assert "the chapter stays as it is" in judged.tell(path, tmp_path / pairs.KEY, None)


@pytest.mark.parametrize(
    ("answers", "changed", "said"),
    [
        (["maybe", *WORDS[1:]], {}, r"line 2: 'maybe' is no answer: write yes, no, broader, narrower"),
        ([""] * 10, {}, "has no answer yet: fill the column"),
        (WORDS, {"pair": [*range(1, 10), 99]}, "line 11: there is no pair '99': they are 1 to 10"),
        (WORDS, {"pair": [*range(1, 10), 9]}, "pair 9 stands there twice: leave one"),
        (WORDS, {"label two": ["C"] * 10}, "other labels than when it was drawn: give the key"),
    ],
)
def test_what_is_wrong_with_a_judged_file_is_said(
    tmp_path: Path, answers: list[str], changed: dict[str, Any], said: str
) -> None:
    """With the line, and what to do."""
    with pytest.raises(InputError, match=said):
        judged.read_judged(sheet(tmp_path / "pairs.csv", answers, **changed), KEY)


def test_files_that_are_none_are_said(tmp_path: Path) -> None:
    """A column that is gone, another encoding, no key, no chapter."""
    path = sheet(tmp_path / "pairs.csv", WORDS)
    with pytest.raises(InputError, match="give the file that was drawn together"):
        judged.tell(path, tmp_path / "nothing.parquet", None)
    KEY.write_parquet(tmp_path / pairs.KEY)
    with pytest.raises(InputError, match="give the folder of a chapter"):
        judged.tell(path, tmp_path / pairs.KEY, tmp_path)
    pl.read_csv(path).drop(pairs.ANSWER).write_csv(path)
    with pytest.raises(InputError, match=r"has no column 'same.*keep the headings"):
        judged.read_judged(path, KEY)
    path.write_bytes("pair;é".encode("latin-1"))
    with pytest.raises(InputError, match="save it as `CSV UTF-8`"):
        judged.read_judged(path, KEY)


def test_names_that_are_formulas_are_guarded(tmp_path: Path) -> None:
    """A spreadsheet opens the file without harm."""
    run = by_hand(tmp_path / "run", {"=HYPERLINK(1)": "B", "B": "B"}, [])
    sessions = {"session_id": ["a"], "status": "labelled", f"{FIELD}_first": "B", "notes": "@x"}
    pl.DataFrame(sessions).write_parquet(run.path / "sessions.parquet")
    EndedPoint(0, 0, {"case": "default", "seed": 1}, str(run.path), "done").write(tmp_path)
    assert "1 pairs of labels (simulated), instead of 300" in pairs.write_pairs(tmp_path)
    written = (tmp_path / pairs.PAIRS).read_text(encoding="utf-8-sig")
    assert '"\'=HYPERLINK(1)"' in written
    assert '"\'@x"' in written


def test_nothing_is_paid_unasked() -> None:
    """Without names the live experiment is left out; simulated it is not; and it says what it needs."""
    assert ["live" in book.unasked(quick=quick) for quick in (False, True)] == [False, True]
    assert "give endpoint=openai" in book.objection([])
    there = ["endpoint=http://10.0.0.1/v1", "model=generic", "model.name=local", "token_counter=estimate"]
    assert book.objection(there) is None
    assert "choose a cheaper model" in book.objection([*there, "model.price_completion=100", *PRICES[:2]])


def test_the_chapter_says_that_nobody_has_run_it() -> None:
    """Until somebody has: then its tables are filled and its title says on what."""
    chapter, run = CHAPTER.read_text(encoding="utf-8"), (CHAPTER.parent / "runs.parquet").exists()
    assert chapter.startswith("# Not yet run on a live model.\n") != run
    assert ("<!-- runs -->\nNone yet.\n" in chapter) != run
