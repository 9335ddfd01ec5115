"""The plan of the house: rooms import from below only, and outside packages have one door each."""

from __future__ import annotations

import ast
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "autoanalyze"
#: From the ground up; rooms on one floor do not know each other. The files of the root are the ground.
FLOORS = [
    ("",),
    ("data", "llm", "study"),
    ("phases", "serving", "report"),
    ("simulation", "reading"),
    ("analysis",),
    ("laboratory", "editing"),
    ("cli",),
]
FLOOR_OF = {room: number for number, floor in enumerate(FLOORS) for room in floor}
#: How many modules of which rooms may import an outside package.
DOORS = {
    "openai": {"llm": 1},
    "tiktoken": {"llm": 1},
    "hydra": {"analysis": 1, "cli": 1},
    "jinja2": {"report": 1},
}
MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if not path.stem.startswith("__")]


def room(path: Path) -> str:
    """The folder that a module belongs to; none for the ground."""
    return (*path.relative_to(PACKAGE).parts[:-1], "")[0]


def imported(path: Path) -> set[str]:
    """What a file imports, wherever in the file."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    froms = {node.module or "." for node in nodes if isinstance(node, ast.ImportFrom)}
    return froms | {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_rooms_know_only_what_lies_below(path: Path) -> None:
    """A module imports from its own room and from lower floors."""
    for package, inner, *_ in (f"{name}..".split(".") for name in imported(path)):
        other = inner if (PACKAGE / inner).is_dir() else ""
        if package == PACKAGE.name and other != room(path):
            assert FLOOR_OF[other] < FLOOR_OF[room(path)], inner


@pytest.mark.parametrize("package", DOORS)
def test_outside_packages_have_few_doors(package: str) -> None:
    """What may be exchanged one day is known to one module of a room."""
    knowing = [path for path in MODULES if package in {name.split(".")[0] for name in imported(path)}]
    assert Counter(map(room, knowing)) == DOORS[package]


def test_imports_go_round_in_no_circle() -> None:
    """Following the imports of any module never leads back to it."""
    names = {".".join(p.relative_to(PACKAGE.parent).with_suffix("").parts): p for p in MODULES}
    TopologicalSorter({name: imported(path) & names.keys() for name, path in names.items()}).prepare()


@pytest.mark.parametrize("path", [p for p in MODULES if room(p) in ("phases", "llm")], ids=lambda p: p.stem)
def test_who_labels_never_names_the_truth(path: Path) -> None:
    """Phases and client cannot cheat."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    assert not [n for n in nodes if "truth" in str(getattr(n, "id", getattr(n, "attr", ""))).lower()]
