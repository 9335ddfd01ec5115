"""SecondLook: sessions whose label is rare are looked at again, when all labels are known.

What was named before the vocabulary was whole, too broadly or too narrowly, mostly stands under a label of
few sessions. Asked again, with every label in sight, the same session mostly gets the common one. And
sessions whose label swallows what it does not fit are asked about without it.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from autoanalyze.config import SecondLookConfig
from autoanalyze.llm.calls import together
from autoanalyze.phases.streams import StreamProcessing
from autoanalyze.protocols import FieldCodebook
from autoanalyze.records import CallContext, Facts, Session, SessionResult, VocabularySnapshot

SECOND = "second"
"""The phase of these calls."""

FIRST_FURTHER = 2
"""The number of the first further look; the first one labelled."""

FEWEST_PER_CALL, MOST_PER_CALL = 5, 10
"""Sessions; in between, so many that each stream has one call to make."""

LINKED = 5
"""Sessions of each name that a codebook links which are looked at again."""

FEWEST, MOST_SHARE = 2, 0.5
"""Sessions, and the share of those looked at again, that a label must lose to another to be its double."""

Redirects = Mapping[str, Mapping[str, str]]
Counts = Mapping[str, Counter[str]]
Attractors = Mapping[str, Collection[str]]
"""Per field, labels that swallow sessions which they do not fit."""
Moves = Mapping[str, Mapping[str, Counter[str]]]


class SecondLook:
    """Asks about sessions again, `parallel` calls at a time, each look in an order of its own.

    All calls of a look see the same labels: those in use after merging. So the order of the answers does not
    matter. The first further look is at sessions with a rare label, any later one at those that were answered
    differently so far. Those with a label that attracts are among the first, and are shown no such label.

    With a codebook, the first further look is also at all sessions of names that are unfit, which it does not
    show, and at some of each name that is said to be narrower, however many these are; `rare` tells whether
    it is at rare ones too.
    """

    def __init__(self, config: SecondLookConfig, streams: int, *, seed: int) -> None:
        self._config = config
        self._streams = streams
        self._seed = seed
        self._said: dict[str, list[Facts]] = {}

    async def run(
        self,
        streams: StreamProcessing,
        sessions: Sequence[Session],
        results: Sequence[SessionResult],
        redirects: Redirects,
        vocabulary: VocabularySnapshot,
        number: int,
        begin: Callable[[int], object],
        attractors: Attractors | None = None,
        *,
        rare: bool = True,
        codebook: Mapping[str, FieldCodebook] | None = None,
    ) -> tuple[SessionResult, ...]:
        """`results` with the labels that all looks so far give; `number` counts looks from 2.

        `streams` needs a seed of its own for each look, as whatever draws at random has to draw anew. `begin`
        is told how many sessions are looked at, if any are.
        """
        codebook, attractors = codebook or {}, attractors or {}
        unfit = {name: book.unfit for name, book in codebook.items()}
        borne = used(streams.schema.names, results, redirects)
        counts = {
            name: Counter({label: times for label, times in own.items() if label not in unfit.get(name, ())})
            for name, own in borne.items()
        }
        known = vocabulary.only(lambda field, label: counts[field][label] > 0)
        swallowed: list[Session] = []
        if number == FIRST_FURTHER:
            swallowed = bearing(attractors, sessions, results, redirects)
            chosen = worth_it(sessions, results, redirects, borne, self._config) if rare else []
            chosen += bearing(unfit, sessions, results, redirects)
            chosen = [session for session in dict.fromkeys(chosen) if session not in swallowed]
            chosen += linked(sessions, results, redirects, codebook, {*chosen, *swallowed})
        else:
            chosen = [one for one in sessions if disputed(self._said.get(one.session_id, ()), redirects)]
        if chosen or swallowed:
            begin(len(chosen) + len(swallowed))
        without = known.only(lambda field, label: label not in attractors.get(field, ()))
        batches = []
        for part, shown in ((chosen, known), (swallowed, without)):
            random.Random(f"look {self._seed} {number}").shuffle(part)
            share = min(max(-(-len(part) // self._streams), FEWEST_PER_CALL), MOST_PER_CALL)
            taken = streams.prompt_vocabulary_tokens(shown)
            split = streams.tokens.split_sessions_into_batches(part, vocabulary_tokens=taken, share=share)
            batches += [(batch, shown) for batch in split]
        at_once = asyncio.Semaphore(self._streams)

        async def ask(
            stream: int, batch: Sequence[Session], shown: VocabularySnapshot
        ) -> Sequence[SessionResult]:
            async with at_once:
                context = CallContext(SECOND, number, stream)
                return (await streams.process_batch(batch, shown, context)).results

        answers = await together(ask(stream, *batch) for stream, batch in enumerate(batches, start=1))
        before = {result.session_id: result.facts for result in results}
        for answer in (result for part in answers for result in part):
            first = before[answer.session_id]
            if first is not None and answer.facts is not None:
                if answer.session_id not in self._said:
                    self._said[answer.session_id] = [
                        freed(first, answer.facts, attractors, redirects, counts)
                    ]
                self._said[answer.session_id].append(answer.facts)
        same = doubles(self._said.values(), redirects, counts)
        left = {name: book.narrower for name, book in codebook.items()}
        return tuple(
            replace(result, facts=decided(result.facts, said, redirects, counts, same, left))
            if result.facts is not None
            else result
            for result in results
            for said in [self._said.get(result.session_id, [])]
        )

    def moves(self, redirects: Redirects) -> Moves:
        """What further looks so far said of the sessions of each label."""
        return moved(self._said.values(), redirects)


def used(names: Sequence[str], results: Sequence[SessionResult], redirects: Redirects) -> Counts:
    """Per field, the sessions of each label after merging."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in names}
    for result in results:
        for name, label in (result.facts.labels if result.facts else {}).items():
            if label is not None:
                counts[name][redirects.get(name, {}).get(label, label)] += 1
    return counts


