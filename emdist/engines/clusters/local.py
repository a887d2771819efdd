"""A Dask cluster of worker processes on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import dask
from distributed import Client, LocalCluster

from emdist.engines.clusters.scratch import scratch
from emdist.engines.dask.nanny import FirmNanny
from emdist.engines.dask.quiet import closing_quietly
from emdist.engines.dask.tls import Tls
from emdist.errors import ConfigError, SchedulerError
from emdist.inputs.validation import whole_number

#: How long Dask tries to reach a worker that has just died before it computes that worker's results
#: again. Its default suits networks. On one machine no answer takes so long, and every death would
#: cost that time.
_CONNECT, _DEFAULT, _QUICK = "distributed.comm.timeouts.connect", "30s", "5s"
#: After how long Dask gives up on a worker that died, and on the nanny that restarts it. The
#: default is 15 s: on a busy machine a worker takes longer to start, and was lost for good.
_LOST, _NEVER = "distributed.deploy.lost-worker-timeout", "1000 days"


@dataclass(frozen=True)
class Local:
    """Starts a scheduler and workers on this machine while the client is open.

    Parameters
    ----------
    n_workers
        The number of worker processes.
    threads_per_worker
        How many blocks each worker processes at a time.
    memory_limit
        The limit for each worker, as Dask writes it: "auto" (an equal part of this machine's
        memory), "4 GiB", or "0" for none.
    processes
        False makes the workers threads of this process, which starts faster but shares the GIL.
    dashboard_address
        The address of Dask's dashboard, such as "127.0.0.1:8787". None takes any free port of the
        loopback interface.
    local_directory
        The folder to which workers spill. None makes a temporary folder.
    tls
        Certificates for scheduler, workers and client. None uses unencrypted sockets of the
        loopback interface, which other users of this machine can reach.
    """

    n_workers: int = 2
    threads_per_worker: int = 1
    memory_limit: str = "auto"
    processes: bool = True
    dashboard_address: str | None = None
    local_directory: str | None = None
    tls: Tls | None = None

    def __post_init__(self) -> None:
        whole_number(self.n_workers, "n_workers", 1)
        whole_number(self.threads_per_worker, "threads_per_worker", 1)

    @contextmanager
    def open(self) -> Iterator[Client]:
        """Yield a client of a new cluster. Both are closed on exit."""
        security = None if self.tls is None else self.tls.security()
        with closing_quietly() as stack:
            folder = self.local_directory or stack.enter_context(scratch())
            stack.enter_context(dask.config.set({_LOST: _NEVER}))
            if dask.config.get(_CONNECT) == _DEFAULT:
                stack.enter_context(dask.config.set({_CONNECT: _QUICK}))
            try:
                cluster = LocalCluster(
                    n_workers=self.n_workers,
                    threads_per_worker=self.threads_per_worker,
                    memory_limit=self.memory_limit,
                    processes=self.processes,
                    worker_class=FirmNanny if self.processes else None,
                    # None would not disable it: Dask then serves its pages on port 8787.
                    dashboard_address=self.dashboard_address or "127.0.0.1:0",
                    local_directory=folder,
                    security=security,
                )
            except ValueError as error:
                raise ConfigError(
                    f"the settings of the local cluster are not valid: {error}"
                ) from error
            except (OSError, TimeoutError, RuntimeError) as error:
                raise SchedulerError(
                    f"the local cluster did not start: {error}. In a script, start it inside "
                    "`if __name__ == '__main__':`, because workers import the script."
                ) from error
            stack.enter_context(cluster)
            client = stack.enter_context(Client(cluster, security=security))
            yield client


cluster = Local
