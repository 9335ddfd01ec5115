"""Other people's sessions on their way into the store: one file in, one report out.

CSV, JSONL and Parquet files all come in one of two layouts, with these columns:

- a row per message: session_id, role (or message_type), text (or message), timestamp;
- a row per session: session_id, messages: a list, or JSON text of a list, of such messages.

Either may have user_id, start_time, end_time, containment_type, and `true_<field>` where the
right label of a field is known; `true_intent` is that of general_intent. Only session_id, role
and text must be there. Times are ISO 8601 or epochs; without a zone they are UTC. Roles may be
spelt user, customer, human, client; bot, assistant, agent, system. Other columns are ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from autoanalyze.data.formats import RawFile, RawRow, open_file
from autoanalyze.data.layouts import Columns, conversations
from autoanalyze.data.store import Store
from autoanalyze.errors import ConfigurationError, ImportDataError
from autoanalyze.records import Conversation

__all__ = ["ImportReport", "RejectedRow", "import_file"]

# Rows that are looked at to learn the columns: in JSONL no single line needs to have them all.
_PEEKED = 100
_PROGRESS_EVERY = 500
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that was not imported. `line` counts from 1; in Parquet it is the number of the row."""

    file: str
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did.

    `added` sessions went in, with so many `messages`; `without_messages` of them have none (an
    analysis leaves them out) and for `with_truth` of them some truth is known. `already_there`
    sessions were in the store before and stay as they were. `rejected` rows stay out.
    """

    added: int
    already_there: int
    without_messages: int
    with_truth: int
    messages: int
    rejected: tuple[RejectedRow, ...]


def import_file(
    path: Path | str,
    store: Store,
    *,
    bot_id: str = "default",
    mapping: Mapping[str, str] | None = None,
    strict: bool = False,
    count_tokens: Callable[[Sequence[str]], Sequence[int]],
    token_encoding: str,
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Import a .csv, .jsonl or .parquet file with the columns that this module's docstring tells.

    `mapping` tells their column names from ours (theirs to ours), in rows and in messages.
    Bad rows are reported and stay out; with `strict` a single one keeps everything out. An
    import is all or nothing: whatever is raised, the store is as it was before. Importing a
    file again adds nothing. `progress` is called with how much was read and how much there
    is: bytes of text, rows of Parquet.

    Raises ImportDataError for a file that cannot be read or lacks columns and, with `strict`,
    for bad rows; ConfigurationError for an empty bot id or a mapping to fields that do not exist.
    """
    path = Path(path)
    if not bot_id.strip():
        raise ConfigurationError("data.bot_id: the name of the bot is empty; leave it out for 'default'")
    file = open_file(path)
    rejected: list[RejectedRow] = []

    def reject(line: int, reason: str) -> None:
        rejected.append(RejectedRow(str(path), line, reason))

    with closing(file.rows):
        peeked = list(islice(file.rows, _PEEKED))
        columns = _columns(path, peeked, mapping or {})
        rows = _reported(chain(peeked, file.rows), file, progress)
        good = conversations(rows, columns, reject)
        result = store.add(
            _refusing(good, rejected) if strict else good,
            bot_id=bot_id,
            count_tokens=count_tokens,
            token_encoding=token_encoding,
            source=path.name,
        )
    return ImportReport(
        added=result.added,
        already_there=result.already_there,
        without_messages=result.without_messages,
        with_truth=result.with_truth,
        messages=result.messages,
        rejected=tuple(rejected),
    )


def _columns(path: Path, rows: Sequence[RawRow], mapping: Mapping[str, str]) -> Columns:
    if not rows:
        raise ImportDataError(f"{path}: the file is empty: it has no rows; export the sessions again")
    columns = Columns.of(rows, mapping)
    # Without a single readable row there are no columns to speak of, only the rows' own problems.
    if columns.found:
        columns.check(str(path))
    return columns


def _reported(
    rows: Iterable[RawRow], file: RawFile, progress: Callable[[int, int], None] | None
) -> Iterator[RawRow]:
    for number, row in enumerate(rows):
        if progress is not None and number % _PROGRESS_EVERY == 0:
            progress(row.done, file.total)
        yield row
    if progress is not None:
        progress(file.total, file.total)


def _refusing(good: Iterable[Conversation], rejected: Sequence[RejectedRow]) -> Iterator[Conversation]:
    """The same conversations; raises at the end, and so undoes the import, if a row was bad."""
    yield from good
    if rejected:
        shown = "\n".join(f"  line {row.line}: {row.reason}" for row in rejected[:_SHOWN])
        more = f"\n  and {len(rejected) - _SHOWN} more" if len(rejected) > _SHOWN else ""
        raise ImportDataError(
            f"{rejected[0].file}: nothing was imported, because {len(rejected)} rows are bad and the import "
            f"is strict. Mend them, or import without --strict:\n{shown}{more}"
        )
