"""Zarr's local store with limits, for folders from untrusted sources."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

from zarr.abc.store import ByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore

#: Names of objects that are no chunks. Zarr tries several of them to find out what is there.
METADATA = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")
#: The largest metadata file in bytes: when parsed, it takes many times as much memory.
META_LIMIT = 1 << 24


class RegularFiles(LocalStore):
    """A local store that reads regular files only, because opening a pipe would wait for ever."""

    async def get(
        self,
        key: str,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        await asyncio.to_thread(_check, self.root / key)
        if key.rpartition("/")[2] in METADATA:
            await asyncio.to_thread(self.check_size, key, byte_range, META_LIMIT)
        return await super().get(key, prototype, byte_range)

    def check_size(self, key: str, part: ByteRequest | None, most: int) -> None:
        """Raise ValueError if reading `part` of a file takes over `most` bytes. None reads all."""
        try:
            nbytes = (self.root / key).stat().st_size
        except OSError:
            return  # The file is absent, which is reported elsewhere.
        if isinstance(part, RangeByteRequest):
            nbytes = min(nbytes, part.end - part.start)
        elif isinstance(part, SuffixByteRequest):
            nbytes = min(nbytes, part.suffix)
        if nbytes > most:
            raise ValueError(f"{nbytes} bytes are stored, expected at most {most}")


def _check(path: Path) -> None:
    """Raise ValueError unless `path` is a regular file, a folder or absent."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return  # The file is absent, which the store reports in its own way.
    except OSError as error:
        raise ValueError(f"{path} cannot be examined: {error.strerror}") from None
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise ValueError(f"{path} is a pipe, a socket or a device, not a file")
