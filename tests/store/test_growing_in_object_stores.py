"""Data, labels and runs that grow in an object store, which is a server on this machine."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import emdist
from emdist.jobs.label import label_data
from emdist.settings.config import NewDataSection
from emdist.store.labels.check import is_labelled
from emdist.store.places.location import Location, open_zarr_store
from tests.store.test_from import complete
from tests.store.test_row_ranges import rows_of
from tests.support.faulty_s3 import S3, serving

ROWS = rows_of(900, 2)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    logging.getLogger("werkzeug").setLevel("ERROR")
    with serving() as server:
        yield server


def stored(s3: S3, name: str, rows: Any) -> dict[str, Any]:
    place = Location(s3.url(name), s3.options())
    zarr.create_array(open_zarr_store(place, read_only=False), data=rows, chunks=(100, 2))
    return {"path": s3.url(name), "storage_options": s3.options()}


def grow(s3: S3, name: str, rows: Any) -> None:
    store = open_zarr_store(Location(s3.url(name), s3.options()), read_only=False)
    zarr.open_array(store, mode="r+").append(rows)


def test_labels_grow(s3: S3, tmp_path: Path) -> None:
    model = emdist.GaussianMixture(3, random_state=0).fit(ROWS)
    model.save(tmp_path / "m")
    data = NewDataSection(**stored(s3, "x.zarr", ROWS[:450]), block_size="3200 B")
    out = Location(s3.url("labels"), s3.options())
    for rows in (450, 700):
        found = label_data(Location(str(tmp_path / "m")), data, out, append=True)
        assert found["rows"] == rows
        assert is_labelled(out)
        labels = zarr.open_group(open_zarr_store(out), mode="r")["labels"]
        assert np.asarray(labels[...]).tolist() == model.predict(ROWS[:rows]).tolist()
        grow(s3, "x.zarr", ROWS[450:700])


def test_runs_start_from_the_latest(s3: S3) -> None:
    data = stored(s3, "y.zarr", ROWS[:500])

    def config(key: str, rows: str, start: str | None) -> dict[str, Any]:
        return {
            "data": {**data, "select_rows": rows},
            "model": {"name": "full", "n_components": 3},
            "fit": {"from": start},
            "run": {"folder": s3.url("runs"), "key": key, "storage_options": s3.options()},
        }

    complete(config("a", ":500", None))
    grow(s3, "y.zarr", ROWS[500:])
    found, _ = complete(config("b", "500:", "latest"))
    drift = found["result"]["drift"]
    assert drift["from"] == s3.url("runs/a")
    assert max(drift["moved"]) < 0.2
    assert found["data"]["rows"] == 400
    assert complete(config("a", ":500", None))[0]["run"] == s3.url("runs/a")
