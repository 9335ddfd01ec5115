"""Other people's sessions on their way into the store: files in, one report out.

The unit is the session: it goes in whole or not at all, and its id is its identity. Rows lie in one of
the layouts of `shapes`; our own are

- a row per message: session_id, role, text, timestamp;
- a row per session: session_id, messages: a list, or JSON text of a list, of such messages.

Either may have user_id, start_time, end_time, containment_type, and `true_<field>` where the
right label of a field is known; `true_intent` is that of general_intent. Times without a zone are UTC.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import chain, islice
from pathlib import Path

from autoanalyze.data.formats import open_file
from autoanalyze.data.growth import AddResult
from autoanalyze.data.layouts import Layout
from autoanalyze.data.lines import RawRow
from autoanalyze.data.paths import Mapped, present, texts_in
from autoanalyze.data.recognition import is_header, recognised, understood
from autoanalyze.data.reports import ImportOptions, ImportReport, Look, LookedAt
from autoanalyze.data.sources import Source, found
from autoanalyze.data.staging import RefusedSession, Staging
from autoanalyze.data.store import Store
from autoanalyze.data.times import Dates
from autoanalyze.data.values import letters
from autoanalyze.errors import ImportDataError
from autoanalyze.records import Conversation

# Rows that are looked at to learn the columns: in JSONL no single line needs to have them all.
_PEEKED = 500
_PROGRESS_EVERY = 500
_SHOWN = 5
_SAMPLES = 3


def import_files(
    sources: Sequence[Path | str],
    store: Store,
    options: ImportOptions,
    *,
    count_tokens: Callable[[Sequence[str]], Sequence[int]],
    token_encoding: str,
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Import files, folders and patterns of files into a store.

    A session of which a row is rejected stays out whole. An import is all or nothing: whatever is
    raised, the store is as it was before. Importing again adds nothing, and a session that has grown is
    extended. `progress` is called with how much was read and how much there is.

    Raises ImportDataError for a file that cannot be read or understood and, with `strict`, for bad rows.
    """
    with _staged(sources, options, progress) as importing:
        result = store.add(
            importing.conversations(options.strict),
            bot_id=options.bot_id,
            count_tokens=count_tokens,
            token_encoding=token_encoding,
            source="",
        )
        return importing.report(result)


def look(sources: Sequence[Path | str], options: ImportOptions) -> Look:
    """Read files as `import_files` would, and tell what was recognised; nothing is written."""
    with _staged(sources, options, None) as importing:
        samples: list[Conversation] = []
        result = AddResult()
        for one in importing.conversations(strict=False):
            samples += [one] if len(samples) < _SAMPLES else []
            result += AddResult(
                added=1,
                messages=len(one.messages),
                without_messages=not one.messages,
                with_truth=bool(one.truth),
                partial=one.partial,
            )
        return Look(result.added, tuple(samples), importing.report(result))


