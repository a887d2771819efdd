"""`emdist flow worker`: a Prefect process worker that lets its flow runs save when it ends.

It takes flow runs of a work pool of the type "process", as `prefect worker start` does. When it is
told to end, it takes no more runs, and tells those that it has to end: they save a checkpoint, and
Prefect schedules them again, for another worker or for the next start of this one.
"""

from __future__ import annotations

import os
import socket
import sys

import anyio
from prefect import get_client
from prefect.client.schemas.objects import WorkPool
from prefect.exceptions import ObjectNotFound

from emdist.errors import ConfigError
from emdist.flows.workarounds.draining import DrainingWorker
from emdist.flows.workarounds.server import needed_api
from emdist.report.lines import say

#: The type of work pool whose flow runs are processes.
TYPE = "process"


def run(pool: str, limit: int | None, grace: float, name: str | None) -> int:
    """Run a worker until it is told to end, and return its exit code.

    Parameters
    ----------
    pool
        The name of the work pool.
    limit
        The largest number of flow runs at once. None means no limit of this worker.
    grace
        Seconds that flow runs have to save when the worker ends.
    name
        The name of the worker. By default it has the names of the machine and of the process.
    """
    needed_api("A worker")
    _check_pool(pool)
    return anyio.run(_work, pool, limit, grace, name)


async def _work(pool: str, limit: int | None, grace: float, name: str | None) -> int:
    own = name or f"emdist {socket.gethostname()} {os.getpid()}"
    ended = await DrainingWorker(pool, limit, own).run_until_told(grace)
    if ended.killed:
        say(
            f"emdist: warning: {ended.killed} flow runs did not end within {grace:g} s and were "
            "killed. They lose what they did since their last checkpoint.",
            sys.stderr,
        )
    return ended.exit_code


def _check_pool(name: str) -> None:
    """Raise ConfigError unless there is a work pool of this name whose runs are processes."""
    with get_client(sync_client=True) as client:
        try:
            pool = client.read_work_pool(name)
        except ObjectNotFound:
            known = ", ".join(sorted(one.name for one in client.read_work_pools())) or "none yet"
            raise ConfigError(
                f"--pool: the server has no work pool {name!r}. Its work pools: {known}. "
                f"`emdist flow setup --pool {name}` creates it."
            ) from None
    check_type(pool)


def check_type(pool: WorkPool) -> None:
    """Raise ConfigError unless the flow runs of a work pool are processes."""
    if pool.type != TYPE:
        raise ConfigError(
            f"--pool: the work pool {pool.name!r} has the type {pool.type!r}, but emdist's worker "
            f"needs {TYPE!r}. For other types, use `prefect worker start`."
        )
