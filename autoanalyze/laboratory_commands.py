"""The commands of the laboratory: `frontier` races settings, `replay` carries out archived runs again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from autoanalyze.hydra_runs import through_hydra

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    free = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command("frontier", context_settings=free)(frontier_command)
    app.command("replay")(replay_command)


def frontier_command(
    context: typer.Context,
    target: Annotated[float, typer.Option(help="What consistency and guard must hold, 0 to 1.")] = 0.95,
    confidence: Annotated[float, typer.Option(help="How surely, 0.5 to 1.")] = 0.95,
) -> None:
    """Find the cheapest and the fastest settings that stay consistent: `frontier [key=value ...]`.

    Races the settings of configs/experiment/frontier.yaml, or those given as lists
    (parallel.streams=4,8,16): settings that cannot win are given no more seeds.
    """
    race = ["experiment=frontier", f"hydra.sweeper.target={target}", f"hydra.sweeper.confidence={confidence}"]
    through_hydra([*race, *context.args])


def replay_command(
    experiment: Annotated[
        Path, typer.Argument(metavar="EXPERIMENT", help="A folder of the lab book, or of one finished run.")
    ],
) -> None:
    """Carry out archived runs again from their journals, offline, and compare the numbers."""
    from autoanalyze.laboratory.archive import replay
    from autoanalyze.terminal import replay_table

    runs = list(replay(experiment))
    Console().print(replay_table(runs))
    if any(run.differing for run in runs):
        raise typer.Exit(1)
