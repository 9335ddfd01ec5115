"""What a page says of a run: no more than its tables."""

from __future__ import annotations

from pathlib import Path

import pytest
from pages import written_run

from autoanalyze.report.content import content
from autoanalyze.report.timeline import timeline
from autoanalyze.report.wording import counted, interval, percent, plural, points, without_folders


def sentences(folder: Path, intents: list[str]) -> str:
    """The headline sentences of a run, without their marks."""
    return " ".join(sentence.striptags() for sentence in content(written_run(folder, intents)).headlines)


def test_a_leader_is_named_where_its_interval_lies_above(tmp_path: Path) -> None:
    """With the intervals beside the shares."""
    told = sentences(tmp_path / "run", ["Billing"] * 80 + ["Claims"] * 20)
    assert "The most frequent general intent is Billing with 80.0% (71.1–86.7%)" in told  # noqa: RUF001
    assert "ahead of Claims with 20.0%" in told


def test_no_leader_is_named_where_intervals_overlap(tmp_path: Path) -> None:
    """Two labels are named instead."""
    told = sentences(tmp_path / "run", ["Billing"] * 11 + ["Claims"] * 9)
    assert "Billing with 55.0%" in told
    assert "either may lead" in told


def test_labels_are_called_handed_over_only_below_all_others(tmp_path: Path) -> None:
    """Their whole interval lies below that of all sessions, and there are enough of them."""
    intents = ["Fine" if place % 2 == 0 or place > 60 else "Trouble" for place in range(200)]
    told = sentences(tmp_path / "run", intents)
    assert "The bot kept fewest of Trouble 0.0%" in told
    few = ["Fine" if place % 2 == 0 or place > 12 else "Trouble" for place in range(200)]
    assert "kept fewest" not in sentences(tmp_path / "few", few)


def test_fields_of_transfers_say_nothing_of_containment(tmp_path: Path) -> None:
    """They could only say nought."""
    assert content(written_run(tmp_path / "run")).ending == {"general_intent"}


def test_reasons_cross_locations_in_any_schema(tmp_path: Path) -> None:
    """The first two fields of transfers alone; with one such field there is no table."""
    run = written_run(tmp_path / "run", ["Billing"] * 24)
    crossing = content(run).crossing
    assert crossing is not None
    assert (crossing.rows_field, crossing.columns_field) == ("transfer_reason", "drop_off_location")
    assert crossing.shown == crossing.known == 12
    assert crossing.most == max(max(counts) for _, counts in crossing.rows)
    own = [{"name": "general_intent", "description": "why.", "applies_to": []}]
    other = content(written_run(tmp_path / "own", settings={"schema": {"fields": own}}))
    assert other.crossing is None
    assert [field.name for field in other.answer.fields] == ["general_intent"]


@pytest.mark.parametrize(
    ("days", "count", "unit", "periods"), [(2, 80, "day", 3), (30, 100, "week", 5), (300, 400, "month", 10)]
)
def test_periods_are_long_enough_to_tell_something(
    tmp_path: Path, days: int, count: int, unit: str, periods: int
) -> None:
    """Days, weeks or months, so that a period has some forty sessions; every session is in one of them."""
    found = timeline(
        written_run(tmp_path / "run", ["Billing"] * count, days=days).sessions, "general_intent", ["Billing"]
    )
    assert found is not None
    assert found.unit == unit
    assert len(found.rows) == len(found.bars) == periods
    assert sum(int(row[1]) for row in found.rows) == count


@pytest.mark.parametrize("days", [0, 0.1], ids=["no times", "one day"])
def test_without_two_periods_there_is_nothing_over_time(tmp_path: Path, days: int) -> None:
    """No empty panel."""
    assert content(written_run(tmp_path / "run", ["Billing"] * 9, days=days)).timeline is None


def test_empty_periods_are_gaps(tmp_path: Path) -> None:
    """A period without sessions has a bar of nothing, and no share."""
    run = written_run(tmp_path / "run", ["Billing"] * 4, days=40)
    found = timeline(run.sessions, "general_intent", ["Billing"])
    assert found is not None
    assert ("0", "–") in [row[1:3] for row in found.rows]  # noqa: RUF001


def test_what_was_not_labelled_has_its_reasons(tmp_path: Path) -> None:
    """The most frequent first, without folders of this machine."""
    errors = ["missing from 's12'", "missing from 's7'", "no file /home/somebody/x.json"]
    found = content(written_run(tmp_path / "run", errors=errors))
    assert found.reasons == (("missing from 's12'", 2), ("no file x.json", 1))
    assert "3 of 6 sessions could not be labelled" in found.headlines[-1].striptags()


def test_a_run_without_a_single_label_has_a_page(tmp_path: Path) -> None:
    """It says that nothing could be labelled."""
    found = content(written_run(tmp_path / "run", [], errors=["busy"], status="failed"))
    assert found.title == "What 0 conversations were about"
    assert found.answer.caveats.keys() == {"simulated", "partial"}


def test_how_it_was_made_names_no_folder_of_this_machine(tmp_path: Path) -> None:
    """Only the last name of the store, and of the run."""
    made = dict(content(written_run(tmp_path / "run")).made)
    assert made["Sessions from"] == "store.duckdb"
    assert made["Run"] == "run"
    assert "somebody" not in str(made)
    assert str(tmp_path) not in str(made)


def test_words_are_said_as_a_person_says_them() -> None:
    """Counts, plurals, shares, points and paths."""
    assert counted(1, "reply") == "1 reply"
    assert counted(1200, "reply") == "1,200 replies"
    assert plural("day") == "days"
    assert (percent(0.1234), percent(None), interval(0.1, 0.2)) == ("12.3%", "–", "10.0–20.0%")  # noqa: RUF001
    assert (points(0.0123), points(-0.02), points(-0.0001)) == ("+1.2", "−2.0", "0.0")  # noqa: RUF001
    assert without_folders("read C:\\Users\\x\\a.csv and ~/b/c.csv") == "read a.csv and c.csv"
    assert without_folders("https://api.example.com/v1/chat") == "https://api.example.com/v1/chat"
