"""Calls on a thread of their own: what they give, raise and see, and what an interrupt leaves."""

from __future__ import annotations

import contextvars
import os
import signal
import threading

import pytest

from emdist.store.chunks.zarr_thread import apart

SEEN: contextvars.ContextVar[str] = contextvars.ContextVar("seen", default="nothing")


@apart
def asked(value: int) -> tuple[int, str, bool]:
    if value < 0:
        raise ValueError(f"{value} is negative")
    return value, SEEN.get(), threading.current_thread() is threading.main_thread()


def test_it_gives_raises_and_sees_what_the_call_would() -> None:
    SEEN.set("this")
    assert asked(3) == (3, "this", False)
    with pytest.raises(ValueError, match="-1 is negative"):
        asked(-1)
    assert asked.__name__ == "asked"


def test_a_thread_that_is_not_the_main_one_does_it_itself() -> None:
    found: list[tuple[int, str, bool]] = []
    thread = threading.Thread(target=lambda: found.append(asked(1)))
    thread.start()
    thread.join()
    assert found == [(1, "nothing", False)]


def test_an_interrupt_gives_up_the_wait_and_the_call_ends_before_the_next() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    begun, go, order = threading.Event(), threading.Event(), list[str]()

    @apart
    def slow() -> None:
        begun.set()
        go.wait(60)
        order.append("slow")

    @apart
    def quick() -> None:
        order.append("quick")

    def interrupt() -> None:
        begun.wait(60)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        slow()
    assert order == []
    go.set()
    quick()
    assert order == ["slow", "quick"]
