"""Selections and names by coordinates: equal to what xarray selects, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cftime
import numpy as np
import pytest
import xarray as xr
import zarr

import emdist
from emdist.errors import ConfigError, EmdistError, FeatureNamesError, ShapeError
from emdist.inputs.layout import layout
from emdist.inputs.names import Match, coordinate_names, match
from emdist.store.grids.boxes import cuts_within
from emdist.store.grids.comparing import at_least, at_most, equal
from emdist.store.grids.opening import stored_source
from emdist.store.grids.positions import positions
from emdist.store.sources.references import reference


def at(values: Any, choice: Any) -> list[int]:
    """Return the positions that an entry of `select` means."""
    values = np.asarray(values)
    ((dim, entry),) = layout(select={"depth": choice}).select
    return list(positions(dim, len(values), entry, lambda: values).at)


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "named"),
    [
        (np.array([10, 500]), ("d=10", "d=500")),
        (np.array([10.0, 500.0]), ("d=10", "d=500")),
        (np.array([0.1, 359.9], "f4"), ("d=0.1", "d=359.9")),
        (np.array([0.1, 359.9]), ("d=0.1", "d=359.9")),
        (np.array([0.1, 359.9], "f4").astype("f8"), ("d=0.1", "d=359.9")),
        (np.array([500012.125, -0.0]), ("d=500012.125", "d=0")),
        (np.array([2**53 + 1]), ("d=9007199254740993",)),
        (np.array(["2020-01-01", "2020-01-01T12"], "M8[ns]"), ("d=2020-01-01", "d=2020-01-01T12:00")),  # noqa: E501
        (np.array(["2020-01-01"], "M8[s]"), ("d=2020-01-01",)),
        (np.array([24, 36], "m8[h]"), ("d=1 days", "d=36 hours")),
        (np.array([cftime.Datetime360Day(2000, 2, 30)]), ("d=2000-02-30",)),
        (np.array(["B02", "B8A"]), ("B02", "B8A")),
        (np.array([b"B02"]), ("B02",)),
    ],
)  # fmt: skip
def test_equal_values_have_equal_names(values: Any, named: tuple[str, ...]) -> None:
    assert coordinate_names("d", values) == named


def test_names_that_earlier_versions_spelled_otherwise_are_the_same() -> None:
    old = ("TEMP[depth=10.0,lat=0.10000000149011612]", "depth=1e-05")
    assert match(old, ("TEMP[depth=10,lat=0.1]", "depth=1e-05")) is Match.SAME
    assert match(old, ("TEMP[depth=11,lat=0.1]", "depth=1e-05")) is Match.OTHER
    assert match(("depth=0.0", "depth=5.0"), ("depth=5", "depth=0")) is Match.OTHER_ORDER


def test_one_model_labels_every_form_of_its_data(tmp_path: Path) -> None:
    """As an array (rows, features), as a variable of a group, and as an object of xarray."""
    x = np.random.default_rng(0).normal(size=(40, 3))
    times = np.array(["2020-01-01", "2020-02-01", "2020-03-01"], "M8[ns]")
    for dim, values in {"time": times, "depth": np.array([0.5, 10.0, 20.5])}.items():
        ds = xr.Dataset({"v": (("cast", dim), x)}, coords={dim: values})
        packed = {"depth": {"dtype": "int16", "scale_factor": 0.5, "_FillValue": -1}}
        path = tmp_path / f"{dim}.zarr"
        ds.to_zarr(path, encoding=packed if dim == "depth" else {}, consolidated=False)
        forms = [
            emdist.rows(path / "v", features=dim),
            emdist.rows(path, "v", features=dim),
            emdist.rows(path, "v", features=dim, select={"cast": {"index": "0:39"}}),
            emdist.rows(ds, "v", features=dim),
            emdist.rows(xr.open_zarr(path, consolidated=False), "v", features=dim),
        ]
        if dim == "depth":
            forms += [path / "v", ds["v"]]
        named = {
            tuple(emdist.KMeans(2, random_state=0).fit(one).feature_names_in_) for one in forms
        }
        want = (
            ("2020-01-01", "2020-02-01", "2020-03-01") if dim == "time" else ("0.5", "10", "20.5")
        )
        assert named == {tuple(f"{dim}={text}" for text in want)}


def test_selected_positions_without_coordinates_are_names(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(40, 6))
    xr.Dataset({"v": (("cast", "level"), x)}).to_zarr(tmp_path / "x.zarr", consolidated=False)

    def part(index: Any) -> Any:
        select = None if index is None else {"level": {"index": index}}
        return emdist.rows(tmp_path / "x.zarr", "v", features="level", select=select)

    km = emdist.KMeans(2, random_state=0).fit(part("0:3"))
    assert km.feature_names_in_.tolist() == ["level=0", "level=1", "level=2"]
    km.predict(part([0, 1, 2]))
    with pytest.raises(FeatureNamesError, match="level=3"):
        km.predict(part("3:6"))
    with pytest.raises(FeatureNamesError, match="in the same order"):
        km.predict(part([2, 1, 0]))
    assert not hasattr(emdist.KMeans(2, random_state=0).fit(part(None)), "feature_names_in_")


# --- whole numbers -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["i8", "u8"])
def test_whole_numbers_are_compared_exactly(dtype: str) -> None:
    big = 2**53
    values = np.array([big - 1, big, big + 1, big + 2], dtype)
    assert equal(values, [big + 1]).tolist() == [False, False, True, False]
    assert at_least(values, big + 1).tolist() == [False, False, True, True]
    assert at_most(values, big).tolist() == [True, True, False, False]
    assert at(values, big + 1) == [2]
    assert at(values, [big + 1, None]) == [2, 3]
    assert at(values, [None, big]) == [0, 1]
    beyond = np.iinfo(dtype).max + 1
    assert not equal(values, [beyond, -(2**70), 0.5]).any()
    assert at_most(values, beyond).all()
    assert not at_least(values, beyond).any()
    assert at_least(values, float("-inf")).all()
    assert at_least(np.array([2, 3], dtype), 2.5).tolist() == [False, True]
    assert at_most(np.array([2, 3], dtype), 2.5).tolist() == [True, False]


def test_conditions_compare_whole_numbers_exactly(tmp_path: Path) -> None:
    numbers = 2**53 + np.arange(4)
    x = np.arange(4.0) + np.array([0, 0, 100, 100])
    ds = xr.Dataset({"v": ("cell", x), "id": ("cell", numbers)})
    for data in (ds, tmp_path / "x.zarr"):
        ds.to_zarr(tmp_path / "x.zarr", mode="w", consolidated=False)
        for where, mean in (
            ({"equals": 2**53 + 1}, 1.0),
            ({"equals": [2**53 + 1, 2**53 + 3]}, 52.0),
            ({"not_equals": 2**53 + 1}, (0 + 102 + 103) / 3),
            ({"at_most": 2**53}, 0.0),
        ):
            rows = emdist.rows(data, "v", samples="cell", where={"variable": "id", **where})
            assert emdist.KMeans(1).fit(rows).cluster_centers_[0, 0] == pytest.approx(mean)


# --- one value of a coordinate -------------------------------------------------------------------


def test_a_value_is_found_as_xarray_finds_it_and_no_other_one() -> None:
    close = np.array([1e6, 1e6 + 0.25, 1e6 + 0.5])
    assert at(close, 1e6 + 0.25) == [1]
    with pytest.raises(
        ConfigError, match=r"no position .* has; the nearest are 1000000 and 1000000\.25"
    ):
        at(close, 1e6 + 0.125)
    assert at(np.array([0.0, 0.1, 0.2], "f4"), 0.1) == [1]
    assert at(np.array([0.0, 0.1, 0.2], "f4").astype("f8"), 0.1) == [1]
    assert at(np.arange(10) * 0.1, 0.3) == [3]
    assert at([0.0, np.nan, 5.0], 5) == [2]
    assert at([5.0], 5) == [0]
    assert at([10, 20], 10.0) == [0]
    assert at([True, False], False) == [1]
    assert at(np.array([b"B02", b"B03"]), "B03") == [1]
    assert at(np.array(["B02", "B03"], object), "B03") == [1]
    with pytest.raises(ConfigError, match="2 positions"):
        at([5.0, 5.0], 5)
    with pytest.raises(ConfigError, match="the nearest is 5"):
        at([np.nan, 5.0], 7)
    with pytest.raises(ConfigError, match="all of its values are missing"):
        at([np.nan, np.nan], 7)
    with pytest.raises(ConfigError, match=r"did you mean 'B02'.*its values are B02"):
        at(["B02", "B03"], "B2")
    with pytest.raises(ConfigError, match="values such as 'B02'"):
        at(["B02", "B03"], 2)
    with pytest.raises(ConfigError, match="values such as 1 days"):
        at(np.array([1], "m8[D]"), 1)
    hours = np.array([1, 2, 30], "m8[h]").astype("m8[ns]")
    assert at(hours, "2h") == at(hours, "2 hours") == at(hours, np.timedelta64(2, "h")) == [1]
    assert at(hours, ["1h", "1 days"]) == [0, 1]
    with pytest.raises(ShapeError, match="from 1 hours to 30 hours"):
        at(hours, ["2 days", None])
    with pytest.raises(ConfigError, match="with a value twice"):
        at([1.0, 2.0], {"values": [1, 1.0]})


def test_ranges_say_what_is_wrong_with_them() -> None:
    assert at([500.0, 10.0, 0.0], [5, 500]) == [0, 1]
    for values in ([500.0, 10.0, 0.0], [0, 10, 500]):
        with pytest.raises(ConfigError, match=r"ends are reversed.*\[5, 500\]"):
            at(values, [500, 5])
    with pytest.raises(ConfigError, match=r"ends are reversed.*\['2020', '2021-03'\]"):
        at(np.array(["2020-05-01", "2021-01-01"], "M8[ns]"), ["2021-03", "2020"])
    with pytest.raises(ShapeError, match="from 0 to 10"):
        at([0.0, np.nan, 10.0], [11, 12])
    with pytest.raises(ShapeError, match="all values of depth are missing"):
        at([np.nan, np.nan], [11, 12])
    with pytest.raises(ShapeError, match="from 2020-05-01 to 2021-01-01"):
        at(np.array(["2020-05-01", "NaT", "2021-01-01"], "M8[ns]"), ["2022", None])
    with pytest.raises(ConfigError, match=r"a range.*\{values: "):
        at(["B02", "B03"], ["B02", "B03"])
    assert at([0.0, np.nan, 10.0], [-np.inf, 3]) == [0]
    assert at(np.array([0.3], "f4"), [0.1, 0.3]) == [0]


@pytest.mark.parametrize(
    "choice",
    [
        {"index": "::0"},
        {"index": "²:"},
        {"index": "1"},
        {"index": [True, 0]},
        {"index": True},
        {"index": []},
        {"index": slice("a", None)},
        {"index": 1.5},
        {"values": []},
        {"values": "ab"},
        {"values": [None]},
        [1j, 2],
        [float("nan"), 2],
        [True, 2],
        float("nan"),
        1j,
        None,
        slice(0, 10, 2),
    ],
)
def test_what_is_no_selection_is_refused(choice: Any) -> None:
    with pytest.raises(ConfigError, match=r"data\.select for depth is .*expected a range"):
        layout(select={"depth": choice})


def test_selections_may_be_numbers_and_dates_of_other_libraries() -> None:
    import pandas as pd

    times = np.array(["2020-01-01", "2020-01-02", "2020-02-01"], "M8[ns]")
    texts = ("2020-01-02", "20200102", "2020-01-02T00:00:00Z")
    calendar = cftime.DatetimeGregorian(2020, 1, 2)
    for wanted in (times[1], pd.Timestamp("2020-01-02"), xr.DataArray(times)[1], calendar, *texts):
        assert at(times, wanted) == [1]
    for several in (times[[2, 0]], pd.DatetimeIndex(times[[2, 0]]), xr.DataArray(times[[2, 0]])):
        assert at(times, {"values": several}) == [2, 0]
    assert at(times, {"index": " 0 : 2 "}) == [0, 1]
    assert at(times, {"index": slice(np.int64(1), None)}) == [1, 2]
    assert at(times, {"index": np.array([2, 0])}) == [2, 0]
    assert at(times, {"index": "::-1"}) == [2, 1, 0]
    with pytest.raises(ConfigError, match="no date of the standard calendar"):
        at(times, "2020-02-30")


# --- other calendars -----------------------------------------------------------------------------


@pytest.mark.parametrize("calendar", ["360_day", "noleap"])
@pytest.mark.parametrize("form", ["path", "xarray"])
def test_times_of_other_calendars(calendar: str, form: str, tmp_path: Path) -> None:
    times = xr.date_range("2000-01-15", periods=36, freq="MS", calendar=calendar, use_cftime=True)
    v = np.random.default_rng(0).normal(size=(36, 20))
    ds = xr.Dataset({"tos": (("time", "cell"), v)}, coords={"time": times})
    ds.to_zarr(tmp_path / "x.zarr", consolidated=False)
    data = ds if form == "xarray" else tmp_path / "x.zarr"
    for select, named in (
        (["2000-03", "2001"], slice("2000-03", "2001")),
        ([2001, 2001], slice("2001", "2001")),
        (["2000-12-01", None], slice("2000-12-01", None)),
        ({"values": ["2000-03-01", "2000-02-01"]}, None),
    ):
        rows = emdist.rows(data, "tos", samples="cell", select={"time": select})
        km = emdist.KMeans(1).fit(rows)
        two = named if named is not None else times[[1, 0]]
        want = ds["tos"].sel(time=two)
        assert np.allclose(km.cluster_centers_[0], want.mean("cell").values)
        assert km.feature_names_in_.tolist() == [
            f"time={one.strftime('%Y-%m-%d')}" for one in want["time"].values
        ]
    first = emdist.rows(data, "tos", samples="cell", select={"time": "2000-02-01"})
    assert emdist.KMeans(1).fit(first).cluster_centers_[0, 0] == pytest.approx(v[0].mean())
    for choice, told in (
        ("2000-02-05", "the nearest are 2000-02-01 and 2000-03-01"),
        (["2004", None], "from 2000-02-01 to 2003-01-01"),
        (["2001", "2000"], "ends are reversed"),
        ("2000-02-31", "no date of the .* calendar"),
        (3.5, "values such as 2000-02-01"),
    ):
        with pytest.raises(EmdistError, match=told):
            emdist.KMeans(1).fit(emdist.rows(data, "tos", samples="cell", select={"time": choice}))


def test_a_day_that_only_one_calendar_has() -> None:
    days = [cftime.Datetime360Day(2000, 2, 30, hour) for hour in (0, 12)]
    assert at(np.array(days), ["2000-02-30", "2000-02-30"]) == [0, 1]
    assert at(np.array(days), "2000-02-30T12") == [1]
    assert at(np.array(days), days[1]) == [1]
    with pytest.raises(ConfigError, match="no date of the noleap calendar"):
        at(np.array([cftime.DatetimeNoLeap(2000, 3, 1)]), ["2000-02-29", None])


# --- sizes ---------------------------------------------------------------------------------------


def test_edges_within_chunks_are_counted_without_a_loop() -> None:
    rng = np.random.default_rng(0)
    for first, step, count, unit in rng.integers([0, 1, 1, 1], [50, 40, 60, 40], (500, 4)).tolist():
        edges = [first + i * step for i in range(1, count)]
        assert cuts_within(first, step, count, unit) == sum(edge % unit > 0 for edge in edges)
    assert cuts_within(3, 7, 10**12, 10**6) > 10**11


def test_dimensions_without_positions_and_other_sizes_are_told(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "x.zarr")
    dims = ("cell", "depth")
    group.create_array("v", shape=(4, 3), dtype="f8", dimension_names=dims)[:] = 1.0
    group.create_array("depth", shape=(2,), dtype="f8", dimension_names=("depth",))[:] = 1.0
    group.create_array("none", shape=(4, 0), dtype="f8", dimension_names=dims)
    with pytest.raises(ConfigError, match="depth has 2 values, and the dimension 3 positions"):
        stored_source(reference(group), layout("v", "cell", select={"depth": 1}))
    with pytest.raises(ShapeError, match="depth has the size 0"):
        stored_source(reference(group), layout("none", "cell", select={"depth": [0, 1]}))
