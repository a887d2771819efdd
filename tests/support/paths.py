"""Where the checkout lies, and how tests start one of their modules as a process of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

#: The root of the checkout.
ROOT = Path(__file__).resolve().parents[2]


def module(name: str) -> list[str]:
    """Return the command that runs module `name`, such as ``tests.chaos.storm``."""
    return [sys.executable, "-m", name]


def environment(**settings: str) -> dict[str, str]:
    """Return this process's environment with `settings`, in which modules of tests are found."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **settings}
