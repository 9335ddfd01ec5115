"""The chapter's tables and figure, from its results."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import polars as pl
import verdicts
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from autoanalyze.study.intervals import Estimate, estimate, shown
from autoanalyze.study.panels import head
from autoanalyze.study.plots import BLUE, GREEN, GREY, ORANGE, VERMILLION, style

QUESTION = (
    "How much consistency does labelling in parallel cost a labeller that reads, and which phase gives how "
    "much of it back?"
)
MEASURES = {"consistency": 3, "precision": 3, "f1": 3, "ami": 3, "labels": 1}
"""What the table tells, with how many digits."""
BLOCK = re.compile(r"(<!-- results -->\n).*?(<!-- /results -->)", re.DOTALL)
LINES = (
    ("first names: nothing shared", ("none", "none", "judge", "first"), VERMILLION, "o-"),
    ("first names: fixed discovery, nothing shared", ("none", "fixed", "judge", "first"), ORANGE, "s-"),
    ("first names: rounds", ("rounds", "none", "judge", "first"), GREY, "^-"),
    ("first names: continuous", ("continuous", "none", "judge", "first"), GREEN, "D-"),
    ("first names: continuous, ramp (the default)", ("continuous", "adaptive", "judge", "first"), BLUE, "v-"),
    ("merged by the reader as judge, nothing shared", ("none", "none", "judge", "merged"), "#000000", "o--"),
    ("merged by names alone, same first names", ("none", "none", "names alone", "merged"), VERMILLION, "x:"),
)  # fmt: skip
"""Name, how labelled, colour and form of each line of the figure."""


def tell(results: pl.DataFrame, into: Path) -> None:
    """Write table.md, verdicts.parquet and figure.png, and fill the chapter's block if there is a chapter."""
    found = verdicts.verdicts(results)
    found.write_parquet(into / "verdicts.parquet")
    text = "\n".join(
        [
            "What was preregistered (test by test: [verdicts.parquet](verdicts.parquet)):\n",
            f"{markdown(verdicts.outcomes(found))}\n",
            "Consistency (every setting: [table.md](table.md)):\n",
            f"{markdown(chosen(results, ('consistency',)))}\n",
            "Precision, F1, AMI, number of labels (means):\n",
            f"{markdown(chosen(results, ('precision', 'f1', 'ami', 'labels')))}\n",
            "The loss of first names with nothing shared and no discovery, in points of 1, and which share "
            "of it is given back:\n",
            markdown(shares_in_words(verdicts.shares(results))),
        ]
    )
    (into / "table.md").write_text(f"{text}\n\nAll settings:\n\n{markdown(everything(results))}\n", "utf-8")
    chapter = into / "README.md"
    title = QUESTION
    if chapter.exists():
        before = chapter.read_text(encoding="utf-8")
        title = before.partition("\n")[0].removeprefix("# ")
        after = BLOCK.sub(lambda block: f"{block[1]}{text}\n\n![{title}](figure.png)\n{block[2]}", before)
        chapter.write_text(after, encoding="utf-8")
    figure = drawn(results, title)
    figure.savefig(into / "figure.png", metadata={"Software": None})
    plt.close(figure)


def chosen(results: pl.DataFrame, measures: Sequence[str]) -> pl.DataFrame:
    """A row per setting that matters most, a column per data set; of one measure with its interval."""
    streams = [k for k in (1, verdicts.SOME, verdicts.MANY) if k in set(results["streams"])]
    settings = {
        f"{k} stream{'s' if k > 1 else ''}, {way}": setting
        for way, make in WAYS.items()
        for k in streams
        for setting in [make(k)]
        if setting is not None
    }
    rows = []
    for label, setting in settings.items():
        row = {"labelled": label}
        for name in results["data_set"].unique(maintain_order=True):
            part = verdicts.of_setting(results.filter(data_set=name), setting)
            means = [(within(estimate(part, m), m), MEASURES[m]) for m in measures]
            if len(measures) > 1:
                means = [(Estimate(mean.value), digits) for mean, digits in means]
            row[name] = " / ".join(shown(mean, digits) for mean, digits in means)
        rows.append(row)
    return pl.DataFrame(rows)


WAYS: dict[str, Callable[[int], verdicts.Setting | None]] = {
    "nothing shared, first names": verdicts.bare,
    "fixed discovery, nothing shared, first names": lambda k: (
        verdicts.Setting(k, "none", "fixed") if k > 1 else None
    ),
    "rounds, first names": lambda k: verdicts.Setting(k, "rounds", "none") if k > 1 else None,
    "continuous, first names": lambda k: verdicts.Setting(k, "continuous", "none") if k > 1 else None,
    "default, first names": lambda k: verdicts.default(k) if k > 1 else None,
    "nothing shared, merged by names alone": lambda k: verdicts.merged(verdicts.bare(k), "names alone"),
    "nothing shared, merged by the judge": lambda k: verdicts.merged(verdicts.bare(k)),
    "default, merged by the judge": lambda k: verdicts.merged(verdicts.default(k)) if k > 1 else None,
}
"""How sessions were labelled, for a number of streams."""


