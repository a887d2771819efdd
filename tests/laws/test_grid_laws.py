"""Laws of data on a grid: chunks, engines and interruptions do not change the answer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import emdist
from emdist import GaussianMixture, KMeans
from emdist.engines.threads import LocalEngine
from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.settings.config import make_config
from tests.support.killable_jobs import result

DIMS = ("time", "depth", "lat", "lon")
SHAPE = (5, 4, 18, 22)


def ocean() -> xr.Dataset:
    rng = np.random.default_rng(5)
    warm = 8.0 * (np.arange(SHAPE[2]) % 3)[None, None, :, None]
    temp = np.round(warm + rng.normal(size=SHAPE), 3)
    psal = (35 + rng.normal(size=SHAPE) / 2).astype("f4")
    land = rng.random(SHAPE[2:]) < 0.2
    temp[:, :, land] = psal[:, :, land] = np.nan
    return xr.Dataset(
        {"TEMP": (DIMS, temp), "PSAL": (DIMS, psal), "land": (DIMS[2:], land.astype("i1"))}
    )


PACKED = {"dtype": "i2", "scale_factor": 0.001, "add_offset": 5.0, "_FillValue": -32768}
#: Chunks of the two variables: features whole or split, even and uneven, alike and not.
CHUNKS = {
    "one chunk": (SHAPE, SHAPE),
    "split features": ((2, 1, 9, 11), (2, 2, 9, 11)),
    "uneven": ((3, 3, 7, 5), (2, 4, 5, 22)),
}


def stored(path: Path, chunks: str) -> str:
    own, other = CHUNKS[chunks]
    encoding = {"TEMP": {**PACKED, "chunks": own}, "PSAL": {"chunks": other}}
    ocean().to_zarr(path, encoding=encoding, consolidated=False)
    return str(path)


def rows(path: Any) -> Any:
    where = {"variable": "land", "equals": 0}
    return emdist.rows(path, ["TEMP", "PSAL"], features="depth", where=where)


@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize("make", [KMeans, GaussianMixture])
def test_chunks_and_blocks_do_not_change_the_answer(make: Any, chunks: str, tmp_path: Path) -> None:
    """Rows keep their random numbers, so that the same rows are drawn as seeds."""
    reference = make(3, random_state=0).fit(rows(stored(tmp_path / "a.zarr", "one chunk")))
    found = make(3, random_state=0, block_size="20 kB").fit(rows(stored(tmp_path / "b", chunks)))
    assert found.n_iter_ == reference.n_iter_
    name = "cluster_centers_" if make is KMeans else "means_"
    assert np.allclose(getattr(found, name), getattr(reference, name), rtol=1e-9)
    assert found.predict(rows(str(tmp_path / "b"))).equals(
        reference.predict(rows(str(tmp_path / "a.zarr")))
    )


def config(path: str, folder: Path, **more: Any) -> dict[str, Any]:
    return {
        "data": {
            "path": path, "variables": ["TEMP", "PSAL"], "features": ["depth"],
            "where": [{"variable": "land", "equals": 0}], "block_size": "20 kB",
        },
        "model": {"name": "full", "n_components": 3},
        "fit": {"seed": 1, "max_iter": 6, "tol": 0.0},
        "run": {"folder": str(folder), "key": "r", "checkpoint_iterations": 1},
        "labels": {"outputs": ["labels", "score"]},
        **more,
    }  # fmt: skip


def finished(values: dict[str, Any], segments: int | None = None) -> dict[str, bytes] | None:
    """Complete a run and return its bits; or leave it after so many segments."""
    with open_job(make_config(values)) as job:
        assert isinstance(job, Job)
        if segments is None:
            job.complete()
        for _ in range(segments or 0):
            job.segment()
    folder = Path(values["run"]["folder"], "r")
    return None if segments is not None else dict(result(folder))


@pytest.mark.parametrize("segments", [1, 3])
def test_a_run_that_was_left_ends_with_the_same_bits(segments: int, tmp_path: Path) -> None:
    path = stored(tmp_path / "ocean.zarr", "uneven")
    whole = finished(config(path, tmp_path / "whole"))
    finished(config(path, tmp_path / "left"), segments)
    assert finished(config(path, tmp_path / "left")) == whole


def test_threads_and_workers_give_the_same_bits(tmp_path: Path) -> None:
    path = stored(tmp_path / "ocean.zarr", "uneven")
    alone = finished(config(path, tmp_path / "one", cluster={"threads": 1}))
    assert finished(config(path, tmp_path / "three", cluster={"threads": 3})) == alone
    local = {"kind": "local", "n_workers": 2, "processes": False}
    assert finished(config(path, tmp_path / "dask", cluster=local)) == alone


def test_the_forms_of_the_same_data_give_the_same_bits(tmp_path: Path) -> None:
    """A path and lazy objects have the same boxes where they have the same chunks."""
    path = stored(tmp_path / "ocean.zarr", "split features")
    means = [
        GaussianMixture(3, random_state=0, engine=engine).fit(rows(data)).means_
        for data in (path, xr.open_zarr(path, consolidated=False))
        for engine in (LocalEngine(1), LocalEngine(3))
    ]
    assert all(np.array_equal(one, means[0]) for one in means)


#: Fits 256 MB of variables on a grid, stored or lazy, and prints by how many MB the process grew.
CEILING = """
import resource, sys
import dask.array as da, numpy as np, xarray as xr, zarr
import emdist
from emdist import KMeans
from emdist.engines.threads import LocalEngine

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

def made(block_info=None):
    seed = block_info[None]["chunk-location"]
    return np.random.default_rng(seed).normal(size=(1, 8, 128, 256)).astype("f4")

def given(times):
    cube = da.map_blocks(
        made, chunks=((1,) * times, (8, 8), (128, 128), (256,)), dtype="f4", meta=np.empty(0, "f4")
    )
    ds = xr.Dataset({"a": (("time", "band", "y", "x"), cube)})
    if sys.argv[1] == "lazy":
        return ds
    path = f"{sys.argv[2]}/{times}.zarr"
    ds.to_zarr(path, mode="w", consolidated=False)
    return path if sys.argv[1] == "path" else xr.open_zarr(path, consolidated=False, chunks=None)

settings = dict(n_clusters=4, max_iter=2, tol=1e9, random_state=0, engine=LocalEngine(1))
settings |= {"block_size": "8 MiB", "cache": "off"}
small, large = (emdist.rows(given(times), features="band") for times in (2, 64))
KMeans(**settings).fit(small).predict(small)
before = peak()
est = KMeans(**settings).fit(large)
est.score(large)
print(peak() - before)
"""


@pytest.mark.long
@pytest.mark.parametrize("form", ["lazy", "path", "not loaded"])
def test_memory_follows_the_block(form: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CEILING, form, str(tmp_path)], capture_output=True, text=True,
        timeout=250, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 96, "MB grown while fitting 256 MB"
