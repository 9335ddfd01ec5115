"""The doors to an analysis: what is wrong is said before anything is made."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import chdir
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from autoanalyze.analysis.build import (
    build_analysis,
    build_endpoint,
    build_plan,
    check,
    import_sessions,
    transcripts,
)
from autoanalyze.analysis.configuration import compose, located, restored, sequential
from autoanalyze.analysis.sessions import open_population
from autoanalyze.config import Config
from autoanalyze.data.reports import ImportOptions
from autoanalyze.data.store import Store
from autoanalyze.errors import ConfigurationError, ImportDataError
from autoanalyze.llm import tokens
from autoanalyze.llm.connection import analysis_prompt
from autoanalyze.records import SessionText, VocabularySnapshot, transcript
from autoanalyze.study.runs import Run


@pytest.fixture(scope="module")
def config() -> Config:
    """A small simulated run."""
    return compose(["data.count=20", "data.population=30", "baseline=none", "resamples=0"])


def mistakes(config: Config) -> dict[str, Config]:
    """Configurations that lack something, by what the message must name."""
    data = config.data
    return {
        "OPENAI_API_KEY": replace(config, endpoint="openai"),
        "data.path is not set": replace(config, data=replace(data, source="store")),
        "autoanalyze import": replace(config, data=replace(data, source="store", path="none.duckdb")),
        "no sessions to analyse": replace(config, data=replace(data, source="labels")),
        "vocabulary.from=nowhere": replace(config, vocabulary=replace(config.vocabulary, from_run="nowhere")),
        "vocabulary.fixed.topic": replace(
            config, vocabulary=replace(config.vocabulary, fixed={"topic": ["A"]})
        ),
    }


@pytest.mark.parametrize(
    "named",
    [
        "OPENAI_API_KEY",
        "data.path is not set",
        "autoanalyze import",
        "no sessions to analyse",
        "vocabulary.from=nowhere",
        "vocabulary.fixed.topic",
    ],
)
def test_what_a_run_would_miss_is_said_before_it_begins(config: Config, named: str) -> None:
    """A key, a store, an earlier run: one error that names it, and no folder is made."""
    with pytest.raises(ConfigurationError, match=named):
        build_analysis(mistakes(config)[named])
    with pytest.raises(ConfigurationError, match=named):
        check(mistakes(config)[named])
    assert list(Path.cwd().iterdir()) == []


def test_sequential_runs_are_the_baseline_itself(config: Config) -> None:
    """`sync=sequential` is the baseline with all its settings; anything else is taken as it is."""
    assert build_analysis(replace(config, sync="sequential")).config == sequential(
        replace(config, sync="sequential")
    )
    assert build_analysis(config).config is config


def test_plans_contact_nothing_and_leave_nothing(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan for a live endpoint needs no key; nothing is sent, and no file is made."""

    def never(*_: object, **__: object) -> None:
        raise AssertionError("somebody was contacted")

    monkeypatch.setattr("socket.socket.connect", never)
    live = replace(config, endpoint="openai", token_counter="estimate")
    assert build_plan(live) == build_plan(config)
    assert list(Path.cwd().iterdir()) == []


def test_served_endpoint_knows_all_sessions(config: Config, virtually: Callable[[Any], Any]) -> None:
    """Every session of the data is labelled there, sampled by this configuration or not; what is none of
    them is not."""
    served, population = build_endpoint(config), open_population(config, tokens.Estimate())
    ids = population.store.sessions(config.data.bot_id)["session_id"].to_list()
    assert len(ids) == 30
    texts = [transcript(said) for said in population.store.read(config.data.bot_id, ids).values()]

    async def labelled(text: str) -> bool:
        messages = analysis_prompt(config).messages([SessionText("a", text, 10)], VocabularySnapshot())
        request = {"model": config.model.name, "messages": messages, "seed": 1}
        key = {"Authorization": "Bearer any"}
        async with httpx2.AsyncClient(
            transport=served.transport(), base_url="http://simulated", headers=key
        ) as client:
            answer = await client.post("/v1/chat/completions", json=request)
        return '"f1":"' in answer.json()["choices"][0]["message"]["content"]

    async def everybody() -> list[bool]:
        return [await labelled(text) for text in texts]

    assert sum(virtually(everybody())) >= len(texts) - 2, "the model leaves one out now and then"
    assert not virtually(labelled("user: nobody ever said this"))


def lines(sessions: int, messages: int) -> str:
    rows = [
        f"s{number},{('user', 'bot')[turn % 2]},says {turn} of {number}"
        for number in range(sessions)
        for turn in range(messages)
    ]
    return "\n".join(["session_id,role,text", *rows])


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of four sessions, whose tokens were counted without fetching anything."""
    asked: list[str] = []

    def estimate(encoding: str, mode: str) -> tokens.TokenCounter:
        asked.append(encoding)
        return tokens.Estimate()

    monkeypatch.setattr("autoanalyze.analysis.build.load_counter", estimate)
    (tmp_path / "mine.csv").write_text(lines(4, 3), encoding="utf-8")
    shown: list[tuple[int, int]] = []
    report = import_sessions(
        tmp_path / "mine.csv",
        tmp_path / "mine.duckdb",
        ImportOptions("mine"),
        progress=lambda done, total: shown.append((done, total)),
    )
    assert (report.added, report.messages, report.rejected) == (4, 12, ())
    assert asked == ["o200k_base"]
    return tmp_path / "mine.duckdb"


def test_importing_twice_adds_nothing(imported: Path) -> None:
    """Sessions that are there already are counted, and kept as they are."""
    report = import_sessions(imported.with_suffix(".csv"), imported, ImportOptions("mine"))
    assert (report.added, report.already_there) == (0, 4)
    with Store.open(imported, read_only=True) as store:
        assert len(store.sessions("mine")) == 4
        assert len(store.sessions("other")) == 0


def test_transcripts_come_from_the_store_that_the_run_names(config: Config, imported: Path) -> None:
    """In the order asked for, each message with its place; a session that is not there is an error."""
    data = replace(config.data, source="store", path=str(imported), bot_id="mine")
    run = Run(imported.parent, {"config": asdict(replace(config, data=data))})
    told = transcripts(run, ["s2", "s0"])
    assert told.select("session_id", "position", "role", "text").rows() == [
        (f"s{number}", turn, ("user", "bot")[turn % 2], f"says {turn} of {number}")
        for number in (2, 0)
        for turn in range(3)
    ]
    with pytest.raises(ImportDataError):
        transcripts(run, ["s0", "nobody"])


def test_transcripts_are_found_from_any_folder(config: Config, imported: Path, tmp_path: Path) -> None:
    """A path is recorded in full; where the store was moved, the error says where it was and what to do."""
    data = replace(config.data, source="store", path=imported.name, bot_id="mine")
    with chdir(imported.parent):
        run = Run(imported.parent, {"config": asdict(located(replace(config, data=data)))})
    assert len(transcripts(run, ["s2"])) == 3
    moved = imported.rename(tmp_path / "moved.duckdb")
    with pytest.raises(ConfigurationError, match=rf"was {imported}, where nothing is now.*store=\.\.\."):
        transcripts(run, ["s2"])
    assert len(transcripts(run, ["s2"], store=moved)) == 3
    assert restored(run.record["config"], [f"data.path={moved}"]).data.path == str(moved)
