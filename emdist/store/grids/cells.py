"""Cells: reads whole chunk files of a local variable, without Zarr.

This is a faster reader for chunks in files of their own, uncompressed or compressed by Zstandard or
Blosc. It does not explain what is wrong with a file: Zarr's reader is used then, and either reads
the file or says what is wrong.
"""

from __future__ import annotations

import itertools
import math
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from emdist.interfaces import Array
from emdist.store.chunks.bounded import most
from emdist.store.chunks.layout import object_key
from emdist.store.places.zip_paths import zip_at
from emdist.store.sources.chunk_files import ZARRS, Unpack, Unusual, unpacking
from emdist.store.sources.diagnosis import Region
from emdist.store.sources.direct import OPENED, copied
from emdist.store.sources.references import ArrayRef


@dataclass(frozen=True)
class Cells:
    """The chunk files of a local array.

    Attributes
    ----------
    array
        The open array.
    root
        The array's folder.
    unpack
        A function that decodes packed bytes into a buffer, or None if chunks are not packed.
    """

    array: zarr.Array[Any]
    root: Path
    unpack: Unpack | None

    def of(self, region: Region) -> Iterator[tuple[str, tuple[int, ...], Region]]:
        """Yield key, first position and the part of `region` of each chunk that it touches."""
        steps = self.array.chunks
        ranges = [
            range(part.start // step, -(-part.stop // step))
            for part, step in zip(region, steps, strict=True)
        ]
        for cell in itertools.product(*ranges):
            first = tuple(at * step for at, step in zip(cell, steps, strict=True))
            part = tuple(
                slice(max(one.start, at), min(one.stop, at + step))
                for one, at, step in zip(region, first, steps, strict=True)
            )
            yield object_key(self.array, cell), first, part

    def read(self, key: str, scratch: list[Array]) -> Array:
        """Return the values of a chunk, as stored, in an array that the next call overwrites.

        Raises
        ------
        Unusual, Torn
            If the file is not as expected, or cut off.
        OSError, RuntimeError, ValueError
            From the file system and the decoders.
        """
        nbytes = math.prod(self.array.chunks) * self.array.dtype.itemsize
        if not scratch:
            scratch += [np.empty(nbytes, np.uint8), np.empty(0, np.uint8)]
        fd = os.open(self.root / key, OPENED)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise Unusual("it is not a file")
            size = status.st_size
            if size > most(nbytes) or (self.unpack is None and size != nbytes):
                raise Unusual("the size of the file is not that of a chunk")
            if self.unpack is None:
                copied(fd, (0, size), scratch[0].data)
            else:
                if len(scratch[1]) < size:
                    scratch[1] = np.empty(size, np.uint8)
                packed = scratch[1].data[:size]
                copied(fd, (0, size), packed)
                self.unpack(packed, scratch[0].data)
        finally:
            os.close(fd)
        found: Array = scratch[0].view(self.array.dtype).reshape(self.array.chunks)
        return found


def cells_of(ref: ArrayRef) -> Cells | None:
    """Return the chunk files of `ref`, or None if their layout is not simple."""
    if ref.location is None or not ref.location.is_local or zip_at(ref.location.url):
        return None
    return _cells(ref.location.path / ref.path, ref.version, ref)


@lru_cache(maxsize=256)
def _cells(root: Path, version: str, ref: ArrayRef) -> Cells | None:
    """Return the chunk files of `ref`, cached by folder and version of the array."""
    array = ref.reader()
    if array.dtype.kind not in "biuf" or not array.dtype.isnative or 0 in array.shape:
        return None
    unpack, index = unpacking(array)
    if unpack is ZARRS or index or array.shards is not None:
        return None
    return Cells(array, root, unpack)
