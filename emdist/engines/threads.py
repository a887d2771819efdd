"""The engine of one machine: a pool of threads that does what the plain loop does."""

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
        if self.threads is not None:
            whole_number(self.threads, "threads", 1)

    def at_work(self, blocks: int) -> int:
        """How many threads a pass over so many blocks has."""
        return min(self.threads or available_cpus(), blocks)

    @interrupts_first()
    def map_reduce(
        self,
        task: Callable[[int], S],
        blocks: Sequence[int],
        done: Callable[[int], None] | None = None,
    ) -> S:
        """``tree_sum([task(i) for i in blocks])``, bit for bit; see `interfaces.Engine`.

        The first error of a task is raised as it is. Blocks not begun are dropped then; those
        that are running finish in the background and their results are discarded. The calling
        thread works on blocks as well, so that it heeds signals between two of them, or while it
        reads.
        """
        require_blocks(blocks)
        threads = self.at_work(len(blocks))
        report = done or _silent
        with one_thread():  # held throughout, so that the pools are not reset between tasks
            if threads == 1:
                return _in_line(task, blocks, report)
            return _in_pool(task, blocks, report, threads)


def _silent(finished: int) -> None:
    pass


def expecting(task: Callable[[int], S]) -> Callable[[int], None]:
    """How a task is told which block it will be given next: by its own `expect` or its source's.

    Tasks that may do without the rows of a block have one of their own.
    """
    sources: Any = getattr(getattr(task, "source", None), "expect", _silent)
    expect: Any = getattr(task, "expect", sources)

    def hint(block: int) -> None:
        # What is amiss, whatever a source raises, is told by whoever reads the block.
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


class _Pass(Generic[S]):
    """What the threads of a pass take blocks from and give sums to; it has state for that.

    Threads take the next block themselves and join what they have, rather than wait for the
    driver to hand it to them: a block costs a few microseconds besides its task.
    """

    def __init__(self, task: Callable[[int], S], blocks: Sequence[int], threads: int) -> None:
        self._task, self._blocks, self._threads = task, blocks, threads
        self._tree: Tree[S] = Tree(len(blocks))
        self._expect = expecting(task)
        self._told, self._begun, self._finished = 0, 0, 0
        self._error: BaseException | None = None
        # No Condition: it is entered in two steps of Python, and an interrupt of the caller between
        # them leaves it locked for good, with a thread that waits for it and a process that waits
        # for that thread. A plain lock and this queue are entered in one.
        self._lock = _thread.allocate_lock()
        self._news: queue.SimpleQueue[None] = queue.SimpleQueue()

    def work(self, report: Callable[[int], None]) -> int:
        """Work on blocks until none is left; how many were finished when that was last told."""
        told = 0
        # Also here: a thread may outlive an interrupted pass, and the guard of that pass with it.
        with one_thread():
            while (position := self._next()) is not None:
                self._give(position, self._task(self._blocks[position]))
                told = self._finished
                report(told)
        return told

    def run(self) -> None:
        """As `work`, on a thread of its own: whoever waits for the pass is told of an error."""
        try:
            self.work(_silent)
        except BaseException as error:  # noqa: BLE001 - whoever waits raises it, or waits for ever
            self.end(error)

    def _next(self) -> int | None:
        with self._lock:
            position = self._begun
            if position >= len(self._blocks):
                return None
            self._begun += 1
            # Within the lock: what is told of a block that is being read already reads it twice.
            self._announce(self._begun + self._threads)
        return position

    def _announce(self, end: int) -> None:
        """Tell of the blocks before position `end`: of one to come for each thread."""
        for soon in range(self._told, min(end, len(self._blocks))):
            self._expect(self._blocks[soon])
        self._told = max(self._told, end)

    def _give(self, position: int, value: S) -> None:
        with self._lock:
            self._tree.add(position, value)
            self._finished += 1
        self._news.put(None)

    def end(self, error: BaseException | None = None) -> None:
        """Let no thread begin another block; those that are running finish."""
        with self._lock:
            self._begun = len(self._blocks)
            self._error = self._error or error
        self._news.put(None)

    def beyond(self, told: int) -> int:
        """How many blocks are finished, as soon as these are more than `told` or it has failed."""
        while self._finished <= told and not self.failed:
            self._news.get()
        return self._finished

    @property
    def failed(self) -> bool:
        """Whether a task raised an error."""
        return self._error is not None

    def result(self) -> S:
        """The sum of a pass that is over, or the first error."""
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # It refers to frames that refer to this.
        return self._tree.result()


@cache
def _crew() -> Crew:
    """The one of this process, made for its first pass on several threads."""
    return Crew()


def _in_pool(
    task: Callable[[int], S],
    blocks: Sequence[int],
    report: Callable[[int], None],
    threads: int,
) -> S:
    passing = _Pass(task, blocks, threads)
    try:
        _crew().call(passing.run, threads - 1)
        # This thread takes part: one that it would have to wake first may share its processor
        # for a millisecond or more, until the system has moved it to another.
        told = passing.work(report)
        while told < len(blocks) and not passing.failed:
            told = passing.beyond(told)
            report(told)
    finally:
        # Also on KeyboardInterrupt: do not wait for blocks whose results nobody wants.
        passing.end()
    return passing.result()
