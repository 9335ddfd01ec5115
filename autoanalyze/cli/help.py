"""`run --help`: every setting with a line, from the comments in `configs`, in 80 columns."""

from __future__ import annotations

import textwrap

from autoanalyze.analysis.keys import Described, Group, described_keys

WIDTH = 80
MARGIN = 30
"""Columns before what a setting means."""

HEAD = """\
autoanalyze run [KEY=VALUE ...] [-m] [--yes]

Label conversations in three phases, and say what came out. Each setting is
KEY=VALUE; groups of settings are files that are chosen by name.

  autoanalyze run data.count=200                     try it: simulated, offline
  autoanalyze run data=store data.path=mine.duckdb   sessions of your own
  autoanalyze run -m parallel.streams=4,8 seed=1,2   a sweep: every combination
  autoanalyze run preset=design                      a named set of settings
  autoanalyze run experiment=sync quick=true         one of the lab book
  autoanalyze run endpoint=openai model=gpt-4.1      a real model, which costs
  autoanalyze run 'context="what a model should know of us"'

  -m, --multirun   run every combination of the values given with commas
  --yes            spend more than confirm_above_usd without being asked
  --cfg job        print all settings as they would be, and run nothing
  --hydra-help     the options of Hydra, which reads the settings

What each setting means at length: configs/README.md.
"""


def page() -> str:
    """The help of `run`."""
    return "\n".join([HEAD, *(part for group in described_keys() for part in told(group))]).rstrip()


def told(group: Group) -> list[str]:
    """A group with its files and its settings."""
    lines = [f"{group.name.upper() or 'THE RUN AS A WHOLE'}"]
    if group.name and group.says:
        lines.append(textwrap.fill(first_sentence(group.says), WIDTH))
    if group.options:
        names = ", ".join(name for name, _ in group.options)
        lines.append(filled(f"  {group.name}=", names))
    return [*lines, *map(setting, group.keys), ""]


def setting(described: Described) -> str:
    """A setting with its default and the first sentence on it."""
    return filled(f"  {described.key}", f"{first_sentence(described.says)} [{described.default}]")


def filled(key: str, text: str) -> str:
    """A key with what it means in lines beside it, or below where the key is long."""
    lines = textwrap.wrap(text, WIDTH - MARGIN, break_on_hyphens=False) or [""]
    first = [f"{key:<{MARGIN}}{lines[0]}"] if len(key) < MARGIN else [key, " " * MARGIN + lines[0]]
    return "\n".join([*first, *(" " * MARGIN + line for line in lines[1:])])


def first_sentence(text: str) -> str:
    """The beginning of a text, up to where its first sentence ends."""
    end = text.find(". ")
    return (text if end < 0 else text[:end]).rstrip(".")
