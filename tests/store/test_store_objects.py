"""Arrays in Zarr stores of every class are the same rows, and their faults are told as on disk."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import FsspecStore, LocalStore, LoggingStore, MemoryStore, ObjectStore, ZipStore

from emdist.errors import (
    CorruptChunkError,
    EngineError,
    MissingChunksError,
    NotAnArrayError,
    NotFoundError,
    StorageError,
)
from emdist.interfaces import Array
from emdist.store.places.location import Location
from emdist.store.places.store_objects import StoreObject
from emdist.store.sources.references import ArrayRef, reference
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


def opened(kind: str, folder: Path, x: Array = X) -> Any:
    """A filled store of this kind, open for reading."""
    if kind == "zip":
        with ZipStore(folder / "x.zip", mode="w") as store:
            _fill(store, x)
        return ZipStore(folder / "x.zip", mode="r")
    if kind == "icechunk":
        repo = repository(folder)
        session = repo.writable_session("main")
        _fill(session.store, x)
        session.commit("data")
        return repo.readonly_session("main").store
    store = STORES[kind](folder)
    _fill(store, x)
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


# ---- faults


def change(kind: str, folder: Path, store: Any, key: str, value: bytes | None) -> Any:
    """Delete or replace an object of the store. Return the store in which it is changed."""
    if kind == "zip":
        old = zipfile.ZipFile(folder / "x.zip")
        with old, zipfile.ZipFile(folder / "new.zip", "w") as new:
            for name in old.namelist():
                data = value if name == key else old.read(name)
                if data is not None:
                    new.writestr(name, data)
        (folder / "new.zip").replace(folder / "x.zip")
        return store
    if kind == "icechunk":
        repo = icechunk.Repository.open(icechunk.local_filesystem_storage(str(folder / "ice")))
        session = repo.writable_session("main")
        _put(session.store, key, value)
        session.commit("changed")
        return repo.readonly_session("main").store
    _put(store, key, value)
    return store


def _put(store: Any, key: str, value: bytes | None) -> None:
    if value is None:
        sync(store.delete(key))
    else:
        sync(store.set(key, default_buffer_prototype().buffer.from_bytes(value)))


def of(store: Any) -> ArrayRef:
    return reference(zarr.open_array(store, path="TEMP", mode="r"))


@pytest.mark.parametrize("kind", KINDS)
def test_missing_chunks_are_told_by_their_rows(kind: str, tmp_path: Path) -> None:
    store = change(kind, tmp_path, opened(kind, tmp_path), "TEMP/c/2/0", None)
    with pytest.raises(MissingChunksError, match=r"10 of 60 rows .*rows 20\.\.29"):
        zarr_source(of(store))
    assert zarr_source(of(store), missing="drop").gaps == ((20, 30),)
    assert whole(zarr_source(of(store), missing="fill"))[20:30].max() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_corrupt_chunks_are_told_by_their_key(kind: str, tmp_path: Path) -> None:
    store = change(kind, tmp_path, opened(kind, tmp_path), "TEMP/c/2/0", b"no frame of Zstandard")
    source = zarr_source(of(store), None, 240)
    source.read(0)
    with pytest.raises(CorruptChunkError, match=r"'c/2/0' of .*rows 20\.\.29"):
        source.read(1)
    block = zarr_source(of(store), None, 240, corrupt="drop").read(1)
    assert block.mask is not None
    assert block.mask.tolist() == [False] * 10 + [True] * 10


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "icechunk"])
def test_chunks_that_vanish_or_change_after_the_check_are_noticed(
    kind: str, tmp_path: Path
) -> None:
    store = opened(kind, tmp_path)
    source = zarr_source(of(store), None, 240)
    change(kind, tmp_path, store, "TEMP/c/2/0", None)
    with pytest.raises(MissingChunksError, match=r"'c/2/0' of .* has been deleted"):
        source.read(1)
    change(kind, tmp_path, store, "TEMP/zarr.json", b"{}")
    with pytest.raises(StorageError, match="no longer there"):
        source.read(1)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "icechunk"])
def test_a_chunk_that_is_written_again_changes_fingerprint_or_stamps(
    kind: str, tmp_path: Path
) -> None:
    store = opened(kind, tmp_path)
    source = zarr_source(of(store), None, 240)
    before, stamps = source.fingerprint(), source.stamps()
    other = opened_with(kind, tmp_path, X[::-1])
    change(kind, tmp_path, store, "TEMP/c/2/0", other)
    assert zarr_source(of(store), None, 240).fingerprint() != before
    assert source.stamps() != stamps
    assert np.array_equal(source.read(1).x[:10], X[::-1][20:30])


def opened_with(kind: str, folder: Path, x: Array) -> bytes:
    """Return the bytes of the third chunk of an array of these rows."""
    store = MemoryStore()
    _fill(store, x)
    found = sync(store.get("TEMP/c/2/0", default_buffer_prototype()))
    assert found is not None
    return found.to_bytes()


def test_a_snapshot_is_the_fingerprint_and_never_changes(tmp_path: Path) -> None:
    store = opened("icechunk", tmp_path)
    source = zarr_source(of(store), None, 240)
    snapshot = store.session.snapshot_id
    assert source.fingerprint()["snapshot"] == snapshot
    assert snapshot in str(source.ref)
    stamps = source.stamps()
    later = change("icechunk", tmp_path, store, "TEMP/c/2/0", None)
    # The old session still reads the old rows; a new session is other data.
    assert np.array_equal(whole(zarr_source(of(store), None, 240)), X)
    assert source.stamps() == stamps
    new = zarr_source(of(later), missing="drop")
    assert new.fingerprint()["snapshot"] != snapshot
    assert new.stamps() != stamps
    # The repository loses its objects: the store failed, and not one chunk of it.
    for path in (tmp_path / "ice" / "chunks").rglob("*"):
        if path.is_file():
            path.unlink()
    with pytest.raises(StorageError, match=r"IcechunkError: .*not found"):
        zarr_source(of(store), None, 240).read(1)


def test_a_reference_that_comes_back_to_its_process_is_the_same_store(tmp_path: Path) -> None:
    ref = of(opened("memory", tmp_path))
    again: ArrayRef = pickle.loads(pickle.dumps(ref))
    assert again.opened is ref.opened
    raw = pickle.dumps(ref)
    assert len(raw) < 2000, "no rows travel"
    del again, ref
    with pytest.raises(EngineError, match="MemoryStore cannot be read by this worker"):
        pickle.loads(raw)


def test_names_of_stores_show_no_credentials(tmp_path: Path) -> None:
    import obstore.store

    array = zarr.open_array(opened("memory", tmp_path), path="TEMP", mode="r")
    url = "http://user:secret@localhost:9/x?token=secret"
    http = obstore.store.HTTPStore.from_url(url, client_options={"allow_http": True})
    told = str(ArrayRef(None, "x", StoreObject(ObjectStore(http))))
    assert "localhost:9/x" in told
    assert "secret" not in told
    assert str(reference(array)) == "the array TEMP in a MemoryStore"


# ---- ZIP files


def zipped(folder: Path, **how: Any) -> Path:
    with ZipStore(folder / "x.zip", mode="w", **how) as store:
        _fill(store)
    return folder / "x.zip"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_file_is_read_by_path_url_member_and_open_store(tmp_path: Path, method: int) -> None:
    path = zipped(tmp_path, compression=method)
    with ZipStore(path, mode="r") as store:
        closed = zarr.open_array(store, path="TEMP", mode="r")
    places = [
        ArrayRef(Location(str(path)), "TEMP"),
        reference(path / "TEMP"),
        reference((path / "TEMP").as_uri()),
        reference(closed),
        reference(path).below("TEMP"),
    ]
    for ref in places:
        source = zarr_source(ref, None, 240)
        assert whole(pickle.loads(pickle.dumps(source))).tobytes() == X.tobytes()
    assert places[0].location == places[3].location


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_shards_in_a_zip_file_are_read_in_parts(tmp_path: Path, method: int) -> None:
    with ZipStore(tmp_path / "s.zip", mode="w", compression=method) as store:
        array = zarr.create_array(store, shape=X.shape, shards=(30, 3), chunks=(10, 3), dtype="f4")
        array[:] = X
    source = zarr_source(reference(tmp_path / "s.zip"), None, 240)
    assert whole(source).tobytes() == X.tobytes()
    assert source.ref.reader()[15:25].tobytes() == X[15:25].tobytes()


def test_what_a_zip_file_holds_instead_of_an_array_is_named(tmp_path: Path) -> None:
    path = zipped(tmp_path)
    for where in (path, path / "TEMPERATURE"):
        with pytest.raises(NotAnArrayError, match=r"Name one of its arrays: TEMP(, depth)?\."):
            zarr_source(reference(where))
    with zipfile.ZipFile(tmp_path / "text.zip", "w") as made:
        made.writestr("notes/a.csv", "1,2")
    with pytest.raises(NotAnArrayError, match=r"holds no Zarr array \(it has notes\)"):
        zarr_source(reference(tmp_path / "text.zip"))
    (tmp_path / "no.zip").write_bytes(b"PK and no more")
    with pytest.raises(NotAnArrayError, match="damaged, or no ZIP file"):
        zarr_source(reference(tmp_path / "no.zip"))
    with pytest.raises(NotFoundError, match=r"There is nothing at .*\(did you mean 'x\.zip'\?\)"):
        zarr_source(reference(tmp_path / "y.zip"))
    # As a shell makes it of a folder.
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "shell.zip", "w") as made:
        for name in old.namelist():
            made.writestr(f"x.zarr/{name}", old.read(name))
    with pytest.raises(
        NotAnArrayError, match=r"Name one of its arrays: x\.zarr/TEMP, x\.zarr/depth"
    ):
        zarr_source(reference(tmp_path / "shell.zip"))
    assert zarr_source(reference(tmp_path / "shell.zip" / "x.zarr/TEMP")).rows == ROWS


def test_a_zip_file_that_is_open_for_writing_is_refused(tmp_path: Path) -> None:
    store = ZipStore(tmp_path / "w.zip", mode="w")
    _fill(store)
    array = zarr.open_array(store, path="TEMP", mode="r+")
    with pytest.raises(NotAnArrayError, match=r"Close it with X\.store\.close\(\)"):
        reference(array)
    array.store.close()
    assert np.array_equal(whole(zarr_source(reference(array))), X)


def test_damage_in_a_zip_file_is_a_corrupt_chunk(tmp_path: Path) -> None:
    path = zipped(tmp_path)
    with zipfile.ZipFile(path) as made:
        at = made.getinfo("TEMP/c/2/0").header_offset
    raw = bytearray(path.read_bytes())
    raw[at + 60] ^= 0xFF
    path.write_bytes(raw)
    source = zarr_source(reference(path / "TEMP"), None, 240)
    source.read(0)
    with pytest.raises(CorruptChunkError, match=r"'c/2/0' .*checksum"):
        source.read(1)


def test_what_a_zip_file_claims_is_not_believed(tmp_path: Path) -> None:
    with zipfile.ZipFile(zipped(tmp_path)) as old:
        metadata = old.read("TEMP/zarr.json")
    for name, body in (("bomb", bytes(1 << 26)), ("metadata", b" " * (1 << 25) + metadata)):
        path = tmp_path / f"{name}.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
            made.writestr("TEMP/zarr.json", metadata if name == "bomb" else body)
            for i in range(6):
                made.writestr(f"TEMP/c/{i}/0", body)
    with pytest.raises(CorruptChunkError, match="67108864 bytes are stored, expected at most"):
        zarr_source(reference(tmp_path / "bomb.zip" / "TEMP")).read(0)
    with pytest.raises(NotAnArrayError, match="bytes are stored, expected at most 16777216"):
        zarr_source(reference(tmp_path / "metadata.zip" / "TEMP"))
    raw = bytearray((tmp_path / "bomb.zip").read_bytes())
    end = raw.rindex(b"PK\5\6")
    raw[end + 12 : end + 16] = (1 << 31).to_bytes(4, "little")
    (tmp_path / "long.zip").write_bytes(raw)
    with pytest.raises(NotAnArrayError, match=r"directory claims|damaged"):
        zarr_source(reference(tmp_path / "long.zip" / "TEMP"))


def test_a_zip_file_that_goes_away_is_a_failure_of_storage(tmp_path: Path) -> None:
    path = zipped(tmp_path)
    source = zarr_source(reference(path / "TEMP"), None, 240)
    path.unlink()
    with pytest.raises(StorageError):
        source.read(1)


def test_a_folder_may_be_named_as_a_zip_file(tmp_path: Path) -> None:
    _fill(LocalStore(tmp_path / "folder.zip"))
    source = zarr_source(reference(tmp_path / "folder.zip" / "TEMP"))
    assert np.array_equal(whole(source), X)
