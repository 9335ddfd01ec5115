"""One stream: batches in sequence, and what must be asked again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from fakes import SCHEMA, EchoReader, ScriptedModel, make_sessions, make_tokens, row

from autoanalyze.config import RetryConfig
from autoanalyze.errors import EndpointError, RequestRefusedError, RequestTooLongError, TransientEndpointError
from autoanalyze.llm.prompts import AnalysisPrompt
from autoanalyze.phases.streams import StreamProcessing, StreamResult
from autoanalyze.records import CallContext, Message, ReplyRow, VocabularySnapshot

Virtually = Callable[[Any], Any]


def stream(model: ScriptedModel, **changes: Any) -> StreamProcessing:
    settings: dict[str, Any] = {"retry": RetryConfig(), "seed": 1, **changes}
    return StreamProcessing(model, EchoReader(), AnalysisPrompt(SCHEMA), make_tokens(), **settings)


def process(
    virtually: Virtually, model: ScriptedModel, count: int = 6, share: int | None = 3, **changes: Any
) -> StreamResult:
    work = stream(model, **changes).process_stream(
        make_sessions(count), VocabularySnapshot(), phase="parallel", stream=1, share=share
    )
    result = virtually(work)
    assert isinstance(result, StreamResult)
    return result


def test_later_batches_know_what_earlier_ones_found(virtually: Virtually) -> None:
    """Within a stream, the second call sees the labels of the first."""

    def script(n: int, ids: list[str], _v: object, _c: object) -> Sequence[ReplyRow]:
        return [row(f"s{i}", f"Intent {n}") for i in range(1, len(ids) + 1)]

    model = ScriptedModel(script)
    result = process(virtually, model)
    assert [vocabulary.labels("general_intent") for _, vocabulary, _ in model.calls] == [(), ("Intent 1",)]
    assert result.new_labels["general_intent"] == ["Intent 1", "Intent 2"]
    assert result.vocabulary.version == 2


def test_only_what_is_missing_is_asked_again(virtually: Virtually) -> None:
    """A retry asks for the sessions without valid facts, under new keys, and for no others."""

    def script(n: int, ids: list[str], _v: object, _c: object) -> Sequence[ReplyRow]:
        rows = [row(f"s{i}", identity) for i, identity in enumerate(ids, start=1)]
        return rows[:1] if n == 1 else rows

    model = ScriptedModel(script)
    result = process(virtually, model, count=3)
    assert [ids for ids, _, _ in model.calls] == [["a000", "a001", "a002"], ["a001", "a002"]]
    labels = {r.session_id: r.facts.labels["general_intent"] for r in result.sessions if r.facts}
    assert labels == {"a000": "a000", "a001": "a001", "a002": "a002"}
    assert [r.attempts for r in result.sessions] == [1, 2, 2]
    assert (result.calls, result.retries) == (2, 1)


def test_what_never_comes_is_unresolved_and_enters_no_vocabulary(virtually: Virtually) -> None:
    """After the last attempt a session has no facts, its error, and no label anywhere."""

    def script(_n: int, ids: list[str], _v: object, _c: object) -> Sequence[ReplyRow]:
        return [row(f"s{i}", "") for i in range(1, len(ids) + 1)]

    model = ScriptedModel(script)
    result = process(virtually, model, count=2)
    assert [r.status for r in result.sessions] == ["unresolved", "unresolved"]
    assert all(r.error and "not a label" in r.error for r in result.sessions)
    assert result.vocabulary.version == 0
    assert [r.attempts for r in result.sessions] == [4, 4]
    assert len(model.calls) == 4


def test_what_the_endpoint_failed_is_left_to_a_later_round(virtually: Virtually) -> None:
    """The client has retried already: the stream marks the sessions and goes on with the next batch."""

    def script(n: int, ids: list[str], _v: object, _c: object) -> Sequence[ReplyRow]:
        if n == 1:
            raise TransientEndpointError("429: busy")
        return [row(f"s{i}") for i in range(1, len(ids) + 1)]

    model = ScriptedModel(script)
    result = process(virtually, model)
    assert [r.endpoint_failed for r in result.sessions] == [True] * 3 + [False] * 3
    assert result.sessions[0].error == "429: busy"
    assert len(model.calls) == 2


def test_waits_between_attempts_double(virtually: Virtually) -> None:
    """Attempts are apart by waits that double, and their number is bounded."""

    def script(_n: int, _ids: object, _v: object, _c: object) -> Sequence[ReplyRow]:
        return []

    retry = RetryConfig(attempts=3)
    result = process(virtually, ScriptedModel(script), count=1, retry=retry)
    # Four calls of a second, and waits between half and all of 1, 2 and 4 seconds.
    assert 4 + 3.5 <= result.seconds <= 4 + 7
    assert result.busy_seconds == pytest.approx(4)


@pytest.mark.parametrize("error", [RequestRefusedError("filtered"), RequestTooLongError("too long")])
def test_one_session_that_cannot_pass_harms_no_other(virtually: Virtually, error: EndpointError) -> None:
    """A batch that is refused or too long is taken apart until only the guilty session is left."""

    def script(_n: int, ids: list[str], _v: object, _c: object) -> Sequence[ReplyRow]:
        if "a002" in ids:
            raise error
        return [row(f"s{i}") for i in range(1, len(ids) + 1)]

    result = process(virtually, ScriptedModel(script), count=6, share=6)
    assert [r.session_id for r in result.sessions if r.facts is None] == ["a002"]
    assert result.sessions[2].error == str(error)


def test_single_session_that_is_too_long_is_shortened(virtually: Virtually) -> None:
    """What does not fit alone is cut in its middle, and its row says so."""

    def script(n: int, _ids: object, _v: object, _c: object) -> Sequence[ReplyRow]:
        if n == 1:
            raise RequestTooLongError("too long")
        return [row("s1")]

    class Long:
        def read(self, session_ids: Sequence[str]) -> dict[str, Sequence[Message]]:
            return {i: (Message("user", "word " * 2000),) for i in session_ids}

    stream_ = StreamProcessing(
        ScriptedModel(script), Long(), AnalysisPrompt(SCHEMA), make_tokens(), retry=RetryConfig(), seed=1
    )
    result = virtually(
        stream_.process_stream(make_sessions(1), VocabularySnapshot(), phase="parallel", stream=1)
    )
    assert result.sessions[0].facts is not None
    assert result.sessions[0].shortened


def test_every_attempt_has_a_seed_of_its_own(virtually: Virtually) -> None:
    """A retry is another request than the first try, or a repeatable model would fail forever."""
    model = ScriptedModel(lambda *_: [])
    process(virtually, model, count=1)
    seeds = [context.seed for _, _, context in model.calls]
    assert len(set(seeds)) == len(seeds) == 4


def test_cut_off_reply_is_asked_again_in_halves(virtually: Virtually) -> None:
    """When the reply hit the length limit, smaller calls follow."""

    def script(n: int, ids: list[str], _v: object, _c: object) -> Sequence[ReplyRow]:
        return [] if n == 1 else [row(f"s{i}") for i in range(1, len(ids) + 1)]

    model = ScriptedModel(script, finish_reason="length")
    result = process(virtually, model, count=3)
    assert [len(ids) for ids, _, _ in model.calls] == [3, 2, 1]
    assert all(r.facts for r in result.sessions)


def test_a_single_reply_that_is_cut_off_is_never_shortened(virtually: Virtually) -> None:
    """The transcript stays whole: the client gives more room."""
    model = ScriptedModel(lambda *_: [], finish_reason="length")
    (result,) = process(virtually, model, count=1).sessions
    assert (result.shortened, len(model.calls)) == (False, 4)


def test_the_same_sessions_are_asked_again_in_another_order_and_told_why(virtually: Virtually) -> None:
    """A repeated question is another question; one with fewer sessions is another by itself."""

    def script(n: int, ids: list[str], _v: object, _c: object) -> Sequence[ReplyRow]:
        rows = [row(f"s{i}", 7) for i in range(1, len(ids) + 1)]
        return [row("s1"), *rows[1:]] if n == 1 else rows

    model = ScriptedModel(script)
    process(virtually, model, count=3)
    asked = [ids for ids, _, _ in model.calls]
    assert [sorted(ids) for ids in asked[1:]] == [["a001", "a002"]] * 3
    assert ["a002", "a001"] in asked
    assert [context.problem for _, _, context in model.calls[1:]] == ["general_intent is not a label: 7"] * 3

    omitting = ScriptedModel(lambda n, ids, _v, _c: [row("s1")])
    process(virtually, omitting, count=3)
    assert [(ids, context.problem) for ids, _, context in omitting.calls] == [
        (["a000", "a001", "a002"], ""),
        (["a001", "a002"], ""),
        (["a002"], ""),
    ]


def test_same_seed_same_run_to_the_second(virtually: Virtually) -> None:
    """Waits are jittered from the seed, so a run repeats exactly, and another seed differs."""
    first, again = (process(virtually, ScriptedModel(lambda *_: []), seed=5).seconds for _ in range(2))
    assert first == again
    assert first != process(virtually, ScriptedModel(lambda *_: []), seed=6).seconds


def test_every_batch_is_reported(virtually: Virtually) -> None:
    """Progress counts every session once."""
    seen: list[tuple[int, CallContext]] = []
    process(
        virtually,
        ScriptedModel(),
        on_batch=lambda outcome, context: seen.append((len(outcome.results), context)),
    )
    assert [size for size, _ in seen] == [3, 3]
