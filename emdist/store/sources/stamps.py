"""Stamps: digests of the sizes and times of all files of an array, which show whether any changed.

The fingerprint of an array looks at a few objects only. Stamps cover all objects and cost one
listing. They do not identify data, because a copy has other times: they only say when the data must
be looked at again.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from zarr.abc.store import Store
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import MemoryStore

from emdist.inputs.foreign import is_a
from emdist.store.chunks.layout import RowRange, is_chunk_of, is_within
from emdist.store.places.faults import object_told, told
from emdist.store.places.location import open_object_store
from emdist.store.places.retries import patiently
from emdist.store.places.zip_files import ZippedFiles
from emdist.store.sources.references import ArrayRef, open_checked

#: Name, size in bytes, and what changes when the file is written: its time in ns or its ETag.
_Stamp = tuple[str, int, str]
#: What filesystems of fsspec tell of a file that changes when it is written.
_CHANGES = ("ETag", "etag", "generation", "mtime", "LastModified", "last_modified", "created")


@runtime_checkable
class Stamped(Protocol):
    """A source whose data are in files or objects."""

    def stamps(self) -> Mapping[str, str]:
        """Return digests: ``sizes``, equal for copies of the data, and ``times``, which differ."""
        ...


def stamps_of(
    *refs: ArrayRef, rows: Mapping[ArrayRef, RowRange | None] = MappingProxyType({})
) -> dict[str, str]:
    """Return digests of sizes and times over all chunks of the arrays, or of `rows` of them.

    This takes one listing of each array, and a stat of each local file. 10^6 local files take some
    seconds. 10^6 objects take about a thousand requests, as many as the search for missing chunks.
    Of a snapshot, nothing is listed.
    """
    sizes, times = hashlib.sha256(), hashlib.sha256()
    for ref in refs:
        for name, size, stamp in sorted(_listed(ref, rows.get(ref))):
            sizes.update(f"{name}:{size};".encode())
            times.update(f"{name}:{size}:{stamp};".encode())
    return {"sizes": sizes.hexdigest(), "times": times.hexdigest()}


def _listed(ref: ArrayRef, rows: RowRange | None) -> list[_Stamp]:
    """Return the stamps of all chunks of an array, from one listing."""
    if ref.snapshot:
        return [(ref.path, 0, ref.snapshot)]
    array = open_checked(ref)
    is_chunk, within = is_chunk_of(array), is_within(array, rows)
    prefix = f"{ref.path}/" if ref.path else ""
    with told("list the files of", ref):
        found = list(_all(ref, prefix))
    return [
        (name, size, stamp)
        for path, size, stamp in found
        if path.startswith(prefix) and is_chunk(name := path.removeprefix(prefix)) and within(name)
    ]


def _all(ref: ArrayRef, prefix: str) -> Iterable[_Stamp]:
    """Return the stamps of all objects below `prefix`, and perhaps of others."""
    if (location := ref.location) is None:
        return _of_objects(ref, prefix)
    if isinstance(store := ref.store, ZippedFiles):
        # Their checksums are in the directory of the file.
        return [(name, one.file_size, str(one.CRC)) for name, one in store.members().items()]
    if location.is_local:
        return _files(location.path / ref.path, prefix)
    with object_told("list", ref):
        return _in_obstore(open_object_store(location), ref.path)


def _in_obstore(store: Any, path: str) -> list[_Stamp]:
    """Return the stamps of the objects in a store of obstore."""
    found = patiently(lambda: store.list(path or None).collect())
    return [
        (meta["path"], int(meta["size"]), str(meta["e_tag"] or meta["last_modified"]))
        for meta in found
    ]


def _of_objects(ref: ArrayRef, prefix: str) -> list[_Stamp]:
    """Return the stamps of the objects in a store that a user opened."""
    assert ref.opened is not None
    inner: Any = ref.opened.innermost
    if is_a(inner, "zarr", "ObjectStore"):
        return _in_obstore(inner.store, ref.path)
    if is_a(inner, "zarr", "FsspecStore"):
        return _in_fsspec(inner, prefix)
    return sync(_looked_at(ref.store, prefix, isinstance(inner, MemoryStore)))


def _in_fsspec(store: Any, prefix: str) -> list[_Stamp]:
    """Return the stamps of the files in a filesystem of fsspec, by what its listing tells."""
    root = f"{store.path}/"
    found = sync(store.fs._find(f"{root}{prefix}".rstrip("/"), detail=True))
    return [
        (
            path.removeprefix(root),
            int(info.get("size") or 0),
            ":".join(str(info[name]) for name in _CHANGES if name in info),
        )
        for path, info in found.items()
    ]


async def _looked_at(store: Store, prefix: str, whole: bool) -> list[_Stamp]:
    """Return the stamps of objects, one by one: their sizes, and checksums if `whole`."""
    found = []
    async for key in store.list_prefix(prefix):
        stamp = ""
        if whole and (value := await store.get(key, default_buffer_prototype())) is not None:
            stamp = str(zlib.crc32(value.to_bytes()))
        found.append((key, await store.getsize(key), stamp))
    return found


def _files(folder: Path, above: str) -> Iterator[_Stamp]:
    """Yield the stamps of all files below `folder`."""
    with os.scandir(folder) as entries:
        for entry in entries:
            name = f"{above}{entry.name}"
            # Links are not followed, as in Zarr's listing: they could form a circle.
            if entry.is_dir(follow_symlinks=False):
                yield from _files(Path(entry.path), f"{name}/")
                continue
            status = entry.stat()
            yield name, status.st_size, str(status.st_mtime_ns)
