"""What workers load to suffer on demand: SIGUSR1 has one use up its memory.

With EMDIST_CHAOS_TWICE set, every block is done twice, as where a task is run again because its
result was lost.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType
from typing import Any

import emdist.engines.dask.graph as graph

#: Taken at a time, and the pause after it: the nanny looks ten times a second.
STEP, PAUSE = 64 << 20, 0.05


def _take() -> None:
    taken = []
    while True:
        taken.append(bytearray(os.urandom(1 << 20) * (STEP >> 20)))
        time.sleep(PAUSE)


def _use_up(number: int, frame: FrameType | None) -> None:
    threading.Thread(target=_take, daemon=True).start()


def dask_setup(worker: Any) -> None:
    """Called by Dask in the process of a worker."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGUSR1, _use_up)
    if os.environ.get("EMDIST_CHAOS_TWICE"):
        once = graph.run_leaf

        def twice(task: Any, block: int, *more: Any) -> Any:
            once(task, block, *more)
            return once(task, block, *more)

        twice.__qualname__, twice.__module__ = once.__qualname__, once.__module__
        graph.run_leaf = twice
