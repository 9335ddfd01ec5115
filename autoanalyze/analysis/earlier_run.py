"""What a run carries on from an earlier one: its names, and what its ledger settled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from autoanalyze.config import Config
from autoanalyze.errors import ConfigurationError, RunFolderError
from autoanalyze.phases.duplicates.ledger import Carried, LedgerEntry
from autoanalyze.study.runs import Run, load_run


def carried_over(config: Config) -> Carried:
    """The fixed labels of a configuration, and what `vocabulary.from` brings along.

    Raises ConfigurationError for a field that there is not, and for a run that is none, has not
    finished, or belongs to another bot.
    """
    names = config.schema.records().names
    foreign = sorted(set(config.vocabulary.fixed) - set(names))
    if foreign:
        raise ConfigurationError(
            f"vocabulary.fixed.{foreign[0]}: there is no such label field; there are {', '.join(names)}"
        )
    fixed = {name: tuple(dict.fromkeys(labels)) for name, labels in config.vocabulary.fixed.items()}
    if config.vocabulary.from_run is None:
        return Carried(fixed)
    run = earlier_run(config.vocabulary.from_run, config.data.bot_id)
    rows = [row for row in run.merges.iter_rows(named=True) if row["field"] in names]
    merged = {(row["field"], row["alias"]): row["canonical"] for row in rows if row["merged"]}
    ledger = tuple(entry(row, merged) for row in rows)
    labels = {
        name: tuple(
            row["label"]
            for row in run.labels.iter_rows(named=True)
            if row["field"] == name
            and (name, row["label"]) not in merged
            and row["label"] not in fixed.get(name, ())
        )
        for name in names
    }
    return Carried(fixed, labels, ledger)


def earlier_run(folder: str, bot_id: str) -> Run:
    """The run to carry on from. Raises ConfigurationError."""
    try:
        run = load_run(Path(folder))
    except RunFolderError as error:
        raise ConfigurationError(f"vocabulary.from={folder}: {error}") from None
    if run.record["bot"] != bot_id:
        raise ConfigurationError(
            f"vocabulary.from={folder}: that run is of the bot {run.record['bot']!r}, this one of "
            f"{bot_id!r}; bots never share a vocabulary"
        )
    return run


def entry(row: dict[str, Any], merged: Mapping[tuple[str, str], str]) -> LedgerEntry:
    """A row of merges.parquet as the ledger has it: chains that a reviewer made are followed to their end,
    and what a reviewer undid is different."""
    values = {column.name: row[column.name] for column in fields(LedgerEntry)}
    while row["merged"] and (row["field"], values["canonical"]) in merged:
        values["canonical"] = merged[row["field"], values["canonical"]]
    if row["review"] == "undone":
        values |= {"verdict": "different", "reason": "undone by a reviewer"}
    return LedgerEntry(**values)
