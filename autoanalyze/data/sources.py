"""Which files a user means: files, folders and patterns, each file once and in a fixed order."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from autoanalyze.data.formats import SUFFIXES, suffix_of
from autoanalyze.errors import ImportDataError

TRIED = ".autoanalyze"
"""How the folders are called that `autoanalyze try` leaves beside files."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file; `name` is what its sessions are said to come from, from its folder on if a folder was given."""

    path: Path
    name: str

    @property
    def size(self) -> int:
        """Bytes, 0 if it is not there: that is for whoever opens it to tell."""
        return self.path.stat().st_size if self.path.is_file() else 0


def found(sources: Iterable[Path | str]) -> tuple[list[Source], list[str]]:
    """The files of these paths, folders (with all that lies in them) and patterns such as `talks/*.csv`;
    and notes on files in folders that cannot be imported.

    Raises ImportDataError for a folder or pattern without files, and if nothing was given.
    """
    files: dict[Path, Source] = {}
    notes: list[str] = []
    for source in map(Path, sources):
        if source.is_dir():
            inside = sorted(
                path
                for path in source.rglob("*")
                if path.is_file() and path.name[0] not in "._" and not ours(path.relative_to(source))
            )
            usable = [path for path in inside if suffix_of(path) in SUFFIXES]
            notes += [
                f"{path}: left out, since its suffix is none of {', '.join(SUFFIXES)}"
                for path in inside
                if path not in usable
            ]
            if not usable:
                raise ImportDataError(
                    f"{source}: the folder holds no file with a suffix of {', '.join(SUFFIXES)}"
                )
            found_here = [Source(path, path.relative_to(source).as_posix()) for path in usable]
        elif source.exists() or not glob.has_magic(str(source)):
            found_here = [Source(source, source.name)]
        else:
            names = sorted(glob.glob(str(source), recursive=True))  # noqa: PTH207 - Path.glob takes no absolute ones
            if not names:
                raise ImportDataError(f"{source}: no file has such a name; check the pattern")
            found_here = [Source(Path(name), Path(name).name) for name in names if Path(name).is_file()]
        for file in found_here:
            files.setdefault(file.path.resolve(), file)
    if not files:
        raise ImportDataError("there is nothing to import: give a file, a folder or a pattern")
    return list(files.values()), notes


def ours(path: Path) -> bool:
    """Whether a file lies in what `autoanalyze try` left beside one: it is no export."""
    return any(part.endswith(TRIED) for part in path.parts)
