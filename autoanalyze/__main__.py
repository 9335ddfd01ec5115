"""`python -m autoanalyze` is the `autoanalyze` command."""

from autoanalyze.cli.commands import main

main()
