"""Lockstep: computations that are each written as if they were alone share their passes.

Each runs on a thread of its own until it wants a pass. Once all wait, what they want runs as one
bundle over one read of the blocks, each is given its own result, and they go on. None of them
(seeders, schedules, policies) knows of the others, and each result has the bits that it has alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from emdist.engines.threads import available_cpus
from emdist.fit.events import Event, Progress
from emdist.fit.together.bundle import Bundle, OneRead, Results, nbytes_of
from emdist.interfaces import Engine

T = TypeVar("T")

#: Seconds after which computations that all others wait for tell how far they are.
_A_WHILE = 1.0

#: Results of one block that a pass may hold for all its tasks together, in bytes. A process holds
#: a few times as many: one for each thread, and those that wait for their siblings in the tree.
BUDGET = 256 << 20


class _Closed(BaseException):
    """Ends a member whose lockstep has ended."""


@dataclass
class _Request:
    """A pass that a member waits for; it has state, the answer, because it is a mailbox."""

    task: Callable[[int], Any]
    blocks: tuple[int, ...]
    result: Any = None
    answered: bool = False


class Member:
    """The engine of one computation: its passes are made together with those of the others.

    It has state, the lockstep that it belongs to and the largest result that it was given.
    """

    def __init__(self, lockstep: Lockstep[Any], index: int) -> None:
        self.index = index
        self.largest = 0
        self._lockstep = lockstep

    def map_reduce(
        self,
        task: Callable[[int], Any],
        blocks: Sequence[int],
        done: Callable[[int], None] | None = None,
    ) -> Any:
        """As of any engine; `done` is not called: whoever drives the lockstep tells progress."""
        return self._lockstep.answer(self, _Request(task, tuple(blocks)))

    def tell(self, event: Event) -> None:
        """Have `event` told by the thread that drives the lockstep."""
        self._lockstep.told(self.index, event)

    def expected(self, task: Any) -> int:
        """Bytes that a result of `task` takes, as far as can be known: as the last one did."""
        return max(self.largest, nbytes_of(task))


class Lockstep(Generic[T]):
    """Drives computations whose passes are made together.

    It has state because threads meet in it: who computes, who waits, what they have said.

    Parameters
    ----------
    engine
        Runs the bundles, from the thread that iterates over `run`.
    source
        That all tasks read.
    works
        Each gives an iterator, given the engine that it has to use.
    progress
        Told how many computations a pass serves, its blocks done and in all.
    listen
        Told what the computations tell, with their indices.
    budget
        Bytes of the results of one block in one pass: where they are more, there are more passes.
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

    def run(self) -> Iterator[list[tuple[int, T]]]:
        """What the computations yield, with their indices, as soon as all wait for a pass.

        The first error of one, or of a pass, ends all; what was yielded before it comes first.
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
        """Whether all computations wait for a pass, within a while."""
        with self._changed:
            return self._changed.wait_for(lambda: self._computing == 0, _A_WHILE)

    def _tell_progress(self) -> None:
        """How far computations are that take long; other events wait, so that they keep order."""
        with self._changed:
            news = [one for one in self._events if isinstance(one[1], Progress)]
            self._events = [one for one in self._events if not isinstance(one[1], Progress)]
        for index, event in news:
            self._listen(index, event)

    def _begin(self) -> None:
        self._computing = len(self._works)
        for index, work in enumerate(self._works):
            threading.Thread(
                target=self._play, args=(index, work), name=f"emdist-fit-{index}", daemon=True
            ).start()

    def _play(self, index: int, work: Callable[[Member], Iterator[T]]) -> None:
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
        """Keep `event` for the thread that iterates."""
        with self._changed:
            self._events.append((index, event))

    def _serve(self, asked: list[tuple[Member, _Request]]) -> None:
        """One pass for all that want the same blocks; more where results are too large."""
        left = asked
        while left:
            blocks = left[0][1].blocks
            for part in self._packed([one for one in left if one[1].blocks == blocks]):
                self._pass(part, blocks)
            left = [one for one in left if one[1].blocks != blocks]
        # Only when all have their results: they meet again at the next pass.
        with self._changed:
            for _, request in asked:
                request.answered = True
            self._computing = len(asked)
            self._changed.notify_all()

    def _packed(
        self, asked: list[tuple[Member, _Request]]
    ) -> Iterator[list[tuple[Member, _Request]]]:
        """Runs of requests whose results are within the budget, or single ones."""
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
        n, total = len(part), len(blocks)
        self._progress(n, 0, total)
        task = Bundle(self._source, tuple(request.task for _, request in part))
        found: Results = self._engine.map_reduce(
            task, blocks, lambda done: self._progress(n, done, total)
        )
        for (member, request), result in zip(part, found.parts, strict=True):
            member.largest = max(member.largest, nbytes_of(result))
            request.result = result
