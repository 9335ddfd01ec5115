"""Stand-ins that the tests of several rooms share: sessions, a reader, and a model that does as told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from autoanalyze.config import Config, EmbeddingsConfig, ModelConfig, ResolutionConfig, RetryConfig
from autoanalyze.errors import TransientEndpointError
from autoanalyze.llm.embeddings import OfflineEmbedder
from autoanalyze.llm.tokens import Estimate, TokenManagement
from autoanalyze.phases.conflicts import ConflictResolution, ResolutionResult
from autoanalyze.phases.duplicates.ledger import Carried, LedgerEntry
from autoanalyze.phases.results import PhaseResults
from autoanalyze.phases.vocabulary import LabelUse, labels_found
from autoanalyze.protocols import (
    Answer,
    Answers,
    Embedder,
    FieldCodebook,
    Judgement,
    Model,
    Question,
    Themed,
    Written,
)
from autoanalyze.records import (
    CallContext,
    Facts,
    LabelField,
    LabelSchema,
    Message,
    Reply,
    ReplyRow,
    Session,
    SessionResult,
    SessionText,
    Usage,
    VocabularySnapshot,
)

SCHEMA = LabelSchema(
    (
        LabelField("general_intent", "what the user came for."),
        LabelField("transfer_reason", "why a human took over.", ("Transfer",)),
    )
)

MODEL = ModelConfig(
    name="test-model",
    context_window=128_000,
    output_limit=16_384,
    item_cap=20,
    price_prompt=1.0,
    price_cached=0.5,
    price_completion=2.0,
)


def make_sessions(count: int, tokens: int = 100) -> list[Session]:
    """Sessions called `a000`, `a001`, ..."""
    return [
        Session(f"a{i:03}", f"u{i // 2}", "default", None, None, "selfService", 4, tokens)
        for i in range(count)
    ]


def make_tokens(**changes: Any) -> TokenManagement:
    """Token management of the test model; keywords of TokenManagement change it."""
    return TokenManagement(MODEL, Estimate(), **{"overhead_tokens": 300, **changes})


class EchoReader:
    """Every session is one message that says its id."""

    def read(self, session_ids: Sequence[str]) -> Mapping[str, Sequence[Message]]:
        """Messages of each session."""
        return {session_id: (Message("user", f"I am {session_id}"),) for session_id in session_ids}


def row(key: str, intent: object = "Claim Status", **values: object) -> ReplyRow:
    """A valid row of a reply, unless the values say otherwise."""
    facts = {"session_outcome": "Contained", "general_intent": intent, "transfer_reason": None, "notes": "n"}
    return ReplyRow(key, {"key": key, **facts, **values})


class ScriptedModel:
    """Answers from a function of (call number, session ids, vocabulary, context) to rows.

    `delay` gives the seconds each call takes; a script that raises makes the call fail. Sees
    everything that was asked in `calls`.
    """

    name = "test-model"

    def __init__(
        self,
        script: Callable[[int, list[str], VocabularySnapshot, CallContext], Sequence[ReplyRow]] | None = None,
        *,
        groups: Callable[[Sequence[str]], Sequence[tuple[str, ...]]] = lambda _labels: (),
        delay: Callable[[CallContext], float] = lambda _context: 1.0,
        finish_reason: str = "stop",
        codebook: Callable[[Mapping[str, int]], FieldCodebook] = lambda _counts: FieldCodebook(),
        themes: Mapping[str, str] | None = None,
    ) -> None:
        self._codebook = codebook
        self._themes = themes or {}
        self.coded: list[tuple[str, Mapping[str, int], CallContext]] = []
        self._script = script or (lambda _n, ids, _v, _c: [row(f"s{i}") for i in range(1, len(ids) + 1)])
        self._groups = groups
        self._delay = delay
        self._finish_reason = finish_reason
        self.calls: list[tuple[list[str], VocabularySnapshot, CallContext]] = []
        self.judged: list[list[str]] = []
        self.questions: list[tuple[Question, CallContext]] = []
        self.notes: list[Mapping[str, Sequence[str]]] = []

    async def analyze_batch(
        self, sessions: Sequence[SessionText], vocabulary: VocabularySnapshot, context: CallContext
    ) -> Reply:
        """Answer by the script."""
        ids = [session.session_id for session in sessions]
        self.calls.append((ids, vocabulary, context))
        number = len(self.calls)
        await asyncio.sleep(self._delay(context))
        rows = self._script(number, ids, vocabulary, context)
        return Reply(tuple(rows), Usage(100, 0, 10), self._finish_reason, self._delay(context))

    async def judge_duplicates(
        self, label_field: LabelField, labels: Sequence[str], context: CallContext
    ) -> Judgement:
        """Answer with the groups that were given."""
        self.judged.append(list(labels))
        await asyncio.sleep(self._delay(context))
        return Judgement(tuple(self._groups(labels)), Usage(50, 0, 5), 1.0)

    async def judge_pairs(
        self,
        label_field: LabelField,
        questions: Sequence[Question],
        notes: Mapping[str, Sequence[str]],
        context: CallContext,
    ) -> Answers:
        """Answer by the groups that were given, each question for itself."""
        self.questions += [(question, context) for question in questions]
        self.notes.append(notes)
        await asyncio.sleep(self._delay(context))
        answers = []
        for question in questions:
            groups = self._groups([question.label, *question.candidates])
            own = [label for group in groups if question.label in group for label in group]
            answers.append(Answer(tuple(c for c in question.candidates if c in own), "as scripted"))
        return Answers(tuple(answers), Usage(50, 0, 5), 1.0)

    async def write_codebook(
        self, label_field: LabelField, counts: Mapping[str, int], context: CallContext
    ) -> Written:
        """Answer with the codebook that was given."""
        self.coded.append((label_field.name, counts, context))
        await asyncio.sleep(self._delay(context))
        return Written(self._codebook(counts), Usage(50, 0, 5), 1.0)

    async def group_themes(
        self, label_field: LabelField, counts: Mapping[str, int], _known: Sequence[str], context: CallContext
    ) -> Themed:
        """Answer with the themes that were given."""
        self.coded.append((label_field.name, counts, context))
        await asyncio.sleep(self._delay(context))
        return Themed({name: self._themes[name] for name in counts}, Usage(50, 0, 5), 1.0)


class Order:
    """Remembers in memory in which order work finished, and repeats an order that is given."""

    def __init__(self, recorded: Sequence[int] = ()) -> None:
        self._recorded = list(recorded)
        self.finishes: list[int] = []

    def next_finished(self) -> int | None:
        """What finished next when the run was made before."""
        position = len(self.finishes)
        return self._recorded[position] if position < len(self._recorded) else None

    def finished(self, work: int) -> None:
        """Remember it."""
        self.finishes.append(work)


def make_conflicts(model: Model, embedder: Embedder | None = None, **changes: Any) -> ConflictResolution:
    """Phase 3 with a model of the test's; `changes`: of ResolutionConfig, or `carried`, `embeddings`."""
    embeddings = changes.pop("embeddings", EmbeddingsConfig(source="offline"))
    carried = changes.pop("carried", None)
    return ConflictResolution(
        model,
        embedder or OfflineEmbedder(embeddings),
        SCHEMA,
        ResolutionConfig(**changes),
        embeddings,
        retry=RetryConfig(),
        seed=1,
        carried=carried,
    )


