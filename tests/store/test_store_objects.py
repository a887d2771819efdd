"""Arrays in Zarr stores of every class are the same rows, and their faults are told as on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.storage import FsspecStore, LocalStore, LoggingStore, MemoryStore, ObjectStore, ZipStore

from emdist.interfaces import Array
from emdist.store.sources.references import reference
from emdist.store.sources.zarr_source import ZarrSource, zarr_source

icechunk = pytest.importorskip("icechunk")

ROWS, FEATURES, CHUNK = 60, 3, 10
X = (np.arange(1, ROWS * FEATURES + 1).reshape(ROWS, FEATURES) % 97).astype("float32")


def _fill(store: Any, x: Array = X) -> None:
    """Write the array TEMP, and its depths beside it, into a group at the root of `store`."""
    group = zarr.create_group(store)
    array = group.create_array(
        "TEMP", shape=x.shape, chunks=(CHUNK, FEATURES), dtype=x.dtype,
        dimension_names=("row", "depth"), config={"write_empty_chunks": True},
    )  # fmt: skip
    array[:] = x
    depth = group.create_array("depth", shape=(FEATURES,), dtype="i4")
    depth[:] = [0, 10, 100]


def _local(folder: Path) -> Any:
    return LocalStore(folder / "x.zarr")


def _memory(folder: Path) -> Any:
    return MemoryStore()


def _fsspec_file(folder: Path) -> Any:
    url = (folder / "fs").as_uri()
    return FsspecStore.from_url(url, storage_options={"auto_mkdir": True})


def _fsspec_memory(folder: Path) -> Any:
    return FsspecStore.from_url(f"memory://{folder.name}")


def _obstore(folder: Path) -> Any:
    import obstore.store

    return ObjectStore(obstore.store.LocalStore(folder / "ob", mkdir=True))


def _wrapped(folder: Path) -> Any:
    return LoggingStore(MemoryStore(), log_level="ERROR")


def repository(folder: Path) -> Any:
    """An Icechunk repository whose chunks are objects of their own."""
    config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=0)
    storage = icechunk.local_filesystem_storage(str(folder / "ice"))
    return icechunk.Repository.create(storage, config=config)


#: Stores that can be written to and read by the same object.
STORES: dict[str, Callable[[Path], Any]] = {
    "local": _local,
    "memory": _memory,
    "fsspec file": _fsspec_file,
    "fsspec memory": _fsspec_memory,
    "obstore": _obstore,
    "wrapped": _wrapped,
}


def opened(kind: str, folder: Path) -> Any:
    """A filled store of this kind, open for reading."""
    if kind == "zip":
        with ZipStore(folder / "x.zip", mode="w") as store:
            _fill(store)
        return ZipStore(folder / "x.zip", mode="r")
    if kind == "icechunk":
        repo = repository(folder)
        session = repo.writable_session("main")
        _fill(session.store)
        session.commit("data")
        return repo.readonly_session("main").store
    store = STORES[kind](folder)
    _fill(store)
    return store


KINDS = [*STORES, "zip", "icechunk"]


def whole(source: ZarrSource) -> Array:
    return np.concatenate([source.read(i).x for i in range(len(source))])


@pytest.mark.parametrize("kind", KINDS)
def test_the_rows_and_names_of_an_array_do_not_depend_on_its_store(
    kind: str, tmp_path: Path
) -> None:
    store = opened(kind, tmp_path)
    array = zarr.open_array(store, path="TEMP", mode="r")
    source = zarr_source(reference(array), None, 240)
    assert len(source) == 3
    assert whole(source).tobytes() == X.tobytes()
    assert source.gaps == ()
    assert source.feature_names == ("depth=0", "depth=10", "depth=100")
    # The members of a group are found through the reference of any of them.
    group = reference(zarr.open_group(store, mode="r"))
    assert group.below("TEMP").open().shape == X.shape
    assert sorted(group.open_group().array_keys()) == ["TEMP", "depth"]
    assert source.ref.beside("depth").reader()[:].tolist() == [0, 10, 100]
    # What identifies the data is the same for the next process that opens them.
    again = zarr_source(reference(zarr.open_array(store, path="TEMP", mode="r")), None, 240)
    assert source.fingerprint() == again.fingerprint()
    assert source.stamps() == again.stamps() != {}


@pytest.mark.parametrize("kind", KINDS)
def test_weights_may_be_in_any_store_too(kind: str, tmp_path: Path) -> None:
    store = opened(kind, tmp_path)
    x = zarr.create_array(MemoryStore(), data=np.ones((FEATURES, 2)))
    source = zarr_source(reference(x), reference(zarr.open_array(store, path="depth", mode="r")))
    weight = source.read(0).weight
    assert weight is not None
    assert weight.tolist() == [0, 10, 100]
