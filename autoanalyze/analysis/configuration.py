"""From YAML files, overrides and the environment to one checked configuration. Knows Hydra."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from autoanalyze.analysis.catalogue import completed, entry
from autoanalyze.analysis.complaints import explained, suggestion
from autoanalyze.analysis.keys import configuration_folder, known_keys
from autoanalyze.analysis.ranges import checked
from autoanalyze.config import (
    AROUND,
    Config,
    FaultsConfig,
    JournalConfig,
)
from autoanalyze.errors import ConfigurationError

ConfigStore.instance().store(name="schema_check", node=Config)


def folder_of_point(*, _root_: DictConfig) -> str:
    """The resolver behind `hydra.sweep.subdir`; it sees the whole configuration."""
    overrides = OmegaConf.to_container(_root_.hydra.overrides.task)
    assert isinstance(overrides, list)
    settings = OmegaConf.masked_copy(_root_, [str(key) for key in _root_ if key != "hydra"])
    config = OmegaConf.to_container(settings, resolve=True)
    assert isinstance(config, dict)
    return point_folder({str(key): value for key, value in config.items()}, [str(o) for o in overrides])


OmegaConf.register_new_resolver("point_folder", folder_of_point, replace=True)
OmegaConf.register_new_resolver("design_calls", lambda name: 50 if name == "gpt-4.1" else 20, replace=True)


def compose(overrides: Sequence[str] = ()) -> Config:
    """The configuration that `autoanalyze run OVERRIDES` would use.

    Raises ConfigurationError with a suggestion for a misspelt key or group, and one that names
    key and environment variable for a bad value.
    """
    GlobalHydra.instance().clear()
    overrides = offered(overrides)
    try:
        with initialize_config_dir(str(configuration_folder()), version_base="1.3"):
            composed = hydra_compose("config", overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigurationError(explained(error)) from None
    return from_hydra(composed)


JUDGE = "model@resolution.model"
"""How Hydra calls the choice of the judge's model: one of the group `model`, put elsewhere."""


def offered(given: Sequence[str]) -> list[str]:
    """Overrides as Hydra wants them, which also knows the models then that they name without a file."""
    overrides = [spelled(override) for override in given]
    for override in overrides:
        key, _, names = override.lstrip("+").partition("=")
        for name in names.split(",") if key in ("model", JUDGE) else ():
            known = (configuration_folder() / "model" / f"{name}.yaml").exists()
            if not known and (node := entry(name)) is not None:
                group, _, leaf = f"model/{name}".rpartition("/")
                ConfigStore.instance().store(name=leaf, group=group, package="model", node=node)
    return overrides


def spelled(override: str) -> str:
    """An override as Hydra wants it.

    `vocabulary.from` cannot be the name of a field in Python, `vocabulary.fixed.FIELD` or
    `request.headers.NAME` is not there before somebody sets it, and `service_tier` stands among what is
    sent with a request.
    """
    override = re.sub(r"^(\+*)service_tier=", r"\1request.service_tier=", override)
    override = re.sub(r"^(\+*)resolution\.model=", rf"\1{JUDGE}=", override)
    override = re.sub(r"^(\+*)vocabulary\.from=", r"\1vocabulary.from_run=", override)
    return re.sub(r"^\+*(vocabulary\.fixed|request\.(?:headers|query|body))\.", r"++\1.", override)


def restored(recorded: Mapping[str, Any], overrides: Sequence[str] = ()) -> Config:
    """The configuration of an earlier run, with what may be changed when it is resumed.

    Raises ConfigurationError for any other override: it would make other calls than those that
    are paid for already.
    """
    for override in overrides:
        key = override.partition("=")[0]
        # A store that was moved is held against the fingerprint of the sessions before anything is asked.
        if "=" not in override or not (key in ("budget_usd", "data.path") or key.startswith("limits.")):
            raise ConfigurationError(
                f"{override}: a run is resumed as it was; only budget_usd=..., limits.*=... and, where the "
                "session store was moved, data.path=... may be changed"
            )
    schema = OmegaConf.structured(Config)
    try:
        changes = OmegaConf.from_dotlist(list(overrides))
        merged = OmegaConf.merge(schema, known_of(recorded, OmegaConf.to_container(schema)), changes)
    except OmegaConfBaseException as error:
        raise ConfigurationError(explained(error)) from None
    assert isinstance(merged, DictConfig)
    return from_hydra(merged)


