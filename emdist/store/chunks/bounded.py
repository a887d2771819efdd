"""Bounded decoding: no chunk decodes to more bytes than its array's metadata say.

A kilobyte can decode to gigabytes, and Zarr passes stored bytes to decoders that trust them. So an
array is opened with its compressors wrapped. If a frame says how many bytes it decodes to, that
number is checked first. If it does not say, decoding stops at the limit. Codecs that emdist does
not know decode as usual.
"""

from __future__ import annotations

import asyncio
import bz2
import lzma
import math
import os
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numcodecs.abc  # type: ignore[import-untyped]
import numpy as np
import zarr
from numcodecs import zstd
from zarr.abc.codec import ArrayArrayCodec, BytesBytesCodec, Codec
from zarr.codecs import ShardingCodec, TransposeCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer
from zarr.core.metadata import ArrayV2Metadata

from emdist.errors import DataError
from emdist.interfaces import Array

#: A decoder: takes packed bytes, the limit, the exact size and a codec of numcodecs; returns
#: decoded bytes.
_Decode: TypeAlias = Callable[[memoryview, int, int, Any], Any]

#: A packed chunk may exceed its rows by an eighth and by this many bytes, because of poor
#: compression and checksums.
_SLACK = 1 << 16
#: Filters may store numbers that are wider than those of the array, by at most this factor.
_WIDER = 16
#: Bytes that are decoded at a time if the decoded size is not known beforehand.
_PIECE = 1 << 20


class Oversized(ValueError):  # noqa: N818  named as the exceptions around it
    """A chunk would decode to more bytes than its array's metadata say."""

    def __init__(self, found: int | str, limit: int) -> None:
        super().__init__(f"it decodes to {found} bytes, but its chunk has at most {limit}")


def most(nbytes: int) -> int:
    """Return the largest number of bytes that a chunk of `nbytes` may have when it is packed."""
    return nbytes + nbytes // 8 + _SLACK


def content_size(frame: memoryview) -> int:
    """Return the decoded size that a Zstandard frame's header states, or -1 (RFC 8878, 3.1.1.1)."""
    if len(frame) < 9 or bytes(frame[:4]) != b"\x28\xb5\x2f\xfd":
        return -1
    descriptor = frame[4]
    single = descriptor >> 5 & 1
    width = (single, 2, 4, 8)[descriptor >> 6]
    at = 5 + (1 - single) + (0, 1, 2, 4)[descriptor & 3]
    value = int.from_bytes(frame[at : at + width], "little")
    return -1 if width == 0 else value + (256 if width == 2 else 0)


def _zstd(packed: memoryview, limit: int, exact: int, codec: Any) -> Any:
    """Decode a Zstandard frame, or several, into at most `limit` bytes."""
    size = content_size(packed)
    if size > limit:
        raise Oversized(size, limit)
    # Further frames, and frames without a size, would be decoded to their end. The decoder stops at
    # the end of its output buffer, so the buffer has exactly the allowed size.
    try:
        return zstd.decompress(packed, np.empty(exact if size < 0 else size, np.uint8))
    except (RuntimeError, ValueError):
        if not 0 <= size < exact:
            raise
        # several frames that make up the chunk
        return zstd.decompress(packed, np.empty(exact, np.uint8))


def _blosc(packed: memoryview, limit: int) -> None:
    """Check the sizes that the header of a Blosc buffer states."""
    # Header: decoded size at byte 4, packed size at byte 12 (c-blosc, README_CHUNK_FORMAT).
    sizes = np.frombuffer(packed[:16], "<u4") if len(packed) >= 16 else np.zeros(4, "<u4")
    if int(sizes[3]) > len(packed) or len(packed) < 16:
        # The decoder does not know where its input ends and would read whatever memory follows it.
        raise ValueError(f"it is cut off: only {len(packed)} of {int(sizes[3])} bytes are there")
    if int(sizes[1]) > limit:
        raise Oversized(int(sizes[1]), limit)


def _lz4(packed: memoryview, limit: int) -> None:
    """Check the decoded size, which is in the first 4 bytes of a chunk of numcodecs' LZ4."""
    size = int.from_bytes(packed[:4], "little")
    if size > limit:
        raise Oversized(size, limit)