def everything(results: pl.DataFrame) -> pl.DataFrame:
    """A row per data set, setting and names: means with their intervals."""
    keys = ["data_set", "sync", "discovery", "merging", "names", "streams"]
    # First names are the same however they are merged afterwards.
    told = results.filter((pl.col("names") == "merged") | (pl.col("merging") == "judge"))
    rows = []
    for values, group in told.group_by(keys, maintain_order=True):
        means = {
            measure: shown(within(estimate(group, measure), measure), digits)
            for measure, digits in MEASURES.items()
        }
        rows.append({**dict(zip(keys, values, strict=True)), "samples": len(group), **means})
    return pl.DataFrame(rows).sort("data_set", "names", "merging", "sync", "discovery", "streams")


def within(found: Estimate, measure: str) -> Estimate:
    """An interval cut where the measure ends."""
    if found.low is None or found.high is None or measure in ("labels", "ami"):
        return found
    return Estimate(found.value, max(0.0, found.low), min(1.0, found.high))


def shares_in_words(shares: pl.DataFrame) -> pl.DataFrame:
    """A row per number of streams and way, a column per data set."""
    told = shares.with_columns(
        told=pl.struct("value", "low", "high").map_elements(
            lambda row: shown(Estimate(row["value"], row["low"], row["high"]), 2), return_dtype=pl.String
        )
    )
    return told.pivot("data_set", index=["streams", "way"], values="told", maintain_order=True).sort(
        "streams", maintain_order=True
    )


def markdown(frame: pl.DataFrame) -> str:
    """A table in Markdown."""
    headings = [name.replace("_", " ") for name in frame.columns]
    lines = [headings, ["---"] * len(headings), *([str(cell) for cell in row] for row in frame.iter_rows())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def drawn(results: pl.DataFrame, title: str) -> Figure:
    """A panel per data set: consistency across streams, before and after merging."""
    names = results["data_set"].unique(maintain_order=True).to_list()
    columns = min(3, len(names) + 1)
    rows = -(-(len(names) + 1) // columns)
    figure = plt.figure(figsize=(3.6 * columns, 0.8 + 2.9 * rows), dpi=110, layout="constrained")
    with style():
        panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
        for panel, name in zip(panels, names, strict=False):
            draw(panel, results.filter(data_set=name), name)
        handles, labels = panels[0].get_legend_handles_labels()
        for panel in panels[len(names) :]:
            panel.set_axis_off()
        panels[len(names)].legend(handles, labels, loc="center", frameon=False, fontsize=8)
        samples = results["seed"].n_unique()
        head(
            figure,
            title,
            "topics by words, no model, five public data sets; not a language model; "
            f"{samples} samples each; means with 95 % intervals",
        )
    return figure


def draw(panel: Axes, results: pl.DataFrame, name: str) -> None:
    """The lines of one data set. One stream shares with itself, so that it begins several of them."""
    for line, (sync, discovery, merging, names), colour, form in LINES:
        part = results.filter(
            pl.col("discovery") == discovery,
            pl.col("merging") == merging,
            pl.col("names") == names,
            (pl.col("sync") == sync) | (pl.col("streams") == 1),
        )
        streams = sorted(part["streams"].unique())
        means = [within(estimate(part.filter(streams=k), "consistency"), "consistency") for k in streams]
        heights: Sequence[float] = [mean.value or 0.0 for mean in means]
        panel.plot(streams, heights, form, color=colour, label=line, markersize=4, linewidth=1.3)
        panel.fill_between(
            streams,
            [mean.low or 0.0 for mean in means],
            [mean.high or 0.0 for mean in means],
            color=colour,
            alpha=0.15,
            linewidth=0,
        )
    panel.set_xscale("log", base=2)
    ticks = sorted(results["streams"].unique())
    panel.set_xticks(ticks, [str(tick) for tick in ticks])
    panel.minorticks_off()
    panel.tick_params(labelbottom=True)
    panel.set_ylim(0, 1)
    panel.grid(axis="y", alpha=0.3)
    panel.set_title(name, fontsize=10, loc="left")
    panel.set_xlabel("streams", fontsize=9)
    panel.set_ylabel("consistency (B-cubed recall)", fontsize=9)
