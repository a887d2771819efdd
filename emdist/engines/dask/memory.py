"""Memory check: refuses blocks that are too large for the workers, before work starts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distributed import Client

from emdist.engines.budget import BASE, shares, spare
from emdist.errors import TooSmallError

#: The peak memory of reading and computing a block, as a multiple of its decoded size: the stored,
#: compressed chunks are in memory while the block is decoded.
PER_BLOCK = 1.5
#: The share of its memory limit at which Dask pauses a worker.
PAUSE = 0.8
#: The share of its memory limit at which Dask begins to move results to disk.
SPILL = 0.6


def check_memory(
    client: Client,
    block_bytes: int,
    smaller: Callable[[int], str],
    needs: Callable[[int], int] | None = None,
) -> None:
    """Raise TooSmallError if a worker's limit is too small for the model and one block per thread.

    A worker that is paused and killed again and again makes no progress and reports little. This
    check reports the problem before the work starts. It does not see workers that join later.

    Parameters
    ----------
    client
        A client of the cluster.
    block_bytes
        The decoded size of the largest block.
    smaller
        A function that returns advice, as a sentence, for the number of bytes that a block may
        have.
    needs
        A function that returns the bytes that a worker with so many threads needs for the model.
    """
    workers: dict[str, dict[str, Any]] = client.scheduler_info(n_workers=-1)["workers"]
    for address, worker in sorted(workers.items()):
        limit, threads = worker["memory_limit"], worker["nthreads"]
        if not limit:
            continue
        model = needs(threads) if needs is not None else 0
        needed = BASE + model + threads * PER_BLOCK * block_bytes
        if needed <= PAUSE * limit:
            continue
        fitting = int((PAUSE * limit - BASE - model) / (threads * PER_BLOCK))
        parts = f"blocks of {_mib(block_bytes)} MiB"
        if model >= block_bytes:
            parts = f"the model's parameters and sums ({_mib(model)} MiB) and {parts}"
        raise TooSmallError(
            f"the worker at {address} has {_mib(limit)} MiB for {threads} thread(s). It can use "
            f"{PAUSE:.0%} of that, but {parts} need about {_mib(needed)} MiB. "
            f"{smaller(fitting)} Or give each worker at least "
            f"{_mib(needed / PAUSE)} MiB"
            f"{', or fit fewer components' if model >= block_bytes else ''}."
        )


def shares_of_workers(client: Client, block_bytes: int, memory: int | None) -> tuple[int, int]:
    """Return `shares` of what every worker can spare, of `memory` or of Dask's own limit.

    Workers without a limit keep nothing.
    """
    workers: dict[str, dict[str, Any]] = client.scheduler_info(n_workers=-1)["workers"]
    threads = min((worker["nthreads"] for worker in workers.values()), default=1)
    spared = [
        spare(memory or int(SPILL * worker["memory_limit"]), worker["nthreads"], block_bytes)
        for worker in workers.values()
        if memory or worker["memory_limit"]
    ]
    return shares(max(0, min(spared)) if spared else None, threads, block_bytes)


def _mib(nbytes: float) -> int:
    return -(-int(nbytes) >> 20)
