"""Every setting in a line, read from the comments above the keys in `configs`: the one place that says it."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from autoanalyze.config import ENVIRONMENT, Config

KEY = re.compile(r"^(?P<indent> *)(?P<key>\w+):\s*(?P<value>.*?)\s*$")
HEAD = re.compile(r"\A(#.*\n)+\n")
"""What a file says of itself: the comment that it begins with, up to an empty line."""

SPOKEN_OF = {
    "model": "generic",
    **dict.fromkeys(("judge", "latency", "world", "preset", "experiment", "hydra")),
}
"""The file that describes a group, where that is not its default; null: it has no settings of its own."""


def configuration_folder() -> Path:
    """Where the YAML files lie: inside an installed package, or beside it in the repository."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


@dataclass(frozen=True, slots=True)
class Described:
    """A setting: its dotted key, its default as YAML spells it, and the comment above it."""

    key: str
    default: str
    says: str


@dataclass(frozen=True, slots=True)
class Group:
    """Settings that belong together, with the files that can be chosen for them by name, if any."""

    name: str
    says: str
    options: tuple[tuple[str, str], ...]
    keys: tuple[Described, ...]


def described_keys() -> list[Group]:
    """All groups of settings, those of a run as a whole first. Comments in `configs` are what they say."""
    folder = configuration_folder()
    chosen = dict(re.findall(r"^  - (?:optional )?(\w+): ([\w.-]+)", text_of(folder / "config.yaml"), re.M))
    own = list(read(folder / "config.yaml"))
    whole = tuple(setting for setting in own if "." not in setting.key)
    found = [Group("", "of a run as a whole", (), whole)]
    for group, default in chosen.items():
        if (folder / group).is_dir():
            found.append(group_of(folder / group, default))
    nested = dict.fromkeys(setting.key.partition(".")[0] for setting in own if "." in setting.key)
    for group in nested:
        keys = tuple(setting for setting in own if setting.key.startswith(f"{group}."))
        found.append(Group(group, comment_above(folder / "config.yaml", group), (), keys))
    return found


def group_of(folder: Path, default: str) -> Group:
    """A group whose files lie in a folder: what its keys mean, and what its default file sets them to."""
    group, file = folder.name, SPOKEN_OF.get(folder.name, default)
    if file is None:
        says = comment_above(folder.parent / "config.yaml", f"  - {group}")
        return Group(group, says, options(folder, ""), ())
    described = base(folder / f"{file}.yaml")
    chosen = {setting.key: setting.default for setting in read(folder / f"{default}.yaml", f"{group}.")}
    keys = read(described, f"{group}.")
    settled = tuple(replace(each, default=chosen.get(each.key, each.default)) for each in keys)
    return Group(group, head(described), options(folder, head(described)), settled)


def base(path: Path) -> Path:
    """The file of a group that says what its keys mean: the one that a file builds on, or the file itself."""
    inherited = re.search(r"^defaults:\n(?:  - _self_\n)?  - (\w+)", text_of(path), re.M)
    return base(path.parent / f"{inherited[1]}.yaml") if inherited else path


def options(folder: Path, group_says: str) -> tuple[tuple[str, str], ...]:
    """The files of a group by name, with what each says of itself alone."""
    told = {path.stem: head(path) for path in sorted(folder.glob("*.yaml"))}
    common = {group_says, *(says for says, times in Counter(told.values()).items() if times > 1)}
    return tuple((name, "" if says in common else says) for name, says in told.items())


def read(path: Path, prefix: str = "") -> Iterator[Described]:
    """The settings of a file, with the comments above them."""
    nested: list[str] = []
    comment: list[str] = []
    leaves = set(known_keys())
    for line in HEAD.sub("", text_of(path)).splitlines():
        if line.strip().startswith("#"):
            comment.append(line.strip().lstrip("# "))
            continue
        found = KEY.match(line)
        if found:
            nested = [*nested[: len(found["indent"]) // 2], found["key"]]
            key = prefix + ".".join(nested)
            if key in leaves:
                yield Described(key, plain(found["value"]), " ".join(comment))
        comment = []


def head(path: Path) -> str:
    """The comment that a file begins with, as one line."""
    lines = re.match(r"(#.*\n)+", re.sub(r"\A# @package \w+\n", "", text_of(path)))
    told = [line.lstrip("# ") for line in lines[0].splitlines()] if lines else []
    return " ".join(told[: told.index("") if "" in told else None]).strip()


def comment_above(path: Path, key: str) -> str:
    """The comment above a key of a file, as one line."""
    found = re.search(rf"((?:^ *#.*\n)+)^{key}:", text_of(path), re.M)
    return " ".join(line.lstrip("# ") for line in found[1].splitlines()) if found else ""


def plain(value: str) -> str:
    """A default as a person types it; of one that the environment may set, what holds without it."""
    inner = re.match(r"\$\{oc\.env:\w+,(.*)\}", value)
    return inner[1] if inner else value.partition("  #")[0]


def text_of(path: Path) -> str:
    """What stands in a file."""
    return path.read_text(encoding="utf-8")


def known_keys() -> list[str]:
    """All settings, dotted."""
    return list(dotted(asdict(Config())))


def dotted(value: Any, prefix: str = "") -> Iterator[str]:
    """The dotted names of the leaves of a nested mapping."""
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from dotted(inner, f"{prefix}.{name}" if prefix else str(name))
    else:
        yield prefix


def page() -> str:
    """`configs/README.md`: every setting with its default and what it means."""
    parts = [
        "# Every setting\n\nWritten from the comments in these files, which are what to edit, by "
        "`python -m autoanalyze.analysis.keys`. On the command line: `autoanalyze run KEY=VALUE`; a "
        "group's files are chosen by name (`discovery=fixed`). Defaults stand as YAML spells them.\n"
    ]
    for group in described_keys():
        parts.append(f"## {group.name or 'The run as a whole'}\n")
        if group.name and group.says:
            parts.append(f"{group.says}\n")
        if group.options:
            parts.append("\n".join(option(group.name, *told) for told in group.options) + "\n")
        if group.keys:
            parts += ["| key | default | |\n| --- | --- | --- |"]
            parts.append("\n".join(row(setting) for setting in group.keys) + "\n")
    return "\n".join(parts)


def option(group: str, name: str, says: str) -> str:
    """A file that can be chosen for a group, as a line of the page."""
    return f"- `{group}={name}`" + (f": {says}" if says else "")


def row(setting: Described) -> str:
    """A setting as a row of the page."""
    variable = f" Environment: `{ENVIRONMENT[setting.key]}`." if setting.key in ENVIRONMENT else ""
    said = f"{setting.says}{variable}".replace("|", "\\|")
    return f"| `{setting.key}` | `{setting.default}` | {said} |"


if __name__ == "__main__":
    (configuration_folder() / "README.md").write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{configuration_folder() / 'README.md'} written\n")
