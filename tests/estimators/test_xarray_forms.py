"""Objects of xarray in all the forms that users have: what is read is what xarray shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import emdist
from emdist import KMeans
from emdist.errors import ConfigError, DtypeError, NonFiniteError, ShapeError, WeightError

RNG = np.random.default_rng(0)


def grid(**coords: Any) -> xr.Dataset:
    """Two variables on four by six points."""
    dims = ("a", "b")
    v, w = RNG.normal(size=(2, 4, 6))
    return xr.Dataset({"v": (dims, v), "w": (dims, w)}, coords={"a": np.arange(4), **coords})


def mean_of(rows: Any, **given: Any) -> Any:
    return KMeans(1, **given).fit(rows).cluster_centers_[0]


# --- weights -------------------------------------------------------------------------------------

LATS = np.array([60.0, 0.1, -60.0, -80.0])


@pytest.mark.parametrize(
    "form", ["rows", "path", "plain path", "plain rows", "array path", "array", "lazy array"]
)
def test_weights_of_other_rows_are_refused(form: str, tmp_path: Path) -> None:
    ds = xr.Dataset({"v": (("lat", "n"), RNG.normal(size=(4, 3)))}, coords={"lat": LATS})
    ds.to_zarr(tmp_path / "x.zarr", consolidated=False)
    x: Any = {
        "rows": emdist.rows(ds, "v", samples="lat"),
        "path": emdist.rows(tmp_path / "x.zarr", "v", samples="lat"),
        "plain path": emdist.rows(tmp_path / "x.zarr" / "v", samples="lat"),
        "plain rows": emdist.rows(tmp_path / "x.zarr" / "v"),
        "array path": tmp_path / "x.zarr" / "v",
        "array": ds["v"],
        "lazy array": ds["v"].chunk(),
    }[form]
    weight = xr.DataArray([1.0, 2, 3, 4], dims="lat", coords={"lat": LATS}, name="area")
    want = np.average(ds["v"].values, axis=0, weights=[1, 2, 3, 4])
    same = [weight, weight.drop_vars("lat"), weight.assign_coords(lat=LATS.astype("f4"))]
    for one in same:
        assert np.allclose(KMeans(1).fit(x, sample_weight=one).cluster_centers_[0], want)
    with pytest.raises(WeightError, match=r"another order of lat.*-80 at position 0.*have 60"):
        KMeans(1).fit(x, sample_weight=weight[::-1])
    with pytest.raises(WeightError, match=r"other values of lat.*0\.2 at position 1.*have 0\.1"):
        KMeans(1).fit(x, sample_weight=weight.assign_coords(lat=[60, 0.2, -60, -80]))


def test_stored_weights_of_other_rows_are_refused(tmp_path: Path) -> None:
    ds = xr.Dataset({"v": (("lat", "n"), RNG.normal(size=(4, 3)))}, coords={"lat": LATS})
    ds.to_zarr(tmp_path / "x.zarr", consolidated=False)
    own = xr.Dataset({"area": ("lat", [1.0, 2, 3, 4])}, coords={"lat": LATS})
    own.to_zarr(tmp_path / "same.zarr", consolidated=False)
    own.isel(lat=slice(None, None, -1)).to_zarr(tmp_path / "other.zarr", consolidated=False)
    want = np.average(ds["v"].values, axis=0, weights=[1, 2, 3, 4])
    for x in (
        tmp_path / "x.zarr" / "v",
        emdist.rows(tmp_path / "x.zarr", "v", samples="lat"),
        emdist.rows(tmp_path / "x.zarr", "v", samples="lat", select={"n": {"index": [0, 1, 2]}}),
    ):
        found = KMeans(1).fit(x, sample_weight=tmp_path / "same.zarr" / "area")
        assert np.allclose(found.cluster_centers_[0], want)
        with pytest.raises(WeightError, match="another order of lat"):
            KMeans(1).fit(x, sample_weight=tmp_path / "other.zarr" / "area")


def test_weights_without_a_name_are_called_sample_weight() -> None:
    ds = xr.Dataset({"v": (("lat", "n"), RNG.normal(size=(4, 3)))}, coords={"lat": LATS})
    rows = emdist.rows(ds, "v", samples="lat")
    cosines = np.cos(np.deg2rad(ds["lat"]))  # Its name is that of its coordinate.
    for weight in (cosines, cosines.rename(None)):
        with pytest.raises(WeightError, match=r"weights \(sample_weight\) have another order"):
            KMeans(1).fit(rows, sample_weight=weight[::-1])
        with pytest.raises(WeightError, match=r"The weights sample_weight have the dimensions"):
            KMeans(1).fit(rows, sample_weight=weight[:2])


def test_weights_may_be_named_as_their_coordinate() -> None:
    ds = grid().rename(a="lat")
    weight = np.cos(ds["lat"])
    assert weight.name == "lat"
    found = mean_of(emdist.rows(ds, ["v", "w"]))
    assert np.allclose(found, [ds["v"].mean(), ds["w"].mean()])
    got = KMeans(1).fit(emdist.rows(ds, "v", features="b"), sample_weight=weight + 2)
    want = ds["v"].weighted(weight + 2).mean("lat")
    assert np.allclose(got.cluster_centers_[0], want)


# --- indexes and dtypes of pandas ----------------------------------------------------------------


def test_an_index_of_several_levels_has_its_levels_on_labels() -> None:
    ds = grid(b=list("pqrstu")).stack(z=("a", "b"))
    rows = emdist.rows(ds, ["v", "w"], samples="z")
    labels = KMeans(2, random_state=0).fit(rows).predict(rows)
    assert labels.dims == ("z",)
    assert labels["a"].values.tolist() == ds["a"].values.tolist()
    assert labels["b"].values.tolist() == ds["b"].values.tolist()
    with pytest.raises(ConfigError, match=r"neither numbers, dates nor texts.*\{index"):
        KMeans(2).fit(emdist.rows(ds, ["v", "w"], samples="z", select={"z": 1}))


@pytest.mark.parametrize("dtype", ["Int64", "boolean", "Float32", "UInt8"])
def test_numbers_that_pandas_holds_are_numbers_and_na_is_nan(dtype: str) -> None:
    values = pd.array([1, 0, 1, None], dtype=dtype)
    ds = xr.Dataset({"x": ("i", values), "y": ("i", [1.0, 2, 3, 4]), "m": ("i", values)})
    rows = emdist.rows(ds, ["x", "y"], samples="i")
    with pytest.raises(NonFiniteError, match="row 3"):
        mean_of(rows)
    assert np.allclose(mean_of(rows, non_finite="drop"), [2 / 3, 2])
    meets = emdist.rows(ds, "y", samples="i", where={"variable": "m", "equals": 1})
    assert np.allclose(mean_of(meets), [2])
    full = xr.Dataset({"x": ("i", pd.array([1, 0, 1], dtype=dtype))})
    assert np.allclose(mean_of(emdist.rows(full, samples="i")), [2 / 3])


def test_whole_numbers_that_pandas_holds_stay_exact() -> None:
    number = pd.array([2**53, 2**53 + 1], dtype="Int64")
    ds = xr.Dataset({"y": ("i", [1.0, 2]), "m": ("i", number)})
    rows = emdist.rows(ds, "y", samples="i", where={"variable": "m", "equals": 2**53 + 1})
    assert np.allclose(mean_of(rows), [2])


def test_categories_are_no_numbers_but_may_be_coordinates() -> None:
    ds = xr.Dataset({"c": ("i", pd.Categorical(["a", "b"])), "d": ("i", pd.Categorical([1, 2]))})
    for name in "cd":
        with pytest.raises(DtypeError, match=f"{name} has dtype category.*convert it to numbers"):
            KMeans(1).fit(emdist.rows(ds, name, samples="i"))
    bands = grid(b=pd.CategoricalIndex(list("pqrstu")))
    select = {"b": {"values": ["q", "p"]}}
    rows = emdist.rows(bands, "v", features="b", select=select)
    km = KMeans(2, random_state=0).fit(rows)
    assert km.feature_names_in_.tolist() == ["q", "p"]
    assert np.allclose(mean_of(rows), bands["v"].mean("a").values[[1, 0]])
    rows = emdist.rows(bands, "v", features="a")
    labels = KMeans(2, random_state=0).fit(rows).predict(rows)
    assert labels["b"].values.tolist() == list("pqrstu")


@pytest.mark.parametrize(
    ("index", "named", "choice"),
    [
        (pd.array([1, 2, 3, 4], dtype="Int64"), "a=2", [2, 3]),
        (pd.array([1, 2, 3, None], dtype="Int64"), "a=2", [2, 3]),
        (pd.date_range("2020", periods=4, tz="UTC"), "a=2020-01-02", [20200102, 20200103]),
        (pd.period_range("2020", periods=4, freq="Y"), "2021", {"values": ["2021", "2022"]}),
        (pd.IntervalIndex.from_breaks(range(5)), "(1, 2]", {"values": ["(1, 2]", "(2, 3]"]}),
    ],
)  # fmt: skip
def test_coordinates_of_pandas(index: Any, named: str, choice: Any) -> None:
    ds = grid().assign_coords(a=index)
    rows = emdist.rows(ds, "v", samples="b", select={"a": choice})
    assert KMeans(1).fit(rows).feature_names_in_[0] == named
    assert np.allclose(mean_of(rows), ds["v"].values[1:3].mean(1))
    labels = KMeans(2, random_state=0).fit(emdist.rows(ds, "v", samples="a")).labels_
    assert labels.sizes == {"a": 4}
    assert "a" in labels.coords


def test_names_may_be_numbers() -> None:
    ds = xr.Dataset({n: (("a", "b"), RNG.normal(size=(4, 6))) for n in (1, 2)})
    km = KMeans(1).fit(emdist.rows(ds, ["1", "2"]))
    assert km.feature_names_in_.tolist() == ["1", "2"]
    assert np.allclose(km.cluster_centers_[0], [ds[1].mean(), ds[2].mean()])
    with pytest.raises(ConfigError, match=r"the same name as texts.*1, '1'"):
        KMeans(1).fit(emdist.rows(ds.rename({2: "1"}), "1"))


@pytest.mark.filterwarnings("ignore:Duplicate dimension names")
def test_doubled_dimensions_are_refused() -> None:
    ds = xr.Dataset({"v": (("a", "a"), np.ones((4, 4)))})
    for x in (emdist.rows(ds, "v"), ds["v"]):
        with pytest.raises(ShapeError, match="two have the same name"):
            KMeans(1).fit(x)


# --- undecoded -----------------------------------------------------------------------------------


@pytest.mark.parametrize("chunks", [None, {}])
def test_undecoded_objects_are_decoded_like_their_path(chunks: Any, tmp_path: Path) -> None:
    v = np.array([[0.5, 1.5, np.nan], [2.5, 3.5, 4.5]])
    ds = xr.Dataset({"v": (("a", "b"), v)}, coords={"b": [0.0, 0.5, 1.0]})
    packed = {"dtype": "i2", "scale_factor": 0.5, "add_offset": 1.0, "_FillValue": -9}
    ds.to_zarr(tmp_path / "x.zarr", encoding={"v": packed, "b": packed}, consolidated=False)
    raw = xr.open_zarr(tmp_path / "x.zarr", mask_and_scale=False, consolidated=False, chunks=chunks)
    assert raw["v"].dtype == "i2"
    for data in (raw, raw.load() if chunks is None else raw):
        rows = emdist.rows(data, "v", samples="a", select={"b": [0, 0.5]})
        km = KMeans(1).fit(rows)
        assert km.feature_names_in_.tolist() == ["b=0", "b=0.5"]
        assert np.allclose(km.cluster_centers_[0], [1.5, 2.5])
        for x in (data["v"], emdist.rows(data["v"], samples="a")):
            found = KMeans(1, non_finite="missing" if chunks is None else "raise")
            if chunks is None:
                assert np.allclose(found.fit(x).cluster_centers_[0], [1.5, 2.5, 4.5])
            else:
                with pytest.raises(NonFiniteError):
                    found.fit(x)
            none = KMeans(1, decode="none").fit(x)
            assert np.allclose(none.cluster_centers_[0], raw["v"].mean("a").values)
            assert "_FillValue" in raw["v"].attrs
