"""The command line. `autoanalyze` alone runs the default analysis.

Exit codes: 0 done, 1 failed, 2 bad input or configuration, 3 stopped but resumable.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import hydra
import typer
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from autoanalyze.errors import AutoAnalyzeError, ConfigurationError, InputError, RunFolderError

__all__ = ["main"]

app = typer.Typer(
    help="Label conversations with an LLM, in parallel and consistently. Without a command: run.",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
HYDRA_FLAGS = ("-m", "--multirun", "--cfg", "-c")


@app.command(
    "run",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def run(context: typer.Context) -> None:
    """Run an analysis: `autoanalyze run [key=value ...] [-m]`; `autoanalyze run --help` is Hydra's."""
    from autoanalyze.composition import configuration_folder, explained, from_hydra

    codes: list[int] = []

    def job(composed: DictConfig) -> None:
        try:
            analyse(composed)
        except AutoAnalyzeError as error:  # one point of a sweep; the others go on
            codes.append(report(error))

    def analyse(composed: DictConfig) -> None:
        from autoanalyze.build import build_analysis
        from autoanalyze.terminal import ProgressBars, summary

        console = Console()
        folder = Path(HydraConfig.get().runtime.output_dir)
        with ProgressBars.shown(console) as bars:
            finished = build_analysis(from_hydra(composed), listener=bars).run_sync(folder)
        console.print(summary(finished), soft_wrap=True)

    # Hydra then raises its errors instead of printing tracebacks, so that each becomes one line here.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv = ["autoanalyze run", *context.args]
    folder = str(configuration_folder())
    try:
        hydra.main(config_path=folder, config_name="config", version_base="1.3")(job)()
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigurationError(explained(error)) from None
    except OSError as error:
        raise RunFolderError(
            f"the run folder cannot be written ({error}): choose another with hydra.run.dir=..."
        ) from None
    raise typer.Exit(max(codes, default=0))


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

    from autoanalyze.build import import_sessions

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
