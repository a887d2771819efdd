"""Coordinates of results on a grid: the same in memory and in stored labels, whatever the data."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr

import emdist
from emdist.fit.events import Event, Warned
from emdist.jobs.job import Job
from emdist.jobs.label import label_data
from emdist.jobs.run import open_job
from emdist.settings.config import NewDataSection, make_config
from emdist.store.places.location import Location

SHAPE = (3, 8, 9)


def field() -> xr.Dataset:
    """Return one variable on (t, y, x) with coordinates of several kinds."""
    rng = np.random.default_rng(0)
    values = np.where(np.arange(SHAPE[1])[None, :, None] < 4, 0.0, 9.0) + rng.normal(size=SHAPE)
    return xr.Dataset(
        {"T": (("t", "y", "x"), values)},
        coords={
            "t": [1.0, 2.0, 3.0],
            "y": ("y", np.arange(8.0), {"units": "m"}),
            "x": np.arange(9) * 2,
            "height": ("y", np.where(np.arange(8) < 2, np.nan, 1.5)),
            "lon2": (("y", "x"), rng.normal(size=SHAPE[1:])),
            "day": ("x", np.datetime64("2020-01-01", "ns") + np.arange(9) * np.timedelta64(6, "h")),
            "name": ("y", np.array(list("abcdefgh"))),
        },
    )


def stored(path: Path, ds: xr.Dataset | None = None, zarr_format: Any = 3) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (field() if ds is None else ds).to_zarr(path, consolidated=False, zarr_format=zarr_format)
    return str(path)


def fitted(rows: Any) -> emdist.KMeans:
    return emdist.KMeans(2, random_state=0).fit(rows)


def assert_described(found: Any, want: xr.Dataset, names: set[str]) -> None:
    """Check that `found` has the coordinates `names` of `want`, and no others."""
    assert {str(name) for name in found.coords} == names
    for name in names:
        assert found[name].dims == want[name].dims
        assert found[name].attrs == want[name].attrs
        assert np.array_equal(
            found[name].values, want[name].values, equal_nan=want[name].dtype.kind == "f"
        ), name


ALL = {"y", "x", "height", "lon2", "day", "name"}


@pytest.mark.parametrize("kind", ["v2", "v3", "dataset", "lazy"])
def test_results_in_memory_and_labels_have_the_same_coordinates(tmp_path: Path, kind: str) -> None:
    data: Any = field()
    if kind != "dataset":
        data = stored(tmp_path / "d.zarr", zarr_format=2 if kind == "v2" else 3)
    if kind == "lazy":
        data = xr.open_zarr(data, consolidated=False)
    rows = emdist.rows(data, "T", features="t")
    model = fitted(rows)
    assert_described(model.predict(rows), field(), ALL)
    model.label(rows, tmp_path / "labels")
    assert_described(xr.open_zarr(tmp_path / "labels").labels, field(), ALL)


def test_another_variable_that_cannot_be_opened_takes_no_coordinates(tmp_path: Path) -> None:
    path = stored(tmp_path / "d.zarr", field().assign(quality=(("y",), np.arange(8.0))))
    zarr.open_array(f"{path}/quality", mode="r+").attrs["units"] = "days since the flood"
    rows = emdist.rows(path, "T", features="t")
    with pytest.raises(ValueError, match="flood"):
        xr.open_zarr(path, consolidated=False)
    assert_described(fitted(rows).predict(rows), field(), ALL)


def test_a_coordinate_that_cannot_be_read_is_told_and_left_out(tmp_path: Path) -> None:
    path = stored(tmp_path / "d.zarr")
    for chunk in (tmp_path / "d.zarr/lon2/c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(b"no chunk")
    rows = emdist.rows(path, "T", features="t")
    model = fitted(rows)
    with pytest.warns(
        RuntimeWarning, match="cannot be read, so the results are without them: lon2"
    ):
        assert_described(model.predict(rows), field(), ALL - {"lon2"})
    model.save(tmp_path / "m")
    heard: list[Event] = []
    with pytest.warns(RuntimeWarning, match="lon2"):
        model.label(rows, tmp_path / "labels")
    label_data(
        Location(str(tmp_path / "m")), NewDataSection(path=path), Location(str(tmp_path / "other")),
        listen=heard.append,
    )  # fmt: skip
    assert any("lon2" in one.message for one in heard if isinstance(one, Warned))
    for name in ("labels", "other"):
        assert_described(xr.open_zarr(tmp_path / name).labels, field(), ALL - {"lon2"})


def test_a_coordinate_that_cannot_be_decoded_stays_as_it_is_stored(tmp_path: Path) -> None:
    path = stored(tmp_path / "d.zarr")
    array = zarr.open_array(f"{path}/day", mode="r+")
    array.attrs["units"] = "days since the flood"
    rows = emdist.rows(path, "T", features="t")
    model = fitted(rows)
    with pytest.warns(RuntimeWarning, match="coordinate day has the values that are stored"):
        labels = model.predict(rows)
    assert np.array_equal(labels["day"].values, array[:])
    assert labels["day"].attrs["units"] == "days since the flood"
    assert_described(labels.drop_vars("day"), field(), ALL - {"day"})
    model.label(rows, tmp_path / "labels")
    kept = zarr.open_array(tmp_path / "labels/day")
    assert np.array_equal(kept[:], array[:])
    assert kept.attrs["units"] == "days since the flood"


def test_times_of_another_calendar_are_kept(tmp_path: Path) -> None:
    pytest.importorskip("cftime")
    days = xr.date_range("2000-02-28", periods=9, calendar="360_day", use_cftime=True)
    ds = field().assign_coords(day=("x", days))
    for data in (ds, stored(tmp_path / "d.zarr", ds)):
        rows = emdist.rows(data, "T", features="t")
        model = fitted(rows)
        assert_described(model.predict(rows), ds, ALL)
        model.label(rows, tmp_path / "labels", overwrite=True)
        assert_described(xr.open_zarr(tmp_path / "labels").labels, ds, ALL)


def test_names_that_cannot_be_stored_are_told_and_kept_in_memory(tmp_path: Path) -> None:
    ds = field().assign_coords(
        {"my area": (("y", "x"), np.ones(SHAPE[1:])), "a/b": ("y", range(8))}
    )
    rows = emdist.rows(ds, features="t")
    model = fitted(rows)
    assert_described(model.predict(rows), ds, ALL | {"my area", "a/b"})
    with pytest.warns(RuntimeWarning, match="without the coordinates 'my area', 'a/b', because"):
        model.label(rows, tmp_path / "labels")
    found = xr.open_zarr(tmp_path / "labels")
    assert list(found.data_vars) == ["labels"]
    assert_described(found.labels, field(), ALL)


def test_an_index_of_several_levels_gives_its_levels(tmp_path: Path) -> None:
    ds = field().stack(p=("y", "x"))
    rows = emdist.rows(ds, features="t")
    labels = fitted(rows).predict(rows)
    assert labels.dims == ("p",)
    assert labels["y"].values.tolist() == ds["y"].values.tolist()
    whole = emdist.rows(field(), features="t")
    back = labels.set_index(p=["y", "x"]).unstack("p")
    assert np.array_equal(back.values, fitted(whole).predict(whole).values)


# --- coordinates that change ---------------------------------------------------------------------


def moved(ds: xr.Dataset) -> xr.Dataset:
    """The same values, elsewhere: a coordinate has other values, one is gone, and one is new."""
    return ds.assign_coords(y=ds["y"] + 100, depth=("y", np.arange(8.0))).drop_vars("height")


NOW = ALL - {"height"} | {"depth"}


@pytest.mark.parametrize("kind", ["path", "dataset"])
def test_coordinates_that_changed_are_written_again(tmp_path: Path, kind: str) -> None:
    first, second = field(), moved(field())
    data: Any = stored(tmp_path / "d.zarr") if kind == "path" else first
    rows = emdist.rows(data, "T", features="t")
    model = fitted(rows)
    model.label(rows, tmp_path / "labels", ["labels", "score"])
    before = xr.open_zarr(tmp_path / "labels").load()
    if kind == "path":
        group = zarr.open_group(data, mode="r+")
        group["y"][:] = second["y"].values
        del group["height"]
        group["T"].attrs["coordinates"] = "lon2 day name depth"
        new = group.create_array("depth", shape=(8,), dtype="f8", dimension_names=("y",))
        new[:] = second["depth"].values
    else:
        rows = emdist.rows(second, "T", features="t")
    model.label(rows, tmp_path / "labels")
    for options in ({}, {"consolidated": False}):
        found = xr.open_zarr(tmp_path / "labels", **options)
        # Without consolidated metadata, the order is that of the folder's listing.
        assert sorted(found.data_vars) == ["labels", "score"]
        want = second.assign_coords(depth=("y", np.arange(8.0)))
        assert_described(found.labels, want, NOW)
        assert_described(found.score, want, NOW)
        assert np.array_equal(found.labels.values, before.labels.values)
    assert emdist.open_labels(tmp_path / "labels").labels["y"].values[0] == 100


def test_a_finished_run_writes_coordinates_that_changed(tmp_path: Path) -> None:
    path = stored(tmp_path / "d.zarr")
    config = make_config(
        {
            "data": {"path": path, "variables": ["T"], "features": ["t"]},
            "model": {"name": "kmeans", "n_components": 2},
            "run": {"folder": str(tmp_path / "runs"), "key": "r"},
        }
    )

    def again() -> bool:
        with open_job(config) as job:
            if isinstance(job, Job):
                job.complete()
                return True
        return False

    assert again()
    assert not again()
    zarr.open_array(f"{path}/y", mode="r+")[:] = np.arange(8) + 100.0
    assert again()
    assert emdist.load(tmp_path / "runs/r").labels()["y"].values[0] == 100
    assert not again()
