"""What a run ends with in the terminal: its answer first, then scores, what it took, and where it lies.

No table is wider than the terminal: long labels go on in the next line. What strangers wrote is shown as
text, control characters as their escapes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from autoanalyze.analysis.folder import as_typed
from autoanalyze.cli.listings import visible
from autoanalyze.cli.tables import duration, pairs_table
from autoanalyze.study.answer import Answer, FieldAnswer, answer
from autoanalyze.study.intervals import Estimate, shown
from autoanalyze.study.runs import Run
from autoanalyze.study.summary import LABEL_HEADINGS, caveat_lines, glance, label_notes, label_rows

SHOWN_REASONS = 5


def summary(run: Run) -> Group:
    """What a run ends with."""
    found = answer(run)
    parts: list[RenderableType] = [Text(line, style="bold yellow") for line in caveat_lines(found.caveats)]
    for field in found.fields:
        title = f"\n{visible(field.name).replace('_', ' ')}: {visible(field.description)}"
        parts.append(Text(title, style="italic"))
        if field.sessions:
            parts.append(labels_table(field))
        parts.append(Text(f"  {label_notes(field)}", style="dim"))
    parts += [glance_table(found), *unresolved(run, found)]
    if run.record.get("metrics"):
        said = "".join(f" ({word})" for word in found.caveats)
        title = f"\nscores against known truth{said}; labels as first given > after merging"
        parts += [Text(title, style="italic"), scores_table(run)]
    return Group(*parts, totals_table(run), *warnings(run.record))


def places(run: Run) -> str:
    """Where the run lies, and its page if it has one, last. To be printed unbroken: paths are copied."""
    page = run.path / "report.html"
    report = f"\nreport: {as_typed(page)}" if page.exists() else ""
    return f"\nrun folder: {as_typed(run.path)}{report}"


def labels_table(field: FieldAnswer) -> Table:
    """The most frequent labels of a field."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("label", overflow="fold", min_width=24)
    for heading in LABEL_HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    for label, *figures in label_rows(field):
        table.add_row(Text(visible(label)), *figures)
    return table


def glance_table(found: Answer) -> Table:
    """How the labelled sessions ended."""
    table = pairs_table("\nhow sessions ended [95 % interval]")
    for name, value in glance(found).items():
        table.add_row(name, Text(value))
    return table


def unresolved(run: Run, found: Answer) -> list[Text]:
    """Why sessions have no label, the most frequent reasons first, and how to ask for them again."""
    reasons = found.reasons
    if not reasons:
        return []
    lines = [f"  {count:,} x {visible(reason)}" for reason, count in reasons[:SHOWN_REASONS]]
    if len(reasons) > SHOWN_REASONS:
        lines.append(f"  ... and {len(reasons) - SHOWN_REASONS:,} other reasons")
    again = f"  `autoanalyze resume {as_typed(run.path)} --unresolved` asks for them again"
    return [Text("\n".join(("\nunresolved sessions:", *lines, again)))]


def scores_table(run: Run) -> Table:
    """A row per label field whose truth is known."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("field", overflow="fold")
    for heading in ("labels", "true", "consistency", "precision", "macro"):
        table.add_column(heading, justify="right", no_wrap=heading != "labels")
    for field, measures in run.record["metrics"].items():
        counts = run.record["labels"][field]
        macro = measures["precision_macro"]["value"]  # null where no concept has two sessions
        table.add_row(
            Text(visible(field)),
            f"{counts['first_given']} > {counts['final']}",
            f"{measures['concept_count']['value']:.0f}",
            *(Text(shown(Estimate(**measures[name]))) for name in ("consistency", "precision")),
            "-" if macro is None else f"{macro:.3f}",
        )
    return table


def totals_table(run: Run) -> Table:
    """What the run took."""
    record = run.record
    where = "simulated" if record["endpoint"].startswith("simulated") else record["endpoint"]
    table = pairs_table(f"\n{visible(record['model'])} ({visible(where)})")
    for name, value in (*sizes(record), *times(record), *costs(record)):
        table.add_row(Text(visible(name)), Text(visible(value)))
    return table


def sizes(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Names and values of what was worked on, and how far labels of a session agree."""
    sessions, probes = record["sessions"], record.get("probes")
    yield "sessions labelled / unresolved", f"{sessions['labelled']:,} / {sessions['unresolved']:,}"
    if sessions["shortened"]:
        yield "sessions shortened to fit", f"{sessions['shortened']:,}"
    for kind, fields in agreements(record).items():
        for name, estimate in fields.items():
            yield f"agreement of {kind}: {name}", shown(Estimate(**estimate))
    if probes is not None:
        answered = f"{probes['answered']:,} of {probes['asked']:,}"
        yield "probes answered, their cost", f"{answered}, {probes['cost_usd']:.4f} USD"


def times(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """How long it took, and how much longer one call after the other."""
    yield "model time", duration(record["model_seconds"])
    if record.get("baseline") is not None:
        baseline = record["baseline"]["model_seconds"]
        yield "sequential baseline", duration(baseline)
        saved = 1 - record["model_seconds"] / baseline
        yield "speedup over it (time saved)", f"{record['speedup']:.2f}x ({saved:.0%})"
    if record.get("efficiency") is not None:
        yield "efficiency", f"{record['efficiency']:.0%}"
    for change in (record["parallel"] or {}).get("degradations", []):
        streams = f"{change['streams_before']} > {change['streams_after']}"
        yield f"streams after round {change['round']}", streams


def costs(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Calls, tokens and money."""
    tokens, paid = record["tokens"], record["paid"]
    yield "calls", f"{record['calls']:,}"
    prompt = f"{tokens['prompt']:,} (cached {tokens['cached']:,})"
    yield "tokens: prompt / completion", f"{prompt} / {tokens['completion']:,}"
    yield "cost", f"{record['cost_usd']:.4f} USD"
    if record["config"]["model"].get("source"):
        yield "prices of", record["config"]["model"]["source"].partition(",")[0]
    if paid["calls"] != record["calls"] or paid["uncertain_usd"]:
        maybe = f" (and perhaps {paid['uncertain_usd']:.4f})" if paid["uncertain_usd"] else ""
        yield "really paid by this run", f"{paid['cost_usd']:.4f} USD{maybe}"
    if record["failed_calls"]:
        yield "calls that failed and were tried again", f"{record['failed_calls']:,}"


def warnings(record: Mapping[str, Any]) -> list[Text]:
    """What the run noticed, and what its third phase could not do."""
    told = [*record.get("notices", []), *(record["resolution"] or {}).get("errors", [])]
    return [Text(f"warning: {visible(warning)}", style="bold red") for warning in told]


def agreements(record: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What a run says of agreement without truth: estimates per field, of probes and of repetitions."""
    found = dict(record.get("agreement") or {})
    found.pop("streams", None)  # several measures, which say little of a single run
    if "repeats" in found:
        found["repeats"] = found["repeats"]["fields"]
    return found
