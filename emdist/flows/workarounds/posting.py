"""`Poster`: calls the Prefect API on its own thread, so that the fit never waits.

Prefect: artifacts and events are sent by calls that wait for the API, with retries.
Issue: https://github.com/PrefectHQ/prefect/issues/20462 (open).
Goes when: these calls can be queued without waiting.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextvars import copy_context

log = logging.getLogger(__name__)

#: Seconds between two calls.
INTERVAL = 1.0
#: Seconds that the end of a run waits for the last calls to be made.
PATIENCE = 5.0


class Poster:
    """Makes calls on its own thread, at most one a second, and continues if they fail.

    It has state, the calls that still wait, because an API that is slow or gone must not delay a
    fit. A call replaces an earlier one of the same name that still waits.
    """

    def __init__(self, interval: float = INTERVAL) -> None:
        self.failures = 0
        self._interval = interval
        self._waiting: dict[str, Callable[[], object]] = {}
        self._closing = False
        self._changed = threading.Condition()
        # Prefect finds in the copied context to which run the calls belong.
        self._thread = threading.Thread(
            target=copy_context().run, args=(self._work,), name="emdist-poster", daemon=True
        )
        self._thread.start()

    def post(self, name: str, call: Callable[[], object]) -> None:
        """Make `call` soon, unless a newer call of the same `name` replaces it."""
        with self._changed:
            self._waiting[name] = call
            self._changed.notify()

    def close(self, patience: float = PATIENCE) -> None:
        """Make the calls that wait, for up to `patience` seconds; drop the others."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(patience)
        if self._thread.is_alive():
            log.warning(
                "The Prefect API does not answer, so the last events and artifacts are lost. The "
                "run is not affected."
            )

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    return
                call = self._waiting.pop(next(iter(self._waiting)))
            self._make(call)
            with self._changed:
                self._changed.wait_for(lambda: self._closing, self._interval)

    def _make(self, call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - whatever the API's trouble, the fit goes on
            self.failures += 1
            if self.failures == 1:
                log.warning(
                    "The Prefect API refused an event or artifact (%s: %s). The run continues.",
                    type(error).__name__, error,
                )  # fmt: skip