class _Import:
    """One import on its way: its files are read into `staging`, and then its sessions come out."""

    def __init__(self, sources: Sequence[Source], options: ImportOptions, staging: Staging) -> None:
        self._sources = sources
        self._options = options
        self._staging = staging
        self._own_roles = {letters(theirs): ours for theirs, ours in options.roles.items()}
        self._left_out: Counter[str] = Counter()
        self._refused: list[RefusedSession] = []
        self._roles: Counter[tuple[str, str]] = Counter()
        self._looked_at: list[LookedAt] = []
        self.notes: list[str] = []

    def read(self, number: int, source: Source, progress: Callable[[int, int], None]) -> None:
        """Read a file."""
        mapped = Mapped(self._options.mapping)
        file = open_file(source.path, is_header(mapped))
        with closing(file.rows):
            peeked = list(islice(file.rows, _PEEKED))
            if not peeked:
                raise ImportDataError(
                    f"{source.path}: the file is empty: it has no rows; export the sessions again"
                )
            layout = self._layout(number, source, peeked, mapped, file.fixed)
            for count, raw in enumerate(chain(peeked, file.rows)):
                if count % _PROGRESS_EVERY == 0:
                    progress(file.done(), file.total)
                if raw.problem is not None or layout is None:
                    # Where a row is a session, a broken one halves no other.
                    known = layout is not None and not layout.shape.row_per_message
                    self._staging.reject(number, raw.line, raw.problem or "", () if known else raw.suspects)
                    continue
                try:
                    for entry in layout.entries(raw):
                        self._staging.add(entry)
                except ValueError as error:
                    self._staging.reject(number, raw.line, str(error))

    def _layout(
        self, number: int, source: Source, peeked: Sequence[RawRow], mapped: Mapped, fixed: bool
    ) -> Layout | None:
        """How the rows of a file are read; null if none of the first can be: then there are no columns."""
        good = [row for row in peeked if row.problem is None]
        if not good:
            return None
        shape = recognised(str(source.path), good, mapped, fixed)
        dates = Dates(self._options.dates)
        for text in (text for row in good for text in texts_in(row.values)):
            dates.learn(text)
        places = shape.session.get("session_id", ())
        rows = [mapped.row(row.values) for row in good]
        made = bool(shape.messages) and not any(present(row, place) for row in rows for place in places)
        columns, unused = understood(shape, [row.values for row in good], mapped)
        self._looked_at.append(LookedAt(source.name, shape.name, columns, unused, dates.orders, made))
        return Layout(
            shape, mapped, dates, self._own_roles, source.name, number, made, self._left_out, self._roles
        )

    def conversations(self, strict: bool) -> Iterator[Conversation]:
        """The sessions that can go in; raises at the end, and so undoes the import, if it must be strict."""
        for one in self._staging.sessions():
            if isinstance(one, RefusedSession):
                self._refused.append(one)
            else:
                yield one
        if strict and (self._staging.rejected or self._refused):
            raise self._too_bad()

    def _too_bad(self) -> ImportDataError:
        rows = [(row.file, row.line, row.reason) for row in self._staging.rejected]
        told = {row.session_id for row in self._staging.rejected}
        rows += [
            (one.file, one.lines[0], one.reasons[0]) for one in self._refused if one.session_id not in told
        ]
        shown = "\n".join(f"  line {line}: {reason}" for _, line, reason in rows[:_SHOWN])
        more = f"\n  and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
        return ImportDataError(
            f"{rows[0][0]}: nothing was imported, because {len(rows)} rows are bad and the import "
            f"is strict. Mend them, or import without --strict:\n{shown}{more}"
        )

    def report(self, result: AddResult) -> ImportReport:
        """What the import did, given what the store did."""
        used = {letters(theirs) for theirs, _ in self._roles}
        notes = [
            f"--role {theirs}: no message has this role"
            for theirs in self._options.roles
            if letters(theirs) not in used
        ]
        why = (
            "the store has this session with other content, and keeps it; if the file is right, import it "
            "into a new store"
        )
        return ImportReport(
            files=tuple(self._looked_at),
            roles=dict(self._roles),
            added=result.added,
            extended=result.extended + self._staging.extended,
            already_there=result.already_there + self._staging.repeated,
            without_messages=result.without_messages,
            with_truth=result.with_truth,
            messages=result.messages,
            partial=result.partial,
            rejected=tuple(self._staging.rejected),
            refused=tuple(self._refused),
            conflicts=tuple(
                RefusedSession(one.session_id, one.source, (), (why,)) for one in result.conflicts
            ),
            left_out=dict(self._left_out),
            notes=(*self.notes, *notes),
        )


@contextmanager
def _staged(
    sources: Iterable[Path | str], options: ImportOptions, progress: Callable[[int, int], None] | None
) -> Iterator[_Import]:
    files, notes = found(sources)
    with Staging(files, options.partial) as staging:
        importing = _Import(files, options, staging)
        importing.notes += notes
        total, before = sum(file.size for file in files), 0

        def share(done: int, all_: int) -> None:
            if progress is not None:
                progress(before + file.size * done // max(1, all_), total)

        for number, file in enumerate(files):
            importing.read(number, file, share)
            before += file.size
        if progress is not None:
            progress(total, total)
        yield importing
