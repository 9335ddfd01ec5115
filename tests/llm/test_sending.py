"""The sender before endpoints that answer, refuse, dawdle, or lack what was asked for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
import pytest
from fakes import make_tokens
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_endpoint import KEY, Script, ScriptedEndpoint, completion, in_virtual_time, ok, refusal

from autoanalyze.config import RetryConfig
from autoanalyze.errors import (
    BudgetExceededError,
    EndpointError,
    FatalEndpointError,
    JournalError,
    QuotaExceededError,
    TransientEndpointError,
)
from autoanalyze.llm.audit import verify
from autoanalyze.llm.calls import Call, Completion
from autoanalyze.llm.journal import Journal, request_hash
from autoanalyze.llm.limits import Budget, RateLimiter
from autoanalyze.llm.sending import Sender
from autoanalyze.records import CallContext, Usage

Virtually = Callable[[Any], Any]
Work = Callable[[Sender], Any]
ONCE = RetryConfig(call_attempts=1)
NOBODY = '{"sessions": []}'
#: 100 prompt tokens with a reserve of a quarter and 300 at 1 USD a million, 50 completion tokens at 2 USD.
RESERVED = (425 * 1 + 50 * 2) / 1_000_000


def call(text: str = "hello", **changes: Any) -> Call:
    """A call whose request says this text."""
    request = {"model": "m", "messages": [{"role": "user", "content": text}], **changes.pop("request", {})}
    settings = {
        "kind": "analyze",
        "model": "m",
        "request": request,
        "digest": request_hash(request, "test"),
        "context": CallContext("parallel", 2, 3, 1, 5),
        "session_ids": ("id-1", "id-2"),
        "vocabulary_version": 4,
        "prompt_tokens": 100,
        "completion_limit": 50,
        "expected_completion": 20,
        "began": 0.0,
    }
    return Call(**{**settings, **changes})


def embedding(texts: Sequence[str] = ("a",), **changes: Any) -> Call:
    """A call for the vectors of some texts."""
    request = {"model": "e", "input": list(texts), "encoding_format": "base64"}
    digest = request_hash(request, "test")
    changes = {"kind": "embed", "model": "e", "completion_limit": 0, "expected_completion": 0, **changes}
    return replace(call(), request=request, digest=digest, **changes)


def said(body: Mapping[str, Any]) -> str:
    """The text of a request."""
    text: str = body["messages"][0]["content"]
    return text


class Office:
    """A run's way to send: a journal, a budget, limits, and an endpoint that answers by a script."""

    def __init__(self, folder: Path, script: Script, *, retry: RetryConfig = ONCE, **settings: Any) -> None:
        self.path = folder / "calls.jsonl"
        self.wire = ScriptedEndpoint(script)
        self.endpoint = self.wire.known_as("test", virtual_time=settings.pop("virtual_time", False))
        self.budget = Budget(settings.pop("budget", None))
        self.limiter = RateLimiter(
            requests_per_minute=None, tokens_per_minute=settings.pop("minute", None), concurrency=4
        )
        self.reuse: Sequence[Path] = settings.pop("reuse", ())
        self.replay = settings.pop("replay", False)
        self._settings = {"retry": retry, **settings}

    async def work(self, job: Work) -> Any:
        """What a job makes of the sender, which is closed after it."""
        with Journal(self.path, reuse=self.reuse, follow=self.replay) as journal:
            sender = Sender(
                self.endpoint,
                tokens=make_tokens(embedding_price=4.0),
                journal=journal,
                limiter=self.limiter,
                budget=self.budget,
                **self._settings,
            )
            try:
                return await job(sender)
            finally:
                await sender.close()

    def send(self, *calls: Call) -> Completion:
        """The answer to the last of several calls, one after the other, whatever became of the others."""

        async def job(sender: Sender) -> Completion:
            for earlier in calls[:-1]:
                with suppress(EndpointError):
                    await sender.send(earlier)
            return await sender.send(calls[-1])

        answer: Completion = in_virtual_time(self.work(job))
        return answer

    def lines(self) -> list[dict[str, Any]]:
        """The journal so far."""
        return [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]

    def events(self) -> list[str]:
        """What the journal says happened."""
        return [line["event"] for line in self.lines()]


