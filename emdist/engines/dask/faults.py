"""Faults of a Dask cluster: finds silent workers, and turns Dask's errors into emdist's."""

from __future__ import annotations

import time
from typing import Any

from distributed import Client, KilledWorker
from distributed.client import FutureCancelledError
from distributed.comm import CommClosedError

from emdist.errors import EmdistError, SchedulerError, WorkerPackageError, WorkersError
from emdist.wording import either

#: Seconds that the scheduler may take to answer before it counts as lost.
ANSWER = 30.0

#: Seconds without a heartbeat after which a worker is not asked: one that imports emdist for
#: the first time holds its interpreter for seconds, and is late but well.
LATE = 10.0


def address_of(client: Client) -> str:
    """Return the address of the scheduler, even if it is gone."""
    scheduler = getattr(client, "scheduler", None)
    return str(getattr(scheduler, "address", None) or "an unknown address")


def lost(client: Client, reason: str) -> SchedulerError:
    """Return the error for a scheduler that does not answer any more."""
    return SchedulerError(
        f"the connection to the Dask scheduler at {address_of(client)} was lost ({reason}). Check "
        "that the scheduler runs and can be reached, then "
        + either(
            "fit again with a new client.",
            "start the same run again, which continues from its last checkpoint.",
        )
    )


def no_workers(client: Client, seconds: float) -> WorkersError:
    """Return the error for a cluster without workers."""
    return WorkersError(
        f"the cluster at {address_of(client)} has had no workers for {seconds:g} s. Start "
        "workers, or read in their logs why they do not join. If they take longer to start, raise "
        f"{either('workers_timeout', 'cluster.timeout (of the kinds address and class)')}."
    )


def translated(client: Client, error: BaseException) -> BaseException:
    """Return what to raise for `error`, which came back from the cluster."""
    if isinstance(error, EmdistError):
        return error
    if isinstance(error, FutureCancelledError):
        return lost(client, f"it cancelled the work: {error.reason}")
    if isinstance(error, CommClosedError):
        # Results are fetched through the scheduler, so this connection is the scheduler's and not a
        # worker's.
        return lost(client, "the connection closed during the transfer of a result")
    if isinstance(error, KilledWorker):
        return WorkersError(
            f"{error.allowed_failures + 1} workers died one after the other while they computed "
            f"{error.task!r}, the last at {error.last_worker.address}. The usual cause is too "
            "little memory: give each worker more memory or fewer threads, or make the blocks "
            "smaller. The logs of the workers say which limit was reached."
        )
    if isinstance(error, ImportError):
        return WorkerPackageError(
            f"the cluster at {address_of(client)} cannot import a package that it needs: {error}. "
            "Install the same packages on the scheduler, on every worker and here, for example "
            "with one environment or image for all."
        )
    return error


def ask(client: Client, question: str, **arguments: Any) -> Any:
    """Return the scheduler's answer to `question`. Dask's own calls would wait for ever.

    Raises
    ------
    SchedulerError
        If there is no answer within `ANSWER` seconds.
    """
    if client.status != "running":
        raise lost(client, f"the client is {client.status}")
    try:
        handler = getattr(client.scheduler, question)
        return client.sync(handler, callback_timeout=ANSWER, **arguments)
    except (OSError, TimeoutError, RuntimeError) as error:
        raise lost(client, f"{type(error).__name__} {error}".strip()) from error


def roster(client: Client, patience: float = 0.0) -> tuple[dict[str, int], set[str]]:
    """Return the threads of each worker, and the set of workers that are silent.

    A worker is silent if its last heartbeat is older than `patience` seconds and than
    `missed_beats` allows. One request answers both questions, because an answer takes milliseconds
    before every pass.
    """
    workers = ask(client, "identity", n_workers=-1)["workers"]
    threads = {address: int(worker["nthreads"]) for address, worker in workers.items()}
    seen = {address: worker["last_seen"] for address, worker in workers.items()}
    # Compared with the latest heartbeat of all workers, so that only the scheduler's clock counts.
    patience = max(patience, missed_beats(len(seen)))
    return threads, {a for a, t in seen.items() if max(seen.values()) - t > patience}


def answering(client: Client) -> tuple[list[str], list[str]]:
    """Workers that can be asked, and those that are silent for good; both sorted.

    Waits for workers that are late, until they are heard of or silent for `LATE` seconds.
    """
    while True:
        workers, late = roster(client)
        silent = roster(client, LATE)[1] if late else set()
        if late <= silent:
            return sorted(set(workers) - silent), sorted(silent)
        time.sleep(0.1)


def missed_beats(workers: int) -> float:
    """Return how many seconds of silence are more than a late heartbeat.

    Dask requests a heartbeat every 0.5 s, and every n / 200 + 1 s if there are many (n) workers.
    """
    return 3 * (workers / 200 + 0.5)


def stragglers(client: Client, leaf: str, stall: float) -> set[str]:
    """Return the workers that delay a pass, as far as the scheduler can say.

    These are the silent workers, if there are any. A stopped worker also delays others, which wait
    for results that it holds. Otherwise they are the workers that have blocks, because a worker
    with a hanging task still sends heartbeats.

    Parameters
    ----------
    leaf
        The first part of the key of a block.
    stall
        The seconds without a finished group.
    """
    if silent := roster(client, stall / 2)[1]:
        return silent
    processing = ask(client, "processing", workers=None)
    return {w for w, keys in processing.items() if any(leaf in str(key) for key in keys)}
