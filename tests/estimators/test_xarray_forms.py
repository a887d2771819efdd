"""Objects of xarray in all the forms that users have: what is read is what xarray shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr

import emdist
from emdist import KMeans
from emdist.errors import ConfigError, DtypeError, NonFiniteError, ShapeError, WeightError
from emdist.prepare import StandardScaler
from emdist.store.grids.coordinates import encoded_fill

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


#: Attributes, and what the numbers 1, 5, 2, -7 become; a text is what the error says.
UNDECODED: list[tuple[str, dict[str, Any], Any]] = [
    ("i2", {"scale_factor": 2, "missing_value": 5}, [2, np.nan, 4, -14]),
    ("i2", {"_FillValue": [1, 2]}, [np.nan, 5, np.nan, -7]),
    ("i1", {"_Unsigned": "true", "_FillValue": 1_000_000}, [1, 5, 2, 249]),
    ("i2", {"_Unsigned": "true"}, [1, 5, 2, 65529]),
    ("i2", {"_Unsigned": "True"}, [1, 5, 2, -7]),
    ("i2", {"_Unsigned": True}, [1, 5, 2, -7]),
    ("i2", {"scale_factor": "0.1"}, "attribute scale_factor of .* is '0.1', expected a number"),
    ("i2", {"scale_factor": [0.1, 0.2]}, "attribute scale_factor"),
    ("i2", {"missing_value": "abc"}, "attribute missing_value of .* is 'abc'"),
    ("f4", {"_FillValue": "abc"}, "attribute _FillValue of .* is 'abc'"),
    ("f4", {"scale_factor": None}, "attribute scale_factor of .* is None"),
    ("i2", {"add_offset": float("nan")}, "attribute add_offset of .* is nan"),
]


@pytest.mark.parametrize("form", ["path", "loaded", "lazy", "array"])
@pytest.mark.parametrize(("dtype", "attrs", "want"), UNDECODED)
def test_attributes_mean_the_same_in_all_forms(
    dtype: str, attrs: dict[str, Any], want: Any, form: str, tmp_path: Path
) -> None:
    numbers = np.array([[1], [5], [2], [-7]], dtype)
    ds = xr.Dataset({"v": (("a", "b"), numbers, attrs)})
    group = zarr.open_group(tmp_path / "x.zarr", mode="w")
    stored = group.create_array("v", data=numbers, dimension_names=("a", "b"))
    stored.attrs.update(attrs)
    x: Any = {
        "path": emdist.rows(tmp_path / "x.zarr", "v", samples="a"),
        "loaded": emdist.rows(ds, "v", samples="a"),
        "lazy": emdist.rows(ds.chunk({"a": 2}), "v", samples="a"),
        "array": ds["v"],
    }[form]
    est = StandardScaler(non_finite="missing")
    if isinstance(want, str):
        with pytest.raises(DtypeError, match=want):
            est.fit(x)
        return
    np.testing.assert_allclose(est.fit(x).mean_, [np.nanmean(want)])
    np.testing.assert_allclose(est.scale_, [np.nanstd(want)])


def test_a_wrong_attribute_of_a_variable_that_is_not_used_does_no_harm() -> None:
    ds = grid().assign(bad=("a", np.arange(4), {"scale_factor": "abc"}))
    assert np.allclose(mean_of(emdist.rows(ds, "v", samples="a")), ds["v"].mean("a"))
    with pytest.raises(DtypeError, match="attribute scale_factor of bad is 'abc'"):
        mean_of(emdist.rows(ds, "bad", samples="a"))


@pytest.mark.parametrize("attribute", ["_FillValue", "missing_value"])
@pytest.mark.parametrize("fill", [1e20, 0.1, -9999.9])
@pytest.mark.parametrize("form", ["path", "decoded", "lazy", "undecoded", "part"])
def test_a_fill_value_counts_as_the_stored_floats_round_it(
    form: str, fill: float, attribute: str, tmp_path: Path
) -> None:
    numbers = np.array([[1], [fill], [2]], "f4")
    group = zarr.open_group(tmp_path / "x.zarr", mode="w")
    stored = group.create_array("v", data=numbers, dimension_names=("a", "b"))
    told = encoded_fill(fill) if attribute == "_FillValue" else fill
    stored.attrs.update({attribute: told})
    path = {"filename_or_obj": tmp_path / "x.zarr", "engine": "zarr", "consolidated": False}
    data: Any = {
        "path": lambda: tmp_path / "x.zarr",
        "decoded": lambda: xr.open_dataset(**path),
        "lazy": lambda: xr.open_dataset(**path, chunks={}),
        "undecoded": lambda: xr.open_dataset(**path, mask_and_scale=False),
        "part": lambda: xr.open_dataset(**path)[["v"]].isel(b=[0]).load(),
    }[form]()
    est = StandardScaler(non_finite="missing").fit(emdist.rows(data, "v", samples="a"))
    np.testing.assert_allclose(est.mean_, [1.5])


def test_infinity_is_no_fill_value_that_is_too_large_for_the_stored_floats(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "x.zarr", mode="w")
    numbers = np.array([[1], [np.inf]], "f4")
    stored = group.create_array("v", data=numbers, dimension_names=("a", "b"))
    stored.attrs.update({"missing_value": 1e300})
    with pytest.raises(NonFiniteError):
        StandardScaler(non_finite="missing").fit(emdist.rows(tmp_path / "x.zarr", "v", samples="a"))


@pytest.mark.parametrize("form", ["path", "lazy", "loaded"])
def test_coordinates_of_one_byte_stay_coordinates(form: str, tmp_path: Path) -> None:
    letters = np.array([b"a", b"b", b"c", b"d"])
    ds = grid().assign_coords(a=letters)
    ds.to_zarr(tmp_path / "x.zarr", consolidated=False)
    data: Any = {"path": tmp_path / "x.zarr", "lazy": ds.chunk(), "loaded": ds}[form]
    x = emdist.rows(data, "v", samples="a")
    est = KMeans(2, random_state=0).fit(x)
    found = est.predict(x)
    assert found["a"].values.tolist() == letters.tolist()
    assert int(found.sel(a=b"b")) == int(found[1])
    est.label(x, tmp_path / "labels.zarr")
    written = emdist.open_labels(tmp_path / "labels.zarr")["labels"]
    assert written["a"].values.tolist() == letters.tolist()


@pytest.mark.parametrize("form", ["path", "array path", "lazy", "loaded"])
def test_labels_of_rows_of_two_dimensions_lie_where_predictions_do(
    form: str, tmp_path: Path
) -> None:
    days = pd.date_range("2000-01-01", periods=50)
    values = np.random.default_rng(3).normal(size=(50, 3))
    ds = xr.Dataset({"v": (("t", "z"), values)}, coords={"t": days, "z": [1, 2, 3]})
    ds.to_zarr(tmp_path / "x.zarr", consolidated=False, encoding={"v": {"chunks": (8, 3)}})
    at = tmp_path / "x.zarr"
    data: Any = {"path": at, "array path": at / "v", "lazy": ds.chunk(), "loaded": ds}[form]
    x = emdist.rows(data, *([] if form == "array path" else ["v"]), features="z")
    est = KMeans(2, random_state=0, block_size="200 B").fit(x)
    est.label(x, tmp_path / "labels.zarr")
    written = emdist.open_labels(tmp_path / "labels.zarr")["labels"]
    predicted = est.predict(x)
    assert written.dims == predicted.dims == ("t",)
    assert list(written.coords) == list(predicted.coords) == ["t"]
    assert (written["t"].values == days.values).all()
    np.testing.assert_array_equal(written, predicted)


@pytest.mark.parametrize("name", ["component", "labels", "score", "emdist"])
@pytest.mark.parametrize("form", ["path", "lazy", "loaded"])
def test_dimensions_that_labels_use_are_refused_in_all_forms(
    form: str, name: str, tmp_path: Path
) -> None:
    ds = xr.Dataset({"v": ((name, "z"), RNG.normal(size=(50, 3)))})
    ds.to_zarr(tmp_path / "x.zarr", consolidated=False)
    data: Any = {"path": tmp_path / "x.zarr", "lazy": ds.chunk(), "loaded": ds}[form]
    x = emdist.rows(data, "v", features="z")
    est = KMeans(2, random_state=0).fit(x)
    with pytest.raises(ConfigError, match=f"dimension or coordinate '{name}'"):
        est.label(x, tmp_path / "labels.zarr")
    assert not (tmp_path / "labels.zarr").exists()
