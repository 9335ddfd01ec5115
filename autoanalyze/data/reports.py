"""What a user says of an import, and what an import says to the user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from autoanalyze.data.paths import Mapped
from autoanalyze.data.staging import RefusedSession, RejectedRow
from autoanalyze.data.values import letters
from autoanalyze.errors import ConfigurationError
from autoanalyze.records import Conversation

_MEANINGS = ("user", "bot", "agent", "skip")


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What a user says of files that they do not say themselves.

    `mapping` tells their column names or dotted paths from ours (theirs to ours; to "" leaves the column
    out), `roles` their names for who speaks (theirs to user, bot, agent or skip), and `dates` what 05/06
    means: day-first or month-first. `partial` lets in sessions of which messages were rejected, and marks
    them; with `strict` a single bad row keeps everything out.

    Raises ConfigurationError for what cannot be meant.
    """

    bot_id: str = "default"
    mapping: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)
    dates: str | None = None
    partial: bool = False
    strict: bool = False

    def __post_init__(self) -> None:
        """Check what can be checked without a file."""
        if not self.bot_id.strip():
            raise ConfigurationError("data.bot_id: the name of the bot is empty; leave it out for 'default'")
        if self.dates not in (None, "day-first", "month-first"):
            raise ConfigurationError(f"--dates {self.dates}: it is day-first or month-first")
        if self.partial and self.strict:
            raise ConfigurationError("--partial and --strict contradict each other; leave one out")
        for theirs, ours in self.roles.items():
            if ours not in _MEANINGS or not letters(theirs):
                raise ConfigurationError(
                    f"--role {theirs}={ours}: write it as THEIRS=user, =bot, =agent or =skip"
                )
        Mapped(self.mapping)


@dataclass(frozen=True, slots=True)
class LookedAt:
    """What was recognised in one file: its layout, where each field stands, and which order of dates.

    `columns` are spelled as in the file; those of which nothing is read are `unused`.
    """

    file: str
    layout: str
    columns: Mapping[str, tuple[str, ...]]
    unused: tuple[str, ...]
    dates: Mapping[str, str | None]
    made_ids: bool


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did.

    `files` tells what was recognised in each, and `roles` how often each of their words for who speaks was
    met, and as what it was read.
    `added` sessions went in and `extended` ones grew, with so many new `messages`; `without_messages` of
    those added have none (an analysis leaves them out), for `with_truth` some truth is known, and
    `partial` lack messages that were rejected. `already_there` sessions brought nothing new. `refused`
    sessions stay out whole, and `conflicts` are those in the store with other content, which stay as they
    were; `rejected` rows are to blame for the former. `left_out` counts what is no message, by its kind.
    `notes` tell what was given and had no use.
    """

    # Two imports are alike if they brought the same, however that was written.
    files: tuple[LookedAt, ...] = field(default=(), compare=False)
    roles: Mapping[tuple[str, str], int] = field(default_factory=dict, compare=False)
    added: int = 0
    extended: int = 0
    already_there: int = 0
    without_messages: int = 0
    with_truth: int = 0
    messages: int = 0
    partial: int = 0
    rejected: tuple[RejectedRow, ...] = ()
    refused: tuple[RefusedSession, ...] = ()
    conflicts: tuple[RefusedSession, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def brought_nothing(self) -> bool:
        """Whether not one session of the files is in the store: an import that failed."""
        return not (self.added or self.extended or self.already_there)


@dataclass(frozen=True, slots=True)
class Look:
    """What an import would do, without a store: `samples` are sessions as they would go in."""

    sessions: int
    samples: tuple[Conversation, ...]
    report: ImportReport
