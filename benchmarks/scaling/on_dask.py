"""Measure what Dask costs per pass and per task, with blocks that do nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emdist.engines.dask.engine import DaskEngine
from emdist.engines.dask.graph import JoinShape
from emdist.inputs.plugins import plugin
from emdist.settings.config import CLUSTERS
from emdist.sums import Sums

#: Numbers of blocks of the two passes that are compared.
FEW, MANY = 200, 3000


@dataclass(frozen=True)
class DaskCosts:
    """Costs of Dask, as attributes of `quantities.Machine`, which describes them."""

    first: float
    graph: float
    task: float
    leaf: float
    move: float
    latency: float
    task_bytes: float


@dataclass(frozen=True)
class Idle:
    """Task that returns sums of a block without reading it."""

    size: int

    def __call__(self, i: int) -> Sums:
        return Sums({"n": np.ones(self.size)})


@dataclass(frozen=True)
class Pass:
    """Wall seconds of a pass, CPU seconds of client and scheduler, and their resident bytes."""

    wall: float
    before: float
    after: float
    resident: int


@contextmanager
def two_workers() -> Iterator[DaskEngine]:
    """Start an engine on two local worker processes of one thread each."""
    local = plugin(CLUSTERS, "cluster", "local")(n_workers=2, threads_per_worker=1)
    with local.open() as client:
        yield DaskEngine(client)


def resident() -> int:
    """Return the resident bytes of this process now. Linux only: it reads /proc."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def one_pass(engine: DaskEngine, blocks: int) -> Pass:
    """Run one pass of idle blocks; `before` ends when the first group of eight is done."""
    first: list[float] = []
    sizes = [resident()]

    def done(_: int) -> None:
        if not first:
            first.append(time.process_time())
            sizes.append(resident())

    began, cpu = time.perf_counter(), time.process_time()
    engine.map_reduce(Idle(64), range(blocks), done)
    wall, end = time.perf_counter() - began, time.process_time()
    return Pass(wall, first[0] - cpu, end - first[0], max(sizes))


def _tasks(blocks: int) -> int:
    return sum(JoinShape(blocks).widths) + 1


def _moved(engine: DaskEngine, size: int) -> float:
    """Measure the fewest seconds to move a result of `size` bytes from one worker to the other."""
    client: Any = engine.client
    here, there = sorted(client.scheduler_info(n_workers=-1)["workers"])
    found = []
    for _ in range(5):
        made = client.submit(np.ones, size // 8, workers=[here], pure=False)
        made.result() if size < 1 << 20 else client.submit(len, made, workers=[here]).result()
        began = time.perf_counter()
        client.submit(len, made, workers=[there], pure=False).result()
        found.append(time.perf_counter() - began)
    return min(found)


def dask_costs() -> DaskCosts:
    """Measure the costs on a new local cluster, which is closed afterwards."""
    with two_workers() as engine:
        one_pass(engine, FEW)
        size = resident()
        few = min((one_pass(engine, FEW) for _ in range(3)), key=lambda p: p.wall)
        passes = [one_pass(engine, MANY) for _ in range(2)]
        many = min(passes, key=lambda p: p.wall)
        grown = passes[0].resident - size
        small, large = _moved(engine, 8), _moved(engine, 32 << 20)
    more = _tasks(MANY) - _tasks(FEW)
    graph = max(0.0, many.before - few.before) / more
    task = max(0.0, many.after - few.after) / more
    wall = (many.wall - few.wall) / more
    return DaskCosts(
        first=max(0.0, few.wall - wall * _tasks(FEW)),
        graph=graph,
        task=task,
        # Two workers compute at once, in the time that client and scheduler leave.
        leaf=max(0.0, 2 * (wall - graph - task)),
        move=(32 << 20) / max(large - small, 1e-3),
        latency=small,
        task_bytes=max(0, grown) / _tasks(MANY),
    )
