"""Stamps: sizes and times of all files of an array, which tell whether any of them was touched.

The fingerprint of an array looks into a few objects only. Stamps cover all of them for one
listing, but a copy of the data has other times: so they do not identify data, they say when it
has to be looked at again.
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

#: Size in bytes, and what changes when the file is written: time in ns, or the store's ETag.
_Stamp = tuple[str, int, str]


@runtime_checkable
class Stamped(Protocol):
    """A source whose data lies in files."""

    def stamps(self) -> Mapping[str, str]:
        """``sizes``, equal for copies of the data, and ``times``, which are not: digests."""
        ...


def stamps_of(*refs: ArrayRef) -> dict[str, str]:
    """Digests over all chunks of the arrays: one listing each, and a stat of each local file.

    Empty for arrays in memory. 10^6 local files take some seconds, and 10^6 objects a thousand
    requests, as many as looking for missing chunks does.
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
    assert ref.location is not None
    is_chunk = is_chunk_of(open_checked(ref))
    if ref.location.is_local:
        with told("look at the files of", ref):
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
    with os.scandir(folder) as entries:
        for entry in entries:
            name = f"{above}{entry.name}"
            # As Zarr's listing; links could lead round in circles.
            if entry.is_dir(follow_symlinks=False):
                yield from _files(Path(entry.path), f"{name}/")
                continue
            status = entry.stat()
            yield name, status.st_size, str(status.st_mtime_ns)