def flaky(failures: int, answer: Callable[[], httpx2.Response]) -> Script:
    """An endpoint that fails so many times before it works."""
    left = [answer] * failures
    return lambda _body: left.pop()() if left else ok()


async def hang(_body: object) -> httpx2.Response:
    """An endpoint that never answers."""
    await asyncio.sleep(1e6)
    return ok()


# The record


def test_call_is_on_disk_before_it_leaves(tmp_path: Path) -> None:
    """When the request arrives at the endpoint, its line with the reserved cost is written already."""
    seen: list[dict[str, Any]] = []

    def look(_body: object) -> httpx2.Response:
        seen.extend(office.lines())
        return ok()

    office = Office(tmp_path, look)
    office.send(call())
    (line,) = seen
    assert line.pop("chain")
    assert line == {
        "event": "sent", "call": 1, "request": call().digest, "kind": "analyze", "phase": "parallel",
        "round": 2, "stream": 3, "attempt": 1, "model": "m", "session_ids": ["id-1", "id-2"],
        "vocabulary_version": 4, "began": 0.0, "start": 0.0, "reserved_usd": pytest.approx(RESERVED),
    }  # fmt: skip


def test_request_goes_out_as_it_was_worded(tmp_path: Path) -> None:
    """Nothing is added to a request that its hash does not know of."""
    office = Office(tmp_path, lambda _body: ok())
    wanted = call("é \u2028", request={"seed": 5, "temperature": 0.0, "response_format": {"type": "text"}})
    office.send(wanted)
    assert office.wire.bodies == [wanted.request]


def test_answer_is_journalled_raw_and_priced(tmp_path: Path) -> None:
    """Reply, usage and cost are on disk, cached tokens at their own price, and the budget knows."""
    details = {"prompt_tokens": 50, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 40}}
    office = Office(tmp_path, lambda _body: ok("not json", usage=details))
    answer = office.send(call())
    assert (answer.text, answer.usage, answer.finish_reason) == ("not json", Usage(50, 40, 7), "stop")
    line = office.lines()[-1]
    assert (line["event"], line["reply"], line["finish_reason"]) == ("answered", "not json", "stop")
    assert line["usage"] == {"prompt": 50, "cached": 40, "completion": 7, "embedded": 0}
    assert line["cost_usd"] == pytest.approx((10 * 1 + 40 * 0.5 + 7 * 2) / 1_000_000)
    assert office.budget.spent_usd == line["cost_usd"]
    assert office.budget.reserved_usd == pytest.approx(0)


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        (None, Usage(100, 0, 4)),  # the prompt as it was counted, sixteen bytes of text for four tokens
        ({"prompt_tokens": 9, "completion_tokens": 1}, Usage(9, 0, 1)),
        ({"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": {}}, Usage(9, 0, 1)),
        (
            {"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 99}},
            Usage(9, 9, 1),
        ),
    ],
)
def test_missing_usage_is_counted_by_us(tmp_path: Path, usage: Any, counted: Usage) -> None:
    """An endpoint that reports nothing, or more cached than sent, is billed for what can be."""
    assert Office(tmp_path, lambda _body: ok("x" * 16, usage=usage)).send(call()).usage == counted


def choice(**changes: Any) -> list[dict[str, Any]]:
    """The choices of an answer with one choice of another kind."""
    message = {"role": "assistant", "content": "x", **changes.pop("message", {})}
    return [{"index": 0, "finish_reason": "stop", "message": message, **changes}]


@pytest.mark.parametrize(
    ("choices", "text", "finish_reason"),
    [
        (choice(message={"content": None}), "", "stop"),
        (choice(finish_reason=None), "x", "stop"),
        (choice(finish_reason="length"), "x", "length"),
        (choice(finish_reason="content_filter"), "", "content_filter"),
        (choice(message={"refusal": "I cannot help with that."}), "", "content_filter"),
    ],
)
def test_answers_without_text_say_why(tmp_path: Path, choices: Any, text: str, finish_reason: str) -> None:
    """No content and a refusal are answers, paid for and not asked for again."""
    office = Office(tmp_path, lambda _body: ok(choices=choices))
    answer = office.send(call())
    assert (answer.text, answer.finish_reason) == (text, finish_reason)
    assert office.events() == ["sent", "answered"]


