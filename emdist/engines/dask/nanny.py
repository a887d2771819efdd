"""A nanny that gets rid of frozen workers: Dask's own waits for them for ever."""

from __future__ import annotations

import asyncio
import ctypes
import importlib
import logging
import os
import signal
import sys
import time
from contextlib import suppress
from typing import Any

import psutil
from distributed import Nanny, Status, Worker
from distributed.nanny import WorkerProcess
from tornado.ioloop import PeriodicCallback

logger = logging.getLogger(__name__)

#: Seconds that a worker may start without using its processor; imports from a busy network drive
#: take a minute. One that makes headway, if slowly, on a busy machine is waited for.
START = 180.0
#: Processor time, in seconds, that is headway.
_HEADWAY = 0.05
#: What tasks are made of.
TASKS = ("emdist.fit.passes", "emdist.store.sources.zarr_source")
#: Seconds that a worker may stand still, as after SIGSTOP, before it is replaced.
FROZEN = 60.0
#: Seconds between looks at it, and between attempts to end one that is starting.
_LOOK, _AGAIN = 1.0, 0.5
#: Of prctl(2): have the kernel send a signal when the parent dies.
_PR_SET_PDEATHSIG = 1


class BoundWorker(Worker):  # type: ignore[misc]
    """Ends with its driver, frozen or not, and is ready for work when it says that it is there.

    Dask's workers notice by a pipe that their parent was killed. One that is stopped notices
    nothing, and would stay for ever, with its memory and the driver's output held open.

    A worker that replaces another is given blocks as soon as it is there. On a busy machine it
    would then import for minutes what they need, while workers that are ready have none left.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        for name in ("distributed.batched", "distributed.worker"):
            logging.getLogger(name).addFilter(_is_news)
        for module in TASKS:
            importlib.import_module(module)
        super().__init__(*arguments, **settings)


def _is_news(record: logging.LogRecord) -> bool:
    """Not that a connection ended, in whatever words of the system: the nanny tells who died."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, OSError)


class FirmNanny(Nanny):  # type: ignore[misc]
    """Replaces a worker that is frozen, or never gets up, and closes without waiting for it.

    Dask waits without end for a process to have started before it ends it, so a cluster with a
    worker that froze while it started could not be closed: neither a fit at its end nor SIGTERM
    came through. And nobody replaces a worker that is stopped; its address only stays silent.

    It has state, since when its worker stands still.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, worker_class=BoundWorker, **settings)
        self._stopped_since: float | None = None
        self.periodic_callbacks["frozen"] = PeriodicCallback(self._look, _LOOK * 1000)

    async def instantiate(self) -> Status:
        """As Dask's; a process that does not come to start in `START` s is ended, and made anew."""
        impatience = asyncio.ensure_future(self._end_idle())
        try:
            return await super().instantiate()
        finally:
            impatience.cancel()

    async def _end_idle(self) -> None:
        """End a process that has been starting for `START` seconds without headway."""
        pid, spent, since = self.pid, 0.0, time.monotonic()
        while True:
            await asyncio.sleep(START / 8)
            now, used = time.monotonic(), _processor_time(self.pid)
            if self.pid != pid or used > spent + _HEADWAY:
                pid, spent, since = self.pid, used, now
            elif now - since > START:
                self._end_starting()

    async def kill(self, timeout: float = 5, reason: str = "nanny-kill") -> None:
        """As Dask's; a process that is still starting has nothing to lose and is ended at once."""
        while (process := self._starting()) is not None:
            self._end_starting()
            with suppress(TimeoutError):
                await asyncio.wait_for(process.running.wait(), _AGAIN)
        if self._is_stopped():  # it cannot hear
            _end(self.pid)
        await super().kill(timeout=timeout, reason=reason)

    def _starting(self) -> WorkerProcess | None:
        process = self.process
        return process if process is not None and process.status == Status.starting else None

    def _end_starting(self) -> None:
        if (process := self._starting()) is not None:
            logger.warning("a worker that did not come to start is ended")
            _end(process.pid)

    def _is_stopped(self) -> bool:
        with suppress(psutil.Error):
            return self.pid is not None and psutil.Process(self.pid).status() == "stopped"
        return False

    def _look(self) -> None:
        now = time.monotonic()
        if not self._is_stopped():
            self._stopped_since = None
        elif self._stopped_since is None:
            self._stopped_since = now
        elif now - self._stopped_since > FROZEN:
            logger.warning("a worker that has been stopped for %g s is replaced", FROZEN)
            _end(self.pid)


def _processor_time(pid: int | None) -> float:
    """Seconds that a process has computed; 0 if there is none."""
    with suppress(psutil.Error):
        if pid is not None:
            times = psutil.Process(pid).cpu_times()
            return float(times.user + times.system)
    return 0.0


def _end(pid: int | None) -> None:
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
