"""`python -m autoanalyze` is the `autoanalyze` command."""

from autoanalyze.cli import main

main()
