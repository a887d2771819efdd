"""Workloads for the cost of engines: Dask and threads, blocks without work, one and two threads."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.comparison.data import Clusters, in_memory, on_disk
from benchmarks.comparison.sizes import Size
from benchmarks.comparison.workload import MIB, Contender, Workload


def workloads(size: Size) -> Iterator[Workload]:
    """Yield all workloads of this module."""
    yield from _dask(size)
    yield from _blocks(size)
    yield _threads(size)


def _dask(size: Size) -> Iterator[Workload]:
    data = Clusters(size.of(8 * 256 * MIB // 128, size.disk, 2000), 32, 100)
    for block in (64, 256) if size.disk >= 1 else (64,):
        yield Workload(
            f"dask-threads-{block}",
            f"Two Dask workers, blocks of {block} MiB, K-means {data}",
            "limits",
            "lloyd_iteration",
            partial(on_disk, data, chunk_bytes=16 * MIB),
            # Dask may take at most 11 % more time than threads.
            (Contender("emdist", "two threads", at_least=0.9),),
            Contender("emdist", "emdist", {"workers": 2}),
            options={"span": size.span, "block_size": f"{block} MiB"},
            tolerances={"norm of centres": 0},
        )


def _blocks(size: Size) -> Iterator[Workload]:
    blocks = 50 if size.tiny else 10_000
    data = Clusters(8 * blocks, 8, 4)
    for where, how in (("threads", {}), ("two Dask workers", {"workers": 2})):
        yield Workload(
            f"blocks-{'dask' if how else 'threads'}",
            f"{blocks:,} blocks of 8 rows, {where}",
            "limits",
            "lloyd_iteration",
            partial(in_memory, data),
            (Contender("raw", "1 ms a block", task="allowed", at_least=1, agrees=False),),
            Contender("emdist", "emdist", how),
            options={"span": 1, "block_size": "256 B", "seconds": 1e-3 * blocks},
            repeats=3,
        )


def _threads(size: Size) -> Workload:
    data = Clusters(size.of(2_000_000, size.rows, 2000), 32, 100)
    return Workload(
        "two-threads",
        f"Two threads, K-means {data}",
        "limits",
        "lloyd_iteration",
        partial(in_memory, data),
        (Contender("emdist", "one thread", {"engine_threads": 1}, at_least=1.9),),
        Contender("emdist", "emdist", {"engine_threads": 2}),
        options={"span": size.span},
        tolerances={"inertia": 0},
    )
