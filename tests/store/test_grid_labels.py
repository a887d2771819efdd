"""Labels of data on a grid: on that grid, with its coordinates, and equal to those of rows."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import xarray as xr
import zarr

import emdist
from emdist.errors import (
    ConfigError,
    FeatureNamesError,
    NotFoundError,
    RunMismatchError,
    ShapeError,
)
from emdist.fit.events import Event, Progress
from emdist.interfaces import Assigned, Block
from emdist.jobs.inspect import inspect
from emdist.jobs.job import Job
from emdist.jobs.label import label_data
from emdist.jobs.repeat import repeat, repetition
from emdist.jobs.run import open_job
from emdist.parameters.choices import OutputName
from emdist.settings.config import NewDataSection, make_config
from emdist.store.grids.boxes import Boxes
from emdist.store.labels.creation import label_writer
from emdist.store.labels.layouts import grid as grid_layout
from emdist.store.labels.layouts import layout_of_plan
from emdist.store.labels.outputs import OUTPUTS
from emdist.store.places.location import Location
from emdist.sums import Sums
from tests.store.test_grids import ocean

PACKED = {"dtype": "int16", "scale_factor": 0.001, "add_offset": 10.0, "_FillValue": -32768}
CHUNKS = {"TEMP": {**PACKED, "chunks": (2, 2, 7, 11)}, "PSAL": {"chunks": (3, 5, 20, 10)}}
EVERY = ["labels", "score", "responsibilities", "max_posterior", "entropy"]


def described() -> xr.Dataset:
    """The ocean with curved coordinates, texts, a scalar and a projection."""
    ds = ocean()
    rng = np.random.default_rng(1)
    for name in ("TEMP", "PSAL"):
        ds[name].attrs["grid_mapping"] = "crs"
    ds["lat"].attrs = {"units": "degrees_north", "bounds": "lat_bnds"}
    ds["lat_bnds"] = (("lat", "bnds"), np.stack([ds["lat"].values] * 2, 1))
    return ds.assign_coords(
        lon2=(("lat", "lon"), rng.normal(size=(20, 30))),
        cruise=("time", np.array(list("abcdef"))),
        pressure=("depth", np.arange(5.0)),
        station=((), 7),
        crs=((), 0, {"crs_wkt": "GEOGCS[...]", "GeoTransform": "0 1 0 0 0 1"}),
    )


@pytest.fixture(scope="module", params=[2, 3])
def stored(request: Any, tmp_path_factory: Any) -> str:
    path = str(tmp_path_factory.mktemp("grid") / "ocean.zarr")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        described().to_zarr(path, encoding=CHUNKS, zarr_format=request.param, consolidated=False)
    return path


@pytest.fixture(scope="module")
def plain(tmp_path_factory: Any) -> str:
    path = str(tmp_path_factory.mktemp("grid") / "ocean.zarr")
    ocean().to_zarr(path, encoding=CHUNKS, zarr_format=3, consolidated=False)
    return path


def fitted(data: str, runs: Path, listen: Any = None, /, **sections: Any) -> Path:
    """Fit, label, and return the folder of the run."""
    reading = {"variables": ["TEMP", "PSAL"], "features": ["depth"], "non_finite": "drop"}
    values = {
        "data": {"path": data, "block_size": "8 kB", **reading, **sections.pop("data", {})},
        "model": {"name": "diagonal", "n_components": 3, **sections.pop("model", {})},
        "fit": {"max_iter": 3, "tol": 0.0},
        "run": {"folder": str(runs), "key": "r"},
        **sections,
    }
    with open_job(make_config(values), listen=listen or (lambda event: None)) as job:
        if isinstance(job, Job):
            job.complete()
    return runs / "r"


def opened(path: Path, **options: Any) -> xr.Dataset:
    """Open labels as a user would; a warning is a failure."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return xr.open_zarr(path, **options)


def bytes_of(labels: Path) -> Mapping[str, str]:
    files = [p for p in labels.rglob("*") if p.is_file() and p.name != "zarr.json"]
    found = {str(p.relative_to(labels)): p.read_bytes() for p in files}
    return {name: hashlib.sha256(data).hexdigest() for name, data in found.items()}


def rows_of(ds: xr.Dataset, samples: list[str]) -> Any:
    """The rows as xarray stacks them."""
    parts = [
        ds[name].stack(row=samples).transpose("row", "depth").values for name in ("TEMP", "PSAL")
    ]
    return np.concatenate(parts, 1)


# --- the values ----------------------------------------------------------------------------------


