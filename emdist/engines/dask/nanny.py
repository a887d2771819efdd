"""FirmNanny: a Dask nanny that replaces frozen workers. Dask's own waits for them for ever."""

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

#: Seconds that a starting worker may spend without using its processor: imports from a busy network
#: drive take a minute. A worker that makes slow progress on a busy machine may take longer.
START = 180.0
#: The processor time, in seconds, that counts as progress.
_HEADWAY = 0.05
#: The modules that tasks need.
TASKS = ("emdist.fit.passes", "emdist.store.sources.zarr_source")
#: Seconds that a worker may be stopped, as by SIGSTOP, before it is replaced.
FROZEN = 60.0
#: Seconds between checks of the worker, and between attempts to end one that is starting.
_LOOK, _AGAIN = 1.0, 0.5
#: An option of prctl(2): the kernel sends a signal when the parent dies.
_PR_SET_PDEATHSIG = 1


class BoundWorker(Worker):  # type: ignore[misc]
    """A worker that ends with its driver, and has imported what it needs before it joins.

    Dask's workers learn through a pipe that their parent was killed. A worker that is stopped, as
    by SIGSTOP, does not read the pipe. It would stay for ever, keep its memory, and keep the
    driver's output open. On Linux, the kernel therefore kills it when its parent dies.

    A worker that replaces another gets blocks as soon as it joins. On a busy machine it would then
    spend minutes on imports, while workers that are ready have no blocks left.
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
    """Return False for messages about a lost connection: the nanny reports the worker's death."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, OSError)


class FirmNanny(Nanny):  # type: ignore[misc]
    """Replaces a worker that is frozen or never starts, and closes without waiting for it.

    If a process is still starting, Dask does not end it but waits for it, without a time limit. So
    a cluster with a worker that froze while it started could not be closed: neither the end of a
    fit nor SIGTERM had an effect. Dask also does not replace a worker whose process is stopped,
    although this worker does not answer any more.

    The nanny is mutable: it knows since when its worker has been stopped.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, worker_class=BoundWorker, **settings)
        self._stopped_since: float | None = None
        self.periodic_callbacks["frozen"] = PeriodicCallback(self._look, _LOOK * 1000)

    async def instantiate(self) -> Status:
        """Start the process as Dask does.

        If it makes no progress for `START` seconds, restart it.
        """
        impatience = asyncio.ensure_future(self._end_idle())
        try:
            return await super().instantiate()
        finally:
            impatience.cancel()

    async def _end_idle(self) -> None:
        """End a process that has been starting for `START` seconds without progress."""
        pid, spent, since = self.pid, 0.0, time.monotonic()
        while True:
            await asyncio.sleep(START / 8)
            now, used = time.monotonic(), _processor_time(self.pid)
            if self.pid != pid or used > spent + _HEADWAY:
                pid, spent, since = self.pid, used, now
            elif now - since > START:
                self._end_starting()

    async def kill(self, timeout: float = 5, reason: str = "nanny-kill") -> None:
        """End the process as Dask does, but at once if it is still starting.

        A process that is still starting has nothing to lose.
        """
        while (process := self._starting()) is not None:
            self._end_starting()
            with suppress(TimeoutError):
                await asyncio.wait_for(process.running.wait(), _AGAIN)
        if self._is_stopped():  # a stopped process cannot receive messages
            _end(self.pid)
        await super().kill(timeout=timeout, reason=reason)

    def _starting(self) -> WorkerProcess | None:
        """Return the process of the worker if it is still starting, else None."""
        process = self.process
        return process if process is not None and process.status == Status.starting else None

    def _end_starting(self) -> None:
        if (process := self._starting()) is not None:
            logger.warning("ending a worker that did not start in time")
            _end(process.pid)

    def _is_stopped(self) -> bool:
        """Return whether the worker's process is stopped, as by SIGSTOP."""
        with suppress(psutil.Error):
            return self.pid is not None and psutil.Process(self.pid).status() == "stopped"
        return False

    def _look(self) -> None:
        """End a worker that has been stopped for too long. Dask's nanny then starts a new one."""
        now = time.monotonic()
        if not self._is_stopped():
            self._stopped_since = None
        elif self._stopped_since is None:
            self._stopped_since = now
        elif now - self._stopped_since > FROZEN:
            logger.warning("replacing a worker whose process has been stopped for %g s", FROZEN)
            _end(self.pid)


def _processor_time(pid: int | None) -> float:
    """Return the processor time of a process in seconds, or 0 if there is none."""
    with suppress(psutil.Error):
        if pid is not None:
            times = psutil.Process(pid).cpu_times()
            return float(times.user + times.system)
    return 0.0


def _end(pid: int | None) -> None:
    """Kill the process `pid`, if it exists. SIGKILL also ends a stopped process."""
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
