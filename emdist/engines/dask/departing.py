"""End a cluster that emdist started on other machines when the process that started it dies.

A driver that is killed cannot close its cluster. A scheduler and workers on other machines would
then wait for ever, and be paid for. So the scheduler watches: if the client of the driver is gone
and does not come back, the scheduler ends, and tells its workers to end.
"""

from __future__ import annotations

import logging
from typing import Any

from distributed import Client, Scheduler
from distributed.diagnostics.plugin import SchedulerPlugin

log = logging.getLogger(__name__)

#: Seconds that a driver has to come back, for example after a failure of the network.
PATIENCE = 120.0


class EndsWithDriver(SchedulerPlugin):  # type: ignore[misc]
    """Ends a scheduler and its workers some time after its driver has gone.

    It has state on the scheduler: the call that will end it, while the driver is away.

    Parameters
    ----------
    client
        The id of the driver's client.
    patience
        Seconds that the driver has to come back.
    """

    name = "emdist-ends-with-driver"

    def __init__(self, client: str, patience: float) -> None:
        self._client, self._patience = client, patience
        self._end: object | None = None

    def add_client(self, scheduler: Scheduler, client: str) -> None:
        """Keep the cluster if its driver has come back."""
        if client == self._client and self._end is not None:
            scheduler.loop.remove_timeout(self._end)
            self._end = None

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """End the cluster in some time if this was its driver."""
        if client != self._client or self._end is not None:
            return

        async def end() -> None:
            log.warning("The driver has been away for %g s: ending this cluster", self._patience)
            await scheduler.close(reason="the driver of emdist is gone")

        self._end = scheduler.loop.call_later(
            self._patience, lambda: scheduler.loop.add_callback(end)
        )


def end_with(client: Client) -> None:
    """Let the cluster of `client` end when this process is gone, if its scheduler permits it."""
    plugin: Any = EndsWithDriver(client.id, PATIENCE)
    try:
        client.register_plugin(plugin)
    except Exception as error:  # noqa: BLE001  a scheduler may refuse code, and the fit can go on
        log.warning(
            "The scheduler does not accept a plugin (%s: %s). If this process is killed, end the "
            "cluster by hand.", type(error).__name__, error,
        )  # fmt: skip