def make_phases(
    labels: Sequence[str | None], redirects: Mapping[str, str] | None = None, **changes: Any
) -> PhaseResults:
    """What phases brought that gave these intents; null: the session is unresolved."""
    redirects, name = redirects or {}, SCHEMA.names[0]

    def facts(label: str) -> Facts:
        return Facts("Contained", {name: label, SCHEMA.names[1]: None}, f"about {label}")

    sessions = make_sessions(len(labels))
    results = tuple(
        SessionResult(
            session.session_id,
            None if label is None else facts(label),
            "parallel",
            1,
            1 + number % 2,
            1,
            error="lost" if label is None else None,
        )
        for number, (session, label) in enumerate(zip(sessions, labels, strict=True))
    )
    given = [result.facts for result in results if result.facts is not None]
    ledger = tuple(
        LedgerEntry(name, alias, canonical, "same", True, "embeddings", "test-model", "same meaning")
        for alias, canonical in redirects.items()
    )
    carried: Carried = changes.get("carried", Carried())
    phases = PhaseResults(
        SCHEMA,
        tuple(sessions),
        results,
        {
            session.session_id: facts(redirects.get(label, label))
            for session, label in zip(sessions, labels, strict=True)
            if label is not None
        },
        carried.vocabulary().extended(labels_found(SCHEMA, given)),
        resolution=ResolutionResult(ledger, len(set(redirects.values())), Usage()),
    )
    return replace(phases, **changes)


def used(**counts: Mapping[str, int]) -> dict[str, LabelUse]:
    """How labels are used, per field, without notes."""
    return {name: LabelUse(labels) for name, labels in counts.items()}


def busy(*_arguments: object) -> Sequence[ReplyRow]:
    """A script for an endpoint that is always busy."""
    raise TransientEndpointError("429: busy")


@cache
def small_config(**overrides: str) -> Config:
    """A quick simulated run: 60 sessions, 4 streams, no page, and ten resamples instead of a thousand."""
    from autoanalyze.analysis.configuration import compose

    small = {"data.count": "60", "discovery.min_sessions": "10", "parallel.streams": "4"}
    settings = {**small, "page": "false", "resamples": "10", **overrides}
    return compose([f"{key}={value}" for key, value in settings.items()])
