"""What a run carries on from an earlier one: its names, and what its ledger settled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from autoanalyze.analysis.tables import RENAMED
from autoanalyze.config import Config
from autoanalyze.errors import ConfigurationError, RunFolderError
from autoanalyze.phases.duplicates.ledger import Carried, LedgerEntry
from autoanalyze.study.runs import Run, load_run

LABEL = ("field", "label", "canonical")


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
    final = {(field, label): name for field, label, name in run.labels.select(*LABEL).iter_rows()}
    called = {(field, name) for (field, _), name in final.items()}
    unfit = set(run.codebook.filter(place="unfit").select("field", "label").iter_rows())
    lines: dict[str, dict[str, str]] = {name: {} for name in names}
    for field, label, line in run.codebook.drop_nulls("line").select("field", "label", "line").iter_rows():
        if field in names and final.get((field, label), label) == label:
            lines[field][label] = line
    themes: dict[str, dict[str, str]] = {name: {} for name in names}
    for field, label, theme in run.codebook.drop_nulls("theme").select("field", "label", "theme").iter_rows():
        if field in names:
            themes[field][final.get((field, label), label)] = theme
    rows = [row for row in run.merges.iter_rows(named=True) if row["field"] in names]
    labels = {
        name: tuple(
            label
            for field, label in final
            if field == name
            and (field, label) in called
            and label not in fixed.get(name, ())
            and (field, label) not in unfit
        )
        for name in names
    }
    ledger = tuple(filter(None, (entry(row, final) for row in rows)))
    return Carried(fixed, labels, ledger, lines if config.vocabulary.codebook else {}, themes)


MOST_CLOSED = 1_000
"""Values that all closed lists of a reply may have together, as OpenAI takes them (structured outputs)."""


def closed_over(config: Config) -> Config:
    """The configuration with the labels that are known from the beginning as closed lists, if they are to be
    all there are. Lists that the schema gives stay as they are.

    Raises ConfigurationError where a field has no labels to close over, or all have too many.
    """
    if not config.vocabulary.closed:
        return config
    carried = carried_over(config)
    closed = [
        replace(one, labels=[*carried.fixed.get(one.name, ()), *carried.labels.get(one.name, ())])
        if not one.labels
        else one
        for one in config.schema.fields
    ]
    for one in closed:
        if not one.labels:
            raise ConfigurationError(
                f"vocabulary.closed: there are no labels of {one.name} to close over: give an earlier run "
                f"(vocabulary.from=RUN) or a list (vocabulary.fixed.{one.name}=[...])"
            )
    if (count := sum(len(one.labels) for one in closed)) > MOST_CLOSED:
        raise ConfigurationError(
            f"vocabulary.closed: {count:,} labels together, and endpoints take {MOST_CLOSED:,} at most: "
            "merge some, or leave the list open"
        )
    return replace(
        config,
        schema=replace(config.schema, fields=closed),
        vocabulary=replace(config.vocabulary, from_run=None, fixed={}),
    )


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


def entry(row: Mapping[str, Any], final: Mapping[tuple[str, str], str]) -> LedgerEntry | None:
    """A row of merges.parquet as the ledger has it, under final names; what a reviewer undid is different.

    Null where nothing is redirected: a label whose group got its name, and a name that rests because the
    label that had it was merged into another.
    """
    values = {column.name: row[column.name] for column in fields(LedgerEntry)}
    if row["merged"]:
        # An alias that an earlier run merged need not be a label of this one.
        merged_into = final.get((row["field"], row["canonical"]), row["canonical"])
        values["canonical"] = final.get((row["field"], row["alias"]), merged_into)
        if values["canonical"] == row["alias"]:
            return None
    elif row["proposed_by"] == RENAMED:
        return None
    if row["review"] == "undone":
        values |= {"verdict": "different", "reason": "undone by a reviewer"}
    return LedgerEntry(**values)
