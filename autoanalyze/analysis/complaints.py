"""What Hydra complains of, in our words: which key, what is wrong with it, and what to type instead."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from autoanalyze.analysis.catalogue import unknown_model
from autoanalyze.analysis.keys import configuration_folder, known_keys
from autoanalyze.config import ENVIRONMENT

WANTED = {"Integer": "a whole number", "Float": "a number", "Boolean": "true or false"}
"""How we call the types that OmegaConf could not convert a value to."""


def explained(error: Exception) -> str:
    """Hydra's complaint in a line or two, with the remedy."""
    text = "\n".join(str(part) for part in (error, error.__cause__) if part is not None)
    override = getattr(error, "override", None) or found_in(r"Error parsing override '(.*)'", text)
    ambiguous = found_in(r"Ambiguous value for argument '(.*)'", text)
    if ambiguous:
        return several(ambiguous)
    if override:
        return unreadable(override)
    missing = found_in(r"Could not override '([^']+)'", text)
    missing = missing or found_in(r"Key '([^']+)' (?:is )?not in", text)
    if missing:
        return f"there is no setting {missing!r}{suggestion(missing, known_keys())}"
    absent = found_in(r"Could not find '([^']+)'", text)
    if absent:
        return no_such_file(absent)
    key = found_in(r"full_key: (\S+)", text) or found_in(r"Error merging override (\w+)=", text)
    return wrong_value(key, text) if key else text.splitlines()[0]


def found_in(pattern: str, text: str) -> str | None:
    """What the first group of a pattern matches in a text."""
    found = re.search(pattern, text)
    return found[1] if found else None


def several(override: str) -> str:
    """What to say of a value with a comma where one value is wanted."""
    key, _, value = override.partition("=")
    return (
        f"{override} gives several values: add -m to run each of them; write {key}=[{value}] for a list, or "
        f"{quoted(key, value)} for one text"
    )


def unreadable(override: str) -> str:
    """What to say of an argument that Hydra's grammar cannot read."""
    key, sign, value = override.partition("=")
    if not sign:
        return f"{override!r} is no setting: settings are key=value{suggestion(key, known_keys())}"
    if not value.strip("= "):
        return f"{override} has no value: write {key}=null for none"
    pairs = [pair for pair in ("[]", "{}", "()") if value.count(pair[0]) != value.count(pair[1])]
    if pairs:
        return f"{override} cannot be read: {' and '.join(pairs)} must be opened and closed equally often"
    if value[:1] in "[{":
        return (
            f"{override} cannot be read: put texts with signs in them in quotes, as in "
            "\"schema.fields=[{name: cause, description: 'why, in a word'}]\""
        )
    return f"{override} cannot be read: put a value with signs in it in quotes, {quoted(key, value)}"


def quoted(key: str, value: str) -> str:
    """A setting as a person types it in a shell so that its value is one text."""
    bare = value[1:-1] if value[:1] == value[-1:] and value[:1] in ("'", '"') else value
    return f'"{key}=\\"{bare}\\""' if "'" in bare else f"\"{key}='{bare}'\""


def no_such_file(wanted: str) -> str:
    """What to say of a choice that a group of settings does not have."""
    group, _, option = wanted.partition("/")
    options = sorted(path.stem for path in (configuration_folder() / group).glob("*.yaml"))
    if group == "model" and option:
        return unknown_model(option, options)
    close = difflib.get_close_matches(option, options, n=2, cutoff=0.6)
    meant = f"; did you mean {' or '.join(f'{group}={name}' for name in close)}?" if close else ";"
    return f"there is no {wanted!r}{meant} {group} has: {', '.join(options)}"


def wrong_value(key: str, text: str) -> str:
    """What to say of a value that is missing, or of another type than its key wants."""
    if "mandatory" in text:
        return f"{key} is not set: give {key}=..."
    inner = [name for name in known_keys() if name.startswith(f"{key}.")]
    if inner:
        return f"{key} is a group of settings: give one of {', '.join(inner[:4])}, ..."
    variable = f" (environment: {ENVIRONMENT[key]})" if key in ENVIRONMENT else ""
    value = re.search(r"Value '(.*)' of type '\w+' could not be converted to (\w+)", text)
    if value:
        return f"{key}={value[1]}{variable}: must be {WANTED.get(value[2], value[2])}"
    value = re.search(r"Value '(.*)' is not a valid bool", text)
    if value:
        return f"{key}={value[1]}{variable}: must be true or false"
    reason = re.search(r"Value '.*", text)
    return f"{key}{variable}: {reason[0] if reason else text.splitlines()[0]}"


def suggestion(key: str, known: Sequence[str]) -> str:
    """The nearest known keys as the end of a sentence."""
    close = difflib.get_close_matches(key, known, n=3, cutoff=0.6)
    if not close:
        leaf = key.rpartition(".")[2]
        close = [
            name
            for name in known
            if difflib.SequenceMatcher(None, name.rpartition(".")[2], leaf).ratio() > 0.7
        ]
    if close:
        return f"; did you mean {' or '.join(close[:3])}?"
    return "; `autoanalyze run --help` lists all settings"
