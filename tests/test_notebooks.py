"""Notebooks: thin, executed, and committed with their outputs."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parent.parent / "notebooks").glob("*.ipynb"))
MOST_LINES = 120


def code_cells(path: Path) -> list[dict[str, object]]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def source(cell: dict[str, object]) -> str:
    lines = cell["source"]
    assert isinstance(lines, list)
    return "".join(lines)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_thin(path: Path) -> None:
    """All work is in the package: no definitions, and few lines."""
    cells = [source(cell) for cell in code_cells(path)]
    assert sum(bool(line.strip()) for cell in cells for line in cell.splitlines()) <= MOST_LINES
    for cell in cells:
        tree = compile(cell, path.name, "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        assert not [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_committed_with_their_outputs(path: Path) -> None:
    """Executed in order, without an error, and with an answer at the end."""
    cells = code_cells(path)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]  # type: ignore[attr-defined]  # a list
    assert "error" not in {output["output_type"] for output in outputs}
    assert outputs[-1]["output_type"] == "stream"


@pytest.mark.slow
def test_notebooks_execute(repository: Path) -> None:
    """Each runs from top to bottom, and its assertions hold; one by one: nbmake can hang under xdist."""
    command = [sys.executable, "-m", "pytest", "-n", "0", "--nbmake", "--nbmake-timeout=180", "notebooks"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
