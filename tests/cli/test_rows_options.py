"""Options about variables with named dimensions: what they mean, and advice on mistakes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

from tests.support.command_line import Command

FIT = ("-k", 2, "--run", "run")


@pytest.fixture
def ocean(tmp_path: Path) -> str:
    """TEMP and PSAL on (time, depth, lat), of which one half is land; the area of each latitude."""
    rng = np.random.default_rng(0)
    times = np.datetime64("2020-01-01", "ns") + np.timedelta64(12, "h") * np.arange(6)
    dims = ("time", "depth", "lat")
    grid = xr.Dataset(
        {name: (dims, rng.normal(size=(6, 3, 8))) for name in ("TEMP", "PSAL")},
        coords={"time": times, "depth": [0.0, 10.0, 500.0], "lat": np.linspace(-70, 70, 8)},
    )
    grid["land"] = "lat", np.arange(8) % 2
    grid["area"] = "lat", np.cos(np.radians(grid.lat.values))
    grid.to_zarr(tmp_path / "ocean.zarr", consolidated=False)
    return "ocean.zarr"


@pytest.mark.parametrize(
    ("options", "rows", "features"),
    [
        (("--select", "time=2020-01-02T12:00"), 8, 6),
        (("--select", "time=2020-01-01T00:00..2020-01-02T12:00"), 32, 6),
        (("--select", "time=2020-01-01T00:00:2020-01-02T12:00"), 32, 6),
        (("--select", "time=2020:2023"), 48, 6),
        (("--select", "depth=0:10"), 48, 4),
        (("--select", "depth=:10", "--select", "lat=-60:-30"), 12, 4),
        (("--select", "depth=index:0:1"), 48, 2),
        (("--select", "depth=values:0,500"), 48, 4),
        (("--where", "land == 0"), 24, 6),
        (("--where", "land < 1"), 24, 6),
        (("--where", "land > 0", "--where", "area != 0"), 24, 6),
    ],
)
def test_selections_and_conditions(
    emdist: Command, ocean: str, options: tuple[str, ...], rows: int, features: int
) -> None:
    layout = ("--variables", "TEMP,PSAL", "--features", "depth")
    assert emdist("fit", ocean, *layout, *options, *FIT).code == 0
    summary = json.loads(Path("run/summary.json").read_text())
    counted = sum(one["labelled"] for one in summary["components"])
    assert (counted, summary["data"]["features"]) == (rows, features)


def test_a_dimension_is_selected_once(emdist: Command, ocean: str) -> None:
    found = emdist("fit", ocean, "--select", "depth=0", "--select", "depth=10", *FIT)
    assert found.code == 2
    assert "--select names depth twice" in found.err


def test_weights_may_name_a_variable(emdist: Command, ocean: str) -> None:
    layout = ("--variables", "TEMP,PSAL", "--features", "depth")
    wrong = emdist("fit", ocean, *layout, "--weights", "aera", *FIT)
    assert wrong.code == 3
    assert "ocean.zarr has no such variable (did you mean 'area'?)" in wrong.err
    assert "Write ./aera for the path of an array" in wrong.err
    assert emdist("fit", ocean, *layout, "--weights", "area", *FIT).code == 0
    record = json.loads(Path("run/run.json").read_text())
    assert record["config"]["data"]["weights"] == "area"
    assert "name of a variable" in " ".join(emdist("fit", "--help").out.replace("│", "").split())


def test_the_only_variable_of_a_group_is_taken(emdist: Command, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(40, 3))
    grid = xr.Dataset({"cells": (("cell", "gene"), x)})
    grid.to_zarr(tmp_path / "one.zarr", consolidated=False)
    assert emdist("fit", "one.zarr", *FIT).code == 0
    assert json.loads(Path("run/summary.json").read_text())["data"]["features"] == 3


def test_variables_that_can_be_taken_are_listed(emdist: Command, ocean: str) -> None:
    found = emdist("fit", ocean, *FIT)
    assert found.code == 2
    assert "PSAL (time 6, depth 3, lat 8), TEMP (time 6, depth 3, lat 8)" in found.err
    assert "Say which of them are features, in --variables" in found.err


def test_a_group_in_a_zip_file_is_described_like_one_in_a_folder(
    emdist: Command, ocean: str
) -> None:
    shutil.make_archive("ocean", "zip", ocean)
    folder, file = emdist("inspect", ocean), emdist("inspect", "ocean.zip")
    assert file.code == folder.code == 0
    assert file.out == folder.out.replace("ocean.zarr", "ocean.zip")
    assert "lat 8 in chunks of 8" in file.out


@pytest.mark.parametrize("command", ["fit", "sweep"])
def test_rows_that_end_above_the_deepest_level_are_left_out(
    emdist: Command, tmp_path: Path, command: str
) -> None:
    x = np.random.default_rng(0).normal(size=(60, 3))
    x[5:8, 2] = np.nan
    zarr.create_array(tmp_path / "x.zarr", data=x, chunks=(30, 3))
    refused = emdist(command, "x.zarr", *FIT)
    assert refused.code == 3
    assert "pass --non-finite='drop' to leave these rows out" in refused.err
    assert emdist(command, "x.zarr", *FIT, "--non-finite", "drop").code == 0
    labels = zarr.open_array("run/labels.zarr/labels")[:]
    assert np.flatnonzero(labels < 0).tolist() == [5, 6, 7]
    assert emdist("label", "run", "x.zarr", "new.zarr", "--non-finite", "raise").code == 3
    wrong = emdist(command, "x.zarr", *FIT, "--non-finite", "skip")
    assert wrong.code == 2
    assert "--non-finite: expected 'raise', 'drop' or 'missing', got 'skip'" in wrong.err


def test_a_checkpoint_of_several_restarts_says_so(emdist: Command, ocean: str) -> None:
    layout = ("--variables", "TEMP,PSAL", "--features", "depth", "--n-init", 3)
    done = emdist("fit", ocean, *layout, *FIT)
    assert " iterations of 3 restarts together, saved in " in done.err
    assert " iterations of 3 restarts together" in emdist("inspect", "run").out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("fit", "--colums", 3), "No such option: --colums"),
        (("fit", "--sede", 3), "No such option: --sede (Possible options: --seed)"),
        (("ingest", "--colums", 3), "(Possible options: --column)"),
        (("flow", "cluster", "--overwrit"), "No such option: --overwrit"),
    ],
)
def test_only_options_with_a_like_name_are_suggested(
    emdist: Command, words: tuple[str, ...], told: str
) -> None:
    found = emdist(*words)
    assert found.code == 2
    assert told in found.err
    assert "--tol" not in found.err


def test_the_printed_configuration_of_rows_fits_and_sweeps(emdist: Command, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    warm = np.where(np.arange(12) < 6, 10.0, 0.0)
    dims = ("time", "depth", "lat", "lon")
    grid = xr.Dataset(
        {name: (dims, rng.normal(size=(4, 6, 12, 9)) + warm[:, None]) for name in ("TEMP", "PSAL")}
    )
    grid["land"] = ("lat", "lon"), (rng.random((12, 9)) < 0.2).astype("i1")
    grid.land[3, 4] = 0
    grid.TEMP[:, -1, 3, 4] = np.nan
    grid.to_zarr(tmp_path / "ocean.zarr", consolidated=False)
    Path("rows.yaml").write_text(emdist("config", "rows").out)
    done = emdist("fit", "-f", "rows.yaml", "-k", 2, "--run", "run")
    assert done.code == 0, done.err
    summary = json.loads(Path("run/summary.json").read_text())
    sea = int((grid.land == 0).sum())
    assert sum(one["labelled"] for one in summary["components"]) == 4 * (sea - 1)
    swept = emdist("sweep", "-f", "rows.yaml", "-k", "1..3", "--run", "swept")
    assert swept.code == 0, swept.err
    text = Path("rows.yaml").read_text().replace("# sweep: #", "sweep: #")
    text = text.replace("#   n_components: 2..12", "  n_components: 1..2")
    Path("both.yaml").write_text(text.replace("#   criterion", "  criterion"))
    assert emdist("sweep", "-f", "both.yaml", "--run", "both").code == 0
