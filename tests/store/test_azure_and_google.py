"""Data, runs and labels in Azure and in Google Cloud Storage, which are servers on this machine."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import emdist
from emdist.errors import ConfigError, EmdistError, NotFoundError, StorageError
from emdist.fit.events import Saved
from emdist.jobs.job import Job
from emdist.jobs.label import label_data
from emdist.jobs.run import open_job
from emdist.settings.config import NewDataSection, make_config
from emdist.store.labels.check import is_labelled
from emdist.store.places.files import open_folder
from emdist.store.places.location import Location, open_zarr_store
from tests.store.test_row_ranges import rows_of
from tests.support.cloud_stores import CloudStore, azure, described, google
from tests.support.faulty_s3 import FAULTS, Plan

ROWS = rows_of(900, 2)


@pytest.fixture(scope="module", params=["az", "gs"])
def cloud(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudStore]:
    logging.getLogger("werkzeug").setLevel("ERROR")
    serving = azure(tmp_path_factory.mktemp("azurite")) if request.param == "az" else google()
    with serving as server:
        store(server, "x.zarr", ROWS)
        yield server


def place(cloud: CloudStore, name: str, **more: str) -> Location:
    return Location(cloud.url(name), cloud.options(**more))


def store(cloud: CloudStore, name: str, rows: Any) -> dict[str, Any]:
    where = open_zarr_store(place(cloud, name), read_only=False)
    # A request that failed after it was carried out is sent again, and finds its own array.
    zarr.create_array(where, data=rows, chunks=(100, 2), overwrite=True)
    return {"path": cloud.url(name), "storage_options": cloud.options()}


def config(cloud: CloudStore, key: str, **cluster: Any) -> dict[str, Any]:
    options = cloud.options()
    return {
        "data": {"path": cloud.url("x.zarr"), "storage_options": options, "block_size": "3200 B"},
        "model": {"name": "full", "n_components": 3},
        "fit": {"seed": 1, "max_iter": 4, "tol": 1e-12},
        "cluster": cluster or {"kind": "threads", "threads": 2},
        "run": {
            "folder": cloud.url("runs"), "key": key, "checkpoint_iterations": 1,
            "storage_options": options,
        },
        "labels": {"path": cloud.url(f"labels/{key}"), "storage_options": options},
    }  # fmt: skip


def complete(values: dict[str, Any], listen: Any = lambda event: None) -> None:
    with open_job(make_config(values), listen=listen) as job:
        if isinstance(job, Job):
            job.complete()


def result(cloud: CloudStore, key: str) -> tuple[bytes, list[int]]:
    model = open_folder(place(cloud, f"runs/{key}/final")).read("model.safetensors")
    labels = zarr.open_group(open_zarr_store(place(cloud, f"labels/{key}")), mode="r")
    return model, np.asarray(labels["labels"][...]).tolist()


def local(folder: Path) -> tuple[bytes, list[int]]:
    """The same fit in folders."""
    zarr.create_array(folder / "x.zarr", data=ROWS, chunks=(100, 2))
    complete({
        "data": {"path": str(folder / "x.zarr"), "block_size": "3200 B"},
        "model": {"name": "full", "n_components": 3},
        "fit": {"seed": 1, "max_iter": 4, "tol": 1e-12},
        "cluster": {"kind": "threads", "threads": 2},
        "run": {"folder": str(folder / "runs"), "key": "a"},
        "labels": {"path": str(folder / "labels")},
    })  # fmt: skip
    labels = zarr.open_group(folder / "labels", mode="r")["labels"]
    model = (folder / "runs/a/final/model.safetensors").read_bytes()
    return model, np.asarray(labels[...]).tolist()


def test_a_fit_has_the_bits_of_a_local_one_and_resumes(cloud: CloudStore, tmp_path: Path) -> None:
    saved = 0

    class KilledError(Exception):
        pass

    def killed(event: Any) -> None:
        nonlocal saved
        saved += isinstance(event, Saved)
        if saved == 2:
            raise KilledError

    with pytest.raises(KilledError):
        complete(config(cloud, "resumed"), killed)
    complete(config(cloud, "resumed"))
    assert result(cloud, "resumed") == local(tmp_path)


@pytest.mark.long
def test_dask_workers_read_and_write_there(cloud: CloudStore, tmp_path: Path) -> None:
    complete(config(cloud, "dask", kind="local", n_workers=2, memory_limit="1 GiB"))
    assert result(cloud, "dask") == local(tmp_path)


def test_of_two_writers_one_succeeds(cloud: CloudStore) -> None:
    folder = open_folder(place(cloud, "claims"))
    folder.create("owner", b"first")
    with pytest.raises(FileExistsError, match="exists already"):
        folder.create("owner", b"second")
    assert folder.read("owner") == b"first"
    folder.write("owner", b"third")
    assert folder.read("owner") == b"third"


def test_names_sizes_and_deletions(cloud: CloudStore) -> None:
    folder = open_folder(place(cloud, "names"))
    names = ["a b/ü.json", "a/1%25.bin", "a/2.bin", "aa"]
    for name in names:
        folder.write(name, b"12345")
    assert folder.list() == sorted(names)
    assert [entry.size for entry in folder.entries("a")] == [5, 5]
    folder.delete("a")
    assert folder.list() == ["a b/ü.json", "aa"]
    many = [f"many/{i:03}" for i in range(40)]
    for name in many:
        folder.write(name, b"")
    folder.delete("many")
    assert folder.list() == ["a b/ü.json", "aa"]
    assert not folder.exists("a/2.bin")
    with pytest.raises(NotFoundError, match="nothing at"):
        folder.read("a/2.bin")


def test_labels_grow(cloud: CloudStore, tmp_path: Path) -> None:
    model = emdist.GaussianMixture(3, random_state=0).fit(ROWS)
    model.save(tmp_path / "m")
    data = NewDataSection(**store(cloud, "g.zarr", ROWS[:450]), block_size="3200 B")
    for rows in (450, 700):
        found = label_data(Location(str(tmp_path / "m")), data, place(cloud, "grown"), append=True)
        assert found["rows"] == rows
        assert is_labelled(place(cloud, "grown"))
        labels = zarr.open_group(open_zarr_store(place(cloud, "grown")), mode="r")["labels"]
        assert np.asarray(labels[...]).tolist() == model.predict(ROWS[:rows]).tolist()
        where = open_zarr_store(place(cloud, "g.zarr"), read_only=False)
        zarr.open_array(where, mode="r+").append(ROWS[450:700])


def test_data_that_changed_are_noticed(cloud: CloudStore) -> None:
    """The same size and the same names: times and ETags tell."""
    store(cloud, "c.zarr", ROWS)
    values = config(cloud, "changed")
    values["data"]["path"] = cloud.url("c.zarr")
    complete(values)
    array = zarr.open_array(open_zarr_store(place(cloud, "c.zarr"), read_only=False), mode="r+")
    array[:] = np.asarray(ROWS)[::-1].copy()
    with pytest.raises(EmdistError, match=r"changed|differ"):
        complete(values)


def test_errors_name_the_place_and_no_secret(cloud: CloudStore) -> None:
    secrets = [cloud.settings[name] for name in cloud.secrets]
    missing = place(cloud, "nowhere.zarr")
    values = config(cloud, "missing")
    values["data"]["path"] = missing.url
    with pytest.raises(EmdistError, match=r"nowhere\.zarr") as refused:
        complete(values)
    gone = Location(f"{cloud.scheme}://other/x", cloud.options(max_retries="0"))
    with pytest.raises(StorageError, match=r"cannot write .*://other/x/a") as lost:
        open_folder(gone).write("a", b"1")
    for error in (refused.value, lost.value):
        assert not any(secret in described(error) for secret in secrets)


def test_without_credentials_nothing_is_asked(
    cloud: CloudStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {k: v for k, v in cloud.options().items() if k not in cloud.secrets}
    with pytest.raises(ConfigError, match="emdist found no credentials for") as found:
        open_folder(Location(cloud.url("x"), options)).list()
    assert (
        "GOOGLE_APPLICATION_CREDENTIALS" if cloud.scheme == "gs" else "AZURE_STORAGE_ACCOUNT_KEY"
    ) in str(found.value)


def test_a_wrong_key_is_refused_by_azure(tmp_path: Path) -> None:
    with azure(tmp_path) as cloud:
        wrong = cloud.options(account_key="d3Jvbmc=", max_retries="0")
        with pytest.raises(StorageError, match="access denied") as found:
            open_folder(Location(cloud.url("x"), wrong)).write("a", b"1")
        assert "d3Jvbmc=" not in described(found.value)


@pytest.mark.long
@pytest.mark.parametrize("kind", [kind for kind in FAULTS if kind != "timeout"])
def test_google_among_faults(kind: str, tmp_path: Path) -> None:
    """Requests fail, and ones whose answer is lost are sent again: the bits are the same."""
    with google() as cloud:
        store(cloud, "x.zarr", ROWS)
        assert cloud.proxy is not None
        cloud.proxy.plan = Plan(seed=3, share=0.2, kinds=(kind,), repeats=2)
        complete(config(cloud, "faults"))
        assert cloud.proxy.plan.injected[kind] > 3
        cloud.proxy.plan = Plan()
        assert result(cloud, "faults") == local(tmp_path)
