"""Intervals over users and over seeds."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from autoanalyze.study.intervals import Estimate, paired_interval, percentile_interval, user_weights


def test_users_are_drawn_whole() -> None:
    """In every draw, all sessions of a user count equally often, and users add up to their number."""
    users = pl.Series(["a", "a", "b", "c", "c", "c"])
    for weight in user_weights(users, resamples=50, seed=1):
        assert len(set(weight[:2])) == len(set(weight[3:])) == 1
        assert weight[0] + weight[2] + weight[3] == 3


def test_paired_interval_covers_as_often_as_it_says() -> None:
    """Of many samples of 20 seeds, the interval holds the true mean about 95 times in 100."""
    generator = np.random.default_rng(0)
    intervals = [paired_interval(generator.normal(5, 2, 20).tolist()) for _ in range(1000)]
    covered = sum(i.low is not None and i.high is not None and i.low <= 5 <= i.high for i in intervals)
    assert covered / 1000 == pytest.approx(0.95, abs=0.025)


def test_nothing_gives_no_interval() -> None:
    """Without values there is no estimate, with one there is no interval."""
    assert paired_interval([]) == Estimate(None)
    assert paired_interval([3.0]) == Estimate(3.0)
    assert percentile_interval(None, [1.0]) == Estimate(None)
    assert percentile_interval(1.0, [None]) == Estimate(1.0)
