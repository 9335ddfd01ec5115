"""Mail addresses and long numbers are masked, and nothing else."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from pages import transcripts_of, written_run

from autoanalyze.report.masking import masked, masked_columns, masked_run, masked_transcripts

CASES = {
    "write to jane.o'doe+x@mail.example.co.uk, please": "write to [mail], please",
    "card 4111 1111 1111 1111": "card [number]",
    "card 4111-1111-1111-1111.": "card [number].",
    "call +49 (0) 151-234 5678 now": "call [number] now",
    "call (555) 123-4567": "call [number]",
    "account 123456": "account [number]",
    "order AY258072": "order AY[number]",
    "born 1990-05-01": "born [number]",
    "12345 stays, so does $833.95 at 12:07": "12345 stays, so does $833.95 at 12:07",
    "3 of 12, 40 and 50": "3 of 12, 40 and 50",
    "user@localhost": "user@localhost",
    "": "",
}


@pytest.mark.parametrize("text", CASES)
def test_what_tells_who_somebody_is_goes(text: str) -> None:
    """In texts and in columns alike; shorter numbers stay."""
    assert masked(text) == CASES[text]
    assert masked_columns(pl.DataFrame({"text": [text]}), "text", "missing")["text"].to_list() == [
        CASES[text]
    ]


def test_a_masked_run_leaves_the_run_as_it_is(tmp_path: Path) -> None:
    """Labels and notes are masked in a copy; labels that become the same are one."""
    run = written_run(tmp_path / "run", ["Account 111111", "Account 222222", "Billing"])
    hidden = masked_run(run)
    assert hidden.sessions["general_intent"].to_list() == ["Account [number]", "Account [number]", "Billing"]
    assert hidden.sessions["notes"][0] == "wrote from [mail]"
    assert hidden.labels["label"].to_list()[0] == "Account [number]"
    assert hidden.sessions["session_id"].equals(run.sessions["session_id"])
    assert run.sessions["general_intent"][0] == "Account 111111"


def test_transcripts_are_masked_as_they_are_read() -> None:
    """Whoever reads them."""
    texts = masked_transcripts(transcripts_of)(["a"])["text"].to_list()
    assert texts[-1] == "My number is [number], or [mail]"
