"""CF decoding: packed and masked numbers have xarray's values, or stay as stored by choice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr

import emdist
from emdist.errors import DtypeError, NonFiniteError
from emdist.interfaces import Source
from emdist.store.places.location import Location
from emdist.store.sources.zarr_source import ArrayRef, zarr_source

ROWS, FEATURES = 60, 3


def source_of(path: Path, **settings: Any) -> Source:
    return zarr_source(ArrayRef(Location(str(path)), "t"), block_bytes=400, **settings)


def rows_of(source: Source) -> np.ndarray[Any, Any]:
    return np.concatenate([source.read(i).x for i in range(len(source))])


def stored(path: Path, x: Any, attrs: dict[str, Any], version: int, **settings: Any) -> None:
    """Write numbers as they are stored, with attributes, named as xarray names them."""
    group = zarr.open_group(path, mode="w", zarr_format=version)  # type: ignore[arg-type]
    names = {"dimension_names": ("n", "d")} if version == 3 else {}
    array = group.create_array("t", shape=x.shape, chunks=(16, FEATURES), dtype=x.dtype,
                               **names, **settings)  # fmt: skip
    array[:] = x
    array.attrs.update(attrs | ({"_ARRAY_DIMENSIONS": ["n", "d"]} if version == 2 else {}))


def numbers(dtype: str, seed: int = 0) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        x = rng.normal(size=(ROWS, FEATURES)).astype(dtype)
    else:
        low, high = (-120, 120) if np.dtype(dtype).kind == "i" else (0, 250)
        x = rng.integers(low, high, (ROWS, FEATURES)).astype(dtype)
    x[::7, 1] = -99 if np.dtype(dtype).kind != "u" else 255
    return x


ATTRS: dict[str, dict[str, Any]] = {
    "scale": {"scale_factor": 0.01},
    "offset": {"add_offset": 273.15},
    "both": {"scale_factor": 0.5, "add_offset": -3.0},
    "scale in a list": {"scale_factor": [0.25]},
    "missing": {"missing_value": -99},
    "two missing": {"missing_value": [-99, 100]},
    "missing and scale": {"missing_value": -99, "scale_factor": 0.1, "add_offset": 1.0},
    "other attributes": {"units": "m", "valid_range": [-50, 50], "long_name": "t"},
}


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", ">i2", "float32", "float64"])
@pytest.mark.parametrize("attrs", ATTRS.values(), ids=ATTRS)
def test_values_are_xarrays(
    attrs: dict[str, Any], dtype: str, version: int, tmp_path: Path
) -> None:
    x = numbers(dtype)
    stored(tmp_path / "x.zarr", x, attrs, version)
    wanted = xr.open_zarr(tmp_path / "x.zarr", consolidated=False)["t"].values
    found = rows_of(source_of(tmp_path / "x.zarr"))
    np.testing.assert_array_equal(found, wanted.astype(found.dtype))
    assert found.dtype.itemsize >= min(wanted.dtype.itemsize, 8)
    if dtype not in (">i2",):
        np.testing.assert_array_equal(rows_of(source_of(tmp_path / "x.zarr", decode="none")), x)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("dtype", ["int16", "uint8", "float32", "float64"])
def test_what_xarray_has_packed_comes_back(version: int, dtype: str, tmp_path: Path) -> None:
    """A fill value is in Zarr's own metadata in format 2, and an attribute in format 3."""
    values = np.random.default_rng(1).uniform(0, 20, (ROWS, FEATURES))
    values[::5, 0] = np.nan
    fill = {"int16": -32768, "uint8": 255, "float32": -9999.0, "float64": -9999.0}[dtype]
    packed = {"scale_factor": 0.1, "add_offset": 0.0} if np.dtype(dtype).kind != "f" else {}
    ds = xr.Dataset({"t": (("n", "d"), values)})
    how = {"dtype": dtype, "_FillValue": fill, "chunks": (16, 3), **packed}
    ds.to_zarr(tmp_path / "x.zarr", zarr_format=version, consolidated=False, encoding={"t": how})
    wanted = xr.open_zarr(tmp_path / "x.zarr", consolidated=False)["t"].values
    found = rows_of(source_of(tmp_path / "x.zarr"))
    np.testing.assert_array_equal(found, wanted.astype(found.dtype))
    assert np.isnan(found[::5, 0]).all()


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(("dtype", "unsigned"), [("int8", "true"), ("uint8", "false")])
def test_the_sign_that_an_attribute_states(
    version: int, dtype: str, unsigned: str, tmp_path: Path
) -> None:
    x = np.arange(ROWS * FEATURES).reshape(ROWS, FEATURES).astype("uint8").view(dtype)
    fill = {"_FillValue": -1 if dtype == "int8" else 7} if version == 3 else {}
    stored(tmp_path / "x.zarr", x, {"_Unsigned": unsigned, **fill}, version, fill_value=0)
    wanted = xr.open_zarr(tmp_path / "x.zarr", consolidated=False)["t"].values
    found = rows_of(source_of(tmp_path / "x.zarr"))
    np.testing.assert_array_equal(found, wanted)
    assert np.nanmax(found) > 127 if unsigned == "true" else np.nanmin(found) < 0


