"""Questions of one's own with closed lists of labels, against an endpoint that now and then strays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from scripted_endpoint import ScriptedEndpoint, ok

from autoanalyze.analysis import job
from autoanalyze.analysis.configuration import compose
from autoanalyze.errors import ConfigurationError
from autoanalyze.llm.prompts import SESSIONS
from autoanalyze.study.runs import load_run

SETTINGS = [
    "schema=complaints",
    "endpoint=http://127.0.0.1:9/v1",
    "model=generic",
    "model.name=m",
    "token_counter=estimate",
    "embeddings=offline",
    "data.count=40",
    "parallel.streams=4",
]


def answered(body: dict[str, Any]) -> httpx2.Response:
    """Deliveries mostly, in small letters; sometimes a label that is not in the list."""
    if body["response_format"]["json_schema"]["schema"]["required"] != ["sessions"]:
        return ok(json.dumps({"groups": [], "answers": []}))
    text = body["messages"][1]["content"]
    keys = [json.loads(line)["k"] for line in text.partition(f"{SESSIONS}\n")[2].splitlines()]
    first = "ASKED AGAIN" not in text
    rows = [
        {
            "k": key,
            "s": "C",
            "f1": "Weather" if first and number % 5 == 0 else None if number % 5 == 1 else " delivery",
            "f2": "Today",
            "f3": "Money Back",
        }
        for number, key in enumerate(keys)
    ]
    return ok(json.dumps({"sessions": rows}))


@pytest.mark.parametrize("reply", ["numbers", "labels"])
def test_closed_lists_are_kept_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reply: str) -> None:
    """The form of a reply names the labels; others are asked again; none is judged; null stands for none."""
    endpoint = ScriptedEndpoint(answered)
    monkeypatch.setattr(job, "network", lambda _config: endpoint.known_as("fake", virtual_time=True))
    config = compose([*SETTINGS, f"reply={reply}"])
    run = load_run(job.Job.begin(config, tmp_path / "run").run())
    assert run.record["sessions"]["labelled"] == 40
    assert set(run.sessions["complaint"]) == {"Delivery", None}
    assert set(run.sessions["urgency"]) == {"Today"}
    assert set(run.merges["field"]) <= {"wish"}
    asked = endpoint.bodies[0]
    row = asked["response_format"]["json_schema"]["schema"]["properties"]["sessions"]["items"]["anyOf"][0]
    assert row["properties"]["f1"]["enum"] == ["Product", "Delivery", "Billing", "Staff", "Website", None]
    assert 'One of "Today"; "This Week"; "Later"' in asked["messages"][0]["content"]
    for body in endpoint.bodies:
        known, _, _ = body["messages"][1]["content"].partition(SESSIONS)
        assert "Delivery" not in known.partition("ASKED AGAIN")[0]


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [
        ("[A,a]", "differ in nothing but capitals"),
        ("[Unknown]", "does not mean none"),
        (f"[{'x' * 61}]", "60"),
    ],
)
def test_lists_that_no_answer_could_keep_to_are_refused(labels: str, complaint: str) -> None:
    """Before anything is asked."""
    with pytest.raises(ConfigurationError, match=complaint):
        compose([f"schema.fields=[{{name: cause, description: why, labels: {labels}}}]"])


def test_simulated_model_says_what_it_cannot_do(tmp_path: Path) -> None:
    """It knows nothing of own questions, and coins names where a list is closed."""
    own = compose(["schema.fields=[{name: cause, description: why}]"])
    with pytest.raises(ConfigurationError, match="Name a real endpoint"):
        job.Job.begin(own, tmp_path / "own").run()
    closed = compose(["schema.fields=[{name: general_intent, description: why, labels: [A, B]}]"])
    with pytest.raises(ConfigurationError, match="knows none of the labels of general_intent"):
        job.Job.begin(closed, tmp_path / "closed").run()
