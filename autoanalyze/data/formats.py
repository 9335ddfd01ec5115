"""Files of sessions, row by row and not yet understood: text tables, JSON, Parquet, workbooks, transcripts.

Files are streamed, so that their size does not matter. Rows that cannot even be
read are handed on with their problem; only a file that makes no sense as a whole
is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from python_calamine import CalamineError, CalamineWorkbook

from autoanalyze.data.delimited import IsHeader, header_of, named, table_rows
from autoanalyze.data.documents import json_rows, transcript_rows
from autoanalyze.data.lines import Lines, RawRow
from autoanalyze.errors import ImportDataError

SUFFIXES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".parquet", ".xlsx", ".vtt")
"""What can be imported. All but Parquet and workbooks may also be packed by gzip or zstd."""

_PACKED = (".gz", ".zst", ".zstd")
_BATCH = 2_000
_BATCH_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class RawFile:
    """Rows of one file; `total` is its size, and `done` tells how much of it was read, in the same unit.

    `fixed` tells that all rows have the same columns, as in a table, and unlike in JSON.
    """

    rows: Generator[RawRow]
    total: int
    done: Callable[[], int]
    fixed: bool


def suffix_of(path: Path) -> str:
    """What a file's name says of its content, whether it is packed or not."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return (suffixes[:-1] or [""])[-1] if suffixes and suffixes[-1] in _PACKED else (suffixes or [""])[-1]


def open_file(path: Path, is_header: IsHeader) -> RawFile:
    """Open a file by its suffix. `is_header` tells whether these cells are the names of columns.

    Raises ImportDataError with the remedy, here or while the rows are read, if the file is
    missing, empty, unreadable, of another format, or text in an unknown encoding.
    """
    suffix = suffix_of(path)
    if not path.is_file():
        raise ImportDataError(f"{path}: there is no such file; check the path")
    if suffix not in SUFFIXES:
        remedy = (
            "Unpack it first."
            if suffix in (".zip", ".tar", ".7z", ".bz2", ".xz")
            else "Save it as one of them."
        )
        raise ImportDataError(
            f"{path}: files with the suffix {path.suffix!r} cannot be imported; {', '.join(SUFFIXES)} can, "
            f"text also packed as .gz or .zst. {remedy}"
        )
    if path.stat().st_size == 0:
        raise ImportDataError(f"{path}: the file is empty; export the sessions again")
    try:
        if suffix == ".parquet":
            return _parquet(path)
        if suffix == ".xlsx":
            return _workbook(path, is_header)
    except (pa.ArrowException, OSError, CalamineError) as error:
        raise _unreadable(path, error) from error
    lines = Lines(path)
    if suffix in (".csv", ".tsv", ".txt"):
        rows: Iterator[RawRow] = table_rows(lines, is_header)
    else:
        rows = transcript_rows(lines) if suffix == ".vtt" else json_rows(lines)
    fixed = suffix in (".csv", ".tsv", ".txt")
    return RawFile(_guarded(path, rows), path.stat().st_size, lambda: lines.done, fixed)


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


def _parquet(path: Path) -> RawFile:
    reached = 0

    def rows() -> Iterator[RawRow]:
        nonlocal reached
        # Small reads from a pool of its own: otherwise a row group of any size is held in memory.
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=_BATCH_BYTES) as file:
            for batch in file.iter_batches(batch_size=_BATCH, use_threads=False):
                # Polars makes Python objects of times with a zone without pytz, and faster.
                frame = pl.DataFrame(batch)
                for values in _with_honest_floats(frame).iter_rows(named=True):
                    reached += 1
                    yield RawRow(reached, values)

    return RawFile(_guarded(path, rows()), pq.read_metadata(path).num_rows, lambda: reached, fixed=True)


def _with_honest_floats(frame: pl.DataFrame) -> pl.DataFrame:
    """Floats of single precision are exact up to 2^24 only: what lies beyond is shown to be rounded."""
    single = [name for name, kind in frame.schema.items() if kind == pl.Float32]
    return frame.with_columns(
        pl.when(pl.col(name).abs() < 2**24).then(pl.col(name).cast(pl.Float64)).otherwise(pl.lit(2.0**60))
        for name in single
    )


def _workbook(path: Path, is_header: IsHeader) -> RawFile:
    """The one sheet of a workbook whose columns are known, or else the first that is not empty."""
    with closing(CalamineWorkbook.from_path(path)) as book:
        sheets = {
            name: book.get_sheet_by_name(name).to_python(skip_empty_area=False) for name in book.sheet_names
        }
    filled = {name: rows for name, rows in sheets.items() if any(map(any, rows))}
    if not filled:
        raise ImportDataError(f"{path}: the file is empty: no sheet has a row; export the sessions again")
    known = [name for name, rows in filled.items() if header_of(rows, is_header)[1]]
    if len(known) > 1:
        raise ImportDataError(
            f"{path}: the sheets {', '.join(known)} all hold sessions; save each as a file of its own"
        )
    cells = filled[known[0] if known else next(iter(filled))]
    start, _ = header_of(cells, is_header)
    header = named(path, [str(cell).strip() for cell in cells[start]], is_header)

    def rows() -> Iterator[RawRow]:
        for number, row in enumerate(cells[start + 1 :], start + 2):
            values = {name: cell for name, cell in zip(header, row, strict=False) if name}
            if any(cell != "" for cell in values.values()) and row != cells[start]:
                yield RawRow(number, values)

    return RawFile(_guarded(path, rows()), len(cells), lambda: len(cells), fixed=True)
