"""When two runs are the same run: hashes of configurations and of the code that carries them out."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from autoanalyze.config import AROUND

__all__ = ["code_digest", "configuration_digest", "digest", "point_folder"]

LONGEST_NAME = 90
"""Bytes of a point's settings that stand in the name of its folder, which may have 255."""

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

    Configuration, code, and what the configuration only names (session store, earlier runs, the address of
    the endpoint), as it is now: if any of them changes, the point is another one and gets another folder.
    """
    known = digest([configuration_digest(config), code_digest(), *outside(config)])
    telling = (o.replace("'", "") for o in overrides if not o.startswith(UNTOLD))
    told = re.sub(r"[^\w.=+,-]+", "_", ",".join(telling)).strip("_.,-")
    told = told.encode()[:LONGEST_NAME].decode(errors="ignore")
    return f"{told or 'point'}-{known[:10]}"


def outside(config: Mapping[str, Any]) -> list[Any]:
    """What a configuration only names: the state of its files, and an address from the environment."""
    earlier = (config.get("vocabulary") or {}).get("from_run")
    reused = (config.get("journal") or {}).get("reuse") or []
    runs = [Path(folder) / "run.json" for folder in (*([earlier] if earlier else []), *reused)]
    store = (config.get("data") or {}).get("path")
    files = [path for path in (*([Path(store)] if store else []), *runs) if path.is_file()]
    states = [[file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    return [states, os.environ.get("OPENAI_BASE_URL") if config.get("endpoint") == "openai" else None]
