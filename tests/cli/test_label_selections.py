"""`emdist label --select`: what it replaces of the selection that a model was fitted to."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import xarray as xr

import emdist as package
from tests.support.command_line import Command


def test_the_advice_about_a_saved_selection_works(emdist: Command, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ds = xr.Dataset(
        {"T": (("t", "y"), rng.normal(size=(30, 3)))}, {"t": np.arange(30.0), "y": [1.0, 2.0, 3.0]}
    )
    ds.to_zarr("old.zarr", consolidated=False)
    ds.assign_coords(t=ds["t"] + 500).to_zarr("new.zarr", consolidated=False)
    select = ("--select", "t=0:9", "--select", "y=1:2")
    done = emdist("fit", "old.zarr", "--features", "y", *select, "-k", 2, "--run", "runs/r")
    assert done.code == 0, done.err
    refused = emdist("label", "runs/r", "new.zarr", "labels.zarr")
    assert refused.code == 3
    told = " ".join(refused.err.split())
    assert "--select for t is [0, 9], but no value of t lies there" in told
    advice = re.search(r"To read all of t, pass (--select \S+=:)\.", told)
    assert advice is not None, told
    done = emdist("label", "runs/r", "new.zarr", "labels.zarr", *shlex.split(advice[1]))
    assert done.code == 0, done.err
    assert xr.open_zarr("labels.zarr").labels.sizes == {"t": 30}


def test_a_selection_of_the_fit_that_leaves_out_rows_is_told(
    emdist: Command, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    ds = xr.Dataset(
        {"T": (("t", "s", "y"), rng.normal(size=(30, 4, 3)))},
        {"t": np.arange(30.0), "s": np.arange(4), "y": [1.0, 2.0, 3.0]},
    )
    ds.to_zarr("x.zarr", consolidated=False)
    select = ("--select", "t=0:9", "--select", "s=index:1:3", "--select", "y=1:2")
    done = emdist("fit", "x.zarr", "--features", "y", *select, "-k", 2, "--run", "runs/r")
    assert done.code == 0, done.err
    assert "selection of the fit" not in done.err
    done = emdist("label", "runs/r", "x.zarr", "part.zarr")
    assert done.code == 0, done.err
    told = " ".join(done.err.split())
    found = "the selection of the fit: t from 0 to 9, s at index 1:3; 20 of 120 rows."
    assert found in told
    advice = re.search(r"To label all, pass (--select .*=:)\. ", told)
    assert advice is not None, told
    for more, size in ((("--select", "t=5:6"), {"t": 2, "s": 2}),
                       (shlex.split(advice[1]), {"t": 30, "s": 4})):  # fmt: skip
        done = emdist("label", "runs/r", "x.zarr", f"{size['t']}.zarr", *more)
        assert done.code == 0, done.err
        assert xr.open_zarr(f"{size['t']}.zarr").labels.sizes == size
        # A selection that was given is not that of the fit.
        assert ("selection of the fit: s at index" in done.err) == (size["s"] == 2)
        assert "t from 0" not in done.err


def test_inspect_shows_how_the_data_of_a_model_were_read(emdist: Command, tmp_path: Path) -> None:
    ds = xr.Dataset({"T": (("t", "y"), np.random.default_rng(0).normal(size=(30, 3)))})
    ds["land"] = ("t", np.arange(30) % 2)
    ds.to_zarr("x.zarr", consolidated=False)
    rows = package.rows(
        "x.zarr", "T", features="y", select={"t": {"index": "0:20"}},
        where={"variable": "land", "equals": 0},
    )  # fmt: skip
    package.KMeans(2, random_state=0, non_finite="drop").fit(rows).save("model")
    seen = emdist("inspect", "model")
    assert seen.code == 0
    for line in (
        "config.data.non_finite | drop", "config.data.variables | T", "config.data.features | y",
        "config.data.select.t.index | 0:20", "land",
    ):  # fmt: skip
        assert line in seen.out, seen.out
    assert "config.data.samples" not in seen.out
    full = emdist("inspect", "model", "--full").out
    assert "config.data.samples | default: All dimensions" in full
    # A saved model knows neither the path of its data nor their weights.
    assert "data.path" not in full
    assert "data.weights" not in full
    found = json.loads(emdist("inspect", "model", "--json").out)
    assert found["config"]["data"]["where"] == [{"variable": "land", "equals": 0}]
