"""The sessions that a run takes: opened, sampled, and what is planted for them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial
from threading import Lock
from typing import Any

import polars as pl
from cachetools import LRUCache, cached
from cachetools.keys import hashkey

from autoanalyze.config import Config
from autoanalyze.data.sampling import SessionSampling
from autoanalyze.data.store import Store
from autoanalyze.data.synthetic import SECOND, Variety, generated
from autoanalyze.errors import ConfigurationError
from autoanalyze.llm.tokens import TokenCounter, count_with
from autoanalyze.records import Conversation, Session, Truth, transcript
from autoanalyze.simulation.truth import PlantedTruth

POPULATION_SHARE = 1.5
"""Synthetic sessions that there are, per session to sample, unless `data.population` says otherwise."""

KEPT_SESSIONS = 80_000
"""Invented sessions that are kept in memory: the populations of a campaign in several worlds, as a rule."""

SAMPLES = 20
"""Samples whose truth is kept: as many as a campaign has seeds, since each setting takes the same ones."""


class Population:
    """The sessions of a store. Only read, so that any number of runs may share it, also at once.

    What is planted for a sample is kept for the runs that take the same one.
    """

    def __init__(self, store: Store, size: int = 0) -> None:
        self.store = store
        self.size = size
        # Of functions, not of methods: a cache that led back here would keep the file of a store that
        # nobody uses any more open until the next garbage collection.
        self.known_truth = lru_cache(maxsize=SAMPLES)(partial(known_truth, store))
        self.planted = lru_cache(maxsize=SAMPLES)(partial(planted, store, self.known_truth))


def known_truth(
    store: Store, bot_id: str, session_ids: tuple[str, ...], field_names: tuple[str, ...]
) -> tuple[Truth, ...]:
    """Truth of the named fields; what a data set knows beyond them stays in the store."""
    return tuple(
        Truth(
            truth.session_id,
            truth.outcome,
            {field: concept for field, concept in truth.concepts.items() if field in field_names},
        )
        for truth in store.truth(bot_id, session_ids)
    )


def planted(
    store: Store,
    truth_of: Callable[[str, tuple[str, ...], tuple[str, ...]], Sequence[Truth]],
    bot_id: str,
    session_ids: tuple[str, ...],
    field_names: tuple[str, ...],
) -> PlantedTruth:
    """What a simulated model knows of these sessions."""
    known = truth_of(bot_id, session_ids, (*field_names, SECOND))
    messages = store.read(bot_id, session_ids)
    return PlantedTruth((transcript(messages[truth.session_id]), truth) for truth in known)


Told = Callable[[int, int], None]
"""Is told of sessions that are ready, and of how many there will be. Whatever it raises ends the work."""

TELL_EVERY = 200
"""Sessions that are invented between two words on how far it is: some 0.1 s."""


def whoever_is_told(*arguments: Any, **named: Any) -> Hashable:
    """What tells populations apart: all but who hears of their making."""
    return hashkey(*arguments, **{name: value for name, value in named.items() if name != "told"})


@cached(
    LRUCache[Hashable, Population](KEPT_SESSIONS, getsizeof=lambda population: population.size),
    key=whoever_is_told,
    lock=Lock(),
    info=True,
)
def synthetic_population(
    count: int,
    *,
    seed: int,
    variety: Variety,
    bot_id: str,
    counter: TokenCounter,
    told: Told | None = None,
) -> Population:
    """`count` synthetic sessions in a store in memory; `told` hears how many are there.

    The newest are kept: runs of one process mostly ask for the same ones. Counters are the same when they
    are equal, so that a population is never mixed up with one whose tokens were counted otherwise.
    """
    store = Store.in_memory()
    store.add(
        telling(generated(count, seed=seed, variety=variety), count, told),
        bot_id=bot_id,
        count_tokens=count_with(counter),
        token_encoding=counter.name,
        source="synthetic",
    )
    return Population(store, count)


def telling(conversations: Iterator[Conversation], count: int, told: Told | None) -> Iterator[Conversation]:
    """The conversations; `told` hears now and then how many there were."""
    for number, conversation in enumerate(conversations):
        if told is not None and number % TELL_EVERY == 0:
            told(number, count)
        yield conversation


def open_population(config: Config, counter: TokenCounter, told: Told | None = None) -> Population:
    """The sessions that a configuration names, and what is known of them; `told` hears of inventing them.

    Raises ConfigurationError for a store that is not there, or data that has no sessions.
    """
    data = config.data
    if data.source == "store":
        if data.path is None:
            raise ConfigurationError(
                "data.path is not set: give data.path=sessions.duckdb, as made by "
                "`autoanalyze import FILE --into sessions.duckdb`"
            )
        return Population(Store.open(data.path, read_only=True))
    if data.source == "labels":
        raise ConfigurationError(
            "data=labels has no sessions to analyse: `autoanalyze run data=labels` measures duplicate "
            "detection on it; choose data=synthetic or data=store for anything else"
        )
    count = data.population or round(POPULATION_SHARE * data.count)
    return synthetic_population(
        count,
        seed=population_seed(config),
        variety=Variety(data.intents, data.several),
        bot_id=data.bot_id,
        counter=counter,
        told=told,
    )


def population_seed(config: Config) -> int:
    """Where the invented sessions come from, and the judge's own errors: the run's seed, unless pinned."""
    pinned = config.data.population_seed
    return config.seed if pinned is None else pinned


def transcripts_of(store: Store, bot_id: str, session_ids: Sequence[str]) -> pl.DataFrame:
    """What was said in some sessions: a row per message, in the order asked for.

    Raises ImportDataError if the store lacks a session.
    """
    found = store.read(bot_id, session_ids)
    rows = [
        (session_id, position, message.role, message.text, message.timestamp)
        for session_id in session_ids
        for position, message in enumerate(found[session_id])
    ]
    text = pl.String()
    schema = {"session_id": text, "position": pl.Int64(), "role": text, "text": text}
    return pl.DataFrame(rows, schema={**schema, "timestamp": pl.Datetime("us")}, orient="row")


def truth_table(known: Sequence[Truth]) -> pl.DataFrame:
    """A row per session and field whose concept is known."""
    rows = [
        (truth.session_id, field, concept)
        for truth in known
        for field, concept in sorted(truth.concepts.items())
    ]
    schema = {"session_id": pl.String, "field": pl.String, "concept": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def sampled(config: Config, store: Store) -> tuple[tuple[Session, ...], int]:
    """The sessions that a run of this configuration takes, and how many there were to choose from."""
    data = config.data
    found = store.sessions(data.bot_id, data.where)
    sample = SessionSampling(found).sample_sessions(
        data.count, seed=config.seed, minimum_messages=data.minimum_messages, start=start_of(data.start)
    )
    return sample.sessions, len(found)


def start_of(text: str | None) -> datetime | None:
    """A time of the configuration as naive UTC. Raises ConfigurationError."""
    if text is None:
        return None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"data.start={text} is not a time: write it like 2026-05-01T12:00") from None
    return parsed if parsed.tzinfo is None else parsed.astimezone(UTC).replace(tzinfo=None)
