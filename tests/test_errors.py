"""The tree of errors: as it is drawn, so it is."""

from __future__ import annotations

import pickle
import re

import pytest

from autoanalyze import errors
from autoanalyze.cli.commands import report

CLASSES = [
    found
    for found in vars(errors).values()
    if isinstance(found, type) and issubclass(found, errors.AutoAnalyzeError)
]


def drawn() -> dict[str, tuple[str | None, int | None]]:
    """Of each error in the docstring's tree what it stands below, and the exit code beside it."""
    found: dict[str, tuple[str | None, int | None]] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        name = re.search(r"\w+Error\b", line)
        if name is None or not re.match(r"[│├└─ ]*\w+Error\b", line):
            continue
        depth = name.start() // 4
        code = re.search(r"\(exit code (\d)\)", line)
        del path[depth:]
        found[name[0]] = (path[-1] if path else None, int(code[1]) if code else None)
        path.append(name[0])
    return found


def test_tree_is_as_drawn() -> None:
    """Each class stands in the docstring below the class that it inherits from, and nothing else does."""
    assert len(CLASSES) == sum(isinstance(found, type) for found in vars(errors).values())
    parents = {
        one.__name__: next((base.__name__ for base in one.__bases__ if base in CLASSES), None)
        for one in CLASSES
    }
    assert {name: parent for name, (parent, _) in drawn().items()} == parents


def test_exit_codes_are_as_drawn() -> None:
    """A branch ends the command line with the code that stands beside it, everything else with 1."""
    codes: dict[str, int] = {}
    for name, (parent, code) in drawn().items():
        codes[name] = code or (codes[parent] if parent else 1)
    assert {one.__name__: one.exit_code for one in CLASSES} == codes
    assert set(codes.values()) == {1, 2, 3}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_is_reported_and_travels(
    kind: type[errors.AutoAnalyzeError], capsys: pytest.CaptureFixture[str]
) -> None:
    """Each says what it stands for, is one line on stderr with its exit code, and survives the way from
    another process."""
    assert kind.__doc__
    error = pickle.loads(pickle.dumps(kind("what to do [about] it")))
    assert (type(error), str(error)) == (kind, "what to do [about] it")
    assert report(error) == kind.exit_code
    assert capsys.readouterr().err == "autoanalyze: what to do [about] it\n"


@pytest.mark.parametrize(
    ("kind", "standard"),
    [
        (errors.ConfigurationError, ValueError),
        (errors.ImportDataError, ValueError),
        (errors.RunFolderError, ValueError),
        (errors.TransientEndpointError, ConnectionError),
        (errors.ReplyError, ValueError),
    ],
)
def test_standard_types_are_caught_as_well(
    kind: type[errors.AutoAnalyzeError], standard: type[Exception]
) -> None:
    """Who expects Python's own type need not know ours."""
    with pytest.raises(standard):
        raise kind("so it is")


def test_stopped_runs_show_no_traceback_in_a_notebook() -> None:
    """IPython is given one line to show instead of our code."""
    assert errors.BudgetExceededError("used up")._render_traceback_() == ["BudgetExceededError: used up"]


def test_waiting_time_is_kept() -> None:
    """What the endpoint asked to wait comes along; without it there is none."""
    assert errors.TransientEndpointError("busy", 2.5).retry_after == 2.5
    assert errors.TransientEndpointError("busy").retry_after is None
