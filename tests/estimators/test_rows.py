"""`emdist.rows`: variables with named dimensions, by path or from xarray, in every estimator."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr
from sklearn.pipeline import make_pipeline

import emdist
import emdist.prepare
from emdist import GaussianMixture, KMeans, KMedians, Sweep
from emdist.errors import (
    ConfigError,
    DtypeError,
    NonFiniteError,
    NotAnArrayError,
    ShapeError,
    WeightError,
)
from emdist.jobs.label import label_data
from emdist.settings.data import NewDataSection
from emdist.store.places.location import Location

DIMS = ("time", "depth", "lat", "lon")
SHAPE = (4, 3, 10, 12)


def ocean() -> xr.Dataset:
    rng = np.random.default_rng(1)
    warm = np.where(np.arange(SHAPE[2]) < 5, 20.0, 5.0)[None, None, :, None]
    temp = (warm + rng.normal(size=SHAPE)).astype("f4")
    psal = (35 + rng.normal(size=SHAPE) / 2).astype("f4")
    land = rng.random(SHAPE[2:]) < 0.2
    temp[:, :, land] = psal[:, :, land] = np.nan
    lat, lon = np.linspace(-60, 60, SHAPE[2]), np.linspace(0, 330, SHAPE[3])
    return xr.Dataset(
        {"TEMP": (DIMS, temp), "PSAL": (DIMS, psal), "land": (DIMS[2:], land.astype("i1"))},
        coords={
            "time": np.datetime64("2021-01-01", "ns") + np.timedelta64(1, "D") * np.arange(4),
            "depth": [0.0, 10.0, 50.0],
            "lat": ("lat", lat, {"units": "degrees_north"}),
            "lon": lon,
            "cell": (("lat", "lon"), np.arange(120).reshape(10, 12)),
        },
        attrs={"title": "an ocean"},
    )


@pytest.fixture(scope="module")
def stored(tmp_path_factory: Any) -> str:
    path = str(tmp_path_factory.mktemp("rows") / "ocean.zarr")
    chunks = {"TEMP": {"chunks": (2, 2, 4, 5)}, "PSAL": {"chunks": (3, 3, 10, 4)}}
    ocean().to_zarr(path, encoding=chunks, consolidated=False)
    return path


def forms(path: str) -> dict[str, Any]:
    """What a user may have: a path, lazy, loaded and not yet loaded objects of xarray."""
    return {
        "path": path,
        "group": zarr.open_group(path, mode="r"),
        "dask": xr.open_zarr(path, consolidated=False),
        "memory": xr.open_zarr(path, consolidated=False).load(),
        "not loaded": xr.open_zarr(path, consolidated=False, chunks=None),
    }


SEA: dict[str, Any] = {
    "variables": ["TEMP", "PSAL"],
    "features": "depth",
    "where": {"variable": "land", "equals": 0},
}


def matrix() -> tuple[Any, Any]:
    """Return the rows that xarray stacks, and which of them are sea."""
    ds = ocean()
    parts = [ds[v].stack(row=["time", "lat", "lon"]).transpose("row", "depth") for v in
             ("TEMP", "PSAL")]  # fmt: skip
    x = np.concatenate([part.values for part in parts], 1)
    return x, np.isfinite(x).all(1)


@pytest.mark.parametrize("form", ["path", "group", "dask", "memory", "not loaded"])
def test_a_mixture_of_named_dimensions(stored: str, form: str) -> None:
    rows = emdist.rows(forms(stored)[form], **SEA)
    x, sea = matrix()
    given = {"means_init": x[sea][[0, -1]], "max_iter": 20}
    gm = GaussianMixture(2, **given).fit(rows)
    plain = GaussianMixture(2, **given).fit(x[sea])
    assert np.allclose(gm.means_, plain.means_, rtol=1e-9)
    assert gm.feature_names_in_.tolist()[:4] == [
        "TEMP[depth=0]", "TEMP[depth=10]", "TEMP[depth=50]", "PSAL[depth=0]",
    ]  # fmt: skip
    labels = gm.predict(rows)
    assert labels.name == "labels"
    assert labels.dims == ("time", "lat", "lon")
    assert labels.dtype == np.int32
    flat = labels.values.reshape(-1)
    assert np.array_equal(flat[sea], plain.predict(x[sea]))
    assert (flat[~sea] == -1).all()
    want = ocean().drop_vars("depth").coords
    assert set(labels.coords) == set(want)
    assert all(labels.coords[name].equals(want[name]) for name in want)
    assert labels["lat"].attrs == {"units": "degrees_north"}
    resp = gm.predict_proba(rows)
    assert resp.dims == ("time", "lat", "lon", "component")
    assert np.allclose(resp.values.reshape(-1, 2)[sea], plain.predict_proba(x[sea]), atol=1e-9)
    assert np.isnan(resp.values.reshape(-1, 2)[~sea]).all()
    score = gm.score_samples(rows)
    assert np.allclose(score.values.reshape(-1)[sea], plain.score_samples(x[sea]))
    assert gm.score(rows) == pytest.approx(plain.score(x[sea]))


def test_a_selection_keeps_its_coordinates(stored: str) -> None:
    rows = emdist.rows(stored, **SEA, select={"lat": [0, 60], "time": "2021-01-02"})
    labels = KMeans(2, random_state=0).fit(rows).labels_
    want = ocean().sel(lat=slice(0, 60), time="2021-01-02")
    assert labels.dims == ("lat", "lon")
    assert labels["lat"].equals(want["lat"])
    assert labels["time"].values == want["time"].values
    assert labels["cell"].equals(want["cell"])


@pytest.mark.parametrize("form", ["path", "dask"])
def test_other_estimators_take_rows(stored: str, form: str) -> None:
    rows = emdist.rows(forms(stored)[form], **SEA)
    x, sea = matrix()
    km = KMeans(2, init=x[sea][[0, -1]]).fit(rows)
    assert km.inertia_ == pytest.approx(KMeans(2, init=x[sea][[0, -1]]).fit(x[sea]).inertia_)
    distance = km.transform(rows)
    assert distance.dims == ("time", "lat", "lon", "cluster")
    assert np.allclose(
        distance.values.reshape(-1, 2)[sea], KMeans.from_parameters(
            cluster_centers=km.cluster_centers_).transform(x[sea]))  # fmt: skip
    assert KMedians(2, random_state=0).fit(rows).labels_.dims == ("time", "lat", "lon")
    sweep = Sweep(KMeans(random_state=0), {"n_clusters": [2, 3, 4]}, criterion="elbow").fit(rows)
    assert sweep.predict(rows).dims == ("time", "lat", "lon")


def test_missing_values_are_completed_on_the_grid(stored: str) -> None:
    rows = emdist.rows(stored, ["TEMP", "PSAL"], features="depth")
    gm = GaussianMixture(2, random_state=0, non_finite="missing").fit(rows)
    filled = gm.complete(rows)
    assert filled.dims == ("time", "lat", "lon", "feature")
    x, sea = matrix()
    assert np.array_equal(filled.values.reshape(-1, 6)[sea], x[sea])
    assert np.isfinite(filled.values).all()


def test_weights_by_name_or_by_array(stored: str) -> None:
    area = np.cos(np.deg2rad(ocean()["lat"].values))
    ds = ocean().assign(area=("lat", area))
    x, sea = matrix()
    start = x[sea][[0, -1]]
    weight = np.broadcast_to(area[None, :, None], (4, 10, 12))
    want = KMeans(2, init=start).fit(x[sea], sample_weight=weight.reshape(-1)[sea])
    rows = emdist.rows(ds, **SEA)
    turned = xr.DataArray(weight, dims=rows_dims()).transpose("lon", "lat", "time")
    for given in ("area", weight, weight.reshape(-1), turned, ds["area"], ds["area"].chunk()):
        found = KMeans(2, init=start).fit(rows, sample_weight=given)
        assert np.allclose(found.cluster_centers_, want.cluster_centers_, rtol=1e-9)
    with pytest.raises(WeightError, match="expected the shape of the grid"):
        KMeans(2, init=start).fit(rows, sample_weight=np.ones(5))


def rows_dims() -> tuple[str, str, str]:
    return ("time", "lat", "lon")


def test_what_must_be_said_is_asked_for() -> None:
    ds = ocean()
    with pytest.raises(ShapeError, match=r"4 dimensions.*emdist\.rows"):
        KMeans(2).fit(ds["TEMP"])
    with pytest.raises(ShapeError, match=r"both are spatial.*emdist\.rows"):
        KMeans(2).fit(ds["land"])
    with pytest.raises(DtypeError, match=r"xarray\.Dataset.*emdist\.rows"):
        KMeans(2).fit(ds)
    with pytest.raises(ConfigError, match=r"features of emdist\.rows"):
        KMeans(2).fit(emdist.rows(ds["TEMP"]))
    with pytest.raises(ShapeError, match=r"land has the dimensions \(lat, lon\): both are spatial"):
        KMeans(2).fit(emdist.rows(ds, "land"))
    with pytest.raises(NotAnArrayError, match="did you mean 'TEMP'"):
        KMeans(2).fit(emdist.rows(ds, "TMP", features="depth"))
    with pytest.raises(ConfigError, match=r"variables of emdist\.rows is 3"):
        emdist.rows(ds, 3)  # type: ignore[arg-type]
    with pytest.raises(DtypeError, match="time has dtype datetime64"):
        KMeans(2).fit(emdist.rows(ds, ["TEMP", "time"]))


def test_a_saved_model_reads_new_data_like_its_own(stored: str, tmp_path: Path) -> None:
    rows = emdist.rows(stored, **SEA, select={"depth": [0, 10]})
    KMeans(2, random_state=0).fit(rows).save(tmp_path / "first")
    again = emdist.load(tmp_path / "first")
    again.save(tmp_path / "model")
    label_data(
        Location(str(tmp_path / "model")),
        NewDataSection(path=stored),
        Location(str(tmp_path / "labels.zarr")),
    )
    found = emdist.open_labels(tmp_path / "labels.zarr").labels
    want = again.predict(rows)
    assert found.dims == want.dims
    assert np.array_equal(found.values, want.values)


def test_errors_name_the_feature(stored: str) -> None:
    rows = emdist.rows(stored, ["TEMP", "PSAL"], features="depth")
    with pytest.raises(NonFiniteError, match=r"in feature 0 \(TEMP\[depth=0\]\)"):
        KMeans(2).fit(rows)
    frame = pd.DataFrame({"a": [0.0, 1.0, 2.0], "b": [1.0, np.nan, 2.0]})
    with pytest.raises(NonFiniteError, match=r"row 1 has nan in feature 1 \(b\)"):
        KMeans(2).fit(frame)
    fitted = KMeans(2, random_state=0).fit(frame.fillna(0))
    with pytest.raises(NonFiniteError, match=r"in feature 1 \(b\)"):
        fitted.predict(frame)
    with pytest.raises(NonFiniteError, match=r"in feature 1 \(b\)"):
        fitted.score(frame)


def test_an_array_as_it_lies_gives_a_data_array_too(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(30, 2))
    coords = {"station": np.arange(30) * 2}
    ds = xr.DataArray(x, dims=("station", "kind"), coords=coords).to_dataset(name="x")
    ds.to_zarr(tmp_path / "x.zarr", consolidated=False)
    rows = emdist.rows(tmp_path / "x.zarr", "x", samples="station")
    labels = KMeans(2, random_state=0).fit(rows).predict(rows)
    assert labels.dims == ("station",)
    assert labels["station"].values.tolist() == coords["station"].tolist()
    assert np.array_equal(labels.values, KMeans(2, random_state=0).fit(x).predict(x))


def test_a_plain_data_array_gives_a_data_array() -> None:
    x = np.random.default_rng(0).normal(size=(30, 2))
    rows = xr.DataArray(x, dims=("station", "variable"), coords={"station": np.arange(30) * 2})
    km = KMeans(2, random_state=0).fit(rows)
    labels = km.predict(rows)
    assert labels.dims == ("station",)
    assert labels["station"].values.tolist() == list(range(0, 60, 2))
    assert np.array_equal(labels.values, KMeans(2, random_state=0).fit(x).labels_)
    assert type(KMeans(2, random_state=0).fit(x).predict(x)) is np.ndarray


def later() -> xr.Dataset:
    """Other data with the same features: half the times, and another attribute."""
    return ocean().isel(time=[3, 1])


NEW = ["path", "group", "dataset"]


@pytest.mark.parametrize("form", NEW)
def test_new_data_are_made_into_rows_like_those_of_the_fit(
    stored: str, tmp_path: Path, form: str
) -> None:
    later().to_zarr(tmp_path / "new.zarr", consolidated=False)
    path = str(tmp_path / "new.zarr")
    new = {"path": path, "group": zarr.open_group(path, mode="r"), "dataset": later()}[form]
    rows = emdist.rows(stored, **SEA, select={"depth": [0, 10]})
    said = emdist.rows(new, **SEA, select={"depth": [0, 10]})
    gm = GaussianMixture(2, random_state=0).fit(rows)
    gm.save(tmp_path / "model")
    for model in (gm, emdist.load(tmp_path / "model")):
        found = model.predict(new)
        assert found.dims == ("time", "lat", "lon")
        assert found.sizes["time"] == 2
        assert found.identical(model.predict(said))
        assert model.score(new) == model.score(said)
        model.label(new, tmp_path / form / type(model).__name__)
        assert np.array_equal(model.labels().values, found.values)
        # What the user says holds: all depths are other features.
        with pytest.raises(ShapeError, match="X has 6 features"):
            model.predict(emdist.rows(new, **SEA))
    km = KMeans(2, random_state=0).fit(rows)
    assert km.transform(new).identical(km.transform(said))
    sweep = Sweep(KMeans(random_state=0), {"n_clusters": [2, 3]}, criterion="icl").fit(rows)
    assert sweep.predict(new).identical(sweep.predict(said))


@pytest.mark.parametrize(
    ("select", "told", "left"),
    [
        ({"time": ["2021-01-01", "2021-01-02"]}, "time from 2021-01-01 to 2021-01-02", 2 * 120),
        ({"time": [None, "2021-01-03"]}, "time up to 2021-01-03", 3 * 120),
        ({"time": "2021-01-02"}, "time of 2021-01-02", 120),
        ({"time": {"index": "::2"}, "lat": [0, None]}, "time at index ::2, lat from 0", 2 * 60),
        ({"time": {"values": ["2021-01-02"]}, "depth": 10}, "time of 2021-01-02", 120),
    ],
)
@pytest.mark.parametrize("form", NEW)
def test_rows_that_the_selection_of_the_fit_leaves_out_are_told(
    stored: str, form: str, select: dict[str, Any], told: str, left: int
) -> None:
    new = {"path": stored, "group": zarr.open_group(stored, mode="r"), "dataset": ocean()}[form]
    model = KMeans(2, random_state=0, non_finite="drop")
    model.fit(emdist.rows(stored, "TEMP", features="depth", select=select))
    with pytest.warns(UserWarning, match="selection") as caught:
        assert model.predict(new).size == left
    (warning,) = caught
    assert warning.filename == __file__
    message = str(warning.message)
    assert f"with its selection: {told}; {left:,} of 480 rows. To read all, pass " in message
    # The advice works as it is written, and says nothing.
    rows = eval(message.partition("pass ")[2].rstrip("."), {"emdist": emdist, "X": new})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model.predict(rows).size == 480
        # Neither does a selection of features, or one that leaves out no row.
        same = emdist.rows(stored, "TEMP", features="depth", select={"depth": [0, 10]})
        KMeans(2, random_state=0, non_finite="drop").fit(same).predict(new)
        same = emdist.rows(stored, "TEMP", features="depth", select={"time": ["2021", "2022"]})
        KMeans(2, random_state=0, non_finite="drop").fit(same).predict(new)


def test_data_that_cannot_be_read_like_those_of_the_fit_are_refused(
    stored: str, tmp_path: Path
) -> None:
    rows = emdist.rows(
        stored, "TEMP", features="depth", select={"time": ["2021-01-01", "2021-01-02"]}
    )
    km = KMeans(2, random_state=0, non_finite="drop").fit(rows)
    new = ocean().assign_coords(time=ocean()["time"] + np.timedelta64(700, "D"))
    with pytest.raises(ShapeError, match=r"select of emdist.rows for time.*pass emdist\.rows\(X"):
        km.predict(new)
    assert km.predict(emdist.rows(new, "TEMP", features="depth")).sizes["time"] == 4
    x = np.ones((5, 3))
    zarr.create_array(tmp_path / "x.zarr", shape=x.shape, chunks=x.shape, dtype="f8")[:] = x
    with pytest.raises(ConfigError, match=r"is one array.*pass emdist\.rows\(X"):
        km.predict(tmp_path / "x.zarr")
    with pytest.warns(UserWarning, match="feature names"):
        assert km.predict(emdist.rows(tmp_path / "x.zarr", samples="dim_0")).shape == (5,)


def test_a_pipeline_makes_rows_of_new_data_like_those_of_its_fit(stored: str) -> None:
    from sklearn.pipeline import make_pipeline

    from emdist.prepare import StandardScaler

    rows = emdist.rows(stored, **SEA)
    pipe = make_pipeline(StandardScaler(), KMeans(2, random_state=0)).fit(rows)
    assert pipe.predict(stored).identical(pipe.predict(rows))


def test_partial_fit_reads_later_chunks_like_the_first(stored: str, tmp_path: Path) -> None:
    from emdist import MiniBatchKMeans

    one = MiniBatchKMeans(2, random_state=0).partial_fit(emdist.rows(stored, **SEA))
    two = MiniBatchKMeans(2, random_state=0).partial_fit(emdist.rows(stored, **SEA))
    one.partial_fit(stored).partial_fit(stored)
    two.partial_fit(emdist.rows(stored, **SEA)).partial_fit(emdist.rows(stored, **SEA))
    assert np.array_equal(one.cluster_centers_, two.cluster_centers_)


def test_a_dimension_of_the_data_called_like_one_of_the_result_is_refused(tmp_path: Path) -> None:
    ds = ocean()[["TEMP"]].fillna(0)
    made = {
        "component": lambda rows: GaussianMixture(2, random_state=0).fit(rows).predict_proba(rows),
        "cluster": lambda rows: KMeans(2, random_state=0).fit(rows).transform(rows),
        "feature": lambda rows: GaussianMixture(2, random_state=0).fit(rows).complete(rows),
    }
    for name, make in made.items():
        other = ds.rename(lat=name)
        with pytest.raises(ConfigError, match=rf"coordinate '{name}'.*dataset\.rename\({name}='"):
            make(emdist.rows(other, features="depth"))
        # The advice works.
        advised = other.rename({name: f"data_{name}"})
        assert make(emdist.rows(advised, features="depth")).dims[-1] == name
        # Results without such a dimension may have the name.
        rows = emdist.rows(other, features="depth")
        assert KMeans(2, random_state=0).fit(rows).predict(rows).dims == ("time", name, "lon")
    rows = emdist.rows(ds.rename(lat="component"), features="depth")
    with pytest.raises(ConfigError, match=r"dimension or coordinate 'component'.*Rename it"):
        KMeans(2, random_state=0).fit(rows).label(rows, tmp_path / "labels")


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ({"variable": "land", "eq": 0}, "eq is no comparison (did you mean 'equals'?)"),
        ({"variable": "land", "==": 0}, "== is no comparison (did you mean 'equals'?)"),
        (
            {"variable": "land", "at_leest": 0},
            "at_leest is no comparison (did you mean 'at_least'?)",
        ),
        (
            {"variable": "time", "at_least": "2020-03"},
            "at_least is '2020-03', and not a number. Times",
        ),
        ({"variable": "land", "below": [1, 2]}, "below is [1, 2], and not a number"),
        ([{"variable": "land", "equals": 0}, {"equals": 0}], "it names no variable"),
        ({"variable": 3, "equals": 0}, "variable is 3, and not a name"),
    ],
)
def test_a_wrong_condition_is_told_by_its_key_and_value(where: Any, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        emdist.rows("x.zarr", where=where)
    assert f"where of emdist.rows has a condition that is wrong: {told}" in str(error.value)


def test_features_of_all_dimensions_are_told(stored: str) -> None:
    with pytest.raises(ShapeError, match=r"features of emdist\.rows has time, depth, lat, lon"):
        KMeans(2).fit(emdist.rows(stored, ["TEMP", "PSAL"], features=DIMS))
    gone = {"time": {"index": 0}, "lat": {"index": 1}, "lon": {"index": 2}}
    with pytest.raises(ShapeError, match="reads one position of time, lat, lon"):
        KMeans(2).fit(emdist.rows(stored, "TEMP", features="depth", select=gone))


@pytest.mark.parametrize("prepare", [None, ["standardise"]])
def test_it_is_told_which_reasons_leave_out_all_rows(stored: str, prepare: Any) -> None:
    ds, total = ocean(), SHAPE[0] * SHAPE[2] * SHAPE[3]
    land = int((ds["land"] == 1).sum()) * SHAPE[0]
    here = {"variable": "land", "equals": 1}  # Only land, where all is NaN.
    est = KMeans(2, non_finite="drop", prepare=prepare)
    for form in forms(stored).values():
        with pytest.raises((ShapeError, WeightError), match="No row is left") as error:
            est.fit(emdist.rows(form, ["TEMP", "PSAL"], features="depth", where=here))
        unmet = f"{total - land} do not meet where of emdist.rows (land equals 1)"
        told = f"Of all {total} rows, {unmet}, {land} have values that are not finite."
        assert told in str(error.value)
    nowhere = {"variable": "land", "equals": 7}
    fitted = KMeans(2, random_state=0, non_finite="drop").fit(emdist.rows(stored, **SEA))
    with pytest.raises(ShapeError, match=rf"{total} do not meet.*equals 7.*nothing to score"):
        fitted.score(emdist.rows(stored, ["TEMP", "PSAL"], features="depth", where=nowhere))


def test_the_step_of_a_pipeline_that_refuses_nan_is_named(stored: str) -> None:
    steps = emdist.prepare
    rows = emdist.rows(stored, ["TEMP", "PSAL"], features="depth")
    for pca, kmeans, told in (("raise", "drop", "PCA"), ("drop", "raise", "KMeans")):
        pipeline = make_pipeline(
            steps.StandardScaler(non_finite="drop"),
            steps.PCA(2, non_finite=pca),
            KMeans(2, non_finite=kmeans),
        )
        with pytest.raises(NonFiniteError, match=f"Set non_finite of {told} to 'drop'"):
            pipeline.fit(rows)


@pytest.mark.parametrize("form", ["path", "xarray"])
def test_results_say_what_they_are_as_stored_labels_do(form: str, tmp_path: Path) -> None:
    ds = ocean().assign_coords(crs=((), 0, {"grid_mapping_name": "latitude_longitude"}))
    for name in ("TEMP", "PSAL"):
        ds[name].attrs["grid_mapping"] = "crs"
    ds.to_zarr(tmp_path / "x.zarr", consolidated=False)
    rows = emdist.rows(tmp_path / "x.zarr" if form == "path" else ds, **SEA)
    for model in (
        GaussianMixture(2, random_state=0).fit(rows),
        GaussianMixture(2, random_state=0, noise=0.1).fit(rows),
        KMeans(2, random_state=0).fit(rows),
    ):
        model.label(rows, tmp_path / "labels.zarr", overwrite=True)
        stored, found = model.labels(), model.predict(rows)
        assert found.attrs == stored.attrs
        noise = getattr(model, "noise", None) is not None
        assert found.attrs["flag_values"] == ([0, 1, -1] if noise else [0, 1])
        assert found.attrs["flag_meanings"].split()[:2] == ["component_0", "component_1"]
        assert found.attrs["grid_mapping"] == "crs"
        assert found["crs"].attrs["grid_mapping_name"] == "latitude_longitude"
        found.to_netcdf(tmp_path / "labels.nc")
    assert KMeans(2, random_state=0).fit(rows).labels_.attrs == found.attrs
    mixture = GaussianMixture(2, random_state=0).fit(rows)
    assert mixture.predict_proba(rows).attrs["grid_mapping"] == "crs"
    assert mixture.score_samples(rows).attrs["long_name"] == "log-likelihood of each row"
    # Without the projection among the coordinates, nothing refers to it.
    without = emdist.rows(ds.drop_vars("crs"), **SEA)
    assert "grid_mapping" not in KMeans(2, random_state=0).fit(without).predict(without).attrs
