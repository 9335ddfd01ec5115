"""Import files of sessions into a store, with their tokens counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from autoanalyze.data.importers import ImportReport, import_file
from autoanalyze.data.store import Store
from autoanalyze.llm.tokens import count_with, load_counter

__all__ = ["import_sessions"]


def import_sessions(
    path: Path,
    into: Path,
    *,
    bot_id: str,
    mapping: dict[str, str],
    strict: bool,
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Import a file of sessions into a store, counting tokens with o200k_base if that can be had."""
    counter = load_counter("o200k_base", "tiktoken")
    with Store.open(into) as store:
        return import_file(
            path,
            store,
            bot_id=bot_id,
            mapping=mapping,
            strict=strict,
            count_tokens=count_with(counter),
            token_encoding=counter.name,
            progress=progress,
        )
