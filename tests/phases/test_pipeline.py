"""Pipeline: the three phases in order, and what is left of them when they are stopped."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
from fakes import MODEL, SCHEMA, EchoReader, Order, ScriptedModel, make_sessions, make_tokens, row
from hypothesis import given, settings
from hypothesis import strategies as st

from autoanalyze.config import (
    Config,
    DiscoveryConfig,
    EmbeddingsConfig,
    ParallelConfig,
    ResolutionConfig,
)
from autoanalyze.errors import BudgetExceededError, TransientEndpointError
from autoanalyze.llm.connection import Connection
from autoanalyze.llm.embeddings import OfflineEmbedder
from autoanalyze.llm.prompts import AnalysisPrompt
from autoanalyze.phases.duplicates.ledger import Carried
from autoanalyze.phases.pipeline import Pipeline
from autoanalyze.phases.results import PhaseResults
from autoanalyze.phases.streams import BatchOutcome
from autoanalyze.records import CallContext, ReplyRow, VocabularySnapshot
from autoanalyze.serving.clock import VirtualClockLoop

FIELD = "general_intent"
WAYS = ("rounds", "continuous", "none")
BASE = Config(
    model=MODEL,
    discovery=DiscoveryConfig("fixed", percentage=20, min_sessions=4, sessions_per_call=2),
    parallel=ParallelConfig(3, 2, taper=None),
    resolution=ResolutionConfig("llm", opinions=1, every_labels=None),
    embeddings=EmbeddingsConfig("offline"),
)


class Watcher:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.phase = "sampling"
        self.phases: list[tuple[str, int]] = []
        self.steps: dict[str, int] = {}
        self.batches: list[tuple[str, int, float, float]] = []

    def update(self, **changes: Any) -> None:
        """A phase begins."""
        self.phase = changes["phase"]
        self.phases.append((self.phase, changes["steps"]))

    def advance(self, steps: int) -> None:
        """Steps of the phase."""
        self.steps[self.phase] = self.steps.get(self.phase, 0) + steps

    def batch_done(
        self, outcome: BatchOutcome, context: CallContext, *, seconds: float, cost_usd: float
    ) -> None:
        """A batch."""
        self.batches.append((context.phase, len(outcome.results), seconds, cost_usd))


def pipeline(
    model: ScriptedModel, config: Config = BASE, *, carried: Carried | None = None
) -> tuple[Pipeline, Watcher]:
    tokens = make_tokens(streams=config.parallel.streams)
    connection = Connection(
        AnalysisPrompt(SCHEMA),
        tokens,
        model,
        model,
        tokens,
        OfflineEmbedder(config.embeddings),
        cast("Any", Order()),
    )
    watcher = Watcher()
    return Pipeline(config, connection, EchoReader(), watcher, carried or Carried()), watcher


def run(
    model: ScriptedModel, config: Config = BASE, *, count: int = 20, carried: Carried | None = None
) -> tuple[PhaseResults, Watcher]:
    work, watcher = pipeline(model, config, carried=carried)
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        return runner.run(work.run(make_sessions(count))), watcher


def by_session(_n: int, ids: list[str], _v: object, _c: object) -> Sequence[ReplyRow]:
    """Every third session has the same thing, in one of two spellings of the number."""
    return [
        row(f"s{i}", f"Thing {int(name[1:]) % 3} {'ab'[int(name[1:]) % 2]}")
        for i, name in enumerate(ids, start=1)
    ]


def by_number(labels: Sequence[str]) -> list[tuple[str, ...]]:
    """A judge to whom things of one number are one."""
    groups: dict[str, list[str]] = {}
    for label in labels:
        groups.setdefault(label.split()[1], []).append(label)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def test_phases_follow_each_other() -> None:
    """Discovery alone, then the streams, then the judge, then looks at what he merged, then probes; none
    begins before the one before it has ended. (Nothing is rare here, so that nothing else is looked at.)"""
    judged_at: list[int] = []

    def judge(labels: Sequence[str]) -> list[tuple[str, ...]]:
        judged_at.append(len(model.calls))
        return by_number(labels)

    model = ScriptedModel(by_session, groups=judge)
    _, watcher = run(model, replace(BASE, probe_share=0.25))
    phases = [context.phase for _, _, context in model.calls]
    assert phases == sorted(phases, key=["discovery", "parallel", "second", "probe"].index)
    assert len(set(phases)) == 4
    assert judged_at == [phases.index("second")]
    told = [phase for phase, _ in watcher.phases]
    assert told == ["discovery", "parallel", "second", "probes", "resolution"]


def test_watcher_is_told_every_step() -> None:
    """Steps announced are those of the sessions and fields, and every batch is told once, with what it
    took, at the time when it was done."""
    (_, watcher) = run(ScriptedModel(by_session, groups=by_number), replace(BASE, probe_share=0.25))
    found = {"discovery": 4, "parallel": 16, "second": 3, "probes": 5, "resolution": 2}
    assert watcher.phases == list(found.items())
    assert watcher.steps == {"second": 3, "probes": 5, "resolution": 2}, "batches advance the others"
    assert sum(size for phase, size, _, _ in watcher.batches if phase == "discovery") == 4
    assert sum(size for phase, size, _, _ in watcher.batches if phase == "parallel") == 16
    times = [seconds for *_, seconds, _ in watcher.batches]
    assert times == sorted(times)
    assert times[:2] == [1.0, 2.0], "calls of a second, one after the other"
    assert {cost for *_, cost in watcher.batches} == {(100 * 1.0 + 10 * 2.0) / 1e6}


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 30), st.sampled_from(WAYS), st.booleans(), st.integers(0, 999), st.floats(0, 0.4))
def test_results_stand_in_the_given_order_whatever_comes_first(
    count: int, sync: str, adaptive: bool, seed: int, failing: float
) -> None:
    """Calls end in any order, rows are missing, the endpoint fails now and then: one result per session, as
    given; a final label is the first one redirected; and every label that was used is known."""
    draw = random.Random(seed)

    busy = [TransientEndpointError("busy")] * 2  # more in a row, and the endpoint would be gone

    def script(n: int, ids: list[str], v: object, c: CallContext) -> Sequence[ReplyRow]:
        if c.phase != "discovery" and busy and draw.random() < failing:
            raise busy.pop()
        return [one for one in by_session(n, ids, v, c) if draw.random() >= failing]

    delays = random.Random(seed)
    model = ScriptedModel(script, groups=by_number, delay=lambda _c: delays.uniform(0.1, 9))
    discovery = DiscoveryConfig("adaptive") if adaptive else BASE.discovery
    result, _ = run(model, replace(BASE, sync=sync, discovery=discovery), count=count)
    assert [r.session_id for r in result.results] == [s.session_id for s in make_sessions(count)]
    redirects = result.redirects().get(FIELD, {})
    labelled = {r.session_id: r.facts.labels[FIELD] for r in result.results if r.facts is not None}
    assert {key: facts.labels[FIELD] for key, facts in result.final.items()} == {
        key: redirects.get(label or "", label) for key, label in labelled.items()
    }
    assert {label for label in labelled.values() if label} <= set(result.vocabulary.labels(FIELD))
    assert len({str(facts.labels[FIELD]).split()[1] for facts in result.final.values()}) == len(
        {facts.labels[FIELD] for facts in result.final.values()}
    )


def test_order_of_completion_changes_nothing_in_rounds() -> None:
    """With a barrier the whole result is the same however long each call takes."""

    def outcome(seed: int) -> tuple[Any, ...]:
        draw = random.Random(seed)
        model = ScriptedModel(by_session, groups=by_number, delay=lambda _c: draw.uniform(0.1, 9))
        result, _ = run(model, replace(BASE, sync="rounds", probe_share=0.3), count=30)
        assert result.probes is not None
        return result.results, result.final, result.vocabulary, result.redirects(), result.probes.facts

    assert outcome(1) == outcome(2) == outcome(1)


def test_repetition_draws_anew_and_the_first_is_the_run_itself() -> None:
    """Calls of a second repetition have other seeds on the same sessions; those of the same one the same."""

    def asked(**changes: Any) -> list[tuple[list[str], int]]:
        model = ScriptedModel(by_session)
        run(model, replace(BASE, sync="rounds", **changes))
        return [(ids, context.seed) for ids, _, context in model.calls]

    once, again, second = asked(), asked(repetition=1), asked(repetition=2)
    assert once == again
    assert [ids for ids, _ in second] == [ids for ids, _ in once]
    assert not {seed for _, seed in second} & {seed for _, seed in once}
    assert {seed for _, seed in asked(seed=8)} != {seed for _, seed in once}


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 12), st.sampled_from(WAYS), st.integers(0, 99))
def test_what_was_answered_before_a_stop_is_kept(stop: int, sync: str, seed: int) -> None:
    """Wherever the budget ends: finished batches are results, the rest is unresolved with the reason, and
    nothing is merged; the labels known are those of the results."""
    draw = random.Random(seed)

    def script(n: int, ids: list[str], v: object, c: object) -> Sequence[ReplyRow]:
        if n >= stop:
            raise BudgetExceededError("used up")
        return by_session(n, ids, v, c)

    model = ScriptedModel(script, groups=by_number, delay=lambda _c: draw.uniform(0.1, 9))
    work, watcher = pipeline(model, replace(BASE, sync=sync), carried=Carried({FIELD: ("Fixed",)}))
    sessions = make_sessions(24)
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        try:
            whole = runner.run(work.run(sessions))
        except BudgetExceededError as error:
            stopped = str(error)
        else:
            assert len(model.calls) < stop, "nothing stopped it"
            assert len(whole.final) == 24
            return
    result = work.so_far(sessions, stopped)
    assert [r.session_id for r in result.results] == [s.session_id for s in sessions]
    assert (result.discovery, result.parallel, result.resolution, result.probes) == (None,) * 4
    assert result.redirects() == {}
    assert len(result.final) == sum(size for _, size, _, _ in watcher.batches)
    assert all(r.facts is result.final.get(r.session_id) for r in result.results)
    lost = [r for r in result.results if r.facts is None]
    assert {(r.error, r.phase, r.attempts) for r in lost} == {("used up", watcher.phase, 0)}
    used = {str(facts.labels[FIELD]) for facts in result.final.values()}
    assert set(result.vocabulary.labels(FIELD)) == used | {"Fixed"}
    assert result.vocabulary.labels(FIELD)[0] == "Fixed"


def test_probes_change_no_result_and_their_names_are_judged() -> None:
    """What probes answer stands apart: sessions, vocabulary and rates are as without them, but a name that
    only a probe gave is merged like any other."""

    def script(n: int, ids: list[str], v: object, context: CallContext) -> Sequence[ReplyRow]:
        rows = by_session(n, ids, v, context)
        if context.phase != "probe":
            return rows
        return [row(f"s{i}", f"Thing {int(name[1:]) % 3} probed") for i, name in enumerate(ids, start=1)]

    plain, _ = run(ScriptedModel(script, groups=by_number))
    probed, _ = run(ScriptedModel(script, groups=by_number), replace(BASE, probe_share=0.5))
    assert probed.results == plain.results
    assert probed.final == plain.final
    assert probed.vocabulary == plain.vocabulary
    assert plain.probes is None
    assert probed.probes is not None
    assert probed.probes.asked == 10
    names = {str(facts.labels[FIELD]) for facts in probed.probes.facts.values()}
    assert all(name.endswith("probed") for name in names)
    assert names <= set(probed.redirects()[FIELD])
    assert not names & set(plain.redirects()[FIELD])


@pytest.mark.parametrize(("sync", "shared"), [("continuous", True), ("rounds", True), ("none", False)])
def test_without_sharing_probes_know_what_discovery_found(sync: str, shared: bool) -> None:
    """A probe is shown what a stream could have known: all labels so far, or only those of discovery."""

    def script(_n: int, ids: list[str], _v: object, context: CallContext) -> Sequence[ReplyRow]:
        label = "Found First" if context.phase == "discovery" else f"Later {context.stream}"
        return [row(f"s{i}", label) for i in range(1, len(ids) + 1)]

    model = ScriptedModel(script)
    run(model, replace(BASE, sync=sync, probe_share=1.0), count=40)
    shown: list[VocabularySnapshot] = [v for _, v, context in model.calls if context.phase == "probe"]
    labels = {label for vocabulary in shown for label in vocabulary.labels(FIELD)}
    assert "Found First" in labels
    assert (labels != {"Found First"}) == shared


def test_what_is_carried_is_known_from_the_first_call() -> None:
    """Fixed and earlier labels stand in every prompt, fixed ones first, and are never merged away."""
    carried = Carried({FIELD: ("Thing 0 fixed",)}, {FIELD: ("Thing 1 known",)})
    model = ScriptedModel(by_session, groups=by_number)
    result, _ = run(model, replace(BASE, passes=1), carried=carried)
    start = ("Thing 0 fixed", "Thing 1 known")
    assert all(vocabulary.labels(FIELD)[:2] == start for _, vocabulary, _ in model.calls)
    redirects = result.redirects()[FIELD]
    assert not set(start) & set(redirects)
    assert redirects["Thing 0 a"] == "Thing 0 fixed"
    assert redirects["Thing 1 b"] == "Thing 1 known"
    assert result.carried is carried


def test_ramp_is_told_as_discovery() -> None:
    """Adaptive discovery labels nothing on its own; its figures are those of the ramp."""
    config = replace(BASE, discovery=DiscoveryConfig("adaptive"))
    result, watcher = run(ScriptedModel(by_session, groups=by_number), config, count=30)
    assert result.discovery is not None
    assert result.discovery.processed == ()
    assert 0 < result.discovery.ramp_sessions <= 30
    assert result.discovery.unique_labels[FIELD] > 0
    assert watcher.phases[0] == ("parallel", 30)


def test_nothing_to_label_is_no_failure(virtually: Callable[[Any], Any]) -> None:
    """Without sessions all phases are empty, and no call is made."""
    model = ScriptedModel()
    work, _ = pipeline(model, replace(BASE, probe_share=0.5))
    result = virtually(work.run([]))
    assert (result.results, result.final, model.calls, model.judged) == ((), {}, [], [])
