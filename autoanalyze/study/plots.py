"""Drawing what a run found and how it went. Functions only draw: they take frames and return axes."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from autoanalyze.study.intervals import Estimate

if TYPE_CHECKING:
    from IPython.display import Image

# Okabe & Ito 2008: told apart by colour-blind readers too.
BLUE, ORANGE, GREEN, VERMILLION, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#999999"
PURPLE = "#CC79A7"
PHASE_COLOURS = {
    "discovery": ORANGE,
    "ramp": ORANGE,
    "parallel": BLUE,
    "probe": PURPLE,
    "resolution": GREEN,
}
TARGET = 0.95


@contextmanager
def style() -> Iterator[None]:
    """The one style of all figures, for as long as the context lasts."""
    settings: Any = {
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlelocation": "left",
        "text.parse_math": False,  # a label may hold a dollar sign
    }
    with mpl.rc_context(settings):
        yield


def new_axes(height: float) -> Axes:
    """Axes of a new figure, 8 inches wide.

    The figure is made outside of the style: a backend that is loaded inside its context is
    switched off again at its end, and Jupyter would show the first figure only.
    """
    figure = plt.figure(figsize=(8.0, height), dpi=110, layout="constrained")
    with style():
        return figure.add_subplot()


def described(drawn: Figure | Axes) -> Image:
    """A figure as a notebook shows it: a picture whose alternative text is its headline."""
    from IPython.display import Image  # a notebook has it

    figure = drawn if isinstance(drawn, Figure) else drawn.get_figure(root=True)
    assert figure is not None
    titles = [figure.get_suptitle(), *(ax.get_title(loc="left") or ax.get_title() for ax in figure.axes)]
    picture = io.BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": None})
    plt.close(figure)
    headline = next((title.strip() for title in titles if title), "")
    return Image(picture.getvalue(), alt=headline)  # type: ignore[no-untyped-call]


def pareto(
    counts: pl.DataFrame | Mapping[str, int], *, top: int = 15, title: str = "", ax: Axes | None = None
) -> Axes:
    """Bars of the most frequent labels, and the share of all sessions that they add up to.

    `counts` maps labels to sessions, or is a frame whose first two columns are label and
    sessions; null is no label and left out. Labels beyond `top` are added up in a last bar.
    """
    ranked = sorted(pairs(counts), key=lambda pair: (-pair[1], pair[0]))
    shown, rest = ranked[:top], ranked[top:]
    if rest:
        shown = [*shown, (f"{len(rest)} more", sum(number for _, number in rest))]
    labels = ["\n".join(textwrap.wrap(label, 32)) for label, _ in shown]
    numbers = [number for _, number in shown]
    total = sum(numbers)
    shares = [100 * sum(numbers[: i + 1]) / total for i in range(len(numbers))]
    lines = max((label.count("\n") + 1 for label in labels), default=1)
    ax = ax or new_axes(1.4 + (0.16 + 0.16 * lines) * len(shown))
    with style():
        positions = list(range(len(shown)))
        bars = ax.barh(positions, numbers, color=[BLUE] * len(ranked[:top]) + [GREY] * bool(rest))
        ax.bar_label(bars, padding=3, fontsize=8)
        ax.set_yticks(positions, labels)
        ax.invert_yaxis()
        ax.set_xlabel("sessions")
        ax.set_title(title)
        cumulative = ax.twiny()
        cumulative.plot(shares, positions, color=VERMILLION, marker="o", markersize=3, linewidth=1)
        cumulative.set_xlim(0, 105)
        cumulative.set_xlabel("cumulative share of sessions, %", color=VERMILLION)
        cumulative.spines["top"].set_visible(True)
        cumulative.spines["top"].set_color(VERMILLION)
        cumulative.tick_params(axis="x", colors=VERMILLION)
    return ax


def pairs(counts: pl.DataFrame | Mapping[str, int]) -> list[tuple[str, int]]:
    """Label and number of a mapping or a frame, without the null label."""
    rows: Sequence[tuple[Any, ...]]
    rows = list(counts.items()) if isinstance(counts, Mapping) else counts.rows()
    return [(str(row[0]), int(row[1])) for row in rows if row[0] is not None]


def timeline(calls: pl.DataFrame, *, title: str = "", ax: Axes | None = None) -> Axes:
    """A lane per stream, a bar per call from start to end; gaps are waiting. Retries are hatched.

    `calls`: phase, stream, attempt, start and end (seconds on the run's clock), as `Run.calls`.
    """
    streams = calls["stream"].unique().sort().to_list()
    ax = ax or new_axes(1.4 + 0.32 * len(streams))
    with style():
        for (phase, retried), part in calls.group_by(
            "phase", (pl.col("attempt") > 0).alias("retried"), maintain_order=True
        ):
            ax.barh(
                part["stream"].to_list(),
                (part["end"] - part["start"]).to_list(),
                left=part["start"].to_list(),
                height=0.7,
                color=PHASE_COLOURS.get(str(phase), GREY),
                edgecolor="white",
                linewidth=0.4,
                hatch="////" if retried else None,
            )
        alone = [phase for phase in ("discovery", "resolution") if phase in calls["phase"]]
        names = {0: ",\n".join(alone) or "discovery"}
        ax.set_yticks(streams, [names.get(stream, f"stream {stream}") for stream in streams])
        ax.invert_yaxis()
        ax.set_xlabel("model time, seconds")
        ax.set_title(title)
        present = [phase for phase in PHASE_COLOURS if phase in calls["phase"]]
        handles = [Patch(color=PHASE_COLOURS[phase], label=phase) for phase in present]
        if (calls["attempt"] > 0).any():
            handles.append(Patch(facecolor="white", edgecolor=GREY, hatch="////", label="retry"))
        ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    return ax


def consistency_bars(
    metrics: Mapping[str, Mapping[str, Mapping[str, float | None]]],
    *,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Consistency and precision per field with their 95 % intervals, and the target.

    `metrics` is that of run.json: field to measure to value, low and high.
    """
    fields = list(metrics)
    ax = ax or new_axes(3.2)
    with style():
        for offset, measure, name, colour in (
            (-0.15, "consistency", "consistency", BLUE),
            (0.15, "precision", "precision", ORANGE),
        ):
            scores = [(i, metrics[field][measure]) for i, field in enumerate(fields)]
            known = [(i, value, s) for i, s in scores if (value := s["value"]) is not None]
            values = [value for _, value, _ in known]
            ends = [
                [0.0 if s["low"] is None else max(0.0, value - s["low"]) for _, value, s in known],
                [0.0 if s["high"] is None else max(0.0, s["high"] - value) for _, value, s in known],
            ]
            positions = [i + offset for i, *_ in known]
            ax.errorbar(positions, values, yerr=ends, fmt="o", color=colour, capsize=4, label=name)
        ax.axhline(TARGET, color=GREY, linestyle="--", linewidth=1, label=f"target {TARGET:.0%}")
        ax.set_xticks(range(len(fields)), [field.replace("_", " ") for field in fields])
        ax.set_xlim(-0.5, max(len(fields), 1) - 0.5)
        ax.set_ylabel("share of session pairs, 0 to 1")
        ax.set_title(title)
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    return ax


def containment_bars(shares: pl.DataFrame, *, top: int = 15, title: str = "", ax: Axes | None = None) -> Axes:
    """The share of sessions that the bot contained, a bar per label with its 95 % interval.

    `shares`: label, sessions, contained, low and high (0 to 1), as `containment.containment_by` gives.
    """
    shown = shares.head(top)
    ax = ax or new_axes(1.2 + 0.28 * len(shown))
    with style():
        places = list(range(len(shown)))
        values = shown["contained"] * 100
        # Rounding may leave an end on the wrong side of its share, and an arm of less than nothing.
        ends = (values - shown["low"] * 100, shown["high"] * 100 - values)
        reach = [end.clip(lower_bound=0).fill_null(0).to_list() for end in ends]
        ax.barh(places, values, xerr=reach, color=BLUE, ecolor=GREY, capsize=2)
        ax.set_yticks(
            places, [f"{label} ({n:,})" for label, n in shown.select("label", "sessions").iter_rows()]
        )
        ax.invert_yaxis()
        ax.set_xlim(0, 100)
        ax.set_xlabel("sessions that the bot contained, %")
        ax.set_title(title)
    return ax


def arms(estimate: Estimate) -> list[list[float]] | None:
    """How far an interval reaches down and up from its value; null if it has none."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return None
    return [[max(0.0, estimate.value - estimate.low)], [max(0.0, estimate.high - estimate.value)]]


SIX_COLOURS = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, GREY)
SEVEN_MARKERS = "osD^vPX"


def precision_and_recall(
    methods: Mapping[str, Sequence[tuple[Estimate, Estimate]]], *, title: str = "", ax: Axes | None = None
) -> Axes:
    """Recall across, precision up, 0 to 1: a curve per method that has a threshold, a point per one that
    has none, 95 % intervals as crosses.

    `methods`: name to (recall, precision) per threshold, in order of the thresholds.
    """
    ax = ax or new_axes(4.6)
    with style():
        for number, (name, points) in enumerate(methods.items()):
            known = [(r, p) for r, p in points if r.value is not None and p.value is not None]
            colour, marker = (
                SIX_COLOURS[number % len(SIX_COLOURS)],
                SEVEN_MARKERS[number % len(SEVEN_MARKERS)],
            )
            ax.plot(
                [recall.value or 0.0 for recall, _ in known],
                [precision.value or 0.0 for _, precision in known],
                color=colour,
                marker=marker,
                markersize=4 if len(known) > 1 else 9,
                linewidth=1.5,
                label=name,
            )
            for recall, precision in known:
                assert recall.value is not None
                assert precision.value is not None
                ax.errorbar(
                    recall.value,
                    precision.value,
                    xerr=arms(recall),
                    yerr=arms(precision),
                    color=colour,
                    elinewidth=0.8,
                )
        ax.set_xlim(0, 1.02)
        ax.set_ylim(0, 1.02)
        ax.set_xlabel("recall of duplicate pairs, 0 to 1")
        ax.set_ylabel("precision of merged pairs, 0 to 1")
        ax.set_title(title)
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8)
    return ax


def likeness(
    kinds: Mapping[str, Sequence[float]],
    *,
    threshold: float | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """How alike pairs of labels are, a distribution per kind of pair, each of area 1."""
    ax = ax or new_axes(3.4)
    with style():
        for number, (name, values) in enumerate(kinds.items()):
            ax.hist(
                values,
                bins=40,
                range=(-0.2, 1.0),
                density=True,
                histtype="step",
                linewidth=1.8,
                color=SIX_COLOURS[number],
                label=f"{name} ({len(values):,} pairs)",
            )
        if threshold is not None:
            ax.axvline(threshold, color=GREY, linestyle="--", linewidth=1, label="threshold")
        ax.set_xlabel("cosine similarity of two labels")
        ax.set_ylabel("density")
        ax.set_title(title)
        ax.legend(frameon=False, fontsize=8)
    return ax