def known_of(recorded: Mapping[str, Any], schema: Any) -> dict[str, Any]:
    """What a record of an earlier version says of the settings that there still are."""
    return {
        key: known_of(value, schema[key]) if isinstance(value, Mapping) and schema[key] else value
        for key, value in recorded.items()
        if key in schema
    }


def from_hydra(composed: DictConfig) -> Config:
    """What Hydra composed as plain, checked dataclasses. Raises ConfigurationError."""
    unknown = sorted(set(map(str, composed)) - {field.name for field in fields(Config)})
    if unknown:
        raise ConfigurationError(f"there is no setting {unknown[0]!r}{suggestion(unknown[0], known_keys())}")
    try:
        config = OmegaConf.to_object(completed(composed))
    except OmegaConfBaseException as error:
        raise ConfigurationError(explained(error)) from None
    assert isinstance(config, Config), "the defaults list of config.yaml must begin with schema_check"
    return checked(config)


SEQUENTIAL_SESSIONS_PER_CALL = 5
"""What the sequential implementation of the design put into a call."""


def sequential(config: Config) -> Config:
    """The sequential baseline of a configuration: one stream, 5 sessions per call, no discovery, one look.

    With sync=sequential calls are as large as `batch_size` says, if it says anything. Model, schema, reply
    form, noise and data stay as they are; the labels are resolved once, at the end.
    """
    return replace(
        config,
        sync="sequential",
        batch_size=config.batch_size if config.sync == "sequential" else None,
        baseline="none",
        budget_usd=None,
        journal=JournalConfig(),
        faults=FaultsConfig(),
        probe_share=0.0,
        unaided_share=0.0,
        passes=1,
        repeat=1,
        resolution=replace(config.resolution, every_rounds=None, every_labels=None),
        discovery=replace(config.discovery, mode="none"),
        parallel=replace(config.parallel, streams=1, sessions_per_stream=SEQUENTIAL_SESSIONS_PER_CALL),
    )


LONGEST_NAME = 90
"""Bytes of a point's settings that stand in the name of its folder, which may have 255."""

UNTOLD = ("experiment=", "quick=", "report.", "seeds=", "confirm_above_usd=", "page=")
"""Overrides that do not stand in the names of folders: all points of a sweep share them."""


def digest(content: object) -> str:
    """SHA-256 of the canonical JSON of `content`."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def configuration_digest(config: Mapping[str, Any]) -> str:
    """What a configuration makes a run do: the same for two that differ in names and reports only."""
    return digest({key: value for key, value in config.items() if key not in AROUND})


def located(config: Config) -> Config:
    """A configuration with absolute paths, which means the same in every working folder."""
    data, journal, earlier = config.data, config.journal, config.vocabulary.from_run
    return replace(
        config,
        data=replace(data, path=data.path and str(Path(data.path).absolute())),
        journal=replace(journal, reuse=[str(Path(folder).absolute()) for folder in journal.reuse]),
        vocabulary=replace(config.vocabulary, from_run=earlier and str(Path(earlier).absolute())),
    )


def config_hash(config: Config) -> str:
    """What a configuration makes a run do, wherever its files lie: earlier runs count by their ids, and the
    session store not at all, since the fingerprint of the sessions stands beside it."""
    earlier, journal = config.vocabulary.from_run, config.journal
    nowhere = replace(
        config,
        data=replace(config.data, path=None),
        journal=replace(journal, reuse=[run_id(folder) for folder in journal.reuse]),
        vocabulary=replace(config.vocabulary, from_run=earlier and run_id(earlier)),
    )
    return configuration_digest(asdict(nowhere))


def run_id(folder: str) -> str:
    """The id of the run in a folder; the folder's name where no run can be read."""
    try:
        return str(json.loads((Path(folder) / "run.json").read_text(encoding="utf-8"))["id"])
    except (OSError, ValueError, KeyError, TypeError):
        return Path(folder).name


@cache
def code_digest() -> str:
    """SHA-256 over this package's files: changes with every change of code, committed or not."""
    package = Path(__file__).resolve().parent.parent
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
    known = digest([configuration_digest(config), code_digest(), version("genai-prices"), *outside(config)])
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
