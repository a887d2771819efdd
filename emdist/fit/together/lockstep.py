"""Lockstep: computations written as if each were alone share their passes over the data.

Each runs on its own thread until it needs a pass. When all of them wait, the requested tasks run as
one bundle over one read of the blocks. Each then gets its own result and goes on. None of them
(seeders, schedules, policies) knows of the others, and each result is bit-identical to that of the
computation alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from emdist.engines.threads import available_cpus
from emdist.fit.events import Event, Progress
from emdist.fit.together.bundle import Bundle, BundleResults, OneRead, nbytes_of
from emdist.interfaces import Engine

T = TypeVar("T")

#: Seconds between progress reports of computations that all others wait for.
_A_WHILE = 1.0

#: Largest size in bytes of the results of one block that a pass holds for all its tasks together. A
#: process holds several times as many: one set for each thread, and those that wait in the tree.
BUDGET = 256 << 20


class _Closed(BaseException):
    """Ends the thread of a computation after its lockstep has ended."""


@dataclass
class _Request:
    """A pass that a computation waits for. It is mutable, because the answer is stored in it."""

    task: Callable[[int], Any]
    blocks: tuple[int, ...]
    result: Any = None
    answered: bool = False


class Member:
    """The engine of one computation: its passes are made together with those of the others.

    It stores its lockstep, and the size of the largest result that it was given.
    """

    def __init__(self, lockstep: Lockstep[Any], index: int) -> None:
        self.index = index
        self.largest = 0
        self._lockstep = lockstep

    @property
    def threads(self) -> int | None:
        """The threads of the engine that makes the passes; None if it has no such number."""
        return self._lockstep.threads

    def map_reduce(
        self,
        task: Callable[[int], Any],
        blocks: Sequence[int],
        done: Callable[[int], None] | None = None,
    ) -> Any:
        """Do what any engine does, except that `done` is not called: the lockstep has progress."""
        return self._lockstep.answer(self, _Request(task, tuple(blocks)))

    def tell(self, event: Event) -> None:
        """Let the thread that drives the lockstep report `event`."""
        self._lockstep.told(self.index, event)

    def expected(self, task: Any) -> int:
        """Return how many bytes a result of `task` may take, judging by earlier results."""
        return max(self.largest, nbytes_of(task))


class Lockstep(Generic[T]):
    """Runs computations whose passes are made together.

    It is mutable because threads meet in it: it records who computes, who waits, and their events.

    Parameters
    ----------
    engine
        Runs the bundles, from the thread that iterates over `run`.
    source
        The source that all tasks read.
    works
        Functions that each return an iterator, given the engine to use.
    progress
        Called with how many computations a pass serves, how many blocks are done, and how many
        there are.
    listen
        Called with the index of a computation and each of its events.
    budget
        Largest size in bytes of the results of one block in one pass. If they are larger, there are
        more passes.
    """

    def __init__(
        self,
        engine: Engine,
        source: OneRead,
        works: Sequence[Callable[[Member], Iterator[T]]],
        progress: Callable[[int, int, int], None],
        listen: Callable[[int, Event], None],
        budget: int = BUDGET,
    ) -> None:
        self._engine, self._source, self._works = engine, source, works
        self._progress, self._listen, self._budget = progress, listen, budget
        self._changed = threading.Condition()
        # Driver-side work (seeding from the sample, M-steps) is shared among the CPUs.
        self._turns = threading.Semaphore(available_cpus())
        self._computing = 0
        self._asked: dict[int, tuple[Member, _Request]] = {}
        self._items: list[tuple[int, T]] = []
        self._events: list[tuple[int, Event]] = []
        self._failed: dict[int, BaseException] = {}
        self._closing = False

    @property
    def threads(self) -> int | None:
        """The threads of the engine; None if it has no such number."""
        return getattr(self._engine, "threads", None)

    def run(self) -> Iterator[list[tuple[int, T]]]:
        """Yield what the computations yield, with their indices, as soon as all wait for a pass.

        The first error of a computation or a pass ends all. What was yielded before comes first.
        """
        try:
            self._begin()
            while True:
                while not self._all_wait():
                    self._tell_progress()
                with self._changed:
                    items, self._items = sorted(self._items, key=lambda item: item[0]), []
                    events, self._events = sorted(self._events, key=lambda item: item[0]), []
                    asked = [self._asked.pop(index) for index in sorted(self._asked)]
                for index, event in events:
                    self._listen(index, event)
                if items:
                    yield items
                for index in sorted(self._failed):
                    raise self._failed[index]
                if not asked:
                    return
                self._serve(asked)
        finally:
            with self._changed:
                self._closing = True
                self._changed.notify_all()

    def _all_wait(self) -> bool:
        """Return whether all computations wait for a pass; give up after `_A_WHILE`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._computing == 0, _A_WHILE)

    def _tell_progress(self) -> None:
        """Report progress of long computations; other events wait, to keep their order."""
        with self._changed:
            news = [one for one in self._events if isinstance(one[1], Progress)]
            self._events = [one for one in self._events if not isinstance(one[1], Progress)]
        for index, event in news:
            self._listen(index, event)

    def _begin(self) -> None:
        """Start a thread for each computation."""
        self._computing = len(self._works)
        for index, work in enumerate(self._works):
            threading.Thread(
                target=self._play, args=(index, work), name=f"emdist-fit-{index}", daemon=True
            ).start()

    def _play(self, index: int, work: Callable[[Member], Iterator[T]]) -> None:
        """Run one computation on its own thread, and record what it yields or how it fails."""
        error: BaseException | None = None
        try:
            with self._turns:
                for item in work(Member(self, index)):
                    with self._changed:
                        self._items.append((index, item))
        except _Closed:
            return
        except BaseException as caught:  # noqa: BLE001 - raised again where it can be handled
            error = caught
        with self._changed:
            if error is not None:
                self._failed[index] = error
            self._computing -= 1
            self._changed.notify_all()

    def answer(self, member: Member, request: _Request) -> Any:
        """Wait for the result of `request`; called on the member's own thread."""
        self._turns.release()
        try:
            with self._changed:
                self._asked[member.index] = member, request
                self._computing -= 1
                self._changed.notify_all()
                self._changed.wait_for(lambda: request.answered or self._closing)
                if not request.answered:
                    raise _Closed
        finally:
            self._turns.acquire()
        return request.result

    def told(self, index: int, event: Event) -> None:
        """Keep `event` for the thread that iterates over `run`."""
        with self._changed:
            self._events.append((index, event))

    def _serve(self, asked: list[tuple[Member, _Request]]) -> None:
        """Make one pass for all requests of the same blocks, or more if results are too large."""
        left = asked
        while left:
            blocks = left[0][1].blocks
            for part in self._packed([one for one in left if one[1].blocks == blocks]):
                self._pass(part, blocks)
            left = [one for one in left if one[1].blocks != blocks]
        # Answer only when all have their results, so that they meet again at the next pass.
        with self._changed:
            for _, request in asked:
                request.answered = True
            self._computing = len(asked)
            self._changed.notify_all()

    def _packed(
        self, asked: list[tuple[Member, _Request]]
    ) -> Iterator[list[tuple[Member, _Request]]]:
        """Yield groups of requests whose results fit the budget; a large one is a group alone."""
        part: list[tuple[Member, _Request]] = []
        size = 0
        for member, request in asked:
            more = member.expected(request.task)
            if part and size + more > self._budget:
                yield part
                part, size = [], 0
            part.append((member, request))
            size += more
        yield part

    def _pass(self, part: list[tuple[Member, _Request]], blocks: tuple[int, ...]) -> None:
        """Make one pass for a group of requests, and store the result of each."""
        n, total = len(part), len(blocks)
        self._progress(n, 0, total)
        task = Bundle(self._source, tuple(request.task for _, request in part))
        found: BundleResults = self._engine.map_reduce(
            task, blocks, lambda done: self._progress(n, done, total)
        )
        for (member, request), result in zip(part, found.parts, strict=True):
            member.largest = max(member.largest, nbytes_of(result))
            request.result = result
