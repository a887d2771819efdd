"""`DrainingWorker`: a process worker that ends its flow runs gently before it ends itself.

Prefect: a process worker that gets SIGTERM kills its flow runs with SIGKILL at once. They save
nothing, and nobody reports that they are gone.
Issue: none was found. `prefect flow-run execute`, which Kubernetes workers use, can do better: told
to end, it lets the flow end and schedules the flow run again.
Goes when: a process worker does the same.
"""

from __future__ import annotations

import math
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import anyio
import anyio.abc
import psutil
from prefect.client.schemas.objects import FlowRun
from prefect.workers.process import (
    ProcessJobConfiguration,
    ProcessWorker,
    ProcessWorkerResult,
)

from emdist.flows.workarounds.leading import lead
from emdist.report.lines import say

#: What runs a flow run, and what it does when it is told to end.
COMMAND = f"{sys.executable} -m prefect flow-run execute"
_BEHAVIOUR = {"PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR": "reschedule"}
#: Seconds between two looks at flow runs that were told to end.
_LOOK = 0.2
_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


class _Job(ProcessJobConfiguration):
    """What a flow run is started with: a command that can schedule it again."""

    def prepare_for_flow_run(self, *arguments: Any, **named: Any) -> None:
        if self.command is None:
            self.command = COMMAND
        self.env = {**_BEHAVIOUR, **self.env}
        super().prepare_for_flow_run(*arguments, **named)


@dataclass(frozen=True)
class Drained:
    """How a worker ended: its exit code, and how many flow runs had to be killed."""

    exit_code: int
    killed: int


class DrainingWorker(ProcessWorker):
    """A process worker that takes no more flow runs, and lets those that it has save, to end.

    It has state: the processes of its flow runs, and whether it was told to end.
    """

    job_configuration = _Job

    def __init__(self, pool: str, limit: int | None, name: str) -> None:
        # The limiter counts flow runs from the moment at which they are taken.
        most = cast(int, math.inf) if limit is None else limit
        super().__init__(pool, name=name, limit=most, create_pool_if_not_found=False)
        self._pids: set[int] = set()
        self._told: set[int] = set()
        self._ending = False

    @classmethod
    def __dispatch_key__(cls) -> str:
        return "emdist-process"  # The class must not replace Prefect's own.

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        """Take flow runs that are due, unless the worker is to end."""
        if self._ending:
            return []
        taken = await super().get_and_submit_flow_runs()
        for flow_run in taken:
            await lead(self.client, flow_run)
        return taken

    async def run(
        self,
        flow_run: FlowRun,
        configuration: ProcessJobConfiguration,
        task_status: anyio.abc.TaskStatus[int] | None = None,
    ) -> ProcessWorkerResult:
        """Run a flow run in a process, and know this process while it lives."""
        status = _Started(self._pids, task_status)
        try:
            return await super().run(flow_run, configuration, cast(Any, status))
        finally:
            self._pids.discard(status.pid)
            await lead(self.client, flow_run)

    async def run_until_told(self, grace: float) -> Drained:
        """Work until SIGTERM or SIGINT; then let flow runs save for up to `grace` seconds."""
        ended = Drained(0, 0)

        async def watch() -> None:
            nonlocal ended
            with anyio.open_signal_receiver(*_CODES) as signals:
                async for number in signals:
                    ended = Drained(_CODES[number], await self._drain(grace))
                    group.cancel_scope.cancel()
                    return

        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            await self.start()
            group.cancel_scope.cancel()
        return ended

    async def _drain(self, grace: float) -> int:
        """Tell flow runs to end, wait for them, and return how many had to be killed."""
        self._ending = True
        left = int(self.limiter.borrowed_tokens) if self._limiter else 0
        if left:
            which = "1 flow run saves and is" if left == 1 else f"{left} flow runs save and are"
            say(f"emdist: {which} scheduled again. Then this worker ends.")
        with anyio.move_on_after(grace):
            # A flow run that was taken a moment ago gets its process later.
            while self._limiter and self.limiter.borrowed_tokens:
                for pid in self._pids - self._told:
                    self._told.add(pid)
                    with suppress(psutil.Error):
                        psutil.Process(pid).terminate()
                await anyio.sleep(_LOOK)
        return sum(_killed(pid) for pid in self._pids)


def _killed(pid: int) -> bool:
    """Kill a process and those that it has started, which have sessions of their own."""
    try:
        process = psutil.Process(pid)
        for one in [*process.children(recursive=True), process]:
            with suppress(psutil.Error):
                one.kill()
    except psutil.Error:
        return False
    return True


class _Started:
    """Passes on that a flow run has a process, and notes the process."""

    def __init__(self, pids: set[int], status: anyio.abc.TaskStatus[int] | None) -> None:
        self._pids, self._status = pids, status
        self.pid = 0

    def started(self, pid: int) -> None:
        self.pid = pid
        self._pids.add(pid)
        if self._status is not None:
            self._status.started(pid)