@pytest.mark.parametrize("block", ["3 kB", "40 kB", "1 MiB"])
@pytest.mark.parametrize(
    ("samples", "select"),
    [
        (["time", "lat", "lon"], {}),
        (["lon", "time", "lat"], {}),
        (["time", "lat", "lon"], {"lat": [-50, 50], "lon": {"index": "13:29"}}),
        (["lat", "time"], {"lon": {"index": 4}, "time": {"index": "1:6"}}),
    ],
)
def test_labels_are_those_of_the_rows_that_xarray_stacks(
    plain: str, tmp_path: Path, block: str, samples: list[str], select: dict[str, Any]
) -> None:
    data = {"samples": samples, "features": None, "select": select, "block_size": block}
    run = fitted(plain, tmp_path, data=data, labels={"outputs": EVERY})
    ds = xr.open_zarr(plain, consolidated=False)
    if "lat" in select:
        ds = ds.sel(lat=slice(50, -50)).isel(lon=slice(13, 29))
    elif select:
        ds = ds.isel(lon=4, time=slice(1, 6))
    x = rows_of(ds, samples)
    left_out = np.isnan(x).any(axis=1)
    model = emdist.load(run)
    labels = opened(run / "labels.zarr")
    assert labels["labels"].dims == tuple(samples)
    flat = {name: labels[name].values.reshape(len(x), -1).squeeze() for name in EVERY}
    assert np.array_equal(np.isnan(flat["labels"]), left_out)
    kept = x[~left_out]
    assert np.array_equal(flat["labels"][~left_out], model.predict(kept))
    shares = model.predict_proba(kept)  # type: ignore[attr-defined]
    assert np.allclose(flat["responsibilities"][~left_out], shares, rtol=0, atol=1e-6)
    assert np.allclose(flat["max_posterior"][~left_out], shares.max(axis=1), rtol=0, atol=1e-6)
    logs = np.where(shares > 0, np.log(np.where(shares > 0, shares, 1)), 0)
    assert np.allclose(flat["entropy"][~left_out], -(shares * logs).sum(1), rtol=0, atol=1e-5)
    scores = model.score_samples(kept)  # type: ignore[attr-defined]
    assert np.allclose(flat["score"][~left_out], scores, rtol=1e-10)
    assert all(np.isnan(flat[name][left_out]).all() for name in EVERY)
    raw: Any = zarr.open_array(run / "labels.zarr/labels", mode="r")[:]
    assert (raw.reshape(-1)[left_out] == -1).all()


def test_noise_is_minus_one_and_rows_left_out_are_minus_two(plain: str, tmp_path: Path) -> None:
    outputs = {"outputs": ["labels", "probability"], "components": [2, -1]}
    run = fitted(plain, tmp_path, model={"noise": 0.3}, labels=outputs)
    raw: Any = zarr.open_array(run / "labels.zarr/labels", mode="r")[:]
    land = np.isnan(ocean()["TEMP"].values).any(axis=1)
    assert (raw[land] == -2).all()
    assert (raw[~land] >= -1).all()
    labels = opened(run / "labels.zarr")
    assert labels["labels"].encoding["_FillValue"] == -2
    assert labels["labels"].attrs["flag_values"] == [0, 1, 2, -1]
    assert labels["labels"].attrs["flag_meanings"].split()[-1] == "noise"
    assert labels["probability"].dims == ("component", "time", "lat", "lon")
    assert labels["component"].values.tolist() == [2, -1]
    x = rows_of(xr.open_zarr(plain, consolidated=False), ["time", "lat", "lon"])
    kept = ~np.isnan(x).any(axis=1)
    shares = emdist.load(run).predict_proba(x[kept])  # type: ignore[attr-defined]
    found = labels["probability"].sel(component=-1).values.reshape(-1)
    assert np.allclose(found[kept], shares[:, -1], rtol=0, atol=1e-6)
    assert inspect(Location(str(run)), verify=True)["blocks_damaged"] == []


