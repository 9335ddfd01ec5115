"""Tables of text: which line is the header, what separates and what quotes, and rows that are broken."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from autoanalyze.data.lines import Lines, RawRow
from autoanalyze.data.values import letters
from autoanalyze.errors import ImportDataError

IsHeader = Callable[[Sequence[str]], bool]
"""Whether these cells name the columns of a known layout."""

_DELIMITERS = ",;\t|"
_HEAD = 30
"""Lines among which the header is looked for: reports come with a title, a date and a blank line."""
# The largest that a C long holds everywhere; the default of 131,072 refuses long transcripts.
_FIELD_LIMIT = 2**31 - 1
_ESCAPED = re.compile(rf'\\["\n{re.escape(_DELIMITERS)}]')


@dataclass(frozen=True, slots=True)
class _Dialect:
    """How a table is written: what separates its cells, and whether a backslash escapes."""

    delimiter: str
    escapes: bool = False

    def reader(self, lines: Iterator[str]) -> Any:
        """A strict reader: what it cannot be sure of is an error."""
        if not self.escapes:
            return csv.reader(lines, delimiter=self.delimiter, strict=True)
        # Only what must be escaped is: the backslash of C:\temp stays, and so does that of NULL, as \N.
        escape = re.compile(rf'(\\["\\\n{re.escape(self.delimiter)}])|\\')
        kept = (escape.sub(lambda m: m[1] or r"\\", line) if "\\" in line else line for line in lines)
        return csv.reader(kept, delimiter=self.delimiter, strict=True, escapechar="\\")


def header_of(rows: Sequence[Sequence[object]], is_header: IsHeader) -> tuple[int, bool]:
    """Which of the first rows is the header, else the first that is filled; and whether it is known."""
    filled = [number for number, row in enumerate(rows[:_HEAD]) if any(str(cell).strip() for cell in row)]
    for number in filled:
        if is_header([str(cell).strip() for cell in rows[number]]):
            return number, True
    return (filled or [0])[0], False


def named(path: Path, header: Sequence[str], is_header: IsHeader) -> list[str]:
    """Names of the columns; of equal names, which nobody may use, all but the first go."""
    seen: set[str] = set()
    names = []
    for name in header:
        names.append("" if letters(name) in seen else name)
        if name and letters(name) in seen and is_header([name]):
            raise ImportDataError(f"{path}: the header names a column twice: {name}; rename or remove one")
        seen.add(letters(name))
    return names


def table_rows(lines: Lines, is_header: IsHeader) -> Iterator[RawRow]:
    """Rows of a CSV or TSV file. Broken ones come with their problem and with all that stands in them.

    Raises ImportDataError for a file without rows, or whose header is broken or names a used column twice.
    """
    # The standard reader, because unlike the fast ones it tells the line of every bad row.
    old_limit = csv.field_size_limit(_FIELD_LIMIT)
    try:
        skipped, dialect, header = _head(lines, is_header)
        for number, line in enumerate(islice(lines, skipped - 1), 1):
            cells = [cell.strip() for cell in _cells(line, dialect.delimiter)]
            if len(cells) == len(header) > 2 and all(cells):
                yield RawRow(number, {}, "this row stands above the header", tuple(cells))
        if _has_escapes(lines):
            dialect = _convention(lines, dialect, skipped, len(header))
        yield from _body(lines, dialect, skipped, named(lines.path, header, is_header))
    finally:
        csv.field_size_limit(old_limit)


def _head(lines: Lines, is_header: IsHeader) -> tuple[int, _Dialect, list[str]]:
    """How many lines come before the rows, the dialect, and the names of the columns."""
    head = list(islice(lines, _HEAD))
    if not any(line.strip() for line in head):
        raise ImportDataError(f"{lines.path}: the file is empty; export the sessions again")
    told = re.fullmatch(r"sep=(.)\s*", head[0], re.IGNORECASE)
    if told:
        head[0] = "\n"
    first = next((line for line in head if line.strip()), "")
    delimiters = sorted(told[1] if told else _DELIMITERS, key=first.count, reverse=True)
    for delimiter in delimiters:
        cells = [_cells(line, delimiter) for line in head]
        number, known = header_of(cells, is_header)
        if known:
            break
    else:
        delimiter = delimiters[0]
        number, _ = header_of([[line] for line in head], is_header)
    try:
        header = next(csv.reader([head[number]], delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise ImportDataError(f"{lines.path}: the header in line {number + 1} is broken: {error}") from error
    return number + 1, _Dialect(delimiter), [name.strip() for name in header]


def _cells(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter), [])


def _has_escapes(lines: Lines) -> bool:
    return lines.hold(b"\\") and any("\\" in line and _ESCAPED.search(line) for line in lines)


def _convention(lines: Lines, plain: _Dialect, skipped: int, width: int) -> _Dialect:
    """Whether backslashes escape in this file: the way in which fewer of its rows are broken.

    Raises ImportDataError if both ways read the file without a fault, but differently.
    """
    escaping = _Dialect(plain.delimiter, escapes=True)
    plain_faults, plain_rows = _faults(lines, plain, skipped, width)
    faults, rows = _faults(lines, escaping, skipped, width)
    if plain_faults == faults == 0 and plain_rows != rows:
        raise ImportDataError(
            f"{lines.path}: backslashes may or may not escape quotes in this file, and it reads differently "
            f"either way; export it again with quotes doubled"
        )
    return escaping if faults < plain_faults else plain


def _faults(lines: Lines, dialect: _Dialect, skipped: int, width: int) -> tuple[int, int]:
    """How many rows are broken, and how many there are."""
    faults = number = 0
    reader = dialect.reader(islice(iter(lines), skipped, None))
    while True:
        try:
            fields = next(reader, None)
        except csv.Error:
            faults += 1
            continue
        if fields is None:
            return faults, number
        number += 1
        faults += bool(fields) and len(fields) != width


class _Record:
    """The lines that the reader has taken since the last row, to know what a broken row holds."""

    def __init__(self, lines: Iterator[str], skipped: int) -> None:
        self._lines = lines
        self.start = skipped + 1
        self.taken: list[str] = []

    def __iter__(self) -> Iterator[str]:
        taken = self.taken
        for line in self._lines:
            taken.append(line)
            yield line

    def next(self) -> None:
        """Begin another row."""
        self.start += len(self.taken)
        self.taken.clear()

    def finish(self) -> None:
        """Take lines until the quotes are even: text of a broken row must not pass for rows."""
        while sum(line.count('"') for line in self.taken) % 2:
            line = next(self._lines, None)
            if line is None:
                return
            self.taken.append(line)

    def cells(self, delimiter: str) -> tuple[str, ...]:
        """Whatever may be a cell of the lines."""
        found = re.split(rf'[{re.escape(delimiter)}"\n]+', "".join(self.taken))
        return tuple({cell.strip() for cell in found} - {""})


def _body(lines: Lines, dialect: _Dialect, skipped: int, header: list[str]) -> Iterator[RawRow]:
    record = _Record(islice(iter(lines), skipped, None), skipped)
    reader = dialect.reader(iter(record))
    within: set[str] = set()
    broken, width = 0, len(header)
    while True:
        record.next()
        try:
            fields = next(reader, None)
        except csv.Error as error:
            record.finish()
            broken = broken or record.start
            yield RawRow(record.start, {}, _explained(error), record.cells(dialect.delimiter))
            continue
        if fields is None:
            break
        if len(record.taken) > 1:
            within.update(_rows_within(record.taken, dialect.delimiter, width))
        if not any(fields) or fields == header:
            continue
        if len(fields) > width and not any(fields[width:]):
            fields = fields[:width]
        if len(fields) == width:
            yield RawRow(record.start, dict(zip(header, fields, strict=True)))
        else:
            broken = broken or record.start
            problem = (
                f"{len(fields)} columns where the header has {len(header)}; "
                f"texts that hold {dialect.delimiter!r} need quotes"
            )
            yield RawRow(record.start, {}, problem, record.cells(dialect.delimiter))
    if broken and within:
        # Where quotes are broken, a text of several lines may hold rows that were swallowed.
        problem = "the quotes are broken in this line, and a later text holds lines that look like rows"
        yield RawRow(broken, {}, problem, tuple(within))


def _rows_within(taken: Sequence[str], delimiter: str, width: int) -> Iterator[str]:
    for line in taken[1:]:
        if line.count(delimiter) >= width - 1:
            yield from (cell.strip(' "\n') for cell in line.split(delimiter))


def _explained(error: csv.Error) -> str:
    if "unexpected end of data" in str(error):
        return "broken CSV: a quote opens here and never closes, so that the rest of the file is this row"
    return f"broken CSV: {error}"
