"""One point of a sweep: worked on once, kept when it is there already, taken up again when it is not done."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from autoanalyze.analysis.build import build_analysis
from autoanalyze.analysis.configuration import from_hydra, point_folder
from autoanalyze.analysis.folder import RunFolder
from autoanalyze.config import AROUND, Config
from autoanalyze.errors import CancelledRunError, RunFolderError
from autoanalyze.laboratory.detection import run_detection
from autoanalyze.study.rows import rows_of
from autoanalyze.study.runs import load_run

OUTCOMES = ".points"
"""Where a sweep's folder says how its points ended: a file per point, so that any number of processes on
any number of machines can write at once."""

LOG = logging.getLogger(__name__)
NO_SETTINGS = frozenset({"field", "experiment", *AROUND} - {"case"})


@dataclass(frozen=True, slots=True)
class EndedPoint:
    """How a point of a sweep ended: the point at a `position` in the seeds of a `job`.

    `settings` are the values that tell it from others, by key; `status` is done, kept (its folder held a
    finished, identical run) or failed. `rows` is what was measured, per label field, on which model and
    endpoint.
    """

    job: int
    position: int
    settings: Mapping[str, Any]
    folder: str
    status: str
    error: str | None = None
    rows: Sequence[Mapping[str, Any]] = ()
    model: str | None = None
    endpoint: str | None = None

    def write(self, sweep: Path) -> None:
        """Leave word in the folder of the sweep, as a whole."""
        path = sweep / OUTCOMES / f"{self.job}-{self.position}.json"
        path.parent.mkdir(exist_ok=True)
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(asdict(self), default=str), encoding="utf-8")
        draft.replace(path)


def ended_points(sweep: Path) -> list[EndedPoint]:
    """The outcomes that a sweep's folder knows of, in the order of the points."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in (sweep / OUTCOMES).glob("*.json")]
    return sorted(
        (EndedPoint(**outcome) for outcome in found), key=lambda outcome: (outcome.job, outcome.position)
    )


def end_points(composed: DictConfig, hydra_config: DictConfig, folder: Path) -> list[EndedPoint]:
    """Work on the points of one job of a sweep, and leave word of how each ended, also when it failed.

    `folder` is Hydra's, and that of the first point; points with further seeds lie beside it.
    """
    sweep, ended = Path(hydra_config.sweep.dir), []
    if not any(str(told).lstrip("+").startswith("page=") for told in hydra_config.overrides.task):
        composed.page = False  # who reads a sweep reads its table
    for position, seed in enumerate(composed.seeds or [composed.seed]):
        if position:
            folder = another_seed(composed, hydra_config, seed, folder.parent)
        unknown = EndedPoint(
            int(hydra_config.job.num), position, settings_of(composed, hydra_config), str(folder), "failed"
        )
        try:
            outcome = measured(replace(unknown, status=work_on(from_hydra(composed), folder)))
        except Exception as reason:  # recorded: the other points go on, and the sweep lists it at its end
            outcome = replace(unknown, error=str(reason) or type(reason).__name__)
            LOG.exception("a point of the sweep failed")
        outcome.write(sweep)
        ended.append(outcome)
    return ended


def measured(outcome: EndedPoint) -> EndedPoint:
    """The outcome of a finished run with what is measured of it, here, where many can be read at once."""
    run = load_run(outcome.folder)
    record = run.record
    return replace(outcome, rows=tuple(rows_of(run)), model=record["model"], endpoint=record["endpoint"])


def another_seed(composed: DictConfig, hydra_config: DictConfig, seed: int, sweep: Path) -> Path:
    """Set another seed; the folder of its point, with what Hydra would have left there."""
    composed.seed = seed
    told = [f"seed={seed}" if o.startswith("seed=") else str(o) for o in hydra_config.overrides.task]
    content = OmegaConf.to_container(composed, resolve=True)
    assert isinstance(content, dict)
    folder = sweep / point_folder({str(key): value for key, value in content.items()}, told)
    (folder / ".hydra").mkdir(parents=True, exist_ok=True)
    OmegaConf.save(composed, folder / ".hydra" / "config.yaml")
    OmegaConf.save(told, folder / ".hydra" / "overrides.yaml")
    return folder


def settings_of(composed: DictConfig, hydra_config: DictConfig) -> dict[str, Any]:
    """The values that tell a point from others: what was set for it, and what its report asks for.

    A chosen file of a group stands under the group's name.
    """
    report = composed.report
    told = [str(override).partition("=")[0].lstrip("+~") for override in hydra_config.overrides.task]
    asked = [*report.rows, *report.paired_by, report.across, report.lines, "seed"]
    keys = dict.fromkeys(
        key
        for key in (*told, *asked)
        if key is not None and key not in NO_SETTINGS and not key.startswith(("report.", "hydra"))
    )
    choices, found = hydra_config.runtime.choices, {}
    for key in keys:
        value = choices[key] if key in choices else OmegaConf.select(composed, key)
        found[key] = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
    return found


def work_on(config: Config, folder: Path) -> str:
    """Bring the run in `folder` to its end; `kept` if it was finished before, `done` otherwise.

    A folder's name says configuration and code, so that a finished run in it is an identical one. One that
    failed, stopped or was interrupted goes on with what its journal has; one that another process works
    on is waited for. Raises what ends the run, and KeyboardInterrupt when a person stopped it here.
    """
    run_folder = RunFolder(folder)
    if (folder / "progress.json").exists():
        run_folder.wait_until_free()
        if finished(folder):
            return "kept"
        record = begun(folder)
        if record.get("status") == "done" or "config" not in record:
            # Its files are gone, or it ended before it had done anything: its journal says what was answered.
            (folder / "run.json").unlink(missing_ok=True)
    if config.data.source == "labels":
        (folder / "run.json").unlink(missing_ok=True)
        run_detection(config, folder)
        return "done"
    analysis = build_analysis(config)
    try:
        analysis.run_sync(folder, resume=(folder / "run.json").exists())
    except CancelledRunError as error:
        if isinstance(error.__cause__ or error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        raise
    return "done"


def finished(folder: Path) -> bool:
    """Whether a folder holds a whole, finished run.

    Raises RunFolderError for one that was edited after it: its labels are no longer those of the run.
    """
    try:
        run = load_run(folder)
    except RunFolderError:
        return False
    if run.reviewed:
        raise RunFolderError(f"the labels of {folder} were edited since: move it elsewhere to run it anew")
    return True


def begun(folder: Path) -> dict[str, Any]:
    """The record that a run wrote; empty if there is none that can be read."""
    try:
        record: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record
