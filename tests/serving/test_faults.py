"""Trouble on purpose: which, how often, and for whom."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import httpx2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_endpoint import completion, in_virtual_time
from starlette.responses import JSONResponse, Response

from autoanalyze.config import FAULTS, FaultsConfig
from autoanalyze.serving.faults import (
    HANG_SECONDS,
    IN_TRANSIT,
    LONGEST_RETRY_AFTER,
    FaultInjector,
    refused,
)

ROWS = [{"C": f"s{number}", "f1": "Claim Status"} for number in range(1, 6)]
LABELLED = json.dumps({"sessions": ROWS})


def key_of(row: dict[str, str]) -> str:
    """The key of a row, which stands under the outcome or, where that is wrong, alone."""
    return row.get("C") or row["key"]


OF_EMBEDDINGS = {kind for kind in FAULTS if kind.startswith("embedding")}
OF_REPLIES = FAULTS - OF_EMBEDDINGS - IN_TRANSIT
QUICK = sorted(FAULTS - {"hang"})
"""Kinds that many requests can meet: to hang takes so long that a clock of virtual time gets coarse."""


class Seen:
    """What became of one request: an answer or an error, after so many seconds."""

    def __init__(self, response: Response | None, error: Exception | None, seconds: float) -> None:
        self.error = error
        self.seconds = seconds
        self.status = response.status_code if response else None
        self.headers = dict(response.headers) if response else {}
        self.body: Any = json.loads(bytes(response.body)) if response else None

    @property
    def outcome(self) -> tuple[object, ...]:
        """All of it, to be compared."""
        return self.status, self.body, type(self.error), self.seconds, self.headers.get("retry-after")

    @property
    def choice(self) -> Any:
        """The only choice of the answer."""
        return self.body["choices"][0]

    @property
    def rows(self) -> Any:
        """The rows of the reply."""
        return json.loads(self.choice["message"]["content"])["sessions"]


def meet(
    injector: FaultInjector, identities: Sequence[str], content: str = LABELLED, texts: int | None = None
) -> list[Seen]:
    """Ask for the same answer under several identities, one after the other; of embeddings for `texts`."""

    async def honest() -> Response:
        if texts is None:
            return JSONResponse(completion(content))
        packed = base64.b64encode(np.array([1, 2, 3, 4], dtype=np.float32).tobytes()).decode()
        data = [{"object": "embedding", "index": place, "embedding": packed} for place in range(texts)]
        return JSONResponse({"object": "list", "data": data})

    async def go() -> list[Seen]:
        seen = []
        clock = asyncio.get_running_loop()
        for identity in identities:
            began = clock.time()
            try:
                response = await injector.answer(identity, honest, embeddings=texts is not None)
                seen.append(Seen(response, None, round(clock.time() - began, 6)))
            except Exception as error:
                seen.append(Seen(None, error, round(clock.time() - began, 6)))
        return seen

    return in_virtual_time(go())


def names(count: int) -> list[str]:
    """So many requests that all differ."""
    return [f"request {number}" for number in range(count)]


def always(kind: str, **changes: Any) -> FaultInjector:
    """Nothing but one kind of trouble."""
    return FaultInjector(FaultsConfig(rate=1.0, kinds=[kind], **changes))


# When


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from("abcde"), max_size=20), st.randoms(use_true_random=False))
def test_faults_do_not_depend_on_the_order_of_arrival(arrivals: list[str], shuffler: Any) -> None:
    """Each request meets what it meets by its content and its own earlier attempts, whoever else comes."""
    config = FaultsConfig(rate=0.6, kinds=QUICK)
    shuffled = list(arrivals)
    shuffler.shuffle(shuffled)
    stories: list[dict[str, list[object]]] = []
    injectors = [FaultInjector(config), FaultInjector(config)]
    for injector, order in zip(injectors, (arrivals, shuffled), strict=True):
        story: dict[str, list[object]] = {}
        for identity, seen in zip(order, meet(injector, order), strict=True):
            story.setdefault(identity, []).append(seen.outcome)
        stories.append(story)
    assert stories[0] == stories[1]
    assert injectors[0].drawn == injectors[1].drawn


def test_faults_come_at_their_rate_and_of_all_kinds() -> None:
    """About as many requests as configured meet trouble, each kind about as often as any other."""
    injector = FaultInjector(FaultsConfig(rate=0.3, kinds=QUICK))
    meet(injector, names(1500))
    assert injector.requests == 1500
    assert sum(injector.drawn.values()) == pytest.approx(450, abs=60)
    kinds = set(QUICK) - OF_EMBEDDINGS
    assert set(injector.drawn) == kinds
    assert min(injector.drawn.values()) > 450 / len(kinds) / 2


def test_retries_draw_anew() -> None:
    """A request that met trouble once does not meet it for ever."""
    injector = FaultInjector(FaultsConfig(rate=0.5, kinds=["server_error"]))
    statuses = [seen.status for seen in meet(injector, ["same"] * 60)]
    assert 15 < statuses.count(500) < 45
    assert statuses.count(200) == 60 - statuses.count(500)


def test_nothing_goes_wrong_unless_asked_for() -> None:
    """Without a rate every answer is the honest one, at once."""
    injector = FaultInjector(FaultsConfig())
    for seen in meet(injector, names(200)):
        assert (seen.body, seen.seconds) == (completion(LABELLED), 0.0)
    assert (injector.requests, injector.drawn) == (200, Counter())


@pytest.mark.parametrize("kind", sorted(FAULTS))
def test_requests_meet_their_own_kinds_only(kind: str) -> None:
    """Embeddings have no rows to lose and replies no dimensions; what happens on the way happens to all."""
    chat, vectors = always(kind), always(kind)
    meet(chat, names(5))
    meet(vectors, names(5), texts=3)
    assert sum(chat.drawn.values()) == (0 if kind in OF_EMBEDDINGS else 5)
    assert sum(vectors.drawn.values()) == (0 if kind in OF_REPLIES else 5)


@pytest.mark.parametrize("after", [0, 3])
def test_credit_and_endpoint_end_after_so_many_requests(after: int) -> None:
    """From then on every request is refused, or nothing answers; an endpoint that is gone refuses nothing."""
    quota = FaultInjector(FaultsConfig(quota_after=after))
    seen = meet(quota, names(after + 2))
    assert [one.status for one in seen] == [200] * after + [429] * 2
    assert seen[-1].body["error"]["code"] == "insufficient_quota"
    gone = FaultInjector(FaultsConfig(gone_after=after, quota_after=after))
    errors = [type(one.error) for one in meet(gone, names(after + 2))]
    assert errors == [type(None)] * after + [httpx2.ConnectError] * 2
    assert (gone.drawn, quota.drawn) == (Counter(gone=2), Counter(quota=2))


# On the way


@pytest.mark.parametrize(
    ("kind", "status", "asks"),
    [
        ("busy", 429, False),
        ("busy_with_retry_after", 429, True),
        ("server_error", 500, False),
        ("unavailable", 503, False),
    ],
)
def test_refusals_have_the_form_of_openai(kind: str, status: int, asks: bool) -> None:
    """Status, code and message, and one kind that says how long to wait, by whole seconds."""
    waits = set()
    for seen in meet(always(kind), names(100)):
        assert (seen.status, seen.body["error"]["code"], seen.seconds) == (status, kind, 0.0)
        assert seen.body["error"]["message"]
        waits.add(seen.headers.get("retry-after"))
    assert waits == ({str(n) for n in range(1, LONGEST_RETRY_AFTER + 1)} if asks else {None})


def test_trouble_in_time_takes_time() -> None:
    """A hanging answer outlasts every time-out, a slow one comes late, a broken connection breaks midway."""
    (hanging,) = meet(always("hang"), names(1))
    assert hanging.seconds == HANG_SECONDS
    slow = meet(always("slow"), names(100))
    assert {seen.choice["message"]["content"] for seen in slow} == {LABELLED}
    assert 0 <= min(seen.seconds for seen in slow) < 3
    assert 27 < max(seen.seconds for seen in slow) <= 30
    for seen in meet(always("reset"), names(20)):
        assert isinstance(seen.error, httpx2.RemoteProtocolError)
        assert 0 < seen.seconds < 1


def test_honest_refusals_are_left_alone() -> None:
    """What an endpoint refuses for its own reasons has no reply to spoil."""

    async def honest() -> Response:
        return refused(400, "too long", "context_length_exceeded", {"x-a": "b"})

    response = in_virtual_time(always("cut_off").answer("x", honest))
    assert (response.status_code, response.headers["x-a"]) == (400, "b")
    assert json.loads(bytes(response.body))["error"]["code"] == "context_length_exceeded"


# In what is said


def test_broken_texts_cannot_be_read() -> None:
    """Chatter before half a reply is no JSON; a reply that is cut off says so and is a beginning of it."""
    for seen in meet(always("not_json"), names(50)):
        with pytest.raises(ValueError, match="Expecting value"):
            json.loads(seen.choice["message"]["content"])
    lengths = set()
    for seen in meet(always("cut_off"), names(50)):
        text = seen.choice["message"]["content"]
        assert LABELLED.startswith(text)
        assert text != LABELLED
        assert seen.choice["finish_reason"] == "length"
        lengths.add(len(text))
    assert len(lengths) > 20


def test_refusals_and_empty_answers_say_nothing() -> None:
    """A content filter leaves a refusal in place of the text; an empty answer only looks finished."""
    (filtered,) = meet(always("refusal"), names(1))
    assert filtered.choice["finish_reason"] == "content_filter"
    assert filtered.choice["message"]["content"] is None
    assert filtered.choice["message"]["refusal"]
    (empty,) = meet(always("empty"), names(1))
    assert (empty.choice["message"]["content"], empty.choice["finish_reason"]) == ("", "stop")


@pytest.mark.parametrize("kind", ["missing_key", "duplicated_key", "foreign_key", "wrong_outcome"])
def test_misled_replies_are_wrong_in_one_row(kind: str) -> None:
    """A well-formed reply loses, doubles, renames or misjudges one session, any of them, and no other."""
    touched = set()
    for seen in meet(always(kind), names(60)):
        rows = seen.rows
        counts = Counter(map(key_of, rows))
        wrong = {
            "missing_key": {key_of(row) for row in ROWS if key_of(row) not in counts},
            "duplicated_key": {key for key, count in counts.items() if count == 2},
            "foreign_key": {key_of(row) for row in ROWS if key_of(row) not in counts and counts["s999"] == 1},
            "wrong_outcome": {key_of(row) for row in rows if row.get("session_outcome") == "Unknown"},
        }[kind]
        assert len(wrong) == 1
        touched |= wrong
        assert [row for row in ROWS if key_of(row) not in wrong] == [
            row for row in rows if key_of(row) not in wrong | {"s999"}
        ]
        assert len(rows) == len(ROWS) + {"missing_key": -1, "duplicated_key": 1}.get(kind, 0)
    assert touched == {key_of(row) for row in ROWS}


@pytest.mark.parametrize("content", ['{"groups": [[1, 2]]}', '{"sessions": []}'])
@pytest.mark.parametrize("kind", ["missing_key", "duplicated_key", "foreign_key", "wrong_outcome"])
def test_replies_without_rows_stay_as_they_are(kind: str, content: str) -> None:
    """A judge's reply has no keys, and an empty one no row to be wrong in."""
    (seen,) = meet(always(kind), names(1), content)
    assert json.loads(seen.choice["message"]["content"]) == json.loads(content)


def unpacked(seen: Seen) -> list[list[float]]:
    """The vectors of an answer."""
    packed = [base64.b64decode(part["embedding"]) for part in seen.body["data"]]
    return [np.frombuffer(vector, dtype=np.float32).tolist() for vector in packed]


def test_spoilt_embeddings_are_no_numbers_too_short_or_too_few() -> None:
    """Each kind breaks what it says and leaves the rest."""
    (nothing,) = meet(always("embedding_not_a_number"), names(1), texts=2)
    assert np.isnan(unpacked(nothing)).all()
    assert np.shape(unpacked(nothing)) == (2, 4)
    (short,) = meet(always("embedding_dimensions"), names(1), texts=2)
    assert unpacked(short) == [[1, 2], [1, 2]]
    missing = meet(always("embedding_missing"), names(40), texts=3)
    left = Counter(tuple(part["index"] for part in seen.body["data"]) for seen in missing)
    assert set(left) == {(0, 1), (0, 2), (1, 2)}
    (none,) = meet(always("embedding_missing"), names(1), texts=1)
    assert none.body["data"] == []
