"""Runs in a bucket: one listing, small reads, deletions in few requests."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from emdist.errors import RunError, StorageError
from emdist.jobs.forecast import forecast_of
from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.jobs.runs.comparing import compare_runs
from emdist.jobs.runs.listing import list_runs, look_at
from emdist.jobs.runs.removal import KeptParts, removal_of, remove
from emdist.settings.config import make_config
from emdist.store.places.files import open_folder
from emdist.store.places.location import Location, open_zarr_store
from tests.support.faulty_s3 import S3, Plan, serving


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    logging.getLogger("werkzeug").setLevel("ERROR")
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def _quiet(s3: S3) -> Iterator[None]:
    s3.plan = Plan()
    yield
    s3.plan = Plan()


def place(s3: S3, name: str) -> Location:
    return Location(s3.url(name), s3.options(timeout="20s"))


def finished(s3: S3, data: Path, folder: str, key: str) -> Location:
    options = s3.options(timeout="20s")
    values: dict[str, Any] = {
        "data": {"path": str(data)},
        "model": {"n_components": 2},
        "cluster": {"kind": "threads", "threads": 1},
        "run": {"folder": s3.url(folder), "key": key, "storage_options": options},
    }
    with open_job(make_config(values)) as job:
        assert isinstance(job, Job)
        job.complete()
    return place(s3, f"{folder}/{key}")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "x.zarr"
    x = np.random.default_rng(0).normal(size=(40, 2))
    zarr.create_array(path, shape=x.shape, chunks=(1, 2), dtype="f8")[:] = x
    return path


def test_runs_in_a_bucket_are_listed_by_one_listing_and_small_reads(s3: S3, data: Path) -> None:
    for key in ("a", "b c"):
        finished(s3, data, "many", key)
    open_folder(place(s3, "many")).write("notes/x.txt", b"x")
    s3.plan = Plan()
    found, others = list_runs(place(s3, "many"))
    assert {one.key: one.state for one in found} == {"a": "finished", "b c": "finished"}
    assert others == 1
    asked = [what for what, n in s3.plan.asked.items() for _ in range(n)]
    listings = [what for what in asked if "list-type" in what or "prefix=" in what]
    assert len(listings) == 1
    # Of each run: its record, its owner and its summary.
    assert len(asked) <= 1 + 2 * 3
    assert not [what for what in asked if "safetensors" in what]
    assert [one.key for one in list_runs(place(s3, "many/a"))[0]] == ["a"]
    assert list_runs(place(s3, "nothing")) == ([], 0)


def test_a_run_in_a_bucket_is_deleted_and_its_model_kept(s3: S3, data: Path) -> None:
    run = finished(s3, data, "kept", "r")
    beside = finished(s3, data, "kept", "r2")
    s3.plan = Plan()
    remove(removal_of(run, KeptParts(model=True)))
    names = {name.partition("/")[0] for name in open_folder(run).list()}
    assert names == {"run.json", "owners", "final", "summary.json", "summary.md"}
    assert look_at(run)[1].state == "finished"
    remove(removal_of(run))
    assert open_folder(run).list() == []
    assert look_at(beside)[1].state == "finished", "its name begins with that of the other"
    open_folder(beside).write("mine.txt", b"x")
    remove(removal_of(beside))
    assert open_folder(beside).list() == ["mine.txt"]


@pytest.mark.parametrize("step", [1, 4, 8, 12])
def test_a_deletion_in_a_bucket_that_is_cut_off_is_finished(s3: S3, data: Path, step: int) -> None:
    run = finished(s3, data, f"cut-{step}", "r")
    removal = removal_of(run)
    changes = [0]

    def refuse(method: str, path: str) -> str | None:
        if method in ("DELETE", "POST") or (method == "PUT" and "deleting" in path):
            changes[0] += 1
        return "500" if changes[0] > step else None

    s3.plan = Plan(intercept=refuse)
    impatient = Location(run.url, s3.options(max_retries="1", retry_timeout="1"))
    with suppress(StorageError):
        remove(removal_of(impatient))
        pytest.skip("fewer changes than this")
    s3.plan = Plan()
    if step > 0:
        assert look_at(run)[1].state == "deleting"
        with pytest.raises(RunError, match="is being deleted"):
            finished(s3, data, f"cut-{step}", "r")
    remove(removal_of(run))
    assert open_folder(run).list() == []
    assert removal.files


def test_components_and_labels_in_a_bucket_are_compared(s3: S3, data: Path) -> None:
    places = [finished(s3, data, "compared", key) for key in ("a", "b")]
    (match,) = compare_runs(places)["matches"]
    assert match["gone"] == []
    assert match["labels"]["adjusted_rand"] == 1.0
    assert match["labels"]["rows"] == 40


def test_a_fit_of_data_in_a_bucket_is_planned(s3: S3) -> None:
    where = place(s3, "planned.zarr")
    x = np.random.default_rng(0).normal(size=(400, 2))
    store = open_zarr_store(where, read_only=False)
    zarr.create_array(store, shape=x.shape, chunks=(100, 2), dtype="f8")[:] = x
    values = {
        "data": {
            "path": s3.url("planned.zarr"),
            "storage_options": where.options,
            "block_size": "1600 B",
        },
        "model": {"n_components": 2},
    }
    found = forecast_of(make_config(values), 0.1)
    assert found["problem"] is None
    assert found["data"]["blocks"] == 4
    assert found["seconds"]["all"] > 0
