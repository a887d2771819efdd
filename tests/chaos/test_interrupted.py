"""A fit that is interrupted within a process goes on there, and ends with the same bits."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.paths import environment, module


@pytest.mark.long
def test_interrupted_fits_go_on_in_the_same_process(tmp_path: Path) -> None:
    done = subprocess.run(
        [*module("tests.chaos.interrupted_fit"), str(tmp_path), "1", "25"],
        env=environment(),
        capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    print(done.stdout)
