"""Start the Dask cluster for emdist and dask-ml: the same workers with the same limits."""

from __future__ import annotations

from typing import Any

from benchmarks.comparison.workload import Work
from benchmarks.memory import peak_memory


def dask_client(work: Work) -> Any:
    """Start a cluster of ``workers`` processes, one thread and ``memory`` each; return a client."""
    from distributed import Client, LocalCluster

    cluster = work.stack.enter_context(
        LocalCluster(
            n_workers=int(work.options["workers"]),
            threads_per_worker=1,
            memory_limit=work.options.get("memory", 0),
            dashboard_address="127.0.0.1:0",
            local_directory=str(work.scratch),
            silence_logs=50,
        )
    )
    return work.stack.enter_context(Client(cluster))


def peak_of(client: Any) -> int:
    """Return the sum of the peak resident bytes of this process and all workers, never reset."""
    workers: dict[str, int] = client.run(peak_memory)
    return peak_memory() + sum(workers.values())
