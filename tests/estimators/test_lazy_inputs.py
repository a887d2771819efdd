"""Lazy xarray and Dask objects: fitted block by block with the names of their columns."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from emdist import GaussianMixture, KMeans
from emdist.errors import DtypeError, FeatureNamesError, ShapeError

ROWS = 4000
X = np.concatenate([np.random.default_rng(0).normal(c, 0.3, (ROWS // 2, 3)) for c in (0.0, 5.0)])
NAMES = ["a", "b", "c"]


def lazy_array(x: Any = X, rows: int = 500) -> xr.DataArray:
    return xr.DataArray(
        da.from_array(x, chunks=(rows, x.shape[1])),
        dims=("cell", "band"),
        coords={"band": NAMES},
    )


def lazy_frame() -> dd.DataFrame:
    frame = pd.DataFrame(X, columns=NAMES, index=pd.Index(np.arange(ROWS) + 1e6, name="id"))
    return dd.from_pandas(frame, npartitions=8)


@pytest.mark.parametrize("make", [lazy_array, lazy_frame])
def test_the_fit_is_that_of_the_numbers(make: Any) -> None:
    found = KMeans(2, random_state=0).fit(make())
    plain = KMeans(2, random_state=0).fit(X)
    np.testing.assert_allclose(found.cluster_centers_, plain.cluster_centers_, rtol=1e-12)
    np.testing.assert_array_equal(found.labels_, plain.labels_)
    assert list(found.feature_names_in_) == NAMES
    np.testing.assert_array_equal(found.predict(make()), found.labels_)


def test_other_names_are_refused() -> None:
    fitted = GaussianMixture(2, random_state=0).fit(lazy_frame())
    with pytest.raises(FeatureNamesError, match="same order as they were in fit"):
        fitted.predict(lazy_frame()[["b", "a", "c"]])


#: Fits 256 MB of lazy rows in chunks of 4 MB, and prints by how many MB the process grew.
CEILING = """
import resource, sys
import dask.array as da, dask.dataframe as dd, numpy as np, xarray as xr
from emdist import KMeans
from emdist.engines.threads import LocalEngine

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

def made(block_info=None):
    return np.random.default_rng(block_info[None]["chunk-location"][0]).normal(size=(32768, 16))

def lazy(chunks):
    return da.map_blocks(made, chunks=((32768,) * chunks, (16,)), dtype="f8")

def given(chunks):
    if sys.argv[1] == "DataArray":
        return xr.DataArray(lazy(chunks), dims=("row", "band"))
    return dd.from_dask_array(lazy(chunks), columns=[f"b{i}" for i in range(16)])

settings = dict(n_clusters=4, max_iter=2, tol=1e9, random_state=0, engine=LocalEngine(1))
KMeans(**settings).fit(given(2))
before = peak()
est = KMeans(**settings).fit(given(64))
est.score(given(64))
print(peak() - before)
"""


@pytest.mark.parametrize("kind", ["DataArray", "frame"])
def test_memory_stays_far_below_the_data(kind: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CEILING, kind], capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 128, "MB grown while fitting 256 MB"


def test_text_columns_are_named() -> None:
    frame = lazy_frame().assign(name="x")
    with pytest.raises(DtypeError, match=r"no numbers: name \(str\w*\)\. Select .*select_dtypes"):
        KMeans(2).fit(frame)
    found = KMeans(2, random_state=0).fit(frame.select_dtypes("number"))
    assert list(found.feature_names_in_) == NAMES


def test_a_data_array_of_more_dimensions_says_how_to_stack_it() -> None:
    cube = xr.DataArray(da.zeros((4, 5, 6), chunks=2), dims=("time", "lat", "lon"))
    with pytest.raises(ShapeError, match=r"dimensions, time, lat, lon.*samples of emdist\.rows"):
        KMeans(2).fit(cube)
