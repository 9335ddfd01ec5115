"""What a person sees in the terminal: a bar per phase while it runs, a table when it ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from rich.console import Group
from rich.table import Table
from rich.text import Text

from autoanalyze.analysis.folder import as_typed
from autoanalyze.analysis.planning import Plan
from autoanalyze.laboratory.replay import Replayed
from autoanalyze.study.answer import most_frequent_reasons
from autoanalyze.study.intervals import Estimate, shown
from autoanalyze.study.runs import Run

SHOWN_REASONS = 5


def summary(run: Run) -> Group:
    """What a run ends with: a table of its label fields, a table of the whole, and where it lies."""
    where = as_typed(run.path)
    return Group(fields_table(run), totals_table(run), *unresolved(run), f"\nrun folder: {where}")


def unresolved(run: Run) -> list[Text]:
    """Why sessions have no label, the most frequent reasons first, and how to ask for them again."""
    reasons = most_frequent_reasons(run.sessions.filter(pl.col("status") == "unresolved")["error"])
    if not reasons:
        return []
    lines = [f"  {count:,} x {reason}" for reason, count in reasons[:SHOWN_REASONS]]
    if len(reasons) > SHOWN_REASONS:
        lines.append(f"  ... and {len(reasons) - SHOWN_REASONS:,} other reasons")
    again = f"  `autoanalyze resume {as_typed(run.path)} --unresolved` asks for them again"
    return [Text("\n".join(("\nunresolved sessions:", *lines, again)))]


def fields_table(run: Run) -> Table:
    """A row per label field: labels against what is known to be right."""
    title = "\nlabels as first given > after merging (planted); 95 % intervals"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    for heading in ("field", "labels", "consistency", "precision", "macro"):
        table.add_column(heading, justify="left" if heading == "field" else "right", no_wrap=True)
    for field, counts in run.record["labels"].items():
        metrics = run.record["metrics"].get(field)
        labels = f"{counts['first_given']} > {counts['final']}"
        if metrics is None:
            table.add_row(field, labels, "not scored", "not scored", "")
        else:
            planted = f"{labels} ({metrics['concept_count']['value']:.0f})"
            scores = (shown(Estimate(**metrics["consistency"])), shown(Estimate(**metrics["precision"])))
            macro = metrics["precision_macro"]["value"]  # null where no concept has two sessions
            table.add_row(field, planted, *scores, "-" if macro is None else f"{macro:.3f}")
    return table


def totals_table(run: Run) -> Table:
    """What the run took."""
    record = run.record
    where = "simulated" if record["endpoint"].startswith("simulated") else record["endpoint"]
    table = pairs_table(f"\n{record['model']} ({where})")
    sessions, tokens = record["sessions"], record["tokens"]
    table.add_row("sessions labelled / unresolved", f"{sessions['labelled']:,} / {sessions['unresolved']:,}")
    if sessions["shortened"]:
        table.add_row("sessions shortened to fit", f"{sessions['shortened']:,}")
    table.add_row("model time", duration(record["model_seconds"]))
    if record["baseline"] is not None:
        baseline = record["baseline"]["model_seconds"]
        table.add_row("sequential baseline", duration(baseline))
        saved = 1 - record["model_seconds"] / baseline
        table.add_row("speedup over it (time saved)", f"{record['speedup']:.2f}x ({saved:.0%})")
    if record["efficiency"] is not None:
        table.add_row("efficiency", f"{record['efficiency']:.0%}")
    for kind, fields in agreements(record).items():
        for name, estimate in fields.items():
            table.add_row(f"agreement of {kind}: {name}", shown(Estimate(**estimate)))
    if record["probes"] is not None:
        probes = record["probes"]
        answered = f"{probes['answered']:,} of {probes['asked']:,}"
        table.add_row("probes answered, their cost", f"{answered}, {probes['cost_usd']:.4f} USD")
    table.add_row("calls", f"{record['calls']:,}")
    prompt = f"{tokens['prompt']:,} (cached {tokens['cached']:,})"
    table.add_row("tokens: prompt / completion", f"{prompt} / {tokens['completion']:,}")
    table.add_row("cost", f"{record['cost_usd']:.4f} USD")
    if record["config"]["model"].get("source"):
        table.add_row("prices of", record["config"]["model"]["source"].partition(",")[0])
    paid = record["paid"]
    if paid["calls"] != record["calls"] or paid["uncertain_usd"]:
        maybe = f" (and perhaps {paid['uncertain_usd']:.4f})" if paid["uncertain_usd"] else ""
        table.add_row("really paid by this run", f"{paid['cost_usd']:.4f} USD{maybe}")
    if record["failed_calls"]:
        table.add_row("calls that failed and were tried again", f"{record['failed_calls']:,}")
    for warning in [*record.get("notices", []), *(record["resolution"] or {}).get("errors", [])]:
        table.add_row(Text(f"warning: {warning}", style="bold red"), "")
    degradations = (record["parallel"] or {}).get("degradations", [])
    for d in degradations:
        table.add_row(f"after round {d['round']}", f"streams {d['streams_before']} > {d['streams_after']}")
    return table


def detection_table(run: Run) -> Table:
    """What duplicate detection made of a planted label set."""
    figures = run.record["detection"]
    table = pairs_table(
        f"\n{figures['labels']:,} planted labels, judged by {run.record['model']} (simulated)"
    )
    table.add_row("precision of merged pairs", f"{figures['precision']:.4f}")
    table.add_row("recall of duplicate pairs", f"{figures['recall']:.4f}")
    table.add_row("hard negatives merged", f"{figures['hard_merged']:.4f}")
    if figures["candidate_recall"] is not None:
        table.add_row("duplicates that embeddings proposed", f"{figures['candidate_recall']:.4f}")
    table.add_row("pairs judged (of all)", f"{figures['pairs_judged']:,} ({figures['judged_share']:.2%})")
    table.add_row("calls", f"{figures['calls']:,}")
    table.add_row("model time", duration(figures["model_seconds"]))
    table.add_row("cost", f"{figures['cost_usd']:.4f} USD")
    table.add_row("run folder", str(as_typed(run.path)))
    return table


def replay_table(runs: Sequence[Replayed]) -> Table:
    """Archived runs beside their replays."""
    table = Table(title="\narchived > replayed", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for heading in ("run", "calls", "model time", "consistency", "precision", "result"):
        table.add_column(heading, justify="left" if heading in ("run", "result") else "right")
    for run in runs:
        before, after = run.archived.record, run.record
        field = next(iter(before["metrics"]), None)
        scores = [
            "-"
            if field is None
            else " > ".join(f"{r['metrics'][field][m]['value']:.4f}" for r in (before, after))
            for m in ("consistency", "precision")
        ]
        seconds = " > ".join(f"{record['model_seconds']:.1f} s" for record in (before, after))
        calls = " > ".join(f"{record['calls']:,}" for record in (before, after))
        result = f"differs: {', '.join(run.differing)}" if run.differing else "the same"
        table.add_row(run.name, calls, seconds, *scores, result)
    return table


def agreements(record: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What a run says of agreement without truth: estimates per field, of probes and of repetitions."""
    found = dict(record["agreement"])
    if "repeats" in found:
        found["repeats"] = found["repeats"]["fields"]
    return found


