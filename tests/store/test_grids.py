"""Variables on a grid: rows and features made of named dimensions, equal to what xarray stacks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr

import emdist
from emdist.errors import (
    ConfigError,
    CorruptChunkError,
    EmdistError,
    MissingChunksError,
    NotAnArrayError,
    ShapeError,
    WeightError,
)
from emdist.inputs.layout import layout
from emdist.interfaces import Source
from emdist.store.grids.boxes import boxes_of
from emdist.store.grids.grid_source import GridSource
from emdist.store.grids.opening import stored_source
from emdist.store.sources.references import reference
from emdist.store.sources.zarr_source import ZarrSource

TIMES, DEPTHS, LATS, LONS = 6, 5, 20, 30


def ocean() -> xr.Dataset:
    """Temperature and salinity by time, depth, latitude and longitude, with land."""
    rng = np.random.default_rng(0)
    shape = (TIMES, DEPTHS, LATS, LONS)
    land = rng.random((LATS, LONS)) < 0.2
    temp = rng.normal(10, 5, shape).astype("f4")
    psal = rng.normal(35, 1, shape).astype("f4")
    temp[:, :, land] = psal[:, :, land] = np.nan
    dims = ("time", "depth", "lat", "lon")
    return xr.Dataset(
        {
            "TEMP": (dims, temp),
            "PSAL": (dims, psal),
            "land": (("lat", "lon"), land.astype("i1")),
            "area": (("lat",), np.linspace(0.5, 1, LATS)),
        },
        coords={
            "time": np.datetime64("2020-01-01", "ns") + np.timedelta64(30, "D") * np.arange(TIMES),
            "depth": [0.0, 10.0, 50.0, 100.0, 500.0],
            "lat": np.linspace(80, -80, LATS),
            "lon": np.linspace(-180, 168, LONS),
        },
    )


@pytest.fixture(scope="module", params=[2, 3])
def stored(request: Any, tmp_path_factory: Any) -> str:
    path = str(tmp_path_factory.mktemp("grid") / "ocean.zarr")
    packed = {"dtype": "int16", "scale_factor": 0.001, "add_offset": 10.0, "_FillValue": -32768}
    encoding = {"TEMP": {**packed, "chunks": (2, 2, 7, 11)}, "PSAL": {"chunks": (3, 5, 20, 10)}}
    ocean().to_zarr(path, encoding=encoding, zarr_format=request.param, consolidated=False)
    return path


def rows_of(source: Source) -> tuple[Any, Any]:
    """Return all rows in the order of their numbers, and which of them count."""
    x = np.full(source.shape, np.inf)
    counted = np.zeros(source.shape[0], bool)
    done = 0
    for i in range(len(source)):
        block = source.read(i)
        assert block.start == source.bounds[i] == done
        numbers = block.box.rows(0, len(block.x)) if block.box else block.rows()
        x[numbers] = block.x
        counted[block.rows()] = True
        done += len(block.x)
    assert done == source.bounds[-1] == source.shape[0]
    return x, counted


def stacked(ds: xr.Dataset, names: list[str], samples: list[str], features: list[str]) -> Any:
    parts = [
        ds[name].stack(row=samples).transpose("row", *features).values.reshape(-1, math.prod(
            ds.sizes[dim] for dim in features))
        for name in names
    ]  # fmt: skip
    return np.concatenate(parts, 1)


@pytest.mark.parametrize("block", [4_000, 40_000, None])
@pytest.mark.parametrize(
    ("samples", "features"),
    [
        (["time", "lat", "lon"], ["depth"]),
        (["lat", "lon"], ["time", "depth"]),
        (["lon", "time", "lat"], ["depth"]),
        (["depth"], ["lat", "lon", "time"]),
        (["time", "depth", "lat", "lon"], []),
    ],
)
def test_rows_are_those_that_xarray_stacks(
    stored: str, samples: list[str], features: list[str], block: int | None
) -> None:
    given = layout(["TEMP", "PSAL"], samples, features)
    source = stored_source(reference(stored), given, block_bytes=block, non_finite="missing")
    assert isinstance(source, GridSource)
    ds = xr.open_zarr(stored, consolidated=False)
    x, counted = rows_of(source)
    want = stacked(ds, ["TEMP", "PSAL"], samples, features)
    assert np.array_equal(x, want, equal_nan=True)
    assert counted.all()


@pytest.mark.newest
@pytest.mark.newest_short
def test_selections_are_those_of_xarray(stored: str) -> None:
    given = layout(
        ["TEMP", "PSAL"],
        features=["depth"],
        select={"depth": [0, 60], "time": ["2020-02", "2020-04"], "lat": [-50, 50], "lon": 0.0},
        where={"variable": "land", "equals": 0},
    )
    source = stored_source(reference(stored), given, block_bytes=3000)
    ds = xr.open_zarr(stored, consolidated=False)
    part = ds.sel(depth=slice(0, 60), time=slice("2020-02", "2020-04"), lat=slice(50, -50), lon=0)
    x, counted = rows_of(source)
    want = stacked(part, ["TEMP", "PSAL"], ["time", "lat"], ["depth"])
    assert np.array_equal(x, want, equal_nan=True)
    sea = np.broadcast_to(part["land"].values == 0, (part.sizes["time"], part.sizes["lat"]))
    assert np.array_equal(counted, sea.reshape(-1))
    assert source.feature_names is not None
    assert source.feature_names[:2] == ("TEMP[depth=0]", "TEMP[depth=10]")


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        ({"index": 2}, [2]),
        ({"index": -1}, [4]),
        ({"index": "1:3"}, [1, 2]),
        ({"index": "::2"}, [0, 2, 4]),
        ({"index": [3, 0]}, [3, 0]),
        ({"values": [500, 10]}, [4, 1]),
        ([10, 100], [1, 2, 3]),
        ([None, 10], [0, 1]),
        (slice(50, None), [2, 3, 4]),
        (50, [2]),
    ],
)
def test_positions_of_a_feature_dimension(stored: str, choice: Any, wanted: list[int]) -> None:
    given = layout("PSAL", features="depth", select={"depth": choice})
    source = stored_source(reference(stored), given, non_finite="missing")
    ds = xr.open_zarr(stored, consolidated=False).isel(depth=wanted)
    want = stacked(ds, ["PSAL"], ["time", "lat", "lon"], ["depth"])
    assert np.array_equal(rows_of(source)[0], want, equal_nan=True)


def test_variables_of_fewer_dimensions_are_repeated(stored: str) -> None:
    given = layout(["PSAL", "area"], features="depth")
    source = stored_source(reference(stored), given, "area", non_finite="missing", block_bytes=9000)
    ds = xr.open_zarr(stored, consolidated=False)
    area = np.broadcast_to(ds["area"].values[None, :, None], (TIMES, LATS, LONS)).reshape(-1)
    x, _ = rows_of(source)
    assert np.array_equal(x[:, -1], area)
    assert source.feature_names is not None
    assert source.feature_names[-1] == "area"
    weights = np.full(len(x), np.nan)
    for i in range(len(source)):
        block = source.read(i)
        weights[block.rows()] = block.weight
    assert np.array_equal(weights, area)


def test_bands_by_pattern_are_features_in_natural_order(tmp_path: Path) -> None:
    bands = {f"B{i}": (("y", "x"), np.full((4, 6), i, "u2")) for i in (10, 2, 1)}
    xr.Dataset(bands).to_zarr(tmp_path / "bands.zarr", consolidated=False)
    source = stored_source(reference(tmp_path / "bands.zarr"), layout("B*"))
    assert source.shape == (24, 3)
    assert source.dtype == np.uint16
    assert source.feature_names == ("B1", "B2", "B10")
    assert rows_of(source)[0][5].tolist() == [1, 2, 10]


def test_a_two_dimensional_array_as_it_lies_is_read_as_before(tmp_path: Path) -> None:
    x = np.arange(12.0).reshape(6, 2)
    xr.DataArray(x, dims=("obs", "band"), name="x").to_dataset().to_zarr(
        tmp_path / "x.zarr", consolidated=False
    )
    source = stored_source(reference(tmp_path / "x.zarr"), layout("x", samples="obs"))
    assert isinstance(source, ZarrSource)
    assert np.array_equal(rows_of(source)[0], x)
    turned = stored_source(reference(tmp_path / "x.zarr"), layout("x", samples="band"))
    assert np.array_equal(rows_of(turned)[0], x.T)


@pytest.mark.parametrize(
    ("dims", "told"),
    [
        (("y", "x"), "both are spatial"),
        (("lat", "lon"), "both are spatial"),
        (("depth", "time"), "time would make up the features"),
        (("band", "pixel"), "band would make up the rows"),
    ],
)
def test_dimensions_that_can_be_misread_are_refused(
    tmp_path: Path, dims: tuple[str, str], told: str
) -> None:
    array = zarr.create_array(
        tmp_path / "a.zarr", shape=(4, 3), chunks=(2, 3), dtype="f8", dimension_names=dims
    )
    array[:] = np.arange(12.0).reshape(4, 3)
    with pytest.raises(ShapeError, match=f"{told}.*data.samples"):
        stored_source(reference(array), layout())
    group = zarr.create_group(tmp_path / "g.zarr")
    for name in ("v", "w"):
        group.create_array(name, shape=(4, 3), dtype="f8", dimension_names=dims)[:] = 1.0
    with pytest.raises(ShapeError, match=f"{told}.*data.samples"):
        stored_source(reference(group), layout("v"))
    assert stored_source(reference(array), layout(samples=dims[1])).shape == (3, 4)
    assert stored_source(reference(array), layout(samples=dims[0])).shape == (4, 3)
    assert stored_source(reference(array), layout(samples=list(dims))).shape == (12, 1)


def test_years_are_numbers_and_texts_have_no_ranges(stored: str, tmp_path: Path) -> None:
    given = layout("PSAL", features="depth", select={"time": [2020, 2020]})
    assert stored_source(reference(stored), given).shape[0] == TIMES * LATS * LONS
    bands = xr.DataArray(np.ones((3, 4, 5)), dims=("band", "y", "x"), name="refl")
    ds = bands.assign_coords(band=["B02", "B03", "B8A"]).to_dataset()
    ds.to_zarr(tmp_path / "cube.zarr", consolidated=False)
    two = layout("refl", features="band", select={"band": ["B02", "B8A"]})
    with pytest.raises(ConfigError, match=r"a range.*\{values: "):
        stored_source(reference(tmp_path / "cube.zarr"), two)
    named = layout("refl", features="band", select={"band": {"values": ["B02", "B8A"]}})
    assert stored_source(reference(tmp_path / "cube.zarr"), named).shape == (20, 2)


def test_times_of_other_calendars_are_numbers_if_nobody_can_say_them(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "cmip.zarr")
    dims = ("time", "cell")
    group.create_array("tos", shape=(4, 3), dtype="f8", dimension_names=dims)[:] = 1.0
    time = group.create_array("time", shape=(4,), dtype="f8", dimension_names=("time",))
    time[:] = np.arange(4.0)
    time.attrs.update({"units": "days since 1850-01-01", "calendar": "noleap"})
    source = stored_source(
        reference(group), layout("tos", samples=["cell"], select={"cell": {"index": "0:2"}})
    )
    assert source.shape == (2, 4)


def test_weights_may_be_missing_in_rows_that_are_left_out() -> None:
    ds = ocean()
    area = (ds["area"] * xr.ones_like(ds["land"])).where(ds["land"] == 0)
    given = {"features": "depth", "where": {"variable": "land", "equals": 0}}
    rows = emdist.rows(ds.assign(cell=area), "PSAL", **given)
    full = emdist.rows(ds.assign(cell=ds["area"] * xr.ones_like(ds["land"])), "PSAL", **given)
    found = [
        emdist.KMeans(2, random_state=0).fit(x, sample_weight="cell").inertia_ for x in (rows, full)
    ]
    assert found[0] == found[1]


def test_what_breaks_was_found_by_trying(stored: str) -> None:
    """Longer weights, doubled names, numbers of float32 and dates without hyphens."""
    ds = ocean()
    longer = xr.DataArray(np.ones(LATS + 2), dims="lat")
    with pytest.raises(WeightError, match="lat \\(22\\)"):
        emdist.KMeans(2).fit(emdist.rows(ds, "PSAL", features="depth"), sample_weight=longer)
    named = stored_source(
        reference(stored), layout(["P*", "PSAL"], features="depth"), non_finite="missing"
    )
    assert named.shape[1] == DEPTHS
    tenth = ds.assign(m=("lat", np.where(np.arange(LATS) % 2, 0.1, 0.2).astype("f4")))
    where = {"variable": "m", "equals": 0.1}
    rows = emdist.rows(tenth, ["area", "m"], where=where)
    assert (emdist.KMeans(1, random_state=0).fit(rows).predict(rows) == 0).sum() == LATS // 2
    given = layout("PSAL", features="depth", select={"time": [None, "20200131"]})
    assert stored_source(reference(stored), given).shape[0] == 2 * LATS * LONS
    with pytest.raises(ConfigError, match="select for time"):
        stored_source(
            reference(stored), layout("PSAL", features="depth", select={"time": [None, "202001"]})
        )


def test_chunks_that_are_read_several_times_are_told(stored: str) -> None:
    ref, given = reference(stored), layout("PSAL", features="depth")
    whole = stored_source(ref, given, non_finite="missing")
    assert isinstance(whole, GridSource)
    assert whole.doubt == ""
    # PSAL has chunks of (3, 5, 20, 10); a block of one time and five latitudes cuts them.
    cut = stored_source(ref, given, non_finite="missing", block_bytes=1000)
    assert isinstance(cut, GridSource)
    assert cut.bounds.steps == (1, 5, 10)
    assert "PSAL are read 12.0 times" in cut.doubt


def test_coordinates_tell_what_dimensions_are(tmp_path: Path) -> None:
    """Names alone say nothing here."""
    known = {
        "a": (("n", "m"), {"units": "degrees_north"}, {"standard_name": "longitude"}, "spatial"),
        "b": (("n", "m"), {"axis": "Y"}, {"axis": "X"}, "spatial"),
        "c": (("n", "m"), {}, {"units": "days since 2000-01-01"}, "m would make up the features"),
    }
    for name, (dims, first, second, told) in known.items():
        group = zarr.create_group(tmp_path / f"{name}.zarr")
        for dim, n, attributes in zip(dims, (4, 3), (first, second), strict=True):
            one = group.create_array(dim, shape=(n,), dtype="f8", dimension_names=(dim,))
            one.attrs.update(attributes)
        group.create_array("v", shape=(4, 3), chunks=(2, 3), dtype="f8", dimension_names=dims)
        with pytest.raises(ShapeError, match=told):
            stored_source(reference(group["v"]), layout())


MISTAKES: dict[str, tuple[dict[str, Any], type[EmdistError], str]] = {
    "variable": ({"variables": "TMP"}, NotAnArrayError, "did you mean 'TEMP'"),
    "pattern": ({"variables": "X*"}, NotAnArrayError, "no variables like 'X"),
    "dimension": ({"variables": "TEMP", "samples": "tim"}, ConfigError, "did you mean 'time'"),
    "no roles": ({"variables": "TEMP"}, ConfigError, "time, depth, lat, lon.*data.samples"),
    "both": ({"samples": "lat", "features": "lat"}, ConfigError, "in data.samples and"),
    "neither": (
        {"variables": "TEMP", "samples": ["lat", "lon"], "features": ["depth"]},
        ConfigError,
        "time is neither",
    ),
    "no variables": (
        {"features": "depth"},
        ConfigError,
        r"several variables: PSAL .time 6, depth 5, .*land .lat 20, lon 30.\. Say which",
    ),
    "range": (
        {"variables": "TEMP", "features": "depth", "select": {"depth": [600, 700]}},
        ShapeError,
        "0 to 500",
    ),
    "value": (
        {"variables": "TEMP", "features": "depth", "select": {"depth": 11}},
        ConfigError,
        "no position of depth has",
    ),
    "index": (
        {"variables": "TEMP", "features": "depth", "select": {"depth": {"index": 5}}},
        ConfigError,
        "positions 0..4",
    ),
    "holes": (
        {"variables": "TEMP", "features": "depth", "select": {"time": {"index": [2, 0]}}},
        ConfigError,
        "in another order than the data",
    ),
    "all gone": (
        {
            "variables": "area",
            "samples": "lat",
            "select": {"lat": {"index": 1}},
        },
        ShapeError,
        "No dimension is left",
    ),
    "condition": (
        {"variables": "TEMP", "features": "depth", "where": {"variable": "land"}},
        ConfigError,
        "data.where.*comparison",
    ),
    "condition on text": (
        {"variables": "TEMP", "where": {"variable": "land", "equals": "sea"}},
        ConfigError,
        "comparison with a number",
    ),
    "condition along features": (
        {
            "variables": "TEMP",
            "features": "depth",
            "where": {"variable": "PSAL", "at_least": 30},
        },
        ConfigError,
        "no sample dimension",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_told(stored: str, mistake: str) -> None:
    given, error, told = MISTAKES[mistake]
    with pytest.raises(error, match=told):
        stored_source(reference(stored), layout(**given))


def test_weights_of_another_grid_are_refused(stored: str) -> None:
    given = layout("PSAL", features="depth")
    with pytest.raises(WeightError, match=r"time.*depth.*sample dimensions"):
        stored_source(reference(stored), given, "TEMP")
    with pytest.raises(WeightError, match="expected the shape of the grid"):
        stored_source(reference(stored), given, np.ones(7))


# --- chunks that are missing or broken -----------------------------------------------------------


def holed(path: Path, fill: Any, shards: tuple[int, ...] | None = None) -> Any:
    """Return an array (time, depth, x) with the chunk of time 2..3, depth 0..1, x 4..7 missing."""
    array = zarr.create_array(
        path,
        shape=(6, 2, 8),
        chunks=(2, 2, 4) if shards is None else (1, 1, 4),
        shards=shards,
        dtype="f4",
        fill_value=fill,
        dimension_names=("time", "depth", "x"),
    )
    values = np.arange(96, dtype="f4").reshape(6, 2, 8)
    for time in (0, 2, 4):
        for x in (0, 4):
            if (time, x) != (2, 4):
                array[time : time + 2, :, x : x + 4] = values[time : time + 2, :, x : x + 4]
    return array, values


@pytest.mark.parametrize("shards", [None, (2, 2, 4)])
def test_missing_chunks_follow_their_policy(tmp_path: Path, shards: Any) -> None:
    array, values = holed(tmp_path / "a.zarr", 7.0, shards)
    given, ref = layout(features="depth"), reference(array)
    with pytest.raises(MissingChunksError, match=r"time 2\.\.\d, depth 0\.\.\d, x 4\.\.7.*drop"):
        stored_source(ref, given)
    hole = np.zeros((6, 8), bool)
    hole[2:4, 4:] = True
    x, counted = rows_of(stored_source(ref, given, missing="drop", block_bytes=16))
    assert np.array_equal(counted, ~hole.reshape(-1))
    want = values.transpose(0, 2, 1).reshape(-1, 2)
    assert np.array_equal(x[counted], want[counted])
    x, counted = rows_of(stored_source(ref, given, missing="fill"))
    assert counted.all()
    assert (x[hole.reshape(-1)] == 7).all()
    # What is not read need not be there.
    part = layout(features="depth", select={"x": {"index": "0:4"}})
    assert rows_of(stored_source(ref, part))[1].all()


def test_missing_chunks_that_mean_missing_are_no_error(tmp_path: Path) -> None:
    array, values = holed(tmp_path / "a.zarr", np.nan)
    x, _ = rows_of(stored_source(reference(array), layout(features="depth"), non_finite="missing"))
    want = values.copy()
    want[2:4, :, 4:] = np.nan
    assert np.array_equal(x, want.transpose(0, 2, 1).reshape(-1, 2), equal_nan=True)
    # But a chunk that vanishes later is one.
    source = stored_source(reference(array), layout(features="depth"), non_finite="missing")
    (tmp_path / "a.zarr" / "c" / "2" / "0" / "1").unlink()
    with pytest.raises(MissingChunksError, match=r"c/2/0/1.*has been deleted"):
        rows_of(source)


def test_corrupt_chunks_follow_their_policy(tmp_path: Path) -> None:
    array, values = holed(tmp_path / "a.zarr", np.nan)
    (tmp_path / "a.zarr" / "c" / "0" / "0" / "0").write_bytes(b"nonsense")
    given, ref = layout(features="depth"), reference(array)
    source = stored_source(ref, given, non_finite="missing")
    with pytest.raises(CorruptChunkError, match=r"c/0/0/0.*time 0\.\.1, depth 0\.\.1, x 0\.\.3"):
        rows_of(source)
    source = stored_source(ref, given, non_finite="missing", corrupt="drop")
    x, counted = rows_of(source)
    lost = np.zeros((6, 8), bool)
    lost[0:2, 0:4] = True
    assert np.array_equal(counted, ~lost.reshape(-1))
    want = values.transpose(0, 2, 1).reshape(-1, 2)
    good = counted.copy().reshape(6, 8)
    good[2:4, 4:] = False
    assert np.array_equal(x[good.reshape(-1)], want[good.reshape(-1)])


# --- the block plan ------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [1, 64, 1000, 10_000, None])
def test_boxes_cover_the_grid_once_in_whole_chunks(block: int | None) -> None:
    found = boxes_of(("a", "b", "c"), (7, 10, 9), (2, 5, 4), (0, 0, 0), 8, block)
    seen = np.zeros((7, 10, 9), int)
    for i in range(len(found) - 1):
        box = found.box(i)
        assert found[i] == int((seen > 0).sum())
        seen[box.region] += 1
    assert (seen == 1).all()
    assert found[-1] == 630
    if block is None or block >= 2 * 5 * 4 * 8:
        whole = zip(found.steps, (2, 5, 4), (7, 10, 9), strict=True)
        assert all(step % unit == 0 or step == size for step, unit, size in whole)
        assert block is None or found.step * 8 <= max(block, 320)
