"""A Dask cluster: where runs are worked on when one machine is not enough. An optional extra."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoanalyze.errors import ConfigurationError

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["connected"]

CONNECT_SECONDS = 10


def connected(address: str | None, *, workers: int | None = None, setting: str = "jobs.address") -> Client:
    """A client of the scheduler at `address`, or of a cluster of processes on this machine if it is null.

    Raises ConfigurationError, naming `setting`, if Dask is not installed or nothing answers there.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise ConfigurationError(
            f"{setting} needs Dask: install the extra with `pip install 'autoanalyze[cluster]'`"
        ) from None
    try:
        if address is None:
            # One thread each: a run is work for a processor, and Hydra's state is one per process.
            cluster = LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)
            return Client(cluster)
        return Client(address, timeout=CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{setting}={address}: no Dask scheduler answers there ({error}); start one with "
            "`dask scheduler`, and workers with `dask worker ADDRESS --nthreads 1`"
        ) from None
