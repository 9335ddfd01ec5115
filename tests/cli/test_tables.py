"""What the terminal shows of a run."""

from __future__ import annotations

from pathlib import Path

from fakes import small_config

from autoanalyze.analysis.build import build_analysis


def test_no_resamples_are_no_intervals(tmp_path: Path) -> None:
    """With `resamples=0` every measure has the value that it has with some, and no interval."""
    asking = {"baseline": "none", "repeat": "2", "probe_share": "0.2"}
    some, none = (
        build_analysis(small_config(resamples=draws, **asking)).run_sync(tmp_path / draws).record
        for draws in ("10", "0")
    )
    pairs = [
        (some["metrics"][name][measure], none["metrics"][name][measure])
        for name in some["metrics"]
        for measure in some["metrics"][name]
    ]
    for kind in ("probes", "repeats"):
        found = [record["agreement"][kind] for record in (some, none)]
        with_draws, without = (agreement.get("fields", agreement) for agreement in found)
        pairs += [(with_draws[name], without[name]) for name in with_draws]
    assert len(pairs) > 20
    for one, other in pairs:
        assert other == {"value": one["value"], "low": None, "high": None}
