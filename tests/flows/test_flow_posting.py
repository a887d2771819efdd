"""Calls that nobody waits for."""

from __future__ import annotations

import threading
import time

import pytest

from emdist.flows.workarounds.posting import Poster


def test_a_call_replaces_one_of_its_name_that_still_waits() -> None:
    poster, made, gate = Poster(interval=0.0), [], threading.Event()
    poster.post("first", gate.wait)
    for i in range(5):
        poster.post("same", lambda i=i: made.append(i))
    gate.set()
    poster.close()
    assert made[-1] == 4
    assert len(made) <= 2


def test_calls_are_an_interval_apart_and_the_last_ones_are_made_at_once() -> None:
    poster, made = Poster(interval=0.2), []
    both = threading.Event()
    poster.post("a", lambda: made.append(time.monotonic()))
    poster.post("b", lambda: (made.append(time.monotonic()), both.set()))
    assert both.wait(10)
    assert made[1] - made[0] >= 0.2
    slow = Poster(interval=3600.0)
    for name in "abc":
        slow.post(name, lambda: made.append(0.0))
    slow.close()
    assert len(made) == 5


def test_errors_are_told_once_and_the_next_call_is_made(caplog: pytest.LogCaptureFixture) -> None:
    poster, made = Poster(interval=0.0), []
    for name in ("a", "b"):
        poster.post(name, lambda: 1 / 0)
    poster.post("c", lambda: made.append(1))
    poster.close()
    assert made == [1]
    assert poster.failures == 2
    assert len(caplog.records) == 1


def test_the_end_does_not_wait_for_a_call_that_hangs() -> None:
    gate = threading.Event()
    poster = Poster(interval=0.0)
    poster.post("hangs", gate.wait)
    began = time.monotonic()
    poster.close(patience=0.1)
    assert time.monotonic() - began < 5
    gate.set()
