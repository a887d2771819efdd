"""Data that emdist does not read are refused by name, in every layer, with a line that works."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import xarray as xr
import zarr

from emdist import KMeans
from emdist.errors import DtypeError, EmdistError
from tests.cli.conftest import Answer, Command

X = np.concatenate([np.random.default_rng(0).normal(c, 0.1, (30, 2)) for c in (0.0, 5.0)])


def netcdf() -> str:
    data = xr.Dataset({"v": (("row", "feature"), X)})
    data.to_netcdf("x.nc", engine="scipy")
    return "x.nc"


def hdf5() -> str:
    h5py = pytest.importorskip("h5py")
    with h5py.File("x.h5", "w") as file:
        file["NAME"] = X
    return "x.h5"


def netcdf4() -> str:
    pytest.importorskip("h5netcdf")
    xr.Dataset({"v": (("row", "feature"), X)}).to_netcdf("x4.nc", engine="h5netcdf")
    return "x4.nc"


def arrow() -> str:
    pl.DataFrame(X, schema=["a", "b"]).write_ipc("x.arrow")
    return "x.arrow"


def parquet() -> str:
    pd.DataFrame(X, columns=["a", "b"]).to_parquet("x.parquet")
    return "x.parquet"


def parquet_folder() -> str:
    Path("parts").mkdir()
    for i, part in enumerate(np.split(X, 12)):
        pd.DataFrame(part, columns=["a", "b"]).to_parquet(f"parts/part.{i}.parquet")
    return "parts"


def hive() -> str:
    for i, part in enumerate(np.split(X, 2)):
        Path(f"hive/year={i}").mkdir(parents=True)
        pd.DataFrame(part, columns=["a", "b"]).to_parquet(f"hive/year={i}/a.parquet")
    return "hive"


def geotiff() -> str:
    rasterio = pytest.importorskip("rasterio")
    pytest.importorskip("rioxarray")
    bands = X.T.reshape(2, 6, 10).astype("float32")
    with rasterio.open(
        "x.tif", "w", driver="GTiff", width=10, height=6, count=2, dtype="float32",
        crs="EPSG:32633", transform=rasterio.Affine(10, 0, 0, 0, -10, 60),
    ) as file:  # fmt: skip
        file.write(bands)
    return "x.tif"


#: Kinds of files and folders: how they are named, and the array that the line makes.
KINDS: dict[str, tuple[Callable[[], str], str, str]] = {
    "NetCDF": (netcdf, "a NetCDF file", "x.zarr/v"),
    "NetCDF-4": (netcdf4, "a NetCDF file", "x4.zarr/v"),
    "HDF5": (hdf5, "an HDF5 file", "x.zarr"),
    "Arrow": (arrow, "an Arrow file", "x.zarr"),
    "Parquet": (parquet, "a file, not a Zarr array", "x.zarr"),
    "Parquet folder": (parquet_folder, "a folder of Parquet files", "parts.zarr"),
    "Parquet in subfolders": (hive, "Parquet files in subfolders", "hive.zarr"),
}


def follow(text: str, emdist: Command) -> None:
    """Run the line of Python that a message gives, and then its command."""
    import dask.array
    import polars
    import xarray

    names: dict[str, Any] = {"xarray": xarray, "polars": polars, "dask": dask, "zarr": zarr}
    for optional in ("h5py", "rioxarray"):
        try:
            names[optional] = __import__(optional)
        except ImportError:
            continue
    if found := re.search(r"in Python: ([^ ].*?\))(?:, (?:and|then)|\.$)", text):
        eval(found[1], names)
    for command in re.findall(r"`(emdist ingest [^`]+\.zarr)`", text):
        assert emdist(*shlex.split(command)[1:]).code == 0, command


@pytest.mark.parametrize("kind", KINDS)
def test_a_path_of_another_kind_is_named_in_every_layer_and_the_line_works(
    kind: str, emdist: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, named, made = KINDS[kind]
    path = make()
    with pytest.raises(EmdistError, match=named) as caught:
        KMeans(2).fit(path)
    told = str(caught.value)
    answer: Answer = emdist("fit", path, "-k", 2)
    assert answer.code == 3
    assert named in " ".join(answer.err.split())
    Path("c.yaml").write_text(f"data: {{path: {path}}}\nmodel: {{n_components: 2}}\n")
    answer = emdist("fit", "-f", "c.yaml")
    assert answer.code == 3
    assert named in " ".join(answer.err.split())
    follow(told, emdist)
    found = KMeans(2, random_state=0).fit(made)
    assert sorted(np.bincount(found.labels_)) == [30, 30]
    np.testing.assert_array_equal(zarr.open_array(made, mode="r")[:], X)


def test_a_geotiff_keeps_its_bands_by_the_line_of_the_message(emdist: Command) -> None:
    path = geotiff()
    answer = emdist("fit", path, "-k", 2)
    assert answer.code == 3
    told = " ".join(answer.err.split())
    assert "a raster such as a GeoTIFF" in told
    with pytest.raises(EmdistError) as caught:
        KMeans(2).fit(path)
    follow(str(caught.value).replace("`emdist ingest x.tif x.zarr`", ""), emdist)
    bands = zarr.open_group("x.zarr", mode="r")["bands"]
    assert bands.shape == (2, 6, 10)


def test_sparse_groups_of_anndata_are_named(emdist: Command) -> None:
    group = zarr.create_group("a.zarr")
    sparse = group.create_group("X", attributes={"encoding-type": "csr_matrix", "shape": [60, 2]})
    for name in ("data", "indices", "indptr"):
        sparse.create_array(name, data=np.arange(5))
    group.create_group("obsm").create_array("X_pca", data=X)
    for where in ("a.zarr/X",):
        with pytest.raises(EmdistError, match=r"sparse matrix in AnnData's encoding \(csr_matrix"):
            KMeans(2).fit(where)
        answer = emdist("fit", where, "-k", 2)
        assert answer.code == 3
        assert "dense array of the same cells" in " ".join(answer.err.split())
    with pytest.raises(EmdistError, match=r"Name one of its arrays: obsm/X_pca\."):
        KMeans(2).fit("a.zarr")
    with pytest.raises(DtypeError, match=r"anndata\.io\.sparse_dataset\(X\)"):
        KMeans(2).fit(sparse)
    assert KMeans(2, random_state=0).fit("a.zarr/obsm/X_pca").n_features_in_ == 2


def test_ragged_arrays_are_named(emdist: Command) -> None:
    import json

    Path("v.zarr").mkdir()
    metadata = {
        "zarr_format": 2, "shape": [10], "chunks": [5], "dtype": "|O", "fill_value": None,
        "order": "C", "compressor": None, "filters": [{"id": "vlen-array", "dtype": "<i4"}],
    }  # fmt: skip
    Path("v.zarr/.zarray").write_text(json.dumps(metadata))
    with pytest.raises(DtypeError, match="ragged array, whose rows have different lengths"):
        KMeans(2).fit("v.zarr")
    assert "ragged array" in emdist("fit", "v.zarr", "-k", 2).err


def ragged(kind: str) -> Any:
    rows: list[Any] = [[float(i), float(i % 7)] if i % 5 else [float(i)] for i in range(40)]
    if kind == "awkward":
        return pytest.importorskip("awkward").Array(rows)
    if kind == "Arrow":
        return pytest.importorskip("pyarrow").array(rows)
    return rows


@pytest.mark.parametrize("kind", ["list", "awkward", "Arrow"])
def test_rows_of_different_lengths_are_padded_by_the_line_of_the_message(kind: str) -> None:
    import pandas

    from emdist import GaussianMixture

    rows = ragged(kind)
    with pytest.raises(DtypeError, match="rows of different lengths") as caught:
        KMeans(2).fit(rows)
    line = re.search(r"pandas\.DataFrame\(.*?\)(?=, with)", str(caught.value))
    assert line is not None
    padded = eval(line[0], {"pandas": pandas, "X": rows})
    found = GaussianMixture(2, random_state=0, non_finite="missing").fit(padded.to_numpy())
    assert found.n_features_in_ == 2


def test_lazy_objects_of_arrow_and_hdf5_are_named_with_what_streams() -> None:
    import dask
    import dask.array
    import polars
    import pyarrow.dataset
    import pyarrow.parquet

    folder = parquet_folder()
    data = pyarrow.dataset.dataset(folder)
    cases: list[tuple[Any, str, str]] = [
        (data, "pyarrow FileSystemDataset", "polars.scan_pyarrow_dataset(X)"),
        (data, "pyarrow FileSystemDataset", "X.to_table()"),
        (data.scanner(), "pyarrow Scanner", "X.to_table()"),
        (data.scanner().to_reader(), "pyarrow RecordBatchReader", "X.read_all()"),
        (pyarrow.parquet.ParquetFile(f"{folder}/part.0.parquet"), "ParquetFile", "X.read()"),
    ]
    for x, named, line in cases:
        with pytest.raises(DtypeError, match=named) as caught:
            KMeans(2).fit(x)
        assert line in str(caught.value)
        given = eval(line, {"X": x, "polars": polars})
        assert KMeans(2, random_state=0).fit(given).n_features_in_ == 2
    h5py = pytest.importorskip("h5py")
    with h5py.File("y.h5", "w") as file:
        file["x"] = X
        for x, line in ((file["x"], "dask.array.from_array(X)"),
                        (file, 'dask.array.from_array(X["x"])')):  # fmt: skip
            with pytest.raises(DtypeError, match=r"h5py\.(Dataset|File)") as caught:
                KMeans(2).fit(x)
            assert line in str(caught.value)
            found = KMeans(2, random_state=0).fit(eval(line, {"X": x, "dask": dask}))
            assert sorted(np.bincount(found.labels_)) == [30, 30]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
