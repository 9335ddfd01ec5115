"""The command line. `autoanalyze` alone runs the default analysis.

Exit codes: 0 done, 1 failed, 2 bad input or configuration, 3 stopped but resumable.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from autoanalyze import laboratory_commands, reading_commands
from autoanalyze.errors import AutoAnalyzeError, InputError, JournalError, RunFolderError
from autoanalyze.hydra_runs import through_hydra, work
from autoanalyze.run_folder import RunFolder

__all__ = ["main"]

app = typer.Typer(
    help="Label conversations with an LLM, in parallel and consistently. Without a command: run.",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
FOLLOW_SECONDS = 0.5
HYDRA_FLAGS = ("--yes", "-m", "--multirun", "--cfg", "-c")


@app.command(
    "run",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def run(context: typer.Context) -> None:
    """Run an analysis or a sweep: `run [key=value ...] [-m]`; `run --help` is Hydra's."""
    through_hydra(context.args)


@app.command("plan", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def plan_command(context: typer.Context) -> None:
    """Say what a run would take (calls, tokens, cost, time), without contacting anything."""
    from autoanalyze.build import build_plan
    from autoanalyze.composition import compose
    from autoanalyze.terminal import plan_table

    Console().print(plan_table(build_plan(compose(context.args))))


@app.command("status")
def status_command(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    follow: Annotated[bool, typer.Option(help="Keep showing it until the run ends.")] = False,
) -> None:
    """Show how far a run is, from any process."""
    from autoanalyze.terminal import status_table

    folder, console = RunFolder(run_folder), Console()
    with Live(console=console, auto_refresh=False) as live:
        while True:
            status = folder.status()
            live.update(status_table(folder.read_json("progress.json"), status), refresh=True)
            if not follow or status not in ("created", "running"):
                break
            time.sleep(FOLLOW_SECONDS)


@app.command("cancel")
def cancel_command(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
) -> None:
    """Ask a run to stop, from any process. What it has is kept; `resume` goes on."""
    folder = RunFolder(run_folder)
    status = folder.status()
    if status not in ("created", "running"):
        raise RunFolderError(f"the run in {run_folder} is not going on: it is {status}")
    folder.request_cancel()
    Console().print(f"asked the run in {run_folder} to stop; see `autoanalyze status {run_folder}`")


@app.command("resume", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def resume_command(
    context: typer.Context,
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
) -> None:
    """Go on with a run that stopped: `autoanalyze resume RUN [budget_usd=...] [limits.*=...]`.

    No answer in its journal is asked for again.
    """
    from autoanalyze.composition import restored

    record = RunFolder(run_folder).read_json("run.json")
    if "config" not in record:
        raise RunFolderError(f"the run in {run_folder} failed before it began; start it again instead")
    work(restored(record["config"], context.args), run_folder, resume=True)


@app.command("merges")
def merges_command(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    undo: Annotated[
        list[int] | None, typer.Option("--undo", help="Take back the merge of this number. Repeatable.")
    ] = None,
    accept: Annotated[
        Path | None, typer.Option("--accept", help="Carry out a reviewed CSV: its column merged decides.")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Write the whole ledger as a CSV to be reviewed.")
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Also list the pairs that were looked at and kept apart.")
    ] = False,
) -> None:
    """List which labels became one, and why; undo merges, or carry out a reviewed list.

    Final labels are written anew from the labels first given and from the ledger, without any call.
    """
    from autoanalyze import review
    from autoanalyze.reviewed_lists import write_review
    from autoanalyze.study.runs import load_run
    from autoanalyze.terminal import ledger_tables

    console, run = Console(), load_run(run_folder)
    before = len(run.merges.filter("merged"))
    if undo:
        run = review.undo(run_folder, undo)
    if accept is not None:
        run = review.accept(run_folder, accept)
    if csv is not None:
        console.print(f"{write_review(run, csv):,} entries written to {csv}; set merged, then --accept it")
    elif undo or accept is not None:
        now = len(run.merges.filter("merged"))
        console.print(f"{before:,} merges before, {now:,} now; final labels and scores were written anew")
    else:
        console.print(ledger_tables(run, everything=all_))


@app.command("calibrate")
def calibrate_command(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
) -> None:
    """Fit the simulated model's drift, omission and latency to a live run.

    Prints a noise configuration: `autoanalyze calibrate RUN > configs/noise/mine.yaml`, then noise=mine.
    """
    from autoanalyze.simulation.calibration import calibrate
    from autoanalyze.study.runs import load_run

    print(calibrate(load_run(run_folder)).as_yaml(), end="")


@app.command("verify")
def verify_command(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
) -> None:
    """Hash a run's journal again, and compare its sums with the run's record."""
    from autoanalyze.llm.audit import verify

    folder = RunFolder(run_folder)
    record, audit = folder.read_json("run.json"), verify(folder.journal)
    paid = record.get("paid")
    if paid and abs(paid["cost_usd"] - audit.spent_usd) > 1e-5:
        raise JournalError(
            f"run.json says {paid['cost_usd']} USD were paid, the journal {audit.spent_usd:.6f}"
        )
    torn = "; its last line was torn by a crash" if audit.torn else ""
    Console().print(
        f"{folder.journal}: {audit.lines:,} lines as they were written{torn}. {audit.sent:,} calls sent, "
        f"{audit.answered:,} answered, {audit.failed:,} failed, {audit.unanswered:,} without an outcome; "
        f"{audit.spent_usd:.6f} USD spent, {audit.uncertain_usd:.6f} USD uncertain"
    )


@app.command("import")
def import_command(
    file: Annotated[Path, typer.Argument(help="CSV, JSONL or Parquet file of sessions.")],
    into: Annotated[Path, typer.Option(help="DuckDB file to import into; made if it is missing.")],
    bot: Annotated[str, typer.Option(help="The bot these sessions belong to.")] = "default",
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", help="Their name for one of our fields, as column=field. Repeatable."),
    ] = None,
    strict: Annotated[bool, typer.Option(help="Import nothing if any row is bad.")] = False,
) -> None:
    """Import sessions into a store. Importing the same file again adds nothing."""
    from rich.progress import Progress

    from autoanalyze.importing import import_sessions

    mapping = {}
    for pair in map_ or []:
        column, separator, field = pair.partition("=")
        if not separator:
            raise InputError(f"--map {pair}: write it as column=field, such as --map conversation=session_id")
        mapping[column] = field
    console = Console()
    with Progress(console=console, transient=True) as bars:
        task = bars.add_task("Importing", total=None)
        report = import_sessions(
            file,
            into,
            bot_id=bot,
            mapping=mapping,
            strict=strict,
            progress=lambda done, total: bars.update(task, completed=done, total=total),
        )
    console.print(
        f"{file.name}: {report.added:,} sessions added ({report.messages:,} messages, "
        f"{report.with_truth:,} with known labels, {report.without_messages:,} without messages), "
        f"{report.already_there:,} already there, {len(report.rejected):,} rows rejected"
    )
    for row in report.rejected[:20]:
        console.print(f"  {row.file}:{row.line}: {row.reason}", markup=False, highlight=False)
    if len(report.rejected) > 20:
        console.print(f"  ... and {len(report.rejected) - 20:,} more")


@app.command("serve", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def serve(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
) -> None:
    """Offer the simulated endpoint to any OpenAI client, in real time: `autoanalyze serve [key=value ...]`.

    It knows the sessions that the same settings would analyse (data=..., model=..., noise=...).
    """
    import uvicorn

    from autoanalyze.build import build_endpoint
    from autoanalyze.composition import compose

    config = compose(context.args)
    endpoint = build_endpoint(config)
    Console().print(
        f"Simulated {config.model.name} on http://{host}:{port}/v1; any API key will do. Ctrl-C ends it."
    )
    uvicorn.run(endpoint.app, host=host, port=port, log_level="warning")


laboratory_commands.register(app)
reading_commands.register(app)


def report(error: AutoAnalyzeError) -> int:
    """Say what went wrong in one message on stderr; the exit code that belongs to it."""
    Console(stderr=True, soft_wrap=True).print(f"autoanalyze: {error}", markup=False, highlight=False)
    return error.exit_code


def main() -> None:
    """Entry point of the `autoanalyze` command."""
    arguments = sys.argv[1:]
    if not arguments or "=" in arguments[0] or arguments[0] in HYDRA_FLAGS:
        arguments = ["run", *arguments]
    try:
        app(arguments, prog_name="autoanalyze")
    except AutoAnalyzeError as error:
        sys.exit(report(error))
