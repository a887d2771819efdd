"""The engine of one machine: a pool of threads, and the specification of every other engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from emdist.engines.blas import one_thread
from emdist.errors import ConfigError
from emdist.sums import Monoid, Tree

S = TypeVar("S", bound=Monoid)

#: Blocks handed to the pool for every thread: the one at work, and the one that comes next. No
#: thread waits for the driver, and sources that read ahead know what to read.
WINDOW = 2


def available_cpus() -> int:
    """CPUs that this process may use: its affinity mask, not the size of the machine."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS has no affinity
        return os.cpu_count() or 1


@dataclass(frozen=True)
class LocalEngine:
    """Runs blocks on threads of this process.

    Kernels release the GIL, so threads scale; the bits are those of the plain loop
    ``tree_sum([task(i) for i in blocks])`` for any number of threads.

    Parameters
    ----------
    threads
        Blocks worked on at a time, at least 1; None: one per CPU that this process may use.
        Memory grows with it: each holds one decoded block.
    """

    threads: int | None = None

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise ConfigError(
                f"threads={self.threads}: at least 1 is needed; leave it out for one per CPU."
            )

    def map_reduce(
        self,
        task: Callable[[int], S],
        blocks: Sequence[int],
        done: Callable[[int], None] | None = None,
    ) -> S:
        """``tree_sum([task(i) for i in blocks])``, bit for bit; see `interfaces.Engine`.

        The first error of a task is raised as it is. Blocks not begun are dropped then; those
        that are running finish in the background and their results are discarded.
        """
        require_blocks(blocks)
        threads = min(self.threads or available_cpus(), len(blocks))
        report = done or _silent
        with one_thread():  # held throughout, so that the pools are not reset between tasks
            if threads == 1:
                return _in_line(task, blocks, report)
            return _in_pool(task, blocks, report, threads)


def require_blocks(blocks: Sequence[int]) -> None:
    """Refuse an empty pass: a sum of nothing has no shape."""
    if len(blocks) == 0:
        raise ValueError("map_reduce needs at least one block, got none")


def _silent(finished: int) -> None:
    pass


def expecting(task: Callable[[int], S]) -> Callable[[int], None]:
    """How a task is told which block it will be given next: by its own `expect` or its source's.

    Tasks that may do without the rows of a block have one of their own.
    """
    sources: Any = getattr(getattr(task, "source", None), "expect", _silent)
    expect: Any = getattr(task, "expect", sources)

    def hint(block: int) -> None:
        # What is amiss is told by whoever reads the block.
        with suppress(Exception):
            expect(block)

    return hint


def _in_line(task: Callable[[int], S], blocks: Sequence[int], report: Callable[[int], None]) -> S:
    tree: Tree[S] = Tree(len(blocks))
    expect = expecting(task)
    for position, block in enumerate(blocks):
        if position + 1 < len(blocks):
            expect(blocks[position + 1])
        tree.add(position, task(block))
        report(position + 1)
    return tree.result()


def _guarded(task: Callable[[int], S], block: int) -> S:
    # Also here: a task may outlive an interrupted pass, and the guard of that pass with it.
    with one_thread():
        return task(block)


def _in_pool(
    task: Callable[[int], S],
    blocks: Sequence[int],
    report: Callable[[int], None],
    threads: int,
) -> S:
    tree: Tree[S] = Tree(len(blocks))
    running: dict[Future[S], int] = {}
    begun = 0
    expect = expecting(task)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="emdist-block")
    try:
        while begun < len(blocks) or running:
            # A window, not all at once: results wait in the tree for their siblings, and a
            # window keeps the order of arrival near the order of the blocks.
            while begun < len(blocks) and len(running) < WINDOW * threads:
                expect(blocks[begun])  # its files are read while others are worked on
                running[pool.submit(_guarded, task, blocks[begun])] = begun
                begun += 1
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in sorted(finished, key=running.__getitem__):
                tree.add(running.pop(future), future.result())
            report(begun - len(running))
    finally:
        # Also on KeyboardInterrupt: do not wait for blocks whose results nobody wants.
        pool.shutdown(wait=False, cancel_futures=True)
    return tree.result()
