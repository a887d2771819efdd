"""Frees what a fit has left in the processes of its workers, which outlive it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from distributed import Client

from emdist.engines.dask.faults import LATE, roster

logger = logging.getLogger(__name__)

#: Seconds within which workers must have answered. What they keep is only memory.
FORGOTTEN = 5.0


def on_workers_soon(client: Client, function: Callable[..., Any], *arguments: Any) -> None:
    """Call `function` in each worker that answers; never raise, and never wait for long.

    A fit has ended then, perhaps because the cluster is gone. Workers that are silent keep what
    they have until another fit needs the space.
    """
    if client.status != "running":
        return
    try:
        workers, silent = roster(client, LATE)
        asked = sorted(set(workers) - silent)
        if asked:
            client.sync(
                client._run, function, *arguments, workers=asked, on_error="return",
                callback_timeout=FORGOTTEN,
            )  # fmt: skip
    except Exception as error:  # noqa: BLE001  Dask raises exceptions of any kind
        logger.debug("the workers keep blocks: %s: %s", type(error).__name__, error)
