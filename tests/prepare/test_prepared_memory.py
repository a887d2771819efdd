"""Peak memory of a pipeline over stored data follows the block, and not the data."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from benchmarks.out_of_core import generate
from tests.support.paths import environment, module

MIB = 1 << 20
BLOCK = 32 * MIB
#: Measures what emdist holds and not what glibc keeps.
MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(MIB)}
SMALL, LARGE = 160 * 10**6, 640 * 10**6


def measured(data: Path) -> tuple[int, int]:
    command = [*module("tests.support.peak_pipeline"), str(data)]
    done = subprocess.run(
        command, env=environment(**MALLOC), capture_output=True, text=True, timeout=250, check=False
    )
    assert done.returncode == 0, done.stderr
    rows, peak = done.stdout.split()
    return int(rows), int(peak)


@pytest.mark.long
def test_a_pipeline_holds_its_blocks_and_not_the_data(tmp_path: Path) -> None:
    for nbytes in (SMALL, LARGE):
        generate(tmp_path / f"{nbytes}.zarr", nbytes)
    measured(tmp_path / f"{SMALL}.zarr")  # The first run on this machine compiles kernels.
    (few, small), (many, large) = (measured(tmp_path / f"{n}.zarr") for n in (SMALL, LARGE))
    print(f"160 MB: {small / MIB:.0f} MiB, 640 MB: {large / MIB:.0f} MiB")
    assert many > 3.9 * few
    # The labels of all rows are the result; the rest is blocks in progress.
    assert large < small + BLOCK + 16 * (many - few)
    assert large < 250 * MIB + 2 * 3 * BLOCK + 16 * many < LARGE