def _streamed(make: Callable[[Any], Any]) -> _Decode:
    """Return a decoder that uses decompressors of the standard library up to the limit.

    `make` returns a decompressor for a codec. Each stream in the chunk gets a new one.
    """

    def decode(packed: memoryview, limit: int, exact: int, codec: Any) -> Any:
        out, data = bytearray(), bytes(packed)
        while data:
            stream = make(codec)
            while not stream.eof:
                piece = stream.decompress(data, _PIECE)
                out += piece
                if len(out) > limit:
                    raise Oversized(f"more than {limit}", limit)
                # zlib hands back the input that it has not used yet; the others keep it.
                data = getattr(stream, "unconsumed_tail", b"")
                if not piece and not data and not stream.eof:
                    raise ValueError("it is cut off: the stream has no end")
            data = stream.unused_data.lstrip(b"\0")
        return np.frombuffer(out, np.uint8)

    return decode


def _lzma(codec: Any) -> Any:
    return lzma.LZMADecompressor(codec.format, None, codec.filters)


#: Functions that check the stated size before the codec itself decodes, by name of the codec.
_LOOKS: dict[str, Callable[[memoryview, int], None]] = {"blosc": _blosc, "lz4": _lz4}
#: Functions that decode in place of the codec, by name of the codec.
_DECODES: dict[str, _Decode] = {
    "zstd": _zstd,
    "gzip": _streamed(lambda codec: zlib.decompressobj(31)),
    "zlib": _streamed(lambda codec: zlib.decompressobj()),
    "bz2": _streamed(lambda codec: bz2.BZ2Decompressor()),
    "lzma": _streamed(_lzma),
}
_KNOWN = {*_LOOKS, *_DECODES}


@dataclass(frozen=True)
class Bounded(BytesBytesCodec):
    """A codec of Zarr format 3 that decodes to at most `limit` bytes.

    Attributes
    ----------
    codec
        The codec that decodes.
    limit, exact
        The largest number of decoded bytes, and the size of the buffer for frames that do not state
        their size.
    """

    codec: BytesBytesCodec
    limit: int
    exact: int

    is_fixed_size = False

    async def _encode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer | None:
        (encoded,) = await self.codec.encode([(chunk_data, chunk_spec)])
        return encoded

    def to_dict(self) -> dict[str, Any]:
        return dict(self.codec.to_dict())

    def evolve_from_array_spec(self, array_spec: ArraySpec) -> Bounded:
        return replace(self, codec=self.codec.evolve_from_array_spec(array_spec))

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        return self.codec.compute_encoded_size(input_byte_length, chunk_spec)

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer:
        packed, name = _bytes(chunk_data.as_numpy_array()), _name(self.codec)
        if name in _DECODES:
            codec = getattr(self.codec, "_codec", None)
            found = await asyncio.to_thread(_DECODES[name], packed, self.limit, self.exact, codec)
            return chunk_spec.prototype.buffer.from_array_like(found)
        _LOOKS[name](packed, self.limit)
        (decoded,) = await self.codec.decode([(chunk_data, chunk_spec)])
        assert decoded is not None
        return decoded


