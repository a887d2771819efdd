"""Placement: which worker takes which block. It is the same in every pass, so caches are useful."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: How many workers a strictly placed task may choose from: enough to survive the loss of some, few
#: enough to be sent with every task.
CHOICE = 8


@dataclass(frozen=True)
class Places:
    """Maps a key to workers. The scheduler evaluates it as the ``workers`` annotation.

    Parameters
    ----------
    leaf
        The first part of the key of a block.
    index
        The worker of each block, shape (n,), as an index into `workers`.
    workers
        The addresses of the workers, at least one.
    strict
        If False, blocks name the worker that they prefer, and other tasks name none. If True, every
        task names up to `CHOICE` workers, and no other worker may take it.
    """

    leaf: str
    index: NDArray[np.int64]
    workers: tuple[str, ...]
    strict: bool = False

    def __call__(self, key: Any) -> list[str]:
        """Return the addresses for the task `key`. An empty list means any worker."""
        kind, i = key if isinstance(key, tuple) else (key, 0)
        if kind == self.leaf:
            i = self.index[i]
        elif not self.strict:
            return []
        n = len(self.workers)
        return [self.workers[(i + j) % n] for j in range(min(CHOICE, n) if self.strict else 1)]


@dataclass(frozen=True)
class InTurn:
    """Maps a key to its priority: blocks come in order, and joins before them.

    The scheduler evaluates it as the ``priority`` annotation. Dask's own order does not suit
    reading, because it goes through the blocks of a join backwards. Neither a worker nor a disk
    could then predict which block comes next.

    Parameters
    ----------
    leaf
        The first part of the key of a block.
    n_blocks
        The number of blocks in the pass.
    """

    leaf: str
    n_blocks: int

    def __call__(self, key: Any) -> float:
        """Return the priority of a task. Tasks with a greater number run earlier."""
        kind, i = key if isinstance(key, tuple) else (key, 0)
        return 1.0 - i / self.n_blocks if kind == self.leaf else 1.0


#: Hashes in memory at once. All of a million blocks on a thousand workers would take 8 GB.
HASHES = 1 << 20


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the splitmix64 finaliser of `x`, which mixes its bits (Steele, Lea and Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def following(
    blocks: tuple[int, ...], index: NDArray[np.int64], threads: Sequence[int]
) -> tuple[int | None, ...]:
    """Return, for each block, the block that its worker reads ahead; None at the end.

    It is the block that the worker processes next on the same thread, if each thread takes one
    block in turn.

    Parameters
    ----------
    blocks
        The block indices.
    index
        The worker of each block, shape (n,).
    threads
        The number of threads of each worker.
    """
    after: list[int | None] = [None] * len(blocks)
    for worker, many in enumerate(threads):
        own = np.flatnonzero(index == worker).tolist()
        for position, later in zip(own, own[max(1, many) :], strict=False):
            after[position] = blocks[later]
    return tuple(after)


@lru_cache(maxsize=4)
def place(blocks: tuple[int, ...], workers: tuple[tuple[str, int], ...]) -> NDArray[np.int64]:
    """Return the worker of each block, by rendezvous hashing with bounded loads.

    A block goes to the worker with the largest hash of (block, worker) that has capacity left. So a
    block finds the same worker, and its cache, in every pass, and few blocks move when a worker
    joins or leaves. The bound prevents that one worker is still busy when all others have finished.

    Parameters
    ----------
    blocks
        The block indices.
    workers
        Pairs of address and threads, at least one. Capacity is in proportion to threads.

    Returns
    -------
    (n,) indices into `workers`.
    """
    names = np.array([zlib.crc32(address.encode()) for address, _ in workers], dtype=np.uint64)
    threads = np.array([max(1, n) for _, n in workers], dtype=np.int64)
    room = -(-len(blocks) * threads // threads.sum())
    ids = np.array(blocks, dtype=np.uint64)
    chosen = np.full(len(blocks), -1, dtype=np.int64)
    open_workers = np.arange(len(workers))
    while (left := np.flatnonzero(chosen < 0)).size:
        best = open_workers[_favourites(ids[left], names[open_workers])]
        for w in np.unique(best):
            taken = left[best == w][: room[w]]
            chosen[taken] = w
            room[w] -= len(taken)
        open_workers = np.flatnonzero(room > 0)
    return chosen


def _favourites(ids: NDArray[np.uint64], names: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return, for each id, the index of the name with the largest hash. Shape (n,).

    The ids are processed in slices, to limit memory.
    """
    rows = max(1, HASHES // len(names))
    out = np.empty(len(ids), np.int64)
    for a in range(0, len(ids), rows):
        # + 1, because the hash of zero is zero. The arithmetic is modulo 2**64, as intended.
        own = _mix(ids[a : a + rows] + np.uint64(1))[:, None]
        out[a : a + rows] = _mix(own ^ _mix(names + np.uint64(1))[None, :]).argmax(axis=1)
    return out


def choose(
    leaf: str, blocks: tuple[int, ...], workers: Mapping[str, int], avoid: set[str]
) -> Places:
    """Return the placement of the blocks in one attempt.

    Dask never queues tasks with restrictions on the scheduler (`Scheduler.is_rootish`): all leaves
    go to their workers at once, about a kilobyte each. That does no harm here. A worker runs them
    by priority, which puts the join of a group before the leaves of later groups, so few results
    accumulate. Without restrictions, a block would not find its cache, and if the leaves were too
    few to be queued, all of them would go to the worker that holds the loaded task. As the
    restrictions are loose, idle workers steal blocks, and the blocks of a dead worker go anywhere.

    The restrictions are strict while a worker is avoided: to the scheduler it looks idle, and it
    would steal blocks.

    Parameters
    ----------
    leaf
        The first part of the key of a block.
    blocks
        The block indices.
    workers
        The number of threads of each worker, by address; at least one worker.
    avoid
        The addresses of workers that have stalled.
    """
    trusted = {address: n for address, n in workers.items() if address not in avoid}
    chosen = tuple(sorted((trusted or workers).items()))
    return Places(
        leaf=leaf,
        index=place(blocks, chosen),
        workers=tuple(address for address, _ in chosen),
        strict=0 < len(trusted) < len(workers),
    )
