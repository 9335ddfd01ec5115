"""Where a run comes from: enough to run it again and to tell it from any other."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from autoanalyze.config import Config
from autoanalyze.identity import code_digest, configuration_digest, digest

__all__ = ["PACKAGES", "git_state", "record", "wall"]

PACKAGES = ("autoanalyze", "openai", "polars", "duckdb", "scikit-learn", "numpy", "tiktoken")


def record(
    config: Config, *, endpoint: str, dataset_fingerprint: str, instructions: str, token_counter: str
) -> dict[str, Any]:
    """What `run.json` says of a run before it starts; none of it is secret."""
    return {
        "bot": config.data.bot_id,
        "seed": config.seed,
        "model": config.model.name,
        "endpoint": endpoint,
        "config": asdict(config),
        "config_hash": configuration_digest(asdict(config)),
        "code": code_digest(),
        "dataset_fingerprint": dataset_fingerprint,
        "prompt_hash": digest(instructions),
        "token_counter": token_counter,
        "git": git_state(),
        "python": platform.python_version(),
        "packages": dict(packages()),
    }


@cache
def packages() -> Mapping[str, str]:
    """The versions of the packages that a run depends on most."""
    return {name: version(name) for name in PACKAGES}


def wall(started: datetime) -> dict[str, Any]:
    """The wall-clock figures of a run that ends now; they differ from run to run."""
    ended = datetime.now(UTC)
    return {
        "started": started.isoformat(timespec="seconds"),
        "ended": ended.isoformat(timespec="seconds"),
        "seconds": round((ended - started).total_seconds(), 3),
    }


@cache
def git_state() -> Mapping[str, Any] | None:
    """Commit of the repository that holds this package, and whether package or configuration differ from it.

    Null when installed elsewhere. Asked once per process: what is edited later is not what runs, since the
    code is loaded.
    """
    folder = Path(__file__).resolve().parent.parent
    if not (folder / ".git").exists():
        return None

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    changes = git("status", "--porcelain", "--", "autoanalyze", "configs")
    return {"commit": git("rev-parse", "HEAD"), "dirty": None if changes is None else bool(changes)}
