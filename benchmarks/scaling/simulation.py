"""Simulate a pass by discrete events: one scheduler, workers that share storage, joins, deaths.

It includes what the formulas leave out: workers of different speed, groups whose eight parts end at
very different times, sums that wait for them, and work that is repeated after a death. All random
numbers follow from one seed.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.scaling.quantities import Times
from emdist.engines.dask.graph import Node
from emdist.sums import FAN_IN

#: Status of a node: to be made; made; made and known to the scheduler; not needed any more.
_DUE, _MADE, _KNOWN, _SPENT = range(4)


@dataclass(frozen=True)
class Outcome:
    """The result of a simulated iteration.

    Attributes
    ----------
    seconds
        Seconds from one iteration to the next, without a checkpoint.
    worked
        Number of blocks computed, including those repeated after a death.
    joined
        Number of joins computed.
    read_bytes, moved_bytes
        Bytes read from storage, and bytes moved between workers.
    held
        Largest number of sums that one worker held at a time.
    waiting
        Mean seconds that a result waited for the scheduler.
    deaths
        Number of deaths of workers.
    """

    seconds: float
    worked: int
    joined: int
    read_bytes: float
    moved_bytes: float
    held: int
    waiting: float
    deaths: int


@dataclass
class Worker:
    """State of a simulated worker: its blocks in order, its cores, its connection to storage."""

    slowness: float
    leaves: deque[int]
    joins: deque[Node] = field(default_factory=deque)
    busy: int = 0
    line: float = 0.0
    held: int = 0
    life: int = 0
    down: bool = False
    fetched: deque[tuple[int, float]] = field(default_factory=deque)
    running: set[Node] = field(default_factory=set)


class Simulation:
    """The simulation of one pass. Its state is the clock and where each result is."""

    def __init__(self, times: Times, seed: int = 0) -> None:
        self.times, self.rng = times, np.random.default_rng(seed)
        cluster, job = times.cluster, times.job
        self.shape, self.p = job.shape, cluster.threads
        spread = self.rng.lognormal(0.0, cluster.slowness, cluster.workers)
        order = np.empty(job.blocks, np.int64)
        # Blocks are placed as by rendezvous hashing with bounded loads: randomly, equally many.
        order[self.rng.permutation(job.blocks)] = np.arange(job.blocks) % cluster.workers
        lists = np.split(
            np.argsort(order, kind="stable"),
            np.cumsum(np.bincount(order, minlength=cluster.workers))[:-1],
        )
        self.workers = [
            Worker(float(s), deque(own.tolist())) for s, own in zip(spread, lists, strict=True)
        ]
        self.kept = [set(own[: times.resident].tolist()) for own in lists]
        self.now, self.count = 0.0, 0
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.scheduler, self.waited, self.handled = 0.0, 0.0, 0
        self.place: dict[Node, int] = {}
        self.status: list[NDArray[np.uint8]] = [np.zeros(n, np.uint8) for n in self.shape.widths]
        self.begun: set[Node] = set()
        self.worked = self.joined = self.held = self.deaths = 0
        self.read_bytes = self.moved_bytes = 0.0
        self.left = self.shape.widths[-1]
        self.open_leaves = job.blocks

    def run(self) -> Outcome:
        """Simulate from the graph to the M-step."""
        times, cluster = self.times, self.times.cluster
        self.now = times.graph + times.load
        self.scheduler = self.now
        for w in range(len(self.workers)):
            self._fill(w)
            if cluster.failures:
                self._doom(w)
        while self.left:
            self.now, _, happen = heapq.heappop(self.events)
            happen()
        return Outcome(
            self.now + times.driver, self.worked, self.joined, self.read_bytes,
            self.moved_bytes, self.held, self.waited / self.handled, self.deaths,
        )  # fmt: skip

    def _at(self, when: float, happen: Callable[[], None]) -> None:
        self.count += 1
        heapq.heappush(self.events, (when, self.count, happen))

    def _fill(self, w: int) -> None:
        """Give the free cores of worker `w` its next work: joins first, then blocks."""
        worker = self.workers[w]
        while not worker.down and worker.busy < self.p:
            if worker.joins:
                self._join(w, worker.joins.popleft())
            elif worker.fetched or worker.leaves or self._steal(w):
                self._leaf(w)
            else:
                return

    def _steal(self, w: int) -> bool:
        """Take the last block of the worker with most blocks, if it cannot begin all of them."""
        if not self.open_leaves:
            return False
        most = max(self.workers, key=lambda one: len(one.leaves))
        if len(most.leaves) <= (0 if most.down else self.p):
            return False
        self.workers[w].leaves.append(most.leaves.pop())
        return True

    def _read(self, w: int) -> tuple[int, float]:
        """Start reading the next block of `w`; return it, and the time at which it is there."""
        worker = self.workers[w]
        i = worker.leaves.popleft()
        self.open_leaves -= 1
        if i in self.kept[w]:
            return i, self.now
        worker.line = max(worker.line, self.now) + self.times.read * worker.slowness
        job = self.times.job
        self.read_bytes += job.nbytes / job.blocks * job.stored
        return i, worker.line

    def _leaf(self, w: int) -> None:
        worker = self.workers[w]
        i, there = worker.fetched.popleft() if worker.fetched else self._read(w)
        if self.times.cluster.ahead and worker.leaves and len(worker.fetched) < self.p:
            worker.fetched.append(self._read(w))
        work = self.times.warm if i in self.kept[w] else self.times.work
        self.worked += 1
        self._begin(w, (0, i), max(there, self.now) + work * worker.slowness)

    def _join(self, w: int, node: Node) -> None:
        below = self.shape.children(node)
        remote = sum(self.place.get(one) != w for one in below)
        self.joined += 1
        self.moved_bytes += remote * self.times.compute.sums
        took = self.times.join(len(below), remote) * self.workers[w].slowness
        self._begin(w, node, self.now + took)

    def _begin(self, w: int, node: Node, end: float) -> None:
        worker = self.workers[w]
        worker.busy += 1
        worker.running.add(node)
        life = worker.life
        self._at(end, lambda: self._end(w, node, life))

    def _end(self, w: int, node: Node, life: int) -> None:
        worker = self.workers[w]
        if worker.life != life:
            return  # The worker died before the end.
        worker.busy -= 1
        worker.running.discard(node)
        self._put(node, w)
        if node[0]:
            for below in self.shape.children(node):
                self._drop(below)
        # There is one scheduler: it handles results in order, then starts what they make possible.
        begins = max(self.scheduler, self.now)
        self.waited, self.handled = self.waited + begins - self.now, self.handled + 1
        self.scheduler = begins + self.times.task
        self._at(self.scheduler, lambda: self._told(node))
        self._fill(w)

    def _put(self, node: Node, w: int) -> None:
        self.place[node] = w
        self.status[node[0]][node[1]] = _MADE
        self.workers[w].held += 1
        self.held = max(self.held, self.workers[w].held)

    def _drop(self, node: Node) -> None:
        self.status[node[0]][node[1]] = _SPENT
        w = self.place.pop(node, None)
        if w is not None:
            self.workers[w].held -= 1

    def _told(self, node: Node) -> None:
        """Let the scheduler know that `node` is made; its join may begin where its last part is."""
        if self.status[node[0]][node[1]] != _MADE:
            return  # It was lost before the scheduler knew of it.
        self.status[node[0]][node[1]] = _KNOWN
        if node[0] == self.shape.top:
            self.left -= 1
            self._drop(node)  # It has been fetched by the driver.
            return
        self._ready((node[0] + 1, node[1] // FAN_IN), self.place[node])

    def _ready(self, node: Node, w: int) -> None:
        """Queue the join `node` on worker `w` if all its parts are made and known."""
        below = self.shape.children(node)
        row = self.status[node[0] - 1]
        if node in self.begun or (row[below[0][1] : below[-1][1] + 1] != _KNOWN).any():
            return
        self.begun.add(node)
        self.workers[w].joins.append(node)
        self._fill(w)

    def _doom(self, w: int) -> None:
        rate = self.times.cluster.failures / 3600
        self._at(self.now + self.rng.exponential(1 / rate), lambda: self._die(w))

    def _die(self, w: int) -> None:
        """Lose all results on `w`; those that are still needed are made again from the blocks."""
        worker = self.workers[w]
        self.deaths += 1
        self.workers[w] = Worker(worker.slowness, worker.leaves, life=worker.life + 1, down=True)
        self.kept[w] = set()
        undone = [*worker.running, *worker.joins, *((0, i) for i, _ in worker.fetched)]
        self.begun.difference_update(undone)
        lost = [node for node, at in self.place.items() if at == w]
        for node in lost:
            del self.place[node]
            # A join that has begun elsewhere has fetched its parts already.
            spent = (node[0] + 1, node[1] // FAN_IN) in self.begun
            self.status[node[0]][node[1]] = _SPENT if spent else _DUE
        for node in (*undone, *lost):
            if self.status[node[0]][node[1]] == _DUE:
                self._again(node, w)
        self._at(self.now + self.times.cluster.restart, lambda: self._back(w))
        for other in range(len(self.workers)):
            self._fill(other)

    def _again(self, node: Node, w: int) -> None:
        """Make `node` again, which is due, from those of its parts that are left."""
        if node[0] == 0:
            self.workers[w].leaves.append(node[1])
            self.open_leaves += 1
            return
        self.begun.discard(node)
        below = self.shape.children(node)
        for one in below:
            if self.status[one[0]][one[1]] == _SPENT:
                self.status[one[0]][one[1]] = _DUE
                self._again(one, w)
        there = [self.place[one] for one in below if one in self.place]
        if len(there) == len(below):
            self._ready(node, there[0])

    def _back(self, w: int) -> None:
        self.workers[w].down = False
        self._fill(w)
        self._doom(w)


def simulate(times: Times, seed: int = 0) -> Outcome:
    """Simulate one iteration, the second or a later one."""
    return Simulation(times, seed).run()
