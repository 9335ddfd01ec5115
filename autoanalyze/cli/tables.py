"""Tables of the terminal: a plan, how far a run is, its merges, duplicate detection and replays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from autoanalyze.analysis.folder import as_typed
from autoanalyze.analysis.planning import Plan
from autoanalyze.laboratory.replay import Replayed
from autoanalyze.study.runs import Run


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
        title=f"{plan.model}{f', judged by {plan.judge}' if plan.judge else ''}: {plan.sessions:,} sessions "
        "(nothing was sent)",
        title_justify="left",
        box=None,
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
        table.add_row("labels found", f"{progress.get('labels', 0):,}")
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
