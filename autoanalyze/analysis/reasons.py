"""Why sessions stayed without a label, or labels without a verdict: the same reason said once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autoanalyze.analysis.folder import RunFolder, as_typed
from autoanalyze.errors import NothingLabelledError, NoVerdictError, RunFolderError
from autoanalyze.phases.conflicts import ResolutionResult
from autoanalyze.study.answer import most_frequent_reasons
from autoanalyze.study.runs import Run

TOLD_REASONS = 3


def nothing_labelled(folder: RunFolder, errors: Sequence[str | None]) -> NothingLabelledError:
    """What a run ends with that has no label for any session."""
    told = "; ".join(
        f"{count:,} x {reason}" for reason, count in most_frequent_reasons(errors)[:TOLD_REASONS]
    )
    return NothingLabelledError(
        f"not one of {len(errors):,} sessions was labelled: {told}. Mend that, then go on with "
        f"`autoanalyze resume {as_typed(folder.path)} --unresolved`"
    )


def check_unresolved(folder: RunFolder, record: Mapping[str, Any]) -> None:
    """Raise RunFolderError if a run that is done has nothing to ask for again, or must not be changed."""
    if not record["sessions"]["unresolved"]:
        raise RunFolderError(f"every session of {folder.path} has a label: there is nothing to ask for again")
    if Run(folder.path, {}).reviewed:
        raise RunFolderError(
            f"the labels of {folder.path} were edited since (its merges were reviewed, or names or sessions "
            "changed), and asking again would judge them anew: start a new run with "
            f"vocabulary.from={folder.path}"
        )


def no_verdict(folder: RunFolder, resolution: ResolutionResult | None) -> NoVerdictError | None:
    """What a run stops with that has labels nobody could judge; null if it has none."""
    if resolution is None or not resolution.unjudged:
        return None
    told = [f"{len(labels):,} of {name}" for name, labels in resolution.unjudged.items()]
    left = [error.partition(": left unmerged: ") for error in resolution.errors]
    why = next((reason for name, _, reason in left if name in resolution.unjudged), "no answer could be used")
    return NoVerdictError(
        f"no verdict could be had on some labels ({', '.join(told)}), which stay as first given: {why}. "
        f"`autoanalyze resume {as_typed(folder.path)}` asks the judge again; if that does not help, another "
        "model or resolution=embeddings may, in a new run"
    )


def unjudged_before(record: Mapping[str, Any]) -> bool:
    """Whether the run of a record stopped because nobody could judge some of its labels."""
    return bool((record.get("resolution") or {}).get("unjudged"))
