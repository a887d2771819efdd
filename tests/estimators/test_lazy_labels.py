"""Labels of lazy arrays: those of data that changed are never taken for labels of the data now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from distributed import Client, LocalCluster

import emdist
from emdist import KMeans
from emdist.engines.threads import LocalEngine
from emdist.errors import DataError, RunMismatchError

xr = pytest.importorskip("xarray")
da = pytest.importorskip("dask.array")

CHUNKS = 40


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    values = np.random.default_rng(0).normal(size=(2 * CHUNKS, 30, 3))
    values += np.random.default_rng(1).integers(0, 3, (2 * CHUNKS, 30, 1)) * 8
    data = xr.Dataset({"v": (("t", "y", "z"), values), "w": (("r", "z"), values[:, 0])})
    path = tmp_path / "data.zarr"
    plain = {"compressors": ()}  # The sizes of files tell nothing then.
    encoding = {"v": {"chunks": (2, 30, 3), **plain}, "w": {"chunks": (2, 3), **plain}}
    data.to_zarr(path, consolidated=False, encoding=encoding)
    return path


def grid(path: Path) -> Any:
    return emdist.rows(xr.open_zarr(path, consolidated=False), ["v"], features="z")


def computed(path: Path) -> Any:
    return emdist.rows(xr.open_zarr(path, consolidated=False) * 2, ["v"], features="z")


def data_array(path: Path) -> Any:
    return xr.open_zarr(path, consolidated=False)["w"]


def dask_array(path: Path) -> Any:
    return da.from_zarr(str(path / "w")) + 1


LAZY = pytest.mark.parametrize("lazy", [grid, computed, data_array, dask_array])


def written(out: Path) -> Any:
    return emdist.open_labels(out)["labels"].values.ravel()


@LAZY
def test_labels_of_data_that_were_written_since_are_refused(
    lazy: Callable[[Path], Any], stored: Path, tmp_path: Path
) -> None:
    out = tmp_path / "labels.zarr"
    est = KMeans(3, random_state=0).fit(lazy(stored))
    est.label(lazy(stored), out)
    before = written(out)
    est.label(lazy(stored), out)  # The same data: nothing is in the way.
    for _, array in zarr.open_group(stored, mode="r+").arrays():
        array[:] = -array[:]
    with pytest.raises(RunMismatchError, match="of another model or of other data"):
        est.label(lazy(stored), out)
    np.testing.assert_array_equal(written(out), before)


@LAZY
def test_a_change_between_the_chunks_that_are_looked_at_is_labelled_anew(
    lazy: Callable[[Path], Any], stored: Path, tmp_path: Path
) -> None:
    out = tmp_path / "labels.zarr"
    est = KMeans(3, random_state=0).fit(lazy(stored))
    est.label(lazy(stored), out)
    before = written(out)
    for _, array in zarr.open_group(stored, mode="r+").arrays():
        array[2:4] = -array[2:4]  # The second chunk; of 40, the first and the third are sampled.
    est.label(lazy(stored), out)
    now = np.asarray(est.predict(lazy(stored))).ravel()
    assert (now != before).any()
    np.testing.assert_array_equal(written(out), now)


def test_chunks_of_an_array_without_files_are_looked_at(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(400, 2))

    def lazy() -> Any:
        # `name` stands for a program that computes something else under the same name.
        return da.from_array(values, chunks=(10, 2), name="fixed")

    est, out = KMeans(3, random_state=0).fit(values.copy()), tmp_path / "labels.zarr"
    est.label(lazy(), out)
    est.label(lazy(), out)
    values += 1.0
    with pytest.raises(RunMismatchError, match="of another model or of other data"):
        est.label(lazy(), out)


class Writing(LocalEngine):
    """Writes other values to all arrays of a group before its third pass."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path, self._passes = path, 0

    def map_reduce(self, task: Any, blocks: Any, done: Any = None) -> Any:
        self._passes += 1
        if self._passes == 3:
            for _, array in zarr.open_group(self._path, mode="r+").arrays():
                array[:] = array[:] + 100.0
        return super().map_reduce(task, blocks, done)


@LAZY
def test_data_that_are_written_during_a_fit_are_refused(
    lazy: Callable[[Path], Any], stored: Path
) -> None:
    engine = Writing(stored)
    with pytest.raises(DataError, match=r"written while emdist fitted|changed between two passes"):
        KMeans(3, random_state=0, engine=engine, max_iter=5, tol=0).fit(lazy(stored))
    assert engine._passes >= 3


def test_labels_of_a_persisted_array_belong_to_its_values(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(400, 2))
    est, out = KMeans(3, random_state=0).fit(values), tmp_path / "labels.zarr"

    def label(data: Any) -> None:
        with (
            LocalCluster(
                n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
            ) as cluster,
            Client(cluster) as client,
        ):
            lazy = da.from_array(data, chunks=(100, 2), name="fixed").persist()
            est.set_params(engine=client).label(lazy, out)

    label(values)
    label(values)
    est.set_params(engine=None)
    np.testing.assert_array_equal(written(out), est.predict(values))
    with pytest.raises(RunMismatchError, match="of another model or of other data"):
        label(values + 1.0)
