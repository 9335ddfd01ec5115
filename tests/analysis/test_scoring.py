"""What is measured of a run that has ended: scores only where truth is known, agreement only where asked."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest
from fakes import MODEL, SCHEMA, make_phases
from hypothesis import given, settings
from hypothesis import strategies as st

from autoanalyze.analysis.scoring import both, label_measures, repeats_agreement, right_names
from autoanalyze.analysis.tables import probes_table, sessions_table
from autoanalyze.config import Config, FieldConfig, SchemaConfig
from autoanalyze.phases.probes import ProbeResult
from autoanalyze.records import Facts, Usage

FIELD, OTHER = SCHEMA.names
CONFIG = Config(
    model=MODEL, schema=SchemaConfig([FieldConfig(FIELD, "what"), FieldConfig(OTHER, "why")]), resamples=20
)
NO_TRUTH = pl.DataFrame(schema={"session_id": pl.String, "field": pl.String, "concept": pl.String})
intents = st.lists(st.sampled_from(["Claim", "Refund", "Card", None]), min_size=1, max_size=12)


def sessions_of(labels: list[str | None]) -> pl.DataFrame:
    return sessions_table(make_phases(labels))


def truth_of(concepts: list[str]) -> pl.DataFrame:
    return pl.DataFrame(
        [(f"a{i:03}", FIELD, concept) for i, concept in enumerate(concepts)],
        schema=NO_TRUTH.schema,
        orient="row",
    )


def test_without_truth_nothing_is_scored() -> None:
    """A run on real data has neither scores nor, unasked, agreement of probes; that of streams needs two."""
    nothing = dict.fromkeys(("coverage", "overlap", "novelty", "divergence"))
    assert label_measures(CONFIG, sessions_of(["Claim", None]), None, NO_TRUTH) == {
        "metrics": {},
        "agreement": {"streams": {FIELD: nothing, OTHER: nothing}},
    }


def test_streams_are_compared_without_truth() -> None:
    """Two streams that share one of their two labels each, as run.json has it."""
    sessions = sessions_of(["A", "B", "A", "C"]).with_columns(
        phase=pl.lit("parallel"), stream=pl.Series([1, 1, 2, 2])
    )
    streams = label_measures(CONFIG, sessions, None, NO_TRUTH)["agreement"]["streams"]
    assert streams[FIELD] == {
        "coverage": 0.75,
        "overlap": 0.5,
        "novelty": 0.5,
        "divergence": streams[FIELD]["divergence"],
    }
    assert streams[OTHER]["coverage"] is None


def test_right_names_by_hand() -> None:
    """Another spelling is the name of the concept, a synonym and no label are not: two of four."""
    sessions = sessions_of(["Claims Status", "Status Of The Claim", "Claim Progress", None])
    found = right_names(CONFIG, sessions, truth_of(["claim_status"] * 4), FIELD)
    assert found.value == pytest.approx(0.5)
    assert found.low is not None
    assert found.low <= 0.5
    told = label_measures(CONFIG, sessions, None, truth_of(["claim_status"] * 4))["metrics"][FIELD]
    assert told["right_names"] == found.as_dict()


@settings(deadline=None, max_examples=30)
@given(intents)
def test_right_names_are_a_share_of_all_sessions(labels: list[str | None]) -> None:
    """All of them where labels are the concepts' names; never more than have a label."""
    truth = truth_of([label or "Claim" for label in labels])
    right = right_names(replace(CONFIG, resamples=0), sessions_of(labels), truth, FIELD).value
    assert right == pytest.approx(1 - labels.count(None) / len(labels))


def test_fields_are_scored_where_truth_is_known() -> None:
    """Of two fields only the one whose truth is known; a run that names each thing its own name is perfect,
    one that calls everything the same is consistent and not precise."""
    truth = truth_of(["claim", "claim", "card", "card"])
    perfect = label_measures(CONFIG, sessions_of(["X", "X", "Y", "Y"]), None, truth)["metrics"]
    lumped = label_measures(CONFIG, sessions_of(["X"] * 4), None, truth)["metrics"]
    assert set(perfect) == set(lumped) == {FIELD}
    assert [perfect[FIELD][m]["value"] for m in ("consistency", "precision")] == [1, 1]
    assert lumped[FIELD]["consistency"]["value"] == 1
    assert lumped[FIELD]["precision"]["value"] == pytest.approx(1 / 3)


