"""How the page says things: shares, intervals, counts, names of fields; nothing of a machine's folders."""

from __future__ import annotations

import re
from typing import Any

from markupsafe import Markup

from autoanalyze.study.intervals import Estimate

FOLDERS = re.compile(r"(?<![\w:/.~])(?:~|[A-Za-z]:)?[/\\](?:[^\s/\\\"',:;]+[/\\])+")
"""The folders of an absolute path; an address of the web is none, since a colon stands before its slashes."""

CONTROL = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 127], "\N{REPLACEMENT CHARACTER}")
"""Characters that HTML forbids, of which a browser would drop some and mind others."""


def percent(share: float | None, digits: int = 1) -> str:
    """A share from 0 to 1 as a percentage; a dash where there is none."""
    return "–" if share is None else f"{share:.{digits}%}"  # noqa: RUF001 (it is shown, and long)


def interval(low: float | None, high: float | None) -> str:
    """The ends of an interval of a share, as percentages; empty where there is none."""
    return "" if low is None or high is None else f"{100 * low:.1f}–{high:.1%}"  # noqa: RUF001


def points(difference: float | None) -> str:
    """A difference of shares in percentage points, with its sign."""
    if difference is None:
        return "–"  # noqa: RUF001
    text = f"{100 * difference:+.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", "−")  # noqa: RUF001


def with_interval(estimate: Estimate) -> Markup:
    """A share in bold with its interval, for a sentence."""
    ends = interval(estimate.low, estimate.high)
    said = Markup("<strong>{}</strong>").format(percent(estimate.value))
    return said + Markup(' <span class="nobr">({})</span>').format(ends) if ends else said


def counted(number: int, noun: str) -> str:
    """A number of things, in words."""
    return f"{number:,} {noun if number == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """More than one of them."""
    return f"{noun[:-1]}ies" if re.search("[^aeiou]y$", noun) else f"{noun}s"


def spaced(name: str) -> str:
    """The name of a label field as words."""
    return " ".join(name.replace("_", " ").split()) or name


def heading(name: str) -> str:
    """The name of a label field as a heading."""
    words = spaced(name)
    return words[:1].upper() + words[1:]


def without_folders(text: str) -> str:
    """A text in which paths are reduced to their last name: where things lie is nobody else's affair."""
    return FOLDERS.sub("", text)


def printable(value: Any) -> Any:
    """What a template prints, without characters that HTML forbids."""
    return value.translate(CONTROL) if isinstance(value, str) else value
