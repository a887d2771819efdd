"""Workers of a cluster that a class started: requested, and replaced when they leave."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from distributed import Client
from distributed.core import Status
from distributed.deploy import SpecCluster

from emdist.engines.dask.faults import ask
from emdist.engines.dask.quiet import quiet
from emdist.errors import EmdistError

logger = logging.getLogger(__name__)

#: Seconds between two looks at the workers. A worker counts as gone after two looks without it: a
#: nanny that restarts its worker takes less.
LOOK = 2.0

#: Seconds between two requests for new workers: the first pause, and the longest one. Dask itself
#: notices after 15 s that a worker of a job will not come back.
PAUSE, LONGEST = 15.0, 600.0

#: How many characters of a scheduler's error are shown.
_SHOWN = 300


def request(cluster: Any, n_workers: int) -> None:
    """Request `n_workers` workers. Raise the error of the first one that cannot be started.

    `cluster.scale` alone only logs such an error, for example that of a job that a queue refuses,
    and the workers would be waited for in vain.
    """
    if not isinstance(cluster, SpecCluster):
        cluster.scale(n_workers)
        return

    async def started() -> None:
        cluster.scale(n_workers)
        try:
            await cluster
            # A worker that failed to start is in this list too. Awaiting it tries once more.
            for worker in list(cluster.workers.values()):
                await worker
        finally:
            # Without this, the cluster does not close, and does not try again later.
            for name, worker in list(cluster.workers.items()):
                if worker.status == Status.created:
                    worker.status = Status.failed
                    del cluster.workers[name]

    with quiet():
        cluster.sync(started)


def reason(error: BaseException, lines: Sequence[str] = ()) -> str:
    """Return the cause of an error in one line: what a command or process wrote, if it did.

    `lines` are those that `overheard` collected.
    """
    text = str(error) or type(error).__name__
    # dask-jobqueue reports the exit code, the command, its output and then its errors.
    if (written := re.search(r"^stderr:\n(.*)", text, re.MULTILINE | re.DOTALL)) is not None:
        text = written[1].strip() or text
    elif lines and "failed to start" in text:
        text = lines[-1]
    elif "job_kwargs" in text:  # It then lists all settings.
        text = text.partition(". ")[0]
    else:
        text = f"{type(error).__name__}: {text}"
    line = "; ".join(part.strip() for part in text.splitlines() if part.strip())
    return line[:_SHOWN].rstrip(". ")


@contextmanager
def overheard() -> Iterator[list[str]]:
    """Collect the lines that processes write while `SSHCluster` starts them.

    Dask logs these lines, and its error says no more than "Worker failed to start".
    """
    lines: list[str] = []
    ssh = logging.getLogger("distributed.deploy.ssh")
    level, enabled = ssh.level, ssh.isEnabledFor(logging.INFO)

    def collect(record: logging.LogRecord) -> bool:
        lines.append(record.getMessage())
        return enabled

    ssh.addFilter(collect)
    ssh.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        ssh.setLevel(level)
        ssh.removeFilter(collect)


def jobs(cluster: Any) -> str:
    """Return a sentence about the jobs of a queue that should become workers; "" without jobs."""
    workers = getattr(cluster, "workers", None)
    found = [getattr(worker, "job_id", None) for worker in dict(workers or {}).values()]
    known = sorted(str(job) for job in found if job)
    if not known:
        return ""
    named = ", ".join(known[:5]) + (", ..." if len(known) > 5 else "")
    return f"Ask the queue why these jobs wait or have ended, and read their logs: {named}. "


@contextmanager
def watched(client: Client, cluster: Any, n_workers: int | None) -> Iterator[None]:
    """Log workers that leave while the context is open, and request new ones.

    Parameters
    ----------
    n_workers
        The number of workers to keep. None for a cluster that adapts, or whose size is not known:
        emdist then only logs.
    """
    ended = threading.Event()
    present = set(ask(client, "identity", n_workers=-1)["workers"])
    arguments = (client, cluster, n_workers, present, ended)
    watch = threading.Thread(target=_watch, args=arguments, name="workers", daemon=True)
    watch.start()
    try:
        yield
    finally:
        ended.set()
        watch.join()


def _watch(
    client: Client,
    cluster: Any,
    n_workers: int | None,
    before: set[str],
    ended: threading.Event,
) -> None:
    told: set[str] = set()
    missed: set[str] = set()
    pause, due = PAUSE, 0.0
    while not ended.wait(LOOK):
        try:
            now = set(ask(client, "identity", n_workers=-1)["workers"])
        except EmdistError:
            return  # The fit itself finds this out, and says so.
        gone = (missed & (before - now)) - told
        if gone:
            remain = f"{len(now)} of {n_workers}" if n_workers else str(len(now))
            logger.warning(
                "%s left the cluster, %s remain%s",
                _named(gone), remain, "; requesting new ones" if n_workers else "",
            )  # fmt: skip
            told |= gone
            due = time.monotonic()
        missed = before - now
        before |= now
        if not n_workers or len(now) >= n_workers or not told or time.monotonic() < due:
            continue
        try:
            request(cluster, n_workers)
        except Exception as error:  # noqa: BLE001  classes of clusters have errors of their own
            logger.warning("new workers cannot be requested: %s", reason(error))
        due, pause = time.monotonic() + pause, min(2 * pause, LONGEST)


def _named(workers: set[str]) -> str:
    first = ", ".join(sorted(workers)[:3]) + (", ..." if len(workers) > 3 else "")
    return f"{len(workers)} worker{'s' * (len(workers) > 1)} ({first})"
