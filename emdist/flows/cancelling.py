"""A flow run that is cancelled while a script runs it: nobody but the script can end it.

Where a worker or `flow.serve` started the process, that ends it. A script is its own process, and
Prefect lets it work on, to stay "Cancelling" for ever.
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

#: Seconds between looks at the state.
INTERVAL = 2.0


@contextmanager
def heeded(told: Callable[[UUID], None]) -> Iterator[None]:
    """Inside, a flow run that is cancelled through the API gets the SIGTERM of a worker.

    `told` is called before, with its id.
    """
    over = threading.Event()
    work = (_heed, UUID(str(flow_run.id)), told, over)
    # The copy of the context tells Prefect which API it is.
    threading.Thread(target=copy_context().run, args=work, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _heed(run: UUID, told: Callable[[UUID], None], over: threading.Event) -> None:
    while not over.wait(INTERVAL):
        # Whatever the API's trouble, the fit goes on.
        with suppress(Exception), get_client(sync_client=True) as client:
            state = client.read_flow_run(run).state
            if state is None or not (state.is_cancelling() or state.is_cancelled()):
                continue
            if not over.is_set():
                told(run)
                os.kill(os.getpid(), signal.SIGTERM)
            return


def close(run: UUID) -> None:
    """Call the flow run cancelled: of a process that got SIGTERM, Prefect says "Crashed"."""
    # Whatever the API's trouble, the flow has ended as it did.
    with suppress(Exception), get_client(sync_client=True) as client:
        client.set_flow_run_state(run, Cancelled(message="Ended by its own script."), force=True)
