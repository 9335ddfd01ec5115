"""Codebook: what it hides on the way, what it links, and what sessions must bear out."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from fakes import SCHEMA, ScriptedModel, used

from autoanalyze.config import RetryConfig, SecondLookConfig
from autoanalyze.phases.codebook import Codebook
from autoanalyze.phases.conflicts import ResolutionResult
from autoanalyze.phases.duplicates.ledger import Carried, LedgerEntry
from autoanalyze.phases.second_look import LINKED, SecondLook, Standing, linked
from autoanalyze.phases.votes import decided
from autoanalyze.protocols import FieldCodebook, Written
from autoanalyze.records import Facts, Session, SessionResult, Usage, VocabularySnapshot

FIELD = SCHEMA.names[0]
COUNTS = {"Claim Status": 90, "Claims": 6, "Claim Status Follow-Up": 1, "Claim Denial": 30}
SAID = FieldCodebook(
    {"Claim Status": "how it stands"},
    {"Claim Status Follow-Up": "Claim Status", "Claim Denial": "Claim Status"},
    ("Claims",),
)


def written(model: ScriptedModel, carried: Carried | None = None, **merged: str) -> Codebook:
    """A codebook over COUNTS."""
    book = Codebook(model, SCHEMA, carried or Carried(), retry=RetryConfig(attempts=0), seed=1)
    asyncio.run(book.write(used(general_intent=COUNTS, transfer_reason={}), {FIELD: merged}, 2))
    return book


def codebook(**changes: Any) -> Codebook:
    return written(ScriptedModel(codebook=lambda _counts: SAID, delay=lambda _context: 0.0), **changes)


def session(number: int) -> Session:
    return Session(str(number), "u", "default", None, None, "selfService", 4, 100)


def result(number: int, label: str) -> SessionResult:
    return SessionResult(str(number), Facts("Contained", {FIELD: label}, ""), "parallel", 1, 1, 1)


def test_only_rare_names_are_hidden_before_sessions_have_spoken() -> None:
    """A common name may be called narrower by mistake; an unfit one is hidden however common it is."""
    book = codebook()
    assert book.hidden[FIELD] == ["Claims", "Claim Status Follow-Up"]
    assert book.lines() == ((FIELD, "Claim Status", "how it stands"),)
    assert book.entries(()) == ()


def test_names_keep_their_themes_and_new_ones_are_asked_about_alone() -> None:
    """Themes of an earlier run; where every name has one, nobody is asked."""
    names = [f"Name {n}" for n in range(12)]
    kept = dict.fromkeys(names[:10], "Old")
    model = ScriptedModel(themes=dict.fromkeys(names, "New"), delay=lambda _context: 0.0)
    book = Codebook(model, SCHEMA, Carried(themes={FIELD: kept}), retry=RetryConfig(), seed=1)
    counts = {FIELD: Counter(names), "transfer_reason": Counter[str]()}
    assert asyncio.run(book.themes(counts)) == {FIELD: {**kept, "Name 10": "New", "Name 11": "New"}}
    assert [list(asked) for _, asked, _ in model.coded] == [names[10:]]
    again = {FIELD: Counter(names[:10]), "transfer_reason": Counter[str]()}
    assert asyncio.run(book.themes(again)) == {FIELD: kept}
    assert len(model.coded) == 1


def test_merged_names_are_shown_as_one() -> None:
    """With the sessions of both; fields with less than two names are not asked about."""
    model = ScriptedModel(codebook=lambda _counts: SAID, delay=lambda _context: 0.0)
    written(model, Claims="Claim Status")
    ((name, counts, context),) = model.coded
    assert name == FIELD
    assert counts == {"Claim Status": 96, "Claim Denial": 30, "Claim Status Follow-Up": 1}
    assert (context.phase, context.round) == ("resolution", 2)


def test_links_are_borne_out_by_sessions() -> None:
    """Linked is what most sessions, looked at again, left for the name above it; and it can be read why."""
    book = codebook()
    went = {
        "Claim Status Follow-Up": Counter({"Claim Status": 2, "Claim Status Follow-Up": 1}),
        "Claim Denial": Counter({"Claim Status": 2, "Claim Denial": 3}),
    }
    book.link({FIELD: went})
    (entry,) = book.entries(())
    assert (entry.alias, entry.canonical, entry.verdict, entry.merged) == (
        "Claim Status Follow-Up",
        "Claim Status",
        "narrower",
        True,
    )
    assert "2 of 3 sessions" in entry.reason
    assert book.entries({(FIELD, "Claim Status Follow-Up")}) == ()


def test_what_is_merged_into_a_linked_name_goes_along() -> None:
    """Aliases end where their canonical label ends."""
    same = LedgerEntry(FIELD, "Status Follow-Up", "Follow-Up", "same", True, "judge", "m", "")
    below = LedgerEntry(FIELD, "Follow-Up", "Claim Status", "narrower", True, "codebook", "m", "")
    found = ResolutionResult((same, below), 1, Usage()).redirects()
    assert found == {FIELD: {"Status Follow-Up": "Claim Status", "Follow-Up": "Claim Status"}}


def test_fixed_labels_stay_whatever_is_said_of_them() -> None:
    """And an earlier run's lines hold until there are new ones."""
    book = codebook(carried=Carried(fixed={FIELD: ("Claims", "Claim Denial")}))
    assert book.fields[FIELD].unfit == ()
    assert list(book.fields[FIELD].narrower) == ["Claim Status Follow-Up"]
    fresh = Codebook(
        ScriptedModel(), SCHEMA, Carried(lines={FIELD: {"A": "line"}}), retry=RetryConfig(), seed=1
    )
    assert fresh.lines() == ((FIELD, "A", "line"),)


