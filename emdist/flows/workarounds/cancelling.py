"""Stop a flow run that is cancelled through Prefect's API while a script runs it.

Prefect: a worker or `flow.serve` ends the processes that it started. A script is its own process:
Prefect does not end it, and the flow run would stay "Cancelling" for ever.
Issue: https://github.com/PrefectHQ/prefect/issues/12688 and 17482 (both open).
Goes when: a flow that runs as a script is told that its run is cancelled.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from uuid import UUID

from prefect import get_client
from prefect.runtime import flow_run
from prefect.states import Cancelled

#: Seconds between two reads of the flow run's state.
INTERVAL = 2.0


@contextmanager
def heeded(told: Callable[[UUID], None]) -> Iterator[None]:
    """Inside, send SIGTERM to this process if its flow run is cancelled through the API.

    `told` is called before that, with the id of the flow run.
    """
    over = threading.Event()
    work = (_heed, UUID(str(flow_run.id)), told, over)
    # Prefect finds in the copied context which API to use.
    threading.Thread(target=copy_context().run, args=work, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _heed(run: UUID, told: Callable[[UUID], None], over: threading.Event) -> None:
    while not over.wait(INTERVAL):
        # Trouble with the API must not stop the fit, so every exception is ignored.
        with suppress(Exception), get_client(sync_client=True) as client:
            state = client.read_flow_run(run).state
            if state is None or not (state.is_cancelling() or state.is_cancelled()):
                continue
            if not over.is_set():
                told(run)
                os.kill(os.getpid(), signal.SIGTERM)
            return


def close(run: UUID) -> None:
    """Set the state of the flow run to Cancelled: after SIGTERM, Prefect sets it to Crashed."""
    # The flow has ended anyway, so trouble with the API is ignored.
    with suppress(Exception), get_client(sync_client=True) as client:
        client.set_flow_run_state(
            run, Cancelled(message="The script that ran this flow has ended."), force=True
        )
