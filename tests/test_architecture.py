"""The floors of the house: who may know whom."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "autoanalyze"

#: Floors from the ground up. Rooms on one floor do not know each other.
FLOORS = (
    {"records", "verdicts", "protocols", "together", "errors", "config", "report_config", "simulation_config"}
    | {"identity", "ranges", "composition"},
    {"data", "llm", "study"},
    {"phases", "simulation"},
    {"service", "job", "carrying", "review", "reviewed_lists", "pipeline", "planning"}
    | {"scoring", "results", "run_tables", "progress", "notebook", "run_folder", "provenance", "cluster"}
    | {"exports"},
    {"workshop"},
    {"build", "importing", "evaluation"},
    {"cli", "terminal", "laboratory", "__main__", "reading_commands", "laboratory_commands", "listing"}
    | {"hydra_runs", "consent"},
)
FLOOR_OF = {room: number for number, floor in enumerate(FLOORS) for room in floor}
#: Floors whose modules belong to one another: the ground, the service and the doors.
SHARED = {0, 3, 6}

MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def room(path: Path) -> str:
    """The room that a module belongs to: its folder, or its own name at the top."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else path.stem


def imported(path: Path) -> set[str]:
    """All modules that a file imports, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} uses a relative import"
            assert node.module is not None
            names.add(node.module)
            if node.module == "autoanalyze":
                names |= {f"autoanalyze.{alias.name}" for alias in node.names}
                names.discard("autoanalyze")
    return names


def ours(path: Path) -> set[str]:
    """Rooms of ours that a file imports from."""
    return {name.split(".")[1] for name in imported(path) if name.startswith("autoanalyze.")}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_rooms_import_only_from_below(path: Path) -> None:
    """Every import goes to a lower floor, or stays in the room (or on a floor that is one room)."""
    assert "autoanalyze" not in imported(path), "imports from the package root hide what is needed"
    own = FLOOR_OF[room(path)]
    for other in ours(path) - {room(path)}:
        assert FLOOR_OF[other] < own or (FLOOR_OF[other] == own and own in SHARED), (
            f"{path.name} (floor {own}) imports {other} (floor {FLOOR_OF[other]})"
        )


def users(package: str) -> set[str]:
    """Modules that import an outside package."""
    found = (path for path in MODULES if any(name.split(".")[0] == package for name in imported(path)))
    return {str(path.relative_to(PACKAGE)) for path in found}


def test_outside_packages_stay_in_their_rooms() -> None:
    """openai, DuckDB and Hydra are each known to one place."""
    assert users("openai") == {"llm/sending.py"}
    assert users("tiktoken") == {"llm/tokens.py"}
    asking = users("duckdb")
    assert {name.split("/")[0] for name in asking} == {"data", "study"}
    assert {name for name in asking if name.startswith("study")} == {"study/collection.py"}
    assert users("hydra") == {"composition.py", "hydra_runs.py"}


def test_only_simulation_and_study_look_at_truth() -> None:
    """Phases and client cannot cheat: nothing that labels ever names the truth."""
    for path in MODULES:
        if room(path) in ("phases", "llm", "service", "pipeline", "results"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
            names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
            assert not {name for name in names if "truth" in name.lower()}, path
            assert "simulation" not in ours(path), path


def test_import_order_has_no_cycles() -> None:
    """Following the imports of any module never leads back to it."""
    graph = {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): {
            name for name in imported(path) if name.startswith("autoanalyze.")
        }
        for path in MODULES
    }

    def reach(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        for other in graph.get(name, ()):
            reach(other, (*trail, name))

    for name in graph:
        reach(name, ())
