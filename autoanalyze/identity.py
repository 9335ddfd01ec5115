"""When two runs are the same run: hashes of configurations and of the code that carries them out."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from autoanalyze.config import AROUND

__all__ = ["code_digest", "configuration_digest", "digest", "point_folder"]

LONGEST_NAME = 90
"""Characters of a point's settings that stand in the name of its folder, which may have 255 bytes."""

UNTOLD = ("experiment=", "quick=", "report.", "jobs.", "seeds=", "confirm_above_usd=")
"""Overrides that do not stand in the names of folders: all points of a sweep share them."""


def digest(content: object) -> str:
    """SHA-256 of the canonical JSON of `content`."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def configuration_digest(config: Mapping[str, Any]) -> str:
    """What a configuration makes a run do: the same for two that differ in names and reports only."""
    return digest({key: value for key, value in config.items() if key not in AROUND})


@cache
def code_digest() -> str:
    """SHA-256 over this package's files: changes with every change of code, committed or not."""
    package = Path(__file__).resolve().parent
    content = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        if path.suffix in (".py", ".yaml", ".sql"):
            content.update(f"{path.relative_to(package).as_posix()}\n".encode() + path.read_bytes())
    return content.hexdigest()


def point_folder(config: Mapping[str, Any], overrides: Sequence[str]) -> str:
    """The name of the folder of one point of a sweep: what was set, and a hash of all that matters.

    Configuration, code and, for a session store, the file as it is now: if any of them changes, the
    point is another one and gets another folder.
    """
    path = (config.get("data") or {}).get("path")
    file = Path(path).stat() if path and Path(path).is_file() else None
    state = None if file is None else [file.st_size, file.st_mtime_ns]
    known = digest([configuration_digest(config), code_digest(), state])
    telling = (o.replace("'", "") for o in overrides if not o.startswith(UNTOLD))
    told = re.sub(r"[^\w.=+,-]+", "_", ",".join(telling))[:LONGEST_NAME].strip("_.,-")
    return f"{told or 'point'}-{known[:10]}"
