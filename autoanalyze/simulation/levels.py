"""Concepts have levels: a broader one above each, narrower ones below; names can be on any of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache

from autoanalyze.data.synthetic import CONTEXTS, content
from autoanalyze.serving.chance import draws
from autoanalyze.simulation.paraphrase import paraphrases

KINDS = ("Follow-Up", "First Contact", "Special Case")
"""What narrower concepts add to their concept; an assumption, as real ones differ from matter to matter."""

OTHER, AND, FOR = "Other", " And ", " For "
"""The easy exit; how two matters stand in one name; what comes before details of one session."""


@cache
def themes(field: str) -> Mapping[str, str]:
    """The broader concept of each concept of the synthetic sessions, in lower case."""
    grouped = content("themes").get(field, {})
    return {concept.lower(): theme for theme, concepts in grouped.items() for concept in concepts}


@cache
def broader(concept: str, field: str) -> str | None:
    """The concept above: of a concept with a context the plain one, of a synthetic one its theme.

    Of any other its last word, as "report" of "bank_fraud_report"; null for one that has no other words.
    """
    for kind in KINDS:
        if concept.endswith(f" {kind}"):
            return concept.removesuffix(f" {kind}")
    words = [word for word in re.split(r"[\s_]+", concept.strip()) if word]
    if words[0].lower() in CONTEXTS and " ".join(words[1:]).lower() in themes(field):
        return " ".join(words[1:])
    theme = themes(field).get(" ".join(words).lower())
    return theme or (words[-1].capitalize() if len(words) > 1 else None)


def narrower(concept: str, field: str, text: str) -> str:
    """The concept below that a session belongs to: always the same."""
    return f"{plain(concept)} {KINDS[int(draws('kind', field, text).integers(len(KINDS)))]}"


def plain(concept: str) -> str:
    """A concept as it is mostly called."""
    return paraphrases(concept, "", 1)[0]


def other_levels(concepts: Sequence[str], field: str) -> dict[str, str]:
    """The concept above or below that each name means, in lower case."""
    found: dict[str, str] = {}
    for concept in concepts:
        below = [f"{plain(concept)} {kind}" for kind in KINDS]
        for level in (*below, broader(concept, field)):
            if level is not None:
                found |= {name.lower(): level for name in paraphrases(level, field)}
    return found


def related(first: str, second: str, field: str) -> bool:
    """Whether one of two concepts lies above the other, or both right below the same one, or one of them is
    part of a name of two matters."""
    one, other = plain(first), plain(second)
    above, beyond = (found and plain(found) for found in (broader(first, field), broader(second, field)))
    siblings = above == beyond and one.endswith(KINDS) and other.endswith(KINDS)
    return other == above or one == beyond or siblings or bool(parts(one) & parts(other))


def parts(concept: str) -> frozenset[str]:
    """The matters that a concept is made of."""
    return frozenset(concept.split(AND))


def both(first: str, second: str) -> str:
    """The concept of two matters at once, whichever comes first."""
    return AND.join(sorted((plain(first), plain(second))))