def test_a_plain_array_of_format_2_keeps_its_zeros(tmp_path: Path) -> None:
    """Without names of dimensions it is none of xarray's, and 0 is Zarr's own default."""
    array = zarr.create_array(
        tmp_path / "x.zarr", shape=(9, 2), dtype="int16", fill_value=0, zarr_format=2
    )
    array[:] = np.arange(18).reshape(9, 2)
    source = zarr_source(ArrayRef(Location(str(tmp_path / "x.zarr"))))
    np.testing.assert_array_equal(rows_of(source), np.arange(18).reshape(9, 2))


def packed_clusters(path: Path) -> np.ndarray[Any, Any]:
    """Two clusters of int16, whose fill value would be a third one."""
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.normal(5, 0.2, (150, 3)), rng.normal(9, 0.2, (150, 3))])
    packed = np.round(x / 0.01).astype("int16")
    packed[::10] = -32768
    stored(path, packed, {"scale_factor": 0.01, "_FillValue": -32768}, 3)
    return np.where(packed == -32768, np.nan, packed * 0.01)


def test_a_fill_value_is_no_centre(tmp_path: Path) -> None:
    wanted = packed_clusters(tmp_path / "x.zarr")
    array = zarr.open_group(tmp_path / "x.zarr", mode="r")["t"]
    with pytest.raises(NonFiniteError, match="_FillValue"):
        emdist.KMeans(2, random_state=0).fit(array)
    km = emdist.KMeans(2, random_state=0, non_finite="drop").fit(array)
    plain = emdist.KMeans(2, random_state=0, non_finite="drop").fit(wanted)
    np.testing.assert_array_equal(km.cluster_centers_, plain.cluster_centers_)
    assert len(km.labels_) == 270
    raw = emdist.KMeans(2, random_state=0, decode="none").fit(array)
    assert raw.cluster_centers_.min() == pytest.approx(-32768)


@pytest.mark.parametrize(
    "attrs",
    [
        {"scale_factor": "x"},
        {"add_offset": [1, 2]},
        {"missing_value": {"a": 1}},
        {"scale_factor": True},
    ],
)
def test_attributes_that_are_no_numbers_are_named(attrs: dict[str, Any], tmp_path: Path) -> None:
    stored(tmp_path / "x.zarr", numbers("int16"), attrs, 3)
    (name,) = attrs
    with pytest.raises(DtypeError, match=rf"The attribute {name} of .*decode"):
        source_of(tmp_path / "x.zarr")
    assert len(rows_of(source_of(tmp_path / "x.zarr", decode="none"))) == ROWS