def worth_it(
    sessions: Sequence[Session],
    results: Sequence[SessionResult],
    redirects: Redirects,
    counts: Counts,
    config: SecondLookConfig,
) -> list[Session]:
    """The sessions that bear a rare label in any field, those with the rarest first, up to the bound."""
    totals = {name: own.total() for name, own in counts.items()}

    def rarest(facts: Facts) -> float:
        """The least share of its field that a label of a session has."""
        borne = ((name, canonical(name, label, redirects)) for name, label in facts.labels.items())
        return min(
            (counts[name][label] / totals[name] for name, label in borne if label is not None), default=1
        )

    shares = [1.0 if result.facts is None else rarest(result.facts) for result in results]
    rare = [place for place, share in enumerate(shares) if share < config.rare_share]
    rare.sort(key=lambda place: (shares[place], place))
    return [sessions[place] for place in rare[: int(config.most * len(sessions))]]


def bearing(
    labels: Attractors,
    sessions: Sequence[Session],
    results: Sequence[SessionResult],
    redirects: Redirects,
) -> list[Session]:
    """The sessions that bear one of these labels in any field."""
    return [
        session
        for session, result in zip(sessions, results, strict=True)
        if any(
            canonical(name, label, redirects) in labels.get(name, ())
            for name, label in (result.facts.labels if result.facts else {}).items()
        )
    ]


def freed(first: Facts, second: Facts, attractors: Attractors, redirects: Redirects, counts: Counts) -> Facts:
    """The first answer to a session as far as it counts: an attractor does not where the second answer, which
    was shown none, is another label in use."""

    def counting(name: str, label: str | None) -> str | None:
        other = canonical(name, second.labels.get(name), redirects)
        swallowing = canonical(name, label, redirects) in attractors.get(name, ())
        return None if swallowing and other is not None and counts[name][other] else label

    return replace(first, labels={name: counting(name, label) for name, label in first.labels.items()})


