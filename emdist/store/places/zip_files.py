"""ZIP files: the Zarr store of a local ZIP file, which is only read.

Zarr's own ZipStore reads in the thread of the event loop, under one lock, and reads a whole shard
for a part of it. This store reads in other threads, and opens the file again if it was replaced.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import struct
import threading
import zipfile
import zlib
from collections.abc import AsyncIterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from zarr.abc.store import (
    ByteRequest,
    OffsetByteRequest,
    RangeByteRequest,
    Store,
    SuffixByteRequest,
)
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype

from emdist.errors import ConfigError
from emdist.store.places.local_store import META_LIMIT, METADATA
from emdist.untrusted.npz import archive, check_member

#: The largest directory of a ZIP file in bytes: those of about a million chunks.
_DIRECTORY = 64 << 20
#: A local header: its length, where it has the lengths of name and extra field, and their format.
_HEADER, _LENGTHS = 30, struct.Struct("<26xHH")


class _Opened:
    """A ZIP file that is open, with its members by their names."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self.stamp = _stamp(os.fstat(self._file.fileno()))
        try:
            with archive(self._file.fileno(), _DIRECTORY) as opened:
                self.members = {one.filename: one for one in opened.infolist() if not one.is_dir()}
        except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError) as error:
            raise ValueError(f"it is damaged, or no ZIP file ({error!s:.100})") from error

    def __del__(self) -> None:
        # Reads that are under way hold a reference, so the file closes after them.
        self._file.close()

    def read(self, info: zipfile.ZipInfo, part: ByteRequest | None) -> bytes:
        """Return a member, or a part of it. A whole member is held against its checksum."""
        check_member(info, f"the member {info.filename} of the ZIP file")
        start, stop = _bounds(part, info.file_size)
        header = self._bytes(info.header_offset, _HEADER)
        begin = info.header_offset + _HEADER + sum(_LENGTHS.unpack(header))
        stored = info.compress_type == zipfile.ZIP_STORED
        if stored and stop - start < info.file_size:
            return self._bytes(begin + start, stop - start)
        found = self._bytes(begin, info.compress_size)
        if not stored:
            found = zlib.decompressobj(-zlib.MAX_WBITS).decompress(found, info.file_size + 1)
        if len(found) != info.file_size or zlib.crc32(found) != info.CRC:
            raise ValueError("its length or checksum in the ZIP file (CRC-32) is wrong")
        return found if len(found) == stop - start else found[start:stop]

    def _bytes(self, start: int, count: int) -> bytes:
        """Return bytes of the file. ValueError if it ends before."""
        if start + count > self.stamp[1]:
            raise ValueError("the ZIP file is cut off")
        pieces = []
        while count and (piece := os.pread(self._file.fileno(), count, start)):
            pieces.append(piece)
            start, count = start + len(piece), count - len(piece)
        if count:
            raise ValueError("the ZIP file is cut off")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _bounds(part: ByteRequest | None, size: int) -> tuple[int, int]:
    """Return the first byte of a request, and the one after the last, within `size`."""
    if isinstance(part, RangeByteRequest):
        return min(part.start, size), min(part.end, size)
    if isinstance(part, OffsetByteRequest):
        return min(part.offset, size), size
    if isinstance(part, SuffixByteRequest):
        return max(0, size - part.suffix), size
    return 0, size


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    """Return what changes when a file is written or replaced."""
    return status.st_ino, status.st_size, status.st_mtime_ns


