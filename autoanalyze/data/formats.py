"""Files of sessions, row by row and not yet understood: CSV, JSONL and Parquet.

Files are streamed, so that their size does not matter. Rows that cannot even be
read are handed on with their problem; only a file that makes no sense as a whole
is an error.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from autoanalyze.errors import ImportDataError

__all__ = ["RawFile", "RawRow", "open_file"]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_DELIMITERS = ",;\t|"
_BATCH = 512
# The largest that a C long holds everywhere; the default of 131,072 refuses long transcripts.
_FIELD_LIMIT = 2**31 - 1


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row; `problem` tells why it cannot be used.

    `line` is the line of a text file on which the row begins, or the number of the row in
    Parquet, from 1. `done` is how much of the file was read by then, in the unit of `RawFile.total`.
    """

    line: int
    done: int
    values: Mapping[str, object] = field(default_factory=dict)
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class RawFile:
    """Rows of one file. `total` is its size: bytes of text, rows of Parquet."""

    rows: Generator[RawRow]
    total: int


def open_file(path: Path) -> RawFile:
    """Open a file by its suffix: .csv or .tsv, .jsonl or .ndjson, .parquet.

    Raises ImportDataError with the remedy, here or while the rows are read, if the file is
    missing, empty, unreadable, of another format, or text that is not UTF-8.
    """
    reader = {
        ".csv": _csv_rows,
        ".tsv": _csv_rows,
        ".jsonl": _json_rows,
        ".ndjson": _json_rows,
        ".parquet": _parquet_rows,
    }.get(path.suffix.lower())
    if not path.is_file():
        raise ImportDataError(f"{path}: there is no such file; check the path")
    if reader is None:
        raise ImportDataError(
            f"{path}: files with the suffix {path.suffix!r} cannot be imported. "
            f"Save it as .csv, .jsonl or .parquet."
        )
    size = path.stat().st_size
    if size == 0:
        raise ImportDataError(f"{path}: the file is empty; export the sessions again")
    try:
        total = pq.read_metadata(path).num_rows if reader is _parquet_rows else size
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from error
    return RawFile(_guarded(path, reader(path)), total)


def _guarded(path: Path, rows: Iterator[RawRow]) -> Generator[RawRow]:
    """The same rows; failures of the file underneath become errors with a remedy."""
    try:
        yield from rows
    except ImportDataError:
        raise
    # ValueError and OverflowError: Parquet can hold times that Python cannot.
    except (pa.ArrowException, pl.exceptions.PolarsError, OSError, OverflowError, ValueError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> ImportDataError:
    reason = str(error).strip().partition("\n")[0]
    return ImportDataError(
        f"{path}: the file cannot be read: {reason}. Check that it is complete, that you may read it, "
        f"and that its content is what the suffix {path.suffix} says."
    )


class _Lines:
    """Lines of a binary file with their numbers; `offset` is the first byte of the current line."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.number = 0
        self.offset = 0
        self.end = 0

    def __iter__(self) -> Iterator[bytes]:
        for line in self._file:
            self.number += 1
            self.offset, self.end = self.end, self.end + len(line)
            yield line.removeprefix(_BYTE_ORDER_MARK) if self.number == 1 else line

    def decode(self, line: bytes) -> str:
        """Text of the current line; ValueError says where it is not UTF-8."""
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError as error:
            at = self.end - len(line) + error.start
            raise ValueError(f"not UTF-8 at byte {at} of the file (line {self.number})") from error


def _csv_rows(path: Path) -> Iterator[RawRow]:
    # The standard reader, because unlike the fast ones it tells the line of every bad row.
    old_limit = csv.field_size_limit(_FIELD_LIMIT)
    try:
        with path.open("rb") as file:
            yield from _table_rows(path, _Lines(file))
    finally:
        csv.field_size_limit(old_limit)


def _table_rows(path: Path, lines: _Lines) -> Iterator[RawRow]:
    texts = _decoded(path, lines)
    first = next((text for text in texts if text.strip()), None)
    if first is None:
        raise ImportDataError(f"{path}: the file is empty; export the sessions again")
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(chain([first], texts), delimiter=delimiter, strict=True)
    skipped = lines.number - 1
    try:
        header = [name.strip() for name in next(reader)]
    except csv.Error as error:
        raise ImportDataError(f"{path}: the header in line {lines.number} is broken: {error}") from error
    if len(set(header)) < len(header):
        raise ImportDataError(f"{path}: the header names a column twice: {', '.join(header)}; rename one")
    while True:
        line = skipped + reader.line_num + 1
        try:
            fields = next(reader, None)
        except csv.Error as error:
            yield RawRow(line, lines.end, problem=f"broken CSV: {_explained(error)}")
            continue
        if fields is None:
            return
        if fields:
            yield RawRow(
                line,
                lines.end,
                dict(zip(header, fields, strict=False)),
                None
                if len(fields) == len(header)
                else f"{len(fields)} columns where the header has {len(header)}; "
                f"texts that hold {delimiter!r} need quotes",
            )


def _explained(error: csv.Error) -> str:
    if "unexpected end of data" in str(error):
        return "a quote opens here and never closes, so that the rest of the file belongs to this row"
    return str(error)


def _decoded(path: Path, lines: _Lines) -> Iterator[str]:
    for line in lines:
        try:
            yield lines.decode(line)
        except ValueError as error:
            raise ImportDataError(
                f"{path}: {error}. Save the file as UTF-8, for example with "
                f"`iconv -f WINDOWS-1252 -t UTF-8 {path.name} > utf8{path.suffix}`."
            ) from error


def _json_rows(path: Path) -> Iterator[RawRow]:
    with path.open("rb") as file:
        lines = _Lines(file)
        for line in lines:
            if line.strip():
                try:
                    yield RawRow(lines.number, lines.end, _json_object(lines.decode(line)))
                except (ValueError, RecursionError) as error:
                    yield RawRow(lines.number, lines.end, problem=str(error))


def _json_object(text: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at column {error.colno}") from error
    if not isinstance(value, dict):
        raise ValueError("not a JSON object; each line must be one session as {...}")
    return value


def _parquet_rows(path: Path) -> Iterator[RawRow]:
    with pq.ParquetFile(path) as file:
        number = 0
        for batch in file.iter_batches(batch_size=_BATCH):
            # Polars makes Python objects of times with a zone without pytz, and faster.
            for values in pl.DataFrame(batch).iter_rows(named=True):
                number += 1
                yield RawRow(number, number, values)
