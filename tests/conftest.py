"""What every test gets: a folder of its own, no keys, no user files, and virtual time on request."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from autoanalyze.config import ENVIRONMENT
from autoanalyze.serving.clock import VirtualClockLoop

# Two cores and six minutes: more examples are for whoever hunts a bug (--hypothesis-profile=default).
settings.register_profile("suite", deadline=None, max_examples=40)
settings.load_profile("suite")


def pytest_collection_finish() -> None:
    """What was imported to collect the tests stays: no collection of garbage looks through it again. Some are
    asked for (statsmodels), beside those that come by themselves."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def isolated(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the user's settings or writes where the user works."""
    for name in (*ENVIRONMENT.values(), "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.chdir(tmp_path_factory.mktemp("work"))


@pytest.fixture
def repository() -> Path:
    """The folder that holds README, configs and notebooks."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture
def virtually() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Runs a coroutine in virtual time."""

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
            return runner.run(work)

    return run
