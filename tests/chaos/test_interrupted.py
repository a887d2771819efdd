"""A fit that is interrupted within a process goes on there, and ends with the same bits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_interrupted_fits_go_on_in_the_same_process(tmp_path: Path) -> None:
    child = Path(__file__).with_name("interrupted_fit.py")
    done = subprocess.run(
        [sys.executable, str(child), str(tmp_path), "1", "25"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    print(done.stdout)
