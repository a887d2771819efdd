"""Stores that a user opened, on threads and on Dask workers in other processes: the same bits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from distributed import Client, LocalCluster
from zarr.storage import MemoryStore

from emdist import GaussianMixture
from emdist.engines.threads import LocalEngine
from emdist.errors import ConfigError, EngineError
from tests.store.test_store_objects import KINDS, icechunk, opened

#: Kinds of stores whose data are in the process that opened them.
HERE = ("memory", "fsspec memory", "wrapped")
ROWS = 400


def rows() -> Any:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(ROWS, 3)) + 6.0 * (np.arange(ROWS)[:, None] % 2)
    return x.astype("float32")


def model(engine: Any) -> GaussianMixture:
    return GaussianMixture(2, random_state=0, block_size="1 KiB", max_iter=20, engine=engine)


def array_of(kind: str, folder: Path) -> Any:
    return zarr.open_array(opened(kind, folder, rows()), path="TEMP", mode="r")


def bits(est: GaussianMixture) -> tuple[bytes, ...]:
    return est.means_.tobytes(), est.covariances_.tobytes(), est.weights_.tobytes()


@pytest.fixture(scope="module")
def workers() -> Iterator[Client]:
    """Two workers in two other processes."""
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture
def here() -> Iterator[Client]:
    """Two workers in this process."""
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.mark.parametrize("kind", KINDS)
def test_any_store_gives_the_bits_of_the_array_in_memory_on_four_threads(
    kind: str, tmp_path: Path
) -> None:
    array = array_of(kind, tmp_path)
    plain = zarr.create_array(MemoryStore(), data=rows(), chunks=(10, 3))
    expected = model(None).fit(plain)
    est = model(LocalEngine(threads=4)).fit(array)
    assert bits(est) == bits(expected)
    assert est.feature_names_in_.tolist() == ["depth=0", "depth=10", "depth=100"]
    assert np.array_equal(est.predict(array), expected.predict(plain))


@pytest.mark.long
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in HERE])
def test_workers_in_other_processes_open_the_store_by_themselves(
    kind: str, tmp_path: Path, workers: Client
) -> None:
    array = array_of(kind, tmp_path)
    assert bits(model(workers).fit(array)) == bits(model(None).fit(array))
    assert np.array_equal(model(workers).fit(array).predict(array), model(None).fit_predict(array))


@pytest.mark.long
@pytest.mark.parametrize("kind", HERE)
def test_data_of_this_process_are_refused_by_the_name_of_their_store(
    kind: str, tmp_path: Path, workers: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = array_of(kind, tmp_path)
    name = "FsspecStore(memory:" if kind == "fsspec memory" else "MemoryStore"
    with pytest.raises(ConfigError, match="memory of the process that opened it") as caught:
        model(workers).fit(X)
    told = str(caught.value)
    assert name in told
    assert "leave engine out" in told
    # The line that the message gives is what works.
    monkeypatch.chdir(tmp_path)
    line = told.partition("read it, as ")[2].partition(" with a path")[0]
    exec(line, {"zarr": zarr, "X": X})
    assert bits(model(workers).fit("x.zarr")) == bits(model(None).fit(X))


def test_workers_in_this_process_read_what_is_in_its_memory(tmp_path: Path, here: Client) -> None:
    array = array_of("memory", tmp_path)
    assert bits(model(here).fit(array)) == bits(model(None).fit(array))


@pytest.mark.long
def test_a_writable_icechunk_session_is_refused_with_what_works(
    tmp_path: Path, workers: Client
) -> None:
    opened("icechunk", tmp_path, rows())
    repo = icechunk.Repository.open(icechunk.local_filesystem_storage(str(tmp_path / "ice")))
    X = zarr.open_array(repo.writable_session("main").store, path="TEMP", mode="r")
    assert model(None).fit(X).n_features_in_ == 3
    with pytest.raises(ConfigError, match="Icechunk session is open for writing") as caught:
        model(workers).fit(X)
    line = str(caught.value).partition("Commit it, then pass X opened in ")[2]
    session, _, call = line.removesuffix(".").partition(": ")
    store = eval(session, {"repo": repo})
    found = eval(call, {"zarr": zarr, "store": store})
    assert bits(model(workers).fit(found)) == bits(model(None).fit(X))


@pytest.mark.long
def test_a_repository_in_memory_is_empty_to_other_processes(workers: Client) -> None:
    repo = icechunk.Repository.create(icechunk.in_memory_storage())
    session = repo.writable_session("main")
    zarr.create_array(session.store, name="x", data=rows(), chunks=(10, 3))
    session.commit("x")
    array = zarr.open_array(repo.readonly_session("main").store, path="x", mode="r")
    assert model(None).fit(array).n_features_in_ == 3
    with pytest.raises(EngineError, match="2 of 2 workers cannot read the array x in the Icechunk"):
        model(workers).fit(array)