def linked(
    sessions: Sequence[Session],
    results: Sequence[SessionResult],
    redirects: Redirects,
    codebook: Mapping[str, FieldCodebook],
    chosen: set[Session],
) -> list[Session]:
    """A few sessions of each name that a codebook calls narrower; those `chosen` already count among them."""
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    pairs = list(zip(sessions, results, strict=True))
    for session, result in sorted(pairs, key=lambda pair: pair[0] not in chosen):
        borne = [
            (name, str(label))
            for name, book in codebook.items()
            for label in [canonical(name, result.facts.labels.get(name) if result.facts else None, redirects)]
            if label in book.narrower and seen[name, str(label)] < LINKED
        ]
        if borne and session not in chosen:
            found.append(session)
        seen.update(borne)
    return found


def canonical(name: str, label: str | None, redirects: Redirects) -> str | None:
    """What a label of a field became."""
    return label if label is None else redirects.get(name, {}).get(label, label)


def disputed(said: Sequence[Facts], redirects: Redirects) -> bool:
    """Whether looks gave a session different labels in any field."""
    return any(
        len({canonical(name, facts.labels.get(name), redirects) for facts in said}) > 1
        for name in (said[0].labels if said else ())
    )


def moved(said: Iterable[Sequence[Facts]], redirects: Redirects) -> Moves:
    """Per field and label, how many further looks at its sessions gave which label."""
    found: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for first, *others in said:
        for name, label in first.labels.items():
            own = canonical(name, label, redirects)
            for facts in others:
                other = canonical(name, facts.labels.get(name), redirects)
                if own is not None and other is not None:
                    found[name][own][other] += 1
    return found


def doubles(said: Iterable[Sequence[Facts]], redirects: Redirects, counts: Counts) -> Redirects:
    """Per field, labels that most of their sessions lost to one and the same other label: whoever knows both
    takes the other one. The less common of the two becomes the more common."""
    found: dict[str, dict[str, str]] = {name: {} for name in counts}
    for name, by_label in moved(said, redirects).items():
        for label, went in sorted(by_label.items()):
            other, times = max(went.items(), key=lambda item: (item[1], item[0]))
            if (
                other != label
                and times >= FEWEST
                and times > MOST_SHARE * went.total()
                and counts[name][other]
                and counts[name][label]
            ):
                rare, common = sorted((label, other), key=lambda one: (counts[name][one], one))
                found[name].setdefault(rare, common)
    return found


def decided(
    given: Facts,
    said: Sequence[Facts],
    redirects: Redirects,
    counts: Counts,
    same: Redirects,
    left: Redirects | None = None,
) -> Facts:
    """The facts after all looks at a session: in each field the label that most looks gave, of several such
    the most common, then the latest; and of doubles the more common. A label that nobody bore before a
    look counts for nothing there, so that no look brings new ones but where the one before counts for
    nothing either. Labels in `left` are left to the codebook, which moves all their sessions or none, so that
    it can be undone."""
    labels = dict(given.labels)
    for name, label in given.labels.items():
        before = canonical(name, label, redirects)
        if before is None or before in (left or {}).get(name, {}):
            continue
        votes = [canonical(name, facts.labels.get(name), redirects) for facts in said]
        known = [vote for vote in votes if vote is not None and counts[name][vote]]
        if not known:
            new = [vote for vote in votes if vote is not None and vote != before]
            known = [before] if counts[name][before] or not new else new[-1:]
        chosen = max(
            dict.fromkeys(known),
            key=lambda vote: (known.count(vote), counts[name][vote], last(known, vote)),
        )
        chosen = same[name].get(chosen, chosen)
        if chosen != before:
            labels[name] = chosen
    return replace(given, labels=labels)


def last(votes: Sequence[str], vote: str) -> int:
    """Where a vote stands last."""
    return max(place for place, one in enumerate(votes) if one == vote)
