"""Formulas for one iteration: where its time goes, and how much memory it needs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from benchmarks.scaling.quantities import Times
from emdist.engines.budget import BASE
from emdist.engines.dask.memory import PER_BLOCK
from emdist.engines.dask.placement import HASHES


@dataclass(frozen=True)
class Iteration:
    """One iteration, the second or a later one, in seconds and bytes.

    Attributes
    ----------
    graph, load, workers, scheduler, tail, driver
        Seconds: to make and send the graph; to send the task to all workers; for the workers to
        read and compute; of the scheduler's work at the same time; of the last joins, one after
        another; of the driver.
    checkpoint
        Seconds of a checkpoint, divided by the iterations of a minute.
    read_share
        Share of the workers' time that is only reading: 1 if storage is the limit.
    read_bytes, flops, messages, moved_bytes
        Totals of all workers.
    worker_bytes, driver_bytes
        Memory of one worker, and of driver and scheduler together.
    """

    graph: float
    load: float
    workers: float
    scheduler: float
    tail: float
    driver: float
    checkpoint: float
    read_share: float
    read_bytes: float
    flops: float
    messages: int
    moved_bytes: float
    worker_bytes: float
    driver_bytes: float

    @property
    def seconds(self) -> float:
        """Seconds from one iteration to the next. The scheduler works while the workers do."""
        beside = max(self.workers, self.scheduler)
        return self.graph + self.load + beside + self.tail + self.driver + self.checkpoint

    @property
    def limit(self) -> str:
        """Name of the part that takes most of the time."""
        reads = "reading" if self.read_share > 0.5 else "computing"
        parts = {
            reads: self.workers if self.workers >= self.scheduler else 0.0,
            "scheduler": self.graph + (self.scheduler if self.scheduler > self.workers else 0.0),
            "driver": self.driver + self.load + self.tail,
            "checkpoint": self.checkpoint,
        }
        return max(parts, key=lambda name: parts[name])


def worker_seconds(times: Times) -> tuple[float, float]:
    """Return the seconds of the worker with most blocks, and the share that is only reading.

    Its blocks share one connection to storage and `threads` cores. Blocks that it keeps in memory
    come first.
    """
    cluster = times.cluster
    mine = math.ceil(times.job.blocks / cluster.workers)
    kept = min(times.resident, mine)
    fresh, p = mine - kept, cluster.threads
    warm = math.ceil(kept / p) * times.warm if fresh == 0 else kept / p * times.warm
    joins = times.job.joins / cluster.workers * times.join(8, 7 if cluster.workers > 1 else 0) / p
    if not fresh:
        return warm + joins, 0.0
    read, work = times.read, times.work
    through = fresh * read + work  # If the connection to storage is never idle.
    rounds = math.ceil(fresh / p)
    busy = read + rounds * work if cluster.ahead else rounds * (read + work)
    cold = max(through, busy)
    waited = fresh * read if through >= busy else (read if cluster.ahead else rounds * read)
    total = warm + cold + joins
    return total, waited / total


def held_sums(times: Times) -> float:
    """Estimate how many sums a worker holds at most while they wait for their siblings.

    Blocks are spread by hashing, and every worker takes its own in order. After t blocks of its own
    it is at block ``W t``, plus or minus ``W sqrt(t)``. So a group of eight stays open for as many
    blocks as the positions of eight workers differ. On every worker this is about twice the square
    root of its share; the factor is taken from the simulation.
    """
    own = times.job.blocks / times.cluster.workers
    if times.cluster.workers == 1:
        return math.log2(times.job.blocks + 1)
    return min(own, times.cluster.threads + 2 * math.sqrt(own))


def predict(times: Times, checkpoint_seconds: float = 60.0) -> Iteration:
    """Predict one iteration by formulas alone: no worker is slow and none dies."""
    job, cluster, machine, compute = times.job, times.cluster, times.machine, times.compute
    workers, read_share = worker_seconds(times)
    depth = job.shape.top
    state = compute.sums + job.model.params_bytes
    sealing = machine.checkpoint + state / machine.seal
    fresh = max(0.0, 1 - times.resident * cluster.workers / job.blocks)
    blocks_at_work = cluster.threads * PER_BLOCK * job.nbytes / job.blocks
    kept = times.resident * job.nbytes / job.blocks
    whole = Iteration(
        graph=times.graph,
        load=times.load,
        workers=workers,
        scheduler=job.tasks * times.task,
        tail=depth * times.join(8, 7 if cluster.workers > 1 else 0),
        driver=times.driver,
        checkpoint=0.0,
        read_share=read_share,
        read_bytes=job.nbytes * job.stored * fresh,
        flops=job.rows * job.blocks * job.model.flops,
        messages=2 * job.tasks + job.joins + 7 * job.joins,
        moved_bytes=(job.blocks + job.joins) * 7 / 8 * compute.sums
        + cluster.workers * compute.task,
        worker_bytes=BASE
        + blocks_at_work
        + kept
        + compute.task
        + (8 + 2 * cluster.threads + held_sums(times)) * compute.sums,
        driver_bytes=BASE
        + job.tasks * machine.task_bytes
        + min(job.blocks * cluster.workers, HASHES) * machine.place_bytes
        + (8 + 3) * compute.sums,
    )
    each = whole.seconds
    share = sealing * min(1.0, each / checkpoint_seconds)
    return Iteration(**{**whole.__dict__, "checkpoint": share})


def cpu_seconds(times: Times) -> float:
    """Return CPU seconds of all processes in a pass and its M-step; waiting does not count."""
    job, machine = times.job, times.machine
    leaves = job.blocks * times.work + job.joins * times.join(8, 0)
    return leaves + job.tasks * (machine.graph + machine.task) + times.compute.update