def test_a_large_box_is_stored_in_several_chunks(
    plain: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fitted(plain, tmp_path / "a", data={"block_size": "64 kB"})
    monkeypatch.setattr(grid_layout, "MAX_CHUNK_ROWS", 100)
    run = fitted(plain, tmp_path / "b", data={"block_size": "64 kB"})
    chunks = zarr.open_array(run / "labels.zarr/labels", mode="r").chunks
    assert np.prod(chunks) <= 100
    found, wanted = (opened(one / "labels.zarr")["labels"] for one in (run, whole))
    assert found.identical(wanted)
    assert inspect(Location(str(run / "labels.zarr")), verify=True)["blocks_damaged"] == []


@pytest.mark.parametrize("most", [1, 7, 64, 1000])
def test_chunks_divide_boxes_so_that_no_two_writers_share_one(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grid_layout, "MAX_CHUNK_ROWS", most)
    for shape, steps in (((7, 10, 9), (3, 4, 9)), ((13, 5), (13, 5)), ((64, 3), (8, 1))):
        boxes = Boxes(tuple("abc"[: len(shape)]), shape, steps, (0,) * len(shape))
        layout = layout_of_plan(boxes)
        for i in range(layout.blocks):
            for part, chunk, n in zip(layout.region(i), layout.chunks, shape, strict=True):
                assert part.start % chunk == 0
                assert part.stop % chunk == 0 or part.stop == n


def test_every_output_can_be_chosen() -> None:
    assert tuple(OUTPUTS) == get_args(OutputName)


# --- the group -----------------------------------------------------------------------------------


def test_coordinates_are_those_of_the_data(stored: str, tmp_path: Path) -> None:
    select = {"lat": [-50, 50], "time": {"index": "1:5"}, "depth": 10}
    run = fitted(stored, tmp_path, data={"select": select, "features": None})
    labels = opened(run / "labels.zarr")
    ds = xr.open_zarr(stored, consolidated=False)
    ds = ds.sel(lat=slice(50, -50), depth=10).isel(time=slice(1, 5))
    names = {"time", "lat", "lon", "lon2", "cruise", "depth", "pressure", "station", "crs"}
    assert {str(name) for name in labels["labels"].coords} == names
    for name in names - {"crs"}:
        found, wanted = labels[name].variable, ds[name].variable
        assert found.identical(wanted), name
        assert found.dtype == wanted.dtype
        for key in ("units", "calendar"):
            assert found.encoding.get(key) == wanted.encoding.get(key)
    assert labels["lat_bnds"].variable.identical(ds["lat_bnds"].variable)
    # The corner of the whole grid is not that of the part.
    assert labels["crs"].attrs == {"crs_wkt": "GEOGCS[...]"}
    assert labels["labels"].attrs["grid_mapping"] == "crs"
    everything = opened(run / "labels.zarr", decode_coords="all")
    assert "lat_bnds" in everything.coords
    assert everything["labels"].encoding["grid_mapping"] == "crs"


def test_coordinates_that_depend_on_features_are_left_out(stored: str, tmp_path: Path) -> None:
    labels = opened(fitted(stored, tmp_path) / "labels.zarr")
    assert "pressure" not in labels
    assert "depth" not in labels
    assert labels["crs"].attrs["GeoTransform"] == "0 1 0 0 0 1"  # the whole grid


def test_xarray_opens_and_plots_them_without_a_warning(plain: str, tmp_path: Path) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    run = fitted(plain, tmp_path)
    out = run / "labels.zarr"
    for options in ({}, {"consolidated": False}, {"consolidated": True}, {"chunks": None}):
        labels = opened(out, **options)
        assert list(labels.data_vars) == ["labels"]
    drawn = labels["labels"].isel(time=0).plot()
    drawn.figure.savefig(tmp_path / "map.png")
    assert (tmp_path / "map.png").stat().st_size > 5000
    shown = np.ma.getmaskarray(drawn.get_array()).reshape(20, 30)
    land = np.isnan(ocean()["TEMP"].values[0, 0])
    assert np.array_equal(shown, land) or np.array_equal(shown[::-1], land)
    matplotlib.pyplot.close("all")


def test_names_that_labels_use_themselves_are_refused(tmp_path: Path) -> None:
    ds = ocean().rename(lat="score")
    ds.to_zarr(tmp_path / "o.zarr", consolidated=False, zarr_format=3)
    with pytest.raises(ConfigError, match="dimension or coordinate 'score'"):
        fitted(str(tmp_path / "o.zarr"), tmp_path / "runs")


# --- interrupted, damaged, added -----------------------------------------------------------------


class Stop(Exception):  # noqa: N818  an interruption, no error
    pass


def test_an_interrupted_labelling_ends_with_the_same_bytes(plain: str, tmp_path: Path) -> None:
    whole = fitted(plain, tmp_path / "a", labels={"outputs": [*EVERY, "probability"]})

    def stop(event: Event) -> None:
        if isinstance(event, Progress) and event.what == "label" and event.done >= 3:
            raise Stop

    with pytest.raises(Stop):
        fitted(plain, tmp_path / "b", stop, labels={"outputs": [*EVERY, "probability"]})
    begun = inspect(Location(str(tmp_path / "b/r/labels.zarr")))
    assert 0 < begun["blocks_done"] < begun["blocks"]
    assert not begun["complete"]
    run = fitted(plain, tmp_path / "b", labels={"outputs": [*EVERY, "probability"]})
    assert bytes_of(run / "labels.zarr") == bytes_of(whole / "labels.zarr")
    assert inspect(Location(str(run / "labels.zarr")))["complete"]


def test_damage_is_found_and_repaired(plain: str, tmp_path: Path) -> None:
    run = fitted(plain, tmp_path, labels={"outputs": ["labels", "probability"]})
    out = run / "labels.zarr"
    before = bytes_of(out)
    (out / "probability/c/1/0/1/2").write_bytes((out / "probability/c/0/0/1/2").read_bytes())
    (out / "labels/c/0/0/1").unlink()
    found = inspect(Location(str(out)), verify=True)
    assert len(found["blocks_damaged"]) == 2
    assert found["dimensions"] == {"time": 6, "lat": 20, "lon": 30}
    assert bytes_of(fitted(plain, tmp_path, labels={"outputs": ["labels", "probability"]}) / "labels.zarr") == before  # fmt: skip  # noqa: E501
    assert inspect(Location(str(out)), verify=True)["blocks_damaged"] == []


def test_outputs_are_added_and_other_components_refused(plain: str, tmp_path: Path) -> None:
    run = fitted(plain, tmp_path)
    out, new = Location(str(tmp_path / "out.zarr")), NewDataSection(path=plain)
    model = Location(str(run))
    label_data(model, new, out)
    labels = opened(tmp_path / "out.zarr")["labels"].load()
    label_data(model, new, out, outputs=["probability", "entropy"], components=[1])
    found = opened(tmp_path / "out.zarr")
    assert list(found.data_vars) == ["labels", "probability", "entropy"]
    assert found["labels"].drop_vars("component", errors="ignore").identical(labels)
    assert found["component"].values.tolist() == [1]
    assert label_data(model, new, out)["outputs"] == ["labels", "probability", "entropy"]
    with pytest.raises(RunMismatchError, match="probability of other components"):
        label_data(model, new, out, outputs=["probability"], components=[2])
    label_data(model, new, out, outputs=["probability"], components=[2], overwrite=True)
    found = opened(tmp_path / "out.zarr")
    assert list(found.data_vars) == ["probability"]
    assert found["component"].values.tolist() == [2]
    assert inspect(out, verify=True)["blocks_damaged"] == []


def test_other_blocks_and_other_grids_are_refused(plain: str, tmp_path: Path) -> None:
    run, out = fitted(plain, tmp_path), Location(str(tmp_path / "out.zarr"))
    label_data(Location(str(run)), NewDataSection(path=plain), out)
    new = NewDataSection(path=plain, block_size="20 kB")
    with pytest.raises(RunMismatchError, match=r"in blocks of \d+ x \d+ x \d+"):
        label_data(Location(str(run)), new, out)
    assert label_data(Location(str(run)), new, out, overwrite=True)["rows"] == 3600


@pytest.mark.long
def test_two_workers_write_the_same_bytes_as_threads(plain: str, tmp_path: Path) -> None:
    outputs = {"outputs": [*EVERY, "probability"]}
    one = fitted(plain, tmp_path / "a", labels=outputs, cluster={"kind": "threads", "threads": 1})
    four = fitted(plain, tmp_path / "b", labels=outputs, cluster={"kind": "threads", "threads": 4})
    local = {"kind": "local", "n_workers": 2}
    dask = fitted(plain, tmp_path / "c", labels=outputs, cluster=local)
    wanted = bytes_of(one / "labels.zarr")
    assert bytes_of(four / "labels.zarr") == wanted
    assert bytes_of(dask / "labels.zarr") == wanted


def test_a_group_in_an_object_store_is_the_same(tmp_path: Path) -> None:
    boxes = Boxes(("y", "x"), (5, 7), (2, 3), (0, 0))
    found = []
    for place in (Location(str(tmp_path / "o")), Location(f"memory://{tmp_path.name}-grid")):
        writer = label_writer(place, ("labels", "probability"), boxes, 2, {"model": "m"})
        for i in range(len(boxes) - 1):
            n = boxes.step if i == 0 else int(np.prod(boxes.box(i).size))
            resp = np.random.default_rng(i).dirichlet([1, 1], n).astype("f4")
            block = Block(i, boxes[i], np.zeros((n, 1)), box=boxes.box(i))
            given = Assigned(resp.argmax(1).astype("i4"), np.zeros(n), resp)
            sums = Sums({"score": np.array(0.0), "weight": np.array(1.0), "count": np.ones(2)})
            writer.write(block, given, sums)
            assert writer.done(i) is not None
        writer.finish()
        found.append(emdist.open_labels(str(place)).load())
    assert found[0].identical(found[1])


def test_a_repetition_compares_the_outputs_that_both_runs_have(plain: str, tmp_path: Path) -> None:
    run = Location(str(fitted(plain, tmp_path, labels={"outputs": ["labels", "entropy"]})))
    found = repeat(run, repetition(run, {}))  # writes labels alone
    assert found["same_labels"] is True
    assert found["same_model"] is True
    labels = tmp_path / "r/labels.zarr/labels/c/0/0/0"
    labels.write_bytes(labels.read_bytes() + b" ")
    assert repeat(run, repetition(run, {}))["same_labels"] is False


# --- refusals ------------------------------------------------------------------------------------

WRONG: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "hard": ({"name": "kmeans"}, {"outputs": ["labels", "entropy"]}, "no posterior probabilities"),
    "number": ({}, {"outputs": ["probability"], "components": [3]}, r"components 0\.\.2"),
    "noise": ({}, {"outputs": ["probability"], "components": [-1]}, r"components 0\.\.2"),
    "twice": ({}, {"outputs": ["probability"], "components": [1, 1]}, "none twice"),
    "idle": ({}, {"outputs": ["labels"], "components": [1]}, "Add the output probability"),
    "beside": (
        {},
        {"outputs": ["probability", "responsibilities"], "components": [1]},
        "Leave one of the two outputs out",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_be_written_is_refused_before_the_fit(
    plain: str, tmp_path: Path, wrong: str
) -> None:
    model, labels, told = WRONG[wrong]
    with pytest.raises(ConfigError, match=told):
        fitted(plain, tmp_path, model=model, labels=labels)
    assert not (tmp_path / "r/ckpt").exists()


# --- new data, and Python ------------------------------------------------------------------------


def test_new_data_are_read_like_those_of_the_model(plain: str, tmp_path: Path) -> None:
    run = fitted(plain, tmp_path, data={"select": {"time": ["2020-01", "2020-03"]}})
    later = ocean().assign_coords(time=ocean()["time"] + np.timedelta64(800, "D"))
    later.to_zarr(tmp_path / "later.zarr", consolidated=False, zarr_format=3)
    out, new = Location(str(tmp_path / "out.zarr")), {"path": str(tmp_path / "later.zarr")}
    told = r"data.select for time.*that the model was fitted to.*'\{time: \[null, null\]\}'"
    with pytest.raises(ShapeError, match=told):
        label_data(Location(str(run)), NewDataSection.model_validate(new), out)
    cases: list[tuple[dict[str, Any], int]] = [
        ({}, 6), ({"time": ["2022-04", None]}, 5), ({"time": [None, None]}, 6)
    ]  # fmt: skip
    for select, times in cases:
        whole = NewDataSection.model_validate(new | {"select": select})
        label_data(Location(str(run)), whole, out, overwrite=True)
        assert opened(tmp_path / "out.zarr").sizes["time"] == times
    turned = NewDataSection.model_validate(new | {"variables": ["PSAL", "TEMP"], "select": {}})
    with pytest.raises(FeatureNamesError, match="order"):
        label_data(Location(str(run)), turned, out)


def test_a_selection_replaces_that_of_its_own_dimension(plain: str, tmp_path: Path) -> None:
    select = {"time": ["2020-01", "2020-03"], "lat": [-40, 40], "depth": [0, 100]}
    run = Location(str(fitted(plain, tmp_path, data={"select": select})))
    lat = int(((ocean()["lat"] >= -40) & (ocean()["lat"] <= 40)).sum())
    n = ocean().sel(time=slice("2020-01", "2020-03")).sizes["time"]
    out = Location(str(tmp_path / "out.zarr"))
    for own, times, lats in (
        (None, n, lat), ({"time": {"index": "1:6"}}, 5, lat), ({"lat": [None, None]}, n, 20),
    ):  # fmt: skip
        new = NewDataSection.model_validate({"path": plain, "select": own})
        label_data(run, new, out, overwrite=True)
        found = opened(tmp_path / "out.zarr")
        assert (found.sizes["time"], found.sizes["lat"]) == (times, lats)


def test_labels_of_runs_and_groups_open_in_one_line(plain: str, tmp_path: Path) -> None:
    run = fitted(plain, tmp_path)
    found = emdist.load(run).labels()
    decoded = opened(run / "labels.zarr")["labels"]
    assert found.dtype == np.int32
    assert found.where(found >= 0).identical(decoded)
    assert (found.values[np.isnan(decoded.values)] == -1).all()
    group = emdist.open_labels(run / "labels.zarr")
    assert group["labels"].identical(found)
    group.to_netcdf(tmp_path / "maps.nc", engine="scipy")
    for again in (xr.open_dataset(tmp_path / "maps.nc"), opened(run / "labels.zarr")):
        assert np.array_equal(again["labels"], decoded, equal_nan=True)
    with pytest.raises(NotFoundError, match="no output 'scores'"):
        emdist.load(run).labels("scores")
    other = fitted(plain, tmp_path / "b", labels={"path": str(tmp_path / "elsewhere.zarr")})
    assert emdist.load(other).labels().equals(found)
    with pytest.raises(NotFoundError, match="no labels"):
        emdist.open_labels(fitted(plain, tmp_path / "c", labels={"write": False}))


def test_estimators_write_labels_that_can_be_continued(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(900, 3))
    zarr.create_array(tmp_path / "x.zarr", shape=x.shape, chunks=(50, 3), dtype="f8")[:] = x
    model = emdist.GaussianMixture(3, max_iter=2, random_state=0, block_size="1200 B")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(tmp_path / "x.zarr")
    with pytest.raises(NotFoundError, match="written no labels"):
        model.labels()
    done = model.label(tmp_path / "x.zarr", tmp_path / "out", ["labels", "probability", "entropy"])
    assert done["rows"] == 900
    labels = model.labels()
    assert labels.dims == ("row",)
    assert labels.dtype == np.int32
    assert np.array_equal(labels.values, model.predict(x))
    shares = model.labels("probability")
    assert shares.dims == ("component", "row")
    assert np.allclose(shares.values.T, model.predict_proba(x), rtol=0, atol=1e-6)
    # In another process, the saved model continues what is missing.
    before = bytes_of(tmp_path / "out")
    (tmp_path / "out/labels/c/3").unlink()
    model.save(tmp_path / "model")
    emdist.load(tmp_path / "model").label(tmp_path / "x.zarr", tmp_path / "out", "labels")
    assert bytes_of(tmp_path / "out") == before
    with pytest.raises(RunMismatchError, match="another model"):
        emdist.KMeans(3, random_state=0, block_size="1200 B").fit(x).label(
            tmp_path / "x.zarr", tmp_path / "out"
        )
    with pytest.raises(ConfigError, match="no posterior probabilities"):
        emdist.KMeans(3, random_state=0).fit(x).label(x, tmp_path / "other", "entropy")


@pytest.mark.parametrize("kind", ["path", "memory", "lazy"])
def test_estimators_label_rows_of_variables_on_their_grid(
    stored: str, tmp_path: Path, kind: str
) -> None:
    ds = xr.open_zarr(stored, consolidated=False, chunks={} if kind == "lazy" else None)
    data = stored if kind == "path" else ds.load() if kind == "memory" else ds
    rows = emdist.rows(data, ["TEMP", "PSAL"], features="depth", select={"lat": [-50, 50]})
    model = emdist.GaussianMixture(2, max_iter=2, random_state=0, non_finite="drop")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(rows)
    model.label(rows, tmp_path / "out")
    found, wanted = model.labels(), model.predict(rows)
    land = np.isnan(ds["TEMP"].sel(lat=slice(50, -50)).values).any(axis=1)
    assert np.array_equal(found.values == -1, land)
    assert found.dtype == wanted.dtype
    assert np.array_equal(found.values, wanted.values)  # type: ignore[attr-defined]
    assert found.dims == ("time", "lat", "lon")
    part = ds.sel(lat=slice(50, -50))
    assert {str(name) for name in found.coords} == {
        *("time", "lat", "lon", "lon2", "cruise", "station", "crs")
    }
    for name in ("time", "lat", "lon", "lon2", "cruise", "station"):
        assert np.array_equal(found[name].values, part[name].values), name
        assert found[name].attrs == part[name].attrs
    assert found["crs"].attrs["crs_wkt"] == "GEOGCS[...]"
    assert found.attrs["grid_mapping"] == "crs"