@settings(deadline=None, max_examples=12)
@given(st.permutations(range(5)))
def test_answers_belong_to_their_calls_whatever_comes_first(order: list[int]) -> None:
    """Answers that overtake each other stand in the journal under the calls that they answer."""

    async def dawdle(body: dict[str, Any]) -> httpx2.Response:
        await asyncio.sleep(order[int(said(body))])
        return ok(f"answer {said(body)}")

    async def job(sender: Sender) -> list[Completion]:
        return await asyncio.gather(*(sender.send(call(str(i))) for i in range(5)))

    with TemporaryDirectory() as folder:
        office = Office(Path(folder), dawdle)
        answers = in_virtual_time(office.work(job))
        assert [answer.text for answer in answers] == [f"answer {i}" for i in range(5)]
        replies = {line["request"]: line["reply"] for line in office.lines() if line["event"] == "answered"}
        assert replies == {call(str(i)).digest: f"answer {i}" for i in range(5)}
        assert verify(office.path).unanswered == 0


def test_key_appears_nowhere(tmp_path: Path) -> None:
    """Neither journal nor errors hold the key."""
    office = Office(tmp_path, lambda _body: refusal(401))
    with pytest.raises(FatalEndpointError) as caught:
        office.send(call())
    assert not [
        text for text in (str(caught.value), repr(caught.value), office.path.read_text()) if KEY in text
    ]


# The budget


def test_call_that_does_not_fit_into_the_budget_is_not_sent(tmp_path: Path) -> None:
    """The upper bound of a call is reserved first; what does not fit neither leaves nor is journalled."""
    office = Office(tmp_path, lambda _body: ok(), budget=RESERVED * 0.99)
    with pytest.raises(BudgetExceededError, match="resume"):
        office.send(call())
    assert (office.wire.bodies, office.path.read_text(), office.budget.reserved_usd) == ([], "", 0.0)


def test_calls_at_once_do_not_overspend_together(tmp_path: Path) -> None:
    """Of four calls in flight, only as many leave as could all cost their upper bound."""

    async def dawdle(_body: object) -> httpx2.Response:
        await asyncio.sleep(1)
        return ok()

    async def job(sender: Sender) -> list[Any]:
        work = [sender.send(call(str(number))) for number in range(4)]
        return await asyncio.gather(*work, return_exceptions=True)

    office = Office(tmp_path, dawdle, budget=RESERVED * 2.5)
    outcomes = in_virtual_time(office.work(job))
    assert [isinstance(outcome, BudgetExceededError) for outcome in outcomes] == [False, False, True, True]
    assert len(office.wire.bodies) == 2


# Failures


def broken(_body: object) -> httpx2.Response:
    """A connection that breaks."""
    raise httpx2.ConnectError("no route")


@pytest.mark.parametrize(
    ("script", "kind", "remedy", "billed", "busy"),
    [
        (lambda _body: refusal(429), TransientEndpointError, "429", False, True),
        (lambda _body: refusal(429, "insufficient_quota"), QuotaExceededError, "no credit", False, True),
        (lambda _body: refusal(503), TransientEndpointError, "503", False, False),
        (lambda _body: refusal(404), FatalEndpointError, "serve the model m", False, False),
        (broken, TransientEndpointError, "running and reachable.*", True, False),
        (hang, TransientEndpointError, "timeout_seconds", True, False),
        (lambda _body: httpx2.Response(200, text="<html>"), TransientEndpointError, "read", True, False),
    ],
    ids=["busy", "quota", "unavailable", "unknown", "broken", "hanging", "unreadable"],
)
def test_failures_are_journalled_with_what_they_may_have_cost(
    tmp_path: Path, script: Script, kind: type[EndpointError], remedy: str, billed: bool, busy: bool
) -> None:
    """What was refused costs nothing; of all else nobody knows, and the budget takes it as spent."""
    office = Office(tmp_path, script, timeout_seconds=30.0)
    with pytest.raises(kind, match=remedy):
        office.send(call())
    sent, failed = office.lines()
    assert (failed["event"], failed["call"], failed["busy"]) == ("failed", sent["call"], busy)
    assert failed["uncertain_usd"] == (sent["reserved_usd"] if billed else 0.0)
    assert failed["end"] == (30.0 if script is hang else 0.0)
    assert office.budget.spent_usd == pytest.approx(RESERVED if billed else 0.0)
    assert office.budget.reserved_usd == pytest.approx(0)
    assert office.limiter.window == (2 if busy else 4)