class BoundedV2(numcodecs.abc.Codec):  # type: ignore[misc]
    """The same as `Bounded`, for the compressors of Zarr format 2."""

    codec_id = "bounded"  # Zarr asks the class for an ID; each object has the ID of its codec

    def __init__(self, codec: Any, limit: int, exact: int) -> None:
        self.codec_id = codec.codec_id
        self.codec, self.limit, self.exact = codec, limit, exact

    def get_config(self) -> dict[str, Any]:
        """Return the configuration of the codec, as it is stored in the metadata."""
        return dict(self.codec.get_config())

    def encode(self, buf: Any) -> Any:
        """Encode as the wrapped codec does."""
        return self.codec.encode(buf)

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Decode as the wrapped codec does, but refuse what is too large."""
        packed = _bytes(np.ascontiguousarray(buf))
        if self.codec_id in _DECODES:
            return _DECODES[self.codec_id](packed, self.limit, self.exact, self.codec)
        _LOOKS[self.codec_id](packed, self.limit)
        return self.codec.decode(buf, out)


def _bytes(array: Array) -> memoryview:
    """Return a view of the bytes of `array`, without a copy."""
    return memoryview(array.reshape(-1).view(np.uint8).data)


def _name(codec: BytesBytesCodec) -> str:
    """Return the name of a codec, as numcodecs calls it."""
    return str(codec.to_dict()["name"]).removeprefix("numcodecs.")


def bounded(array: zarr.Array[Any]) -> zarr.Array[Any]:
    """Return `array` with its compressors wrapped. The limits follow from its metadata.

    Raises
    ------
    DataError
        As `check_memory` does.
    """
    meta = array.metadata
    check_memory(array)
    nbytes = math.prod(array.chunks) * array.dtype.itemsize
    if isinstance(meta, ArrayV2Metadata):
        wider = _WIDER if meta.filters else 1
        limit = most(nbytes * wider)
        compressor: Any = meta.compressor
        if compressor is not None and compressor.codec_id in _KNOWN:
            meta = replace(meta, compressor=BoundedV2(compressor, limit, nbytes))
    else:
        units = math.prod(array.shards or array.chunks) * array.dtype.itemsize
        meta = replace(meta, codecs=_wrapped(meta.codecs, units, array.dtype.itemsize))
    return zarr.Array(zarr.AsyncArray(meta, array.store_path, array.config))


def check_memory(array: zarr.Array[Any]) -> None:
    """Raise DataError if a chunk, or a shard's rows, need more memory than this process has."""
    unit = array.shards or array.chunks
    # A block has whole rows, but no more rows than the array. Arrays of more dimensions are read in
    # boxes, which may be one unit.
    sizes = unit[1:] if array.ndim > 2 else array.shape[1:]
    rows = math.prod([min(unit[0], array.shape[0]), *sizes]) if array.ndim else 1
    needed = max(math.prod(array.chunks), rows) * array.dtype.itemsize
    if needed > (memory := memory_here()):
        raise DataError(
            f"{array.store_path} has shape {array.shape} and chunks or shards of shape {unit}. The "
            f"smallest part that can be read takes {needed} bytes, but this process can use at "
            f"most {memory}. Give the process more memory, or rechunk the array."
        )


def most_stored(array: zarr.Array[Any]) -> int:
    """Return the largest plausible size in bytes of a stored object.

    An object is a chunk, or a shard with its index.
    """
    nbytes = math.prod(array.shards or array.chunks) * array.dtype.itemsize
    chunks = nbytes // max(1, math.prod(array.chunks) * array.dtype.itemsize)
    return most(nbytes * _WIDER if array.filters else nbytes) + 16 * chunks


def _wrapped(codecs: Iterable[Codec], nbytes: int, itemsize: int) -> tuple[Codec, ...]:
    """Return the `codecs` of chunks of `nbytes`, with compressors wrapped."""
    found: list[Codec] = []
    wide, exact = 1, nbytes
    for codec in codecs:
        if isinstance(codec, ArrayArrayCodec) and not isinstance(codec, TransposeCodec):
            wide = _WIDER
        elif isinstance(codec, ShardingCodec):
            inner = math.prod(codec.chunk_shape) * itemsize
            codec = replace(codec, codecs=_wrapped(codec.codecs, inner, itemsize))
            nbytes = exact = nbytes + 16 * (nbytes // max(1, inner)) + 4  # the shard's index
        elif isinstance(codec, BytesBytesCodec):
            if _name(codec) in _KNOWN:
                codec = Bounded(codec, most(nbytes * wide), exact)
            elif codec.is_fixed_size:
                exact += 4  # a checksum
        found.append(codec)
    return tuple(found)


@cache
def memory_here() -> int:
    """Return the bytes that this process may use: the least of machine, container and own limit."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            found.append(int(Path("/sys/fs/cgroup", name).read_text()))
        except (OSError, ValueError):
            continue  # there is no container, or it has no limit
    import resource  # Not available on every system that Python runs on.

    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return min(found if soft == resource.RLIM_INFINITY else [*found, soft])