class ZippedFiles(Store):
    """The members of a ZIP file below `inner`, which are only read.

    It is safe to use in several threads. A pickled store holds only the path, and opens the file
    by itself.
    """

    supports_writes = False
    supports_deletes = False
    supports_listing = True

    def __init__(self, path: Path, inner: str = "") -> None:
        super().__init__(read_only=True)
        self.path, self.inner = path, inner
        self._prefix = f"{inner}/" if inner else ""
        self._lock = threading.Lock()
        self._opened: _Opened | None = None
        self._is_open = True

    def __reduce__(self) -> tuple[Any, ...]:
        return ZippedFiles, (self.path, self.inner)

    def __eq__(self, value: object) -> bool:
        if not isinstance(value, ZippedFiles):
            return False
        return (self.path, self.inner) == (value.path, value.inner)

    def __str__(self) -> str:
        return str(self.path / self.inner)

    def with_read_only(self, read_only: bool = False) -> Store:
        if not read_only:
            raise ValueError(f"{self} is a ZIP file, which emdist only reads")
        return self

    def opened(self) -> _Opened:
        """Return the open file, opened again if it was replaced since."""
        with self._lock:
            if self._opened is None or self._opened.stamp != _stamp(self.path.stat()):
                self._opened = _Opened(io.FileIO(self.path))
            return self._opened

    def members(self) -> dict[str, zipfile.ZipInfo]:
        """Return the members below `inner`, by their names relative to it."""
        n = len(self._prefix)
        found = self.opened().members
        return {name[n:]: one for name, one in found.items() if name.startswith(self._prefix)}

    def is_array(self, key: str) -> bool:
        """Return whether the member `key` is the metadata of an array, and not of a group."""
        if not key.endswith("zarr.json"):
            return True
        try:
            return bool(json.loads(self._get(key, None) or b"")["node_type"] == "array")
        except (ValueError, KeyError, TypeError, RecursionError):
            return False

    def check_size(self, key: str, part: ByteRequest | None, most: int) -> None:
        """Raise ValueError if reading `part` of a member takes over `most` bytes."""
        info = self.opened().members.get(self._prefix + key)
        if info is None:
            return
        start, stop = _bounds(part, info.file_size)
        # A packed member is unpacked whole.
        nbytes = stop - start if info.compress_type == zipfile.ZIP_STORED else info.file_size
        if nbytes > most:
            raise ValueError(f"{nbytes} bytes are stored, expected at most {most}")

    async def get(
        self,
        key: str,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        found = await asyncio.to_thread(self._get, key, byte_range)
        kind = (prototype or default_buffer_prototype()).buffer
        return None if found is None else kind.from_bytes(found)

    def _get(self, key: str, part: ByteRequest | None) -> bytes | None:
        if key.rpartition("/")[2] in METADATA:
            self.check_size(key, None, META_LIMIT)
        opened = self.opened()
        info = opened.members.get(self._prefix + key)
        return None if info is None else opened.read(info, part)

    async def get_partial_values(self, prototype: BufferPrototype, key_ranges: Any) -> list[Any]:
        return [await self.get(key, prototype, part) for key, part in key_ranges]

    async def exists(self, key: str) -> bool:
        return self._prefix + key in self.opened().members

    async def getsize(self, key: str) -> int:
        info = self.opened().members.get(self._prefix + key)
        if info is None:
            raise FileNotFoundError(key)
        return info.file_size

    async def list(self) -> AsyncIterator[str]:
        for name in await asyncio.to_thread(self.members):
            yield name

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        async for name in self.list():
            if name.startswith(prefix):
                yield name

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        above = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
        names = [name.removeprefix(above) async for name in self.list_prefix(above)]
        for name in dict.fromkeys(name.partition("/")[0] for name in names):
            yield name

    async def set(self, key: str, value: Buffer) -> None:
        self._check_writable()

    async def delete(self, key: str) -> None:
        self._check_writable()


def zip_store(path: Path, inner: str, read_only: bool = True) -> ZippedFiles:
    """Return the store of a ZIP file, opened once per process.

    Raise ConfigError if it is to be written.
    """
    if not read_only:
        raise ConfigError(f"{path} is a ZIP file, which emdist only reads. Choose a folder.")
    return _zip_store(path, inner)


@lru_cache(maxsize=16)
def _zip_store(path: Path, inner: str) -> ZippedFiles:
    return ZippedFiles(path, inner)
