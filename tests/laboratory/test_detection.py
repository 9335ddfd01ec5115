"""Duplicate detection as a whole, on planted sets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from autoanalyze.analysis.configuration import compose
from autoanalyze.errors import ConfigurationError
from autoanalyze.laboratory.detection import Detection, detect_among, detect_duplicates, similarities
from autoanalyze.protocols import Embedded
from autoanalyze.records import CallContext, LabelField, Usage
from autoanalyze.simulation.label_sets import PlantedLabels, written_labels


@pytest.fixture(scope="module")
def detected() -> Detection:
    """The default on 200 labels."""
    return detect_duplicates(compose(), 200, seed=3)


def test_default_finds_duplicates_and_merges_no_opposites(detected: Detection) -> None:
    """Most duplicates are found, and hardly anything else is merged."""
    assert detected.candidate_recall is None, "blocks need no candidates"
    assert detected.scores.precision > 0.95
    assert detected.scores.recall > 0.9
    assert detected.scores.hard_merged < 0.03
    assert detected.usage.embedded > 0
    assert detected.cost_usd > 0


def test_pairs_find_them_with_few_questions_and_blocks_for_less(detected: Detection) -> None:
    """Nearest neighbours hold most duplicates, and the judge sees few of all pairs; blocks of labels show him
    more of them in fewer tokens."""
    asked = detect_duplicates(compose(["resolution.shown_together=0"]), 200, seed=3)
    assert asked.candidate_recall is not None
    assert asked.candidate_recall > 0.97
    assert asked.judged_share < 0.05
    assert asked.scores.precision > 0.95
    assert asked.scores.recall > 0.9
    assert detected.cost_usd < asked.cost_usd
    assert detected.pairs_judged > asked.pairs_judged


def test_same_seed_same_ledger(detected: Detection, tmp_path: Path) -> None:
    """Every verdict, reason and figure is the same again; so is the journal, call for call."""
    again = [detect_duplicates(compose(), 200, seed=3, folder=tmp_path / name) for name in "ab"]
    assert all(one.ledger.equals(detected.ledger) for one in again)
    assert again[0].model_seconds == detected.model_seconds
    assert (tmp_path / "a/calls.jsonl").read_bytes() == (tmp_path / "b/calls.jsonl").read_bytes()


def test_likeness_alone_cannot_tell() -> None:
    """Embeddings without a judge merge hard negatives as soon as they find most duplicates."""
    alone = compose(["resolution=embeddings", "resolution.merge_above=0.6", "resolution.guards=false"])
    found = detect_duplicates(alone, 200, seed=3)
    assert found.scores.hard_merged > 0.2
    assert found.scores.precision < 0.9
    assert found.false_merges


def test_guards_keep_their_classes_apart() -> None:
    """A judge who takes all look-alikes for one merges guarded classes only without guards."""
    erring = ("noise.judge_false_merge=0.6", "noise.judge_fixed_share=0")
    guarded, unguarded = (
        detect_duplicates(compose([*erring, f"resolution.guards={on}"]), 200, seed=3).scores
        for on in ("true", "false")
    )
    assert guarded.hard_merged < unguarded.hard_merged
    assert guarded.hard_merged_by_class["negation"] == 0


def test_misses_and_false_merges_are_named(detected: Detection) -> None:
    """What went wrong is listed by label, and agrees with the scores."""
    concepts = detected.planted.concepts
    assert all(concepts[alias] != concepts[name] for alias, name in detected.false_merges)
    assert bool(detected.false_merges) == (detected.scores.precision < 1)
    assert bool(detected.missed) == (detected.scores.recall < 1)
    assert all(len({concepts[label] for label in labels}) == 1 for labels in detected.missed)


def test_nobody_is_billed_for_planted_labels() -> None:
    """A live endpoint is refused."""
    with pytest.raises(ConfigurationError, match="simulated"):
        detect_duplicates(compose(["endpoint=http://localhost:1/v1"]), 50, seed=1)


class OwnVectors:
    """Vectors from elsewhere: a label lies where its first word begins."""

    async def embed(self, texts: Sequence[str], context: CallContext) -> Embedded:
        rows = np.array([[text.startswith("R"), not text.startswith("R")] for text in texts])
        return Embedded(rows.astype(np.float32), "own", Usage())


def test_vectors_may_come_from_elsewhere() -> None:
    """Written labels are merged by vectors that are handed in, without a call."""
    groups = {"refund": ["Refund Status", "Returned Money"], "login": ["Login", "Sign In"]}
    written: PlantedLabels = written_labels(groups, {}, LabelField("general_intent", "what for."), seed=1)
    alone = compose(["resolution=embeddings", "resolution.merge_above=0.5", "resolution.guards=false"])
    found = detect_among(alone, written, seed=1, embedder=OwnVectors())
    assert (found.scores.precision, found.scores.recall, found.calls) == (1, 1, 0)
    alike = similarities(alone, written, OwnVectors())
    assert alike["Refund Status", "Returned Money"] == 1
    assert alike["Login", "Refund Status"] == 0
