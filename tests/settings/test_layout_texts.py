"""Selections and conditions as texts: those of the command line, and natural mistakes elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

import emdist
from emdist import KMeans
from emdist.errors import ConfigError
from emdist.inputs.layout_texts import condition_of, selection_of
from emdist.settings.config import make_config


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("depth=10", 10),
        ("depth=0:500", [0, 500]),
        ("depth = 0 : 500", [0, 500]),
        ("depth=0..500", [0, 500]),
        ("depth=:", [None, None]),
        ("time=..", [None, None]),
        ("depth=:500", [None, 500]),
        ("depth=10.5:", [10.5, None]),
        ("lat=-60:-30", [-60, -30]),
        ("time=2020:2023", [2020, 2023]),
        ("time=2020-01:2020-03", ["2020-01", "2020-03"]),
        ("time=2020-01-02T12:00", "2020-01-02T12:00"),
        ("time=2020-01-02 12:00:30.5", "2020-01-02 12:00:30.5"),
        ("time=2020-01-01T00:00..2020-01-02T12:00", ["2020-01-01T00:00", "2020-01-02T12:00"]),
        ("time=2020-01-01T00:00:2020-01-02T12:00", ["2020-01-01T00:00", "2020-01-02T12:00"]),
        ("time=2020-01-01T00:00:2021", ["2020-01-01T00:00", 2021]),
        ("time=:2020-01-02T12:00Z", [None, "2020-01-02T12:00Z"]),
        ("depth=values:10,500", {"values": [10, 500]}),
        ("depth=index:3", {"index": 3}),
        ("depth=index:3,0", {"index": [3, 0]}),
        ("depth=index:0:10", {"index": "0:10"}),
        ("depth=index:0:10:2", {"index": "0:10:2"}),
        ("basin=north", "north"),
    ],
)
def test_selections_are_read_as_meant(text: str, value: Any) -> None:
    assert selection_of(text)[1] == value


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("depth", "expected DIM=LOW:HIGH"),
        ("depth>=3", "Conditions on variables belong to data.where"),
        ("time=12:00", r"time=12\.\.00 for a range, .* time=2020-01-02T12:00"),
        ("depth=1:2:3", "Only positions have steps, as in depth=index:0:10:2"),
        ("depth=10,500", "depth=values:10,500, a range is depth=10:500"),
        ("depth=index:a", "whole numbers from 0"),
    ],
)
def test_selections_that_can_be_misread_are_asked_back(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        selection_of(text)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("landmask=0", {"variable": "landmask", "equals": 0}),
        ("landmask == 0", {"variable": "landmask", "equals": 0}),
        ("bottom != 0,1", {"variable": "bottom", "not_equals": [0, 1]}),
        ("quality>=2", {"variable": "quality", "at_least": 2}),
        ("quality <= -2.5", {"variable": "quality", "at_most": -2.5}),
        ("bottom < 500", {"variable": "bottom", "below": 500}),
        ("bottom>1e3", {"variable": "bottom", "above": 1000.0}),
        ("is_sea = true", {"variable": "is_sea", "equals": True}),
    ],
)
def test_conditions_are_read_as_meant(text: str, condition: dict[str, Any]) -> None:
    assert condition_of(text) == condition


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("landmask", "expected a variable, one of !=, >=, <=, ==, =, <, > and a number"),
        ("0 < depth", "The variable comes first, then the number"),
        ("0<=depth<=3", "Several conditions are given one by one"),
        ("quality > 1,2", "expected one number behind >"),
        ("time>=2020-01-01", "'2020-01-01' is not a number. A range of times"),
    ],
)
def test_conditions_that_are_none_are_refused(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        condition_of(text)


@pytest.mark.parametrize(
    ("key", "value", "yaml", "python"),
    [
        (
            "where",
            "land = 0",
            "where: {variable: land, equals: 0}",
            "where={'variable': 'land', 'equals': 0}",
        ),
        (
            "where",
            {"land": 0},
            "where: {variable: land, equals: 0}",
            "where={'variable': 'land', 'equals': 0}",
        ),
        ("where", "land", "something like where: {variable: landmask, equals: 0}", "something"),
        ("select", "depth=:500", "select: {depth: [null, 500]}", "select={'depth': [None, 500]}"),
        ("select", {"depth": "0:500"}, "select: {depth: [0, 500]}", "select={'depth': [0, 500]}"),
        ("variables", "TEMP, PSAL", "variables: [TEMP, PSAL]", "variables=['TEMP', 'PSAL']"),
        ("samples", "lat,lon", "samples: [lat, lon]", "samples=['lat', 'lon']"),
    ],
)
def test_what_a_command_line_takes_is_corrected_elsewhere(
    key: str, value: Any, yaml: str, python: str
) -> None:
    with pytest.raises(ConfigError) as in_file:
        make_config({"data": {"path": "x.zarr", key: value}}, "a.yaml")
    assert f"data.{key}: expected {yaml}" in str(in_file.value)
    with pytest.raises(ConfigError) as in_python:
        emdist.rows("x.zarr", **{key: value})
    assert f"{key} of emdist.rows is " in str(in_python.value)
    assert f"expected {python}" in str(in_python.value)


def test_texts_that_are_values_stay_values() -> None:
    made = emdist.rows("x.zarr", "TEMP", select={"basin": "a:b", "time": "2020-01-02T12:00"})
    assert dict(made.layout.select) == {"basin": "a:b", "time": "2020-01-02T12:00"}


def test_a_condition_computed_by_xarray_becomes_a_variable_of_its_own() -> None:
    rng = np.random.default_rng(0)
    ds = xr.Dataset(
        {"a": (("x", "y"), rng.normal(size=(8, 9))), "b": (("x", "y"), rng.normal(size=(8, 9)))}
    )
    ds["quality"] = ("x", "y"), rng.integers(0, 5, size=(8, 9))
    condition = ds.quality < 3
    with pytest.raises(ConfigError, match=r"data\.assign\(keep=condition\).*'keep'"):
        emdist.rows(ds, ["a", "b"], where=condition)
    found = KMeans(2, random_state=0).fit(
        emdist.rows(
            ds.assign(keep=condition), ["a", "b"], where={"variable": "keep", "equals": True}
        )
    )
    own = KMeans(2, random_state=0).fit(
        emdist.rows(ds, ["a", "b"], where={"variable": "quality", "below": 3})
    )
    assert np.array_equal(found.cluster_centers_, own.cluster_centers_)
    left_out = own.predict(emdist.rows(ds, ["a", "b"], where={"variable": "quality", "above": 1}))
    assert np.array_equal(left_out.values == -1, ds.quality.values <= 1)
