"""Words of customer service and which of them belong together: see thesaurus.yaml."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from autoanalyze.simulation.paraphrase import SYNONYMS

__all__ = ["matter_of", "thesaurus"]


@cache
def thesaurus() -> dict[str, Any]:
    """The content of thesaurus.yaml, read once."""
    path = Path(__file__).resolve().with_name("thesaurus.yaml")
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


@cache
def matter_of() -> dict[str, str]:
    """The matter that each known word belongs to. Says nothing of whether two words mean the same.

    A matter that has a word of an earlier one counts as the same: "travel document" brings passports near
    to flights.
    """
    matters = [[term for meaning in matter for term in meaning] for matter in groups()]
    # What the synthetic sessions' paraphrases put for each other belongs together too.
    matters += [[word, stand_in] for word, stand_in in SYNONYMS.items()]
    found: dict[str, str] = {}
    for terms in matters:
        words = [word for term in terms for word in re.findall(r"[a-z]+", term.lower())]
        name = next((found[word] for word in words if word in found), words[0])
        for word in words:
            found.setdefault(word, name)
    return found


def groups() -> list[list[list[str]]]:
    """All matters of the thesaurus as lists of meanings, each a list of words."""
    content = thesaurus()
    return [*content["objects"], *content["matters"], *content["contraries"].values()]