def test_same_seed_same_interval_and_none_without_resamples() -> None:
    """The configuration's seed and draws decide the interval; the value is the same."""
    sessions = sessions_of(["X", "X", "Y", "X", "Y", "Z", "Z", "X"])
    truth = truth_of(["claim", "claim", "card", "card"] * 2)

    def consistency(config: Config) -> dict[str, float | None]:
        found: dict[str, float | None] = label_measures(config, sessions, None, truth)["metrics"][FIELD][
            "consistency"
        ]
        return found

    drawn, bare = consistency(CONFIG), consistency(replace(CONFIG, resamples=0))
    assert drawn == consistency(CONFIG)
    assert drawn["low"] is not None
    assert (bare["low"], bare["high"], bare["value"]) == (None, None, drawn["value"])


@settings(deadline=None, max_examples=30)
@given(intents, st.data())
def test_agreement_of_probes_is_the_share_with_the_same_final_label(
    labels: list[str | None], data: st.DataObject
) -> None:
    """Second answers are compared under canonical labels with the session's own; a session that was not
    probed counts for nothing, and a field that nobody has agrees on nothing."""
    merged = {"Claims": "Claim"}
    probed = [i for i, label in enumerate(labels) if label and data.draw(st.booleans())]
    second = {i: data.draw(st.sampled_from(["Claim", "Claims", "Card"])) for i in probed}
    facts = {f"a{i:03}": Facts("Contained", {FIELD: label, OTHER: None}) for i, label in second.items()}
    phases = replace(make_phases(labels, merged), probes=ProbeResult(facts, len(facts), Usage(), 1, 1.0))
    sessions, probes = sessions_table(phases), probes_table(phases)
    found = label_measures(CONFIG, sessions, probes, NO_TRUTH)["agreement"]["probes"]
    same = [merged.get(label, label) == labels[i] for i, label in second.items()]
    assert found[FIELD]["value"] == (pytest.approx(sum(same) / len(same), abs=1e-6) if same else None)
    assert found[OTHER]["value"] is None


@settings(deadline=None, max_examples=30)
@given(intents, st.permutations(["Claim", "Refund", "Card"]))
def test_repetitions_under_other_names_agree(labels: list[str | None], names: list[str]) -> None:
    """A repetition that calls the same things otherwise agrees fully; without labels there is no share."""
    renamed = dict(zip(["Claim", "Refund", "Card"], names, strict=True))
    again = [label and renamed[label] for label in labels]
    found = repeats_agreement(CONFIG, [sessions_of(labels), sessions_of(again), sessions_of(labels)])
    assert found[FIELD]["value"] == (1 if any(labels) else None)
    assert found[OTHER] == {"value": None, "low": None, "high": None}


def test_agreement_of_repetitions_is_the_mean_over_them() -> None:
    """Each further run is compared with the first: one agrees on all, one on half."""
    first, half = sessions_of(["A", "A", "B", "B"]), sessions_of(["A", "X", "Y", "B"])
    found = repeats_agreement(CONFIG, [first, first, half])
    assert found[FIELD]["value"] == pytest.approx(0.75)
    assert repeats_agreement(CONFIG, [first])[FIELD]["value"] is None


def test_two_labellings_are_paired_by_session() -> None:
    """Whatever order their rows stand in; a session that only one of them has is left out."""
    first = sessions_of(["A", "B", "C"])
    second = first.select("session_id", "user_id", second=FIELD)[::-1].slice(0, 2)
    pairs = both(second, first, FIELD).sort("session_id")
    assert pairs.select("session_id", "first", "second").rows() == [("a001", "B", "B"), ("a002", "C", "C")]
