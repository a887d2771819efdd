"""The code and the commands of docs/ocean.md and docs/raster.md, on data made as they say."""

from __future__ import annotations

import ast
import shlex
import warnings
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr

from benchmarks.stories import code_of
from benchmarks.story_data import BANDS, ocean, scene
from emdist import open_labels
from tests.support.command_line import Command
from tests.support.documented_commands import lines_of
from tests.support.paths import ROOT

mpl.use("Agg")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(page: str) -> dict[str, Any]:
    """Run the code of a page; its last line draws a map."""
    code = code_of(page)
    said = [one for one in ast.parse(code).body if not isinstance(one, ast.Import | ast.ImportFrom)]
    assert len(said) <= 5
    known: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the best k of so few rows may be the largest
        exec(code, known)
    return known


def command_of(page: str) -> list[str]:
    """Return the arguments of the command that a page shows as a whole."""
    (line,) = (one for one in lines_of(ROOT / "docs" / f"{page}.md") if one.whole)
    return shlex.split(" ".join(map(shlex.quote, line.words[1:])))


@pytest.mark.newest
def test_water_masses_in_five_lines(folder: Path) -> None:
    ocean("ocean.zarr", times=2, lats=24, lons=40)
    known = run("ocean")
    best, rows = known["best"], known["rows"]
    labels = open_labels("classes.zarr")
    land = xr.open_zarr("ocean.zarr", consolidated=False)["land"].values == 1
    assert labels.labels.dims == ("time", "lat", "lon")
    assert labels.lat.attrs["units"] == "degrees_north"
    found = labels.labels.values
    assert (found[:, land] == -1).all()
    assert np.array_equal(found[:, ~land], best.predict(rows).values[:, ~land])
    assert best.means_.shape == (best.n_components, 8)
    sure = labels.max_posterior.values[:, ~land]
    assert ((sure > 1 / best.n_components) & (sure <= 1)).all()


@pytest.mark.long
def test_water_masses_by_one_command(folder: Path, emdist: Command) -> None:
    ocean("ocean.zarr", times=2, lats=24, lons=40)
    done = emdist(*command_of("ocean"))
    assert done.code == 0, done.err
    assert "bic" in done.out.lower()


@pytest.mark.newest
@pytest.mark.newest_short
def test_land_cover_in_five_lines(folder: Path) -> None:
    scene("scene.zarr", size=90)
    km = run("raster")["km"]
    assert tuple(km.feature_names_in_) == BANDS
    cover = open_labels("cover.zarr")
    bands = xr.open_zarr("scene.zarr", consolidated=False)
    nothing = np.isnan(bands["B02"].values)
    assert nothing.any()
    assert np.array_equal(cover.labels.values == -1, nothing)
    assert np.array_equal(cover.x, bands.x)
    assert cover.labels.attrs["grid_mapping"] == "spatial_ref"
    assert cover.spatial_ref.attrs["spatial_ref"] == "EPSG:32632"
    x = np.stack([bands[name].values[~nothing] for name in BANDS], -1)
    near = ((x[:, None] - km.cluster_centers_) ** 2).sum(-1).argmin(1)
    assert (near == cover.labels.values[~nothing]).mean() > 0.999


@pytest.mark.newest
@pytest.mark.newest_short
def test_land_cover_by_one_command(folder: Path, emdist: Command) -> None:
    scene("scene.zarr", size=90)
    done = emdist(*command_of("raster"))
    assert done.code == 0, done.err
    found = xr.open_zarr("runs/scene/labels.zarr")
    assert found.labels.dims == ("y", "x")
