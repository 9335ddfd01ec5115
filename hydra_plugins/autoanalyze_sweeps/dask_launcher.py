"""Points of a sweep on a Dask cluster: on this machine, or at an address. Survives workers that die."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from autoanalyze.errors import ConfigurationError

if TYPE_CHECKING:
    from distributed import Client


CONNECT_SECONDS = 10


class DaskLauncher(Launcher):
    """Works on points on the cluster at `address` (null: one of `workers` processes on this machine).

    A point whose worker died is given to another one, three times at most; since its run folder has all
    that was answered, it goes on where it was.
    """

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        self.address, self.workers = address, workers

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hydra's call before the launch."""
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Work on all points; how each ended, in their order. One that cannot be worked on has failed."""
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        # Workers have working folders of their own; what they share is this path.
        with open_dict(self.config):
            self.config.hydra.sweep.dir = str(Path(str(self.config.hydra.sweep.dir)).absolute())
        with ExitStack() as stack:
            client = connected(self.address, self.workers)
            if client.cluster is not None:
                stack.callback(client.cluster.close)
            stack.enter_context(client)
            # Sent with each point: what is kept on workers is lost with them.
            shared = (self.hydra_context, self.config, self.task_function, Singleton.get_state(), Path.cwd())
            points = [
                client.submit(work_on_point, initial_job_idx + number, list(overrides), shared, pure=False)
                for number, overrides in enumerate(job_overrides)
            ]
            client.gather(points, errors="skip")
            return [ending(point) for point in points]


def work_on_point(number: int, overrides: Sequence[str], shared: tuple[Any, ...]) -> JobReturn:
    """One point, in a worker, as Hydra's own launchers do it."""
    hydra_context, config, task_function, state, folder = shared
    if folder.is_dir():  # relative paths of the configuration mean what they mean where the sweep was started
        os.chdir(folder)
    setup_globals()
    Singleton.set_state(state)
    composed = hydra_context.config_loader.load_sweep_config(config, list(overrides))
    with open_dict(composed):
        composed.hydra.job.id = f"{composed.hydra.job.name}_{number}"
        composed.hydra.job.num = number
    HydraConfig.instance().set_config(composed)
    return run_job(
        hydra_context=hydra_context,
        config=composed,
        task_function=task_function,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )


def ending(point: Any) -> JobReturn:
    """What a point returned; one that was lost with its workers has failed."""
    if point.status == "finished":
        done: JobReturn = point.result()
        return done
    lost = JobReturn()
    lost.status, lost.return_value = JobStatus.FAILED, point.exception()
    return lost


def connected(address: str | None, workers: int | None) -> Client:
    """A client of the scheduler at `address`, or of a cluster of processes on this machine if it is null.

    Raises ConfigurationError if Dask is not installed or nothing answers there.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise ConfigurationError(
            "hydra/launcher=dask needs Dask: install the extra with `pip install 'autoanalyze[cluster]'`"
        ) from None
    try:
        if address is None:
            # One thread each: a run is work for a processor, and Hydra's state is one per process.
            cluster = LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)
            return Client(cluster)
        return Client(address, timeout=CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"hydra.launcher.address={address}: no Dask scheduler answers there ({error}); start one with "
            "`dask scheduler`, and workers with `dask worker ADDRESS --nthreads 1`"
        ) from None
