"""`data.select_rows`: runs of some rows of data that grow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from numpy.typing import NDArray

import emdist
from emdist.composition.make import make_source
from emdist.errors import ConfigError, RunMismatchError, ShapeError
from emdist.jobs.job import Job
from emdist.jobs.label import label_data
from emdist.jobs.repeat import repeat, repetition
from emdist.jobs.run import open_job
from emdist.settings.config import DataSection, NewDataSection, make_config
from emdist.store.places.location import Location
from tests.store.test_from import complete, values


def stored(path: Path, rows: NDArray[Any], chunk: int = 100) -> Path:
    zarr.create_array(path, data=rows, chunks=(chunk, rows.shape[1]))
    return path


def grow(path: Path, rows: NDArray[Any]) -> None:
    zarr.open_array(path, mode="r+").append(rows)


def rows_of(n: int, seed: int = 0) -> NDArray[Any]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 2)) + 6.0 * rng.integers(0, 3, (n, 1))


def read(section: DataSection) -> tuple[NDArray[Any], NDArray[Any]]:
    source = make_source(section)
    blocks = [source.read(i) for i in range(len(source))]
    return np.concatenate([b.x for b in blocks]), np.concatenate([b.rows() for b in blocks])


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [("250:", 250, 700), (":250", 0, 250), ("100:350", 100, 350), ("-50:", 650, 700), (":", 0, 700),
     ("600:9999", 600, 700)],
)  # fmt: skip
@pytest.mark.parametrize("block", [None, "1600 B"])
def test_rows_are_those_of_a_slice(
    text: str, first: int, last: int, block: str | None, tmp_path: Path
) -> None:
    x = rows_of(700)
    path = stored(tmp_path / "x.zarr", x)
    found, numbers = read(DataSection(path=str(path), select_rows=text, block_size=block))
    assert (found == x[first:last]).all()
    assert numbers.tolist() == list(range(last - first))  # within the selection, as for `select`


def test_a_message_names_the_place_in_the_array(tmp_path: Path) -> None:
    x = rows_of(700)
    x[543, 1] = np.nan
    path = stored(tmp_path / "x.zarr", x)
    config = values(path, tmp_path, "r", data={"select_rows": "500:"})
    with pytest.raises(emdist.errors.NonFiniteError, match=r"row 43 \(dim_0 543\)"):
        complete(config)


def test_wrong_rows_are_refused(tmp_path: Path) -> None:
    path = stored(tmp_path / "x.zarr", rows_of(300))
    for text, error, match in (
        ("a:b", ConfigError, "expected rows such as '500000:'"),
        ("1:2:3", ConfigError, "expected rows such as"),
        ("400:", ShapeError, "empty: dim_0 has 300"),
        ("new", ConfigError, "Set labels.path"),
    ):
        with pytest.raises(error, match=match):
            complete(values(path, tmp_path, "r", data={"select_rows": text}))
    both = {"select_rows": "10:", "samples": ["dim_0"], "select": {"dim_0": {"index": "5:"}}}
    with pytest.raises(ConfigError, match=r"data\.select_rows and data\.select both"):
        complete(values(path, tmp_path, "r", data=both))


def test_weights_go_along(tmp_path: Path) -> None:
    x = rows_of(400)
    path = stored(tmp_path / "x.zarr", x)
    w = np.random.default_rng(1).random(400)
    zarr.create_array(tmp_path / "w.zarr", data=w, chunks=(100,))
    where = {"select_rows": "150:300", "weights": str(tmp_path / "w.zarr")}
    complete(values(path, tmp_path, "r", data=where))
    wanted = emdist.GaussianMixture(3, random_state=0).fit(x[150:300], sample_weight=w[150:300])
    assert emdist.load(tmp_path / "r").means_ == pytest.approx(wanted.means_, rel=1e-9)


def test_a_finished_run_stands_when_the_data_grow(tmp_path: Path) -> None:
    x = rows_of(600)
    path = stored(tmp_path / "x.zarr", x)
    config = values(path, tmp_path, "r", data={"select_rows": ":500"})
    found, _ = complete(config)
    written = (tmp_path / "r/final/model.safetensors").stat().st_mtime_ns
    grow(path, rows_of(250, 1))
    assert complete(config)[0] == json.loads(json.dumps(found))
    assert (tmp_path / "r/final/model.safetensors").stat().st_mtime_ns == written
    zarr.open_array(path, mode="r+")[7] = 99.0
    with pytest.raises(RunMismatchError):
        complete(config)


def test_an_open_end_is_where_the_run_began(tmp_path: Path) -> None:
    x = rows_of(600)
    path = stored(tmp_path / "x.zarr", x)
    often = {"folder": str(tmp_path), "key": "r", "checkpoint_iterations": 1}
    fit = {"tol": 0.0, "max_iter": 6}
    config = values(path, tmp_path, "r", data={"select_rows": "200:"}, run=often, fit=fit)
    with open_job(make_config(config)) as job:
        assert isinstance(job, Job)
        job.survey()
        job.segment()
    grow(path, rows_of(300, 1))
    found, heard = complete(config)
    assert found["data"]["rows"] == 400
    (told,) = (one for one in heard if "by now" in one)
    assert "reads the rows 200:600" in told
    assert "900 rows by now" in told
    assert json.loads((tmp_path / "r/run.json").read_text())["rows"] == "200:600"
    wanted = values(path, tmp_path, "w", data={"select_rows": "200:600"}, fit=fit)
    complete(wanted)
    files = [(tmp_path / key / "final/model.safetensors").read_bytes() for key in "rw"]
    assert files[0] == files[1]
    again = repetition(Location(str(tmp_path / "r")), {})
    assert repeat(Location(str(tmp_path / "r")), again)["same_bits"]


def test_a_grown_array_says_how_to_go_on(tmp_path: Path) -> None:
    path = stored(tmp_path / "x.zarr", rows_of(600))
    complete(values(path, tmp_path, "r"))
    grow(path, rows_of(100, 1))
    with pytest.raises(RunMismatchError) as refused:
        complete(values(path, tmp_path, "r"))
    told = str(refused.value)
    assert "grown from 600 to 700 rows" in told
    assert "data.select_rows to ':600'" in told
    assert "fit.from" in told
    # And so it goes on.
    before = emdist.load(tmp_path / "r")
    complete(values(path, tmp_path, "same", data={"select_rows": ":600"}))
    assert emdist.load(tmp_path / "same").means_ == pytest.approx(before.means_, rel=1e-6)
    found, _ = complete(values(path, tmp_path, "on", tmp_path / "r", data={"select_rows": "600:"}))
    assert found["data"]["rows"] == 100


def test_rows_of_a_grid_are_positions_of_its_first_dimension(tmp_path: Path) -> None:
    values_ = np.random.default_rng(0).normal(size=(12, 5, 2)) + np.array([0.0, 4.0])
    times = np.arange(12) + 100
    ds = xr.Dataset({"t": (("time", "x", "band"), values_)}, coords={"time": times})
    ds.to_zarr(tmp_path / "g.zarr", zarr_format=3, encoding={"t": {"chunks": (3, 5, 2)}})
    grid = {"features": ["band"], "select_rows": "6:"}
    path = tmp_path / "g.zarr"
    found, numbers = read(DataSection(path=str(path), **grid))
    assert (found == values_[6:].reshape(-1, 2)).all()
    assert numbers.tolist() == list(range(30))
    config = values(path, tmp_path, "r", data=grid, model={"n_components": 2})
    complete(config)
    labels = emdist.open_labels(tmp_path / "r")["labels"]
    assert labels.dims == ("time", "x")
    assert labels.time.values.tolist() == times[6:].tolist()
    more = ds.assign_coords(time=times + 12)
    more.to_zarr(path, append_dim="time")
    assert "by now" in complete(config)[1][-1]


def test_new_rows_are_those_without_labels(tmp_path: Path) -> None:
    x = rows_of(600)
    path = stored(tmp_path / "x.zarr", x)
    complete(values(path, tmp_path, "r"))
    labels = tmp_path / "labels.zarr"
    label_data(Location(str(tmp_path / "r")), NewDataSection(path=str(path)), Location(str(labels)))
    new = {"data": {"select_rows": "new"}, "labels": {"path": str(labels), "write": False}}
    with pytest.raises(ShapeError, match=r"no new rows: the data have 600"):
        complete(values(path, tmp_path, "n", tmp_path / "r", **new))
    grow(path, rows_of(150, 1))
    found, _ = complete(values(path, tmp_path, "n", tmp_path / "r", **new))
    assert found["data"]["rows"] == 150
    assert json.loads((tmp_path / "n/run.json").read_text())["rows"] == "600:750"
    with pytest.raises(ConfigError, match=r"Set labels\.write to"):
        complete(values(path, tmp_path, "m", data={"select_rows": "new"},
                        labels={"path": str(labels)}))  # fmt: skip