def test_every_attempt_has_its_lines(tmp_path: Path) -> None:
    """What may pass is tried again, and the journal knows of each attempt when it left."""
    office = Office(tmp_path, flaky(3, lambda: refusal(500)), retry=RetryConfig())
    answer = office.send(call())
    assert office.events() == ["sent", "failed"] * 3 + ["sent", "answered"]
    assert len(office.wire.bodies) == 4
    starts = [line["start"] for line in office.lines() if line["event"] == "sent"]
    assert starts == sorted(set(starts))
    assert {line["began"] for line in office.lines()} == {0.0}
    assert answer.seconds == starts[-1], "the waits before an answer are a part of its time"


def test_same_request_waits_the_same(tmp_path: Path) -> None:
    """The waits of a call are drawn from its request: the same again to the bit, others for another."""

    def seconds(name: str, text: str) -> float:
        (tmp_path / name).mkdir()
        return (
            Office(tmp_path / name, flaky(3, lambda: refusal(500)), retry=RetryConfig())
            .send(call(text))
            .seconds
        )

    assert seconds("one", "hello") == seconds("two", "hello") != seconds("three", "bye")


def test_asked_wait_is_read_from_the_answer(tmp_path: Path) -> None:
    """Retry-After of a refusal reaches the next attempt."""
    busy = flaky(1, lambda: refusal(429, headers={"retry-after": "20"}))
    assert 20 <= Office(tmp_path, busy, retry=RetryConfig()).send(call()).seconds <= 22


@pytest.mark.parametrize("body", ["<html>gateway</html>", "{", "[]", '"text"', "{}", '{"choices": {}}', ""])
def test_answers_that_are_no_completion_are_tried_again(tmp_path: Path, body: str) -> None:
    """A proxy's page or half an answer is a passing fault, not a crash."""
    json_type = {"content-type": "application/json"}

    def page() -> httpx2.Response:
        return httpx2.Response(200, text=body, headers=json_type)

    office = Office(tmp_path, flaky(1, page), retry=RetryConfig())
    assert office.send(call()).text == '{"sessions": []}'
    assert office.events() == ["sent", "failed", "sent", "answered"]


def test_cancelled_call_is_journalled_and_taken_as_spent(tmp_path: Path) -> None:
    """A call that is cancelled in flight has failed; those that were still waiting were never made."""

    async def job(sender: Sender) -> None:
        tasks = [asyncio.create_task(sender.send(call(str(number)))) for number in range(6)]
        await asyncio.sleep(5)
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)

    office = Office(tmp_path, hang)
    in_virtual_time(office.work(job))
    failures = [line for line in office.lines() if line["event"] == "failed"]
    assert [line["error"] for line in failures] == ["cancelled"] * 4, "as many as may be in flight"
    assert {line["end"] for line in failures} == {5.0}
    assert office.budget.spent_usd == pytest.approx(4 * RESERVED)
    assert office.budget.reserved_usd == pytest.approx(0)


def test_headers_of_answers_hold_the_next_call_back(tmp_path: Path) -> None:
    """What the provider says is left of a minute is believed."""
    limits = {"x-ratelimit-limit-tokens": "6000", "x-ratelimit-remaining-tokens": "0"}
    office = Office(tmp_path, lambda _body: httpx2.Response(200, json=completion("x"), headers=limits))
    office.send(call("one"), call("two"))
    assert office.lines()[2]["start"] == pytest.approx(120 / (6000 * 0.97) * 60, rel=0.01)


# The form of the reply


def in_forms(*forms: str) -> Call:
    """A call that may be asked in several forms, the strictest first."""
    return call(forms=tuple({"response_format": {"type": form}} for form in forms))


FORMS = ("json_schema", "json_object", "text")


