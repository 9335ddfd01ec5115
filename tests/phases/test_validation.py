"""Which parts of a reply can be trusted."""

from __future__ import annotations

import pytest
from fakes import SCHEMA, row
from hypothesis import given
from hypothesis import strategies as st

from autoanalyze.phases.validation import SessionValidation, ValidationResult
from autoanalyze.records import Reply, ReplyRow, Usage, VocabularySnapshot

VALIDATION = SessionValidation(SCHEMA)


def check(*rows: ReplyRow, ids: tuple[str, ...] = ("a", "b")) -> ValidationResult:
    return VALIDATION.validate_batch_response(ids, Reply(rows, Usage(), "stop", 1.0))


def test_rows_are_matched_by_key_and_not_by_position() -> None:
    """A reply in another order, or with a row left out, shifts nobody's labels."""
    result = check(row("s2", "Second"))
    assert result.processed["b"].labels["general_intent"] == "Second"
    assert result.missing == ("a",)
    assert not result.all_processed


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row("s1", ""), "not a label"),
        (row("s1", "   "), "not a label"),
        (row("s1", 7), "not a label"),
        (row("s1", ["A"]), "not a label"),
        (row("s1", "x" * 61), "not a label"),
        (row("s1", "one two three four five six seven eight nine"), "longer than 8 words"),
        (row("s1", "12345"), "a number"),
        (row("s1", "s2"), "a key"),
        (row("s1", "general_intent"), "a key"),
        (row("s1", "user: my card is lost"), "a line of the transcript"),
        (row("s1", "abc\u202edef"), "not a label"),
        (row("s1", "\ud800"), "not a label"),
        (row("s1", session_outcome="Unknown"), "unknown session_outcome"),
        (row("s1", session_outcome=None), "unknown session_outcome"),
        (row("s1", session_outcome=[]), "unknown session_outcome"),
        (row("s1", transfer_reason="Angry"), "although the outcome is Contained"),
    ],
)
def test_malformed_row_is_asked_for_again_with_its_reason(bad: ReplyRow, reason: str) -> None:
    """A malformed row never becomes facts; the good row beside it does."""
    result = check(bad, row("s2"))
    assert reason in result.errors["a"]
    assert set(result.processed) == {"b"}


TEXT = "user: Claim Status\nuser: where is my parcel now, it has been weeks\nbot: one moment please"


@pytest.mark.parametrize(
    "copied", ["one moment please", "Where Is My Parcel Now, It Has Been", "ONE moment please."]
)
def test_lines_of_the_transcript_are_no_labels(copied: str) -> None:
    """What was said is not the name of a matter, however it is written or cut."""
    result = VALIDATION.validate_batch_response(
        ("a",), Reply((row("s1", copied),), Usage(), "stop", 1.0), {"a": TEXT}
    )
    assert "a line of the transcript" in result.errors["a"]


def test_names_from_menus_and_known_labels_are_labels() -> None:
    """A short name that a person picked may be the label; one that is known is never questioned."""
    known = VocabularySnapshot(({"general_intent": ("one moment please", "Unknown")},))
    for label in ("Claim Status", "one moment please", "Unknown"):
        reply = Reply((row("s1", label),), Usage(), "stop", 1.0)
        result = VALIDATION.validate_batch_response(("a",), reply, {"a": TEXT}, known)
        assert result.processed["a"].labels["general_intent"] == label


@pytest.mark.parametrize("word", ["null", "N/A", "None", " unknown ", "n.a.", "Not Applicable", "-", "NIL."])
def test_null_in_words_is_null(word: str) -> None:
    """Where a label is due it is no label; in a field that does not apply it is nothing."""
    facts = check(row("s1", word, transfer_reason=word), row("s2")).processed["a"]
    assert facts.labels == {"general_intent": None, "transfer_reason": None}


def test_duplicated_and_foreign_keys_are_not_believed() -> None:
    """Two rows for one session count for neither; a key that nobody gave is reported."""
    result = check(row("s1", "One"), row("s1", "Two"), row("s2"), row("s3"), row("id-a"))
    assert result.errors == {"a": "2 rows for one session"}
    assert result.foreign_keys == ("s3", "id-a")


def test_labels_are_cleaned_of_spacing() -> None:
    """Line breaks and double spaces inside a label are one space."""
    facts = check(row("s1", " Claim\n  Status "), row("s2")).processed["a"]
    assert facts.labels["general_intent"] == "Claim Status"


def test_null_label_is_a_valid_answer() -> None:
    """A fact that cannot be told is null and needs no retry."""
    result = check(row("s1", None), row("s2", None, session_outcome="Transfer"))
    assert result.all_processed
    assert result.processed["b"].labels == {"general_intent": None, "transfer_reason": None}


def test_retry_never_overwrites_what_was_good() -> None:
    """Merging a retry adds sessions and keeps both the earlier facts and the newest error."""
    earlier = check(row("s1", "Early"), ids=("a", "b", "c"))
    retry = ValidationResult({"a": check(row("s1", "Late")).processed["a"]}, {"b": "malformed"})
    merged = VALIDATION.merge_retry_results(earlier, retry)
    assert merged.processed["a"].labels["general_intent"] == "Early"
    assert merged.errors["b"] == "malformed"
    assert merged.missing == ("b", "c")


values = st.none() | st.text(max_size=8) | st.integers() | st.sampled_from(["Transfer", "Contained", "A"])
fuzzed = st.lists(
    st.builds(
        ReplyRow,
        st.sampled_from(["s1", "s2", "s3", "s4", ""]),
        st.dictionaries(
            st.sampled_from(["session_outcome", "general_intent", "transfer_reason", "notes"]), values
        ),
    ),
    max_size=6,
)


@given(fuzzed)
def test_every_session_is_either_processed_or_missing(rows: list[ReplyRow]) -> None:
    """Whatever comes back, each session asked for is accounted for once, and facts satisfy the schema."""
    result = check(*rows, ids=("a", "b", "c"))
    assert sorted([*result.processed, *result.missing]) == ["a", "b", "c"]
    assert VALIDATION.identify_missing_sessions(("a", "b", "c"), result.processed) == list(result.missing)
    for facts in result.processed.values():
        assert facts.session_outcome in ("Transfer", "Contained")
        assert set(facts.labels) == {"general_intent", "transfer_reason"}
        assert all(label is None or label.strip() for label in facts.labels.values())
        assert facts.session_outcome == "Transfer" or facts.labels["transfer_reason"] is None
