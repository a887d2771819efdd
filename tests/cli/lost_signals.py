"""A command that is interrupted within a library that spoils the interrupt: ``KIND SIGNAL``."""

from __future__ import annotations

import contextlib
import os
import sys
import time

from emdist.errors import StorageError
from emdist.report.answer import ending, reported
from emdist.report.signals import SIGNALS, heed_signals, not_swallowed


def interrupted() -> None:
    """The signal comes here."""
    os.kill(os.getpid(), int(sys.argv[2]))
    for _ in range(10):
        time.sleep(0.01)


def fails_while_it_cleans_up() -> None:
    """As Dask's tokenize."""
    seen: dict[int, int] = {}
    try:
        interrupted()
    finally:
        del seen[1]


def raises_another() -> None:
    try:
        interrupted()
    except BaseException:  # noqa: BLE001
        raise OSError("cut off") from None


def raises_one_of_emdist() -> None:
    try:
        interrupted()
    except BaseException as error:
        raise StorageError("cannot write") from error


def forgets_what_it_came_of() -> None:
    try:
        interrupted()
    except BaseException:  # noqa: BLE001
        error = ValueError("no context")
    raise error


def puts_it_into_a_group() -> None:
    try:
        interrupted()
    except BaseException as error:  # noqa: BLE001
        raise BaseExceptionGroup("several", [error, ValueError("another")]) from None


def swallows_it() -> None:
    with contextlib.suppress(BaseException):
        interrupted()
    while True:
        time.sleep(0.01)


def ends_with_one() -> None:
    """As Click, which says "Aborted!"."""
    try:
        interrupted()
    except KeyboardInterrupt:
        raise SystemExit(1) from None


if __name__ == "__main__":
    heed_signals()
    with not_swallowed(SIGNALS), ending(), reported(False, "go on."):
        globals()[sys.argv[1]]()
