"""Passes of tiny blocks that are interrupted, everywhere or at random; run as a process of its own.

``python interrupted_passes.py everywhere`` interrupts a pass at each moment at which Python calls
the handlers of signals, one after another: as a function of Python begins and as one of C has
returned. ``python interrupted_passes.py SEED COUNT`` sends COUNT signals at random times.

Ends with code 0 if the engine was as before after each. A lock that stays locked shows as a thread
that stands still, as a pass that does not end, or as a process that does not.
"""

from __future__ import annotations

import faulthandler
import itertools
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

import numpy as np

from emdist.engines.threads import LocalEngine
from emdist.interfaces import Block
from emdist.runtime.worker_threads import Crew
from emdist.store.sources.ahead import READ_AHEAD, Ahead

#: Longer than anything here takes on a busy machine: seconds.
PATIENCE = 30.0
#: Where the engine's threads wait between passes.
_IDLE = Crew._serve.__code__


@dataclass(frozen=True)
class Count:
    """The smallest sum."""

    value: int

    def __add__(self, other: Count) -> Count:
        return Count(self.value + other.value)


class Reading:
    """A task whose blocks are read ahead of it."""

    ahead = Ahead("reading", 1 << 20)

    def expect(self, i: int) -> None:
        """Have block `i` read."""
        READ_AHEAD.begin(self.ahead, i, 8, self.read)

    def read(self, i: int) -> Block:
        """Block `i`."""
        return Block(i, i, np.full((1, 1), i, "f8"))

    def __call__(self, i: int) -> Count:
        """The number of the block."""
        return Count(int((READ_AHEAD.take(self.ahead, i) or self.read(i)).x[0, 0]))


#: What the passes that are interrupted do.
TASKS: list[Callable[[int], Count]] = [Count, Reading()]


def at_random(engine: LocalEngine, seconds: float) -> None:
    """Passes, one after another, until an interrupt ends them."""
    tasks = itertools.cycle(TASKS)
    try:
        try:
            # And again, if Python swallows the first.
            signal.setitimer(signal.ITIMER_REAL, seconds, 0.05)
            while True:
                engine.map_reduce(next(tasks), range(64))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def at_moment(engine: LocalEngine, task: Callable[[int], Count], moment: int) -> bool:
    """A pass that is interrupted at a moment, by its number; whether it had so many."""
    left = moment

    def count(frame: object, event: str, argument: Any) -> None:
        nonlocal left
        if event in ("call", "c_return") and argument is not sys.setprofile:
            left -= 1
            if left == 0:
                sys.setprofile(None)
                raise KeyboardInterrupt

    try:
        sys.setprofile(count)
        engine.map_reduce(task, range(6))
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(None)
    return left <= 0


def at_work() -> list[int]:
    """Threads, but this one, that do anything but wait for the orders of a pass to come."""
    return [
        ident
        for ident, frame in sys._current_frames().items()
        if ident != threading.get_ident() and frame.f_code is not _IDLE
    ]


def survived(engine: LocalEngine, interrupted: Callable[[], bool | None]) -> bool | None:
    """What `interrupted` says; the process ends with code 1 if the engine is not as before."""
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    answer = interrupted()
    while at_work():
        time.sleep(0.001)
    for task in TASKS:
        assert engine.map_reduce(task, range(64)) == Count(sum(range(64)))
    faulthandler.cancel_dump_traceback_later()
    return answer


def every_moment(engine: LocalEngine, task: Callable[[int], Count]) -> int:
    """Passes that are interrupted at one moment after another; how many moments there were."""
    moments = itertools.count(1)
    return next(n for n in moments if not survived(engine, partial(at_moment, engine, task, n))) - 1


def main(first: str, count: str = "") -> None:
    """The process."""
    engine = LocalEngine(2)
    engine.map_reduce(Count, range(64))
    signal.signal(signal.SIGALRM, _interrupt)
    if first == "everywhere":
        # Five times: which thread works on which block, and so what is met, differs.
        print(min(max(every_moment(engine, task) for _ in range(5)) for task in TASKS))
    else:
        rng = random.Random(first)
        for _ in range(int(count)):
            survived(engine, partial(at_random, engine, rng.uniform(1e-4, 4e-3)))
    faulthandler.dump_traceback_later(PATIENCE, exit=True)  # Python waits for threads at its end


if __name__ == "__main__":
    main(*sys.argv[1:])
