"""Sampling sessions: fair, repeatable, on metadata alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoanalyze.data.sampling import Sample, SessionSampling
from autoanalyze.data.tables import SESSION_SCHEMA
from autoanalyze.errors import ConfigurationError
from autoanalyze.records import Session

MIDNIGHT = datetime(2024, 5, 1)


def frame(rows: Sequence[tuple[str, float | None, int]]) -> pl.DataFrame:
    """Metadata of sessions, each given as id, hours after midnight (or null) and number of messages."""
    return pl.DataFrame(
        [
            {
                "bot_id": "b",
                "session_id": session_id,
                "user_id": "u",
                "start_time": None if hours is None else MIDNIGHT + timedelta(hours=hours),
                "end_time": None,
                "containment_type": "agent",
                "message_count": messages,
                "token_count": 10 * messages,
                "token_encoding": "words",
                "source": "test",
            }
            for session_id, hours, messages in rows
        ],
        schema=SESSION_SCHEMA,
    )


def ids(sample: Sample) -> list[str]:
    """Session ids in the order of the sample."""
    return [session.session_id for session in sample.sessions]


HUNDRED = frame([(f"s{number:03}", number, 4) for number in range(100)])

# Quarters of an hour, which floats hold exactly.
moments = st.integers(-1_600, 1_600).map(lambda quarters: quarters / 4)
rows = st.lists(
    st.tuples(st.text("abc0", min_size=1, max_size=6), st.none() | moments, st.integers(0, 6)),
    min_size=1,
    max_size=60,
    unique_by=lambda row: row[0],
)


@given(rows, st.integers(1, 80), st.integers(0, 5), st.integers())
def test_a_sample_is_the_same_whatever_the_order_of_rows(
    sessions: list[tuple[str, float | None, int]], count: int, minimum: int, seed: int
) -> None:
    """Ids are distinct and eligible, as many as asked or there are, and do not depend on row order."""
    eligible = {session_id for session_id, _, messages in sessions if messages >= minimum}
    sampling = SessionSampling(frame(sessions))
    if not eligible:
        with pytest.raises(ConfigurationError):
            sampling.sample_sessions(count, seed=seed, minimum_messages=minimum)
        return
    sample = sampling.sample_sessions(count, seed=seed, minimum_messages=minimum)
    assert len(set(ids(sample))) == len(sample.sessions) == min(count, len(eligible))
    assert set(ids(sample)) <= eligible
    assert sample.available == sample.found == len(eligible)
    turned = SessionSampling(frame(sorted(sessions, reverse=True)))
    assert turned.sample_sessions(count, seed=seed, minimum_messages=minimum) == sample


@given(rows, st.integers(1, 80), st.integers(), moments)
def test_a_window_is_no_wider_than_needed(
    sessions: list[tuple[str, float | None, int]], count: int, seed: int, start: float
) -> None:
    """All sessions lie in the window, and no shorter window would have held as many as asked."""
    sampling = SessionSampling(frame(sessions))

    def inside(hours: float) -> int:
        return sum(at is not None and start <= at < start + hours for _, at, _ in sessions)

    begin = MIDNIGHT + timedelta(hours=start)
    if not inside(144):
        with pytest.raises(ConfigurationError, match=r"data\.start"):
            sampling.sample_sessions(count, seed=seed, minimum_messages=0, start=begin)
        return
    sample = sampling.sample_sessions(count, seed=seed, minimum_messages=0, start=begin)
    assert sample.window_hours in (3, 6, 12, 144)
    assert len(sample.sessions) == min(count, sample.found)
    window = timedelta(hours=sample.window_hours)
    assert all(
        session.start_time is not None and begin <= session.start_time < begin + window
        for session in sample.sessions
    )
    assert sample.found >= count or sample.window_hours == 144
    narrower = [hours for hours in (3, 6, 12) if hours < sample.window_hours]
    assert all(inside(hours - 1e-6) < count for hours in narrower)


def test_the_seed_decides() -> None:
    """The same seed draws the same sessions; another seed draws others."""
    sampling = SessionSampling(HUNDRED)
    assert sampling.sample_sessions(20, seed=1) == sampling.sample_sessions(20, seed=1)
    assert ids(sampling.sample_sessions(20, seed=1)) != ids(sampling.sample_sessions(20, seed=2))


def test_a_larger_sample_contains_the_smaller_one() -> None:
    """Asking for more sessions only adds to those of the same seed."""
    sampling = SessionSampling(HUNDRED)
    assert set(ids(sampling.sample_sessions(10, seed=3))) < set(ids(sampling.sample_sessions(30, seed=3)))


def test_every_session_has_the_same_chance() -> None:
    """Over many seeds each session is drawn about equally often, late ones too."""
    sampling = SessionSampling(HUNDRED)
    drawn = Counter(name for seed in range(400) for name in ids(sampling.sample_sessions(25, seed=seed)))
    # 400 draws at one in four: mean 100, standard deviation 8.7.
    assert len(drawn) == 100
    assert all(60 < times < 140 for times in drawn.values())


def test_every_session_of_a_user_may_be_drawn() -> None:
    """Identity is the session: the second session of a user is kept."""
    sample = SessionSampling(frame([("a", 1, 4), ("b", 2, 4)])).sample_sessions(5, seed=1)
    assert [session.user_id for session in sample.sessions] == ["u", "u"]


def test_sessions_come_in_order_of_time() -> None:
    """Order is by start time, then by id; sessions without a time come last."""
    sample = SessionSampling(frame([("d", None, 4), ("c", 1, 4), ("b", 2, 4), ("a", 2, 4)]))
    assert ids(sample.sample_sessions(9, seed=1)) == ["c", "a", "b", "d"]


def test_a_sample_holds_whole_records() -> None:
    """Each field of the record comes from the column of its name."""
    sample = SessionSampling(frame([("a", 1, 4)])).sample_sessions(1, seed=1)
    assert sample == Sample(
        (Session("a", "u", "b", MIDNIGHT + timedelta(hours=1), None, "agent", 4, 40),), None, 1, 1
    )


@pytest.mark.parametrize(
    ("count", "hours", "found"),
    [(1, 3, 3), (3, 3, 3), (4, 6, 6), (12, 12, 12), (13, 144, 100), (999, 144, 100)],
)
def test_windows_are_widened_until_there_are_enough(count: int, hours: int, found: int) -> None:
    """A window begins at the start and ends before its last hour; six days is the widest."""
    sample = SessionSampling(HUNDRED).sample_sessions(count, seed=1, start=MIDNIGHT)
    assert (sample.window_hours, sample.found, sample.available) == (hours, found, 100)
    assert len(sample.sessions) == min(count, 100)


def test_a_start_with_a_zone_is_converted() -> None:
    """The same moment gives the same window, in whatever zone it is told."""
    sampling = SessionSampling(HUNDRED)
    expected = sampling.sample_sessions(5, seed=1, start=MIDNIGHT + timedelta(hours=10))
    local = (MIDNIGHT.replace(tzinfo=UTC) + timedelta(hours=10)).astimezone(timezone(timedelta(hours=-7)))
    assert sampling.sample_sessions(5, seed=1, start=local) == expected


@pytest.mark.parametrize(
    ("sessions", "count", "start", "message"),
    [
        ([], 5, None, r"no sessions to sample.*autoanalyze import.*data\.bot_id"),
        ([("a", 1, 1), ("b", 1, 0)], 5, None, r"data\.minimum_messages: none of the 2 .* longest has 1\b"),
        ([("a", 1, 2)], 0, None, r"data\.count: 0 is out of range"),
        ([("a", 1, 2)], -3, None, r"data\.count: -3"),
        ([("a", None, 2)], 5, MIDNIGHT, r"data\.start: none of the sessions has a start time"),
        (
            [("a", -9, 2), ("b", 144, 2)],
            5,
            MIDNIGHT,
            r"data\.start: .*2024-05-01 00:00:00.* from 2024-04-30 15:00:00 to 2024-05-07 00:00:00",
        ),
    ],
)
def test_nothing_to_draw_from_is_explained(
    sessions: list[tuple[str, float | None, int]], count: int, start: datetime | None, message: str
) -> None:
    """Each way to find nothing has its own message, with the key and what the data hold."""
    with pytest.raises(ConfigurationError, match=message):
        SessionSampling(frame(sessions)).sample_sessions(count, seed=1, start=start)
