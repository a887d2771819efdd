"""Several positions of sample dimensions: rows, weights and labels are those that xarray takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr

import emdist
from emdist import KMeans
from emdist.errors import ConfigError, MissingChunksError, NonFiniteError
from emdist.inputs.layout import layout
from emdist.store.grids.opening import stored_source
from emdist.store.sources.references import reference
from tests.store.test_grids import ocean, rows_of, stacked

#: What is selected, and the same for xarray.
TAKEN: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "steps": ({"time": {"index": "::2"}}, {"time": slice(None, None, 2)}),
    "list": ({"lat": {"index": [0, 1, 7, 15, 19]}}, {"lat": [0, 1, 7, 15, 19]}),
    "dates": ({"time": {"values": ["2020-01-01", "2020-03-31"]}}, {"time": [0, 3]}),
    "two": (
        {"time": {"index": [0, 2, 5]}, "lon": {"index": "3::7"}, "lat": {"index": "4:9"}},
        {"time": [0, 2, 5], "lon": slice(3, None, 7), "lat": slice(4, 9)},
    ),
    "pairs": (
        {"lon": {"index": [0, 29]}, "lat": {"index": [3, 9]}},
        {"lon": [0, 29], "lat": [3, 9]},
    ),
}  # fmt: skip
SEA = {"features": "depth", "where": {"variable": "land", "equals": 0}}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: Any) -> str:
    path = str(tmp_path_factory.mktemp("taken") / "ocean.zarr")
    chunks = {"TEMP": {"chunks": (2, 2, 7, 11)}, "PSAL": {"chunks": (3, 5, 20, 10)}}
    ocean().to_zarr(path, encoding=chunks, consolidated=False)
    return path


@pytest.mark.parametrize("block", [2_000, 20_000, None])
@pytest.mark.parametrize("case", TAKEN)
def test_rows_are_those_that_xarray_takes(stored: str, case: str, block: int | None) -> None:
    select, taken = TAKEN[case]
    given = layout(["TEMP", "PSAL"], select=select, **SEA)
    source = stored_source(reference(stored), given, block_bytes=block)
    part = ocean().isel(taken)
    x, counted = rows_of(source)
    want = stacked(part, ["TEMP", "PSAL"], ["time", "lat", "lon"], ["depth"])
    assert np.array_equal(x, want, equal_nan=True)
    sea = np.broadcast_to(part["land"].values == 0, [part.sizes[d] for d in ("time", "lat", "lon")])
    assert np.array_equal(counted, sea.reshape(-1))


@pytest.mark.parametrize("form", ["path", "memory", "dask"])
@pytest.mark.parametrize("case", TAKEN)
def test_labels_and_weights_lie_on_what_is_taken(
    stored: str, case: str, form: str, tmp_path: Path
) -> None:
    select, taken = TAKEN[case]
    data: Any = {"path": stored, "memory": ocean(), "dask": ocean().chunk({"time": 2, "lon": 7})}[
        form
    ]
    rows = emdist.rows(data, ["TEMP", "PSAL"], select=select, **SEA)
    part = emdist.rows(ocean().isel(taken).load(), ["TEMP", "PSAL"], **SEA)
    weight = ocean()["area"]
    for own, want_of in (
        ("area", "area"),
        (weight, weight.isel(lat=taken.get("lat", slice(None)))),
    ):
        km = KMeans(2, random_state=0).fit(rows, sample_weight=own)
        want = KMeans(2, random_state=0).fit(part, sample_weight=want_of)
        assert np.allclose(km.cluster_centers_, want.cluster_centers_)
        xr.testing.assert_equal(km.labels_, want.labels_)
        assert {"time", "lat", "lon"} <= set(km.labels_.coords)
    km.label(rows, tmp_path / "labels.zarr")
    written = emdist.open_labels(tmp_path / "labels.zarr")["labels"]
    xr.testing.assert_equal(written.drop_attrs(), km.predict(rows).drop_attrs())


def test_other_positions_are_other_data(stored: str) -> None:
    marks = []
    for index in ([0, 2, 4], [1, 3, 5]):
        given = layout("PSAL", features="depth", select={"time": {"index": index}})
        marks.append(stored_source(reference(stored), given).fingerprint())
    assert marks[0] != marks[1]


def test_rows_stay_in_the_order_of_the_data(stored: str) -> None:
    for choice in ({"index": [2, 0]}, {"index": "::-1"}, {"values": ["2020-03-31", "2020-01-01"]}):
        given = layout("PSAL", features="depth", select={"time": choice})
        with pytest.raises(ConfigError, match=r"another order.*in the order of the data"):
            stored_source(reference(stored), given)


def test_missing_chunks_of_what_is_taken(tmp_path: Path) -> None:
    ds = xr.Dataset({"v": (("time", "x"), np.arange(24.0).reshape(6, 4))})
    ds.to_zarr(tmp_path / "v.zarr", encoding={"v": {"chunks": (1, 2)}}, consolidated=False)
    (tmp_path / "v.zarr" / "v" / "c" / "2" / "1").unlink()
    given = layout("v", samples="time", select={"time": {"index": "::2"}})
    ref = reference(tmp_path / "v.zarr")
    source = stored_source(ref, given, missing="drop")
    assert rows_of(source)[1].tolist() == [True, False, True]
    group = zarr.open_group(tmp_path / "zero.zarr", mode="w")
    v = group.create_array(
        "v", shape=(6, 4), chunks=(1, 2), dtype="i2", dimension_names=("time", "x")
    )
    v[:] = 1
    (tmp_path / "zero.zarr" / "v" / "c" / "2" / "1").unlink()
    with pytest.raises(MissingChunksError):
        stored_source(reference(tmp_path / "zero.zarr"), given)


def test_errors_name_positions_of_the_stored_arrays(tmp_path: Path) -> None:
    v = np.arange(24.0).reshape(6, 4)
    v[4, 1] = np.nan
    ds = xr.Dataset({"v": (("time", "x"), v)})
    rows = emdist.rows(ds, "v", samples=["time", "x"], select={"time": {"index": "::2"}})
    with pytest.raises(NonFiniteError, match="time 4, x 1"):
        KMeans(1).fit(rows)