@pytest.mark.parametrize("known", range(4))
def test_refused_forms_are_asked_for_more_loosely(tmp_path: Path, known: int) -> None:
    """The strictest form that the endpoint knows is answered; with none left, the remedy is named."""

    def picky(body: dict[str, Any]) -> httpx2.Response:
        place = FORMS.index(body["response_format"]["type"])
        return ok() if place >= known else refusal(400, message="response_format is not supported")

    office = Office(tmp_path, picky)
    work = office.work(lambda sender: sender.send(in_forms(*FORMS)))
    if known == len(FORMS):
        with pytest.raises(FatalEndpointError, match="response_format is not supported"):
            in_virtual_time(work)
    else:
        assert in_virtual_time(work).text
    asked = [body["response_format"]["type"] for body in office.wire.bodies]
    assert asked == list(FORMS[: known + 1])


def test_refusals_without_a_reason_are_tried_in_every_form(tmp_path: Path) -> None:
    """Whatever words a server refuses with, each looser form is asked for once before the run gives up."""
    office = Office(tmp_path, lambda _body: refusal(400))
    with pytest.raises(FatalEndpointError):
        in_virtual_time(office.work(lambda sender: sender.send(in_forms(*FORMS))))
    assert len(office.wire.bodies) == len(FORMS)


# Embeddings


def vectors(numbers: Sequence[int], order: Sequence[int], **changes: Any) -> httpx2.Response:
    """An answer with these vectors, which arrive in some order."""
    data = [{"object": "embedding", "index": place, "embedding": [numbers[place]]} for place in order]
    usage = {"prompt_tokens": 12, "total_tokens": 12}
    return httpx2.Response(
        200, json={"object": "list", "data": data, "model": "e", "usage": usage, **changes}
    )


@settings(deadline=None, max_examples=12)
@given(st.permutations(range(4)))
def test_vectors_come_in_the_order_of_the_texts(order: list[int]) -> None:
    """Whatever order an endpoint sends them in, and they are priced as what they are."""
    with TemporaryDirectory() as folder:
        office = Office(Path(folder), lambda _body: vectors([7, 8, 9, 10], order))
        answer = office.send(embedding("abcd"))
        assert answer.usage == Usage(embedded=12)
        assert json.loads(answer.text) == [[7], [8], [9], [10]]
        sent, answered = office.lines()
        assert sent["reserved_usd"] == pytest.approx(425 * 4 / 1_000_000)
        assert answered["cost_usd"] == pytest.approx(12 * 4 / 1_000_000)


def test_embedded_tokens_that_nobody_reports_are_counted(tmp_path: Path) -> None:
    """Without usage, what we counted is billed."""
    office = Office(tmp_path, lambda _body: vectors([7], [0], usage=None))
    assert office.send(embedding()).usage == Usage(embedded=100)


def test_embeddings_take_nothing_of_the_limits_of_the_model(tmp_path: Path) -> None:
    """Providers have limits per model: vectors do not wait for the tokens of the labelling model."""
    texts = [embedding([str(number)]) for number in range(3)]
    waiting = Office(tmp_path, lambda body: vectors([7], [0]) if "input" in body else ok(), minute=130)
    waiting.send(call("one"), *texts)
    assert {line["start"] for line in waiting.lines()} == {0.0}
    waiting.send(call("two"))
    assert waiting.lines()[-1]["start"] > 0


def test_chat_completion_is_no_embedding(tmp_path: Path) -> None:
    """An endpoint that answers something else is told apart from one that embeds."""
    with pytest.raises(TransientEndpointError, match="no embeddings"):
        Office(tmp_path, lambda _body: httpx2.Response(200, json={"data": "none"})).send(embedding())


# Reuse and replay


def test_answered_call_is_never_sent_again(tmp_path: Path) -> None:
    """The same request comes from the journal, in this run and after a restart; a failure does not."""
    office = Office(tmp_path, flaky(1, lambda: refusal(500)))
    office.send(call(), call(), call())
    assert len(office.wire.bodies) == 2
    size = office.path.stat().st_size
    again = office.send(call())
    assert (again.text, again.usage) == ('{"sessions": []}', Usage(50, 0, 7))
    assert (len(office.wire.bodies), office.path.stat().st_size) == (2, size)