def pairs_table(title: str) -> Table:
    """An empty table of names and values."""
    table = Table(title=title, title_justify="left", box=None, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    return table


def ledger_tables(run: Run, *, everything: bool) -> Group:
    """The merges of a run by number, a table per field; with `everything`, also pairs kept apart."""
    merges = run.merge_table(everything=everything).frame
    tables = []
    for (field,), rows in merges.group_by("field", maintain_order=True):
        table = Table(title=f"\n{field}", title_justify="left", box=None, padding=(0, 2, 0, 0))
        for heading in ("merge", "sessions", "alike"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("label > canonical label")
        table.add_column("decided by")
        for row in rows.iter_rows(named=True):
            sign = ">" if row["merged"] else "?" if row["verdict"] == "undecided" else "|"
            table.add_row(
                str(row["merge"]),
                f"{row['sessions']:,}",
                "" if row["similarity"] is None else f"{row['similarity']:.2f}",
                Text(f"{row['alias']} {sign} {row['canonical']}"),
                Text(f"{row['decided by']}: {row['why']}"),
            )
        tables.append(table)
    return Group(*tables, "\n> merged, | kept apart, ? undecided" if everything else "")


def plan_table(plan: Plan) -> Table:
    """What a run would take."""
    table = Table(
        title=f"{plan.model}: {plan.sessions:,} sessions (nothing was sent)", title_justify="left", box=None
    )
    table.show_header = False
    table.add_column()
    table.add_column(justify="right")
    parts = f"{plan.discovery_calls:,} + {plan.parallel_calls:,} + {plan.judge_calls:,}"
    table.add_row("calls: discovery + parallel + judge", f"{parts} = {plan.calls:,}")
    table.add_row("tokens: prompt / completion", f"{plan.prompt_tokens:,} / {plan.completion_tokens:,}")
    table.add_row("cost, nothing cached", f"{plan.cost_usd:.4f} USD")
    table.add_row("upper bound", f"{plan.cost_upper_usd:.4f} USD")
    table.add_row("time", f"about {duration(plan.seconds)}")
    if plan.limit_seconds is not None:
        table.add_row("of which the rate limits alone need", duration(plan.limit_seconds))
    notes = {"prices and limits": plan.source, "latency": plan.latency, "warning": plan.warning}
    table.caption = "\n".join(f"{name}: {text}" for name, text in notes.items() if text)
    table.caption_justify = "left"
    return table


def status_table(progress: Mapping[str, Any], status: str) -> Table:
    """How far a run is."""
    table = pairs_table(f"{status}: {progress.get('phase', 'not begun')}")
    if "sessions_total" in progress:
        done, total = progress["sessions_processed"], progress["sessions_total"]
        table.add_row("sessions", f"{done:,} of {total:,} (found {progress['sessions_found']:,})")
        table.add_row("step of the phase", f"{progress['step']:,} of {progress['steps']:,}")
        table.add_row("rounds, streams", f"{progress['rounds']:,}, {progress['streams_active']}")
        table.add_row("tokens, cost", f"{progress['tokens']:,}, {progress['cost_usd']:.4f} USD")
        table.add_row("time on the run's clock", duration(progress["seconds"]))
        if progress["eta_seconds"] is not None and status == "running":
            table.add_row("left", f"about {duration(progress['eta_seconds'])}")
        for stream, number in sorted(progress["streams"].items(), key=lambda item: int(item[0])):
            name = "discovery" if int(stream) == 0 else f"stream {stream}"
            table.add_row(name, f"{number:,} sessions")
    if progress.get("error"):
        table.add_row("error", str(progress["error"]))
    return table


def duration(seconds: float) -> str:
    """Seconds, and minutes beside them once there are some."""
    return f"{seconds:,.1f} s" + (f" ({seconds / 60:.1f} min)" if seconds >= 120 else "")
