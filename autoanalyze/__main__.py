"""`python -m autoanalyze` is the `autoanalyze` command."""

from __future__ import annotations

import sys

INTERRUPTED = 130
"""What a shell says of a command that a person interrupted."""


def main() -> None:
    """Run the command; an interrupt ends it with one line, also while it is still being imported."""
    try:
        from autoanalyze.cli.commands import main as command

        command()
    except KeyboardInterrupt:
        interrupted()
    except SystemExit as ended:
        if ended.code == INTERRUPTED:  # Typer ends so, and says nothing
            interrupted()
        raise


def interrupted() -> None:
    """Say so in one line, and end."""
    sys.stderr.write("autoanalyze: interrupted\n")
    sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
