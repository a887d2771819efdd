"""Stamps: digests of the sizes and times of all files of an array, which show whether any changed.

The fingerprint of an array looks at a few objects only. Stamps cover all objects and cost one
listing. They do not identify data, because a copy has other times: they only say when the data must
be looked at again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from emdist.store.chunks.layout import is_chunk_of
from emdist.store.places.faults import object_told, told
from emdist.store.places.location import open_object_store
from emdist.store.places.retries import patiently
from emdist.store.sources.references import ArrayRef, open_checked

#: Name, size in bytes, and what changes when the file is written: its time in ns or its ETag.
_Stamp = tuple[str, int, str]


@runtime_checkable
class Stamped(Protocol):
    """A source whose data are in files or objects."""

    def stamps(self) -> Mapping[str, str]:
        """Return digests: ``sizes``, equal for copies of the data, and ``times``, which differ."""
        ...


def stamps_of(*refs: ArrayRef) -> dict[str, str]:
    """Return digests of sizes and times over all chunks of the arrays.

    This takes one listing of each array, and a stat of each local file. 10^6 local files take some
    seconds. 10^6 objects take about a thousand requests, as many as the search for missing chunks.
    The result is empty for arrays in memory.
    """
    sizes, times = hashlib.sha256(), hashlib.sha256()
    for ref in refs:
        if ref.location is None:
            return {}
        for name, size, stamp in sorted(_listed(ref)):
            sizes.update(f"{name}:{size};".encode())
            times.update(f"{name}:{size}:{stamp};".encode())
    return {"sizes": sizes.hexdigest(), "times": times.hexdigest()}


def _listed(ref: ArrayRef) -> list[_Stamp]:
    """Return the stamps of all chunks of an array, from one listing."""
    assert ref.location is not None
    is_chunk = is_chunk_of(open_checked(ref))
    if ref.location.is_local:
        with told("list the files of", ref):
            root = ref.location.path / ref.path
            return [stamp for stamp in _files(root, "") if is_chunk(stamp[0])]
    store = open_object_store(ref.location)
    prefix = f"{ref.path}/" if ref.path else ""
    with object_told("list", ref):
        found = patiently(lambda: store.list(ref.path or None).collect())
    return [
        (name, int(meta["size"]), str(meta["e_tag"] or meta["last_modified"]))
        for meta in found
        if is_chunk(name := meta["path"].removeprefix(prefix))
    ]


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
