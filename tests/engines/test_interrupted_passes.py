"""An interrupt at any moment of a pass leaves an engine that works, and a process that ends."""

from __future__ import annotations

import subprocess

import pytest

from tests.support.paths import environment, module


def ended(*arguments: str) -> str:
    """What the process printed; it ended by itself, well and without a word of errors."""
    done = subprocess.run(
        [*module("tests.engines.interrupted_passes"), *arguments], env=environment(),
        capture_output=True, text=True, timeout=250, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@pytest.mark.long
def test_an_interrupt_at_every_moment_of_a_pass() -> None:
    """With a `threading.Condition` for the lock of a pass, or a `Thread`, this never ends."""
    assert int(ended("everywhere")) > 60


def test_signals_at_random_moments() -> None:
    ended("1", "300")
