"""The command line. `autoanalyze` alone runs the default analysis.

Exit codes: 0 done, 1 failed, 2 bad input or configuration, 3 stopped but resumable.
"""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from autoanalyze.cli import importing, labels, reading, reporting, trying
from autoanalyze.errors import AutoAnalyzeError, RunFolderError

# A page of help needs neither Hydra nor Polars: each command imports what it needs.

app = typer.Typer(
    help="Label conversations with an LLM, in parallel and consistently. Without a command: run.",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
FOLLOW_SECONDS = 0.5
FREE: dict[str, Any] = {"allow_extra_args": True, "ignore_unknown_options": True}
"""Of commands that take settings as key=value."""
HYDRA_FLAGS = ("--yes", "-m", "--multirun", "--cfg", "-c")


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Say which version this is.")] = False,
) -> None:
    """What stands before a command."""
    if version:
        from importlib.metadata import version as installed

        print(f"autoanalyze {installed('autoanalyze')}")
        raise typer.Exit


@app.command(
    "run",
    context_settings={**FREE, "help_option_names": []},
)
def run(context: typer.Context) -> None:
    """Run an analysis or a sweep: `run [key=value ...] [-m]`; `run --help` lists all settings."""
    if {"--help", "-h"} & {*context.args}:
        from autoanalyze.cli.help import page

        print(page())
        return
    from autoanalyze.cli.run import through_hydra

    through_hydra(context.args)


@app.command("plan", context_settings=FREE)
def plan_command(context: typer.Context) -> None:
    """Say what a run would take (calls, tokens, cost, time), without contacting anything."""
    from rich.console import Console

    from autoanalyze.analysis.build import build_plan
    from autoanalyze.analysis.configuration import compose
    from autoanalyze.analysis.given import check_used
    from autoanalyze.cli.tables import plan_table

    config, errors = compose(context.args), Console(stderr=True)
    check_used(context.args, [config], planned=True)
    with errors.status("Preparing sessions") if errors.is_terminal else nullcontext():
        plan = build_plan(config)
    Console().print(plan_table(plan))


@app.command("status")
def status_command(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    follow: Annotated[bool, typer.Option(help="Keep showing it until the run ends.")] = False,
) -> None:
    """Show how far a run is, from any process."""
    from rich.console import Console
    from rich.live import Live

    from autoanalyze.analysis.folder import RunFolder
    from autoanalyze.cli.tables import status_table

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
    from rich.console import Console

    from autoanalyze.analysis.folder import RunFolder

    folder = RunFolder(run_folder)
    status = folder.status()
    if status not in ("created", "running"):
        raise RunFolderError(f"the run in {run_folder} is not going on: it is {status}")
    folder.request_cancel()
    Console().print(f"asked the run in {run_folder} to stop; see `autoanalyze status {run_folder}`")


@app.command("resume", context_settings=FREE)
def resume_command(
    context: typer.Context,
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    unresolved: Annotated[
        bool,
        typer.Option(
            "--unresolved", help="Ask once more for sessions without a label, also of a run that is done."
        ),
    ] = False,
) -> None:
    """Go on with a run that stopped: `autoanalyze resume RUN [budget_usd=...] [limits.*=...]`.

    No answer in its journal is asked for again.
    """
    from dataclasses import replace

    from autoanalyze.analysis.configuration import restored
    from autoanalyze.analysis.folder import RunFolder
    from autoanalyze.cli.run import work

    record = RunFolder(run_folder).read_json("run.json")
    if "config" not in record:
        raise RunFolderError(f"the run in {run_folder} failed before it began; start it again instead")
    config = restored(record["config"], context.args)
    if unresolved:
        config = replace(config, retry=replace(config.retry, unresolved=config.retry.unresolved + 1))
    work(config, run_folder, resume=True)


@app.command("serve", context_settings=FREE)
def serve(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
) -> None:
    """Offer the simulated endpoint to any OpenAI client, in real time: `autoanalyze serve [key=value ...]`.

    It knows the sessions that the same settings would analyse (data=..., model=..., noise=...).
    """
    import uvicorn
    from rich.console import Console

    from autoanalyze.analysis.build import build_endpoint
    from autoanalyze.analysis.configuration import compose
    from autoanalyze.analysis.given import check_used

    config = compose(context.args)
    check_used(context.args, [config])
    endpoint = build_endpoint(config)
    Console().print(
        f"Simulated {config.model.name} on http://{host}:{port}/v1; any API key will do. Ctrl-C ends it."
    )
    uvicorn.run(endpoint.app, host=host, port=port, log_level="warning")


@app.command("frontier", context_settings=FREE)
def frontier_command(
    context: typer.Context,
    target: Annotated[float, typer.Option(help="What consistency and precision must hold, 0 to 1.")] = 0.95,
    confidence: Annotated[float, typer.Option(help="How surely, 0.5 to 1.")] = 0.95,
) -> None:
    """Find the cheapest and the fastest settings that stay consistent: `frontier [key=value ...]`.

    Races the settings of configs/experiment/frontier.yaml, or those given as lists
    (parallel.streams=4,8,16): settings that cannot win are given no more seeds.
    """
    from autoanalyze.cli.run import through_hydra

    race = ["experiment=frontier", f"hydra.sweeper.target={target}", f"hydra.sweeper.confidence={confidence}"]
    through_hydra([*race, *context.args])


@app.command("replay")
def replay_command(
    experiment: Annotated[
        Path, typer.Argument(metavar="EXPERIMENT", help="A folder of the lab book, or of one finished run.")
    ],
) -> None:
    """Carry out archived runs again from their journals, offline, and compare the numbers."""
    from rich.console import Console

    from autoanalyze.cli.tables import replay_table
    from autoanalyze.laboratory.replay import replay

    runs = list(replay(experiment))
    Console().print(replay_table(runs))
    if any(run.differing for run in runs):
        raise typer.Exit(1)


reading.register(app)
labels.register(app)
importing.register(app)
trying.register(app)
reporting.register(app)


def report(error: AutoAnalyzeError) -> int:
    """Say what went wrong in one message on stderr; the exit code that belongs to it."""
    from rich.console import Console

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
