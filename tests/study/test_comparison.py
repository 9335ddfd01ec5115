"""Runs side by side: which settings differ, and by how much the figures do."""

from __future__ import annotations

from typing import Any

from autoanalyze.study.comparison import change, compared, differences, spoken


def record(**config: Any) -> dict[str, Any]:
    """A record with nothing but a configuration and two figures."""
    return {"config": config, "model_seconds": 10.0, "calls": 3}


def test_only_settings_that_differ_are_told() -> None:
    """Nested settings have dotted names; one that a run does not know is null there."""
    first = record(sync="rounds", parallel={"streams": 4, "taper": 0.7}, seed=7)
    second = record(sync="rounds", parallel={"streams": 8, "taper": 0.7, "new": [1, 2]}, seed=7)
    assert differences([first, second]) == [("parallel.streams", [4, 8]), ("parallel.new", [None, [1, 2]])]
    assert differences([first, first]) == differences([first]) == differences([]) == []


def test_models_that_differ_are_told_by_name() -> None:
    """Prices and limits of another model are no settings of their own; of the same model they are."""
    small, large = {"name": "small", "price": 1}, {"name": "large", "price": 2}
    found = differences([record(seed=1, model=small), record(seed=2, model=large)])
    assert found == [("model", ["small", "large"]), ("seed", [1, 2])]
    dearer = {**small, "price": 3}
    assert differences([record(model=small), record(model=dearer)]) == [("model.price", [1, 3])]


def test_figures_stand_beside_each_other_with_their_difference() -> None:
    """A column per run; with two runs, the second less the first; a figure that no run has is left out."""
    first = {**record(sync="rounds"), "git": {"commit": "a" * 40}}
    second = {**record(sync="none"), "model_seconds": 7.25, "calls": None, "git": {"commit": "b" * 40}}
    frame = compared([("one", first), ("two", second)])
    assert frame.columns == ["part", "name", "one", "two", "difference"]
    assert frame.rows() == [
        ("setting", "git commit", "a" * 12, "b" * 12, None),
        ("setting", "sync", "rounds", "none", None),
        ("all", "model time, s", "10", "7.25", "-2.75"),
        ("all", "calls", "3", None, None),
    ]
    assert compared([("one", first), ("two", second), ("three", first)]).columns[2:] == [
        "one",
        "two",
        "three",
    ]


def test_fields_of_all_runs_are_compared() -> None:
    """A label field that only one run has is there, with nothing for the other; dots in it are its own."""
    labels = {"an.intent": {"first_given": 3, "final": 2}}
    metrics = {"an.intent": {"consistency": {"value": 0.5, "low": None, "high": None}}}
    frame = compared([("one", {**record(), "labels": labels, "metrics": metrics}), ("two", record())])
    rows = {name: (one, two) for part, name, one, two, _ in frame.rows() if part == "an.intent"}
    assert rows == {
        "labels first given": ("3", None),
        "labels final": ("2", None),
        "consistency": ("0.5", None),
    }


def test_values_are_spoken_as_settings() -> None:
    """Null is a dash, lists are JSON, long texts are cut; differences have a sign unless there is none."""
    assert [spoken(value) for value in (None, "a b", 0.5, True, ["é"])] == [
        "-",
        "a b",
        "0.5",
        "true",
        '["é"]',
    ]
    assert len(spoken("x" * 100)) == 60
    assert [change(1, 3), change(0.5, 0.25), change(2, 2), change(None, 2)] == ["+2", "-0.25", "0", None]
