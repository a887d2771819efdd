"""Chunk files: where rows are in the files of a local Zarr array with a simple layout.

Simple means: every chunk holds whole rows in native byte order, uncompressed or compressed by
Zstandard or Blosc, in chunk files or in shards. Zarr reads all other arrays.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import zarr
from numcodecs import blosc, zstd  # type: ignore[import-untyped]
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, ShardingCodec, ZstdCodec
from zarr.core.metadata import ArrayV2Metadata

from emdist.store.chunks.bounded import Bounded, content_size, most
from emdist.store.chunks.crc32c import extend
from emdist.store.chunks.layout import object_key, spelled, unit_rows
from emdist.store.places.zip_paths import zip_at
from emdist.store.sources.references import ArrayRef

Unpack: TypeAlias = Callable[[memoryview, memoryview], object]


class Unusual(Exception):  # noqa: N818  a signal from emdist's own reader to use Zarr's
    """A file is not as expected. Zarr's reader reads it then, or says what is wrong."""


class Torn(Exception):  # noqa: N818  another such signal
    """A chunk is cut off, and Zarr's reader would not notice."""


@dataclass(frozen=True)
class ChunkFiles:
    """Where the rows of a local array are.

    Attributes
    ----------
    array
        The open array, from which keys and shape are taken.
    root
        The array's folder.
    unit, inner
        The number of rows in a file, and in a chunk of it.
    row_bytes
        The bytes of one decoded row.
    unpack
        A function that decodes packed bytes into a buffer, or None if chunks are not packed.
    index
        Where a shard has its index: "start" or "end"; "" if each file is one chunk.
    """

    array: zarr.Array[Any]
    root: Path
    unit: int
    inner: int
    row_bytes: int
    unpack: Unpack | None
    index: str

    @property
    def chunk_bytes(self) -> int:
        """The bytes of one decoded chunk."""
        return self.inner * self.row_bytes

    @property
    def index_bytes(self) -> int:
        """The bytes of a shard's index with its checksum; 0 if each file is one chunk."""
        return 16 * (self.unit // self.inner) + 4 if self.index else 0

    def key(self, unit: int) -> str:
        """Return the key of the object that holds shard or chunk `unit`."""
        return object_key(self.array, (unit, *[0] * (self.array.ndim - 1)))

    def path(self, unit: int) -> Path:
        """Return the path of the file that holds shard or chunk `unit`."""
        return self.root / self.key(unit)

    def spans(self, tail: bytes, nbytes: int, chunks: int) -> list[tuple[int, int]]:
        """Return ``(offset, length)`` of the first `chunks` chunks of a file of `nbytes`.

        Parameters
        ----------
        tail
            The bytes of the shard's index; unused if each file is one chunk.

        Raises
        ------
        Unusual
            If the index is damaged, or if the size of a chunk is not plausible.
        """
        if not self.index:
            spans = [(0, nbytes)]
        else:
            table = np.frombuffer(tail, "<u8", offset=0, count=len(tail) // 8)
            if extend(0, tail[:-4]) != int.from_bytes(tail[-4:], "little"):
                raise Unusual("the checksum of the index is wrong")
            offsets, lengths = table[0::2][:chunks], table[1::2][:chunks]
            if (lengths > nbytes).any() or (offsets > nbytes - lengths).any():
                raise Unusual("the index points outside of the shard, or a chunk is absent")
            spans = list(zip(offsets.tolist(), lengths.tolist(), strict=True))
        if max(length for _, length in spans) > most(self.chunk_bytes):
            raise Unusual("a compressed chunk is larger than its decoded rows")
        if self.unpack is None and any(length != self.chunk_bytes for _, length in spans):
            raise Unusual("the size of a chunk differs from that of its rows")
        return spans


def chunk_files(ref: ArrayRef) -> ChunkFiles | None:
    """Return the chunk files of `ref`, or None if their layout is not simple."""
    if ref.location is None or not ref.location.is_local or zip_at(ref.location.url):
        return None
    return _chunk_files(ref.location.path / ref.path, ref.version, ref)


@lru_cache(maxsize=64)
def _chunk_files(root: Path, version: str, ref: ArrayRef) -> ChunkFiles | None:
    """Return the chunk files of `ref`, cached by folder and version of the array."""
    array = ref.reader()
    if array.dtype.kind not in "biuf" or not array.dtype.isnative or 0 in array.shape:
        return None
    inner = array.chunks
    if inner[1:] != array.shape[1:]:
        return None  # A chunk does not hold whole rows.
    packing, index = unpacking(array)
    if packing is ZARRS:
        return None
    row_bytes = math.prod(array.shape[1:]) * array.dtype.itemsize
    return ChunkFiles(array, root, unit_rows(array), inner[0], row_bytes, packing, index)


#: Stands for a compression that is left to Zarr.
ZARRS: Unpack = lambda packed, out: None  # noqa: E731


def unpacking(array: zarr.Array[Any]) -> tuple[Unpack | None, str]:
    """Return the function that unpacks a chunk, and where shards have their index."""
    meta = array.metadata
    if isinstance(meta, ArrayV2Metadata):
        if meta.order != "C" or meta.filters:
            return ZARRS, ""
        names = {"zstd": unzstd, "blosc": unblosc}
        packer = getattr(meta.compressor, "codec_id", None)
        return (None if meta.compressor is None else names.get(str(packer), ZARRS)), ""
    codecs, index = meta.codecs, ""
    if len(codecs) == 1 and isinstance(codecs[0], ShardingCodec):
        shard = codecs[0]
        if [type(c) for c in shard.index_codecs] != [BytesCodec, Crc32cCodec]:
            return ZARRS, ""
        if not _little(shard.index_codecs[0]):
            return ZARRS, ""
        codecs, index = shard.codecs, spelled(shard.index_location)
    if not codecs or not isinstance(codecs[0], BytesCodec) or not _little(codecs[0]):
        return ZARRS, ""
    if len(codecs) == 1:
        return None, index
    known: dict[type, Unpack] = {ZstdCodec: unzstd, BloscCodec: unblosc}
    packer = codecs[1].codec if isinstance(codecs[1], Bounded) else codecs[1]
    return (known.get(type(packer), ZARRS) if len(codecs) == 2 else ZARRS), index


def _little(codec: Any) -> bool:
    """Return whether numbers of several bytes are stored little-endian, as on this machine."""
    return codec.endian is None or spelled(codec.endian) == sys.byteorder == "little"


def unzstd(packed: memoryview, out: memoryview) -> None:
    """Decode one Zstandard frame that fills `out`. A checksum in the frame is verified."""
    if content_size(packed) != len(out):
        raise Unusual("the size of the frame differs from that of the chunk's rows")
    zstd.decompress(packed, out)


def unblosc(packed: memoryview, out: memoryview) -> None:
    """Decode one Blosc buffer that fills `out`."""
    # Header: decoded size at byte 4, packed size at byte 12 (c-blosc, README_CHUNK_FORMAT).
    sizes = np.frombuffer(packed[:16], "<u4") if len(packed) >= 16 else np.zeros(4, "<u4")
    if int(sizes[3]) > len(packed) >= 16:
        # The decoder does not know where its input ends and would read whatever memory follows it.
        raise Torn(f"only {len(packed)} of {int(sizes[3])} bytes are there")
    if int(sizes[1]) != len(out):
        raise Unusual("the size of the buffer differs from that of the chunk's rows")
    blosc.decompress(packed, out)
