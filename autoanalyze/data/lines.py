"""Lines of text files: unpacked, decoded and numbered; and the raw rows that are made of them."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import pyarrow as pa

from autoanalyze.errors import ImportDataError

_PEEK = 1 << 16
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5": "zstd"}
# UTF-32 first: its mark begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


class RawRow(NamedTuple):
    """One row; `problem` tells why it cannot be used.

    `line` is the line of a text file on which the row begins, or the number of the row in Parquet and
    workbooks, from 1. `suspects` are the cells of a broken row: one of them may be its session's id.
    """

    line: int
    values: dict[str, Any]
    problem: str | None = None
    suspects: tuple[str, ...] = ()


class Lines:
    """Lines of a text file, with "\n" at their ends, as often as they are iterated.

    A byte order mark tells UTF-16, gzip and zstd are told by their first bytes, and lines may end as
    on any system. A carriage return that ends no line becomes "\v", so that no reader breaks there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.number = 0
        self._handle: io.BufferedReader | None = None

    @property
    def done(self) -> int:
        """Bytes of the file that were read, packed as they are."""
        return 0 if self._handle is None or self._handle.closed else self._handle.tell()

    def __iter__(self) -> Iterator[str]:
        """All lines; ImportDataError, with the remedy, where they cannot be decoded."""
        for line in self.parts():
            if isinstance(line, str):
                yield line
            else:
                raise ImportDataError(
                    f"{self.path}: {line}. Save the file as UTF-8, for example with "
                    f"`iconv -f WINDOWS-1252 -t UTF-8 {self.path.name} > utf8{self.path.suffix}`."
                ) from line

    def parts(self) -> Iterator[str | ValueError]:
        """All lines; in place of one that is not UTF-8, the error that says so."""
        self.number = 0
        with self._opened() as buffer:
            start = buffer.peek(_PEEK)
            encoding = next((name for mark, name in _MARKS.items() if start.startswith(mark)), None)
            if encoding is None and start[:400].count(0) > len(start[:400]) // 5:
                raise ImportDataError(
                    f"{self.path}: this is not text, or UTF-16 without its mark; save it as UTF-8"
                )
            if encoding or (b"\n" not in start and b"\r" in start):
                yield from self._of_text(buffer, encoding or "utf-8")
            else:
                yield from self._of_bytes(buffer)

    def hold(self, character: bytes) -> bool:
        """Whether this byte stands anywhere in the file: much faster than to look at its lines."""
        with self._opened() as buffer:
            return any(character in chunk for chunk in iter(lambda: buffer.read(1 << 20), b""))

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        with self.path.open("rb") as handle:
            packing = _MAGIC.get(handle.read(2))
            handle.seek(0)
            stream = pa.CompressedInputStream(pa.PythonFile(handle, "r"), packing) if packing else handle
            self._handle = handle
            # Arrow's streams are files enough, whatever their type says.
            yield io.BufferedReader(cast("io.RawIOBase", stream), _PEEK)

    def _of_bytes(self, buffer: BinaryIO) -> Iterator[str | ValueError]:
        offset = 0
        for raw in buffer:
            self.number += 1
            try:
                line = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                at = offset + error.start
                yield ValueError(f"not UTF-8 at byte {at} of the file (line {self.number})")
            else:
                if "\r" in line:
                    line = line.replace("\r\n", "\n").replace("\r", "\v")
                yield line.removeprefix("\ufeff") if self.number == 1 else line
            offset += len(raw)

    def _of_text(self, buffer: BinaryIO, encoding: str) -> Iterator[str]:
        with io.TextIOWrapper(buffer, encoding) as lines:
            for line in lines:
                self.number += 1
                yield line.removeprefix("\ufeff") if self.number == 1 else line
