"""LocalEngine: applies a task to blocks on a pool of threads, with the plain loop's results."""

from __future__ import annotations

import _thread
import os
import queue
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar

from emdist.engines.blas import one_thread
from emdist.engines.loop import require_blocks
from emdist.inputs.validation import whole_number
from emdist.runtime.interrupts import interrupts_first
from emdist.runtime.worker_threads import Crew
from emdist.sums import Monoid, Tree

S = TypeVar("S", bound=Monoid)


def available_cpus() -> int:
    """Return the number of CPUs that this process may use, by its affinity mask."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS has no affinity masks
        return os.cpu_count() or 1


@dataclass(frozen=True)
class LocalEngine:
    """Processes blocks on threads of this process.

    Kernels release the GIL, so more threads give more speed. For any number of threads, the result
    is bit-identical to that of the plain loop ``tree_sum([task(i) for i in blocks])``.

    Parameters
    ----------
    threads
        How many blocks are processed at a time, at least 1. None uses one thread for each CPU that
        this process may use. Memory grows with this number, because each thread holds one decoded
        block.
    """

    threads: int | None = None

    def __post_init__(self) -> None:
        if self.threads is not None:
            whole_number(self.threads, "threads", 1)

    def at_work(self, blocks: int) -> int:
        """Return the number of threads of a pass over so many blocks."""
        return min(self.threads or available_cpus(), blocks)

    @interrupts_first()
    def map_reduce(
        self,
        task: Callable[[int], S],
        blocks: Sequence[int],
        done: Callable[[int], None] | None = None,
    ) -> S:
        """Return ``tree_sum([task(i) for i in blocks])``, bit for bit; see `interfaces.Engine`.

        The first error of a task is raised unchanged. Blocks that have not begun are then dropped.
        Running blocks finish in the background, and their results are discarded. The calling thread
        processes blocks too, so it handles signals between two blocks, or while it reads.
        """
        require_blocks(blocks)
        threads = self.at_work(len(blocks))
        report = done or _silent
        with one_thread():  # held throughout, so that the BLAS pools are not reset between tasks
            if threads == 1:
                return _in_line(task, blocks, report)
            return _in_pool(task, blocks, report, threads)


def _silent(finished: int) -> None:
    pass


def expecting(task: Callable[[int], S]) -> Callable[[int], None]:
    """Return a function that announces the next block to a task, by its `expect` or its source's.

    Tasks that may not need the rows of a block have an `expect` of their own.
    """
    sources: Any = getattr(getattr(task, "source", None), "expect", _silent)
    expect: Any = getattr(task, "expect", sources)

    def hint(block: int) -> None:
        # Whatever a source raises here, reading the block will report it.
        with suppress(Exception):
            expect(block)

    return hint


def _in_line(task: Callable[[int], S], blocks: Sequence[int], report: Callable[[int], None]) -> S:
    """Process the blocks one after another in the calling thread."""
    tree: Tree[S] = Tree(len(blocks))
    expect = expecting(task)
    for position, block in enumerate(blocks):
        if position + 1 < len(blocks):
            expect(blocks[position + 1])
        tree.add(position, task(block))
        report(position + 1)
    return tree.result()


class _Pass(Generic[S]):
    """A pass in progress: threads take blocks from it and give sums to it. It is mutable.

    Threads take the next block themselves and add their sums themselves, rather than wait for the
    driver. So a block costs a few microseconds besides its task.
    """

    def __init__(self, task: Callable[[int], S], blocks: Sequence[int], threads: int) -> None:
        self._task, self._blocks, self._threads = task, blocks, threads
        self._tree: Tree[S] = Tree(len(blocks))
        self._expect = expecting(task)
        self._told, self._begun, self._finished = 0, 0, 0
        self._error: BaseException | None = None
        # Not a Condition: entering one takes two steps of Python. An interrupt of the caller
        # between them would leave it locked for ever, with a thread that waits for it and a process
        # that waits for that thread. A plain lock and this queue are entered in one step.
        self._lock = _thread.allocate_lock()
        self._news: queue.SimpleQueue[None] = queue.SimpleQueue()

    def work(self, report: Callable[[int], None]) -> int:
        """Process blocks until none is left. Return the number finished at the last report."""
        told = 0
        # Also here, because a thread may outlive an interrupted pass, and with it the guard of that
        # pass.
        with one_thread():
            while (position := self._next()) is not None:
                self._give(position, self._task(self._blocks[position]))
                told = self._finished
                report(told)
        return told

    def run(self) -> None:
        """Do the same as `work` on a separate thread, and store an error for the waiting thread."""
        try:
            self.work(_silent)
        except BaseException as error:  # noqa: BLE001 - the waiting thread raises it
            self.end(error)

    def _next(self) -> int | None:
        """Return the position of the next block, or None if none is left."""
        with self._lock:
            position = self._begun
            if position >= len(self._blocks):
                return None
            self._begun += 1
            # Inside the lock: announcing a block after another thread began it would read the block
            # twice.
            self._announce(self._begun + self._threads)
        return position

    def _announce(self, end: int) -> None:
        """Announce the blocks before position `end`: one coming block for each thread."""
        for soon in range(self._told, min(end, len(self._blocks))):
            self._expect(self._blocks[soon])
        self._told = max(self._told, end)

    def _give(self, position: int, value: S) -> None:
        """Add the sums of a block to the tree, and wake the thread that waits."""
        with self._lock:
            self._tree.add(position, value)
            self._finished += 1
        self._news.put(None)

    def end(self, error: BaseException | None = None) -> None:
        """Let no thread begin another block. Running blocks finish."""
        with self._lock:
            self._begun = len(self._blocks)
            self._error = self._error or error
        self._news.put(None)

    def beyond(self, told: int) -> int:
        """Wait until more than `told` blocks are finished or a task failed. Return how many are."""
        while self._finished <= told and not self.failed:
            self._news.get()
        return self._finished

    @property
    def failed(self) -> bool:
        """Whether a task raised an error."""
        return self._error is not None

    def result(self) -> S:
        """Return the sum of a finished pass, or raise the first error."""
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # It refers to frames that refer to this object.
        return self._tree.result()


@cache
def _crew() -> Crew:
    """Return the crew of this process, which is made for its first pass on several threads."""
    return Crew()


def _in_pool(
    task: Callable[[int], S],
    blocks: Sequence[int],
    report: Callable[[int], None],
    threads: int,
) -> S:
    """Process the blocks on the calling thread and on threads of the crew."""
    passing = _Pass(task, blocks, threads)
    try:
        _crew().call(passing.run, threads - 1)
        # This thread takes part. If it first had to wake another thread, that thread might share
        # its processor for a millisecond or more, until the system moves it to another one.
        told = passing.work(report)
        while told < len(blocks) and not passing.failed:
            told = passing.beyond(told)
            report(told)
    finally:
        # Also after KeyboardInterrupt: do not wait for blocks whose results nobody needs.
        passing.end()
    return passing.result()