def test_an_answer_that_cannot_be_used_leaves_names_as_they_are() -> None:
    """The run goes on without, and tells why."""

    class Silent(ScriptedModel):
        async def write_codebook(self, *_arguments: Any) -> Written:
            return Written(FieldCodebook(), Usage(), 0.0, "nothing to be read")

    book = written(Silent())
    assert book.fields[FIELD] == FieldCodebook()
    assert "nothing to be read" in book.errors[0]


class Streams:
    """Takes sessions to label, answers nothing, and keeps which they were and what was shown with them."""

    schema = SCHEMA

    def __init__(self) -> None:
        self.tokens = self
        self.asked: list[str] = []
        self.shown: set[str] = set()

    def prompt_vocabulary_tokens(self, _shown: VocabularySnapshot) -> int:
        return 0

    def split_sessions_into_batches(self, part: Sequence[Session], **_limits: int) -> list[list[Session]]:
        return [list(part)] if part else []

    async def process_batch(
        self, batch: Sequence[Session], shown: VocabularySnapshot, _context: Any
    ) -> SimpleNamespace:
        self.asked += [session.session_id for session in batch]
        self.shown |= set(shown.labels(FIELD))
        return SimpleNamespace(results=())


def looked_at(labels: Sequence[str], config: SecondLookConfig, **settings: Any) -> Streams:
    """Which sessions the first further look is at."""
    streams = Streams()
    sessions = [session(number) for number in range(len(labels))]
    results = [result(number, label) for number, label in enumerate(labels)]
    known = VocabularySnapshot().extended({FIELD: labels})
    look = SecondLook(config, 2, seed=1, codebook=settings.get("codebook"))
    look.attractors = settings.get("attractors", {})
    standing = Standing([FIELD], sessions, results, {}, known)
    parts = look.choose(standing, 2, rare=settings.get("rare", True))
    given: Any = streams
    asyncio.run(look.ask(given, standing, parts, 2))
    assert list(look.decide(standing)) == results
    assert sum(len(part.sessions) for part in parts) == len(streams.asked) == len(set(streams.asked))
    return streams


def test_what_a_codebook_doubts_is_looked_at_besides_rare_names_however_many() -> None:
    """A bound is on rare ones alone; all of an unfit name, five of a narrower one; with one pass too."""
    labels = [*["Claims"] * 8, *["Claim Denial"] * 8, *["Claim Status"] * 80, *["New", "Odd", "Old", "Own"]]
    config = SecondLookConfig(rare_share=0.02, most=0.03)
    rare, unfit, narrower = ["96", "97", "98", "99"], list("01234567"), ["8", "9", "10", "11", "12"]
    assert sorted(looked_at(labels, config).asked) == rare
    both = looked_at(labels, config, codebook={FIELD: SAID})
    assert sorted(both.asked) == sorted([*rare, *unfit, *narrower])
    assert both.shown == set(labels) - {"Claims"}
    doubted = looked_at(labels, config, codebook={FIELD: SAID}, rare=False)
    assert sorted(doubted.asked) == sorted([*unfit, *narrower])
    assert looked_at(labels, config, rare=False).asked == []
    apart = looked_at(labels, config, codebook={FIELD: SAID}, attractors={FIELD: ["Claims"]})
    assert sorted(apart.asked) == sorted([*rare, *unfit, *narrower])


def test_sessions_of_unfit_names_may_get_a_new_one() -> None:
    """What nobody bore before counts for them alone; and a narrower name is left to the codebook."""
    counts = {FIELD: Counter({"Claim Status": 2, "Claim Denial": 1})}
    redirects: Mapping[str, Mapping[str, str]] = {FIELD: {}}

    def after(*said: str) -> str | None:
        looks = [Facts("Contained", {FIELD: label}, "") for label in said]
        return decided(looks[0], looks, redirects, counts, redirects).labels[FIELD]

    assert after("Claims", "Claim Appeal") == "Claim Appeal"
    assert after("Claims", "Claim Status") == "Claim Status"
    assert after("Claims") == after("Claims", "Claims") == "Claims"
    assert after("Claim Status", "Claim Appeal") == "Claim Status"
    looks = [Facts("Contained", {FIELD: label}, "") for label in ("Claim Denial", "Claim Status")]
    left = {FIELD: SAID.narrower}
    assert decided(looks[0], looks, redirects, counts, redirects, left).labels[FIELD] == "Claim Denial"


def test_a_few_sessions_speak_for_a_name_that_is_linked() -> None:
    """Those that are looked at anyway count among them."""
    sessions = [session(number) for number in range(12)]
    results = [result(number, "Claim Denial") for number in range(10)]
    results += [result(number, "Claim Status") for number in (10, 11)]
    standing = Standing([FIELD], sessions, results, {}, VocabularySnapshot())
    found = linked(standing, {FIELD: SAID}, {sessions[9]})
    assert found == sessions[: LINKED - 1]