def test_answers_of_other_runs_are_copied_and_cost_nothing(tmp_path: Path) -> None:
    """An answer of another journal stands in this one under this run's call, and the budget is not asked."""
    for name in ("other", "own"):
        (tmp_path / name).mkdir()
    other = Office(tmp_path / "other", lambda _body: ok(NOBODY))
    other.send(call())
    own = Office(tmp_path / "own", lambda _body: ok("new"), reuse=[other.path], budget=0.0)
    answer = own.send(replace(call(), context=CallContext("discovery", stream=8), session_ids=("id-9",)))
    assert (answer.text, own.wire.bodies, own.budget.spent_usd) == (NOBODY, [], 0.0)
    (line,) = own.lines()
    assert (line["reused"], line["cost_usd"], line["phase"], line["stream"]) == (True, 0.0, "discovery", 8)
    assert line["session_ids"] == ["id-9"]


def test_replay_contacts_nobody(tmp_path: Path) -> None:
    """In a replay a recorded call is answered, and any other is an error that says which it is."""
    office = Office(tmp_path, lambda _body: ok("recorded"))
    office.send(call("known"))
    replayed = Office(tmp_path, lambda _body: ok("new"), replay=True)
    assert replayed.send(call("known")).text == "recorded"
    with pytest.raises(JournalError, match=r"no journal holds \(analyze, parallel round 2, stream 3\)"):
        replayed.send(call("unknown"))
    assert replayed.wire.bodies == []


TRIES = st.lists(st.tuples(st.floats(0, 30), st.sampled_from([429, 500])), max_size=3)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(TRIES, st.floats(0, 30)), min_size=1, max_size=4))
def test_resumed_calls_take_the_time_that_they_took(calls: list[tuple[Any, float]]) -> None:
    """In virtual time recorded calls live again, refusals and all, and the next leaves at its moment."""
    left = {str(number): [*tries] for number, (tries, _) in enumerate(calls)}

    async def slow(body: dict[str, Any]) -> httpx2.Response:
        name = said(body)
        seconds, status = left[name].pop(0) if left.get(name) else (dict(last).get(name, 1.0), 200)
        await asyncio.sleep(seconds)
        return ok() if status == 200 else refusal(status)

    last = [(str(number), seconds) for number, (_, seconds) in enumerate(calls)]

    async def job(sender: Sender) -> dict[str, float]:
        ends: dict[str, float] = {}

        async def ask(name: str) -> None:
            await sender.send(call(name))
            ends[name] = asyncio.get_running_loop().time()

        await asyncio.gather(*(ask(name) for name, _ in last))
        await ask("after")
        return ends

    with TemporaryDirectory() as folder:
        # 500 tokens a minute: each call takes part of them, and so the last one has to wait.
        changes: dict[str, Any] = {"retry": RetryConfig(), "virtual_time": True, "minute": 500}
        office = Office(Path(folder), slow, **changes)
        first = in_virtual_time(office.work(job))
        lines = office.lines()
        cut = next(place for place, line in enumerate(lines) if line["request"] == call("after").digest)
        kept = office.path.read_bytes().splitlines(keepends=True)[:cut]
        office.path.write_bytes(b"".join(kept))
        resumed = Office(Path(folder), slow, **changes)
        assert in_virtual_time(resumed.work(job)) == first
        assert resumed.lines() == lines
        assert len(resumed.wire.bodies) == 1


@pytest.mark.parametrize(("virtual_time", "seconds"), [(True, 7.0), (False, 0.0)])
def test_reused_answers_take_their_time_only_where_nobody_waits(
    tmp_path: Path, virtual_time: bool, seconds: float
) -> None:
    """An answer of another run takes as long as it took there in virtual time, and none in real time."""

    async def slow(_body: object) -> httpx2.Response:
        await asyncio.sleep(7)
        return ok()

    other = Office(tmp_path, slow)
    other.send(call())
    (tmp_path / "own").mkdir()
    own = Office(tmp_path / "own", slow, reuse=[other.path], virtual_time=virtual_time)
    assert own.send(call()).seconds == seconds
    assert own.lines()[0]["end"] == seconds
