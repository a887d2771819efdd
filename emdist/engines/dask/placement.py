"""Which worker takes which block: the same one in every pass, near its cache."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Workers that a strictly placed task may choose from: enough to survive the loss of some, few
#: enough to be sent with every task.
CHOICE = 8


@dataclass(frozen=True)
class Places:
    """Key to workers: evaluated on the scheduler, as the ``workers`` annotation.

    Parameters
    ----------
    leaf
        First part of the key of a block.
    index
        (n,) worker of each block, as an index into `workers`.
    workers
        Addresses, at least one.
    strict
        False: blocks name the worker they prefer, other tasks none. True: every task names
        up to `CHOICE` workers, and no other may take it.
    """

    leaf: str
    index: NDArray[np.int64]
    workers: tuple[str, ...]
    strict: bool = False

    def __call__(self, key: Any) -> list[str]:
        """Addresses for the task `key`; none means any worker."""
        kind, i = key if isinstance(key, tuple) else (key, 0)
        if kind == self.leaf:
            i = self.index[i]
        elif not self.strict:
            return []
        n = len(self.workers)
        return [self.workers[(i + j) % n] for j in range(min(CHOICE, n) if self.strict else 1)]


@dataclass(frozen=True)
class InTurn:
    """Key to priority, as the ``priority`` annotation: blocks in their order, joins before them.

    Dask's own order is that of no reading: it goes through the blocks of a join backwards. A
    worker could not tell which block comes next, nor a disk.

    Parameters
    ----------
    leaf
        First part of the key of a block.
    n_blocks
        Of the pass.
    """

    leaf: str
    n_blocks: int

    def __call__(self, key: Any) -> float:
        """Greater is earlier."""
        kind, i = key if isinstance(key, tuple) else (key, 0)
        return 1.0 - i / self.n_blocks if kind == self.leaf else 1.0


#: Hashes held at once: a million blocks on a thousand workers would be 8 GB.
HASHES = 1 << 20


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The splitmix64 finaliser: bits of `x`, well stirred (Steele, Lea and Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def following(
    blocks: tuple[int, ...], index: NDArray[np.int64], threads: Sequence[int]
) -> tuple[int | None, ...]:
    """What each block's worker comes to when it has a thread free for it; None at the end.

    Parameters
    ----------
    blocks
        Block indices.
    index
        (n,) worker of each.
    threads
        Of each worker.
    """
    after: list[int | None] = [None] * len(blocks)
    for worker, many in enumerate(threads):
        own = np.flatnonzero(index == worker).tolist()
        for position, later in zip(own, own[max(1, many) :], strict=False):
            after[position] = blocks[later]
    return tuple(after)


@lru_cache(maxsize=4)
def place(blocks: tuple[int, ...], workers: tuple[tuple[str, int], ...]) -> NDArray[np.int64]:
    """The worker of each block: rendezvous hashing with bounded loads.

    A block goes to the worker with the largest hash of (block, worker) that has room left, so
    that a block finds the same worker, and its cache, in every pass, and few blocks move when
    a worker comes or goes. The bound keeps any worker from being the last one busy.

    Parameters
    ----------
    blocks
        Block indices.
    workers
        (address, threads), at least one; room is in proportion to threads.

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
    """(n,) the name with the largest hash for each id, a slice of ids at a time."""
    rows = max(1, HASHES // len(names))
    out = np.empty(len(ids), np.int64)
    for a in range(0, len(ids), rows):
        # + 1: zero is the hash of zero. The arithmetic is modulo 2**64, as it should be.
        own = _mix(ids[a : a + rows] + np.uint64(1))[:, None]
        out[a : a + rows] = _mix(own ^ _mix(names + np.uint64(1))[None, :]).argmax(axis=1)
    return out


def choose(
    leaf: str, blocks: tuple[int, ...], workers: Mapping[str, int], avoid: set[str]
) -> Places:
    """The placement of one attempt.

    Tasks with restrictions are never queued on the scheduler (`Scheduler.is_rootish`): all
    leaves go to their workers at once, about a kilobyte each. That does no harm here. A worker
    runs them by priority, which puts the join of a group before the leaves of later groups, so
    few results lie about. Without restrictions, a block would not meet its cache, and leaves
    too few to be queued would all go where the loaded task lies. As the restrictions are loose,
    idle workers steal, and the blocks of a dead worker go anywhere.

    Not so while a worker is avoided: to the scheduler it looks idle, and it would steal.

    Parameters
    ----------
    leaf
        First part of the key of a block.
    blocks
        Block indices.
    workers
        Address to threads, at least one.
    avoid
        Addresses of workers that have stood still.
    """
    trusted = {address: n for address, n in workers.items() if address not in avoid}
    chosen = tuple(sorted((trusted or workers).items()))
    return Places(
        leaf=leaf,
        index=place(blocks, chosen),
        workers=tuple(address for address, _ in chosen),
        strict=0 < len(trusted) < len(workers),
    )
