"""Which layout a file has: what its columns are called, and what is asked where that is not clear."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from autoanalyze.data.lines import RawRow
from autoanalyze.data.paths import Mapped, anywhere, opened, present, reach, spellings
from autoanalyze.data.shapes import SHAPES, TEXT, Paths, Shape
from autoanalyze.data.values import letters
from autoanalyze.errors import ImportDataError

_PUBLIC = [shape.name for shape in SHAPES if shape.name[0].isupper()]


def is_header(mapped: Mapped) -> Callable[[Sequence[str]], bool]:
    """Whether cells name the columns of a known layout or of a mapping.

    A single cell is asked for alone: whether anybody would use a column of that name.
    """
    tops = {theirs.partition(".")[0] for theirs in mapped.mapping}
    fields = [paths for shape in SHAPES for part in (shape.session, shape.message) for paths in part.values()]
    used = {letters(path.partition(".")[0]) for paths in fields for path in paths} | set(map(letters, tops))

    def known(names: Sequence[str]) -> bool:
        if len(names) == 1:
            return letters(names[0]) in used
        row = mapped.row({name: "x" for name in names if name})
        if mapped.mapping and tops.isdisjoint(names):
            return False
        signs = ([[path.partition(".*")[0] for path in sign] for sign in shape.signs] for shape in SHAPES)
        return any(all(any(present(row, path) for path in sign) for sign in shape) for shape in signs)

    return known


def recognised(file: str, rows: Sequence[RawRow], mapped: Mapped, fixed: bool) -> Shape:
    """The layout of a file that begins with these rows.

    Raises ImportDataError, with what was found and the remedy, if it has none, or if it has two
    columns that could be the text.
    """
    good = [row.values for row in rows if row.problem is None]
    columns = ", ".join(dict.fromkeys(name for values in good for name in values if name))
    if unknown := [theirs for theirs in mapped.mapping if not any(anywhere(dict(v), theirs) for v in good)]:
        raise ImportDataError(
            f"{file}: --map names {', '.join(unknown)}, which is not there. Found: {columns}."
        )
    ours = [mapped.row(values) for values in good]
    for shape in SHAPES:
        if all(any(present(row, path) for row in ours for path in sign) for sign in shape.signs):
            if shape.one_text and (_repeated(shape, ours) or _says_who(ours)):
                continue  # these are messages
            shape = _mapped(shape, mapped)
            _ask(file, shape, ours, mapped)
            return _pruned(shape, ours) if fixed else shape
    wanted = [
        paths for paths in SHAPES[0].signs if not any(present(row, path) for row in ours for path in paths)
    ]
    names = [" or ".join(paths[:2]) if paths != SHAPES[0].signs[0] else paths[0] for paths in wanted]
    raise ImportDataError(
        f"{file}: columns are missing: {', '.join(names)}. Found: {columns}. If a column has another name, "
        f"say so with --map theirs={names[0].partition(' ')[0]}; dots reach into nested values, as in "
        f"author.type=role. A file has either a row per message (session_id, role, text, timestamp) or a row "
        f"per session (session_id, messages), or is an export of {', '.join(_PUBLIC)}."
    )


def _repeated(shape: Shape, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether an id stands in several rows, so that rows are not sessions."""
    paths = shape.session["session_id"]
    ids = [next((reach(row, path) for path in paths if present(row, path)), None) for row in rows]
    known = [str(one) for one in ids if one is not None]
    return len(set(known)) < len(known)


def _says_who(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether rows have a column for who speaks."""
    return any(present(row, path) for row in rows for path in SHAPES[0].message["role"])


def _mapped(shape: Shape, mapped: Mapped) -> Shape:
    """The layout with the fields of a mapping where the mapping puts them: under our names."""

    def own(paths: Paths, more: Sequence[str] = ()) -> Paths:
        given = [name for name in (*paths, *more) if name in mapped.fields]
        return {**paths, **{name: (name,) for name in given}}

    return replace(shape, session=own(shape.session), message=own(shape.message) if shape.message else {})


def _ask(file: str, shape: Shape, rows: Sequence[Mapping[str, Any]], mapped: Mapped) -> None:
    """Two columns that could be the text are a question, not a guess."""
    if "text" in mapped.fields or not shape.message.get("text"):
        return
    found_in = (opened(reach(row, path)) for row in rows for path in shape.messages)
    messages = [m for some in found_in if isinstance(some, list) for m in some] if shape.messages else rows
    names = {letters(name): name for message in messages if isinstance(message, Mapping) for name in message}
    if len(found := [names[text] for text in TEXT if text in names]) > 1 and shape.message["text"] == TEXT:
        raise ImportDataError(
            f"{file}: {' and '.join(found)} could both be the text of a message; say which it is with "
            f"--map {found[0]}=text, or leave one out with --map {found[-1]}="
        )


def _pruned(shape: Shape, rows: Sequence[Mapping[str, object]]) -> Shape:
    """The layout with the columns that a table has, as they are spelled there."""
    names = spellings(tuple(rows[0])) if rows else {}

    def kept(paths: Paths) -> Paths:
        found = {
            name: tuple(names.get(letters(p), p) for p in places if any(present(row, p) for row in rows))
            for name, places in paths.items()
        }
        return {name: places for name, places in found.items() if places}

    return replace(
        shape, session=kept(shape.session), message=shape.message if shape.messages else kept(shape.message)
    )


def understood(
    shape: Shape, rows: Sequence[dict[str, object]], mapped: Mapped
) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Where each field stands in these rows, as they spell it, and the columns of which nothing is read."""
    theirs = {ours: name for name, ours in mapped.mapping.items() if ours}
    renamed = [mapped.row(row) for row in rows]
    names = spellings(tuple(dict.fromkeys(name for row in rows for name in row)))

    def spelled(path: str) -> str:
        top, dot, rest = path.partition(".")
        return theirs.get(path) or names.get(letters(top), top) + dot + rest

    def there(paths: Sequence[str], lists: Sequence[str] = ()) -> tuple[str, ...]:
        """Of these places, in a row or in the elements of its lists, those that some row has."""
        inside = [f"{place}.*.{path}" for place in lists for path in paths]
        inside += [f"{place}.{path}" for place in lists for path in paths]
        found = (path for path in inside or paths if any(present(row, path) for row in renamed))
        return tuple(dict.fromkeys(spelled(path).replace(".*", "") for path in found))

    columns = {name: there(paths) for name, paths in shape.session.items()}
    columns |= {name: there(paths, shape.messages) or there(paths) for name, paths in shape.message.items()}
    columns |= {f"text of {role}": there(paths) for role, paths in shape.said}
    known = {name: (theirs.get(name, name),) for row in renamed for name in row if name.startswith("true_")}
    columns = {name: places for name, places in (columns | known).items() if places}
    used = {place.partition(".")[0] for places in columns.values() for place in places}
    used |= {names.get(letters(path.partition(".")[0]), "") for path in shape.messages}
    return columns, tuple(sorted({*names.values()} - used - {""}))
