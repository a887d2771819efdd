"""Peak memory, as the kernel counts it, follows the block size and not the data."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from benchmarks.out_of_core import generate
from tests.support.paths import environment, module

MIB = 1 << 20
BLOCK = 32 * MIB
#: Measures what emdist holds and not what glibc keeps: by default it raises the size from which
#: memory is given back at once to that of the largest block freed (Dask's workers do not).
MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(MIB)}
#: A process with everything imported and compiled.
BASE = 250 * MIB
SMALL, LARGE = 160 * 10**6, 640 * 10**6


def measured(folder: Path, data: Path, cluster: dict[str, Any], *settings: str) -> dict[str, Any]:
    command = [*module("tests.support.peak_memory"), str(data)]
    done = subprocess.run(
        [*command, str(folder / data.stem), json.dumps(cluster), *settings],
        env=environment(**MALLOC), capture_output=True, text=True,
        timeout=250, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def sizes(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The same clusters as 160 and as 640 MB."""
    folder = tmp_path_factory.mktemp("large")
    paths = {n: folder / f"{n // 10**6}.zarr" for n in (SMALL, LARGE)}
    for nbytes, path in paths.items():
        generate(path, nbytes)
    return paths


@pytest.mark.long
def test_workers_stay_inside_a_limit_below_the_data(sizes: dict[int, Path], tmp_path: Path) -> None:
    cluster = {"kind": "local", "n_workers": 2, "memory_limit": "400 MB"}
    small, large = (measured(tmp_path, sizes[n], cluster) for n in (SMALL, LARGE))
    print("160 MB:", small, "640 MB:", large)
    assert len(large["workers"]) == 2
    assert large["limit"] == 400 * 10**6 < LARGE
    assert max(large["workers"]) < large["limit"]
    # For 15 blocks more, what one worker may hold at its worst moment: a block, its stored
    # chunks and the samples of eight blocks that are being joined.
    assert max(large["workers"]) < max(small["workers"]) + 3 * BLOCK
    assert large["driver"] < small["driver"] + BLOCK


@pytest.mark.parametrize("model", ["kmeans", "diagonal"])
def test_threads_hold_their_blocks_and_no_more(
    model: str, sizes: dict[int, Path], tmp_path: Path
) -> None:
    cluster = {"kind": "threads", "threads": 2}
    settings = [f"model.name={model}", "fit.init=random", "fit.max_iter=1"]
    found = measured(tmp_path, sizes[LARGE], cluster, *settings)["driver"]
    print(f"{model}: {found / MIB:.0f} MiB")
    # Per thread a block, its stored chunks, its labels, and what is still to be given back.
    assert found < BASE + 2 * 3 * BLOCK < LARGE


@pytest.mark.long
def test_labels_of_narrow_rows_take_no_multiple_of_the_block(tmp_path: Path) -> None:
    """Pixels: a row of three bytes gets twelve bytes of labels and score."""
    settings = ["fit.init=random", "fit.max_iter=1", "model.n_components=4"]
    cluster = {"kind": "threads", "threads": 1}
    # The first fit of pixels on this machine compiles, which takes 100 MB by itself.
    measured(tmp_path, pixels(tmp_path / "few.zarr", chunks=1), cluster, *settings)
    found = measured(tmp_path, pixels(tmp_path / "many.zarr", chunks=24), cluster, *settings)
    print(f"{found['driver'] / MIB:.0f} MiB")
    assert found["driver"] < BASE + 2.5 * BLOCK


def pixels(path: Path, chunks: int) -> Path:
    """An array of `chunks` chunks of a million pixels each."""
    array = zarr.create_array(path, shape=(chunks * MIB, 3), chunks=(MIB, 3), dtype="uint8")
    drawn = np.random.default_rng(0).integers(0, 256, (MIB, 3), dtype="uint8")
    for at in range(0, chunks * MIB, MIB):
        array[at : at + MIB] = drawn
    return path
