"""The package's face: what can be had of it, and what it costs to look at it."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import autoanalyze

HEAVY = ("polars", "pandas", "hydra", "omegaconf", "sklearn", "openai", "duckdb", "jinja2")


def test_names_are_sorted_and_each_has_a_home() -> None:
    """`__all__` is in order, without doubles, and names exactly what the package knows where to find."""
    assert autoanalyze.__all__ == sorted(set(autoanalyze.__all__))
    assert set(autoanalyze.__all__) == set(autoanalyze.HOMES)


@pytest.mark.parametrize("name", autoanalyze.__all__)
def test_each_name_can_be_had(name: str) -> None:
    """What is promised is there, is what its home holds, and says what it is for."""
    found = getattr(autoanalyze, name)
    assert found is getattr(import_module(f"autoanalyze.{autoanalyze.HOMES[name]}"), name)
    assert found.__doc__


def test_other_names_are_missing_as_python_says() -> None:
    """A misspelt name is an AttributeError that repeats it."""
    with pytest.raises(AttributeError, match="build_analysys"):
        autoanalyze.build_analysys  # noqa: B018  # asking is the test


@pytest.mark.parametrize(
    "statement",
    [
        "import autoanalyze",
        "import autoanalyze.records, autoanalyze.errors",
        "import sys; sys.argv = ['autoanalyze', '--help']; from autoanalyze.cli.commands import main; main()",
    ],
    ids=["package", "records", "help"],
)
def test_looking_costs_little(statement: str, repository: Path) -> None:
    """Neither the package nor a page of help imports tables, learning, Hydra or the client."""
    code = f"import sys\ntry:\n    exec({statement!r})\nexcept SystemExit:\n    pass\n"
    code += "print('loaded:', *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, timeout=60, check=True
    )
    loaded = done.stdout.rpartition("loaded:")[2].split()
    assert "autoanalyze" in loaded
    assert not {name.partition(".")[0] for name in loaded} & set(HEAVY)
