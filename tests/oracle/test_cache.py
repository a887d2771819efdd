"""What is compiled once is found again by other processes, and not when a kernel has changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import emdist

PROGRAM = """
from emdist.kernels.vector.lloyd import nearest_sums, _block
import numpy as np
x = np.ones((3, 2))
nearest_sums(x, np.zeros(2), x, np.zeros(3), x, None)
print(sum(_block.stats.cache_hits.values()), sum(_block.stats.cache_misses.values()))
"""


#: As in a container with a read-only file system and a temporary folder.
READ_ONLY = """
from numba.core import caching
ensure = caching._CacheLocator.ensure_cache_path
def refuse(self):
    if "emdist-kernels-" not in self.get_cache_path():
        raise OSError("read-only file system")
    ensure(self)
caching._CacheLocator.ensure_cache_path = refuse
"""


def run(package: Path, before: str = "", **more: str) -> list[int]:
    environ = {**os.environ, "PYTHONPATH": str(package.parent)}
    environ.pop("NUMBA_CACHE_DIR", None)
    environ |= more
    done = subprocess.run(
        [sys.executable, "-c", before + PROGRAM],
        env=environ, cwd=package.parent, capture_output=True, text=True, check=True, timeout=280,
    )  # fmt: skip
    return [int(number) for number in done.stdout.split()]


@pytest.mark.long
def test_a_read_only_file_system(tmp_path: Path) -> None:
    """What is compiled there is used, and what is not is compiled for this process."""
    package = Path(emdist.__file__).parent
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    places = {"NUMBA_CACHE_DIR": str(tmp_path / "compiled"), "TMPDIR": str(temporary)}
    assert run(package, **places) == [0, 1]
    assert run(package, READ_ONLY, **places) == [1, 0]
    places["NUMBA_CACHE_DIR"] = str(tmp_path / "empty")
    assert sum(run(package, READ_ONLY, **places)) == 1
    assert not list(temporary.iterdir())


@pytest.mark.long
def test_a_change_of_any_kernel_is_noticed(tmp_path: Path) -> None:
    package = tmp_path / "emdist"
    leave = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(emdist.__file__).parent, package, ignore=leave)
    assert run(package) == [0, 1]
    assert run(package) == [1, 0]
    # A file whose functions become part of those in others.
    inlined = package / "kernels" / "vector" / "scoring.py"
    inlined.write_text(inlined.read_text() + "# changed\n")
    assert run(package) == [0, 1]
