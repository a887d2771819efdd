"""Run a flow as a script: handle signals, print one line per error, return an exit code."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from types import FrameType
from typing import NoReturn
from uuid import UUID

import httpx
from prefect.exceptions import PrefectException, TerminationSignal
from prefect.settings import PREFECT_API_URL

from emdist.errors import EmdistError
from emdist.flows.workarounds.cancelling import close, heeded
from emdist.flows.workarounds.logs import short_errors
from emdist.flows.workarounds.outage import leave_without_api
from emdist.flows.workarounds.server import denied, drained, own_server, without_it
from emdist.inputs.quoting import without_credentials
from emdist.report.defect import told
from emdist.report.lines import say
from emdist.report.signals import not_swallowed
from emdist.runtime.contexts import set_to
from emdist.runtime.interrupts import interrupt_behind


class Ended(SystemExit):
    """The exception for a SIGTERM that Prefect does not handle."""


_SIGNALS = {
    KeyboardInterrupt: signal.SIGINT,
    Ended: signal.SIGTERM,
    TerminationSignal: signal.SIGTERM,
}

#: What to say if the Prefect API fails after the work.
_COMPLETE = "The run itself is complete, and so are its files."


class Outcome:
    """What a flow tells the script that called it.

    It has state, because Prefect may raise an error although the flow is complete, if the API has
    gone in the meantime.
    """

    def __init__(self) -> None:
        self.done = False
        #: Why the flow ended without a result, where Prefect has a state that is no failure.
        self.ended: EmdistError | None = None
        self.advice = ""
        self.cancelled: UUID | None = None
        self.closed = threading.Event()

    def _cancel(self, run: UUID) -> None:
        self.cancelled = run

    @contextmanager
    def working(self) -> Iterator[None]:
        """Wrap the work of a flow. After it, do not wait for an API that is gone.

        Prefect would try for more than two minutes to report the end, but a process that was told
        to end is killed sooner. A script also notices if its flow run is cancelled.
        """
        self.closed.set()  # Ends the thread that watched an attempt before Prefect's retry.
        self.closed = threading.Event()
        try:
            with heeded(self._cancel) if _watched.get() is self else nullcontext():
                yield
        except BaseException as error:  # Signals are not Exceptions, nor is Prefect's end of a run.
            self._over(*_ending(error, self))
            raise
        self.done = True
        self._over(_COMPLETE, 0)

    def _over(self, text: str, code: int) -> None:
        if _watched.get() is self:
            work = (self.closed, PREFECT_API_URL.value(), text, code)
            threading.Thread(target=leave_without_api, args=work, daemon=True).start()


_watched: ContextVar[Outcome | None] = ContextVar("emdist_outcome", default=None)


@contextmanager
def watched(outcome: Outcome) -> Iterator[None]:
    """Inside the block, let flows report to `outcome`."""
    try:
        with set_to(_watched, outcome):
            yield
    finally:
        if outcome.cancelled is not None:
            close(outcome.cancelled)


def current() -> Outcome:
    """Return where a flow reports to. Nobody reads it unless a script called the flow."""
    return _watched.get() or Outcome()


def run_as_script(call: Callable[[], None], outcome: Outcome) -> int:
    """Call `call`, print its error if there is one, and return the exit code."""
    signal.signal(signal.SIGTERM, _end)
    try:
        with not_swallowed(_SIGNALS), short_errors(_signal_behind):
            call()
    except (EmdistError, KeyboardInterrupt, Ended, TerminationSignal) as error:
        return _told(*_ending(error, outcome))
    except (httpx.HTTPError, PrefectException) as error:
        return _api_trouble(error, outcome)
    except Exception as error:  # noqa: BLE001  told with its traceback in a file
        if _signal_behind(error) is None:
            text, code = told(error)
            return _told(f"emdist: {text}", code)
        return _told(*_ending(error, outcome))
    finally:
        outcome.closed.set()
    return 0


def _ending(error: BaseException, outcome: Outcome) -> tuple[str, int]:
    """Return the last line and the exit code for the error that ended a flow."""
    error = _signal_behind(error) or error
    if isinstance(error, EmdistError):
        return f"emdist: {error}", error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return f"emdist: interrupted. {outcome.advice}", 130
    if isinstance(error, Ended | TerminationSignal):
        return f"emdist: terminated. {outcome.advice}", 143
    return f"emdist: {type(error).__name__}: {error}", 1


def _signal_behind(error: BaseException) -> BaseException | None:
    """Return the interrupt that caused `error`, if any: Prefect itself may fail after one."""
    return interrupt_behind(error, tuple(_SIGNALS))


def leave(code: int) -> NoReturn:
    """End the process, even if Prefect would wait minutes for an API that is gone."""
    done = drained()
    sys.stdout.flush()
    sys.stderr.flush()
    if not done:
        os._exit(code)
    sys.exit(code)


def _api_trouble(error: Exception, outcome: Outcome) -> int:
    """Report a failure of the Prefect API, which is no error if the work is complete."""
    url = without_credentials(str(PREFECT_API_URL.value()))
    text = denied(error) or f"The Prefect API at {url} failed ({type(error).__name__}: {error})."
    if outcome.done:
        return _told(f"emdist: warning: {text} {_COMPLETE}", 0)
    if own_server():
        return _told(f"emdist: {text} {outcome.advice}", 1)
    return _told(
        f"emdist: {text} Check PREFECT_API_URL, and that the server is running. {without_it()} "
        f"{outcome.advice}",
        1,
    )


def _told(text: str, code: int) -> int:
    say(text.rstrip(), sys.stderr)
    return code


def _end(number: int, frame: FrameType | None) -> NoReturn:
    # Inside a flow, Prefect turns SIGTERM into TerminationSignal and reports the run as crashed.
    # Then it sends the signal again to the handler that was there before, which is this one. The
    # default handler would end the process at once and leave its server running.
    raise Ended(143)
