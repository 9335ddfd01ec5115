"""Is the simulated model fair to the implementation before this one? Its timings, predicted.

    .venv/bin/autoanalyze run experiment=earlier_timings report.into=experiments/earlier_timings
    .venv/bin/python experiments/earlier_timings/fit.py [--from FOLDER] [--into FOLDER]

Reads results.parquet of the sweep; writes prediction.md and prediction.png beside it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from autoanalyze.study.intervals import Estimate, paired_interval
from autoanalyze.study.plots import BLUE, ORANGE, new_axes, style

HERE = Path(__file__).resolve().parent

#: Sessions, sequential and parallel seconds, as measured once each on a live endpoint (issue 4).
MEASURED = {10: (41.9, 38.3), 20: (50.5, 48.2), 50: (96.8, 80.5), 100: (166.3, 107.7)}
WITHIN = 0.25
"""How far the prediction for 100 sessions may be off."""


def fitted() -> tuple[float, float]:
    """Set-up seconds and seconds per session of the sequential column, by least squares."""
    sizes = np.array(list(MEASURED))
    slope, setup = np.polyfit(sizes, [sequential for sequential, _ in MEASURED.values()], 1)
    return float(setup), float(slope)


def predicted(results: pl.DataFrame) -> dict[tuple[str, int], Estimate]:
    """Set-up plus simulated seconds, at the speed of the endpoint that was measured.

    The speed is the only thing that is scaled, and the sequential column alone says how much: so that
    a simulated session takes, in sequence, what the fit says.
    """
    runs = results.unique(["case", "data.count", "seed"], maintain_order=True)
    setup, slope = fitted()
    alone = runs.filter(case="sequential")
    simulated_slope = float(np.polyfit(alone["data.count"], alone["model_seconds"], 1)[0])
    found = {}
    for (case, size), group in runs.group_by(["case", "data.count"], maintain_order=True):
        seconds = setup + group["model_seconds"] * slope / simulated_slope
        found[str(case), int(str(size))] = paired_interval(seconds.to_list())
    return found


def table(found: dict[tuple[str, int], Estimate]) -> str:
    """Measured beside predicted, as Markdown."""
    setup, slope = fitted()
    lines = [
        f"Fit to the sequential column: {setup:.1f} s set-up and {slope:.2f} s per session.",
        "",
        "| sessions | sequential measured | fit | parallel measured | predicted | off by |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for size, (sequential, parallel) in MEASURED.items():
        guess = found["parallel", size]
        assert guess.value is not None
        spread = f"{guess.value:.1f} [{guess.low:.1f}, {guess.high:.1f}]"
        off = guess.value / parallel - 1
        cells = [size, sequential, f"{setup + slope * size:.1f}", parallel, spread, f"{off:+.0%}"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def draw(found: dict[tuple[str, int], Estimate], into: Path) -> None:
    """Measured points and predicted lines."""
    ax, sizes = new_axes(3.6), list(MEASURED)
    with style():
        for position, (setting, colour) in enumerate((("sequential", BLUE), ("parallel", ORANGE))):
            times = [seconds[position] for seconds in MEASURED.values()]
            ax.plot(sizes, times, "o", color=colour, label=f"{setting}, measured (single runs)")
            guesses = [found[setting, size].value or 0.0 for size in sizes]
            ax.plot(sizes, guesses, "--", color=colour, label=f"{setting}, simulated")
        ax.set_xlabel("sessions")
        ax.set_ylabel("seconds")
        ax.set_ylim(0)
        ax.set_title("The earlier implementation, measured and simulated")
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    assert isinstance(ax.figure, Figure)
    ax.figure.savefig(into / "prediction.png")


def main() -> None:
    """Compare, and write what came out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--from", dest="source", type=Path, default=HERE, help="where results.parquet is")
    parser.add_argument("--into", type=Path, default=HERE, help="where table and figure go")
    arguments = parser.parse_args()
    found = predicted(pl.read_parquet(arguments.source / "results.parquet"))
    text = table(found)
    (arguments.into / "prediction.md").write_text(text, encoding="utf-8")
    draw(found, arguments.into)
    print(text)
    guess = found["parallel", 100].value
    assert guess is not None
    if abs(guess / MEASURED[100][1] - 1) > WITHIN:
        raise SystemExit(f"the prediction for 100 sessions is off by more than {WITHIN:.0%}")


if __name__ == "__main__":
    main()
