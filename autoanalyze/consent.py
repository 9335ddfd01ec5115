"""Asking a person before money is spent."""

from __future__ import annotations

import sys

import typer

from autoanalyze.errors import ConfigurationError

__all__ = ["ask_before_spending"]


def ask_before_spending(most_usd: float, limit_usd: float, what: str) -> None:
    """Ask whether to go on, if `what` may cost more than the limit; a no ends the command.

    Raises ConfigurationError where nobody can be asked: a script must say --yes.
    """
    if most_usd <= limit_usd:
        return
    question = f"{what} may cost up to {most_usd:.2f} USD. Go on?"
    if not sys.stdin.isatty():
        raise ConfigurationError(
            f"{question} Give --yes, a budget_usd=..., or a higher confirm_above_usd=..."
        )
    if not typer.confirm(question):
        raise typer.Exit(0)
